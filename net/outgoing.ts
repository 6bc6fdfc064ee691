import { type Channel, WOULD_BLOCK } from '../engine/channel.ts';

/** What a socket was given to write and its channel had no room for yet. */
export class Outgoing {
  /** Bytes of all chunks that went out whole. */
  dispatchedBytes = 0;
  #chunks: readonly Uint8Array[] = [];
  #at = 0;
  #off = 0;

  /** Takes chunks over; those before must have gone out. */
  put(chunks: readonly Uint8Array[]): void {
    this.#chunks = chunks;
    this.#at = 0;
    this.#off = 0;
  }

  /** Forgets everything. */
  reset(): void {
    this.dispatchedBytes = 0;
    this.put([]);
  }

  /**
   * Writes what there is room for. @returns bytes written; {@link WOULD_BLOCK} when none were; see {@link isEmpty}
   * @throws what the channel throws
   */
  flush(channel: Channel): number {
    let written = 0;
    for (let chunk = this.#chunks[this.#at]; chunk !== undefined; chunk = this.#chunks[this.#at]) {
      while (this.#off < chunk.length) {
        const taken = channel.write(chunk, this.#off, chunk.length - this.#off);
        if (taken === WOULD_BLOCK) return written || WOULD_BLOCK;
        this.#off += taken;
        written += taken;
      }
      this.#off = 0;
      this.#at++;
    }
    for (const chunk of this.#chunks) this.dispatchedBytes += chunk.length;
    this.#chunks = [];
    this.#at = 0;
    return written;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }
}
