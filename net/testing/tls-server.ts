import tls from 'node:tls';
import type { NetStack, Server } from '../index.ts';

/** A server of node:tls on our connections. */
export interface TlsServer {
  readonly server: Server;
  readonly port: number;
  /** What went wrong on its side so far. */
  readonly errors: Error[];
}

/** @param options key and certificate among them */
export async function serveTls(
  stack: NetStack,
  options: tls.TlsOptions,
  onSecure: (socket: tls.TLSSocket) => void,
): Promise<TlsServer> {
  const server = await stack.listen({ port: 0, allowHalfOpen: true });
  const errors: Error[] = [];
  const secure = tls.createServer(options, (socket) => {
    socket.on('error', (error) => errors.push(error));
    onSecure(socket);
  });
  secure.on('tlsClientError', (error) => errors.push(error));
  server.on('connection', (socket) => secure.emit('connection', socket));
  return { server, port: server.address()?.port ?? 0, errors };
}
