import { Duplex } from 'node:stream';
import type { ReadableStream, WritableStream } from 'node:stream/web';
import type { Socket } from './socket.ts';

/** What `opened` tells: the connection's ends, and the application protocol of TLS. */
export interface WebStreamsInfo {
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly alpn: string | null;
}

/** A connection as WinterTC's sockets API has it (https://sockets-api.proposal.wintertc.org). */
export interface WebStreams extends AsyncDisposable {
  readonly readable: ReadableStream<Uint8Array>;
  /** Closing it ends the own direction; aborting it resets the connection. */
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves when data can flow; with TLS after its handshake. */
  readonly opened: Promise<WebStreamsInfo>;
  /** Resolves when the connection has ended in order, rejects with the error that ended it. */
  readonly closed: Promise<void>;
  /** Sends what was written, and closes the connection. */
  close(): Promise<void>;
}

/** @param socket it belongs to the streams from now on */
export function webStreamsOf(socket: Socket): WebStreams {
  const { readable, writable } = Duplex.toWeb(socket) as unknown as Pick<WebStreams, 'readable' | 'writable'>;
  const opened = new Promise<WebStreamsInfo>((resolve, reject) => {
    const isOpen = !socket.pending && !socket.secureConnecting;
    const told = (): void => resolve(infoOf(socket));
    if (isOpen) told();
    else socket.once(socket.encrypted ? 'secureConnect' : 'connect', told);
    socket.once('error', reject);
    socket.once('close', () => reject(socket.errored ?? new Error('closed before it was open')));
  });
  const closed = new Promise<void>((resolve, reject) => {
    const end = (): void => (socket.errored === null ? resolve() : reject(socket.errored));
    if (socket.closed) end();
    else socket.once('close', end);
  });
  // each is there for whoever asks; the streams fail with the same error
  for (const promise of [opened, closed]) promise.catch(() => {});
  const close = async (): Promise<void> => {
    await socket[Symbol.asyncDispose]();
  };
  return { readable, writable, opened, closed, close, [Symbol.asyncDispose]: close };
}

function infoOf(socket: Socket): WebStreamsInfo {
  const { remoteAddress = '', remotePort, localAddress = '', localPort, alpnProtocol } = socket;
  return {
    remoteAddress: place(remoteAddress, remotePort),
    localAddress: place(localAddress, localPort),
    alpn: alpnProtocol === false ? null : alpnProtocol,
  };
}

function place(address: string, port: number | undefined): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
