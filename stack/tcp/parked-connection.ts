import type { Route } from '../context.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { CongestionControl } from './congestion/congestion-control.ts';
import { TcpConnection, TcpTimer } from './connection.ts';
import type { Flow } from './connection-table.ts';
import { type KeepAlive, keepAliveExpired } from './keepalive.ts';
import { RttEstimator } from './rto.ts';
import type { SendPolicy } from './send-policy.ts';
import type { TcpLayer } from './tcp-layer.ts';
import { TcpState } from './tcp-state.ts';

/** Numbers of 32 bits that a connection cannot do without, in the order in which they are kept. */
const KEPT_INTS = [
  'iss',
  'sndUna',
  'sndWnd',
  'sndWl1',
  'sndWl2',
  'maxSndWnd',
  'sndShift',
  'peerMss',
  'irs',
  'rcvNxt',
  'rcvAdv',
  'rcvShift',
  'offeredShift',
  'recvBufferBytes',
  'rcvMss',
  'lastAckSent',
  'tsOffset',
  'tsRecent',
  'roundEcho',
  'quickAcks',
  'keepAliveProbes',
  'trafficClass',
  'ttl',
  'fastRetransmits',
  'timeoutRetransmits',
  'synRetransmits',
  'tailProbes',
  'windowProbes',
  'keepaliveProbesSent',
  'dsacksIn',
  'reorderings',
  'undone',
  'segmentsOutOfOrder',
  'ceSegmentsIn',
  'timeouts',
  'timeoutRecoveries',
] as const satisfies readonly (keyof TcpConnection)[];

/** Times, and sums that may be larger. */
const KEPT_DOUBLES = [
  'tsRecentAt',
  'lastSentAt',
  'lastReceivedAt',
  'lastDataAt',
  'roundMs',
  'userTimeoutMs',
  'bytesIn',
  'bytesOut',
  'segmentsIn',
  'segmentsOut',
  'dataSegmentsIn',
  'dataSegmentsOut',
  'bytesSent',
  'bytesRetransmitted',
  'deliveredCeBytes',
  'busyMs',
  'peerLimitedMs',
  'bufferLimitedMs',
  'timeoutMs',
  'maxPacingBytesPerMs',
] as const satisfies readonly (keyof TcpConnection)[];

const KEPT_FLAGS = [
  'scaleOk',
  'sackOk',
  'tsOk',
  'ecnAsked',
  'ecnOk',
  'ectSeen',
  'noDelay',
  'corked',
  'passive',
] as const satisfies readonly (keyof TcpConnection)[];

/** Of {@link RttEstimator}. */
const KEPT_RTT = ['srttMs', 'rttvarMs', 'minRttMs', 'latestMs', 'rtoMs'] as const;
/** Of what was delivered. */
const KEPT_RATE = ['deliveredBytes', 'lostBytes', 'latestBytesPerMs'] as const;

/**
 * What follows from the rest, means nothing while nothing is in flight and nothing is owed, or is kept in a way of its own. Every
 * other field must be as in a connection that was just made: one that this list does not know keeps a connection from being
 * parked, and is never lost.
 */
const NOT_KEPT: ReadonlySet<string> = new Set<keyof TcpConnection>([
  'layer',
  'context',
  'route',
  'local',
  'remote',
  'localPort',
  'remotePort',
  'owner',
  'hash',
  'nextInBucket',
  'keepAlive',
  'policy',
  'state',
  'parent',
  'hasElasticRings',
  'sendBase',
  'ringPlace',
  'seenRcvNxt',
  'seenSndUna',
  'sndNxt',
  'advMss',
  'mss',
  'chunkBytes',
  'pathMtuBytes',
  'finSeq',
  'sndUp',
  'rcvUp',
  'rcvFinSeq',
  'roundStartMs',
  'roundReadTo',
  'roundReadBytes',
  'cwrPoint',
  'dsackLeft',
  'dsackRight',
  'recoveryPoint',
  'tailProbeEnd',
  'tailProbeAgain',
  'tailProbeAcked',
  'roundEnd',
  'limitedTo',
  'isLimited',
  'mostOutBytes',
  'sendLimit',
  'sendLimitAt',
  'shortSentTo',
  'shortSent',
  'shortSegment',
  'dupAcks',
  // objects, looked at one by one
  'assembler',
  'challenges',
  'sent',
  'rack',
  'prr',
  'undo',
  'pacer',
  'cc',
  'rtt',
]);

const INTS = KEPT_INTS.length + 1;
const DOUBLES = KEPT_DOUBLES.length + KEPT_RTT.length + KEPT_RATE.length;
/** Connections whose numbers lie in one piece of memory. */
const CHUNK_SLOTS = 512;

/** The numbers of parked connections, side by side: an object for each would take three times as much. */
export class ParkingLot {
  readonly #ints: Int32Array[] = [];
  readonly #doubles: Float64Array[] = [];
  readonly #free: number[] = [];
  #slots = 0;
  /** A connection as it is when it was just made. */
  #fresh: TcpConnection | null = null;
  #unchanged: (keyof TcpConnection)[] = [];

  /** Connections parked now. */
  get size(): number {
    return this.#slots - this.#free.length;
  }

  /** Whether nothing of the connection would be lost: it is established, idle, and nothing unusual has happened to it. */
  canPark(c: TcpConnection): boolean {
    if (c.state !== TcpState.Established || c.parent !== null || c.sndUna !== c.sndNxt) return false;
    if (c.sendRing !== null || c.recvRing !== null || c.dsackLeft !== c.dsackRight) return false;
    for (const timer of Object.values(TcpTimer)) {
      if (timer !== TcpTimer.KeepAlive && c.deadlineOf(timer) !== Infinity) return false;
    }
    if (
      c.assembler.count > 0 ||
      c.sent.count > 0 ||
      c.undo.possible ||
      c.undo.adapts ||
      c.rack.reorderingSeen
    )
      return false;
    if (c.rack.windowMult > 1 || !c.challenges.isFull(c.now)) return false;
    const fresh = this.#template(c);
    return this.#unchanged.every((key) => c[key] === fresh[key]);
  }

  #template(c: TcpConnection): TcpConnection {
    if (this.#fresh === null) {
      this.#fresh = new TcpConnection(c.layer, c.route, c.localPort, c.remotePort, c.cc, null);
      const kept = new Set<string>([...KEPT_INTS, ...KEPT_DOUBLES, ...KEPT_FLAGS, ...NOT_KEPT]);
      const all = Object.keys(this.#fresh) as (keyof TcpConnection)[];
      this.#unchanged = all.filter((key) => !kept.has(key));
    }
    return this.#fresh;
  }

  /** @returns the slot with the connection's numbers */
  store(c: TcpConnection): number {
    const slot = this.#free.pop() ?? this.#newSlot();
    const ints = this.#ints[Math.floor(slot / CHUNK_SLOTS)]!;
    const doubles = this.#doubles[Math.floor(slot / CHUNK_SLOTS)]!;
    let at = (slot % CHUNK_SLOTS) * INTS;
    for (const key of KEPT_INTS) ints[at++] = c[key];
    let flags = 0;
    for (let i = 0; i < KEPT_FLAGS.length; i++) if (c[KEPT_FLAGS[i]!]) flags |= 1 << i;
    ints[at] = flags;
    at = (slot % CHUNK_SLOTS) * DOUBLES;
    for (const key of KEPT_DOUBLES) doubles[at++] = c[key];
    for (const key of KEPT_RTT) doubles[at++] = c.rtt[key];
    for (const key of KEPT_RATE) doubles[at++] = c.sent.rate[key];
    return slot;
  }

  /** Gives a new connection the numbers of a slot, and the slot back. */
  load(slot: number, c: TcpConnection): void {
    const ints = this.#ints[Math.floor(slot / CHUNK_SLOTS)]!;
    const doubles = this.#doubles[Math.floor(slot / CHUNK_SLOTS)]!;
    let at = (slot % CHUNK_SLOTS) * INTS;
    for (const key of KEPT_INTS) c[key] = ints[at++]!;
    const flags = ints[at]!;
    for (let i = 0; i < KEPT_FLAGS.length; i++) c[KEPT_FLAGS[i]!] = (flags & (1 << i)) !== 0;
    at = (slot % CHUNK_SLOTS) * DOUBLES;
    for (const key of KEPT_DOUBLES) c[key] = doubles[at++]!;
    for (const key of KEPT_RTT) c.rtt[key] = doubles[at++]!;
    for (const key of KEPT_RATE) c.sent.rate[key] = doubles[at++]!;
    this.#free.push(slot);
  }

  #newSlot(): number {
    if (this.#slots % CHUNK_SLOTS === 0) {
      this.#ints.push(new Int32Array(CHUNK_SLOTS * INTS));
      this.#doubles.push(new Float64Array(CHUNK_SLOTS * DOUBLES));
    }
    return this.#slots++;
  }
}

/**
 * What is left of a connection that has been idle for a while: it is found by its four-tuple, and woken by the first segment, call
 * or timer. A few hundred bytes in place of several thousand.
 */
export class ParkedConnection implements TimerTarget {
  readonly layer: TcpLayer;
  readonly route: Route;
  readonly localPort: number;
  readonly remotePort: number;
  hash = 0;
  nextInBucket: Flow | null = null;
  readonly owner: number;
  readonly #slot: number;
  /** Null: nothing was ever lost, so that a new one begins in the same way. */
  readonly #congestion: CongestionControl | null;
  readonly #congestionName: string;
  readonly #keepAlive: KeepAlive | null;
  readonly #policy: SendPolicy;
  readonly #timer: TimerEntry | null;

  /** Takes the connection's place. Only when {@link ParkingLot.canPark}. */
  constructor(c: TcpConnection) {
    const { layer } = c;
    this.layer = layer;
    this.route = c.route;
    this.localPort = c.localPort;
    this.remotePort = c.remotePort;
    this.owner = c.owner;
    this.#slot = layer.parkingLot.store(c);
    this.#congestion = c.cc.ssthreshBytes === Infinity ? null : c.cc;
    this.#congestionName = c.cc.name;
    this.#keepAlive = c.keepAlive;
    this.#policy = c.policy;
    const probeAt = c.deadlineOf(TcpTimer.KeepAlive);
    c.forgetTimers();
    layer.table.replace(c, this);
    this.#timer = c.keepAlive === null ? null : new TimerEntry(this);
    if (this.#timer !== null) layer.context.timers.set(this.#timer, probeAt);
  }

  get local(): IpAddress {
    return this.route.source;
  }

  get remote(): IpAddress {
    return this.route.destination;
  }

  /** The connection again, in its old place. The parked one is not to be used any more. */
  wake(): TcpConnection {
    const { layer } = this;
    const cc = this.#congestion ?? layer.congestionControl(this.#congestionName);
    const c = new TcpConnection(layer, this.route, this.localPort, this.remotePort, cc, null);
    layer.parkingLot.load(this.#slot, c);
    c.owner = this.owner;
    c.keepAlive = this.#keepAlive;
    c.policy = this.#policy;
    c.resume();
    if (this.#congestion === null) cc.start(c.mss, c.sent.rate, c.rtt.srttMs, c.sackOk, c.now);
    layer.table.replace(this, c);
    if (this.#timer !== null) {
      c.setTimer(TcpTimer.KeepAlive, this.#timer.deadline);
      layer.context.timers.remove(this.#timer);
    }
    // rests again if nothing follows
    layer.ringKeeper.hold(c);
    layer.onReplaced?.(this.owner, c);
    return c;
  }

  onDeadline(): void {
    keepAliveExpired(this.wake());
  }
}

/** Parks a connection whose rings are gone, where somebody takes note of it. */
export function park(c: TcpConnection): void {
  const { layer } = c;
  if (layer.onReplaced === null || c.owner < 0 || !layer.parkingLot.canPark(c)) return;
  const parked = new ParkedConnection(c);
  layer.counters.parked++;
  layer.onReplaced(c.owner, parked);
}
