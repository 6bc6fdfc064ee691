import type { DatagramEndpoint, ElasticRings, RingSource } from '../stack/context.ts';
import { INTERNAL_OWNER } from '../stack/endpoint.ts';
import type { NetError } from '../stack/errors.ts';
import { Ring } from '../stack/ring.ts';
import { TcpConnection } from '../stack/tcp/connection.ts';
import { type Arena, ArenaWord, SlotWord, tryLockWord, unlockWord } from './arena.ts';
import { packFailures } from './failures.ts';
import { LatchedRing } from './journal.ts';
import type { Pool } from './pool.ts';
import {
  Operation,
  packRing,
  ringBase,
  ringCapacity,
  SocketBlock,
  SocketEvent,
  SocketStatus,
  SocketWord,
  StreamFlag,
} from './socket-block.ts';
import { clearTlsRegion, TLS_REGION_BYTES, wipeTlsRegion } from './tls-region.ts';

/** Accepted connections that wait for the application, 4 bytes each; further ones wait in the stack's backlog. */
const ACCEPT_RING_BYTES = 4096;

/** The smallest ring for an answer of the resolver. */
const LEAST_ANSWER_BYTES = 1024;

/** Rings of the stack's own connections (a name server asked over TCP): what one DNS message takes, 64 KB. */
const INTERNAL_RING_BYTES = 65_536;

/** Send rings that lie ready for writers, at most, and as a share of all memory. */
const MAX_SPARES = 16;
const SPARE_SHARE = 64;

/** An eighth of all memory is out of reach for either direction. */
const SHARE_SHIFT = 3;

/** The application tells when it has read a quarter of the receive buffer. */
const STEP_SHIFT = 2;

const POSITION_WORDS: readonly number[] = [
  SocketWord.SendHead,
  SocketWord.SendTail,
  SocketWord.RecvHead,
  SocketWord.RecvTail,
  SocketWord.RecvTold,
  SocketWord.SendRing,
  SocketWord.RecvRing,
];

/** Sizes of buffers in bytes, powers of two. */
export interface BufferSizes {
  /** What a connection begins with. */
  readonly sendBytes: number;
  readonly recvBytes: number;
  /** How far its buffers grow. */
  readonly maxSendBytes: number;
  readonly maxRecvBytes: number;
  /** Of a UDP socket, fixed. */
  readonly datagramSendBytes: number;
  readonly datagramRecvBytes: number;
}

const READER_EVENTS: number = SocketEvent.Readable | SocketEvent.Closed;
const WRITER_EVENTS: number = SocketEvent.Writable | SocketEvent.Opened | SocketEvent.Closed;

/**
 * The engine's side of the socket blocks: which block belongs to which endpoint, where its rings are, and who is to be
 * told of its events. It is the stack's ring source.
 */
export class SocketTable implements RingSource, ElasticRings {
  readonly arena: Arena;
  readonly elastic: ElasticRings = this;
  readonly #pool: Pool;
  readonly #sizes: BufferSizes;
  /** Bytes of all send rings, and of all receive rings. */
  #sendBytes = 0;
  #recvBytes = 0;
  readonly #spares: number;
  /** Memory that a reader may still look at: given back when it does not. */
  readonly #retired: { readonly block: SocketBlock; readonly place: number }[] = [];
  /** Made once per block and kept: an accessor is a few words. */
  readonly #blocks: (SocketBlock | undefined)[] = [];
  /** Thread slots to ring at the end of the batch. */
  readonly #slotsToRing = new Set<number>();
  /** Blocks with events in this batch, and the events by index. */
  readonly #toTell: SocketBlock[] = [];
  readonly #noted: number[] = [];
  wakeUps = 0;
  onFreed: () => void = () => {};
  /** A journal is kept: connections see the application's ends of their rings as that has looked them up. */
  latches = false;

  constructor(arena: Arena, pool: Pool, sizes: BufferSizes) {
    this.arena = arena;
    this.#pool = pool;
    this.#sizes = sizes;
    this.#spares = Math.min(MAX_SPARES, Math.floor(pool.lengthBytes / SPARE_SHARE / sizes.sendBytes));
    arena.store(ArenaWord.SpareBytes, sizes.sendBytes);
    this.#laySpares();
  }

  block(index: number): SocketBlock {
    let block = this.#blocks[index];
    if (block === undefined) {
      block = new SocketBlock(this.arena, index);
      this.#blocks[index] = block;
    }
    return block;
  }

  /** The block will not be needed for a while. */
  forgetAccessor(index: number): void {
    this.#blocks[index] = undefined;
  }

  #sendRing(block: SocketBlock, place: number): Ring {
    const ring = block.sendRing(place);
    if (!this.latches) return ring;
    const { words, at } = block;
    return new LatchedRing(ring, words, at + SocketWord.SendHead, at + SocketWord.SendTail, true);
  }

  #recvRing(block: SocketBlock, place: number): Ring {
    const ring = block.recvRing(place);
    if (!this.latches) return ring;
    const { words, at } = block;
    return new LatchedRing(ring, words, at + SocketWord.RecvHead, at + SocketWord.RecvTail, false);
  }

  /** RingSource: files the rings under the endpoint's owner; a connection from a listener gets a block of its own. */
  open(endpoint: TcpConnection | DatagramEndpoint): boolean {
    if (endpoint.owner === INTERNAL_OWNER) {
      endpoint.sendRing = Ring.alloc(INTERNAL_RING_BYTES);
      endpoint.recvRing = Ring.alloc(INTERNAL_RING_BYTES);
      return true;
    }
    if (endpoint.owner < 0) {
      const index = this.arena.takeBlock(SocketWord.NextFree);
      if (index < 0) return false;
      const fresh = this.block(index);
      fresh.clear();
      fresh.set(SocketWord.Status, SocketStatus.Idle);
      fresh.set(SocketWord.Protocol, 6);
      endpoint.owner = index;
    }
    const block = this.block(endpoint.owner);
    Atomics.and(block.words, block.at + SocketWord.Flags, ~StreamFlag.RingsClosed);
    for (const word of POSITION_WORDS) block.set(word, 0);
    if (endpoint instanceof TcpConnection) {
      block.set(SocketWord.RecvStep, this.#sizes.recvBytes >> STEP_SHIFT);
      return true;
    }
    return this.#openFixed(block, endpoint);
  }

  /** Datagrams are records that lie in one ring for good. */
  #openFixed(block: SocketBlock, socket: DatagramEndpoint): boolean {
    const send = this.#takeRing(this.#sizes.datagramSendBytes);
    if (send === 0) return false;
    const recv = this.#takeRing(this.#sizes.datagramRecvBytes);
    if (recv === 0) {
      this.#giveRing(send);
      return false;
    }
    block.set(SocketWord.SendRing, send);
    block.set(SocketWord.RecvRing, recv);
    socket.sendRing = block.sendRing(send);
    socket.recvRing = block.recvRing(recv);
    return true;
  }

  /** Of the pool, whatever it is for. */
  get memoryUsedBytes(): number {
    return this.#pool.usedBytes;
  }

  get isScarce(): boolean {
    return this.arena.load(ArenaWord.MemoryScarce) !== 0;
  }

  resizeReceive(c: TcpConnection, capacityBytes: number, keepBytes: number): boolean {
    if (this.#recvBytes + capacityBytes > this.#shareBytes) return false;
    const place = this.#takeRing(capacityBytes);
    if (place === 0) return false;
    this.#recvBytes += capacityBytes;
    const block = this.block(c.owner);
    const ring = c.recvRing;
    if (ring === null) {
      c.recvRing = this.#recvRing(block, place);
      block.set(SocketWord.RecvRing, place);
      return true;
    }
    ring.copyTo(ringBase(place), capacityBytes, ring.tail, keepBytes);
    ring.moveTo(ringBase(place), capacityBytes);
    const old = block.get(SocketWord.RecvRing);
    block.set(SocketWord.RecvRing, place);
    this.#retire(block, old);
    return true;
  }

  giveSend(c: TcpConnection, capacityBytes: number): boolean {
    if (this.#sendBytes + capacityBytes > this.#shareBytes) return false;
    const place = this.#takeRing(capacityBytes);
    if (place === 0) return false;
    const block = this.block(c.owner);
    // without the lock: a writer who holds it is mostly the one who asks. It takes a ring in the same way
    const taken = block.takeSendPlace(place);
    if (taken === place) this.#sendBytes += capacityBytes;
    else this.#giveRing(place);
    c.sendRing = this.#sendRing(block, taken);
    this.#laySpares();
    return true;
  }

  resizeSend(c: TcpConnection, capacityBytes: number): boolean {
    const block = this.block(c.owner);
    const lock = block.at + SocketWord.SendLock;
    if (!tryLockWord(block.words, lock)) return false;
    try {
      if (this.#sendBytes + capacityBytes > this.#shareBytes) return false;
      const place = this.#takeRing(capacityBytes);
      if (place === 0) return false;
      this.#sendBytes += capacityBytes;
      const ring = c.sendRing!;
      const old = block.get(SocketWord.SendRing);
      const usedBytes = (block.get(SocketWord.SendHead) - block.get(SocketWord.SendTail)) | 0;
      ring.copyTo(ringBase(place), capacityBytes, ring.tail, usedBytes);
      ring.moveTo(ringBase(place), capacityBytes);
      block.set(SocketWord.SendRing, place);
      this.#sendBytes -= ringCapacity(old);
      this.#giveRing(old);
      return true;
    } finally {
      unlockWord(block.words, lock);
    }
  }

  attachSend(c: TcpConnection): boolean {
    const block = this.block(c.owner);
    const place = block.get(SocketWord.SendRing);
    if (place === 0) return false;
    c.sendRing = this.#sendRing(block, place);
    this.#laySpares();
    return true;
  }

  dropReceive(c: TcpConnection): void {
    const block = this.block(c.owner);
    const place = block.get(SocketWord.RecvRing);
    c.recvRing = null;
    block.set(SocketWord.RecvRing, 0);
    this.#retire(block, place);
  }

  dropSend(c: TcpConnection): boolean {
    const block = this.block(c.owner);
    const lock = block.at + SocketWord.SendLock;
    if (!tryLockWord(block.words, lock)) return false;
    const place = block.get(SocketWord.SendRing);
    const isEmpty = block.get(SocketWord.SendHead) === block.get(SocketWord.SendTail);
    if (isEmpty) block.set(SocketWord.SendRing, 0);
    unlockWord(block.words, lock);
    if (!isEmpty) return false;
    c.sendRing = null;
    this.#sendBytes -= ringCapacity(place);
    this.#giveRing(place);
    return true;
  }

  receiveBufferChanged(c: TcpConnection): void {
    this.block(c.owner).set(SocketWord.RecvStep, c.recvBufferBytes >> STEP_SHIFT);
  }

  /** RingSource: the stack is done. What was received stays readable until the application lets go. */
  close(endpoint: TcpConnection | DatagramEndpoint): void {
    if (endpoint.owner < 0) return;
    const block = this.block(endpoint.owner);
    if (block.get(SocketWord.Status) === SocketStatus.Idle) {
      // it ended before anybody accepted it
      endpoint.owner = -1;
      this.free(block);
      return;
    }
    block.or(SocketWord.Flags, StreamFlag.RingsClosed);
    // an attempt that goes on with its next address starts from empty rings
    if (block.get(SocketWord.Status) === SocketStatus.Opening) this.#giveRings(block);
  }

  /** The stack is done and the application has let go: the block and its memory can be used again. */
  free(block: SocketBlock): void {
    this.#giveRings(block);
    const unsent = isConnection(block) ? block.takeFirstFlight() : 0;
    if (unsent !== 0) this.arena.giveSpare(ringBase(unsent));
    const tls = block.get(SocketWord.TlsOffset);
    if (tls !== 0) {
      // secrets do not outlive their connection
      wipeTlsRegion(this.arena.slab, tls);
      this.#pool.give(tls, TLS_REGION_BYTES);
      block.set(SocketWord.TlsOffset, 0);
    }
    block.set(SocketWord.Generation, (block.get(SocketWord.Generation) + 1) & 0x7ff);
    block.set(SocketWord.Status, SocketStatus.Free);
    this.arena.giveBlock(block.index, SocketWord.NextFree);
  }

  /** A connection is open: what was left for it is in its send ring now. @returns false: nothing was */
  takeFirstFlight(block: SocketBlock): boolean {
    const place = block.takeFirstFlight();
    if (place === 0) return false;
    block.set(SocketWord.SendRing, place);
    block.set(SocketWord.SendHead, block.get(SocketWord.FirstFlightBytes));
    return true;
  }

  /** Takes a TLS region for a block. @returns false when there is no memory */
  openTls(block: SocketBlock): boolean {
    if (block.get(SocketWord.TlsOffset) !== 0) return true;
    const offset = this.#pool.take(TLS_REGION_BYTES);
    if (offset < 0) return false;
    clearTlsRegion(this.arena.slab, offset);
    block.set(SocketWord.TlsOffset, offset);
    return true;
  }

  /** Gives a listener the ring in which accepted sockets wait for the application, as their indices. */
  openAcceptRing(block: SocketBlock): boolean {
    const offset = this.#pool.take(ACCEPT_RING_BYTES);
    if (offset < 0) return false;
    block.set(SocketWord.RecvRing, packRing(offset, ACCEPT_RING_BYTES));
    return true;
  }

  /** Gives a block a receive ring for an answer that comes in pieces. @returns false when there is no memory */
  openAnswerRing(block: SocketBlock, lengthBytes: number): boolean {
    const offset = this.#pool.take(lengthBytes);
    if (offset < 0) return false;
    block.set(SocketWord.RecvRing, packRing(offset, lengthBytes));
    return true;
  }

  /** Puts an answer into a receive ring of its own. @returns false when there is no memory */
  openAnswer(block: SocketBlock, bytes: Uint8Array): boolean {
    const capacity = 1 << (32 - Math.clz32(Math.max(bytes.length, LEAST_ANSWER_BYTES) - 1));
    const offset = this.#pool.take(capacity);
    if (offset < 0) return false;
    const place = packRing(offset, capacity);
    block.set(SocketWord.RecvRing, place);
    block.recvRing(place).write(bytes, 0, bytes.length);
    return true;
  }

  /** Keeps the failures of several addresses for `SocketBlock.error`; without memory the summary has to do. */
  keepFailures(block: SocketBlock, error: NetError): void {
    if (error.errors === undefined || block.get(SocketWord.RecvRing) !== 0) return;
    const bytes = packFailures(error);
    if (!this.openAnswer(block, bytes)) return;
    // it is nothing to be read from the socket
    block.set(SocketWord.RecvHead, block.get(SocketWord.RecvTail));
    block.set(SocketWord.AddressCount, bytes.length);
  }

  acceptRingHasRoom(block: SocketBlock): boolean {
    const place = block.get(SocketWord.RecvRing);
    return place !== 0 && block.recvRing(place).freeBytes >= 4;
  }

  pushAccepted(block: SocketBlock, index: number): void {
    const ring = block.recvRing(block.get(SocketWord.RecvRing));
    ring.slab.view.setInt32(ring.offsetOf(ring.head), index);
    ring.advanceHead(4);
  }

  /** Takes out what nobody has accepted. */
  drainAcceptRing(block: SocketBlock): number[] {
    const waiting: number[] = [];
    const place = block.get(SocketWord.RecvRing);
    if (place === 0) return waiting;
    const ring = block.recvRing(place);
    for (; ring.usedBytes >= 4; ring.advanceTail(4)) {
      waiting.push(ring.slab.view.getInt32(ring.offsetOf(ring.tail)));
    }
    return waiting;
  }

  /** Notes events of a block for whoever waits for it; told at the end of the batch by {@link tellAll}. */
  tell(block: SocketBlock, events: number): void {
    const noted = this.#noted[block.index] ?? 0;
    if (noted === 0) this.#toTell.push(block);
    this.#noted[block.index] = noted | events;
  }

  /** End of a batch: wakes each thread that waits for a socket with events, once. */
  tellAll(): void {
    if (this.#retired.length > 0) this.#giveRetired();
    if (this.#toTell.length === 0) return;
    for (const block of this.#toTell) {
      const events = this.#noted[block.index] ?? 0;
      this.#noted[block.index] = 0;
      if ((events & READER_EVENTS) !== 0 && block.wakeReaders()) this.wakeUps++;
      if ((events & WRITER_EVENTS) !== 0 && block.wakeWriters()) this.wakeUps++;
      this.#pushReady(block, events);
    }
    this.#toTell.length = 0;
    this.#ringSlots();
  }

  /** Wakes threads that are asleep in a call until there is room, and nobody else. */
  wakeWriters(block: SocketBlock): void {
    if (block.wakeWriters()) this.wakeUps++;
  }

  /** Puts a block on the ready list of the thread that watches it, if one does and it is not there yet. */
  #pushReady(block: SocketBlock, events: number): void {
    const slot = block.get(SocketWord.EventSlot) - 1;
    if (slot < 0 || block.or(SocketWord.Events, events) !== 0) return;
    const slotWord = this.arena.slotWord(slot);
    this.arena.push(slotWord + SlotWord.ReadyHead, block.at + SocketWord.NextReady, block.index);
    this.#slotsToRing.add(slot);
  }

  #ringSlots(): void {
    for (const slot of this.#slotsToRing) {
      const slotWord = this.arena.slotWord(slot);
      Atomics.add(this.arena.words, slotWord + SlotWord.Doorbell, 1);
      // a thread that is not about to sleep looks at its list once more before it does
      if (this.arena.load(slotWord + SlotWord.Sleeping) === 0) continue;
      Atomics.notify(this.arena.words, slotWord + SlotWord.Doorbell);
      this.wakeUps++;
    }
    this.#slotsToRing.clear();
  }

  /** @returns its place, 0 when there is no memory */
  #takeRing(capacityBytes: number): number {
    const offset = this.#pool.take(capacityBytes);
    if (offset < 0) return 0;
    this.#noteMemory();
    return packRing(offset, capacityBytes);
  }

  #giveRing(place: number): void {
    if (place === 0) return;
    this.#pool.give(ringBase(place), ringCapacity(place));
    this.#noteMemory();
    this.onFreed();
  }

  /** Neither direction may take all: data that cannot leave and data that nobody reads would hold each other up. */
  get #shareBytes(): number {
    return this.#pool.lengthBytes - (this.#pool.lengthBytes >> SHARE_SHIFT);
  }

  #noteMemory(): void {
    const { usedBytes, lengthBytes } = this.#pool;
    const wasScarce = this.isScarce;
    const isScarce = usedBytes > (wasScarce ? 5 : 6) * (lengthBytes / 8);
    if (isScarce !== wasScarce) this.arena.store(ArenaWord.MemoryScarce, isScarce ? 1 : 0);
  }

  /** Sees to it that there are send rings for whoever has none and wants to write. */
  #laySpares(): void {
    const { sendBytes } = this.#sizes;
    while (this.arena.load(ArenaWord.SpareCount) < this.#spares && !this.isScarce) {
      if (this.#sendBytes + sendBytes > this.#shareBytes) return;
      const place = this.#takeRing(sendBytes);
      if (place === 0) return;
      this.#sendBytes += sendBytes;
      this.arena.giveSpare(ringBase(place));
    }
  }

  /** Gives memory of a receive ring back as soon as no reader is at work in it. */
  #retire(block: SocketBlock, place: number): void {
    this.#recvBytes -= ringCapacity(place);
    if (place === 0) return;
    if (isFree(block)) this.#giveRing(place);
    else this.#retired.push({ block, place });
  }

  #giveRetired(): void {
    for (let i = this.#retired.length - 1; i >= 0; i--) {
      const { block, place } = this.#retired[i]!;
      if (!isFree(block)) continue;
      this.#giveRing(place);
      this.#retired[i] = this.#retired[this.#retired.length - 1]!;
      this.#retired.pop();
    }
  }

  #giveRings(block: SocketBlock): void {
    const send = block.get(SocketWord.SendRing);
    const recv = block.get(SocketWord.RecvRing);
    block.set(SocketWord.SendRing, 0);
    block.set(SocketWord.RecvRing, 0);
    if (isConnection(block)) {
      this.#sendBytes -= ringCapacity(send);
      this.#recvBytes -= ringCapacity(recv);
    }
    this.#giveRing(send);
    this.#giveRing(recv);
  }
}

function isConnection(block: SocketBlock): boolean {
  return block.get(SocketWord.Protocol) === 6 && block.get(SocketWord.Operation) === Operation.Connect;
}

/** No thread reads from the block's receive ring at this moment; whoever begins now sees the new one. */
function isFree(block: SocketBlock): boolean {
  const lock = block.at + SocketWord.RecvLock;
  if (!tryLockWord(block.words, lock)) return false;
  unlockWord(block.words, lock);
  return true;
}
