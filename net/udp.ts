import { EventEmitter } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { EngineClient } from '../engine/client.ts';
import { SharedSocket } from '../engine/shared-socket.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { addressText } from '../stack/resolver/host-name.ts';
import { pushDatagramTo } from '../stack/udp/datagram-ring.ts';
import { pushSetting, UdpSetting } from '../stack/udp/setting-record.ts';
import type { IpAddress } from '../stack/wire/ip-address.ts';
import { UDP_MAX_PAYLOAD_V4_BYTES, UDP_MAX_PAYLOAD_V6_BYTES } from '../stack/wire/udp.ts';
import { throwIfCancelled } from './abort.ts';
import { DatagramFlow } from './datagram-flow.ts';
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
  /** The octet of its IP packet: code point (RFC 2474) and the two bits of ECN (RFC 3168). */
  readonly typeOfService: number;
}

export interface UdpEvents {
  message: [data: Buffer, from: Omit<Datagram, 'data'>];
  close: [];
  error: [error: Error];
  newListener: [event: string | symbol, listener: (...args: unknown[]) => void];
}

/**
 * A UDP socket. Datagrams are taken by 'message' listeners or by `for await`; while there is neither, they wait in the socket's
 * receive buffer, and the stack drops what does not fit.
 */
export class UdpSocket extends EventEmitter<UdpEvents> implements AsyncDisposable {
  readonly #shared: SharedSocket;
  readonly #flow: DatagramFlow<Datagram>;

  private constructor(shared: SharedSocket) {
    super();
    this.#shared = shared;
    this.#flow = new DatagramFlow<Datagram>(shared, this, (data, header) => {
      const { port } = header;
      return {
        data,
        address: this.#flow.senderOf(header),
        port,
        localAddress: this.#flow.destinationOf(header),
        typeOfService: header.trafficClass,
      };
    });
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
    await socket.#flow.open(signal);
    return socket;
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
    this.#flow.requireOpen();
    const most = to.family === 4 ? UDP_MAX_PAYLOAD_V4_BYTES : UDP_MAX_PAYLOAD_V6_BYTES;
    this.#flow.requireRoomFor(bytes.length, most, { address, port });
    await this.#flow.send((ring) => pushDatagramTo(ring, to, port, bytes, 0, bytes.length));
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

  /** The octet of IP packets: code point and the two bits of ECN, which are the application's (RFC 8085 §3.1.7). 0 … 255. Default 0. */
  async setTypeOfService(typeOfService: number): Promise<void> {
    await this.#set(UdpSetting.TypeOfService, inRange('typeOfService', typeOfService, 0), []);
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
    this.#flow.requireOpen();
    await this.#flow.set((ring) => pushSetting(ring, setting, value, addresses));
  }

  /** The own address and port. The address is '::' when the socket is bound to all. */
  address(): AddressInfo {
    const local = this.#shared.localAddress;
    return {
      address: local === null ? '::' : addressText(local, this.#shared.client.arena),
      family: local?.family === 4 ? 'IPv4' : 'IPv6',
      port: this.#shared.localPort,
    };
  }

  /** What the stack has reported of a datagram sent while nobody listened to 'error', the last of it, once; null: nothing. */
  takeError(): NetError | null {
    return this.#flow.takeError();
  }

  /** Ends the socket and its iterations. May be called twice. */
  close(): this {
    this.#flow.close();
    return this;
  }

  /** The open socket keeps the process alive (the default). */
  ref(): this {
    this.#flow.ref();
    return this;
  }

  unref(): this {
    this.#flow.unref();
    return this;
  }

  /** The datagrams as they come; ends when the socket is closed. Leaving the loop closes the socket. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Datagram, undefined> {
    return this.#flow.iterate();
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
