import type { TxPacket } from '../link.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { IpAddress } from '../wire/ip-address.ts';

/** Neighbour unreachability detection (RFC 4861 §7.3.2), for IPv4 as well. */
export const NeighbourState = {
  /** Asked for, not answered yet; packets wait. */
  Incomplete: 0,
  /** Confirmed not long ago. */
  Reachable: 1,
  /** The link address is known but not confirmed; good enough to send to. */
  Stale: 2,
  /** A packet was sent to a stale neighbour: soon it will be asked, unless it says something first. */
  Delay: 3,
  /** Being asked whether it is still there. */
  Probe: 4,
  /** Not in the cache any more. */
  Gone: 5,
} as const;
export type NeighbourState = (typeof NeighbourState)[keyof typeof NeighbourState];

/** What happened to neighbours on all links of a stack. */
export class NeighbourCounters {
  created = 0;
  resolved = 0;
  /** No answer to any of the solicitations: packets dropped, transports told. */
  unreachable = 0;
  /** A known neighbour did not answer probes and was forgotten. */
  probesFailed = 0;
  /** Not asked, as connections by way of it went on (RFC 4861 §7.3.1). */
  confirmedByTransport = 0;
  solicitationsSent = 0;
  solicitationsReceived = 0;
  advertisementsSent = 0;
  advertisementsReceived = 0;
  /** The link address of a known neighbour changed. */
  changed = 0;
  /** It changed again too soon and the change was not believed. */
  changeIgnored = 0;
  /** Another station uses an address of ours (RFC 5227 §2.4, RFC 4862 §5.4). */
  conflicts = 0;
  /** Announcements that defended it. */
  defended = 0;
  /** The cache was full: a neighbour was forgotten. */
  evicted = 0;
  queued = 0;
  /** More packets waited for a neighbour than may: the oldest was dropped. */
  queueOverflow = 0;
  /** Waited for a neighbour that did not answer, or was evicted. */
  queueDropped = 0;
  /** Resolved, but the device was full at that moment. */
  queueDroppedFull = 0;
  /** An announcement nobody asked for, of a neighbour that is of no interest. */
  ignoredUnknown = 0;
  /** From an address that is on no prefix of this link: answered, not remembered. */
  ignoredOffLink = 0;
  dropTruncated = 0;
  /** ARP for other than IPv4 over Ethernet, or an unknown operation. */
  dropArpFormat = 0;
  /** A multicast address or our own as that of a neighbour. */
  dropLinkAddress = 0;
  /** An address nobody can have as the sender's. */
  dropSender = 0;
  /** RFC 4861 §7.1: hop limit, code, target or options are not as they must be. */
  dropNdpInvalid = 0;
  dropNotForUs = 0;
}

/** Somebody on the link. */
export class Neighbour implements TimerTarget {
  readonly address: IpAddress;
  readonly timer: TimerEntry = new TimerEntry(this);
  state: NeighbourState = NeighbourState.Incomplete;
  /** Its link address, see `ethernetHigh`; meaningless while incomplete. */
  high = 0;
  low = 0;
  /** When it was last known to be reachable, in ms. */
  confirmedAt: number = -Infinity;
  /** When the first packet was sent to it after that was no longer sure, in ms. */
  delayedAt: number = -Infinity;
  /** When its link address last changed, in ms. */
  changedAt: number = -Infinity;
  /** Solicitations sent since the state was entered. */
  tries = 0;
  /** Something was sent to it since the cache last looked for a place. */
  used = false;
  /** Packets that wait for its link address, oldest first. */
  waiting: TxPacket[] = [];
  /** The next one with the same hash. */
  next: Neighbour | null = null;
  /** Where it lies in the cache's list. */
  place = -1;
  readonly #expire: (neighbour: Neighbour, now: number) => void;

  constructor(address: IpAddress, expire: (neighbour: Neighbour, now: number) => void) {
    this.address = address;
    this.#expire = expire;
  }

  onDeadline(now: number): void {
    this.#expire(this, now);
  }
}
