import { WOULD_BLOCK } from '../engine/channel.ts';
import { Command, SocketEvent, SocketStatus, SocketWord } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { DatagramHeader, peekDatagram, pushDatagramTo, shiftDatagram } from '../stack/udp/datagram-ring.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { UDP_MAX_PAYLOAD_V4_BYTES, UDP_MAX_PAYLOAD_V6_BYTES } from '../stack/wire/udp.ts';
import { INET_ERROR } from './constants.ts';
import { failed } from './error-codes.ts';
import { type OpenHandle, openConnection } from './handles.ts';
import type { OutValue } from './out.ts';
import type { INTERNET_ADDRESS } from './state.ts';
import { deadlineAfter, waitForPeer, waitReadable, waitWritable } from './wait.ts';

const header = new DatagramHeader();
/** What is only counted: the longest record of TLS fits. */
const scratch = new Uint8Array(16_384);

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
 * - RESET (0x80042746), TIMEOUT (the connection was lost), TLS_TRUNCATED (closed without close_notify),
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
 * - RESET (0x80042746), SHUT_DOWN (0x8004274A), NOT_CONNECTED (0x80042749: it has ended)
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
    return opened.isDatagram
      ? writeDatagram(opened, buffer, most, null, 0)
      : writeStream(opened, buffer, most);
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * {@link InetRead} that also tells where the bytes came from.
 *
 * @param length 1 … buffer.length; null: all of it
 * @param address is filled with the sender's address; null: not wanted. Over TCP that is always the peer
 * @param remotePort takes the sender's port; null: not wanted
 * @returns as InetRead, for the same reasons
 *
 * Source: SocketWrench 10 Read, the form with two outputs more; both may be NULL.
 *
 * @example
 * const from = new INTERNET_ADDRESS();
 * const port = { value: 0 };
 * const n = InetReadEx(socket, buffer, null, from, port);
 */
export function InetReadEx(
  handle: number,
  buffer: Uint8Array,
  length: number | null = null,
  address: INTERNET_ADDRESS | null = null,
  remotePort: OutValue<number> | null = null,
): number {
  try {
    const opened = openConnection(handle);
    const most = checkBuffer(buffer, length ?? undefined, 1);
    const taken = opened.isDatagram ? readDatagram(opened, buffer, most) : readStream(opened, buffer, most);
    const known = opened.isDatagram && header.family !== 0;
    const from = known
      ? new IpAddress(header.family as 4 | 6, header.w0, header.w1, header.w2, header.w3)
      : opened.socket.remoteAddress;
    if (address !== null && from !== null) address.set(from);
    if (remotePort !== null) remotePort.value = known ? header.port : opened.socket.remotePort;
    return taken;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * Looks at what one InetRead would give, without taking it away and without ever blocking.
 *
 * @param handle a connection of this thread
 * @param buffer takes a copy; null: only the count is wanted
 * @param length 1 … buffer.length, default all of it
 * @returns bytes that can be read now: 0 when there is nothing yet, and also at the end of the stream (InetIsClosed tells them
 * apart). There may be more behind them. Over UDP: the next datagram, or as much of it as fits. INET_ERROR for the reasons of
 * InetRead but TIMEOUT and CANCELLED
 *
 * Source: SocketWrench 10 Peek.
 *
 * @example
 * if (InetPeek(socket, null) > 0) InetRead(socket, buffer);
 */
export function InetPeek(handle: number, buffer: Uint8Array | null, length?: number): number {
  try {
    const opened = openConnection(handle);
    const most = buffer === null ? 0 : checkBuffer(buffer, length, 1);
    if (opened.isDatagram) return peekNextDatagram(opened, buffer, most);
    if (buffer !== null) return Math.max(0, opened.channel.peek(buffer, 0, most));
    // decrypts a record, or says why the connection has ended
    const seen = Math.max(0, opened.channel.peek(scratch, 0, scratch.length));
    return opened.isSecure ? seen : opened.socket.readableBytes;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * {@link InetWrite} that sends a datagram to another destination than the default one.
 *
 * @param length 0 … buffer.length; null: all of it
 * @param address where to; null: the default destination, as InetWrite. Over TCP it has to be null
 * @param remotePort 1 … 65535; not looked at without an address
 * @returns as InetWrite, and for the same reasons; PORT_INVALID; ARGUMENT_INVALID (0x80042726) for an address of no family or over
 * TCP. That there is no route (NETWORK_UNREACHABLE), or that BROADCAST is missing (ACCESS_DENIED), shows with a later call
 *
 * Source: SocketWrench 6 names it; its signature is not published, this is the counterpart of InetReadEx.
 *
 * @example
 * InetWriteEx(socket, bytes, null, address, 5353);
 */
export function InetWriteEx(
  handle: number,
  buffer: Uint8Array,
  length: number | null = null,
  address: INTERNET_ADDRESS | null = null,
  remotePort = 0,
): number {
  try {
    const opened = openConnection(handle);
    const most = checkBuffer(buffer, length ?? undefined, 0);
    if (address === null) {
      return opened.isDatagram
        ? writeDatagram(opened, buffer, most, null, 0)
        : writeStream(opened, buffer, most);
    }
    const to = address.get();
    if (to === null || !opened.isDatagram) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: to === null ? 'the address has no family' : 'a stream has one peer: give no address',
      });
    }
    if (!Number.isInteger(remotePort) || remotePort < 1 || remotePort > 65_535) {
      throw new NetError('PORT_INVALID', { phase: Phase.Argument, detail: `got ${remotePort}` });
    }
    return writeDatagram(opened, buffer, most, to, remotePort);
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/** Takes the pending error of a UDP socket, if it has one. @throws NetError */
function throwDatagramError(opened: OpenHandle): void {
  const error = opened.block.error;
  if (error === null) return;
  // one that ended the socket stays
  if (opened.socket.status !== SocketStatus.Closed) opened.block.set(SocketWord.Error, 0);
  throw error;
}

/** Something was taken away: READ may be raised again, and is if there is more. */
export function noteRead(opened: OpenHandle): void {
  const { block, socket } = opened;
  Atomics.add(block.words, block.at + SocketWord.FaceReads, 1);
  if (block.get(SocketWord.EventSlot) !== 0) socket.client.post(block, SocketEvent.Readable);
}

function readStream(opened: OpenHandle, buffer: Uint8Array, most: number): number {
  const deadline = deadlineAfter(opened.timeoutMs);
  for (;;) {
    const sequence = opened.socket.recvSequence;
    const taken = opened.channel.read(buffer, 0, most);
    if (taken > 0) noteRead(opened);
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
      noteRead(opened);
      if (lengthBytes <= most) return lengthBytes;
      throw new NetError('MESSAGE_TOO_LONG', {
        phase: Phase.Transfer,
        detail: `a datagram of ${lengthBytes} bytes came, the buffer has room for ${most}; the rest is lost`,
      });
    }
    waitReadable(opened, sequence, deadline);
  }
}

function peekNextDatagram(opened: OpenHandle, buffer: Uint8Array | null, most: number): number {
  throwDatagramError(opened);
  const ring = opened.socket.recvRing;
  if (ring === null || !peekDatagram(ring, header)) return 0;
  if (buffer === null) return header.lengthBytes;
  const given = Math.min(header.lengthBytes, most);
  ring.copyOut(header.position, buffer, 0, given);
  return given;
}

function writeStream(opened: OpenHandle, buffer: Uint8Array, length: number): number {
  let written = 0;
  const deadline = deadlineAfter(opened.timeoutMs);
  while (written < length) {
    try {
      written += writeSome(opened, buffer, written, length, deadline);
    } catch (error) {
      // only a lack of time leaves a count worth having: after all else the bytes may never arrive
      if (written > 0 && error instanceof NetError && isOwnTimeout(opened, error)) return written;
      throw error;
    }
  }
  return written;
}

/**
 * Writes what there is room for, and blocks while there is none.
 * @param from where in the buffer the rest begins @param end where it ends, more than `from`
 * @returns bytes taken over, 1 or more
 * @throws NetError TIMEOUT, CANCELLED, or why the connection has ended
 */
export function writeSome(
  opened: OpenHandle,
  buffer: Uint8Array,
  from: number,
  end: number,
  deadline: number,
): number {
  for (;;) {
    const sequence = opened.socket.sendSequence;
    const arrived = opened.socket.recvSequence;
    const taken = opened.channel.write(buffer, from, end - from);
    if (taken !== WOULD_BLOCK) return taken;
    if (opened.channel.awaitsPeer) waitForPeer(opened, arrived, deadline);
    else waitWritable(opened, sequence, deadline);
  }
}

function isOwnTimeout(opened: OpenHandle, error: NetError): boolean {
  return error.tunwireCode === 'TIMEOUT' && opened.socket.status === SocketStatus.Open;
}

function writeDatagram(
  opened: OpenHandle,
  buffer: Uint8Array,
  length: number,
  to: IpAddress | null,
  port: number,
): number {
  const deadline = deadlineAfter(opened.timeoutMs);
  const { socket, block } = opened;
  const family = to === null ? block.get(SocketWord.RemoteFamily) & 0xff : to.family;
  const largest = family === 6 ? UDP_MAX_PAYLOAD_V6_BYTES : UDP_MAX_PAYLOAD_V4_BYTES;
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
    if (ring !== null && pushDatagramTo(ring, to, port, buffer, 0, length)) {
      socket.client.command(block, Command.Sent);
      return length;
    }
    waitWritable(opened, sequence, deadline);
  }
}

/** @returns the length that counts @throws NetError ARGUMENT_INVALID */
export function checkBuffer(buffer: unknown, length: number | undefined, least: 0 | 1): number {
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
