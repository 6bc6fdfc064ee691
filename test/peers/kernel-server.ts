/** A server on the kernel's own TCP: `kernel-server.ts PORT echo|sink|source|silent BYTES [CERT KEY]`. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import { pattern } from './pattern.ts';

const [port = '', mode = '', bytes = '0', certFile, keyFile] = process.argv.slice(2);

function serve(socket: Socket): void {
  socket.on('error', (error) => console.error(error.message));
  if (mode === 'echo') {
    socket.pipe(socket);
  } else if (mode === 'sink') {
    const hash = createHash('sha256');
    let count = 0;
    socket.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      count += chunk.length;
    });
    socket.on('end', () => {
      console.log(`${count} ${hash.digest('hex')}`);
      socket.end();
    });
  } else if (mode === 'source') {
    Readable.from(pattern(Number(bytes))).pipe(socket);
  }
}

if (certFile !== undefined && keyFile !== undefined) {
  createTlsServer({ cert: readFileSync(certFile), key: readFileSync(keyFile), allowHalfOpen: true }, serve)
    .on('tlsClientError', (error) => console.error(error.message))
    .listen(Number(port), '::');
} else {
  createServer({ allowHalfOpen: true }, serve).listen(Number(port), '::');
}
