import { NetError, Phase } from '../stack/errors.ts';
import type { DnsRecord } from '../stack/resolver/record.ts';
import type { Ring } from '../stack/ring.ts';
import type { SendOptions } from '../stack/tcp/send-policy.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { ArenaWord, EngineState, lockWord, unlockWord } from './arena.ts';
import { type Channel, WOULD_BLOCK } from './channel.ts';
import type { EngineClient } from './client.ts';
import { buryEngine } from './dead-engine.ts';
import type { ProbeRequest, Question } from './questions.ts';
import { packSendOptions } from './send-options.ts';
import {
  ABANDONED,
  ADDRESS_RECORD_BYTES,
  Command,
  OpenOption,
  Operation,
  packRing,
  RAW_WHOLE,
  ringBase,
  ringCapacity,
  SocketBlock,
  SocketStatus,
  SocketWord,
  StreamFlag,
  TEXT_BYTES,
  TEXT_OFF,
  TYPE_OF_SERVICE_SHIFT,
} from './socket-block.ts';
import { OWN_THREAD } from './thread-id.ts';

/** While memory is scarce the engine is told of every few kilobytes read. */
const SCARCE_STEP_BYTES = 8192;

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
  /** Found elsewhere: the name is not looked up. */
  readonly addresses?: readonly string[];
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  /** For resolving and connecting together, in milliseconds; 0: no limit. */
  readonly timeoutMs: number;
  readonly localAddress?: IpAddress | null;
  /** 0: an ephemeral one. */
  readonly localPort?: number;
  readonly noDelay?: boolean;
  readonly keepAlive?: KeepAlive | null;
  /** See {@link SharedSocket.setTypeOfService}. */
  readonly typeOfService?: number;
  /** Default: the stack's. */
  readonly sending?: SendOptions;
  readonly preferIpv6?: boolean;
  /** Addresses are tried beside each other, IPv6 first (RFC 8305). */
  readonly racing?: boolean;
  /** What becomes of each address is noted while connecting, see {@link attemptsFrom}. */
  readonly notesAttempts?: boolean;
  /** 0: both. Default 0. */
  readonly family?: 0 | 4 | 6;
  readonly broadcast?: boolean;
  readonly dontRoute?: boolean;
  /** A local port of `ports.reserved`, when there is no `localPort`. */
  readonly reservedPort?: boolean;
}

/** A thread's hold on one socket of an engine: everything that needs no protocol of its own. */
export class SharedSocket implements Channel {
  readonly socket: SharedSocket = this;
  readonly client: EngineClient;
  readonly block: SocketBlock;
  readonly #generation: number;
  /** Accessors to the rings, and where those were when they were used last. */
  #recvRing: Ring | null = null;
  #recvPlace = 0;
  #sendRing: Ring | null = null;
  #sendPlace = 0;
  /** Something was written that the engine has not been told of. */
  #isHeld = false;

  private constructor(client: EngineClient, block: SocketBlock) {
    this.client = client;
    this.block = block;
    this.#generation = block.get(SocketWord.Generation);
  }

  /** Starts to connect: resolves the name, then tries its addresses. Opened or Closed follows. */
  static connect(client: EngineClient, request: ConnectRequest): SharedSocket {
    const target = request.addresses?.join(' ') ?? request.host;
    checkName(target);
    const sendOptions = packSendOptions(request.sending ?? {});
    const block = client.take();
    block.text = target;
    block.setAddress(SocketWord.LocalFamily, request.localAddress ?? null, request.localPort ?? 0);
    block.set(SocketWord.RemoteFamily, request.family ?? 0);
    block.set(SocketWord.RemotePort, request.port);
    block.set(SocketWord.Protocol, request.protocol === 'udp' ? 17 : 6);
    block.set(SocketWord.TimeoutMs, clampMs(request.timeoutMs));
    const socket = new SharedSocket(client, block);
    socket.#storeKeepAlive(request.keepAlive ?? null);
    socket.#storeOption(OpenOption.AddressList, request.addresses !== undefined);
    socket.#storeTypeOfService(request.typeOfService ?? 0);
    block.set(SocketWord.SendOptions, sendOptions);
    socket.#storeOption(OpenOption.NoDelay, request.noDelay === true);
    socket.#storeOption(OpenOption.PreferIpv6, request.preferIpv6 === true);
    socket.#storeOption(OpenOption.Racing, request.racing === true);
    socket.#storeOption(OpenOption.NoteAttempts, request.notesAttempts === true);
    socket.#storeOption(OpenOption.Broadcast, request.broadcast === true);
    socket.#storeOption(OpenOption.DontRoute, request.dontRoute === true);
    socket.#storeOption(OpenOption.ReservedPort, request.reservedPort === true);
    socket.#open(Operation.Connect);
    return socket;
  }

  /** Starts to listen. @param port 0: an ephemeral one @param reuseAddress also while old connections of the port last */
  static listen(
    client: EngineClient,
    local: IpAddress | null,
    port: number,
    backlog: number,
    reuseAddress = true,
  ): SharedSocket {
    const block = client.take();
    block.setAddress(SocketWord.LocalFamily, local, port);
    block.set(SocketWord.Backlog, backlog);
    const socket = new SharedSocket(client, block);
    socket.#storeOption(OpenOption.ReuseAddress, reuseAddress);
    socket.#open(Operation.Listen);
    return socket;
  }

  /** Opens a UDP socket without a fixed peer. */
  static udp(
    client: EngineClient,
    local: IpAddress | null,
    port: number,
    broadcast: boolean,
    reuseAddress = false,
  ): SharedSocket {
    const block = client.take();
    block.setAddress(SocketWord.LocalFamily, local, port);
    block.set(SocketWord.Protocol, 17);
    const socket = new SharedSocket(client, block);
    socket.#storeOption(OpenOption.Broadcast, broadcast);
    socket.#storeOption(OpenOption.ReuseAddress, reuseAddress);
    socket.#open(Operation.Udp);
    return socket;
  }

  /** Opens a socket for packets of an IP protocol. @param ttl 0: the usual one */
  static raw(
    client: EngineClient,
    local: IpAddress | null,
    protocol: number,
    wholePackets: boolean,
    broadcast: boolean,
    ttl: number,
  ): SharedSocket {
    const block = client.take();
    block.setAddress(SocketWord.LocalFamily, local, 0);
    block.set(SocketWord.RemotePort, protocol | (wholePackets ? RAW_WHOLE : 0));
    block.set(SocketWord.Backlog, ttl);
    const socket = new SharedSocket(client, block);
    socket.#storeOption(OpenOption.Broadcast, broadcast);
    socket.#open(Operation.Raw);
    return socket;
  }

  /** Looks a name up. @param family 0: both */
  static lookup(client: EngineClient, host: string, family: 0 | 4 | 6): SharedSocket {
    checkName(host);
    const block = client.take();
    block.text = host;
    block.set(SocketWord.RemoteFamily, family);
    const socket = new SharedSocket(client, block);
    socket.#open(Operation.Lookup);
    return socket;
  }

  /** Looks up the records of a name. @param type its number */
  static records(client: EngineClient, name: string, type: number): SharedSocket {
    checkName(name);
    const block = client.take();
    block.text = name;
    block.set(SocketWord.RemotePort, type);
    const socket = new SharedSocket(client, block);
    socket.#open(Operation.Records);
    return socket;
  }

  /** Looks up the names of an address: PTR records, those of the hosts file first. */
  static reverse(client: EngineClient, address: IpAddress): SharedSocket {
    const block = client.take();
    block.setAddress(SocketWord.LocalFamily, address, 0);
    const socket = new SharedSocket(client, block);
    socket.#open(Operation.Records);
    return socket;
  }

  /** Begins to trace all packets of the stack, until it is released. @param secrets of TLS connections go along */
  static trace(client: EngineClient, path: string, secrets: boolean): SharedSocket {
    checkName(path);
    const block = client.take();
    block.text = path;
    const socket = new SharedSocket(client, block);
    socket.#storeOption(OpenOption.Secrets, secrets);
    socket.#open(Operation.Trace);
    return socket;
  }

  /** Asks the engine about itself or one of its sockets: Open follows, with the answer for {@link takeAnswer}. */
  static ask(client: EngineClient, question: Question): SharedSocket {
    const block = client.take();
    block.text = JSON.stringify(question);
    const socket = new SharedSocket(client, block);
    socket.#open(Operation.Ask);
    return socket;
  }

  /** Starts a ping or a trace: its results are {@link ProbeLine}s to be read, one a line. */
  static probe(client: EngineClient, request: ProbeRequest): SharedSocket {
    const block = client.take();
    block.text = JSON.stringify(request);
    const socket = new SharedSocket(client, block);
    socket.#open(Operation.Probe);
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
    return this.#distance(SocketWord.RecvHead, SocketWord.RecvTail);
  }

  /** Bytes written that the peer has not acknowledged. */
  get unsentBytes(): number {
    return this.#distance(SocketWord.SendHead, SocketWord.SendTail);
  }

  get peerFinished(): boolean {
    return (this.block.get(SocketWord.Flags) & StreamFlag.PeerFinished) !== 0;
  }

  /** Bytes written so far, modulo 2^32 (int32). */
  get writtenTo(): number {
    return this.block.get(SocketWord.SendHead);
  }

  /** How many of them the peer has acknowledged, in the same way. */
  get acknowledgedTo(): number {
    return this.block.get(SocketWord.SendTail);
  }

  read(into: Uint8Array, off: number, len: number): number {
    this.lockRecv();
    try {
      const taken = this.peekLocked(into, off, len);
      if (taken > 0) this.consumeLocked(taken);
      return taken;
    } finally {
      this.unlockRecv();
    }
  }

  /** {@link read} without taking anything away. */
  peek(into: Uint8Array, off: number, len: number): number {
    this.lockRecv();
    try {
      return this.peekLocked(into, off, len);
    } finally {
      this.unlockRecv();
    }
  }

  /** Takes bytes away that were peeked at, and tells the engine when the window can open again. */
  consume(lengthBytes: number): void {
    this.lockRecv();
    this.consumeLocked(lengthBytes);
    this.unlockRecv();
  }

  /** The engine does not give the receive ring's memory to others while a thread reads. @throws NetError ABORTED: a thread ended in it */
  lockRecv(): void {
    if (!lockWord(this.block.words, this.block.at + SocketWord.RecvLock)) this.#abandon(SocketWord.RecvLock);
  }

  unlockRecv(): void {
    unlockWord(this.block.words, this.block.at + SocketWord.RecvLock);
  }

  /** The engine leaves the send ring where it is while a thread writes. @throws NetError ABORTED: a thread ended in it */
  lockSend(): void {
    if (!lockWord(this.block.words, this.block.at + SocketWord.SendLock)) this.#abandon(SocketWord.SendLock);
  }

  unlockSend(): void {
    unlockWord(this.block.words, this.block.at + SocketWord.SendLock);
  }

  /** {@link peek} for whoever has the lock. */
  peekLocked(into: Uint8Array, off: number, len: number): number {
    // the flags before the ring: what arrived before them is in the ring then
    const finished = this.peerFinished;
    const status = this.status;
    // the bytes before the ring: where they are now they stay until they are taken
    const used = this.readableBytes;
    if (used > 0) {
      const ring = this.#recv()!;
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

  /** {@link consume} for whoever has the lock. */
  consumeLocked(lengthBytes: number): void {
    const { block } = this;
    const tail = (block.get(SocketWord.RecvTail) + lengthBytes) | 0;
    block.set(SocketWord.RecvTail, tail);
    const told = block.get(SocketWord.RecvTold);
    if (((tail - told) | 0) >= this.#recvStep) {
      block.set(SocketWord.RecvTold, tail);
      this.client.command(block, Command.Received);
    }
  }

  /** So much is read before the engine is told. */
  get #recvStep(): number {
    const step = this.block.get(SocketWord.RecvStep);
    return this.client.arena.load(ArenaWord.MemoryScarce) === 0 ? step : Math.min(step, SCARCE_STEP_BYTES);
  }

  write(from: Uint8Array, off: number, len: number): number {
    this.lockSend();
    try {
      return this.writeLocked(from, off, len);
    } finally {
      this.unlockSend();
    }
  }

  /** {@link write} for what is followed by more in a moment: the engine hears of it with that, or with {@link announceHeld}. */
  writeHeld(from: Uint8Array, off: number, len: number): number {
    this.lockSend();
    try {
      this.throwIfUnwritable();
      const taken = this.appendLocked(from, off, len);
      if (taken === 0) return WOULD_BLOCK;
      this.#isHeld = true;
      return taken;
    } finally {
      this.unlockSend();
    }
  }

  /** Has the engine send what was {@link writeHeld held}, unless it was told of it since. */
  announceHeld(): void {
    if (this.#isHeld) this.announce();
  }

  /** {@link write} for whoever has the lock. */
  writeLocked(from: Uint8Array, off: number, len: number): number {
    this.throwIfUnwritable();
    const taken = this.appendLocked(from, off, len);
    if (taken === 0) return WOULD_BLOCK;
    this.announce();
    return taken;
  }

  /** @throws NetError why nothing can be written any more */
  throwIfUnwritable(): void {
    const isShutDown = (this.block.get(SocketWord.Flags) & StreamFlag.ShutDown) !== 0;
    if (this.status === SocketStatus.Closed) {
      this.throwIfFailed();
      // the connection may have ended in order just because of the shutdown
      if (!isShutDown) {
        throw new NetError('NOT_CONNECTED', { phase: Phase.Transfer, detail: 'the connection has ended' });
      }
    }
    if (isShutDown) throw new NetError('SHUT_DOWN', { phase: Phase.Transfer });
  }

  /**
   * Copies what there is room for to the send ring, for whoever has the lock; the engine need not notice before
   * {@link announce}. @returns bytes taken
   */
  appendLocked(from: Uint8Array, off: number, len: number): number {
    const taken = this.roomLocked() > 0 ? this.#send()!.write(from, off, len) : 0;
    if (taken === len || this.roomLocked(len - taken) === 0) return taken;
    return taken + this.#send()!.write(from, off + taken, len - taken);
  }

  /**
   * Leaves the first bytes of a connection that is not open yet with the engine, which sends them the moment it is: nobody has to be woken for
   * that. A TLS region comes along.
   * @returns false: it is open (or has failed) by now, or there is no memory at hand; they are to be written
   */
  leaveFirstFlight(bytes: Uint8Array): boolean {
    const { block, client } = this;
    const { arena } = client;
    const capacityBytes = arena.load(ArenaWord.SpareBytes);
    if (this.status !== SocketStatus.Opening || bytes.length > capacityBytes) return false;
    if (block.get(SocketWord.FirstFlight) !== 0) return false;
    const spare = arena.takeSpare();
    if (spare < 0) return false;
    arena.slab.bytes.set(bytes, spare);
    block.set(SocketWord.FirstFlightBytes, bytes.length);
    block.set(SocketWord.FirstFlight, packRing(spare, capacityBytes));
    // the engine may have looked before
    if (this.status === SocketStatus.Opening || block.takeFirstFlight() === 0) return true;
    arena.giveSpare(spare);
    return false;
  }

  /** Has the engine send what was appended. */
  announce(): void {
    this.#isHeld = false;
    this.client.command(this.block, Command.Sent);
  }

  /** Room for a write; while there is no send ring, what one would have. */
  get writableBytes(): number {
    const place = this.block.get(SocketWord.SendRing);
    if (place !== 0) return Math.max(ringCapacity(place) - this.unsentBytes, 0);
    return this.status === SocketStatus.Open ? this.client.arena.load(ArenaWord.SpareBytes) : 0;
  }

  /**
   * Room for a write that follows under the same lock; takes a send ring for it when there is none.
   * @param wantedBytes when there is less, an event follows as soon as there is a good part of the buffer
   * @returns 0 also when no memory is to be had now: it is writable when there is
   */
  roomLocked(wantedBytes = 0): number {
    const room = this.#roomNow();
    if (room >= wantedBytes) return room;
    this.block.set(SocketWord.SendWanted, 1);
    // what became free before the engine could see that somebody wants it
    return this.#roomNow();
  }

  #roomNow(): number {
    const ring = this.#send();
    if (ring !== null) return ring.freeBytes;
    if (this.status !== SocketStatus.Open) return 0;
    const { arena } = this.client;
    const spare = arena.takeSpare();
    if (spare < 0) {
      this.client.command(this.block, Command.Room);
      return 0;
    }
    const place = packRing(spare, arena.load(ArenaWord.SpareBytes));
    // the engine may have given one meanwhile
    if (this.block.takeSendPlace(place) !== place) arena.giveSpare(spare);
    return this.#send()!.freeBytes;
  }

  shutdown(): boolean {
    if ((this.block.or(SocketWord.Flags, StreamFlag.ShutDown) & StreamFlag.ShutDown) === 0) {
      this.client.command(this.block, this.#withHeld(Command.Shutdown));
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
    this.client.command(this.block, this.#withHeld(Command.Release));
  }

  #withHeld(command: number): number {
    if (!this.#isHeld) return command;
    this.#isHeld = false;
    return command | Command.Sent;
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

  /** The octet of IP packets (RFC 2474); the two bits of ECN are the stack's own. @param typeOfService 0 … 255 */
  setTypeOfService(typeOfService: number): void {
    this.#storeTypeOfService(typeOfService);
    this.client.command(this.block, Command.Options);
  }

  get awaitsPeer(): boolean {
    return false;
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

  /** Has SocketEvent.Attempted told from the first attempt on; without it the first is told with the next. */
  wantAttempts(): void {
    this.#storeOption(OpenOption.TellAttempts, true);
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
      const address = IpAddress.read(slab.view, at + 2, slab.bytes[at] === 4 ? 4 : 6);
      const zone = slab.bytes[at + 1]!;
      found.push(zone === 0 ? address : address.inZone(zone));
    }
    return found;
  }

  /** The answer of {@link SharedSocket.records} and {@link SharedSocket.reverse}; can be taken once. */
  takeRecords(): readonly DnsRecord[] {
    return (this.takeAnswer() ?? []) as DnsRecord[];
  }

  /** The answer to {@link SharedSocket.ask}; can be taken once. */
  takeAnswer(): unknown {
    const ring = this.#recv();
    if (ring === null) return null;
    const bytes = new Uint8Array(ring.usedBytes);
    ring.read(bytes, 0, bytes.length);
    return JSON.parse(new TextDecoder().decode(bytes));
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
    const accepted = SharedSocket.adopt(this.client, index);
    accepted.block.set(SocketWord.Owner, OWN_THREAD);
    return accepted;
  }

  /** The receive ring, for datagrams; null while there is none. */
  get recvRing(): Ring | null {
    return this.status < SocketStatus.Open ? null : this.#recv();
  }

  /** The send ring, for datagrams; null while there is none. */
  get sendRing(): Ring | null {
    return this.status < SocketStatus.Open ? null : this.#send();
  }

  #recv(): Ring | null {
    const place = this.block.get(SocketWord.RecvRing);
    if (place !== this.#recvPlace) {
      this.#recvPlace = place;
      if (place === 0) this.#recvRing = null;
      else if (this.#recvRing === null) this.#recvRing = this.block.recvRing(place);
      else this.#recvRing.moveTo(ringBase(place), ringCapacity(place));
    }
    return this.#recvRing;
  }

  #send(): Ring | null {
    const place = this.block.get(SocketWord.SendRing);
    if (place !== this.#sendPlace) {
      this.#sendPlace = place;
      if (place === 0) this.#sendRing = null;
      else if (this.#sendRing === null) this.#sendRing = this.block.sendRing(place);
      else this.#sendRing.moveTo(ringBase(place), ringCapacity(place));
    }
    return this.#sendRing;
  }

  /** Bytes between two positions; none while an attempt may still go on with another address. */
  #distance(headWord: number, tailWord: number): number {
    if (this.status < SocketStatus.Open) return 0;
    return (this.block.get(headWord) - this.block.get(tailWord)) | 0;
  }

  #open(operation: number): void {
    this.block.set(SocketWord.Operation, operation);
    this.block.set(SocketWord.Status, SocketStatus.Opening);
    this.client.command(this.block, Command.Open);
  }

  /** A thread was ended in the middle of a read or a write: nobody knows where the next one would have to begin. */
  #abandon(lock: number): never {
    const { block, client } = this;
    // who was ended with the lock may be the engine itself, and nobody has noticed yet
    buryEngine(client);
    if (client.arena.load(ArenaWord.State) >= EngineState.Stopped) {
      unlockWord(block.words, block.at + lock);
      client.checkRunning();
    }
    // at once, and not only when the engine comes to it: other threads wait for the same lock
    block.setError('ABORTED', Phase.Transfer, ABANDONED);
    block.set(SocketWord.Status, SocketStatus.Closed);
    client.command(block, Command.Abandon);
    unlockWord(block.words, block.at + lock);
    throw new NetError('ABORTED', { phase: Phase.Transfer, detail: ABANDONED });
  }

  #storeTypeOfService(typeOfService: number): void {
    const others = this.block.get(SocketWord.Options) & ~(0xff << TYPE_OF_SERVICE_SHIFT);
    this.block.set(SocketWord.Options, others | (typeOfService << TYPE_OF_SERVICE_SHIFT));
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

/** A longer name than the block has room for is none: 253 characters are the most (RFC 1035 §2.3.4). */
function checkName(name: string): void {
  if (Buffer.byteLength(name) <= TEXT_BYTES) return;
  throw new NetError('HOST_INVALID', {
    phase: Phase.Argument,
    detail: `a name has at most 253 characters, this one has ${name.length}`,
  });
}
