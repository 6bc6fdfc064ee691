import type { Route, StackContext, Transmitter } from '../context.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { IpProtocol } from '../wire/ipv4.ts';
import {
  TCP_HEADER_BYTES,
  Tcp,
  TcpFlag,
  TIMESTAMP_OPTION_BYTES,
  writeTcpHeader,
  writeTimestamps,
} from '../wire/tcp.ts';
import { ChallengeBudget } from './challenge-ack.ts';
import type { TcpConnection } from './connection.ts';
import type { Flow } from './connection-table.ts';
import { windowField } from './receiver.ts';
import type { Segment } from './segment.ts';
import type { TcpLayer } from './tcp-layer.ts';
import { TcpState } from './tcp-state.ts';

/**
 * RFC 9293 §3.6.1 [MUST-13] asks for 2 MSL. differs from RFC 9293 §3.4.2 (MSL 2 minutes): MSL 30 s, so that the whole is
 * Linux's TCP_TIMEWAIT_LEN (include/net/tcp.h).
 */
export const TIME_WAIT_MS = 60_000;
/** How long the peer of a closed socket may keep its side open: Linux's tcp_fin_timeout. RFC 9293 has no limit. */
export const FIN_WAIT_2_TIMEOUT_MS = 60_000;
/** Beyond this many the oldest is forgotten: the newest may still owe its peer the last ACK. */
export const MAX_TIME_WAIT = 16_384;

/** What is left of a connection in TIME-WAIT: enough to acknowledge a repeated FIN and to tell old segments from new. */
export class TimeWait implements Transmitter {
  readonly state: TcpState = TcpState.TimeWait;
  readonly layer: TcpLayer;
  readonly context: StackContext;
  readonly route: Route;
  readonly local: IpAddress;
  readonly remote: IpAddress;
  readonly localPort: number;
  readonly remotePort: number;
  readonly sndNxt: number;
  readonly rcvNxt: number;
  readonly #windowField: number;
  readonly #tsOk: boolean;
  readonly #tsOffset: number;
  #tsRecent: number;
  readonly #trafficClass: number;
  readonly #ttl: number;
  /** Null: none of it is used up. */
  #challenges: ChallengeBudget | null = null;
  #ackNow: boolean;
  hash = 0;
  nextInBucket: Flow | null = null;
  nextToTransmit: Transmitter | null = null;
  waitsToTransmit = false;
  /** The {@link TimeWaitList}'s: when it is over, and the neighbours. */
  expiresAt = 0;
  older: TimeWait | null = null;
  newer: TimeWait | null = null;

  constructor(c: TcpConnection) {
    this.layer = c.layer;
    this.context = c.context;
    this.route = c.route;
    this.local = c.local;
    this.remote = c.remote;
    this.localPort = c.localPort;
    this.remotePort = c.remotePort;
    this.sndNxt = c.sndNxt;
    this.rcvNxt = c.rcvNxt;
    this.#windowField = windowField(c);
    this.#tsOk = c.tsOk;
    this.#tsOffset = c.tsOffset;
    this.#tsRecent = c.tsRecent;
    this.#trafficClass = c.trafficClass;
    this.#ttl = c.ttl;
    this.#ackNow = c.ackNow;
    if (this.#ackNow) this.context.wantsToTransmit(this);
  }

  /**
   * RFC 9293 §3.10.7.4 in TIME-WAIT.
   * @returns false when the segment begins a new connection and this one is gone [MAY-2]
   */
  arrives(seg: Segment): boolean {
    const { flags } = seg;
    if ((flags & TcpFlag.Rst) !== 0) {
      // RFC 1337 §3 (F1). differs from RFC 9293 §3.10.7.4 (delete the TCB): an old reset must not end the wait
      this.layer.counters.dropTimeWait++;
      return true;
    }
    const hasTs = this.#tsOk && seg.options.hasTimestamps;
    if ((flags & (TcpFlag.Syn | TcpFlag.Ack | TcpFlag.Fin)) === TcpFlag.Syn) {
      // RFC 6191 §2: a later timestamp, or without them a later sequence number
      const later = hasTs ? (seg.options.tsVal - this.#tsRecent) | 0 : 0;
      // … or timestamps where there were none: an old duplicate would have had none either [RFC 6191 §2-4]
      const hasFirstTs = !this.#tsOk && seg.options.hasTimestamps && this.layer.settings.timestamps;
      const isNew = later > 0 || hasFirstTs || (later === 0 && ((seg.seq - this.rcvNxt) | 0) > 0);
      if (isNew && this.layer.settings.reuseTimeWait && this.layer.hasListener(this.local, this.localPort)) {
        this.remove();
        return false;
      }
    }
    this.layer.counters.dropTimeWait++;
    // Fifth: what is acceptable, but has no ACK, is dropped
    if ((flags & (TcpFlag.Ack | TcpFlag.Syn)) === 0 && ((seg.seq - this.rcvNxt) | 0) >= 0) return true;
    if ((flags & TcpFlag.Fin) !== 0 && ((seg.seq + seg.lengthSeq - this.rcvNxt) | 0) === 0) {
      // The peer did not get our last ACK
      this.layer.timeWaits.restart(this);
      this.#acknowledge();
    } else if (seg.seq !== this.rcvNxt || seg.lengthSeq > 0) {
      this.#challenges ??= new ChallengeBudget();
      if (this.#challenges.take(this.context.now)) this.#acknowledge();
    }
    return true;
  }

  #acknowledge(): void {
    this.#ackNow = true;
    this.context.wantsToTransmit(this);
  }

  transmit(): boolean {
    if (!this.#ackNow) return true;
    const { context } = this;
    const headerBytes = TCP_HEADER_BYTES + (this.#tsOk ? TIMESTAMP_OPTION_BYTES : 0);
    const off = context.ip.begin(this.route, headerBytes);
    const { view } = context.tx.head;
    writeTcpHeader(
      view,
      off,
      this.localPort,
      this.remotePort,
      this.sndNxt,
      this.rcvNxt,
      headerBytes,
      TcpFlag.Ack,
      this.#windowField,
    );
    if (this.#tsOk) {
      const tsVal = (Math.floor(context.now) + this.#tsOffset) | 0;
      writeTimestamps(view, off + Tcp.Options, tsVal, this.#tsRecent);
    }
    if (!context.ip.finish(this.route, IpProtocol.Tcp, Tcp.Checksum, this.#trafficClass, this.#ttl))
      return false;
    this.#ackNow = false;
    this.layer.counters.segmentsOut++;
    return true;
  }

  remove(): void {
    this.layer.table.remove(this);
    this.layer.timeWaits.remove(this);
  }
}

/**
 * Connections in TIME-WAIT, the oldest first. perf: all wait equally long, so that one timer does for them, and the heap of timers stays
 * small; linked through its members, because a Set keeps the places of what was deleted until it is full, and whoever looks for its
 * first member passes over thousands of them.
 */
export class TimeWaitList implements TimerTarget {
  oldest: TimeWait | null = null;
  size = 0;
  #newest: TimeWait | null = null;
  readonly #context: StackContext;
  /** Due when the oldest is, or earlier: one that has gone before its time leaves it as it is. */
  readonly #timer: TimerEntry = new TimerEntry(this);

  constructor(context: StackContext) {
    this.#context = context;
  }

  /** Puts one in whose time begins now. */
  add(timeWait: TimeWait): void {
    timeWait.expiresAt = this.#context.now + TIME_WAIT_MS;
    timeWait.older = this.#newest;
    if (this.#newest === null) this.oldest = timeWait;
    else this.#newest.newer = timeWait;
    this.#newest = timeWait;
    this.size++;
    if (this.size === 1) this.#context.timers.set(this.#timer, timeWait.expiresAt);
  }

  /** Takes out one that is in. */
  remove(timeWait: TimeWait): void {
    const { older, newer } = timeWait;
    if (older === null) this.oldest = newer;
    else older.newer = newer;
    if (newer === null) this.#newest = older;
    else newer.older = older;
    timeWait.older = null;
    timeWait.newer = null;
    this.size--;
    if (this.size === 0) this.#context.timers.remove(this.#timer);
  }

  /** The time of one that is in begins again. */
  restart(timeWait: TimeWait): void {
    this.remove(timeWait);
    this.add(timeWait);
  }

  onDeadline(now: number): void {
    while (this.oldest !== null && this.oldest.expiresAt <= now) this.oldest.remove();
    if (this.oldest !== null) this.#context.timers.set(this.#timer, this.oldest.expiresAt);
  }
}

/** Replaces a connection that is through with its TIME-WAIT. */
export function enterTimeWait(c: TcpConnection): void {
  const { layer } = c;
  if (layer.timeWaits.size >= MAX_TIME_WAIT) {
    layer.counters.timeWaitOverflows++;
    layer.timeWaits.oldest?.remove();
  }
  const timeWait = new TimeWait(c);
  layer.timeWaits.add(timeWait);
  layer.table.add(timeWait);
}
