import { WOULD_BLOCK } from '../engine/channel.ts';
import { Command, SocketStatus, SocketWord } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { DatagramHeader, peekDatagram, pushDatagram, shiftDatagram } from '../stack/udp/datagram-ring.ts';
import { UDP_MAX_PAYLOAD_V4_BYTES, UDP_MAX_PAYLOAD_V6_BYTES } from '../stack/wire/udp.ts';
import { INET_ERROR } from './constants.ts';
import { failed } from './error-codes.ts';
import { type OpenHandle, openConnection } from './handles.ts';
import { deadlineAfter, waitReadable, waitWritable } from './wait.ts';

const header = new DatagramHeader();

/**
 * Reads what is there, and blocks only while nothing is. A stream's read never waits to fill the buffer and keeps no message
 * boundaries; over UDP each call takes exactly one datagram.
 *
 * @param handle a connection of this thread
 * @param buffer takes the bytes
 * @param length 1 … buffer.length, default all of it
 * @returns bytes read; 0 when the peer has closed its direction and everything was read (UDP: an empty datagram);
 * INET_ERROR on failure:
 * - TIMEOUT (0x8004274C): nothing came for the handle's timeout; the connection lives on
 * - RESET (0x80042746), ABORTED (0x80042745), TIMEOUT (the connection was lost), TLS_TRUNCATED (closed without close_notify),
 *   TLS_PROTOCOL, TLS_ALERT
 * - UDP: MESSAGE_TOO_LONG (0x80042738): the datagram is longer than the buffer, which has its first bytes; the rest is
 *   lost, as in Winsock. CONNECT_REFUSED: the peer reports that nothing listens on its port
 * - CANCELLED (0x80042714): another thread has closed the connection meanwhile
 * - ARGUMENT_INVALID (0x80042726), HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D), ENGINE_STOPPED
 *
 * Source: SocketWrench 10 InetRead.
 *
 * @example
 * const buffer = new Uint8Array(16384);
 * for (let n = InetRead(socket, buffer); n > 0; n = InetRead(socket, buffer)) process.stdout.write(buffer.subarray(0, n));
 */
export function InetRead(handle: number, buffer: Uint8Array, length?: number): number {
  try {
    const opened = openConnection(handle);
    const most = checkBuffer(buffer, length, 1);
    return opened.isDatagram ? readDatagram(opened, buffer, most) : readStream(opened, buffer, most);
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * Writes bytes, and blocks until the stack has taken all of them over; they are delivered from then on, whatever the thread
 * does. Over UDP each call sends one datagram.
 *
 * @param handle a connection of this thread
 * @param buffer the bytes; it can be used again after the call
 * @param length 0 … buffer.length, default all of it
 * @returns bytes taken over: fewer than `length` only when the peer did not take the rest within the handle's timeout. INET_ERROR
 * when nothing was taken:
 * - TIMEOUT (0x8004274C): there was no room during the handle's timeout, or the connection was lost
 * - RESET (0x80042746), ABORTED (0x80042745), SHUT_DOWN (0x8004274A), NOT_CONNECTED (0x80042749: it has ended)
 * - UDP: MESSAGE_TOO_LONG (0x80042738): at most 65,507 bytes over IPv4, 65,527 over IPv6
 * - CANCELLED (0x80042714), ARGUMENT_INVALID (0x80042726), HANDLE_INVALID (0x80042736), WRONG_THREAD,
 *   NOT_INITIALIZED (0x8004276D), ENGINE_STOPPED
 *
 * Source: SocketWrench 6 InetWrite. A short count is success there too.
 *
 * @example
 * if (InetWrite(socket, Buffer.from('GET / HTTP/1.0\r\n\r\n')) === INET_ERROR) InetAbort(socket);
 */
export function InetWrite(handle: number, buffer: Uint8Array, length?: number): number {
  try {
    const opened = openConnection(handle);
    const most = checkBuffer(buffer, length, 0);
    return opened.isDatagram ? writeDatagram(opened, buffer, most) : writeStream(opened, buffer, most);
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/** Takes the pending error of a UDP socket, if it has one. @throws NetError */
export function throwDatagramError(opened: OpenHandle): void {
  const error = opened.block.error;
  if (error === null) return;
  // one that ended the socket stays
  if (opened.socket.status !== SocketStatus.Closed) opened.block.set(SocketWord.Error, 0);
  throw error;
}

function readStream(opened: OpenHandle, buffer: Uint8Array, most: number): number {
  const deadline = deadlineAfter(opened.timeoutMs);
  for (;;) {
    const sequence = opened.socket.recvSequence;
    const taken = opened.channel.read(buffer, 0, most);
    if (taken !== WOULD_BLOCK) return taken;
    waitReadable(opened, sequence, deadline);
  }
}

function readDatagram(opened: OpenHandle, buffer: Uint8Array, most: number): number {
  const deadline = deadlineAfter(opened.timeoutMs);
  for (;;) {
    const sequence = opened.socket.recvSequence;
    throwDatagramError(opened);
    const ring = opened.socket.recvRing;
    if (ring !== null && peekDatagram(ring, header)) {
      const { lengthBytes, position } = header;
      ring.copyOut(position, buffer, 0, Math.min(lengthBytes, most));
      shiftDatagram(ring, header);
      if (lengthBytes <= most) return lengthBytes;
      throw new NetError('MESSAGE_TOO_LONG', {
        phase: Phase.Transfer,
        detail: `a datagram of ${lengthBytes} bytes came, the buffer has room for ${most}; the rest is lost`,
      });
    }
    waitReadable(opened, sequence, deadline);
  }
}

function writeStream(opened: OpenHandle, buffer: Uint8Array, length: number): number {
  let written = 0;
  const deadline = deadlineAfter(opened.timeoutMs);
  while (written < length) {
    const sequence = opened.socket.sendSequence;
    try {
      const taken = opened.channel.write(buffer, written, length - written);
      if (taken === WOULD_BLOCK) {
        waitWritable(opened, sequence, deadline);
        continue;
      }
      written += taken;
    } catch (error) {
      // only a lack of time leaves a count worth having: after all else the bytes may never arrive
      if (written > 0 && error instanceof NetError && isOwnTimeout(opened, error)) return written;
      throw error;
    }
  }
  return written;
}

function isOwnTimeout(opened: OpenHandle, error: NetError): boolean {
  return error.tunwireCode === 'TIMEOUT' && opened.socket.status === SocketStatus.Open;
}

function writeDatagram(opened: OpenHandle, buffer: Uint8Array, length: number): number {
  const deadline = deadlineAfter(opened.timeoutMs);
  const { socket, block } = opened;
  const largest =
    block.get(SocketWord.RemoteFamily) === 6 ? UDP_MAX_PAYLOAD_V6_BYTES : UDP_MAX_PAYLOAD_V4_BYTES;
  if (length > largest) {
    throw new NetError('MESSAGE_TOO_LONG', {
      phase: Phase.Transfer,
      detail: `a datagram has at most ${largest} bytes here, got ${length}`,
    });
  }
  for (;;) {
    const sequence = socket.sendSequence;
    throwDatagramError(opened);
    if (socket.status === SocketStatus.Closed) throw new NetError('NOT_CONNECTED', { phase: Phase.Transfer });
    const ring = socket.sendRing;
    // no family: to the default destination
    if (ring !== null && pushDatagram(ring, 0, 0, 0, 0, 0, 0, buffer, 0, length)) {
      socket.client.command(block, Command.Sent);
      return length;
    }
    waitWritable(opened, sequence, deadline);
  }
}

function checkBuffer(buffer: unknown, length: number | undefined, least: 0 | 1): number {
  if (!(buffer instanceof Uint8Array)) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `a buffer is a Uint8Array, got ${buffer === null ? 'null' : typeof buffer}`,
    });
  }
  const given = length ?? buffer.length;
  if (Number.isInteger(given) && given >= least && given <= buffer.length) return given;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `a length is ${least} … ${buffer.length} for this buffer, got ${given}`,
  });
}
