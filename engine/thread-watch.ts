import { type Arena, ArenaWord, isOrphaned } from './arena.ts';
import { type SocketBlock, SocketStatus, SocketWord, StreamFlag } from './socket-block.ts';
import { isThreadAlive } from './thread-id.ts';

/** How often the engine looks, and at how many blocks then: the rest has its turn the next time. */
const LOOK_MS = 500;
const BLOCKS_PER_LOOK = 4096;

/** What a block has lost. */
export const Loss = {
  /** The thread that had a lock of it. */
  Lock: 1,
  /** The thread that it belongs to. */
  Owner: 2,
} as const;

/** Finds the sockets of threads that have ended without a word: Worker.terminate() lets nobody clean up. */
export class ThreadWatch {
  readonly #arena: Arena;
  #lookedAt = 0;
  #next = 0;
  /** What was found out about threads in the current look. */
  readonly #alive: Map<number, boolean> = new Map();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** @returns whether it is time for {@link look} @param now in milliseconds */
  isDue(now: number): boolean {
    return now - this.#lookedAt >= LOOK_MS;
  }

  /** Hands over the blocks that have lost somebody, with bits of {@link Loss}. */
  look(now: number, onLoss: (index: number, loss: number) => void): void {
    this.#lookedAt = now;
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
      if (loss !== 0) onLoss(index, loss);
    }
    this.#alive.clear();
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
