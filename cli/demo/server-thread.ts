/** The other side of the demo, in a thread of its own: a stack with DNS, HTTP and HTTPS servers on it. */
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import { TLSSocket } from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';
import { createStack, type NetStack } from '../../net/index.ts';
import { makeCertificates } from './certificates.ts';
import { answerNames } from './name-server.ts';
import {
  CLIENT_HEADER,
  DNS_PORT,
  HTTP_PORT,
  HTTPS_PORT,
  makeBody,
  NAMES,
  SERVER_ADDRESSES,
  type ServerCounts,
  type ServerData,
  type ServerReady,
  TLS_HEADER,
} from './scene.ts';

const port = parentPort;
if (port === null) throw new Error('server-thread.ts is the worker of demo.ts');

const body = makeBody();
const asked = new Set<string>();
let requests = 0;

const { device } = workerData as ServerData;
const { authority, certificate, privateKey } = await makeCertificates(NAMES);
const stack = await createStack({ device, addresses: SERVER_ADDRESSES, resolver: { hostsFile: null } });
await serveNames(stack);
const plain = await stack.listen({ port: HTTP_PORT, allowHalfOpen: true });
const secure = await stack.listen({ port: HTTPS_PORT, allowHalfOpen: true });
const httpServer = http.createServer(answer);
const httpsServer = https.createServer({ key: privateKey, cert: certificate }, answer);
// Node's own servers, as they are, over the stack's connections
plain.on('connection', (socket) => httpServer.emit('connection', socket));
secure.on('connection', (socket) => httpsServer.emit('connection', socket));

port.postMessage({ authority } satisfies ServerReady);
port.once('message', async () => {
  await stack.close();
  port.postMessage({ names: [...asked], requests } satisfies ServerCounts);
});

function answer(request: IncomingMessage, response: ServerResponse): void {
  requests++;
  const { socket } = request;
  if (socket instanceof TLSSocket) {
    response.setHeader(TLS_HEADER, `${socket.getProtocol()} ${socket.getCipher().standardName}`);
  } else {
    response.setHeader(CLIENT_HEADER, `${socket.remoteAddress} ${socket.remotePort}`);
  }
  response.setHeader('content-length', body.length);
  response.end(body);
}

/** A name server for {@link NAMES}. */
async function serveNames(on: NetStack): Promise<void> {
  const addresses = SERVER_ADDRESSES.map((cidr) => cidr.slice(0, cidr.indexOf('/')));
  const socket = await on.udp({ port: DNS_PORT });
  socket.on('message', (data, from) => {
    const reply = answerNames(data, NAMES, addresses, (name) => asked.add(name));
    if (reply !== null) void socket.send(reply, from.port, from.address);
  });
}
