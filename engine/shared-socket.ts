import { NetError, Phase } from '../stack/errors.ts';
import type { Ring } from '../stack/ring.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { type Channel, WOULD_BLOCK } from './channel.ts';
import type { EngineClient } from './client.ts';
import {
  ADDRESS_RECORD_BYTES,
  Command,
  OpenOption,
  Operation,
  SocketBlock,
  SocketStatus,
  SocketWord,
  StreamFlag,
  TEXT_OFF,
} from './socket-block.ts';

export interface KeepAlive {
  /** Quiet time before the first probe, in milliseconds. */
  readonly idleMs: number;
  readonly intervalMs: number;
  /** Unanswered probes until the connection is given up. */
  readonly count: number;
}

export interface ConnectRequest {
  /** A name or an IP literal. */
  readonly host: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  /** For resolving and connecting together, in milliseconds; 0: no limit. */
  readonly timeoutMs: number;
  readonly localAddress?: IpAddress | null;
  /** 0: an ephemeral one. */
  readonly localPort?: number;
  readonly noDelay?: boolean;
  readonly keepAlive?: KeepAlive | null;
  readonly preferIpv6?: boolean;
  /** Addresses are tried beside each other, IPv6 first (RFC 8305). */
  readonly racing?: boolean;
  /** 0: both. Default 0. */
  readonly family?: 0 | 4 | 6;
  readonly broadcast?: boolean;
  readonly dontRoute?: boolean;
  /** A local port below 1024. */
  readonly reservedPort?: boolean;
}

/** A thread's hold on one socket of an engine: everything that needs no protocol of its own. */
export class SharedSocket implements Channel {
  readonly socket: SharedSocket = this;
  readonly client: EngineClient;
  readonly block: SocketBlock;
  readonly #generation: number;
  #recvRing: Ring | null = null;
  #sendRing: Ring | null = null;

  private constructor(client: EngineClient, block: SocketBlock) {
    this.client = client;
    this.block = block;
    this.#generation = block.get(SocketWord.Generation);
  }

  /** Starts to connect: resolves the name, then tries its addresses. Opened or Closed follows. */
  static connect(client: EngineClient, request: ConnectRequest): SharedSocket {
    const block = client.take();
    block.text = request.host;
    block.setAddress(SocketWord.LocalFamily, request.localAddress ?? null, request.localPort ?? 0);
    block.set(SocketWord.RemoteFamily, request.family ?? 0);
    block.set(SocketWord.RemotePort, request.port);
    block.set(SocketWord.Protocol, request.protocol === 'udp' ? 17 : 6);
    block.set(SocketWord.TimeoutMs, clampMs(request.timeoutMs));
    const socket = new SharedSocket(client, block);
    socket.#storeKeepAlive(request.keepAlive ?? null);
    socket.#storeOption(OpenOption.NoDelay, request.noDelay === true);
    socket.#storeOption(OpenOption.PreferIpv6, request.preferIpv6 === true);
    socket.#storeOption(OpenOption.Racing, request.racing === true);
    socket.#storeOption(OpenOption.Broadcast, request.broadcast === true);
    socket.#storeOption(OpenOption.DontRoute, request.dontRoute === true);
    socket.#storeOption(OpenOption.ReservedPort, request.reservedPort === true);
    socket.#open(Operation.Connect);
    return socket;
  }

  /** Starts to listen. @param port 0: an ephemeral one */
  static listen(client: EngineClient, local: IpAddress | null, port: number, backlog: number): SharedSocket {
    const block = client.take();
    block.setAddress(SocketWord.LocalFamily, local, port);
    block.set(SocketWord.Backlog, backlog);
    const socket = new SharedSocket(client, block);
    socket.#open(Operation.Listen);
    return socket;
  }

  /** Opens a UDP socket without a fixed peer. */
  static udp(client: EngineClient, local: IpAddress | null, port: number, broadcast: boolean): SharedSocket {
    const block = client.take();
    block.setAddress(SocketWord.LocalFamily, local, port);
    block.set(SocketWord.Protocol, 17);
    const socket = new SharedSocket(client, block);
    socket.#storeOption(OpenOption.Broadcast, broadcast);
    socket.#open(Operation.Udp);
    return socket;
  }

  /** Looks a name up. @param family 0: both */
  static lookup(client: EngineClient, host: string, family: 0 | 4 | 6): SharedSocket {
    const block = client.take();
    block.text = host;
    block.set(SocketWord.RemoteFamily, family);
    const socket = new SharedSocket(client, block);
    socket.#open(Operation.Lookup);
    return socket;
  }

  /** Takes over a socket that exists: an accepted connection, or a handle from another thread. */
  static adopt(client: EngineClient, index: number): SharedSocket {
    return new SharedSocket(client, new SocketBlock(client.arena, index));
  }

  /** False once the block belongs to another socket, or to none. */
  get isCurrent(): boolean {
    return (
      this.block.get(SocketWord.Generation) === this.#generation &&
      this.block.get(SocketWord.Status) !== SocketStatus.Free
    );
  }

  get status(): number {
    return this.block.get(SocketWord.Status);
  }

  /** @throws NetError the failure that ended the socket */
  throwIfFailed(): void {
    const error = this.block.error;
    if (error !== null) throw error;
  }

  /** Bytes that can be read now. */
  get readableBytes(): number {
    return this.#recv()?.usedBytes ?? 0;
  }

  /** Bytes written that the peer has not acknowledged. */
  get unsentBytes(): number {
    return this.#send()?.usedBytes ?? 0;
  }

  get peerFinished(): boolean {
    return (this.block.get(SocketWord.Flags) & StreamFlag.PeerFinished) !== 0;
  }

  read(into: Uint8Array, off: number, len: number): number {
    const taken = this.peek(into, off, len);
    if (taken > 0) this.consume(taken);
    return taken;
  }

  /** {@link read} without taking anything away. */
  peek(into: Uint8Array, off: number, len: number): number {
    // the flags before the ring: what arrived before them is in the ring then
    const finished = this.peerFinished;
    const status = this.status;
    const ring = this.#recv();
    const used = ring === null ? 0 : ring.usedBytes;
    if (ring !== null && used > 0) {
      const given = Math.min(used, len);
      ring.copyOut(ring.tail, into, off, given);
      return given;
    }
    if (finished) return 0;
    if (status === SocketStatus.Closed) {
      this.throwIfFailed();
      return 0;
    }
    return WOULD_BLOCK;
  }

  /** Takes bytes away that were peeked at, and tells the engine when the window can open again. */
  consume(lengthBytes: number): void {
    const ring = this.#recv();
    if (ring === null) return;
    ring.advanceTail(lengthBytes);
    const tail = ring.tail;
    const told = this.block.get(SocketWord.RecvTold);
    if (((tail - told) | 0) >= ring.capacityBytes >> 2) {
      this.block.set(SocketWord.RecvTold, tail);
      this.client.command(this.block, Command.Received);
    }
  }

  write(from: Uint8Array, off: number, len: number): number {
    const isShutDown = (this.block.get(SocketWord.Flags) & StreamFlag.ShutDown) !== 0;
    if (this.status === SocketStatus.Closed) {
      this.throwIfFailed();
      // the connection may have ended in order just because of the shutdown
      if (!isShutDown) {
        throw new NetError('NOT_CONNECTED', { phase: Phase.Transfer, detail: 'the connection has ended' });
      }
    }
    if (isShutDown) throw new NetError('SHUT_DOWN', { phase: Phase.Transfer });
    const ring = this.#send();
    const taken = ring === null ? 0 : ring.write(from, off, len);
    if (taken === 0) return WOULD_BLOCK;
    this.client.command(this.block, Command.Sent);
    return taken;
  }

  /** Room in the send ring. */
  get writableBytes(): number {
    return this.#send()?.freeBytes ?? 0;
  }

  shutdown(): boolean {
    if ((this.block.or(SocketWord.Flags, StreamFlag.ShutDown) & StreamFlag.ShutDown) === 0) {
      this.client.command(this.block, Command.Shutdown);
    }
    return true;
  }

  /** Resets the connection, or gives up connecting. The socket is Closed then; `release` is still to be called. */
  abort(): void {
    this.client.command(this.block, Command.Abort);
  }

  /**
   * Lets go of the socket: what was written is still delivered, then the connection closes (a reset when there is
   * unread data, RFC 9293 §3.6.1 SHLD-3). Nothing may be called after it.
   */
  release(): void {
    this.client.unwatch(this.block);
    this.client.command(this.block, Command.Release);
  }

  setNoDelay(noDelay: boolean): void {
    this.#storeOption(OpenOption.NoDelay, noDelay);
    this.client.command(this.block, Command.Options);
  }

  /** UDP: datagrams may go to broadcast addresses. */
  setBroadcast(broadcast: boolean): void {
    this.#storeOption(OpenOption.Broadcast, broadcast);
    this.client.command(this.block, Command.Options);
  }

  setKeepAlive(keepAlive: KeepAlive | null): void {
    this.#storeKeepAlive(keepAlive);
    this.client.command(this.block, Command.Options);
  }

  /** What readers sleep on; taken before the try to read. */
  get recvSequence(): number {
    return this.block.get(SocketWord.RecvSequence);
  }

  /** What writers and openers sleep on; taken before the try. */
  get sendSequence(): number {
    return this.block.get(SocketWord.SendSequence);
  }

  /** Sleeps until something has happened for readers since `sequence`. @returns false after the timeout */
  sleepRecv(sequence: number, timeoutMs: number): boolean {
    return this.#sleep(SocketWord.RecvSequence, SocketWord.RecvWaiting, sequence, timeoutMs);
  }

  /** Sleeps until something has happened for writers since `sequence`. @returns false after the timeout */
  sleepSend(sequence: number, timeoutMs: number): boolean {
    return this.#sleep(SocketWord.SendSequence, SocketWord.SendWaiting, sequence, timeoutMs);
  }

  /** Has events delivered in this thread's event loop; bits of SocketEvent. */
  watch(listener: (events: number) => void): void {
    this.client.watch(this.block, listener);
  }

  get localAddress(): IpAddress | null {
    return this.block.address(SocketWord.LocalFamily);
  }

  get localPort(): number {
    return this.block.get(SocketWord.LocalPort);
  }

  get remoteAddress(): IpAddress | null {
    return this.block.address(SocketWord.RemoteFamily);
  }

  get remotePort(): number {
    return this.block.get(SocketWord.RemotePort);
  }

  /** Milliseconds from the request to the resolved name, and to the established connection. */
  get times(): { resolveMs: number; connectMs: number } {
    return {
      resolveMs: this.block.get(SocketWord.ResolveMicros) / 1000,
      connectMs: this.block.get(SocketWord.ConnectMicros) / 1000,
    };
  }

  /** The answer of a lookup. */
  get addresses(): IpAddress[] {
    const { slab } = this.client.arena;
    const found: IpAddress[] = [];
    const from = this.client.arena.blockOffset(this.block.index) + TEXT_OFF;
    for (let i = 0; i < this.block.get(SocketWord.AddressCount); i++) {
      const at = from + i * ADDRESS_RECORD_BYTES;
      found.push(IpAddress.read(slab.view, at + 1, slab.bytes[at] === 4 ? 4 : 6));
    }
    return found;
  }

  /** Listener: takes the next accepted connection; null when there is none. */
  accept(): SharedSocket | null {
    if (this.status === SocketStatus.Closed) {
      this.throwIfFailed();
      return null;
    }
    const ring = this.#recv();
    if (ring === null || ring.usedBytes < 4) return null;
    const index = ring.slab.view.getInt32(ring.offsetOf(ring.tail));
    ring.advanceTail(4);
    // the engine may have left connections in the stack for want of room
    this.client.command(this.block, Command.Received);
    return SharedSocket.adopt(this.client, index);
  }

  /** The receive ring, for datagrams; null while there is none. */
  get recvRing(): Ring | null {
    return this.#recv();
  }

  /** The send ring, for datagrams; null while there is none. */
  get sendRing(): Ring | null {
    return this.#send();
  }

  #recv(): Ring | null {
    if (this.#recvRing === null && this.#has(SocketWord.RecvCapacity)) this.#recvRing = this.block.recvRing();
    return this.#recvRing;
  }

  #send(): Ring | null {
    if (this.#sendRing === null && this.#has(SocketWord.SendCapacity)) this.#sendRing = this.block.sendRing();
    return this.#sendRing;
  }

  /** Rings are fixed from Open on; while Opening they may be taken back between two addresses. */
  #has(capacityWord: number): boolean {
    return this.status >= SocketStatus.Open && this.block.get(capacityWord) > 0;
  }

  #open(operation: number): void {
    this.block.set(SocketWord.Operation, operation);
    this.block.set(SocketWord.Status, SocketStatus.Opening);
    this.client.command(this.block, Command.Open);
  }

  #storeOption(option: number, on: boolean): void {
    const options = this.block.get(SocketWord.Options);
    this.block.set(SocketWord.Options, on ? options | option : options & ~option);
  }

  #storeKeepAlive(keepAlive: KeepAlive | null): void {
    this.#storeOption(OpenOption.KeepAlive, keepAlive !== null);
    this.block.set(SocketWord.KeepAliveIdleMs, clampMs(keepAlive?.idleMs ?? 0));
    this.block.set(SocketWord.KeepAliveIntervalMs, clampMs(keepAlive?.intervalMs ?? 0));
    this.block.set(SocketWord.KeepAliveCount, keepAlive?.count ?? 0);
  }

  #sleep(sequenceWord: number, waitingWord: number, sequence: number, timeoutMs: number): boolean {
    if (timeoutMs <= 0) return false;
    const { words, at } = this.block;
    Atomics.store(words, at + waitingWord, 1);
    return Atomics.wait(words, at + sequenceWord, sequence, timeoutMs) !== 'timed-out';
  }
}

function clampMs(ms: number): number {
  return Math.min(Math.max(0, Math.round(ms)), 0x7fffffff);
}
