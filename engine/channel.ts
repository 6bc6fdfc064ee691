import type { SharedSocket } from './shared-socket.ts';

/** The call would have to wait: nothing was read or written. */
export const WOULD_BLOCK = -1;

/**
 * A byte stream over a shared socket, plain or TLS. All calls return at once; whoever wants to wait takes
 * `recvSequence` or `sendSequence` of the socket before the call and sleeps on it after {@link WOULD_BLOCK}.
 */
export interface Channel {
  readonly socket: SharedSocket;
  /**
   * Takes what has arrived. @param len at least 1
   * @returns bytes read, 0 at the end of the stream, or {@link WOULD_BLOCK}
   * @throws NetError RESET, TIMEOUT, TLS_TRUNCATED …: why the stream ended out of order
   */
  read(into: Uint8Array, off: number, len: number): number;
  /** {@link read} without taking anything away. TLS shows what is left of one record. */
  peek(into: Uint8Array, off: number, len: number): number;
  /** Takes bytes away that were peeked at, at most as many. */
  consume(lengthBytes: number): void;
  /**
   * Takes over what there is room for. @returns bytes taken, or {@link WOULD_BLOCK}
   * @throws NetError SHUT_DOWN after `shutdown`, or why the stream has ended
   */
  write(from: Uint8Array, off: number, len: number): number;
  /** A {@link write} that would block waits for something to arrive, not for room. */
  readonly awaitsPeer: boolean;
  /** Ends the own direction after what was written. @returns false: would block, call again when writable */
  shutdown(): boolean;
}
