import { SocketStatus, SocketWord } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { datagramRoom } from '../stack/udp/datagram-ring.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { MAX_RECORD_BYTES } from '../tls/limits.ts';
import {
  INET_ADDRESS_IPV4,
  INET_ADDRESS_IPV6,
  INET_ADDRESS_UNKNOWN,
  INET_ERROR,
  INET_STATUS_IDLE,
} from './constants.ts';
import { failed } from './error-codes.ts';
import { anyHandle, hasBufferedPlaintext, openConnection, openHandle } from './handles.ts';

/** An IP address as the family passes it around. */
export class INTERNET_ADDRESS {
  /** One of INET_ADDRESS_IPV4, INET_ADDRESS_IPV6; INET_ADDRESS_UNKNOWN: none. */
  ipFamily: number = INET_ADDRESS_UNKNOWN;
  /** Network order. IPv4 uses the first four bytes. */
  readonly ipNumber: Uint8Array = new Uint8Array(16);

  /** For people: `192.0.2.1`, `2001:db8::1` (RFC 5952); '' for no address. */
  toString(): string {
    return this.get()?.toString() ?? '';
  }

  /** @internal null for no address */
  get(): IpAddress | null {
    if (this.ipFamily !== INET_ADDRESS_IPV4 && this.ipFamily !== INET_ADDRESS_IPV6) return null;
    return IpAddress.read(
      new DataView(this.ipNumber.buffer, this.ipNumber.byteOffset),
      0,
      this.ipFamily === INET_ADDRESS_IPV4 ? 4 : 6,
    );
  }

  /** @internal */
  set(address: IpAddress): void {
    this.ipFamily = address.family === 4 ? INET_ADDRESS_IPV4 : INET_ADDRESS_IPV6;
    this.ipNumber.fill(0);
    address.write(new DataView(this.ipNumber.buffer, this.ipNumber.byteOffset), 0);
  }
}

/**
 * Whether InetRead would return at once: with data, with the end of the stream, or with an error.
 * A TLS connection may be readable and still block, when what has arrived is not a whole record.
 * @returns false also on failure: HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 10 InetRead names it; its signature is not published.
 *
 * @example
 * if (InetIsReadable(socket)) InetRead(socket, buffer);
 */
export function InetIsReadable(handle: number): boolean {
  try {
    const opened = openHandle(handle);
    const { socket } = opened;
    if (socket.readableBytes > 0 || socket.peerFinished || socket.status === SocketStatus.Closed) return true;
    return hasBufferedPlaintext(opened) || (opened.isDatagram && opened.block.get(SocketWord.Error) !== 0);
  } catch (error) {
    return failed(error, false);
  }
}

/**
 * Whether InetWrite would take something over at once, or fail at once.
 * @returns false also on failure: HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 7 names it; its signature is not published.
 *
 * @example
 * if (InetIsWritable(socket)) InetWrite(socket, bytes);
 */
export function InetIsWritable(handle: number): boolean {
  try {
    const opened = openConnection(handle);
    const { socket } = opened;
    if (socket.status === SocketStatus.Closed) return true;
    if (opened.isDatagram) return socket.sendRing !== null && datagramRoom(socket.sendRing) > 0;
    return socket.writableBytes > (opened.isSecure ? MAX_RECORD_BYTES : 0);
  } catch (error) {
    return failed(error, false);
  }
}

/**
 * Whether a thread is blocked in the handle now, or ends it. Every thread may ask.
 * @returns false also on failure: HANDLE_INVALID (0x80042736), NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 7 names it; that it means "an operation is in progress", as IsBlocked of the controls, is inferred.
 *
 * @example
 * if (InetIsBlocking(socket)) InetCancel(socket);
 */
export function InetIsBlocking(handle: number): boolean {
  try {
    return anyHandle(handle).status !== INET_STATUS_IDLE;
  } catch (error) {
    return failed(error, false);
  }
}

/**
 * Whether the peer has ended the connection, or it was lost. Data that came before can still be read. For UDP: never.
 * @returns true also for a handle that is none (HANDLE_INVALID, 0x80042736); on other failures false: WRONG_THREAD,
 * NOT_INITIALIZED (0x8004276D)
 *
 * Source: none published.
 *
 * @example
 * if (InetIsClosed(socket) && !InetIsReadable(socket)) InetDisconnect(socket);
 */
export function InetIsClosed(handle: number): boolean {
  try {
    const { socket, isDatagram } = openConnection(handle);
    return socket.status === SocketStatus.Closed || (socket.peerFinished && !isDatagram);
  } catch (error) {
    return failed(error, error instanceof NetError && error.tunwireCode === 'HANDLE_INVALID');
  }
}

/**
 * Whether the connection is up: the peer has not ended it, or what it sent before is not all read. For UDP: always.
 * @returns false also on failure: HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: none published; "connected to a server".
 *
 * @example
 * while (InetIsConnected(socket) && InetRead(socket, buffer) > 0) console.log('more');
 */
export function InetIsConnected(handle: number): boolean {
  try {
    const opened = openHandle(handle);
    const { socket } = opened;
    if (opened.isListener) return false;
    if (socket.readableBytes > 0 || hasBufferedPlaintext(opened)) return true;
    return socket.status === SocketStatus.Open && !(socket.peerFinished && !opened.isDatagram);
  } catch (error) {
    return failed(error, false);
  }
}

/**
 * What a handle is doing. Every thread may ask.
 * @returns one of INET_STATUS_*; INET_ERROR: HANDLE_INVALID (0x80042736), NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketTools HTTP GetStatus.
 *
 * @example
 * if (InetGetStatus(socket) === INET_STATUS_READ) InetCancel(socket);
 */
export function InetGetStatus(handle: number): number {
  try {
    return anyHandle(handle).status;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * The address and port of the other side.
 * @param address is filled
 * @returns the port, 1 … 65535; INET_ERROR: HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 7 names it; its signature is not published. There the port is an output too.
 *
 * @example
 * const address = new INTERNET_ADDRESS();
 * const port = InetGetPeerAddress(socket, address);
 * console.log(`${address} port ${port}`);
 */
export function InetGetPeerAddress(handle: number, address: INTERNET_ADDRESS): number {
  try {
    const { socket } = openHandle(handle);
    fill(address, socket.remoteAddress);
    return socket.remotePort;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * The own address and port of a connection.
 * @param address is filled
 * @returns the port, 1 … 65535; INET_ERROR: HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 7 names it; its signature is not published.
 *
 * @example
 * const address = new INTERNET_ADDRESS();
 * const port = InetGetLocalAddress(socket, address);
 * console.log(`from ${address} port ${port}`);
 */
export function InetGetLocalAddress(handle: number, address: INTERNET_ADDRESS): number {
  try {
    const { socket } = openHandle(handle);
    fill(address, socket.localAddress);
    return socket.localPort;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

function fill(into: INTERNET_ADDRESS, address: IpAddress | null): void {
  if (address === null) {
    throw new NetError('NOT_CONNECTED', { phase: Phase.Transfer, detail: 'the handle has no address yet' });
  }
  into.set(address);
}
