/**
 * The peer of measurements over TLS and UDP, on the kernel's TCP and UDP: sinks, sources and echoes on the ports of job.ts; plain-server.ts
 * has those over plain TCP.
 * `server.ts CERT KEY`
 */

import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { CHUNK_BYTES, MESSAGE_BYTES, Port, SET_UP_PORTS } from './job.ts';

/** What the kernel lets wait at most (net.core.somaxconn). */
const BACKLOG = 4096;
/** Datagrams handed to the kernel at the same time. */
const UDP_OUTSTANDING = 64;

const [certFile = '', keyFile = ''] = process.argv.slice(2);
/** One set of ticket keys: a session of one port can be resumed on any. */
const credentials = {
  cert: readFileSync(certFile),
  key: readFileSync(keyFile),
  ticketKeys: randomBytes(48),
};
const chunk = Buffer.alloc(CHUNK_BYTES);

type Service = (socket: Socket) => void;

const sink: Service = (socket) => {
  socket.resume();
};

const source: Service = (socket) => {
  const fill = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', fill).resume();
  fill();
};

const echo: Service = (socket) => {
  socket.on('data', (data) => socket.write(data));
};

function serveTls(port: number, service: Service): void {
  const server = createTlsServer({ ...credentials, minVersion: 'TLSv1.3', noDelay: true }, guarded(service));
  listen(
    server.on('tlsClientError', () => {}),
    port,
  );
}

function guarded(service: Service): Service {
  return (socket) => {
    // subjects reset their connections at the end of a run
    socket.on('error', () => {});
    service(socket);
  };
}

function listen(server: Server, port: number): void {
  server.listen(port, '0.0.0.0', BACKLOG);
}

serveTls(Port.TlsSink, sink);
serveTls(Port.TlsSource, source);
serveTls(Port.TlsEcho, echo);
for (let i = 0; i < SET_UP_PORTS; i++) serveTls(Port.FirstTlsSetUp + i, sink);

createSocket('udp4').bind(Port.UdpSink, '0.0.0.0');

/** A datagram with a number of milliseconds is answered by datagrams for so long, or until the next one comes. */
const udpSource = createSocket('udp4').bind(Port.UdpSource, '0.0.0.0');
const payload = Buffer.alloc(MESSAGE_BYTES);
let asker = { address: '', port: 0 };
let end = 0;
let answering = false;
udpSource.on('message', (data, from) => {
  const milliseconds = Number(data.toString());
  // the end of a run can come later than the beginning of the next
  if (milliseconds === 0 && (from.port !== asker.port || from.address !== asker.address)) return;
  asker = from;
  end = performance.now() + milliseconds;
  if (!answering) answer();
});

/** By turns with the event loop: sends that are done at once would keep the next request out. */
function answer(): void {
  answering = performance.now() < end;
  if (!answering) return;
  let left = UDP_OUTSTANDING;
  const sent = (): void => {
    if (--left === 0) setImmediate(answer);
  };
  for (let i = 0; i < UDP_OUTSTANDING; i++) udpSource.send(payload, asker.port, asker.address, sent);
}
