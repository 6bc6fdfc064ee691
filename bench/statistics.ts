/** @returns the middle value, or the mean of the two; NaN of nothing */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Collects latencies without allocating for each. */
export class Latencies {
  readonly #samples: Float64Array = new Float64Array(1 << 20);
  #count = 0;

  reset(): void {
    this.#count = 0;
  }

  /** What comes after the first million is not looked at. */
  add(milliseconds: number): void {
    if (this.#count < this.#samples.length) this.#samples[this.#count++] = milliseconds;
  }

  /** Percentiles in microseconds. */
  get details(): Record<string, number> {
    const sorted = this.#samples.subarray(0, this.#count).sort();
    const at = (share: number): number =>
      Math.round((sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? 0) * 10_000) / 10;
    return { 'p50 µs': at(0.5), 'p99 µs': at(0.99), 'p99.9 µs': at(0.999) };
  }
}
