import { EventEmitter } from 'node:events';
import type { EngineClient } from '../engine/client.ts';
import { SharedSocket } from '../engine/shared-socket.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { pushDatagramTo } from '../stack/udp/datagram-ring.ts';
import { IP_MAX_PACKET_BYTES } from '../stack/wire/ipv4.ts';
import { throwIfCancelled } from './abort.ts';
import { DatagramFlow } from './datagram-flow.ts';
import { checkAddress } from './options.ts';

export interface RawSocketOptions {
  /** IP protocol number, 0 … 255: 89 for OSPF, 253 and 254 for experiments (RFC 3692). */
  readonly protocol: number;
  /** An own address. Default: all of both families. */
  readonly host?: string | undefined;
  /**
   * false: payloads, and the stack makes the IP headers. true: whole packets in both directions; of an IPv4 header sent the total length and the
   * checksum are filled in, and the source when it is 0.0.0.0. Default false.
   */
  readonly wholePackets?: boolean | undefined;
  /** Allows broadcast addresses as destinations. Default false. */
  readonly broadcast?: boolean | undefined;
  /** Hop limit, 1 … 255. Default 64, and 1 for multicast. */
  readonly ttl?: number | undefined;
  /** Closes the socket. */
  readonly signal?: AbortSignal | undefined;
}

/** A packet with its sender. */
export interface RawPacket {
  /** The payload, or with `wholePackets` the packet from its IP header on. */
  readonly data: Buffer;
  readonly address: string;
}

export interface RawSocketEvents {
  message: [data: Buffer, from: { address: string }];
  close: [];
  error: [error: Error];
  newListener: [event: string | symbol, listener: (...args: unknown[]) => void];
}

/**
 * A socket for packets of one IP protocol: it gets a copy of each that is addressed to the stack, also of those that the stack takes itself. They
 * are taken by 'message' listeners, `for await` or {@link receive}, and wait in the receive buffer until then; what does not fit is dropped and
 * counted.
 */
export class RawSocket extends EventEmitter<RawSocketEvents> implements AsyncDisposable {
  readonly #shared: SharedSocket;
  readonly #flow: DatagramFlow<RawPacket>;

  private constructor(shared: SharedSocket) {
    super();
    this.#shared = shared;
    this.#flow = new DatagramFlow<RawPacket>(shared, this, (data, header) => {
      return { data, address: this.#flow.senderOf(header) };
    });
  }

  /** @throws NetError ARGUMENT_INVALID, ADDRESS_NOT_AVAILABLE, NO_BUFFERS, CANCELLED, ENGINE_STOPPED */
  static async open(client: EngineClient, options: RawSocketOptions): Promise<RawSocket> {
    const { protocol, ttl = 0, wholePackets, broadcast, signal } = options;
    throwIfCancelled(signal);
    checkByte('protocol', protocol, 0);
    if (options.ttl !== undefined) checkByte('ttl', ttl, 1);
    const local = checkAddress(client, 'host', options.host);
    const socket = new RawSocket(
      SharedSocket.raw(client, local, protocol, wholePackets === true, broadcast === true, ttl),
    );
    await socket.#flow.open(signal);
    return socket;
  }

  /**
   * Hands a packet to the stack; waits while the send buffer is full. What cannot be sent after that is dropped and counted.
   * @param address an IP literal; with `wholePackets` it may be left out, as it is that of the header
   * @throws NetError MESSAGE_TOO_LONG, ARGUMENT_INVALID, NOT_CONNECTED after the end
   */
  async send(data: Uint8Array | string, address?: string): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    const to = checkAddress(this.#shared.client, 'address', address);
    this.#flow.requireOpen();
    this.#flow.requireRoomFor(bytes.length, IP_MAX_PACKET_BYTES, {});
    await this.#flow.send((ring) => pushDatagramTo(ring, to, 0, bytes, 0, bytes.length));
  }

  /** The next packet; undefined when the socket was closed. */
  async receive(): Promise<RawPacket | undefined> {
    return (await this.#flow.next()).value;
  }

  /** Why the last packet could not be sent, once, unless 'error' has told; null: all could. */
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

  /** The packets as they come; ends when the socket is closed. Leaving the loop closes the socket. */
  [Symbol.asyncIterator](): AsyncIterableIterator<RawPacket, undefined> {
    return this.#flow.iterate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

function checkByte(name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least && value <= 255) return;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `${name} is ${least} … 255, got ${value}`,
  });
}
