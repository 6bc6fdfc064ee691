import type { DatagramEndpoint, ElasticRings, RingSource } from '../context.ts';
import { Ring } from '../ring.ts';
import { TcpConnection } from '../tcp/connection.ts';

const UDP_RING_BYTES = 65_536;
/** So much is kept for the other direction. */
const KEPT_BYTES = 32_768;

/** Rings from the heap that come when data flows, grow and go, up to a limit: what the engine does in shared memory. */
export class ElasticHeapRings implements RingSource, ElasticRings {
  readonly elastic: ElasticRings = this;
  /** Bytes of all rings together, at most; either direction leaves the other a little. */
  limitBytes: number = Infinity;
  sendBytes = 0;
  recvBytes = 0;
  isScarce = false;
  onFreed: () => void = () => {};
  /** Memory is scarce from three quarters of the limit on, until five eighths, as in the engine. */
  knowsScarcity = false;
  /** The most there ever were. */
  peakBytes = 0;
  /** Endpoints admitted and not over. */
  openCount = 0;
  /** Whether an application is just writing, which keeps its ring where it is. */
  isWriting: () => boolean = () => false;
  /** Rings that the application took by itself, not yet attached. */
  readonly #taken: Map<TcpConnection, Ring> = new Map();

  open(endpoint: TcpConnection | DatagramEndpoint): boolean {
    if (!(endpoint instanceof TcpConnection)) {
      endpoint.sendRing = Ring.alloc(UDP_RING_BYTES);
      endpoint.recvRing = Ring.alloc(UDP_RING_BYTES);
    }
    this.openCount++;
    return true;
  }

  /** What lies in the rings can still be read. */
  close(endpoint: TcpConnection | DatagramEndpoint): void {
    this.openCount--;
    if (!(endpoint instanceof TcpConnection)) return;
    this.sendBytes -= (endpoint.sendRing ?? this.#taken.get(endpoint))?.capacityBytes ?? 0;
    this.recvBytes -= endpoint.recvRing?.capacityBytes ?? 0;
    this.#taken.delete(endpoint);
    this.#cameBack();
  }

  /** Application: writes what fits now. @returns bytes taken; 0: Writable follows */
  write(c: TcpConnection, from: Uint8Array, off: number, len: number, byItself: boolean): number {
    if (c.finQueued || len === 0) return 0;
    if (c.sendRing === null && byItself) {
      const ring = this.#takeSend(c.layer.settings.sendBufferBytes);
      if (ring !== null) this.#taken.set(c, ring);
    }
    const ring = c.sendRing ?? this.#taken.get(c) ?? null;
    if (ring === null) {
      c.appWantsRing();
      return 0;
    }
    const taken = ring.write(from, off, len);
    if (taken > 0) c.appWrote();
    return taken;
  }

  resizeReceive(c: TcpConnection, capacityBytes: number, keepBytes: number): boolean {
    const ring = this.#take(capacityBytes, this.recvBytes);
    if (ring === null) return false;
    const old = c.recvRing;
    this.recvBytes += capacityBytes - (old?.capacityBytes ?? 0);
    this.#noteMemory();
    if (old !== null) this.#move(old, ring, keepBytes);
    c.recvRing = ring;
    return true;
  }

  giveSend(c: TcpConnection, capacityBytes: number): boolean {
    const ring = this.#takeSend(capacityBytes);
    if (ring === null) return false;
    c.sendRing = ring;
    return true;
  }

  resizeSend(c: TcpConnection, capacityBytes: number): boolean {
    if (this.isWriting()) return false;
    const ring = this.#takeSend(capacityBytes);
    if (ring === null) return false;
    const old = c.sendRing!;
    this.sendBytes -= old.capacityBytes;
    this.#move(old, ring, old.usedBytes);
    c.sendRing = ring;
    return true;
  }

  attachSend(c: TcpConnection): boolean {
    const ring = this.#taken.get(c);
    if (ring === undefined) return false;
    this.#taken.delete(c);
    c.sendRing = ring;
    return true;
  }

  dropReceive(c: TcpConnection): void {
    if (c.recvRing!.usedBytes > 0) throw new Error('the receive ring is not empty');
    this.recvBytes -= c.recvRing!.capacityBytes;
    this.#give(c.recvRing!);
    c.recvRing = null;
  }

  dropSend(c: TcpConnection): boolean {
    if (this.isWriting() || c.sendRing!.usedBytes > 0) return false;
    this.sendBytes -= c.sendRing!.capacityBytes;
    this.#give(c.sendRing!);
    c.sendRing = null;
    return true;
  }

  receiveBufferChanged(): void {}

  get usedBytes(): number {
    return this.sendBytes + this.recvBytes;
  }

  #cameBack(): void {
    this.#noteMemory();
    this.onFreed();
  }

  #noteMemory(): void {
    if (this.knowsScarcity) this.isScarce = 8 * this.usedBytes > (this.isScarce ? 5 : 6) * this.limitBytes;
  }

  #takeSend(capacityBytes: number): Ring | null {
    const ring = this.#take(capacityBytes, this.sendBytes);
    if (ring !== null) this.sendBytes += capacityBytes;
    this.#noteMemory();
    return ring;
  }

  #take(capacityBytes: number, sameDirectionBytes: number): Ring | null {
    const used = this.usedBytes + capacityBytes;
    if (used > this.limitBytes || sameDirectionBytes + capacityBytes > this.limitBytes - KEPT_BYTES)
      return null;
    if (used > this.peakBytes) this.peakBytes = used;
    return Ring.alloc(capacityBytes);
  }

  #give(ring: Ring): void {
    // nothing of it may be used after this
    ring.slab.bytes.fill(0xdb);
    this.#cameBack();
  }

  #move(from: Ring, to: Ring, keepBytes: number): void {
    const { tail } = from;
    const kept = new Uint8Array(keepBytes);
    from.copyOut(tail, kept, 0, keepBytes);
    to.advanceTail(tail);
    to.advanceHead(from.head);
    to.copyIn(tail, kept, 0, keepBytes);
    this.#give(from);
  }
}
