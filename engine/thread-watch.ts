import { type Arena, ArenaWord, isOrphaned, SlotWord, THREAD_SLOTS } from './arena.ts';
import { type SocketBlock, SocketStatus, SocketWord, StreamFlag } from './socket-block.ts';
import { isThreadAlive } from './thread-id.ts';
import { giveThreadSlot } from './thread-slot.ts';

/** How often the engine looks, and at how many blocks then: the rest has its turn the next time. */
const LOOK_MS = 500;
const BLOCKS_PER_LOOK = 4096;
/** A thread that lives takes no such time from a command's bits to the list; one whose socket is another thread's may have ended there. */
const COMMANDED_LOOKS = 2;

/** What a block has lost. */
export const Loss = {
  /** The thread that had a lock of it. */
  Lock: 1,
  /** The thread that it belongs to. */
  Owner: 2,
  /** The way of its commands to the engine: the thread that left them ended before it put the block on the list. */
  Commands: 4,
} as const;

/** Finds the sockets of threads that have ended without a word: Worker.terminate() lets nobody clean up. */
export class ThreadWatch {
  readonly #arena: Arena;
  #lookedAt = 0;
  #next = 0;
  /** Blocks that have had commands since so many looks, none of which the engine has taken. */
  readonly #commanded: Map<number, number> = new Map();
  /** What was found out about threads in the current look. */
  readonly #alive: Map<number, boolean> = new Map();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** @returns whether it is time for {@link look} @param now in milliseconds */
  isDue(now: number): boolean {
    return now - this.#lookedAt >= LOOK_MS;
  }

  /** The engine has taken a block's commands off the list. */
  taken(index: number): void {
    if (this.#commanded.size > 0) this.#commanded.delete(index);
  }

  /** Hands over the blocks that have lost somebody, with bits of {@link Loss}. */
  look(now: number, onLoss: (index: number, loss: number) => void): void {
    this.#lookedAt = now;
    this.#freeSlots();
    const { words, maxSockets } = this.#arena;
    const taken = Math.min(this.#arena.load(ArenaWord.Fresh), maxSockets);
    for (let looked = 0; looked < Math.min(BLOCKS_PER_LOOK, taken); looked++) {
      const index = this.#next < taken ? this.#next : 0;
      this.#next = index + 1;
      const at = this.#arena.blockOffset(index) >> 2;
      if (Atomics.load(words, at + SocketWord.Status) === SocketStatus.Free) continue;
      let loss = 0;
      if (isOrphaned(Atomics.load(words, at + SocketWord.RecvLock))) loss |= Loss.Lock;
      if (isOrphaned(Atomics.load(words, at + SocketWord.SendLock))) loss |= Loss.Lock;
      const owner = Atomics.load(words, at + SocketWord.Owner);
      const isReleased = (Atomics.load(words, at + SocketWord.Flags) & StreamFlag.Released) !== 0;
      if (owner > 0 && !isReleased && !this.#isAlive(owner)) loss |= Loss.Owner;
      const looks = this.#commandedFor(index);
      if ((loss & Loss.Owner) !== 0) {
        if (looks === 1) continue;
        this.#unlist(index);
      } else if (looks > COMMANDED_LOOKS) {
        this.#commanded.delete(index);
        loss |= Loss.Commands;
      }
      if (loss !== 0) onLoss(index, loss);
    }
    this.#alive.clear();
  }

  /** Thread slots of threads that are gone: others need them. */
  #freeSlots(): void {
    const { words } = this.#arena;
    for (let slot = 0; slot < THREAD_SLOTS; slot++) {
      const at = this.#arena.slotWord(slot);
      const thread = Atomics.load(words, at + SlotWord.Taken);
      if (thread === 0 || this.#isAlive(thread)) continue;
      giveThreadSlot(this.#arena, slot);
    }
  }

  /**
   * Bits say whether a block is on a list, and a thread may have ended between the bits and the list: the block's next user
   * would never get on it. @returns how many looks in a row have found commands that the engine did not get
   */
  #commandedFor(index: number): number {
    const at = this.#arena.blockOffset(index) >> 2;
    if (Atomics.load(this.#arena.words, at + SocketWord.Commands) === 0) {
      this.#commanded.delete(index);
      return 0;
    }
    const looks = (this.#commanded.get(index) ?? 0) + 1;
    this.#commanded.set(index, looks);
    return looks;
  }

  /** For a block that nobody uses any more and that is on no list: its bits say so, too. */
  #unlist(index: number): void {
    const { words } = this.#arena;
    const at = this.#arena.blockOffset(index) >> 2;
    this.#commanded.delete(index);
    Atomics.store(words, at + SocketWord.Commands, 0);
    const slot = Atomics.load(words, at + SocketWord.EventSlot) - 1;
    if (slot >= 0 && Atomics.load(words, this.#arena.slotWord(slot) + SlotWord.Taken) === 0) {
      Atomics.store(words, at + SocketWord.EventSlot, 0);
      Atomics.store(words, at + SocketWord.Events, 0);
    }
  }

  #isAlive(thread: number): boolean {
    let alive = this.#alive.get(thread);
    if (alive === undefined) {
      alive = isThreadAlive(thread);
      this.#alive.set(thread, alive);
    }
    return alive;
  }
}

/** Takes the locks of a block from threads that are gone. Whoever waits for them goes on, and finds what the block says by now. */
export function breakLocks({ words, at }: SocketBlock): void {
  for (const lock of [SocketWord.RecvLock, SocketWord.SendLock]) {
    const owner = Atomics.load(words, at + lock);
    if (!isOrphaned(owner) || Atomics.compareExchange(words, at + lock, owner, 0) !== owner) continue;
    Atomics.notify(words, at + lock);
  }
}
