import { EventEmitter } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { EngineClient } from '../engine/client.ts';
import { SharedSocket } from '../engine/shared-socket.ts';
import { Command, SocketStatus, SocketWord } from '../engine/socket-block.ts';
import { errorCodeOf, NetError, Phase } from '../stack/errors.ts';
import type { Ring } from '../stack/ring.ts';
import {
  DatagramHeader,
  peekDatagram,
  pushDatagramTo,
  recordBytes,
  shiftDatagram,
} from '../stack/udp/datagram-ring.ts';
import { pushSetting, UdpSetting } from '../stack/udp/setting-record.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { UDP_MAX_PAYLOAD_V4_BYTES, UDP_MAX_PAYLOAD_V6_BYTES } from '../stack/wire/udp.ts';
import { cancelled, onAbort, throwIfCancelled } from './abort.ts';
import { noteOpen } from './open-sockets.ts';
import { checkAddress, checkPort } from './options.ts';

export interface UdpOptions {
  /** 0: an ephemeral one. Default 0. */
  readonly port?: number | undefined;
  /** An own address. Default: all of both families. */
  readonly host?: string | undefined;
  /** Allows broadcast addresses as destinations. Default false. */
  readonly broadcast?: boolean | undefined;
  /** Other sockets may have the same address and port, if they allow it too; each gets what is for its groups. Default false. */
  readonly reuseAddr?: boolean | undefined;
  /** Closes the socket. */
  readonly signal?: AbortSignal | undefined;
}

/** A datagram with its sender, and where it went. */
export interface Datagram {
  readonly data: Buffer;
  readonly address: string;
  readonly port: number;
  /** What it was sent to: an address of this stack, a group's, or one for broadcasts (RFC 1122 §4.1.3.5). */
  readonly localAddress: string;
}

export interface UdpEvents {
  message: [data: Buffer, from: { address: string; port: number; localAddress: string }];
  close: [];
  error: [error: Error];
  newListener: [event: string | symbol, listener: (...args: unknown[]) => void];
}

/** Sends and settings that wait for room, with what settles them. */
interface PendingSend {
  /** @returns false when there is no room */
  readonly push: (ring: Ring) => boolean;
  /** Settings are settled when the stack has done them. */
  readonly isSetting: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A UDP socket. Datagrams are taken by 'message' listeners or by `for await`; while there is neither, they wait in the socket's
 * receive buffer, and the stack drops what does not fit.
 */
export class UdpSocket extends EventEmitter<UdpEvents> implements AsyncDisposable {
  readonly #shared: SharedSocket;
  readonly #header: DatagramHeader = new DatagramHeader();
  readonly #waiting: ((result: IteratorResult<Datagram, undefined>) => void)[] = [];
  readonly #sends: PendingSend[] = [];
  /** Settings on their way through the send ring, at most one. */
  #setting: PendingSend | null = null;
  #settingsDone = 0;
  #opening: { resolve: () => void; reject: (error: unknown) => void } | null = null;
  #closed = false;
  #holdsLoop = false;
  #stopListening: () => void = () => {};
  readonly #noteClosed: () => void;

  private constructor(shared: SharedSocket) {
    super();
    this.#shared = shared;
    this.on('newListener', (event) => {
      if (event === 'message') process.nextTick(() => this.#receive());
    });
    this.#noteClosed = noteOpen(shared.client, () => this.close());
    this.ref();
    shared.watch(() => this.#onEvents());
  }

  /** @throws NetError ADDRESS_IN_USE, ADDRESS_NOT_AVAILABLE, PORT_INVALID, ARGUMENT_INVALID, CANCELLED, ENGINE_STOPPED */
  static async open(client: EngineClient, options: UdpOptions = {}): Promise<UdpSocket> {
    const { signal } = options;
    throwIfCancelled(signal);
    const port = checkPort(options.port ?? 0, 0);
    const local = checkAddress(client, 'host', options.host);
    const socket = new UdpSocket(
      SharedSocket.udp(client, local, port, options.broadcast === true, options.reuseAddr === true),
    );
    await new Promise<void>((resolve, reject) => {
      socket.#opening = { resolve, reject };
      if (signal !== undefined) {
        socket.#stopListening = onAbort(signal, () => {
          reject(cancelled(signal, Phase.Argument));
          socket.#close(cancelled(signal, Phase.Transfer));
        });
      }
      socket.#onEvents();
    });
    return socket;
  }

  #onEvents(): void {
    if (this.#closed) return;
    const { status, block } = this.#shared;
    if (status === SocketStatus.Closed) {
      const error = block.error ?? new NetError('ABORTED', { phase: Phase.Transfer });
      const opening = this.#opening;
      this.#opening = null;
      this.#close(error);
      if (opening !== null) opening.reject(error);
      else this.emit('error', error);
      return;
    }
    if (status !== SocketStatus.Open) return;
    this.#opening?.resolve();
    this.#opening = null;
    this.#takeError();
    this.#takeSetting();
    this.#flush();
    this.#receive();
  }

  #takeSetting(): void {
    const word = this.#shared.block.get(SocketWord.UdpSettings);
    const setting = this.#setting;
    if (setting === null || word >>> 16 === this.#settingsDone) return;
    this.#settingsDone = word >>> 16;
    this.#setting = null;
    const number = word & 0xffff;
    if (number === 0) setting.resolve();
    else setting.reject(new NetError(errorCodeOf(number), { phase: Phase.Argument }));
  }

  /** What the stack reports of a datagram sent does not end the socket (RFC 1122 §4.1.3.3). */
  #takeError(): void {
    const { error } = this.#shared.block;
    if (error === null) return;
    this.#shared.block.set(SocketWord.Error, 0);
    if (this.listenerCount('error') > 0) this.emit('error', error);
  }

  #receive(): void {
    const ring = this.#shared.recvRing;
    while (
      ring !== null &&
      !this.#closed &&
      (this.#waiting.length > 0 || this.listenerCount('message') > 0) &&
      peekDatagram(ring, this.#header)
    ) {
      const datagram = this.#take(ring);
      const waiting = this.#waiting.shift();
      if (waiting !== undefined) waiting({ value: datagram, done: false });
      else {
        const { data, ...from } = datagram;
        this.emit('message', data, from);
      }
    }
  }

  #take(ring: Ring): Datagram {
    const header = this.#header;
    const data = Buffer.allocUnsafe(header.lengthBytes);
    ring.copyOut(header.position, data, 0, header.lengthBytes);
    const family = header.family === 6 ? 6 : 4;
    const from = new IpAddress(family, header.w0, header.w1, header.w2, header.w3);
    const local = new IpAddress(family, header.local0, header.local1, header.local2, header.local3);
    const { port } = header;
    shiftDatagram(ring, header);
    return { data, address: from.toString(), port, localAddress: local.toString() };
  }

  /**
   * Hands a datagram to the stack; waits while the send buffer is full.
   * @param address an IP literal
   * @throws NetError MESSAGE_TOO_LONG, ARGUMENT_INVALID, PORT_INVALID, NOT_CONNECTED after the end
   */
  async send(data: Uint8Array | string, port: number, address: string): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    const to = checkAddress(this.#shared.client, 'address', address) as IpAddress;
    checkPort(port, 1);
    if (this.#closed)
      throw new NetError('NOT_CONNECTED', { phase: Phase.Transfer, detail: 'the socket is closed' });
    const most = to.family === 4 ? UDP_MAX_PAYLOAD_V4_BYTES : UDP_MAX_PAYLOAD_V6_BYTES;
    const capacity = this.#shared.sendRing?.capacityBytes ?? 0;
    if (bytes.length > most || recordBytes(bytes.length) > capacity) {
      throw new NetError('MESSAGE_TOO_LONG', {
        phase: Phase.Transfer,
        detail: `at most ${most} bytes, got ${bytes.length}`,
        address,
        port,
      });
    }
    await this.#queue(false, (ring) => pushDatagramTo(ring, to, port, bytes, 0, bytes.length));
  }

  /**
   * Joins a multicast group. @param multicastInterface an own address on the interface to join on; default: where routes say
   * @throws NetError ARGUMENT_INVALID, ADDRESS_IN_USE (joined already), ADDRESS_NOT_AVAILABLE, NETWORK_UNREACHABLE, NO_BUFFERS,
   *   NOT_CONNECTED after the end
   */
  addMembership(multicastAddress: string, multicastInterface?: string): Promise<void> {
    return this.#member(UdpSetting.Join, multicastAddress, multicastInterface, undefined);
  }

  /** Leaves a group. @throws NetError ADDRESS_NOT_AVAILABLE when it was not joined, and what {@link addMembership} throws */
  dropMembership(multicastAddress: string, multicastInterface?: string): Promise<void> {
    return this.#member(UdpSetting.Leave, multicastAddress, multicastInterface, undefined);
  }

  /** Joins a group for datagrams of one source; more sources by more calls. @throws NetError as {@link addMembership} */
  addSourceSpecificMembership(source: string, group: string, multicastInterface?: string): Promise<void> {
    return this.#member(UdpSetting.Join, group, multicastInterface, source);
  }

  /** @throws NetError as {@link dropMembership} */
  dropSourceSpecificMembership(source: string, group: string, multicastInterface?: string): Promise<void> {
    return this.#member(UdpSetting.Leave, group, multicastInterface, source);
  }

  /** How many routers datagrams to groups pass, less one: 0 … 255; 0: they stay in this stack. Default 1. */
  async setMulticastTTL(ttl: number): Promise<void> {
    await this.#set(UdpSetting.MulticastTtl, inRange('ttl', ttl, 0), []);
  }

  /** Whether members in this stack get datagrams sent to their groups. Default true. */
  setMulticastLoopback(flag: boolean): Promise<void> {
    return this.#set(UdpSetting.MulticastLoop, flag ? 1 : 0, []);
  }

  /** The interface that datagrams to groups leave by. @param multicastInterface one of its own addresses */
  async setMulticastInterface(multicastInterface: string): Promise<void> {
    const address = checkAddress(this.#shared.client, 'multicastInterface', multicastInterface);
    await this.#set(UdpSetting.MulticastInterface, 0, [address]);
  }

  /** Hop limit of other datagrams, 1 … 255. Default 64. */
  async setTTL(ttl: number): Promise<void> {
    await this.#set(UdpSetting.Ttl, inRange('ttl', ttl, 1), []);
  }

  /** Allows broadcast addresses as destinations, or not. */
  setBroadcast(flag: boolean): Promise<void> {
    return this.#set(UdpSetting.Broadcast, flag ? 1 : 0, []);
  }

  async #member(
    setting: UdpSetting,
    group: string,
    by: string | undefined,
    source: string | undefined,
  ): Promise<void> {
    const addresses = [
      checkAddress(this.#shared.client, 'group', group),
      checkAddress(this.#shared.client, 'multicastInterface', by),
      checkAddress(this.#shared.client, 'source', source),
    ];
    await this.#set(setting, 0, addresses);
  }

  async #set(setting: UdpSetting, value: number, addresses: readonly (IpAddress | null)[]): Promise<void> {
    if (this.#closed)
      throw new NetError('NOT_CONNECTED', { phase: Phase.Transfer, detail: 'the socket is closed' });
    await this.#queue(true, (ring) => pushSetting(ring, setting, value, addresses));
  }

  #queue(isSetting: boolean, push: (ring: Ring) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#sends.push({ push, isSetting, resolve, reject });
      if (this.#sends.length === 1) this.#flush();
    });
  }

  #flush(): void {
    const ring = this.#shared.sendRing;
    let wrote = false;
    for (let next = this.#sends[0]; ring !== null && next !== undefined; next = this.#sends[0]) {
      // what comes behind a setting waits for it: it may end in an error
      if (this.#setting !== null || !next.push(ring)) break;
      this.#sends.shift();
      if (next.isSetting) this.#setting = next;
      else next.resolve();
      wrote = true;
    }
    if (wrote) this.#shared.client.command(this.#shared.block, Command.Sent);
  }

  /** The own address and port. The address is '::' when the socket is bound to all. */
  address(): AddressInfo {
    const local = this.#shared.localAddress;
    return {
      address: local === null ? '::' : local.toString(),
      family: local?.family === 4 ? 'IPv4' : 'IPv6',
      port: this.#shared.localPort,
    };
  }

  /** Ends the socket and its iterations. May be called twice. */
  close(): this {
    this.#close(new NetError('ABORTED', { phase: Phase.Transfer, detail: 'the socket was closed' }));
    return this;
  }

  #close(error: NetError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopListening();
    this.#noteClosed();
    this.#shared.release();
    this.unref();
    this.#opening?.reject(error);
    this.#opening = null;
    for (const waiting of this.#waiting.splice(0)) waiting({ value: undefined, done: true });
    this.#setting?.reject(error);
    for (const send of this.#sends.splice(0)) send.reject(error);
    process.nextTick(() => this.emit('close'));
  }

  /** The open socket keeps the process alive (the default). */
  ref(): this {
    if (this.#holdsLoop || this.#closed) return this;
    this.#holdsLoop = true;
    this.#shared.client.ref();
    return this;
  }

  unref(): this {
    if (!this.#holdsLoop) return this;
    this.#holdsLoop = false;
    this.#shared.client.unref();
    return this;
  }

  /** The datagrams as they come; ends when the socket is closed. Leaving the loop closes the socket. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Datagram, undefined> {
    return {
      next: () =>
        new Promise((resolve) => {
          if (this.#closed) {
            resolve({ value: undefined, done: true });
            return;
          }
          this.#waiting.push(resolve);
          this.#receive();
        }),
      return: async () => {
        this.close();
        return { value: undefined, done: true };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

function inRange(name: string, value: number, least: number): number {
  if (Number.isInteger(value) && value >= least && value <= 255) return value;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `${name} is ${least} … 255, got ${value}`,
  });
}
