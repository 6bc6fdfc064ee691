import type { Ring } from '../ring.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { TcpConnection } from './connection.ts';
import { park } from './parked-connection.ts';
import { keptInReceiveRing, makeReceiveRoom } from './receive-buffer.ts';
import { tryGiveSendRing } from './send-buffer.ts';
import type { TcpLayer } from './tcp-layer.ts';

/** Every connection with rings is looked at so often; its rings go when nothing has moved between two looks. */
export const RING_IDLE_MS = 1000;
/** A look at all is spread over so many. */
const SLICES = 8;
/** When all rings hold data that nobody reads or takes, it is enough to look so often. */
const STALLED_MS = 5000;
/** A ring up to this size may stay while it is used at all; a larger one that is hardly used shrinks to it. */
const MODEST_RING_BYTES = 65_536;
/**
 * A writer that was given a ring keeps it so long, to begin: two writers would take it from each other for ever, when their threads wake
 * late. With its first write the turn is over, since memory that is kept for one is not there for the others.
 */
const WRITERS_TURN_MS = 20;
/** So many are looked at when memory is needed at once. */
const RECLAIM_LOOKS = 256;

/**
 * Takes rings back from connections that do not use them, and serves writers that wait for one. Nothing is done per packet: a
 * hand goes round over the connections that hold rings.
 */
export class RingKeeper implements TimerTarget {
  readonly #layer: TcpLayer;
  readonly #held: TcpConnection[] = [];
  /** Writers without memory, in the order in which they asked. */
  readonly #waiting: Set<TcpConnection> = new Set();
  /** Connections whose peers were told of a closed window, since there was no memory for what they had sent. */
  readonly #refused: Set<TcpConnection> = new Set();
  readonly #timer: TimerEntry;
  /** When writers are served. */
  readonly #turn: TimerEntry;
  #hand = 0;
  #slice = 0;
  /** Looks since something has moved. */
  #still = 0;
  #stalled = false;

  constructor(layer: TcpLayer) {
    this.#layer = layer;
    this.#timer = new TimerEntry(this);
    this.#turn = new TimerEntry({ onDeadline: (now) => this.#serve(now) });
  }

  /** Connections that hold rings. */
  get size(): number {
    return this.#held.length;
  }

  /** The connection has a ring, or may get one soon. */
  hold(c: TcpConnection): void {
    if (c.ringPlace >= 0) return;
    c.ringPlace = this.#held.length;
    this.#held.push(c);
    c.seenRcvNxt = c.rcvNxt;
    c.seenSndUna = c.sndUna;
    this.#still = 0;
    this.#wakeWithin(RING_IDLE_MS / SLICES);
  }

  /** The connection is over: what it holds is the application's to give back. */
  forget(c: TcpConnection): void {
    this.#waiting.delete(c);
    this.#refused.delete(c);
    this.#remove(c);
  }

  /** Whether anybody waits for memory to write into. */
  get hasWriters(): boolean {
    return this.#waiting.size > 0;
  }

  isWaiting(c: TcpConnection): boolean {
    return this.#waiting.has(c);
  }

  /** A writer waits for memory: it gets some when all have who asked before. */
  wait(c: TcpConnection): void {
    this.#waiting.add(c);
    this.#still = 0;
    this.#wakeWithin(RING_IDLE_MS / SLICES);
    this.#awaitMemory();
  }

  #awaitMemory(): void {
    const { elastic } = this.#layer.context.rings;
    if (elastic !== null) elastic.onFreed = (): void => this.emptied();
    this.#serveWithin(WRITERS_TURN_MS);
  }

  /** There is no memory for what has come: the window is closed until there is. */
  refuse(c: TcpConnection): void {
    if (this.#refused.has(c)) return;
    this.#refused.add(c);
    this.#layer.counters.windowsClosedForMemory++;
    this.hold(c);
    this.#still = 0;
    this.#awaitMemory();
  }

  refuses(c: TcpConnection): boolean {
    return this.#refused.size > 0 && this.#refused.has(c);
  }

  /** A ring is empty, or memory has come back: who waits for it is served before the engine does anything else. */
  emptied(): void {
    if (this.#waiting.size > 0 || this.#refused.size > 0) this.#serveWithin(0);
  }

  /** Whether an empty ring would help somebody. */
  get hasWaiting(): boolean {
    return this.#waiting.size > 0 || this.#refused.size > 0;
  }

  /**
   * Takes back empty rings, used a moment ago or not.
   * @param asker who needs memory, and is not parked because it has no ring; null: nobody in particular
   * @returns true when there were any
   */
  reclaim(asker: TcpConnection | null): boolean {
    const { elastic } = this.#layer.context.rings;
    if (elastic === null) return false;
    let taken = false;
    const looks = Math.min(this.#held.length, RECLAIM_LOOKS);
    for (let i = 0; i < looks && this.#held.length > 0; i++) {
      const c = this.#next();
      if (c.canDropReceive) {
        elastic.dropReceive(c);
        taken = true;
      }
      const isWritersTurn = this.#layer.context.now - c.sendRingGivenAt < WRITERS_TURN_MS;
      if (c.canDropSend && !isWritersTurn && elastic.dropSend(c)) taken = true;
      if (c !== asker) this.#removeIfBare(c);
    }
    if (taken) this.#layer.counters.ringsReclaimed++;
    return taken;
  }

  onDeadline(now: number): void {
    if (this.#layer.context.rings.elastic?.isScarce === true) this.reclaim(null);
    const size = this.#held.length;
    const from = this.#stalled ? 0 : Math.floor((size * this.#slice) / SLICES);
    this.#slice = this.#stalled ? 0 : (this.#slice + 1) % SLICES;
    const to = this.#slice === 0 ? size : Math.floor((size * this.#slice) / SLICES);
    // backwards: the last one takes the place of one that leaves, and has its turn in the next round
    for (let i = to - 1; i >= from; i--) {
      this.#still = this.#look(this.#held[i]!) ? 0 : this.#still + 1;
    }
    if (this.#held.length === 0 && !this.hasWaiting) return;
    this.#stalled = !this.hasWaiting && this.#still > 2 * this.#held.length;
    this.#layer.context.timers.set(this.#timer, now + (this.#stalled ? STALLED_MS : RING_IDLE_MS / SLICES));
  }

  #next(): TcpConnection {
    if (this.#hand >= this.#held.length) this.#hand = 0;
    return this.#held[this.#hand++]!;
  }

  #wakeWithin(ms: number): void {
    const at = this.#layer.context.now + ms;
    if (at < this.#timer.deadline) this.#layer.context.timers.set(this.#timer, at);
  }

  #serveWithin(ms: number): void {
    const at = this.#layer.context.now + ms;
    if (at < this.#turn.deadline) this.#layer.context.timers.set(this.#turn, at);
  }

  #serve(now: number): void {
    this.#openWindows();
    for (const c of this.#waiting) {
      if (!tryGiveSendRing(c)) break;
      this.#waiting.delete(c);
    }
    // what has come back meanwhile was looked at; a ring that was given and is not used is free for others then
    this.#layer.context.timers.set(this.#turn, this.hasWaiting ? now + WRITERS_TURN_MS : Infinity);
  }

  /** Those that have waited longest first, as far as there is memory for what they may be sent now. */
  #openWindows(): void {
    for (const c of this.#refused) {
      if (!makeReceiveRoom(c)) break;
      this.#refused.delete(c);
      c.ackNow = true;
      c.ackComment = 'window opened: memory has come back';
      this.#layer.context.wantsToTransmit(c);
    }
  }

  /** @returns true when something has moved since the last look */
  #look(c: TcpConnection): boolean {
    const received = (c.rcvNxt - c.seenRcvNxt) | 0;
    const sent = (c.sndUna - c.seenSndUna) | 0;
    c.seenRcvNxt = c.rcvNxt;
    c.seenSndUna = c.sndUna;
    const { elastic } = this.#layer.context.rings;
    if (elastic === null) return false;
    let moved = received !== 0 || sent !== 0;
    if (received === 0 && c.canDropReceive) {
      elastic.dropReceive(c);
      moved = true;
    } else if (c.recvRing !== null && isOutgrown(c.recvRing, MODEST_RING_BYTES, received)) {
      const kept = keptInReceiveRing(c);
      if (kept <= MODEST_RING_BYTES) elastic.resizeReceive(c, MODEST_RING_BYTES, kept);
    }
    if (sent === 0 && c.canDropSend) {
      moved = elastic.dropSend(c) || moved;
    } else if (c.sendRing !== null && isOutgrown(c.sendRing, this.#modestSendBytes, sent)) {
      if (c.sendRing.usedBytes <= this.#modestSendBytes / 2) elastic.resizeSend(c, this.#modestSendBytes);
    }
    return this.#removeIfBare(c) || moved;
  }

  get #modestSendBytes(): number {
    return Math.max(this.#layer.settings.sendBufferBytes, MODEST_RING_BYTES);
  }

  /** @returns true when the connection has no rings, and goes or will soon */
  #removeIfBare(c: TcpConnection): boolean {
    if (c.recvRing !== null || c.sendRing !== null) return false;
    if (this.#waiting.has(c) || this.#refused.has(c)) return false;
    if (this.#layer.context.now - Math.max(c.lastReceivedAt, c.lastSentAt) < RING_IDLE_MS) return true;
    this.#remove(c);
    park(c);
    return true;
  }

  #remove(c: TcpConnection): void {
    const place = c.ringPlace;
    if (place < 0) return;
    c.ringPlace = -1;
    const last = this.#held.pop()!;
    if (last === c) return;
    this.#held[place] = last;
    last.ringPlace = place;
  }
}

/** @param moved bytes that went through since the last look */
function isOutgrown(ring: Ring, modestBytes: number, moved: number): boolean {
  return ring.capacityBytes > modestBytes && moved < ring.capacityBytes >> 2;
}
