import type { Route, StackContext, Transmitter } from '../context.ts';
import { Endpoint, EndpointEvent } from '../endpoint.ts';
import type { ErrorCode } from '../errors.ts';
import type { Ring } from '../ring.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { IPV4_HEADER_BYTES } from '../wire/ipv4.ts';
import { IPV6_HEADER_BYTES } from '../wire/ipv6.ts';
import { TIMESTAMP_OPTION_BYTES } from '../wire/tcp.ts';
import type { AccurateEcn } from './accurate-ecn.ts';
import { Assembler } from './assembler.ts';
import { ChallengeBudget } from './challenge-ack.ts';
import { changeCongestionControl } from './change-congestion-control.ts';
import type { CongestionControl } from './congestion/congestion-control.ts';
import type { Flow } from './connection-table.ts';
import { noteWrite, overrideCork, ShortSegment } from './cork.ts';
import { computeMss, initializeMss } from './effective-mss.ts';
import { earlySettled, type FastOpen, releaseSyn } from './fast-open.ts';
import { type ConnectionInfo, describeConnection } from './info.ts';
import { type KeepAlive, startKeepAlive } from './keepalive.ts';
import type { TcpListener } from './listener.ts';
import { Pacer } from './pacing.ts';
import type { PathMtuSearch } from './packetization-layer-pmtud.ts';
import { ProportionalRate } from './proportional-rate.ts';
import { Rack } from './rack.ts';
import { appHasRead } from './receiver.ts';
import { RecoveryState } from './recovery.ts';
import { RttEstimator } from './rto.ts';
import { attachSendRing, giveSendRing } from './send-buffer.ts';
import { SendLimit } from './send-limit.ts';
import type { SendPolicy } from './send-policy.ts';
import { transmitSegments } from './sender.ts';
import { SentQueue } from './sent-queue.ts';
import { Undo } from './spurious.ts';
import type { TcpLayer } from './tcp-layer.ts';
import { TcpState } from './tcp-state.ts';
import { enterTimeWait, FIN_WAIT_2_TIMEOUT_MS } from './time-wait.ts';
import { timerExpired } from './timer-expired.ts';
import { forgetPassedMark, markUrgent } from './urgent.ts';
import type { WindowValidation } from './window-validation.ts';

/** The timers of a connection: places in `deadlines`. */
export const TcpTimer = {
  Retransmit: 0,
  Persist: 1,
  DelayedAck: 2,
  KeepAlive: 3,
  FinWait2: 4,
  User: 5,
  /** RFC 8985 §6.2: pieces that may be late. */
  Reordering: 6,
  /** RFC 8985 §7.2. */
  TailProbe: 7,
  /** What is next may leave. */
  Pacing: 8,
} as const;
export type TcpTimer = (typeof TcpTimer)[keyof typeof TcpTimer];
const TIMERS = 9;

/**
 * One connection: its state with the variables of RFC 9293 §3.3.1, and the user calls. What arrives is worked off in
 * segment-arrives.ts, what is sent in sender.ts; both change the fields here. Fields are public for them and for
 * tests, which can so build any state; applications use the methods, `state`, `error`, the addresses and the rings.
 */
export class TcpConnection extends Endpoint implements Transmitter, TimerTarget {
  readonly layer: TcpLayer;
  readonly context: StackContext;
  readonly route: Route;
  readonly local: IpAddress;
  readonly remote: IpAddress;
  readonly localPort: number;
  readonly remotePort: number;

  state: TcpState = TcpState.Closed;
  /** Why the connection ended; null: in order, or it has not ended. */
  error: ErrorCode | null = null;
  errorDetail = '';
  /** What ICMP reported without ending the connection (RFC 9293 §3.9.2.2 [MUST-56]); null: nothing. */
  softError: ErrorCode | null = null;
  /** False: the application does not want to hear of trouble [SHLD-20]. */
  tellsTrouble = true;

  /** Null until the connection can carry data; rings that are elastic come and go with it. */
  sendRing: Ring | null = null;
  recvRing: Ring | null = null;
  /** Sequence number of the send ring's position 0. The receive ring needs none: its head is RCV.NXT. */
  sendBase = 0;
  #ringsOpen = false;
  /** The rings come when data flows, grow with it, and go. */
  hasElasticRings = false;
  /** The place among the connections that hold such rings; -1: it holds none. */
  ringPlace = -1;
  /** RCV.NXT and SND.UNA when the keeper of rings looked last. */
  seenRcvNxt = 0;
  seenSndUna = 0;

  // --- send sequence variables
  iss = 0;
  sndUna = 0;
  sndNxt = 0;
  /** SND.WND, scaled. */
  sndWnd = 0;
  sndWl1 = 0;
  sndWl2 = 0;
  /** Largest window the peer ever offered: Max(SND.WND) of RFC 9293 §3.8.6.2.1. */
  maxSndWnd = 0;
  /** Snd.Wind.Shift of RFC 7323 §2.3. */
  sndShift = 0;
  /** SendMSS: the peer's MSS option. */
  peerMss = 0;
  /** The application's own limit to segments, options excluded from neither side (TCP_MAXSEG). */
  maxSegmentBytes: number = Infinity;
  /** Eff.snd.MSS of RFC 9293 §3.7.1: payload of a full segment. */
  mss = 0;
  /** Payload of the largest packet the device takes: a multiple of `mss`. */
  chunkBytes = 0;
  /** The path MTU that `mss` was computed for. */
  pathMtuBytes = 0;
  /** RFC 4821: larger segments than it allows do not get through; null: none are known. */
  pmtuSearch: PathMtuSearch | null = null;
  /** The application has said that no more data comes; `finSeq` is the FIN's sequence number. */
  finQueued = false;
  finSeq = 0;
  /** A SYN (SYN-SENT) or SYN-ACK (SYN-RECEIVED) is to be sent. */
  synToSend = false;
  rstToSend = false;
  /** SND.UP: behind the last urgent octet; valid while `urgentOut`. */
  sndUp = 0;
  urgentOut = false;

  // --- receive sequence variables
  irs = 0;
  rcvNxt = 0;
  /** Right edge of the window offered so far: RCV.NXT + RCV.WND. */
  rcvAdv = 0;
  rcvShift = 0;
  /** The shift our SYN offers; `rcvShift` once both sides have offered one. */
  offeredShift = 0;
  /** Size of the receive buffer, from which windows are promised; its ring may be smaller as long as that is enough. */
  recvBufferBytes = 0;
  /** For `tuneReceiveBuffer`: the round trip as timestamps show it (-1: not yet), and the echo it was taken from. */
  roundMs = -1;
  roundEcho = 0;
  /** … when the current round began, and up to which sequence number the application had read then. */
  roundStartMs = 0;
  roundReadTo = 0;
  /** … and how much it read in the last one. */
  roundReadBytes = 0;
  /** Received bytes that may wait for the application, when that is less than the ring holds (SO_RCVBUF). */
  recvLimitBytes: number = Infinity;
  /** The MSS we told the peer. */
  advMss = 0;
  /** Size of the peer's full segments as seen so far. */
  rcvMss = 0;
  /** A FIN has come, maybe before data that is still missing; its sequence number. */
  finSeen = false;
  rcvFinSeq = 0;
  /** RCV.UP: behind the last urgent octet; valid while `urgentIn`, which is until the application has read so far. */
  rcvUp = 0;
  urgentIn = false;
  lastAckSent = 0;
  readonly assembler: Assembler = new Assembler();

  // --- options agreed on
  scaleOk = true;
  sackOk = true;
  tsOk = true;
  /** SYN segments go without any option, MSS included [MAY-3]: for peers that stumble over them. */
  bareSyn = false;
  /** RFC 7413; null: not wanted. */
  fastOpen: FastOpen | null = null;
  tsOffset = 0;
  tsRecent = 0;
  tsRecentAt = 0;

  // --- ECN (RFC 3168): our SYN asks for it; both sides have agreed
  ecnAsked = false;
  ecnOk = false;
  /** RFC 9768, instead of it. */
  accurateEcn: AccurateEcn | null = null;
  /** A CE mark has come, and no CWR since: ACKs carry ECE. */
  ecnEcho = false;
  /** cwnd was reduced when SND.NXT was `cwrPoint`; valid while `cwrPending`. */
  cwrPoint = 0;
  cwrPending = false;
  /** The next new data carries CWR. */
  cwrToSend = false;

  // --- acknowledgments owed
  ackNow = false;
  /** The ACK of the SYN-ACK waits for data to go with, see `DeferredAcks`. */
  ackDeferred = false;
  ackComment = '';
  /** Bytes received since the last ACK was sent. */
  unackedBytes = 0;
  /** … and in how many segments. */
  unackedSegments = 0;
  /** So many arrivals of data are still acknowledged at once. */
  quickAcks = 0;
  /** Without SACK every segment out of order gets an ACK of its own (RFC 5681 §4.2). */
  dupAcksOwed = 0;
  /** RFC 2883: the duplicate to report; nothing when both are equal. */
  dsackLeft = 0;
  dsackRight = 0;
  readonly challenges: ChallengeBudget = new ChallengeBudget();

  // --- loss recovery
  readonly sent: SentQueue = new SentQueue();
  recovery: RecoveryState = RecoveryState.Open;
  /** `recover` of RFC 6582, RecoveryPoint of RFC 6675. */
  recoveryPoint = 0;
  hasRecoveryPoint = false;
  dupAcks = 0;
  /** Without SACK: bytes that duplicate ACKs tell to have left the network. */
  renoSackedBytes = 0;
  /** RFC 6675 §5 (4.3): the first retransmission goes out whatever cwnd says. */
  forceRetransmit = false;
  readonly rack: Rack = new Rack();
  readonly prr: ProportionalRate = new ProportionalRate();
  readonly undo: Undo = new Undo();
  /** A tail loss probe is to be sent. */
  tailProbeDue = false;
  /** One was sent when SND.NXT was `tailProbeEnd` (TLP.end_seq of RFC 8985); its answer is awaited. */
  tailProbeActive = false;
  tailProbeEnd = 0;
  /** It was sent before (TLP.is_retrans). */
  tailProbeAgain = false;
  /** Everything up to it is acknowledged; whether once or twice tells what was lost. */
  tailProbeAcked = false;
  cc: CongestionControl;
  /** SND.NXT when the current round trip began: HyStart++ counts by it. */
  roundEnd = 0;
  /** Within a round trip, which ends with `limitedTo`: cwnd was used up, and the most that was out. */
  limitedTo = 0;
  isLimited = false;
  mostOutBytes = 0;
  /** RFC 7661; null: not wanted. */
  validation: WindowValidation | null = null;
  readonly pacer: Pacer = new Pacer();
  /** The application's limit to the rate, bytes per millisecond (SO_MAX_PACING_RATE); Infinity: none. */
  maxPacingBytesPerMs: number = Infinity;
  readonly rtt: RttEstimator = new RttEstimator();
  /** Doublings of the RTO; also counts zero-window probes. */
  backoff = 0;
  /** Timeouts (or probes) without an answer. */
  retries = 0;
  /** The octet at SND.NXT was sent as a zero-window probe. */
  probeSent = false;
  lastSentAt = 0;
  /** When a waiting writer got its ring. */
  sendRingGivenAt: number = -Infinity;
  lastReceivedAt = 0;
  /** Data came last. */
  lastDataAt: number = -Infinity;

  // --- what the application wants
  policy: SendPolicy;
  noDelay = false;
  corked = false;
  shortSegment: ShortSegment = ShortSegment.Ordinary;
  /** End of the last short segment sent, for Minshall's variant of Nagle's algorithm; valid while `shortSent`. */
  shortSentTo = 0;
  shortSent = false;
  keepAlive: KeepAlive | null = null;
  keepAliveProbes = 0;
  /** How often the SYN is sent again, when not as the settings have it; -1: as they do. */
  synRetries = -1;
  /** R2 as a time (RFC 9293 §3.8.3 [MUST-21]); 0: by the number of retransmissions. */
  userTimeoutMs = 0;
  /** DiffServ field of what is sent [MUST-48]; ECN bits are added by the layer. */
  trafficClass = 0;
  /** Hop limit of what is sent; 0: the interface's. */
  ttl = 0;
  /** The application has closed: what still arrives is unwanted. */
  detached = false;

  // --- statistics for info()
  bytesIn = 0;
  bytesOut = 0;
  segmentsIn = 0;
  segmentsOut = 0;
  dataSegmentsIn = 0;
  dataSegmentsOut = 0;
  /** Payload sent, all transmissions of it, and what of that was sent again. */
  bytesSent = 0;
  bytesRetransmitted = 0;
  /** Duplicates that the peer reported (RFC 2883). */
  dsacksIn = 0;
  reorderings = 0;
  /** Recoveries that were a mistake. */
  undone = 0;
  /** Received out of order. */
  segmentsOutOfOrder = 0;
  /** A packet was ECN-capable; segments that were marked. */
  ectSeen = false;
  ceSegmentsIn = 0;
  /** Timeouts, in how many rows of them, since when the current one goes (-1: none does), and the time of the past ones. */
  timeouts = 0;
  timeoutRecoveries = 0;
  timeoutBeganAt = -1;
  timeoutMs = 0;
  /** Delivered while the peer echoed congestion (ECE). */
  deliveredCeBytes = 0;
  /** What limits sending, since when, and the times of the past. */
  sendLimit: SendLimit = SendLimit.Idle;
  sendLimitAt = 0;
  busyMs = 0;
  peerLimitedMs = 0;
  bufferLimitedMs = 0;
  fastRetransmits = 0;
  timeoutRetransmits = 0;
  synRetransmits = 0;
  tailProbes = 0;
  windowProbes = 0;
  keepaliveProbesSent = 0;

  // --- bookkeeping of the layers around
  hash = 0;
  nextInBucket: Flow | null = null;
  nextToTransmit: Transmitter | null = null;
  waitsToTransmit = false;
  /** The listener until it gave the connection out; null for active opens [MUST-11]. */
  parent: TcpListener | null = null;
  /** Was opened by a listener, at any time. */
  passive: boolean;
  #heldEvents = 0;
  /** A plain array: eight numbers in memory of their own would take four times as much. */
  readonly #deadlines: number[] = new Array<number>(TIMERS).fill(Infinity);
  readonly #timer: TimerEntry;

  constructor(
    layer: TcpLayer,
    route: Route,
    localPort: number,
    remotePort: number,
    cc: CongestionControl,
    parent: TcpListener | null,
  ) {
    super(layer.context);
    this.layer = layer;
    this.policy = layer.settings;
    this.context = layer.context;
    this.route = route;
    this.local = route.source;
    this.remote = route.destination;
    this.localPort = localPort;
    this.remotePort = remotePort;
    this.cc = cc;
    this.sent.lossObserver = cc.lossObserver;
    this.parent = parent;
    this.passive = parent !== null;
    initializeMss(this);
    this.rtt.maxMs = layer.settings.maxRtoMs;
    this.#timer = new TimerEntry(this);
  }

  // ---------------------------------------------------------------- user calls

  /** The application has put data into the send ring. @param more it says that more follows soon (MSG_MORE) */
  appWrote(more = false): void {
    noteWrite(this, more);
    if (this.sendRing === null && !attachSendRing(this)) return;
    this.sendRingGivenAt = -Infinity;
    if (this.fastOpen !== null) releaseSyn(this);
    this.context.wantsToTransmit(this);
  }

  /** The application wants to write and has no send ring: Writable is signalled when it has. */
  appWantsRing(): void {
    giveSendRing(this);
  }

  /** … and all of it is urgent (RFC 9293 §3.8.5). RFC 6093 §5 [SHLD-13]: not for new applications. */
  appWroteUrgent(): void {
    markUrgent(this);
  }

  /** The application has taken data out of the receive ring. */
  appRead(): void {
    if (this.urgentIn) forgetPassedMark(this);
    appHasRead(this);
  }

  /** Sends a FIN after what is queued (RFC 9293 §3.10.4); receiving goes on. Data written after this call is not sent. */
  shutdown(): void {
    if (this.finQueued || this.state === TcpState.Closed) return;
    if (this.fastOpen !== null) releaseSyn(this);
    this.finSeq = this.queuedTo();
    this.finQueued = true;
    switch (this.state) {
      case TcpState.Established:
        this.state = TcpState.FinWait1;
        break;
      case TcpState.CloseWait:
        this.state = TcpState.LastAck;
        break;
      // In the SYN states the FIN waits until the connection is established
    }
    this.context.wantsToTransmit(this);
  }

  /** The application lets go. A FIN, or a reset when data was never read; the connection lives on by itself until the peer has everything. */
  close(): void {
    if (this.detached) return;
    this.detached = true;
    switch (this.state) {
      case TcpState.Closed:
      case TcpState.TimeWait:
        return;
      case TcpState.SynSent:
        // RFC 9293 §3.10.4: nothing is sent
        this.terminate(null, '');
        return;
    }
    // RFC 9293 §3.6.1 [SHLD-3], RFC 2525 §2.17: the peer must learn that its data was lost
    if (this.recvRing !== null && this.recvRing.usedBytes > 0) {
      this.abort();
      return;
    }
    this.shutdown();
    if (this.state === TcpState.FinWait2) this.startFinWait2Timer();
  }

  /** Ends at once with a reset (RFC 9293 §3.10.5). */
  abort(why = ''): void {
    this.detached = true;
    if (this.state === TcpState.Closed || this.state === TcpState.TimeWait) return;
    this.terminateWithReset('ABORTED', why);
  }

  /** Another congestion control from now on (TCP_CONGESTION); it begins with the window there is. @throws NetError ARGUMENT_INVALID */
  setCongestionControl(name: string): void {
    changeCongestionControl(this, name);
  }

  /** @param on true: no Nagle algorithm [MUST-17] */
  setNoDelay(on: boolean): void {
    this.noDelay = on;
    if (on) overrideCork(this);
  }

  /** @param on true: full segments only, until it is taken off (Linux's TCP_CORK); a short one for at most an RTO behind all others */
  setCork(on: boolean): void {
    this.corked = on;
    if (!on) this.context.wantsToTransmit(this);
  }

  /** @param keepAlive null: off, which is the default [MUST-25] */
  setKeepAlive(keepAlive: KeepAlive | null): void {
    this.keepAlive = keepAlive;
    if (this.isSynchronized) startKeepAlive(this);
  }

  /** @param timeoutMs how long data may stay unacknowledged [MUST-21]; 0: the default number of retransmissions */
  setUserTimeout(timeoutMs: number): void {
    this.userTimeoutMs = timeoutMs;
    // RFC 9293 §3.10.8: it holds in every state
    if (this.state === TcpState.SynSent)
      this.setTimer(TcpTimer.User, timeoutMs > 0 ? this.now + timeoutMs : Infinity);
  }

  /** The connection's insides, for people and tests. */
  info(): ConnectionInfo {
    return describeConnection(this);
  }

  // ---------------------------------------------------------------- from the stack

  transmit(): boolean {
    return transmitSegments(this);
  }

  onDeadline(now: number): void {
    for (let timer = 0; timer < TIMERS; timer++) {
      if (this.#deadlines[timer]! > now) continue;
      this.#deadlines[timer] = Infinity;
      timerExpired(this, timer as TcpTimer);
    }
    this.#refile();
  }

  /** Events of a connection that nobody has accepted yet are kept for whoever does. */
  override signal(event: number): void {
    if (this.parent !== null) this.#heldEvents |= event;
    else super.signal(event);
  }

  // ---------------------------------------------------------------- for the other files of TCP

  get now(): number {
    return this.context.now;
  }

  get isSynchronized(): boolean {
    return this.state >= TcpState.Established && this.state !== TcpState.TimeWait;
  }

  /** SYN-RECEIVED, and data goes both ways already (RFC 7413 §4.2.2). */
  get isEarly(): boolean {
    return this.state === TcpState.SynReceived && this.fastOpen !== null && this.fastOpen.early;
  }

  get ipHeaderBytes(): number {
    return this.route.destination.family === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
  }

  /** Sequence number behind the last byte the application has queued. */
  queuedTo(): number {
    if (this.finQueued) return this.finSeq;
    if (this.sendRing !== null) return (this.sendRing.head + this.sendBase) | 0;
    // without a ring everything is acknowledged, but for our SYN
    return this.sndUna === this.iss ? (this.iss + 1) | 0 : this.sndUna;
  }

  /** Everything up to and including our FIN is acknowledged. */
  get finAcked(): boolean {
    return this.finQueued && ((this.sndUna - this.finSeq) | 0) > 0;
  }

  /** Bytes presumed in the network (pipe of RFC 6675). */
  inFlightBytes(): number {
    const { sackedBytes, lostBytes, retransmittedBytes } = this.sent;
    return (
      ((this.sndNxt - this.sndUna) | 0) - sackedBytes - this.renoSackedBytes - lostBytes + retransmittedBytes
    );
  }

  /** The clock of RFC 7323 §5.4: one tick per millisecond, from an offset of the connection's own. */
  timestamp(): number {
    return this.timestampAt(this.now);
  }

  timestampAt(now: number): number {
    return (Math.floor(now) + this.tsOffset) | 0;
  }

  /** Options of every segment. */
  get segmentOptionBytes(): number {
    return this.tsOk ? TIMESTAMP_OPTION_BYTES : 0;
  }

  /** Recomputes the effective MSS for the path MTU of now. */
  updateMss(): void {
    computeMss(this);
  }

  /** The receive ring is empty and can be taken back. */
  get canDropReceive(): boolean {
    return this.recvRing !== null && this.recvRing.usedBytes === 0 && this.assembler.count === 0;
  }

  /** The send ring is empty and can be taken back. */
  get canDropSend(): boolean {
    return this.sendRing !== null && this.sendRing.usedBytes === 0 && this.sndUna === this.sndNxt;
  }

  /** Takes the place of a `ParkedConnection`, whose numbers it has. */
  resume(): void {
    this.state = TcpState.Established;
    this.#ringsOpen = true;
    this.hasElasticRings = true;
    this.sndNxt = this.sndUna;
    this.roundEnd = this.sndUna;
    this.limitedTo = this.sndUna;
    this.roundReadTo = this.rcvNxt;
    this.roundStartMs = this.now;
    this.updateMss();
  }

  /** The connection goes on elsewhere: nothing calls it any more. */
  forgetTimers(): void {
    this.#deadlines.fill(Infinity);
    this.context.timers.remove(this.#timer);
  }

  /** Gets memory and ties it to the sequence numbers. @returns false when there is none */
  openRings(): boolean {
    if (!this.context.rings.open(this)) return false;
    this.#ringsOpen = true;
    this.hasElasticRings = this.sendRing === null && this.recvRing === null;
    this.recvBufferBytes = this.hasElasticRings
      ? this.layer.settings.receiveBufferBytes
      : (this.recvRing?.capacityBytes ?? 0);
    if (this.sendRing !== null) this.sendBase = (this.iss + 1 - this.sendRing.tail) | 0;
    return true;
  }

  /** Sets or moves a timer; Infinity stops it. */
  setTimer(timer: TcpTimer, deadline: number): void {
    if (this.#deadlines[timer] === deadline) return;
    this.#deadlines[timer] = deadline;
    this.#refile();
  }

  deadlineOf(timer: TcpTimer): number {
    return this.#deadlines[timer]!;
  }

  #refile(): void {
    const deadlines = this.#deadlines;
    let earliest = deadlines[0]!;
    for (let i = 1; i < TIMERS; i++) if (deadlines[i]! < earliest) earliest = deadlines[i]!;
    if (earliest !== this.#timer.deadline) this.context.timers.set(this.#timer, earliest);
  }

  startFinWait2Timer(): void {
    this.setTimer(TcpTimer.FinWait2, this.now + FIN_WAIT_2_TIMEOUT_MS);
  }

  /** The listener gives the connection out. */
  released(): void {
    this.parent = null;
    if (this.hasElasticRings) this.layer.ringKeeper.hold(this);
    const held = this.#heldEvents;
    this.#heldEvents = 0;
    if (held !== 0) this.signal(held);
  }

  /** Ends with a reset to the peer, when it has heard of the connection. */
  terminateWithReset(error: ErrorCode, detail: string): void {
    // RFC 9293 §3.10.5: SYN-SENT sends nothing
    this.rstToSend = this.state !== TcpState.SynSent;
    this.terminate(error, detail);
    if (this.rstToSend) this.context.wantsToTransmit(this);
  }

  /** [SHLD-9] [MUST-47] */
  trouble(): void {
    if (this.tellsTrouble) this.signal(EndpointEvent.Trouble);
  }

  /** The end of the connection [MUST-12]. @param error null: in order */
  terminate(error: ErrorCode | null, detail: string): void {
    if (this.state === TcpState.Closed) return;
    const counters = this.layer.counters;
    if (this.state < TcpState.Established) counters.attemptFails++;
    else if (error !== null) counters.aborts++;
    this.error = error;
    this.errorDetail = detail;
    this.state = TcpState.Closed;
    this.layer.table.remove(this);
    this.#finish();
  }

  /** Hands the four-tuple over to a small object that waits out 2 MSL [MUST-13]. */
  timeWait(): void {
    this.state = TcpState.TimeWait;
    this.layer.table.remove(this);
    enterTimeWait(this);
    this.#finish();
  }

  #finish(): void {
    this.#deadlines.fill(Infinity);
    this.context.timers.remove(this.#timer);
    this.synToSend = false;
    this.ackNow = false;
    this.dupAcksOwed = 0;
    if (this.fastOpen !== null) earlySettled(this);
    const parent = this.parent;
    // Whoever dies before it was accepted is never seen
    if (parent !== null) parent.forget(this);
    this.signal(EndpointEvent.Closed);
    if (!this.#ringsOpen) return;
    this.#ringsOpen = false;
    this.layer.ringKeeper.forget(this);
    this.context.rings.close(this);
  }
}
