import type { EventEmitter } from 'node:events';
import type { SharedSocket } from '../engine/shared-socket.ts';
import { Command, SocketStatus, SocketWord } from '../engine/socket-block.ts';
import { errorCodeOf, NetError, Phase } from '../stack/errors.ts';
import { addressText } from '../stack/resolver/host-name.ts';
import type { Ring } from '../stack/ring.ts';
import { DatagramHeader, peekDatagram, recordBytes, shiftDatagram } from '../stack/udp/datagram-ring.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { cancelled, onAbort } from './abort.ts';
import { noteOpen } from './open-sockets.ts';
import { Takers } from './takers.ts';

/** Sends and settings that wait for room, with what settles them. */
interface Pending {
  /** @returns false when there is no room */
  readonly push: (ring: Ring) => boolean;
  /** Settings are settled when the stack has done them. */
  readonly isSetting: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * What flows through a UDP or raw socket: datagrams with backpressure both ways, settings in order with them, errors, the end. Of the events
 * of its socket it emits 'message', 'error' and 'close'.
 */
export class DatagramFlow<T extends { readonly data: Buffer }> {
  readonly #shared: SharedSocket;
  readonly #socket: EventEmitter;
  readonly #received: (data: Buffer, header: DatagramHeader) => T;
  readonly #header: DatagramHeader = new DatagramHeader();
  readonly #takers: Takers<T> = new Takers();
  readonly #pending: Pending[] = [];
  /** Settings on their way through the send ring, at most one. */
  #setting: Pending | null = null;
  #settingsDone = 0;
  #opening: { resolve: () => void; reject: (error: unknown) => void } | null = null;
  #closed = false;
  #holdsLoop = false;
  #stopListening: () => void = () => {};
  readonly #noteClosed: () => void;

  /** @param received makes a datagram; the header is the next one's afterwards */
  constructor(
    shared: SharedSocket,
    socket: EventEmitter,
    received: (data: Buffer, header: DatagramHeader) => T,
  ) {
    this.#shared = shared;
    this.#socket = socket;
    this.#received = received;
    socket.on('newListener', (event) => {
      if (event === 'message') process.nextTick(() => this.#receive());
    });
    this.#noteClosed = noteOpen(shared.client, () => this.close());
    this.ref();
    shared.watch(() => this.#onEvents());
  }

  /** Waits until the socket is open. @param signal closes it, now or later. @throws NetError why it could not be, CANCELLED */
  open(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#opening = { resolve, reject };
      if (signal !== undefined) {
        this.#stopListening = onAbort(signal, () => {
          const phase = this.#opening === null ? Phase.Transfer : Phase.Argument;
          this.#close(cancelled(signal, phase));
        });
      }
      this.#onEvents();
    });
  }

  /** @throws NetError NOT_CONNECTED after the end */
  requireOpen(): void {
    if (!this.#closed) return;
    throw new NetError('NOT_CONNECTED', { phase: Phase.Transfer, detail: 'the socket is closed' });
  }

  /** @param most bytes that a packet has room for. @throws NetError MESSAGE_TOO_LONG */
  requireRoomFor(lengthBytes: number, most: number, to: { address?: string; port?: number }): void {
    const capacity = this.#shared.sendRing?.capacityBytes ?? 0;
    if (lengthBytes <= most && recordBytes(lengthBytes) <= capacity) return;
    const detail = `at most ${most} bytes, got ${lengthBytes}`;
    throw new NetError('MESSAGE_TOO_LONG', { phase: Phase.Transfer, detail, ...to });
  }

  /** @param push writes a datagram; tried again until it returns true. @returns when it has */
  send(push: (ring: Ring) => boolean): Promise<void> {
    return this.#queue(push, false);
  }

  /** @param push as for {@link send}, of a setting. @returns when the stack has done it. @throws NetError why it could not */
  set(push: (ring: Ring) => boolean): Promise<void> {
    return this.#queue(push, true);
  }

  #queue(push: (ring: Ring) => boolean, isSetting: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ push, isSetting, resolve, reject });
      if (this.#pending.length === 1) this.#flush();
    });
  }

  #flush(): void {
    const ring = this.#shared.sendRing;
    let wrote = false;
    for (let next = this.#pending[0]; ring !== null && next !== undefined; next = this.#pending[0]) {
      // what comes behind a setting waits for it: it may end in an error
      if (this.#setting !== null || !next.push(ring)) break;
      this.#pending.shift();
      if (next.isSetting) this.#setting = next;
      else next.resolve();
      wrote = true;
    }
    if (wrote) this.#shared.client.command(this.#shared.block, Command.Sent);
  }

  #onEvents(): void {
    if (this.#closed) return;
    const { status, block } = this.#shared;
    if (status === SocketStatus.Closed) {
      const error = block.error ?? new NetError('ABORTED', { phase: Phase.Transfer });
      if (this.#opening !== null) this.#close(error);
      else this.#fail(error);
      return;
    }
    if (status !== SocketStatus.Open) return;
    this.#opening?.resolve();
    this.#opening = null;
    // what the stack reports of a datagram sent does not end the socket (RFC 1122 §4.1.3.3)
    const { error } = block;
    if (error !== null && this.#socket.listenerCount('error') > 0) {
      block.set(SocketWord.Error, 0);
      this.#socket.emit('error', error);
    }
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

  /** The error that nobody was told yet, once; null: there is none. */
  takeError(): NetError | null {
    if (this.#closed) return null;
    const { error } = this.#shared.block;
    if (error !== null) this.#shared.block.set(SocketWord.Error, 0);
    return error;
  }

  /** Hands out what has come to those who want it. */
  #receive(): void {
    const ring = this.#shared.recvRing;
    while (
      ring !== null &&
      !this.#closed &&
      (this.#takers.areWaiting || this.#socket.listenerCount('message') > 0) &&
      peekDatagram(ring, this.#header)
    ) {
      const datagram = this.#take(ring);
      if (this.#takers.give(datagram)) continue;
      const { data, ...from } = datagram;
      this.#socket.emit('message', data, from);
    }
  }

  #take(ring: Ring): T {
    const header = this.#header;
    const data = Buffer.allocUnsafe(header.lengthBytes);
    ring.copyOut(header.position, data, 0, header.lengthBytes);
    const datagram = this.#received(data, header);
    shiftDatagram(ring, header);
    return datagram;
  }

  /** The sender of a datagram, with its zone. */
  senderOf({ family, w0, w1, w2, w3, zone }: DatagramHeader): string {
    const sender = new IpAddress(family === 6 ? 6 : 4, w0, w1, w2, w3, zone);
    return addressText(sender, this.#shared.client.arena);
  }

  /** Where a datagram went; a link-local address is on the link that its sender is on. */
  destinationOf({ family, local0, local1, local2, local3, zone }: DatagramHeader): string {
    const local = new IpAddress(family === 6 ? 6 : 4, local0, local1, local2, local3);
    return addressText(local.isLinkLocal ? local.inZone(zone) : local, this.#shared.client.arena);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return this.#takers.next(() => this.#receive());
  }

  /** Leaving the loop closes the socket. */
  iterate(): AsyncIterableIterator<T, undefined> {
    return this.#takers.iterate(
      () => this.#receive(),
      () => this.close(),
    );
  }

  close(): void {
    this.#close(new NetError('ABORTED', { phase: Phase.Transfer, detail: 'the socket was closed' }));
  }

  /** The stack has ended the socket: those who wait for a datagram are told, or else the listeners to 'error'. */
  #fail(error: NetError): void {
    const isTold = this.#takers.areWaiting;
    this.#takers.end(error);
    this.#close(error);
    if (!isTold || this.#socket.listenerCount('error') > 0) this.#socket.emit('error', error);
  }

  /** @param reason for those who wait to send */
  #close(reason: NetError): void {
    if (this.#closed) return;
    this.unref();
    this.#closed = true;
    this.#stopListening();
    this.#noteClosed();
    this.#shared.release();
    this.#opening?.reject(reason);
    this.#opening = null;
    this.#takers.end();
    this.#setting?.reject(reason);
    for (const pending of this.#pending.splice(0)) pending.reject(reason);
    process.nextTick(() => this.#socket.emit('close'));
  }

  ref(): void {
    if (this.#holdsLoop || this.#closed) return;
    this.#holdsLoop = true;
    this.#shared.client.ref();
  }

  unref(): void {
    if (!this.#holdsLoop) return;
    this.#holdsLoop = false;
    this.#shared.client.unref();
  }
}
