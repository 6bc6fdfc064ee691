import { RxFlag } from '../stack/link.ts';
import { SeededRandom } from '../stack/random.ts';
import { foldChecksum } from '../stack/wire/checksum.ts';
import { frameHeaderBytes } from '../stack/wire/ethernet.ts';
import { IPV4_HEADER_BYTES, Ipv4, ipVersion, ipv4HeaderBytes } from '../stack/wire/ipv4.ts';
import { IPV6_HEADER_BYTES } from '../stack/wire/ipv6.ts';
import { completePacket } from '../stack/wire/partial-checksum.ts';
import type { Slab } from '../stack/wire/slab.ts';
import type { Impairments } from './impair-options.ts';
import { type HeldPacket, HeldPackets, RateQueue } from './impair-queue.ts';

/** Packets under way in one direction: delayed, or waiting for the link. */
export const MAX_HELD_PACKETS = 65_536;
/** Bytes of them, without the room they do not use. */
export const MAX_HELD_BYTES: number = 64 * 1024 * 1024;

/** What an impaired link did to the packets of one direction. */
export class ImpairCounters {
  /** Packets that came, and their bytes. */
  packets = 0;
  bytes = 0;
  /** Packets handed on, copies included. */
  passed = 0;
  lostDown = 0;
  lostMtu = 0;
  /** Too large, and their sender was told. */
  refusedMtu = 0;
  lostEvery = 0;
  lostListed = 0;
  lostPredicate = 0;
  lostRandom = 0;
  lostBurst = 0;
  lostQueueFull = 0;
  /** Beyond {@link MAX_HELD_PACKETS} or {@link MAX_HELD_BYTES}. */
  lostNoMemory = 0;
  /** Marked Congestion Experienced. */
  marked = 0;
  /** Copies made; what limits the link can lose them too. */
  duplicated = 0;
  corrupted = 0;
  truncated = 0;
  /** Sent ahead of delayed ones. */
  reordered = 0;
}

/** Hears of packets that do not arrive. */
export interface PathEvents {
  /** Too large for the link, and to be told so. */
  refuse(slab: Slab, off: number, len: number): void;
  /** Lost, with its story. Called as long as {@link ImpairedPath.tells}. */
  lost(packet: HeldPacket): void;
}

/** A random stream for each purpose, so that one impairment does not change what another does. */
const Stream = { Loss: 1, Burst: 2, Duplicate: 3, Corrupt: 4, Truncate: 5, Delay: 6, Reorder: 7 } as const;
const STREAMS = 16;

const TOO_MANY = 'lost: too many packets are under way';

/** One direction of an impaired link: decides what becomes of each packet, and keeps it until it is due. */
export class ImpairedPath {
  readonly counters: ImpairCounters = new ImpairCounters();
  /** Packets that will leave. */
  readonly held: HeldPackets = new HeldPackets();
  /** Packets get their story: somebody wants to know what is done to them. */
  tells = false;
  readonly #impairments: Impairments;
  readonly #startMs: number;
  readonly #isEthernet: boolean;
  readonly #events: PathEvents;
  readonly #listed: ReadonlySet<number>;
  readonly #queue: RateQueue | null;
  readonly #random: readonly SeededRandom[];
  #isBad = false;
  #heldBytes = 0;
  /** When the last packet that kept its place is due. */
  #lastDueMs: number = -Infinity;

  /**
   * @param seed different for each direction. @param startMs what down times count from
   * @param isEthernet packets are whole frames
   */
  constructor(
    impairments: Impairments,
    seed: number,
    startMs: number,
    isEthernet: boolean,
    events: PathEvents,
  ) {
    this.#impairments = impairments;
    this.#startMs = startMs;
    this.#isEthernet = isEthernet;
    this.#events = events;
    this.#listed = new Set(impairments.lossPackets ?? []);
    this.#queue = impairments.rateBps === undefined ? null : new RateQueue(impairments.rateBps);
    this.#random = Array.from({ length: STREAMS }, (_, i) => new SeededRandom(Math.imul(seed, STREAMS) + i));
  }

  /** When the first packet is due, in milliseconds of the clock; Infinity: none waits. */
  nextMs(): number {
    return this.held.nextMs();
  }

  /** Decides about a packet taken from `held` and filled: it is added there, or given back. */
  arrive(packet: HeldPacket, now: number): void {
    const { counters } = this;
    const { duplicate = 0, corrupt = 0, truncate = 0 } = this.#impairments;
    counters.packets++;
    counters.bytes += packet.lengthBytes;
    if (this.#isLost(packet, now)) {
      this.#lose(packet);
      return;
    }
    const copy = this.#happens(Stream.Duplicate, duplicate) ? this.#copyOf(packet) : null;
    if (this.#happens(Stream.Corrupt, corrupt)) this.#corrupt(packet);
    if (this.#happens(Stream.Truncate, truncate)) this.#truncate(packet);
    this.#enqueue(packet, now);
    if (copy !== null) {
      this.#enqueue(copy, now);
      if (this.tells) packet.story += `; ${copy.story}`;
    }
  }

  /** Adds a packet that nothing is done to, such as an error message of the link itself. */
  insert(packet: HeldPacket, now: number): void {
    this.#tell(packet, 'made by the link itself');
    if (this.#isFull(packet)) {
      this.counters.lostNoMemory++;
      this.#tell(packet, TOO_MANY);
      this.#lose(packet);
      return;
    }
    this.#hold(packet, now);
  }

  /** The packet that {@link HeldPackets.due} gave has left. */
  passed(packet: HeldPacket): void {
    this.held.shift();
    this.#heldBytes -= packet.lengthBytes;
    this.counters.passed++;
    this.held.release(packet);
  }

  #isLost(packet: HeldPacket, now: number): boolean {
    const { counters } = this;
    const { lossEvery, drop, mtuBytes } = this.#impairments;
    const { slab, off, lengthBytes } = packet;
    if (this.#isDown(now - this.#startMs)) {
      counters.lostDown++;
      this.#tell(packet, 'lost: the link is down');
      return true;
    }
    if (mtuBytes !== undefined && lengthBytes - this.#linkBytesOf(packet) > mtuBytes) {
      this.#tooLarge(packet);
      return true;
    }
    const number = counters.packets;
    if (lossEvery !== undefined && number % lossEvery === 0) {
      counters.lostEvery++;
      this.#tell(packet, 'lost: one of every so many');
      return true;
    }
    if (this.#listed.has(number)) {
      counters.lostListed++;
      this.#tell(packet, 'lost: its number is listed');
      return true;
    }
    if (drop?.(slab, off, lengthBytes, number) === true) {
      counters.lostPredicate++;
      this.#tell(packet, 'lost: chosen by the predicate');
      return true;
    }
    return this.#isUnlucky(packet);
  }

  #lose(packet: HeldPacket): void {
    if (this.tells) {
      packet.isLost = true;
      this.#events.lost(packet);
    }
    this.held.release(packet);
  }

  #tell(packet: HeldPacket, what: string): void {
    if (this.tells) packet.story = packet.story === '' ? what : `${packet.story}, ${what}`;
  }

  #isUnlucky(packet: HeldPacket): boolean {
    const { counters } = this;
    const { loss = 0, ecn = false } = this.#impairments;
    const random = this.#happens(Stream.Loss, loss);
    // both are always asked: the state of the bursts goes on with every packet
    const burst = this.#isInBurst();
    if (!random && !burst) return false;
    if (ecn && this.#mark(packet)) return false;
    if (random) counters.lostRandom++;
    else counters.lostBurst++;
    this.#tell(packet, random ? 'lost: by chance' : 'lost: in a burst');
    return true;
  }

  /** As netem's loss_gilb_ell: the loss is that of the state before the change. */
  #isInBurst(): boolean {
    const { burstLoss } = this.#impairments;
    if (burstLoss === undefined) return false;
    const { toBad, toGood = 1 - toBad, lossInBad = 1, lossInGood = 0 } = burstLoss;
    const lost = this.#happens(Stream.Burst, this.#isBad ? lossInBad : lossInGood);
    if (this.#happens(Stream.Burst, this.#isBad ? toGood : toBad)) this.#isBad = !this.#isBad;
    return lost;
  }

  #isDown(sinceStartMs: number): boolean {
    for (const { fromMs, toMs } of this.#impairments.down ?? []) {
      if (sinceStartMs < fromMs) return false;
      if (sinceStartMs < toMs) return true;
    }
    return false;
  }

  #tooLarge(packet: HeldPacket): void {
    if (this.#impairments.mtuPolicy === 'refuse') {
      this.counters.refusedMtu++;
      this.#tell(packet, 'refused: too large, its sender is told');
      this.#events.refuse(packet.slab, packet.off, packet.lengthBytes);
    } else {
      this.counters.lostMtu++;
      this.#tell(packet, 'lost: too large');
    }
  }

  #copyOf(packet: HeldPacket): HeldPacket {
    const { lengthBytes } = packet;
    const copy = this.held.take(lengthBytes);
    copy.slab.bytes.set(packet.slab.bytes.subarray(packet.off, packet.off + lengthBytes), copy.off);
    copy.flags = packet.flags;
    copy.tx.comment = packet.tx.comment;
    this.counters.duplicated++;
    this.#tell(packet, 'duplicated');
    this.#tell(copy, 'a duplicate');
    return copy;
  }

  #corrupt(packet: HeldPacket): void {
    const { lengthBytes, slab } = packet;
    if (lengthBytes === 0) return;
    exposeDamage(packet, this.#linkBytesOf(packet));
    const bit = this.#below(Stream.Corrupt, lengthBytes * 8);
    slab.bytes[packet.off + (bit >>> 3)]! ^= 1 << (bit & 7);
    this.counters.corrupted++;
    if (this.tells) this.#tell(packet, `a bit of byte ${bit >>> 3} turned over`);
  }

  #truncate(packet: HeldPacket): void {
    const { lengthBytes } = packet;
    if (lengthBytes < 2) return;
    exposeDamage(packet, this.#linkBytesOf(packet));
    packet.lengthBytes = 1 + this.#below(Stream.Truncate, lengthBytes - 1);
    this.counters.truncated++;
    if (this.tells) this.#tell(packet, `cut from ${lengthBytes} to ${packet.lengthBytes} bytes`);
  }

  #mark(packet: HeldPacket): boolean {
    const linkBytes = this.#linkBytesOf(packet);
    const off = packet.off + linkBytes;
    const before = ecnOf(packet.slab, off, packet.lengthBytes - linkBytes);
    if (before === NOT_ECN_CAPABLE) return false;
    if (before !== CONGESTION_EXPERIENCED) {
      markCongestion(packet.slab, off);
      this.counters.marked++;
      this.#tell(packet, 'marked Congestion Experienced');
    }
    return true;
  }

  #enqueue(packet: HeldPacket, now: number): void {
    const { counters } = this;
    if (this.#isFull(packet)) {
      counters.lostNoMemory++;
      this.#tell(packet, TOO_MANY);
      this.#lose(packet);
      return;
    }
    let leavesMs = now;
    if (this.#queue !== null) {
      leavesMs = this.#passLink(this.#queue, packet, now);
      if (leavesMs < 0) {
        counters.lostQueueFull++;
        this.#tell(packet, 'lost: the queue is full');
        this.#lose(packet);
        return;
      }
    }
    const { reorder = 0, keepOrder = false } = this.#impairments;
    let dueMs = leavesMs;
    if (this.#happens(Stream.Reorder, reorder)) {
      counters.reordered++;
      this.#tell(packet, 'sent ahead');
    } else {
      dueMs += this.#delayMs();
      if (keepOrder) dueMs = Math.max(dueMs, this.#lastDueMs);
      this.#lastDueMs = dueMs;
    }
    if (this.tells && dueMs > now) this.#tell(packet, `delayed ${Number((dueMs - now).toFixed(3))} ms`);
    this.#hold(packet, dueMs);
  }

  /** @returns when the packet has left the link of limited rate; -1: the queue is full */
  #passLink(queue: RateQueue, packet: HeldPacket, now: number): number {
    const { queuePackets = 1000, queueBytes = Infinity, ecnThresholdPackets = Infinity } = this.#impairments;
    queue.expire(now);
    const { lengthBytes } = packet;
    if (queue.packets >= queuePackets || queue.bytes + lengthBytes > queueBytes) return -1;
    if (queue.packets >= ecnThresholdPackets) this.#mark(packet);
    return queue.add(lengthBytes, now);
  }

  #delayMs(): number {
    const { delayMs = 0, jitterMs = 0, distribution = 'uniform' } = this.#impairments;
    if (jitterMs === 0) return delayMs;
    const deviation = distribution === 'normal' ? this.#normal() : 2 * this.#uniform(Stream.Delay) - 1;
    return Math.max(delayMs + jitterMs * deviation, 0);
  }

  #isFull(packet: HeldPacket): boolean {
    return this.held.count >= MAX_HELD_PACKETS || this.#heldBytes + packet.lengthBytes > MAX_HELD_BYTES;
  }

  #hold(packet: HeldPacket, dueMs: number): void {
    this.#heldBytes += packet.lengthBytes;
    this.held.add(packet, dueMs);
  }

  /** Length of the link header that it begins with, VLAN tags included. */
  #linkBytesOf({ slab, off, lengthBytes }: HeldPacket): number {
    return this.#isEthernet ? frameHeaderBytes(slab.view, off, lengthBytes) : 0;
  }

  #happens(stream: number, chance: number): boolean {
    return chance > 0 && this.#uniform(stream) < chance;
  }

  /** 0 … 1, 1 excluded. */
  #uniform(stream: number): number {
    return this.#random[stream]!.uint32() / 0x1_0000_0000;
  }

  #below(stream: number, limit: number): number {
    return Math.floor(this.#uniform(stream) * limit);
  }

  /** Mean 0, deviation 1: the sum of twelve uniform numbers, which is the same on every machine. Within ±6. */
  #normal(): number {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += this.#uniform(Stream.Delay);
    return sum;
  }
}

/** The checksum of a damaged packet must be there, and must be verified, for the damage to be found. */
function exposeDamage(packet: HeldPacket, linkBytes: number): void {
  if ((packet.flags & RxFlag.ChecksumPartial) !== 0)
    completePacket(packet.slab, packet.off + linkBytes, packet.lengthBytes - linkBytes);
  packet.flags = 0;
}

/** RFC 3168 §5: the last two bits of TOS or traffic class. */
const NOT_ECN_CAPABLE = 0;
const CONGESTION_EXPERIENCED = 3;

function ecnOf(slab: Slab, off: number, len: number): number {
  const { view } = slab;
  if (len >= IPV6_HEADER_BYTES && ipVersion(view, off) === 6) return (view.getUint8(off + 1) >>> 4) & 3;
  if (len < IPV4_HEADER_BYTES || ipVersion(view, off) !== 4) return NOT_ECN_CAPABLE;
  const headerBytes = ipv4HeaderBytes(view, off);
  if (headerBytes < IPV4_HEADER_BYTES || headerBytes > len) return NOT_ECN_CAPABLE;
  return view.getUint8(off + Ipv4.TrafficClass) & CONGESTION_EXPERIENCED;
}

function markCongestion(slab: Slab, off: number): void {
  const { view } = slab;
  if (ipVersion(view, off) === 6) {
    view.setUint8(off + 1, view.getUint8(off + 1) | (CONGESTION_EXPERIENCED << 4));
    return;
  }
  // RFC 1624 §3: HC' = ~(~HC + ~m + m'). Not summed anew: damage to the header must stay visible.
  const before = view.getUint16(off);
  view.setUint8(off + Ipv4.TrafficClass, view.getUint8(off + Ipv4.TrafficClass) | CONGESTION_EXPERIENCED);
  const checksum = view.getUint16(off + Ipv4.Checksum);
  const sum = (~checksum & 0xffff) + (~before & 0xffff) + view.getUint16(off);
  view.setUint16(off + Ipv4.Checksum, foldChecksum(sum));
}
