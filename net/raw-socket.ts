import type { EngineClient } from '../engine/client.ts';
import { SharedSocket } from '../engine/shared-socket.ts';
import { Command, SocketStatus, SocketWord } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { Ring } from '../stack/ring.ts';
import {
  DatagramHeader,
  peekDatagram,
  pushDatagramTo,
  recordBytes,
  shiftDatagram,
} from '../stack/udp/datagram-ring.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { IP_MAX_PACKET_BYTES } from '../stack/wire/ipv4.ts';
import { cancelled, onAbort, throwIfCancelled } from './abort.ts';
import { noteOpen } from './open-sockets.ts';
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

interface PendingSend {
  readonly bytes: Uint8Array;
  readonly to: IpAddress | null;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A socket for packets of one IP protocol: it gets a copy of each that is addressed to the stack, also of those that the stack takes itself. They
 * are taken by `for await` or {@link receive}, and wait in the receive buffer until then; what does not fit is dropped and counted.
 */
export class RawSocket implements AsyncDisposable {
  readonly #shared: SharedSocket;
  readonly #header: DatagramHeader = new DatagramHeader();
  readonly #waiting: ((result: IteratorResult<RawPacket, undefined>) => void)[] = [];
  readonly #sends: PendingSend[] = [];
  #opening: { resolve: () => void; reject: (error: unknown) => void } | null = null;
  #closed = false;
  #stopListening: () => void = () => {};
  readonly #noteClosed: () => void;

  private constructor(shared: SharedSocket) {
    this.#shared = shared;
    this.#noteClosed = noteOpen(shared.client, () => this.close());
    shared.client.ref();
    shared.watch(() => this.#onEvents());
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
    await new Promise<void>((resolve, reject) => {
      socket.#opening = { resolve, reject };
      if (signal !== undefined)
        socket.#stopListening = onAbort(signal, () => socket.#close(cancelled(signal, Phase.Transfer)));
      socket.#onEvents();
    });
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
    if (this.#closed)
      throw new NetError('NOT_CONNECTED', { phase: Phase.Transfer, detail: 'the socket is closed' });
    const capacity = this.#shared.sendRing?.capacityBytes ?? 0;
    if (bytes.length > IP_MAX_PACKET_BYTES || recordBytes(bytes.length) > capacity) {
      throw new NetError('MESSAGE_TOO_LONG', {
        phase: Phase.Transfer,
        detail: `at most ${IP_MAX_PACKET_BYTES} bytes, got ${bytes.length}`,
      });
    }
    await new Promise<void>((resolve, reject) => {
      this.#sends.push({ bytes, to, resolve, reject });
      if (this.#sends.length === 1) this.#flush();
    });
  }

  /** The next packet; undefined when the socket was closed. */
  async receive(): Promise<RawPacket | undefined> {
    return (await this.#next()).value;
  }

  /** Why the last packet could not be sent, once; null: all could. */
  takeError(): NetError | null {
    const { error } = this.#shared.block;
    if (error !== null && !this.#closed) this.#shared.block.set(SocketWord.Error, 0);
    return error;
  }

  /** Ends the socket and its iterations. May be called twice. */
  close(): void {
    this.#close(new NetError('ABORTED', { phase: Phase.Transfer, detail: 'the socket was closed' }));
  }

  /** The packets as they come; ends when the socket is closed. Leaving the loop closes the socket. */
  [Symbol.asyncIterator](): AsyncIterableIterator<RawPacket, undefined> {
    return {
      next: () => this.#next(),
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

  #next(): Promise<IteratorResult<RawPacket, undefined>> {
    return new Promise((resolve) => {
      if (this.#closed) {
        resolve({ value: undefined, done: true });
        return;
      }
      this.#waiting.push(resolve);
      this.#receive();
    });
  }

  #onEvents(): void {
    if (this.#closed) return;
    const { status, block } = this.#shared;
    if (status === SocketStatus.Closed) {
      this.#close(block.error ?? new NetError('ABORTED', { phase: Phase.Transfer }));
      return;
    }
    if (status !== SocketStatus.Open) return;
    this.#opening?.resolve();
    this.#opening = null;
    this.#flush();
    this.#receive();
  }

  #receive(): void {
    const ring = this.#shared.recvRing;
    while (ring !== null && this.#waiting.length > 0 && peekDatagram(ring, this.#header))
      this.#waiting.shift()!({ value: this.#take(ring), done: false });
  }

  #take(ring: Ring): RawPacket {
    const header = this.#header;
    const data = Buffer.allocUnsafe(header.lengthBytes);
    ring.copyOut(header.position, data, 0, header.lengthBytes);
    const family = header.family === 6 ? 6 : 4;
    const from = new IpAddress(family, header.w0, header.w1, header.w2, header.w3);
    shiftDatagram(ring, header);
    return { data, address: from.toString() };
  }

  #flush(): void {
    const ring = this.#shared.sendRing;
    let wrote = false;
    for (let next = this.#sends[0]; ring !== null && next !== undefined; next = this.#sends[0]) {
      if (!pushDatagramTo(ring, next.to, 0, next.bytes, 0, next.bytes.length)) break;
      this.#sends.shift();
      next.resolve();
      wrote = true;
    }
    if (wrote) this.#shared.client.command(this.#shared.block, Command.Sent);
  }

  #close(error: NetError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopListening();
    this.#noteClosed();
    this.#shared.release();
    this.#shared.client.unref();
    this.#opening?.reject(error);
    this.#opening = null;
    for (const waiting of this.#waiting.splice(0)) waiting({ value: undefined, done: true });
    for (const send of this.#sends.splice(0)) send.reject(error);
  }
}

function checkByte(name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least && value <= 255) return;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `${name} is ${least} … 255, got ${value}`,
  });
}
