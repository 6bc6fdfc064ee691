import type { TestFn } from 'ava';
import {
  INET_ERROR,
  INET_ERRORS,
  INET_PROTOCOL_TCP,
  INVALID_SOCKET,
  InetConnect,
  InetGetErrorString,
  InetGetLastError,
  InetInitialize,
  InetRead,
  InetSetTimeout,
  InetUninitialize,
  InetWrite,
} from '../index.ts';
import { type Peer, startPeer } from './peer.ts';

/** Seconds that no test of a healthy connection needs. */
export const TIMEOUT_S = 30;

/**
 * Lets the tests of a file run between a peer's start and stop, with the family initialized in the test's thread.
 * @param bufferBytes size of each send and receive buffer on both sides; default: the stack's
 */
export function setUpBench(test: TestFn, bufferBytes?: number): void {
  let peer: Peer;
  test.before(async (t) => {
    peer = await startPeer(bufferBytes);
    const started = InetInitialize({
      device: peer.end,
      addresses: ['192.0.2.2/24', '2001:db8::2/64'],
      resolver: { servers: ['192.0.2.1'], hostsFile: null },
      caFile: peer.caFile,
      ...(bufferBytes === undefined ? {} : { sendBufferBytes: bufferBytes, receiveBufferBytes: bufferBytes }),
    });
    t.true(started, InetGetErrorString(InetGetLastError()));
  });
  test.after.always(async () => {
    InetUninitialize();
    await peer?.stop();
  });
}

/** Connects or throws. @param timeout seconds that later calls may take; the attempt itself has time enough */
export function open(
  port: number,
  options: number = 0,
  timeout: number = TIMEOUT_S,
  protocol: number = INET_PROTOCOL_TCP,
): number {
  const socket = InetConnect('peer.test', port, protocol, TIMEOUT_S, options);
  if (socket === INVALID_SOCKET) throw new Error(InetGetErrorString(InetGetLastError()));
  if (timeout !== TIMEOUT_S) InetSetTimeout(socket, timeout);
  return socket;
}

/** One InetRead, as text. */
export function text(socket: number, length = 1024): string {
  const buffer = new Uint8Array(length);
  const taken = InetRead(socket, buffer);
  if (taken === INET_ERROR) throw new Error(InetGetErrorString(InetGetLastError()));
  return Buffer.from(buffer.subarray(0, taken)).toString();
}

export function send(socket: number, message: string): number {
  return InetWrite(socket, Buffer.from(message));
}

/** The name of this thread's last error in stack/errors.ts; '' for none. */
export function lastCode(): string {
  const number = InetGetLastError();
  return Object.entries(INET_ERRORS).find(([, row]) => row.number === number)?.[0] ?? '';
}

/** Lets the event loop turn until a condition holds. */
export async function until(holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 40_000;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error('what was waited for did not happen in 40 s');
    await new Promise((done) => setTimeout(done, 1));
  }
}
