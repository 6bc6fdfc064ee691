import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import net, { type Server, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { makeCertificates } from './demo/certificates.ts';
import { answerNames } from './demo/name-server.ts';
import { chargen } from './small-services.ts';

/** What a lab's servers are reached by. */
export interface LabServers {
  /** Their name. */
  readonly name: string;
  /** PEM of the authority that signed their certificate. */
  readonly authority: string;
}

const NAME = 'server.lab.test';
const CHUNK: Buffer = Buffer.alloc(64 * 1024, 'tunwire ');

/**
 * Starts servers on the kernel's TCP and UDP: DNS, HTTP and HTTPS on their ports; echo (RFC 862) on 7, discard (863) on 9, chargen
 * (864) on 19. @param addresses what the name stands for
 */
export async function serveLab(addresses: readonly string[]): Promise<LabServers> {
  const { authority, certificate, privateKey } = await makeCertificates([NAME]);
  await serveNames(addresses);
  await Promise.all([
    listening(http.createServer(answer), 80),
    listening(https.createServer({ key: privateKey, cert: certificate }, answer), 443),
    listening(
      service((socket) => socket.pipe(socket)),
      7,
    ),
    listening(
      service((socket) => socket.resume()),
      9,
    ),
    listening(
      service((socket) => Readable.from(chargen()).pipe(socket)),
      19,
    ),
  ]);
  return { name: NAME, authority };
}

/** `/`: who asked; `/bytes/N`: so many bytes. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const bytes = /^\/bytes\/(\d{1,12})$/.exec(request.url ?? '')?.[1];
  if (bytes !== undefined) {
    response.setHeader('content-length', bytes);
    Readable.from(chunks(request.method === 'HEAD' ? 0 : Number(bytes))).pipe(response);
    return;
  }
  response.statusCode = request.url === '/' ? 200 : 404;
  response.setHeader('content-type', 'text/plain');
  const { remoteAddress, remotePort } = request.socket;
  response.end(
    request.url === '/'
      ? `Hello from the kernel's side of the lab to ${remoteAddress} port ${remotePort}.\n`
      : 'There are / and /bytes/N.\n',
  );
}

function* chunks(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= CHUNK.length)
    yield left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK;
}

function service(serve: (socket: Socket) => void): Server {
  return net.createServer({ allowHalfOpen: false }, (socket) => {
    // a peer that resets ends its own connection only
    socket.on('error', () => socket.destroy());
    serve(socket);
  });
}

async function listening(server: Server, port: number): Promise<void> {
  server.listen(port, '::');
  await once(server, 'listening');
}

async function serveNames(addresses: readonly string[]): Promise<void> {
  const socket = createSocket({ type: 'udp6' });
  socket.on('message', (data, from) => {
    const reply = answerNames(data, [NAME], addresses);
    if (reply !== null) socket.send(reply, from.port, from.address);
  });
  socket.bind(53);
  await once(socket, 'listening');
}
