import { Slab } from '../stack/wire/slab.ts';
import { isThreadAlive, OWN_THREAD } from './thread-id.ts';

/**
 * The one block of shared memory of an engine. Every thread of the process maps the same bytes:
 *
 * ```
 * header            HEADER_BYTES          words of ArenaWord, the engine's counters, the text of its failure
 * thread slots      THREAD_SLOTS × 64     one per thread that wants to be woken in its event loop
 * key log ring      KEY_LOG_BYTES         TLS secrets on their way to the capture
 * socket blocks     maxSockets × 512      one per socket: see socket-block.ts
 * pool              the rest              rings and TLS states: see pool.ts
 * ```
 *
 * Pages that nobody has touched cost nothing, so the arena is made as large as the memory limit at once.
 */
export const ArenaWord = {
  Magic: 0,
  /** {@link EngineState} */
  State: 1,
  /** 1 while the engine sleeps in poll: whoever has work for it writes to the eventfd. */
  Sleeping: 2,
  StopRequested: 3,
  EventFd: 4,
  /** Sockets with commands: index + 1 of the first, 0: none. Linked by SocketWord.NextCommand. */
  CommandHead: 5,
  /** Free socket blocks: tag in the upper 12 bits, index + 1 in the lower 20. Linked by SocketWord.NextFree. */
  FreeHead: 6,
  MaxSockets: 7,
  PoolOffset: 8,
  ErrorCode: 9,
  ErrorTextBytes: 10,
  KeyLogHead: 11,
  KeyLogTail: 12,
  KeyLogLock: 13,
  /** Non-zero: TLS channels hand their secrets to the capture. */
  KeyLogWanted: 14,
  /** How many socket blocks were ever taken: blocks from here on are fresh. */
  Fresh: 15,
  /** Send rings for whoever has to write: tag in the upper 12 bits, page + 1 in the lower 20. */
  SpareHead: 16,
  /** Size of each; 0: there are none. */
  SpareBytes: 17,
  /** How many there are. */
  SpareCount: 18,
  /** 1: readers tell of every little thing they take, so that memory moves on. */
  MemoryScarce: 19,
  /** Bytes of the names of the interfaces. */
  InterfaceBytes: 20,
  /** The engine's thread, as Linux numbers it; 0: it has not begun. */
  EngineThread: 21,
  /** 1: other engines, or a clock, may write to the eventfd as well. */
  EventFdLent: 22,
  /** A lock: the thread that tells of an engine's end in its place, see dead-engine.ts. */
  Burial: 23,
  /** Packets told to the starter that it has not heard of; see `PacketTeller`. */
  UnheardPackets: 24,
} as const;

export const EngineState = { Starting: 0, Running: 1, Stopped: 2, Failed: 3 } as const;

const MAGIC = 0x74756e77;
const HEADER_BYTES = 1024;
const INTERFACES_OFF = 128;
const INTERFACES_BYTES = 128;
const COUNTERS_OFF = 256;
const COUNTERS = 32;
const ERROR_TEXT_OFF = 512;
const ERROR_TEXT_BYTES = 512;

/** Threads that can wait for sockets in their event loop at the same time. Blocking calls need no slot. */
export const THREAD_SLOTS = 256;
const SLOT_BYTES = 64;
/** Words of a thread slot. */
export const SlotWord = {
  /** The thread sleeps on this word; it counts up when its ready list got something. */
  Doorbell: 0,
  /** Sockets with events for this thread: index + 1 of the first. Linked by SocketWord.NextReady. */
  ReadyHead: 1,
  /** The thread that has taken it, as Linux numbers it; 0: none. */
  Taken: 2,
  /** 1 while the thread's event loop sleeps on the doorbell. */
  Sleeping: 3,
} as const;

const KEY_LOG_BYTES = 64 * 1024;
/** Bytes of a socket block; see socket-block.ts. */
export const BLOCK_BYTES = 512;
const PAGE_SHIFT = 12;
const PAGE_MASK = (1 << PAGE_SHIFT) - 1;
const INDEX_BITS = 20;
const INDEX_MASK = (1 << INDEX_BITS) - 1;
/** Largest number of sockets an arena can have. */
export const MAX_SOCKETS: number = INDEX_MASK - 1;

export interface ArenaSize {
  /** Sockets at the same time, those in TIME-WAIT or still draining after their close included. */
  readonly maxSockets: number;
  /** Memory for rings and TLS states. */
  readonly poolBytes: number;
}

/** One thread's view of an engine's shared memory. */
export class Arena {
  readonly memory: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly slab: Slab;
  /** What the engine has done: see engine-counters.ts. */
  readonly counters: Float64Array;
  readonly maxSockets: number;
  readonly poolOffset: number;
  readonly #socketsOff: number;

  /** @param memory made by {@link Arena.create}, in this or another thread */
  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.words = new Int32Array(memory);
    this.slab = new Slab(new Uint8Array(memory));
    this.counters = new Float64Array(memory, COUNTERS_OFF, COUNTERS);
    if (this.load(ArenaWord.Magic) !== MAGIC) throw new TypeError('not the memory of a tunwire engine');
    this.maxSockets = this.load(ArenaWord.MaxSockets);
    this.poolOffset = this.load(ArenaWord.PoolOffset);
    this.#socketsOff = HEADER_BYTES + THREAD_SLOTS * SLOT_BYTES + KEY_LOG_BYTES;
  }

  static create(size: ArenaSize): Arena {
    if (size.maxSockets < 1 || size.maxSockets > MAX_SOCKETS) {
      throw new RangeError(`maxSockets must be 1 … ${MAX_SOCKETS}, got ${size.maxSockets}`);
    }
    const fixed = HEADER_BYTES + THREAD_SLOTS * SLOT_BYTES + KEY_LOG_BYTES + size.maxSockets * BLOCK_BYTES;
    // page aligned, so that rings can be given back to the system page by page
    const poolOffset = (fixed + PAGE_MASK) & ~PAGE_MASK;
    const memory = new SharedArrayBuffer(poolOffset + size.poolBytes);
    const words = new Int32Array(memory);
    words[ArenaWord.Magic] = MAGIC;
    words[ArenaWord.MaxSockets] = size.maxSockets;
    words[ArenaWord.PoolOffset] = poolOffset;
    words[ArenaWord.EventFd] = -1;
    return new Arena(memory);
  }

  load(word: number): number {
    return Atomics.load(this.words, word);
  }

  store(word: number, value: number): void {
    Atomics.store(this.words, word, value);
  }

  /** Index of the first word of a thread slot. */
  slotWord(slot: number): number {
    return (HEADER_BYTES + slot * SLOT_BYTES) >> 2;
  }

  /** Offset of a socket's block in the slab. */
  blockOffset(index: number): number {
    return this.#socketsOff + index * BLOCK_BYTES;
  }

  /** Takes a thread slot, which giveThreadSlot gives back. @returns -1 when all are taken */
  takeSlot(): number {
    for (let slot = 0; slot < THREAD_SLOTS; slot++) {
      if (Atomics.compareExchange(this.words, this.slotWord(slot) + SlotWord.Taken, 0, OWN_THREAD) === 0)
        return slot;
    }
    return -1;
  }

  /** Wakes the event loops of all threads that have a slot. */
  ringAll(): void {
    for (let slot = 0; slot < THREAD_SLOTS; slot++) {
      const at = this.slotWord(slot);
      if (this.load(at + SlotWord.Taken) === 0) continue;
      Atomics.add(this.words, at + SlotWord.Doorbell, 1);
      Atomics.notify(this.words, at + SlotWord.Doorbell);
    }
  }

  /** Pushes a socket on a list whose head is at `headWord`; several producers, one consumer that takes all. */
  push(headWord: number, linkWord: number, index: number): void {
    for (;;) {
      const head = this.load(headWord);
      this.store(linkWord, head);
      if (Atomics.compareExchange(this.words, headWord, head, index + 1) === head) return;
    }
  }

  /**
   * Takes a whole list in the order of its pushes.
   * @param link the list's word within a socket block
   * @returns index + 1 of the first socket, 0: empty; each one's next is in its link word
   */
  takeAll(headWord: number, link: number): number {
    let rest = Atomics.exchange(this.words, headWord, 0);
    let first = 0;
    while (rest !== 0) {
      const linkWord = (this.blockOffset(rest - 1) >> 2) + link;
      const next = this.load(linkWord);
      this.store(linkWord, first);
      first = rest;
      rest = next;
    }
    return first;
  }

  /** Takes a free socket block. The tag makes a pop safe against others in between. @returns -1 when none is free */
  takeBlock(nextFreeWord: number): number {
    for (;;) {
      const head = this.load(ArenaWord.FreeHead);
      const index = (head & INDEX_MASK) - 1;
      if (index < 0) break;
      const next = this.load((this.blockOffset(index) >> 2) + nextFreeWord);
      const tagged = ((head & ~INDEX_MASK) + (INDEX_MASK + 1)) | (next & INDEX_MASK);
      if (Atomics.compareExchange(this.words, ArenaWord.FreeHead, head, tagged) === head) return index;
    }
    const fresh = Atomics.add(this.words, ArenaWord.Fresh, 1);
    if (fresh < this.maxSockets) return fresh;
    Atomics.sub(this.words, ArenaWord.Fresh, 1);
    return -1;
  }

  giveBlock(index: number, nextFreeWord: number): void {
    for (;;) {
      const head = this.load(ArenaWord.FreeHead);
      this.store((this.blockOffset(index) >> 2) + nextFreeWord, head & INDEX_MASK);
      const tagged = ((head & ~INDEX_MASK) + (INDEX_MASK + 1)) | (index + 1);
      if (Atomics.compareExchange(this.words, ArenaWord.FreeHead, head, tagged) === head) return;
    }
  }

  /** Takes a send ring of `SpareBytes` bytes. @returns its offset, -1 when there is none */
  takeSpare(): number {
    for (;;) {
      const head = this.load(ArenaWord.SpareHead);
      const page = (head & INDEX_MASK) - 1;
      if (page < 0) return -1;
      // another thread may have it by now and write into it: then the exchange fails by the tag
      const next = this.load(page << (PAGE_SHIFT - 2));
      const tagged = ((head & ~INDEX_MASK) + (INDEX_MASK + 1)) | (next & INDEX_MASK);
      if (Atomics.compareExchange(this.words, ArenaWord.SpareHead, head, tagged) === head) {
        Atomics.sub(this.words, ArenaWord.SpareCount, 1);
        return page << PAGE_SHIFT;
      }
    }
  }

  /** Lays a send ring ready. @param offset a multiple of the page size */
  giveSpare(offset: number): void {
    const page = offset >>> PAGE_SHIFT;
    for (;;) {
      const head = this.load(ArenaWord.SpareHead);
      this.store(offset >>> 2, head & INDEX_MASK);
      const tagged = ((head & ~INDEX_MASK) + (INDEX_MASK + 1)) | (page + 1);
      if (Atomics.compareExchange(this.words, ArenaWord.SpareHead, head, tagged) === head) break;
    }
    Atomics.add(this.words, ArenaWord.SpareCount, 1);
  }

  /** The names of the stack's interfaces, in order. */
  get interfaces(): string[] {
    const length = this.load(ArenaWord.InterfaceBytes);
    if (length === 0) return [];
    return new TextDecoder()
      .decode(this.slab.bytes.slice(INTERFACES_OFF, INTERFACES_OFF + length))
      .split('\n');
  }

  setInterfaces(names: readonly string[]): void {
    const bytes = new TextEncoder().encode(names.join('\n')).subarray(0, INTERFACES_BYTES);
    this.slab.bytes.set(bytes, INTERFACES_OFF);
    this.store(ArenaWord.InterfaceBytes, bytes.length);
  }

  /** Why the engine failed; empty while it has not. */
  get failure(): string {
    const length = this.load(ArenaWord.ErrorTextBytes);
    return new TextDecoder().decode(this.slab.bytes.slice(ERROR_TEXT_OFF, ERROR_TEXT_OFF + length));
  }

  setFailure(code: number, text: string): void {
    const bytes = new TextEncoder().encode(text).subarray(0, ERROR_TEXT_BYTES);
    this.slab.bytes.set(bytes, ERROR_TEXT_OFF);
    this.store(ArenaWord.ErrorTextBytes, bytes.length);
    this.store(ArenaWord.ErrorCode, code);
  }

  /** Hands a line of the TLS key log to the capture; dropped when the engine is too far behind. @returns false then */
  writeKeyLog(line: string): boolean {
    const bytes = new TextEncoder().encode(`${line}\n`);
    lockWord(this.words, ArenaWord.KeyLogLock);
    const head = this.load(ArenaWord.KeyLogHead);
    const room = KEY_LOG_BYTES - ((head - this.load(ArenaWord.KeyLogTail)) | 0);
    if (bytes.length <= room) {
      for (let i = 0; i < bytes.length; i++) {
        this.slab.bytes[this.#keyLogOff + ((head + i) & (KEY_LOG_BYTES - 1))] = bytes[i] ?? 0;
      }
      this.store(ArenaWord.KeyLogHead, (head + bytes.length) | 0);
    }
    unlockWord(this.words, ArenaWord.KeyLogLock);
    return bytes.length <= room;
  }

  /** Engine: takes the lines written since the last call, '' when there are none. */
  takeKeyLog(): string {
    const tail = this.load(ArenaWord.KeyLogTail);
    const length = (this.load(ArenaWord.KeyLogHead) - tail) | 0;
    if (length === 0) return '';
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      bytes[i] = this.slab.bytes[this.#keyLogOff + ((tail + i) & (KEY_LOG_BYTES - 1))] ?? 0;
    }
    this.store(ArenaWord.KeyLogTail, (tail + length) | 0);
    return new TextDecoder().decode(bytes);
  }

  get #keyLogOff(): number {
    return HEADER_BYTES + THREAD_SLOTS * SLOT_BYTES;
  }
}

/** In a lock's word beside the number of the thread that has it: somebody waits. */
const AWAITED = 1 << 30;
/** How long a waiter believes that the owner of a lock is about to give it back. */
const LOCK_PATIENCE_MS = 1000;

/** Takes a lock only if nobody has it: the engine waits for no other thread. */
export function tryLockWord(words: Int32Array, word: number): boolean {
  return Atomics.compareExchange(words, word, 0, OWN_THREAD) === 0;
}

/**
 * Takes a lock that is held for a few instructions or one record at most. Its word is 0 or the number of the thread that has it.
 * @returns false: it has been inherited from a thread that was ended with it, in the middle of something
 */
export function lockWord(words: Int32Array, word: number): boolean {
  if (Atomics.compareExchange(words, word, 0, OWN_THREAD) === 0) return true;
  for (;;) {
    const owner = Atomics.load(words, word);
    if (owner === 0) {
      // others may wait, too
      if (Atomics.compareExchange(words, word, 0, OWN_THREAD | AWAITED) === 0) return true;
      continue;
    }
    const awaited = owner | AWAITED;
    if (Atomics.compareExchange(words, word, owner, awaited) !== owner) continue;
    if (Atomics.wait(words, word, awaited, LOCK_PATIENCE_MS) !== 'timed-out' || !isOrphaned(awaited))
      continue;
    if (Atomics.compareExchange(words, word, awaited, OWN_THREAD | AWAITED) === awaited) return false;
  }
}

export function unlockWord(words: Int32Array, word: number): void {
  if ((Atomics.exchange(words, word, 0) & AWAITED) !== 0) Atomics.notify(words, word, 1);
}

/** @param lock the content of a lock's word @returns whether the thread that has it is gone */
export function isOrphaned(lock: number): boolean {
  return lock !== 0 && !isThreadAlive(lock & ~AWAITED);
}
