import type { RingSource } from '../stack/context.ts';
import { INTERNAL_OWNER } from '../stack/endpoint.ts';
import { Ring } from '../stack/ring.ts';
import type { TcpConnection } from '../stack/tcp/connection.ts';
import type { UdpSocket } from '../stack/udp/udp-socket.ts';
import { type Arena, SlotWord } from './arena.ts';
import type { Pool } from './pool.ts';
import { SocketBlock, SocketEvent, SocketStatus, SocketWord, StreamFlag } from './socket-block.ts';
import { TLS_REGION_BYTES } from './tls-region.ts';

/** Accepted connections that wait for the application, 4 bytes each; further ones wait in the stack's backlog. */
const ACCEPT_RING_BYTES = 4096;

/** Rings of the stack's own connections (a name server asked over TCP): what one DNS message takes, 64 KB. */
const INTERNAL_RING_BYTES = 65_536;

const READER_EVENTS: number = SocketEvent.Readable | SocketEvent.Closed;
const WRITER_EVENTS: number = SocketEvent.Writable | SocketEvent.Opened | SocketEvent.Closed;

/**
 * The engine's side of the socket blocks: which block belongs to which endpoint, where its rings are, and who is to be
 * told of its events. It is the stack's ring source.
 */
export class SocketTable implements RingSource {
  readonly arena: Arena;
  readonly #pool: Pool;
  readonly #sendBytes: number;
  readonly #recvBytes: number;
  /** Made once per block and kept: an accessor is a few words. */
  readonly #blocks: SocketBlock[] = [];
  /** Thread slots to ring at the end of the batch. */
  readonly #slotsToRing = new Set<number>();
  /** Blocks with events in this batch, and the events by index. */
  readonly #toTell: SocketBlock[] = [];
  readonly #noted: number[] = [];
  wakeUps = 0;

  constructor(arena: Arena, pool: Pool, sendBytes: number, recvBytes: number) {
    this.arena = arena;
    this.#pool = pool;
    this.#sendBytes = sendBytes;
    this.#recvBytes = recvBytes;
  }

  block(index: number): SocketBlock {
    let block = this.#blocks[index];
    if (block === undefined) {
      block = new SocketBlock(this.arena, index);
      this.#blocks[index] = block;
    }
    return block;
  }

  /** RingSource: files the rings under the endpoint's owner; a connection from a listener gets a block of its own. */
  open(endpoint: TcpConnection | UdpSocket): boolean {
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
      endpoint.owner = index;
      if (this.#openRings(fresh)) {
        endpoint.sendRing = fresh.sendRing();
        endpoint.recvRing = fresh.recvRing();
        return true;
      }
      fresh.set(SocketWord.Status, SocketStatus.Free);
      this.arena.giveBlock(index, SocketWord.NextFree);
      return false;
    }
    const block = this.block(endpoint.owner);
    if (!this.#openRings(block)) return false;
    endpoint.sendRing = block.sendRing();
    endpoint.recvRing = block.recvRing();
    return true;
  }

  /** RingSource: the stack is done. What was received stays readable until the application lets go. */
  close(endpoint: TcpConnection | UdpSocket): void {
    if (endpoint.owner < 0) return;
    const block = this.block(endpoint.owner);
    block.or(SocketWord.Flags, StreamFlag.RingsClosed);
    // an attempt that goes on with its next address starts from empty rings
    if (block.get(SocketWord.Status) === SocketStatus.Opening) this.#giveRings(block);
  }

  /** The stack is done and the application has let go: the block and its memory can be used again. */
  free(block: SocketBlock): void {
    this.#giveRings(block);
    const tls = block.get(SocketWord.TlsOffset);
    if (tls !== 0) {
      // secrets do not outlive their connection
      this.arena.slab.bytes.fill(0, tls, tls + TLS_REGION_BYTES);
      this.#pool.give(tls, TLS_REGION_BYTES);
      block.set(SocketWord.TlsOffset, 0);
    }
    block.set(SocketWord.Generation, (block.get(SocketWord.Generation) + 1) & 0x7ff);
    block.set(SocketWord.Status, SocketStatus.Free);
    this.arena.giveBlock(block.index, SocketWord.NextFree);
  }

  /** Takes a TLS region for a block. @returns false when there is no memory */
  openTls(block: SocketBlock): boolean {
    if (block.get(SocketWord.TlsOffset) !== 0) return true;
    const offset = this.#pool.take(TLS_REGION_BYTES);
    if (offset < 0) return false;
    this.arena.slab.bytes.fill(0, offset, offset + TLS_REGION_BYTES);
    block.set(SocketWord.TlsOffset, offset);
    return true;
  }

  /** Gives a listener the ring in which accepted sockets wait for the application, as their indices. */
  openAcceptRing(block: SocketBlock): boolean {
    const offset = this.#pool.take(ACCEPT_RING_BYTES);
    if (offset < 0) return false;
    block.set(SocketWord.RecvBase, offset);
    block.set(SocketWord.RecvCapacity, ACCEPT_RING_BYTES);
    return true;
  }

  acceptRingHasRoom(block: SocketBlock): boolean {
    return block.get(SocketWord.RecvCapacity) > 0 && block.recvRing().freeBytes >= 4;
  }

  pushAccepted(block: SocketBlock, index: number): void {
    const ring = block.recvRing();
    ring.slab.view.setInt32(ring.offsetOf(ring.head), index);
    ring.advanceHead(4);
  }

  /** Takes out what nobody has accepted. */
  drainAcceptRing(block: SocketBlock): number[] {
    const waiting: number[] = [];
    if (block.get(SocketWord.RecvCapacity) === 0) return waiting;
    const ring = block.recvRing();
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

  #openRings(block: SocketBlock): boolean {
    const send = this.#pool.take(this.#sendBytes);
    if (send < 0) return false;
    const recv = this.#pool.take(this.#recvBytes);
    if (recv < 0) {
      this.#pool.give(send, this.#sendBytes);
      return false;
    }
    Atomics.and(block.words, block.at + SocketWord.Flags, ~StreamFlag.RingsClosed);
    for (const word of [
      SocketWord.SendHead,
      SocketWord.SendTail,
      SocketWord.RecvHead,
      SocketWord.RecvTail,
      SocketWord.RecvTold,
    ]) {
      block.set(word, 0);
    }
    block.set(SocketWord.SendBase, send);
    block.set(SocketWord.RecvBase, recv);
    block.set(SocketWord.SendCapacity, this.#sendBytes);
    block.set(SocketWord.RecvCapacity, this.#recvBytes);
    return true;
  }

  #giveRings(block: SocketBlock): void {
    const send = block.get(SocketWord.SendCapacity);
    if (send > 0) this.#pool.give(block.get(SocketWord.SendBase), send);
    const recv = block.get(SocketWord.RecvCapacity);
    if (recv > 0) this.#pool.give(block.get(SocketWord.RecvBase), recv);
    block.set(SocketWord.SendCapacity, 0);
    block.set(SocketWord.RecvCapacity, 0);
  }
}
