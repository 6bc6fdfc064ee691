/** Out-of-order ranges kept per connection; further ones are not stored, and the peer sends them again. */
export const MAX_REASSEMBLY_RANGES = 128;

/** A power of two, as the limit. */
const FIRST_RANGES = 8;
const NO_RANGES: Int32Array = new Int32Array(0);

/**
 * Which bytes beyond RCV.NXT have arrived. The bytes lie in the receive ring at their final place; here are only their
 * sequence numbers, ordered, disjoint and not adjacent. Bounded by {@link MAX_REASSEMBLY_RANGES}.
 */
export class Assembler {
  left: Int32Array = NO_RANGES;
  right: Int32Array = NO_RANGES;
  /** When a range was last hit, as a running number: RFC 2018 §4 wants the most recent first. */
  #stamp: Int32Array = NO_RANGES;
  #clock = 0;
  count = 0;

  /** Adds `left` … `right` - 1. @returns false when the list is full: the range is not noted */
  add(left: number, right: number): boolean {
    let from = 0;
    while (from < this.count && ((left - this.right[from]!) | 0) > 0) from++;
    let to = from;
    while (to < this.count && ((right - this.left[to]!) | 0) >= 0) to++;
    if (from === to) {
      if (this.count === MAX_REASSEMBLY_RANGES) return false;
      if (this.count === this.left.length) this.#grow();
      this.#move(from + 1, from);
      this.count++;
      this.left[from] = left;
      this.right[from] = right;
    } else {
      // Joins the ranges from … to - 1
      if (((left - this.left[from]!) | 0) < 0) this.left[from] = left;
      const last = this.right[to - 1]!;
      this.right[from] = ((right - last) | 0) > 0 ? right : last;
      this.#move(from + 1, to);
      this.count -= to - from - 1;
    }
    this.#stamp[from] = this.#clock++;
    return true;
  }

  /**
   * Takes out everything that continues `next` without a gap.
   * @returns the sequence number behind it; `next` itself when nothing does
   */
  take(next: number): number {
    let at = next;
    let taken = 0;
    while (taken < this.count && ((at - this.left[taken]!) | 0) >= 0) {
      if (((this.right[taken]! - at) | 0) > 0) at = this.right[taken]!;
      taken++;
    }
    if (taken > 0) {
      this.#move(0, taken);
      this.count -= taken;
    }
    return at;
  }

  /** The first range that has bytes of `left` … `right` - 1: its index, or -1. */
  overlap(left: number, right: number): number {
    for (let i = 0; i < this.count; i++) {
      if (((this.right[i]! - left) | 0) > 0) return ((right - this.left[i]!) | 0) > 0 ? i : -1;
    }
    return -1;
  }

  /**
   * Writes SACK blocks, most recent first.
   * @param limit how many at most
   * @returns how many
   */
  writeBlocks(view: DataView, off: number, limit: number): number {
    const blocks = Math.min(this.count, limit);
    let written = 0;
    // The newest one not written yet; `ceiling` is what was written last, so stamps fall strictly
    let ceiling = this.#clock;
    while (written < blocks) {
      let best = -1;
      let age = 0x7fffffff;
      for (let i = 0; i < this.count; i++) {
        const behind = (ceiling - this.#stamp[i]!) | 0;
        if (behind > 0 && behind < age) {
          age = behind;
          best = i;
        }
      }
      if (best < 0) break;
      ceiling = this.#stamp[best]!;
      view.setInt32(off + 8 * written, this.left[best]!);
      view.setInt32(off + 8 * written + 4, this.right[best]!);
      written++;
    }
    return written;
  }

  /** Most connections never see a gap, and most of those that do one or two. */
  #grow(): void {
    const length = Math.max(FIRST_RANGES, 2 * this.left.length);
    this.left = grown(this.left, length);
    this.right = grown(this.right, length);
    this.#stamp = grown(this.#stamp, length);
  }

  #move(to: number, from: number): void {
    this.left.copyWithin(to, from, this.count);
    this.right.copyWithin(to, from, this.count);
    this.#stamp.copyWithin(to, from, this.count);
  }
}

function grown(ranges: Int32Array, length: number): Int32Array {
  const more = new Int32Array(length);
  more.set(ranges);
  return more;
}
