import { getHeapStatistics } from 'node:v8';
import { collectGarbage } from './garbage.ts';

/** Nothing has moved for so long. */
const QUIET_MS = 2000;
/** Garbage that is worth a collection: so many bytes, and a part of what lives. */
const LEAST_BYTES = 4 * 1024 * 1024;
const LEAST_PART = 0.25;

/**
 * Collects the garbage of an engine's thread when it has become quiet. V8 does that from the event loop, to which an engine never returns:
 * what connections had needed before they were parked stayed, 3.7 KB for each of 100,000.
 */
export class IdleCollection {
  #moved = -1;
  #quietMs = 0;
  #isDone = false;
  #liveBytes: number = getHeapStatistics().used_heap_size;

  /** After each sleep. @param moved counts what the engine has done, such as packets and commands */
  slept(asleepMs: number, moved: number): void {
    if (moved !== this.#moved) {
      this.#moved = moved;
      this.#quietMs = 0;
      this.#isDone = false;
      return;
    }
    this.#quietMs += asleepMs;
    if (this.#isDone || this.#quietMs < QUIET_MS) return;
    this.#isDone = true;
    if (getHeapStatistics().used_heap_size < this.#liveBytes * (1 + LEAST_PART) + LEAST_BYTES) return;
    collectGarbage({ type: 'major', flavor: 'last-resort' });
    this.#liveBytes = getHeapStatistics().used_heap_size;
  }
}
