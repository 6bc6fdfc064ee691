import type { StackContext } from '../context.ts';
import { HEADROOM_BYTES, TxPacket } from '../link.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { Slab } from '../wire/slab.ts';
import { Neighbour, type NeighbourCounters, NeighbourState } from './neighbour.ts';

/** Neighbours remembered per link. One that nothing is sent to makes room for another. */
export const NEIGHBOUR_CACHE_ENTRIES = 1024;
/** Packets that wait for one neighbour (RFC 4861 §7.2.2: a small queue; the newest replaces the oldest). */
export const NEIGHBOUR_QUEUE_PACKETS = 3;
/** Bytes that wait for all neighbours of a link together. */
export const NEIGHBOUR_QUEUE_BYTES: number = 1024 * 1024;

/** RFC 4861 §10: MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT. */
export const MAX_SOLICITATIONS = 3;
/** RFC 4861 §10: RETRANS_TIMER. */
export const RETRANSMIT_MS = 1000;
/** RFC 4861 §10: DELAY_FIRST_PROBE_TIME. */
export const DELAY_FIRST_PROBE_MS = 5000;
/** RFC 4861 §10: REACHABLE_TIME, to be multiplied by 0.5 … 1.5 (§6.3.2) so that stations do not probe in step. */
export const REACHABLE_MS = 30_000;
/** What routers may say of both times (RFC 4861 §4.2): less would flood the link, more would find nobody. An hour is §6.2.1's limit. */
export const LEAST_ADVERTISED_REACHABLE_MS = 1000;
export const MOST_ADVERTISED_REACHABLE_MS = 3_600_000;
export const LEAST_ADVERTISED_RETRANSMIT_MS = 100;
export const MOST_ADVERTISED_RETRANSMIT_MS = 10_000;
/** A link address that changes more often than this is not believed: two stations fight for it, or somebody forges. */
export const CHANGE_INTERVAL_MS = 1000;

/** What a cache needs of its link. */
export interface NeighbourLink {
  /** Asks for the link address of a neighbour. @param unicast ask itself only, at the address known */
  solicit(neighbour: Neighbour, unicast: boolean): void;
  /** Sends a packet that has waited. @returns false when the device is full */
  release(packet: TxPacket, neighbour: Neighbour): boolean;
  /** Nobody answers at the packet's next hop; its trouble was told by {@link silent} before. */
  unreachable(packet: TxPacket): void;
  /** A neighbour does not answer, or not any more. */
  silent(address: IpAddress): void;
  /** It does, or has shown itself. */
  heard(address: IpAddress): void;
  /** When transports last heard from beyond it, in ms; -Infinity: never. */
  progressAt(address: IpAddress): number;
}

/** The neighbours on one link, with RFC 4861 §7.3 for both IP versions. */
export class NeighbourCache {
  /** How long a neighbour that has answered is taken to be there. */
  readonly reachableMs: number;
  /** How long an answer over IPv6 is waited for. */
  retransmitMs: number = RETRANSMIT_MS;
  /** The same for IPv6, where routers say something. */
  #reachableV6Ms: number;
  #advertisedReachableMs: number = REACHABLE_MS;
  readonly #context: StackContext;
  readonly #link: NeighbourLink;
  readonly #counters: NeighbourCounters;
  readonly #byHash = new Map<number, Neighbour>();
  readonly #all: Neighbour[] = [];
  /** Where the next search for a place begins. */
  #hand = 0;
  #waitingBytes = 0;
  readonly #expire = (neighbour: Neighbour, now: number): void => this.#onDeadline(neighbour, now);

  constructor(context: StackContext, link: NeighbourLink, counters: NeighbourCounters) {
    this.#context = context;
    this.#link = link;
    this.#counters = counters;
    this.reachableMs = this.#spread(REACHABLE_MS);
    this.#reachableV6Ms = this.reachableMs;
  }

  /** RFC 4861 §6.3.2 */
  #spread(reachableMs: number): number {
    return reachableMs * (0.5 + (this.#context.random.uint32() >>> 0) / 0x1_0000_0000);
  }

  /** Takes over what a router says of IPv6 on this link (RFC 4861 §6.3.4), within limits. 0: it says nothing */
  routerSaid(reachableMs: number, retransmitMs: number): void {
    if (retransmitMs > 0)
      this.retransmitMs = clamp(retransmitMs, LEAST_ADVERTISED_RETRANSMIT_MS, MOST_ADVERTISED_RETRANSMIT_MS);
    const base = clamp(reachableMs, LEAST_ADVERTISED_REACHABLE_MS, MOST_ADVERTISED_REACHABLE_MS);
    if (reachableMs === 0 || base === this.#advertisedReachableMs) return;
    this.#advertisedReachableMs = base;
    this.#reachableV6Ms = this.#spread(base);
  }

  get size(): number {
    return this.#all.length;
  }

  /** Bytes that wait for neighbours to answer. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** The neighbour with an address (as words); null: not known. */
  find(w0: number, w1: number, w2: number, w3: number): Neighbour | null {
    let at = this.#byHash.get(hashOf(w0, w1, w2, w3)) ?? null;
    while (at !== null) {
      const { address } = at;
      if (address.w3 === w3 && address.w2 === w2 && address.w1 === w1 && address.w0 === w0) return at;
      at = at.next;
    }
    return null;
  }

  /** The neighbour that packets to `address` go to; asked for when it is not known yet. */
  obtain(address: IpAddress): Neighbour {
    const known = this.find(address.w0, address.w1, address.w2, address.w3);
    if (known !== null) return known;
    const neighbour = this.#create(address);
    // before the first solicitation: it must not be the one that goes when room is needed
    neighbour.used = true;
    this.#solicit(neighbour, false);
    return neighbour;
  }

  /** Notes that a packet is about to be sent. @returns false when it has to wait: give it to {@link hold} */
  use(neighbour: Neighbour): boolean {
    neighbour.used = true;
    const { now } = this.#context;
    switch (neighbour.state) {
      case NeighbourState.Reachable:
        if (now - neighbour.confirmedAt <= this.#reachableMs(neighbour)) return true;
        break;
      case NeighbourState.Stale:
        break;
      case NeighbourState.Delay:
      case NeighbourState.Probe:
        return true;
      default:
        return false;
    }
    neighbour.state = NeighbourState.Delay;
    neighbour.delayedAt = now;
    this.#context.timers.set(neighbour.timer, now + DELAY_FIRST_PROBE_MS);
    return true;
  }

  #reachableMs({ address }: Neighbour): number {
    return address.family === 6 ? this.#reachableV6Ms : this.reachableMs;
  }

  /** Keeps a copy of an IP packet until the neighbour has answered. */
  hold(neighbour: Neighbour, packet: TxPacket): void {
    const counters = this.#counters;
    const { waiting } = neighbour;
    const lengthBytes = packet.lengthBytes;
    while (
      waiting.length > 0 &&
      (waiting.length >= NEIGHBOUR_QUEUE_PACKETS || this.#waitingBytes + lengthBytes > NEIGHBOUR_QUEUE_BYTES)
    ) {
      this.#waitingBytes -= waiting.shift()!.lengthBytes;
      counters.queueOverflow++;
    }
    if (this.#waitingBytes + lengthBytes > NEIGHBOUR_QUEUE_BYTES) {
      counters.queueOverflow++;
      return;
    }
    waiting.push(copyOf(packet));
    this.#waitingBytes += lengthBytes;
    counters.queued++;
  }

  /** Learns the link address of somebody who asks for ours (RFC 826, RFC 4861 §7.2.3): it will want an answer. */
  learn(address: IpAddress, high: number, low: number): void {
    const known = this.find(address.w0, address.w1, address.w2, address.w3);
    if (known === null) {
      const neighbour = this.#create(address);
      neighbour.high = high;
      neighbour.low = low;
      neighbour.changedAt = this.#context.now;
      neighbour.state = NeighbourState.Stale;
      this.#link.heard(address);
    } else if (known.state === NeighbourState.Incomplete) {
      this.#setLinkAddress(known, high, low);
      known.state = NeighbourState.Stale;
      this.#link.heard(address);
      this.#release(known);
    } else if (this.#differs(known, high, low)) {
      this.#change(known, high, low);
    }
  }

  /**
   * A neighbour tells its link address (RFC 4861 §7.2.5).
   * @param hasAddress whether the message names one (`high`, `low`)
   * @param solicited it says that it answers a question of ours
   */
  advertised(
    neighbour: Neighbour,
    hasAddress: boolean,
    high: number,
    low: number,
    solicited: boolean,
    override: boolean,
  ): void {
    const { state } = neighbour;
    if (state === NeighbourState.Incomplete) {
      if (!hasAddress) return;
      this.#setLinkAddress(neighbour, high, low);
      if (solicited) this.#confirm(neighbour);
      else this.#unconfirmed(neighbour);
      this.#release(neighbour);
      return;
    }
    const differs = hasAddress && this.#differs(neighbour, high, low);
    if (differs && !override) {
      if (state === NeighbourState.Reachable) this.#unconfirmed(neighbour);
      return;
    }
    // differs from RFC 4861 §7.2.5 because a flag proves nothing: only while a question of ours is open is it believed
    const believed = solicited && state === NeighbourState.Probe;
    if (differs && !this.#change(neighbour, high, low)) return;
    if (believed) this.#confirm(neighbour);
  }

  #confirm(neighbour: Neighbour, at: number = this.#context.now): void {
    neighbour.state = NeighbourState.Reachable;
    neighbour.confirmedAt = at;
    this.#context.timers.cancel(neighbour.timer);
    this.#link.heard(neighbour.address);
  }

  #unconfirmed(neighbour: Neighbour): void {
    neighbour.state = NeighbourState.Stale;
    this.#context.timers.cancel(neighbour.timer);
  }

  #setLinkAddress(neighbour: Neighbour, high: number, low: number): void {
    neighbour.high = high;
    neighbour.low = low;
    neighbour.changedAt = this.#context.now;
  }

  #differs(neighbour: Neighbour, high: number, low: number): boolean {
    return neighbour.low !== low || neighbour.high !== high;
  }

  /** @returns false when the change came too soon and was ignored */
  #change(neighbour: Neighbour, high: number, low: number): boolean {
    if (this.#context.now - neighbour.changedAt < CHANGE_INTERVAL_MS) {
      this.#counters.changeIgnored++;
      return false;
    }
    this.#counters.changed++;
    this.#setLinkAddress(neighbour, high, low);
    this.#unconfirmed(neighbour);
    return true;
  }

  #release(neighbour: Neighbour): void {
    const counters = this.#counters;
    counters.resolved++;
    const { waiting } = neighbour;
    if (neighbour.state === NeighbourState.Stale) {
      this.#context.timers.cancel(neighbour.timer);
      if (waiting.length > 0) this.use(neighbour);
    }
    neighbour.waiting = [];
    for (const packet of waiting) {
      this.#waitingBytes -= packet.lengthBytes;
      if (!this.#link.release(packet, neighbour)) counters.queueDroppedFull++;
    }
  }

  #solicit(neighbour: Neighbour, unicast: boolean): void {
    neighbour.tries++;
    this.#counters.solicitationsSent++;
    const waitMs = neighbour.address.family === 6 ? this.retransmitMs : RETRANSMIT_MS;
    this.#context.timers.set(neighbour.timer, this.#context.now + waitMs);
    this.#link.solicit(neighbour, unicast);
  }

  #onDeadline(neighbour: Neighbour, _now: number): void {
    switch (neighbour.state) {
      case NeighbourState.Incomplete:
        if (neighbour.tries < MAX_SOLICITATIONS) this.#solicit(neighbour, false);
        else this.#fail(neighbour);
        return;
      case NeighbourState.Delay: {
        const progressAt = this.#link.progressAt(neighbour.address);
        if (progressAt > neighbour.delayedAt) {
          // RFC 4861 §7.3.1, RFC 1122 §3.3.1.4 [RFC 1122 §3.3.1.4-5]: acknowledgments of something new came since
          this.#counters.confirmedByTransport++;
          this.#confirm(neighbour, progressAt);
          return;
        }
        neighbour.state = NeighbourState.Probe;
        neighbour.tries = 0;
        this.#solicit(neighbour, true);
        return;
      }
      case NeighbourState.Probe:
        if (neighbour.tries < MAX_SOLICITATIONS) {
          this.#solicit(neighbour, true);
        } else {
          // RFC 4861 §7.3.3: the next packet asks everybody, and may find another station with the address
          this.#counters.probesFailed++;
          this.#remove(neighbour);
          this.#link.silent(neighbour.address);
        }
        return;
      default:
    }
  }

  #fail(neighbour: Neighbour): void {
    this.#counters.unreachable++;
    const { waiting } = neighbour;
    neighbour.waiting = [];
    this.#remove(neighbour);
    this.#link.silent(neighbour.address);
    for (const packet of waiting) {
      this.#waitingBytes -= packet.lengthBytes;
      this.#counters.queueDropped++;
      this.#link.unreachable(packet);
    }
  }

  #create(address: IpAddress): Neighbour {
    if (this.#all.length >= NEIGHBOUR_CACHE_ENTRIES) this.#evict();
    const neighbour = new Neighbour(address, this.#expire);
    const hash = hashOf(address.w0, address.w1, address.w2, address.w3);
    neighbour.next = this.#byHash.get(hash) ?? null;
    this.#byHash.set(hash, neighbour);
    neighbour.place = this.#all.length;
    this.#all.push(neighbour);
    this.#counters.created++;
    return neighbour;
  }

  /** Forgets the first that nothing was sent to since the last search; after one round all are such. */
  #evict(): void {
    for (;;) {
      if (this.#hand >= this.#all.length) this.#hand = 0;
      const neighbour = this.#all[this.#hand]!;
      if (!neighbour.used) {
        this.#counters.evicted++;
        this.#remove(neighbour);
        return;
      }
      neighbour.used = false;
      this.#hand++;
    }
  }

  #remove(neighbour: Neighbour): void {
    this.#context.timers.remove(neighbour.timer);
    neighbour.state = NeighbourState.Gone;
    for (const packet of neighbour.waiting) {
      this.#waitingBytes -= packet.lengthBytes;
      this.#counters.queueDropped++;
    }
    neighbour.waiting = [];
    const last = this.#all.pop()!;
    if (last !== neighbour) {
      this.#all[neighbour.place] = last;
      last.place = neighbour.place;
    }
    const { w0, w1, w2, w3 } = neighbour.address;
    const hash = hashOf(w0, w1, w2, w3);
    let at = this.#byHash.get(hash)!;
    if (at === neighbour) {
      if (neighbour.next === null) this.#byHash.delete(hash);
      else this.#byHash.set(hash, neighbour.next);
    } else {
      while (at.next !== neighbour) at = at.next!;
      at.next = neighbour.next;
    }
    neighbour.next = null;
  }
}

/** In a slab of its own, with the same split between headers and payload. */
function copyOf(packet: TxPacket): TxPacket {
  const copy = new TxPacket(Slab.alloc(HEADROOM_BYTES + packet.lengthBytes));
  packet.gather(copy.head.bytes, HEADROOM_BYTES);
  copy.headLen = packet.headLen;
  copy.bodyOff = HEADROOM_BYTES + packet.headLen;
  copy.bodyLen = packet.bodyLen + packet.body2Len;
  copy.gsoBytes = packet.gsoBytes;
  copy.csumStart = packet.csumStart;
  copy.csumOffset = packet.csumOffset;
  copy.comment = packet.comment;
  return copy;
}

function hashOf(w0: number, w1: number, w2: number, w3: number): number {
  return (Math.imul(Math.imul(Math.imul(w0, 31) + w1, 31) + w2, 0x9e3779b1) ^ w3) | 0;
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}
