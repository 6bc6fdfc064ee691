import type { RingSource } from '../context.ts';
import { Ring } from '../ring.ts';

/** Whatever has a pair of rings. */
interface RingHolder {
  sendRing: Ring | null;
  recvRing: Ring | null;
}

/** Rings from the heap, of one size each; counts them, so that tests see leaks. */
export class HeapRings implements RingSource {
  readonly sendBytes: number;
  readonly recvBytes: number;
  readonly elastic = null;
  /** Endpoints that hold rings now. */
  openCount = 0;
  /** Set: {@link open} refuses from this many endpoints on. */
  limit: number = Infinity;

  /** @param sendBytes a power of two, as `recvBytes` */
  constructor(sendBytes: number, recvBytes: number) {
    this.sendBytes = sendBytes;
    this.recvBytes = recvBytes;
  }

  open(endpoint: RingHolder): boolean {
    if (this.openCount >= this.limit) return false;
    endpoint.sendRing = Ring.alloc(this.sendBytes);
    endpoint.recvRing = Ring.alloc(this.recvBytes);
    this.openCount++;
    return true;
  }

  close(_endpoint: RingHolder): void {
    this.openCount--;
  }
}
