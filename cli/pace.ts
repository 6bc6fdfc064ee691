import { setTimeout as sleep } from 'node:timers/promises';

/** Waits shorter than this are saved up: timers are no finer. */
const LEAST_WAIT_MS = 1;
/** What was not used in so long is lost. */
const BURST_MS = 20;

/** Keeps bytes to a rate, over as many senders as share it. */
export class Pace {
  readonly #bytesPerMs: number;
  #dueAt: number = performance.now();

  /** @param bitsPerSecond Infinity: no limit */
  constructor(bitsPerSecond: number) {
    this.#bytesPerMs = bitsPerSecond / 8000;
  }

  /** After so many bytes have been sent: waits until more may be, or the signal is aborted. */
  async sent(bytes: number, end: AbortSignal): Promise<void> {
    if (this.#bytesPerMs === Infinity) return;
    const now = performance.now();
    this.#dueAt = Math.max(this.#dueAt, now - BURST_MS) + bytes / this.#bytesPerMs;
    const aheadMs = this.#dueAt - now;
    if (aheadMs >= LEAST_WAIT_MS) await sleep(aheadMs, undefined, { signal: end }).catch(() => {});
  }
}
