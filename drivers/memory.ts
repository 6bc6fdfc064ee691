import { NetError, Phase } from '../stack/errors.ts';
import { type LinkCapabilities, RxFlag, type TxPacket } from '../stack/link.ts';
import { Slab } from '../stack/wire/slab.ts';
import { type Device, DeviceCounters, type PacketInput } from './device.ts';
import * as sys from './syscalls.ts';

export interface MemoryLinkOptions {
  /** Largest IP packet in bytes, 68 … 65,535. Default 1500. */
  readonly mtuBytes?: number;
  /** Room for packets under way in each direction: a power of two from 256 KiB. Default 1 MiB. */
  readonly queueBytes?: number;
  /**
   * `compute`: every packet carries a right checksum, as on a wire. `skip`: the stacks leave checksums out, since nothing
   * leaves the process. Default `compute`.
   */
  readonly checksums?: 'compute' | 'skip';
  /** Largest TCP super-segment that passes in one piece (with `checksums: 'skip'`), IP header included; 0: none. Default 0. */
  readonly segmentBytes?: number;
}

/** One end of a link between two stacks; can be posted to another thread. Made by {@link createMemoryLink}. */
export interface MemoryLinkEnd {
  readonly kind: 'memory';
  readonly side: 0 | 1;
  readonly memory: SharedArrayBuffer;
  readonly queueBytes: number;
  readonly capabilities: LinkCapabilities;
}

export interface MemoryAttachment {
  /** The eventfd that wakes the thread that drives this end; without it, whoever drives it looks for packets by itself. */
  readonly eventFd?: number;
}

const DEFAULT_MTU_BYTES = 1500;
const DEFAULT_QUEUE_BYTES: number = 1024 * 1024;
/** The largest packet always fits into an empty queue, wherever that wraps. */
const MIN_QUEUE_BYTES: number = 256 * 1024;
const MAX_QUEUE_BYTES: number = 1 << 30;
const MAX_PACKET_BYTES = 65_535;

/** Words of the shared block; each side's words, and each queue's two positions, have a cache line of their own. */
const LINE_WORDS = 16;
const SIDE_WORDS: number = 4 * LINE_WORDS;
const Word = {
  /** Bytes ever written to this side's outgoing queue (int32, wraps). */
  Head: 0,
  /** Bytes ever read from this side's outgoing queue, by the other side. */
  Tail: LINE_WORDS,
  /** One of {@link Attached}. */
  Attached: 2 * LINE_WORDS,
  EventFd: 2 * LINE_WORDS + 1,
  /** Taken by whoever uses or changes EventFd. */
  EventLock: 2 * LINE_WORDS + 2,
  /** 1: the thread of this side sleeps, or is about to. */
  Sleeping: 3 * LINE_WORDS,
  /** 1: this side found its outgoing queue full and waits for room. */
  WaitsForRoom: 3 * LINE_WORDS + 1,
} as const;
const CONTROL_BYTES: number = 2 * SIDE_WORDS * 4;

const Attached = { Never: 0, Now: 1, Gone: 2 } as const;

/** A record is its length, its flags and the packet, rounded up. */
const RECORD_HEADER_BYTES = 8;
const ALIGN_MASK = 7;
/** In place of a length: the rest of the queue up to its end is unused. */
const WRAP = 0xffffffff;

/** How long a thread that closes waits for one that is just waking it, in milliseconds. */
const LOCK_PATIENCE_MS = 10;

/**
 * A link between two stacks of this process, which may run in different threads: one end for each.
 * @throws NetError ARGUMENT_INVALID
 */
export function createMemoryLink(options: MemoryLinkOptions = {}): [MemoryLinkEnd, MemoryLinkEnd] {
  const mtuBytes = options.mtuBytes ?? DEFAULT_MTU_BYTES;
  const queueBytes = options.queueBytes ?? DEFAULT_QUEUE_BYTES;
  const segmentBytes = options.segmentBytes ?? 0;
  const skip = options.checksums === 'skip';
  check(inRange(mtuBytes, 68, MAX_PACKET_BYTES), `an MTU is 68 … ${MAX_PACKET_BYTES} bytes, got ${mtuBytes}`);
  check(
    inRange(queueBytes, MIN_QUEUE_BYTES, MAX_QUEUE_BYTES) && (queueBytes & (queueBytes - 1)) === 0,
    `queueBytes is a power of two from ${MIN_QUEUE_BYTES} to ${MAX_QUEUE_BYTES}, got ${queueBytes}`,
  );
  check(
    segmentBytes === 0 || (skip && inRange(segmentBytes, mtuBytes, MAX_PACKET_BYTES)),
    `segmentBytes needs checksums: 'skip' and is ${mtuBytes} … ${MAX_PACKET_BYTES}, got ${segmentBytes}`,
  );
  const memory = new SharedArrayBuffer(CONTROL_BYTES + 2 * queueBytes);
  const words = new Int32Array(memory, 0, CONTROL_BYTES / 4);
  words[Word.EventFd] = -1;
  words[SIDE_WORDS + Word.EventFd] = -1;
  const capabilities: LinkCapabilities = { mtuBytes, txChecksum: skip, txSegmentBytes: segmentBytes };
  return [
    { kind: 'memory', side: 0, memory, queueBytes, capabilities },
    { kind: 'memory', side: 1, memory, queueBytes, capabilities },
  ];
}

/**
 * Attaches the calling thread to one end. Packets sent before the other end is attached wait in the queue.
 * @throws NetError DEVICE_FAILED when this end is or was in use
 */
export function openMemory(end: MemoryLinkEnd, attachment: MemoryAttachment = {}): Device {
  return new MemoryDevice(end, attachment.eventFd ?? -1);
}

function inRange(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

function check(ok: boolean, detail: string): void {
  if (!ok) throw new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}

class MemoryDevice implements Device {
  readonly name: string;
  readonly capabilities: LinkCapabilities;
  readonly counters = new DeviceCounters();
  readonly pollFd = -1;
  readonly #words: Int32Array;
  /** Where this side's and the other side's words begin. */
  readonly #own: number;
  readonly #peer: number;
  readonly #slab: Slab;
  readonly #outBase: number;
  readonly #inBase: number;
  readonly #queueBytes: number;
  readonly #mask: number;
  /** Own position in the outgoing queue; shared with the reader at every send. */
  #head = 0;
  #tail = 0;
  /** The last packet found no room, when the other side had read up to `fullTail`. */
  #full = false;
  #fullTail = 0;
  /** Something was sent since the last flush. */
  #peerHasWork = false;
  #closed = false;

  constructor(end: MemoryLinkEnd, eventFd: number) {
    this.name = `memory:${end.side}`;
    this.capabilities = end.capabilities;
    this.#words = new Int32Array(end.memory, 0, CONTROL_BYTES / 4);
    this.#own = end.side * SIDE_WORDS;
    this.#peer = SIDE_WORDS - this.#own;
    this.#slab = new Slab(new Uint8Array(end.memory));
    this.#queueBytes = end.queueBytes;
    this.#mask = end.queueBytes - 1;
    this.#outBase = CONTROL_BYTES + end.side * end.queueBytes;
    this.#inBase = CONTROL_BYTES + (1 - end.side) * end.queueBytes;
    const attached = this.#own + Word.Attached;
    if (Atomics.compareExchange(this.#words, attached, Attached.Never, Attached.Now) !== Attached.Never) {
      throw new NetError('DEVICE_FAILED', {
        phase: Phase.None,
        detail: `end ${end.side} of the memory link is already in use`,
      });
    }
    Atomics.store(this.#words, this.#own + Word.EventFd, eventFd);
  }

  send(packet: TxPacket): boolean {
    const words = this.#words;
    const lengthBytes = packet.lengthBytes;
    if (lengthBytes > MAX_PACKET_BYTES) {
      this.counters.txDroppedTooLarge++;
      return true;
    }
    const peerState = Atomics.load(words, this.#peer + Word.Attached);
    if (this.#closed || peerState === Attached.Gone) {
      this.counters.txDroppedDown++;
      return true;
    }
    const recordBytes = (RECORD_HEADER_BYTES + lengthBytes + ALIGN_MASK) & ~ALIGN_MASK;
    const toEnd = this.#queueBytes - (this.#head & this.#mask);
    const skipBytes = recordBytes > toEnd ? toEnd : 0;
    const tail = Atomics.load(words, this.#own + Word.Tail);
    const used = (this.#head - tail) | 0;
    if (used + skipBytes + recordBytes > this.#queueBytes) return this.#noRoom(peerState, tail);
    this.#full = false;
    const view = this.#slab.view;
    if (skipBytes > 0) view.setUint32(this.#outBase + (this.#head & this.#mask), WRAP);
    const at = this.#outBase + ((this.#head + skipBytes) & this.#mask);
    view.setUint32(at, lengthBytes);
    view.setUint32(at + 4, packet.csumStart < 0 ? 0 : RxFlag.ChecksumValid | RxFlag.ChecksumPartial);
    packet.gather(this.#slab.bytes, at + RECORD_HEADER_BYTES);
    this.#head = (this.#head + skipBytes + recordBytes) | 0;
    Atomics.store(words, this.#own + Word.Head, this.#head);
    this.counters.txPackets++;
    this.counters.txBytes += lengthBytes;
    this.#peerHasWork = true;
    return true;
  }

  /** @returns what `send` returns */
  #noRoom(peerState: number, tail: number): boolean {
    if (peerState === Attached.Never) {
      this.counters.txDroppedDown++;
      return true;
    }
    this.counters.txFull++;
    this.#full = true;
    this.#fullTail = tail;
    Atomics.store(this.#words, this.#own + Word.WaitsForRoom, 1);
    return false;
  }

  receive(input: PacketInput, budget: number): number {
    const words = this.#words;
    const view = this.#slab.view;
    const head = Atomics.load(words, this.#peer + Word.Head);
    let packets = 0;
    while (packets < budget && this.#tail !== head) {
      const at = this.#inBase + (this.#tail & this.#mask);
      const lengthBytes = view.getUint32(at);
      if (lengthBytes === WRAP) {
        this.#tail = (this.#tail + this.#queueBytes - (this.#tail & this.#mask)) | 0;
        continue;
      }
      packets++;
      this.counters.rxPackets++;
      this.counters.rxBytes += lengthBytes;
      input.input(this.#slab, at + RECORD_HEADER_BYTES, lengthBytes, view.getUint32(at + 4));
      this.#tail = (this.#tail + ((RECORD_HEADER_BYTES + lengthBytes + ALIGN_MASK) & ~ALIGN_MASK)) | 0;
      Atomics.store(words, this.#peer + Word.Tail, this.#tail);
    }
    if (packets > 0 && Atomics.load(words, this.#peer + Word.WaitsForRoom) === 1) {
      Atomics.store(words, this.#peer + Word.WaitsForRoom, 0);
      this.#wakePeer();
    }
    return packets;
  }

  flush(): void {
    if (!this.#peerHasWork) return;
    this.#peerHasWork = false;
    this.#wakePeer();
  }

  #wakePeer(): void {
    const words = this.#words;
    if (Atomics.compareExchange(words, this.#peer + Word.Sleeping, 1, 0) !== 1) return;
    // the lock keeps the number from being used after the other side has closed its eventfd
    if (Atomics.compareExchange(words, this.#peer + Word.EventLock, 0, 1) !== 0) return;
    const fd = Atomics.load(words, this.#peer + Word.EventFd);
    if (fd >= 0) sys.signalEvent(fd);
    Atomics.store(words, this.#peer + Word.EventLock, 0);
    Atomics.notify(words, this.#peer + Word.EventLock);
  }

  prepareSleep(): boolean {
    const words = this.#words;
    this.flush();
    Atomics.store(words, this.#own + Word.Sleeping, 1);
    // Both sides write first and look afterwards: whoever comes second sees the other.
    const input = Atomics.load(words, this.#peer + Word.Head) !== this.#tail;
    const room = this.#full && Atomics.load(words, this.#own + Word.Tail) !== this.#fullTail;
    if (!input && !room) return true;
    this.awake();
    return false;
  }

  awake(): void {
    Atomics.store(this.#words, this.#own + Word.Sleeping, 0);
  }

  nextDeadline(): number {
    return Number.POSITIVE_INFINITY;
  }

  advance(): void {}

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const words = this.#words;
    const lock = this.#own + Word.EventLock;
    // a thread that was terminated while it held the lock holds it for ever: patience ends
    if (Atomics.compareExchange(words, lock, 0, 1) !== 0) Atomics.wait(words, lock, 1, LOCK_PATIENCE_MS);
    Atomics.store(words, this.#own + Word.EventFd, -1);
    Atomics.store(words, lock, 0);
    Atomics.store(words, this.#own + Word.Attached, Attached.Gone);
    // it may wait for room that nobody will make any more
    this.#wakePeer();
  }
}
