/**
 * The peer of a soak, a program of its own in the lab: takes and gives on every connection, and pauses. `soak-peer.ts CERT KEY`: plain TCP on
 * {@link PLAIN_PORT}, TLS on {@link TLS_PORT}.
 */
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { CHUNK_BYTES, MOST_FLOW_MS, MOST_PAUSE_MS, PLAIN_PORT, TLS_PORT } from './soak-job.ts';

const [certFile = '', keyFile = ''] = process.argv.slice(2);
const chunk = Buffer.alloc(CHUNK_BYTES);

function serve(socket: Socket): void {
  const fill = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('error', () => {}).on('drain', fill);
  socket.on('data', () => {});
  fill();
  pause(socket);
}

function pause(socket: Socket): void {
  if (socket.destroyed) return;
  socket.pause();
  setTimeout(() => {
    socket.resume();
    setTimeout(pause, MOST_FLOW_MS * Math.random(), socket);
  }, MOST_PAUSE_MS * Math.random());
}

const secrets = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
createServer(serve).listen(PLAIN_PORT, '0.0.0.0');
createTlsServer({ ...secrets, minVersion: 'TLSv1.3' }, serve)
  .on('tlsClientError', () => {})
  .listen(TLS_PORT, '0.0.0.0');
