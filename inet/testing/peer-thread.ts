/** The other side of the link: a stack of its own with servers on it, over net/. Runs in a worker; see peer.ts. */
import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { createSecureContext, TLSSocket, type TLSSocketOptions } from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';
import { decode, encode } from 'dns-packet';
import { createStack } from '../../net/index.ts';
import { type PeerData, PeerPort } from './peer.ts';

const { end, bufferBytes, cert, key, otherCert, otherKey, oldCert, oldKey, others, ca, bridgedPort } =
  workerData as PeerData;
const stack = await createStack({
  device: end,
  addresses: ['192.0.2.1/24', '2001:db8::1/64'],
  resolver: { hostsFile: null },
  ...(bufferBytes === undefined ? {} : { sendBufferBytes: bufferBytes, receiveBufferBytes: bufferBytes }),
});

async function serve(
  port: number,
  take: (socket: Awaited<ReturnType<typeof stack.connect>>) => void,
): Promise<void> {
  const server = await stack.listen({ port, allowHalfOpen: true });
  server.on('connection', (socket) => {
    // tests break connections on purpose
    socket.on('error', () => {});
    take(socket);
  });
}

async function serveTls(
  port: number,
  identity: TLSSocketOptions,
  take: (socket: TLSSocket) => void,
): Promise<void> {
  await serve(port, (socket) => {
    const tls = new TLSSocket(socket, { isServer: true, ...identity });
    tls.on('error', () => {});
    tls.once('secure', () => take(tls));
  });
}

await serve(PeerPort.Echo, (socket) => void socket.pipe(socket));
for (const port of [PeerPort.EchoHttp, PeerPort.EchoBgp])
  await serve(port, (socket) => void socket.pipe(socket));
const answerLikeHttp = (socket: Duplex): void => {
  let request = '';
  socket.on('data', (chunk: Buffer) => {
    request += chunk;
    if (request.includes('\r\n\r\n')) socket.end('HTTP/1.0 200 OK\r\n\r\nhello\r\n');
  });
};
await serve(PeerPort.HttpLike, answerLikeHttp);
await serveTls(PeerPort.HttpsLike, { cert, key }, answerLikeHttp);
await serve(PeerPort.Greet, (socket) => void socket.end('hello'));
await serve(PeerPort.Reset, (socket) => void socket.once('data', () => socket.resetAndDestroy()));
await serve(PeerPort.Silent, () => {});
// reads nothing, so that the sender's window closes
await serve(PeerPort.Full, (socket) => void socket.pause());
await serve(PeerPort.Count, (socket) => {
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  socket.on('end', () => socket.end(String(bytes)));
});
await serveTls(PeerPort.TlsEcho, { cert, key }, (socket) => void socket.pipe(socket));
await serveTls(
  PeerPort.TlsExample,
  { cert, key, ALPNProtocols: ['lab/1'] },
  (socket) => void socket.pipe(socket),
);
for (const [port, badCert, badKey] of others) {
  await serveTls(port, { cert: badCert, key: badKey }, (socket) => void socket.pipe(socket));
}
await serveTls(PeerPort.TlsOther, { cert: otherCert, key: otherKey }, (socket) => void socket.pipe(socket));
const demanding = { cert, key, ca, requestCert: true, rejectUnauthorized: true };
await serveTls(PeerPort.TlsClient, demanding, (socket) => {
  socket.end(`hello ${socket.getPeerCertificate().subject.CN}`);
});
const oldContext = createSecureContext({
  cert: oldCert,
  key: oldKey,
  ciphers: 'AES128-SHA:@SECLEVEL=0',
  minVersion: 'TLSv1',
  maxVersion: 'TLSv1',
});
await serveTls(PeerPort.TlsOld, { secureContext: oldContext }, (socket) => void socket.pipe(socket));
await serve(PeerPort.TlsTruncated, (socket) => {
  const tls = new TLSSocket(socket, { isServer: true, cert, key });
  tls.on('error', () => {});
  // the transport ends under TLS: no close_notify
  tls.once('secure', () => tls.once('data', () => socket.end()));
});

async function serveStartTls(port: number, go: string): Promise<void> {
  await serve(port, (socket) => {
    socket.write('hello\r\n');
    socket.once('data', () => {
      socket.write(go);
      const wire = new Duplex({
        read: () => {},
        write: (chunk: Buffer, _encoding, done) => void socket.write(chunk, done),
        // TLS has ended, the transport has not
        final: (done) => {
          socket.removeAllListeners('data');
          socket.write('clear\r\n');
          socket.pipe(socket);
          done();
        },
      });
      socket.on('data', (chunk: Buffer) => void wire.push(chunk));
      const tls = new TLSSocket(wire, { isServer: true, cert, key });
      tls.on('error', () => socket.destroy());
      tls.once('secure', () => void tls.pipe(tls));
    });
  });
}

await serveStartTls(PeerPort.StartTls, 'go\r\n');
await serveStartTls(PeerPort.Injected, 'go\r\nINJECTED');
await serve(PeerPort.Lines, (socket) => {
  let at = 0;
  const text = Buffer.from('grüße, 🌍!\r\n\0null\rs\n\r\nunfinished');
  const more = (): void => {
    if (at < text.length) socket.write(text.subarray(at, ++at), more);
    else socket.once('data', () => socket.end());
  };
  socket.setNoDelay(true);
  more();
});

await serve(PeerPort.Bridge, (socket) => {
  const wire = connect(bridgedPort, '127.0.0.1');
  wire.on('error', () => socket.resetAndDestroy());
  socket.on('close', () => wire.destroy());
  socket.pipe(wire).pipe(socket);
});

await serve(PeerPort.Callback, (socket) => {
  socket.once('data', async (port: Buffer) => {
    try {
      const other = await stack.connect({ host: '192.0.2.2', port: Number(port), allowHalfOpen: true });
      other.on('error', () => socket.resetAndDestroy());
      socket.pipe(other).pipe(socket);
    } catch {
      socket.resetAndDestroy();
    }
  });
});

const echo = await stack.udp({ port: PeerPort.Echo });
echo.on('message', (data, from) => void echo.send(data, from.port, from.address));

const RECORDS: Readonly<Record<string, readonly [type: 'A' | 'AAAA' | 'PTR', data: string][]>> = {
  'peer.test': [
    ['A', '192.0.2.1'],
    ['AAAA', '2001:db8::1'],
  ],
  'four.test': [['A', '192.0.2.1']],
  'dut.lab.test': [['A', '192.0.2.1']],
  'six.test': [['AAAA', '2001:db8::1']],
  'other.test': [['A', '192.0.2.1']],
  '1.2.0.192.in-addr.arpa': [['PTR', 'peer.test']],
  'xn--bcher-kva.test': [['A', '192.0.2.1']],
};

const SERVFAIL = 2;
const NXDOMAIN = 3;

const dns = await stack.udp({ port: 53 });
dns.on('message', (data, from) => {
  const query = decode(data);
  const question = query.questions?.[0];
  if (question === undefined || question.name.toLowerCase().endsWith('silent.test')) return;
  const records = RECORDS[question.name.toLowerCase()];
  const answer = encode({
    type: 'response',
    id: query.id ?? 0,
    flags:
      0x0480 |
      (question.name.toLowerCase() === 'broken.test' ? SERVFAIL : records === undefined ? NXDOMAIN : 0),
    questions: [question],
    answers: (records ?? [])
      .filter(([type]) => type === question.type)
      .map(([type, data]) => ({ type, name: question.name, ttl: 60, data })),
  });
  void dns.send(answer, from.port, from.address);
});

parentPort?.postMessage('ready');
