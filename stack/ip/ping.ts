import type { Transmitter } from '../context.ts';
import { type IcmpError, IcmpErrorKind, type Route, type RxPacket, type StackContext } from '../context.ts';
import { EndpointEvent } from '../endpoint.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import { Icmp } from '../wire/icmp.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { Slab } from '../wire/slab.ts';
import {
  carriesPayload,
  checkProbeRange,
  isAboutEcho,
  maxProbeBytes,
  type ProbeError,
  Prober,
  type Probes,
  probeErrorOf,
  probePayload,
  probeRoute,
  reporterOf,
  sendEchoRequest,
} from './probes.ts';

/** Results that wait for being taken; further ones are counted only. */
export const MAX_PING_RESULTS = 4096;
/** Requests that wait for their replies: well below the 65,536 sequence numbers. */
export const MAX_PING_OUTSTANDING = 16_384;

export interface PingOptions {
  readonly destination: IpAddress;
  /** An address of ours; null or missing: chosen by route. */
  readonly source?: IpAddress | null;
  /** Requests to send, from 1; Infinity: until closed. Default 4. */
  readonly count?: number;
  /** Time between requests, from 1. Default 1000. */
  readonly intervalMs?: number;
  /** Data in a request, without headers. Default 56. */
  readonly payloadBytes?: number;
  /** How long each reply is waited for, from 1. Default 2000. */
  readonly timeoutMs?: number;
  /** Hop limit, 1 … 255. Default 64. */
  readonly ttl?: number;
  /** TOS or traffic class octet. Default 0. */
  readonly trafficClass?: number;
  /** The application's mark, see `Endpoint.owner`. */
  readonly owner?: number;
}

/** What became of one request. */
export interface PingResult {
  /** Counts from 1. */
  readonly number: number;
  /** `reply`: from the destination; `error`: an ICMP error came instead; `timeout`: nothing in time. */
  readonly outcome: 'reply' | 'error' | 'timeout';
  /** Who answered; null for a timeout. */
  readonly from: IpAddress | null;
  /** From sending to the answer, in milliseconds; NaN for a timeout. */
  readonly rttMs: number;
  /** Hop limit that the reply arrived with; -1 when there is none. */
  readonly ttl: number;
  readonly error: ProbeError | null;
}

/** Numbers over all requests so far, as ping prints them at its end. Times are NaN without replies. */
export interface PingSummary {
  readonly sent: number;
  readonly received: number;
  readonly errors: number;
  readonly timeouts: number;
  /** Further replies to the same request. */
  readonly duplicates: number;
  /** Replies after their time was out. */
  readonly late: number;
  /** Replies with other data than was sent: counted, not taken as replies. */
  readonly damaged: number;
  /** Results that nobody took in time, beyond `MAX_PING_RESULTS`. */
  readonly untaken: number;
  readonly minMs: number;
  readonly meanMs: number;
  readonly maxMs: number;
  /** Standard deviation of the round-trip times. */
  readonly deviationMs: number;
}

interface Outstanding {
  readonly number: number;
  readonly sentMs: number;
  answered: boolean;
}

/** Echo requests to one host (RFC 792, RFC 4443 §4), made by `IcmpLayer.ping`. */
export class Ping extends Prober implements TimerTarget, Transmitter {
  nextToTransmit: Transmitter | null = null;
  waitsToTransmit = false;
  readonly destination: IpAddress;
  closed = false;
  readonly #context: StackContext;
  readonly #probes: Probes;
  readonly #route: Route;
  readonly #count: number;
  readonly #intervalMs: number;
  readonly #timeoutMs: number;
  readonly #ttl: number;
  readonly #trafficClass: number;
  readonly #payload: Slab;
  readonly #timer: TimerEntry = new TimerEntry(this);
  /** In the order they were sent, answered ones until their time is out: their duplicates are known. */
  readonly #outstanding: Outstanding[] = [];
  readonly #results: PingResult[] = [];
  #nextSendMs = 0;
  #sent = 0;
  #received = 0;
  #errors = 0;
  #timeouts = 0;
  #duplicates = 0;
  #late = 0;
  #damaged = 0;
  #untaken = 0;
  #minMs: number = Infinity;
  #maxMs = 0;
  #sumMs = 0;
  #sumSquares = 0;

  /** @throws NetError, see `IcmpLayer.ping` */
  constructor(context: StackContext, probes: Probes, options: PingOptions) {
    super(context);
    const { destination } = options;
    this.#context = context;
    this.#probes = probes;
    this.destination = destination;
    this.#count = options.count ?? 4;
    this.#intervalMs = options.intervalMs ?? 1000;
    this.#timeoutMs = options.timeoutMs ?? 2000;
    this.#ttl = options.ttl ?? 64;
    this.#trafficClass = options.trafficClass ?? 0;
    this.owner = options.owner ?? -1;
    const payloadBytes = options.payloadBytes ?? 56;
    checkProbeRange('count', this.#count, 1, Infinity, true);
    checkProbeRange('intervalMs', this.#intervalMs, 1, 86_400_000, false);
    checkProbeRange('timeoutMs', this.#timeoutMs, 1, this.#intervalMs * MAX_PING_OUTSTANDING, false);
    checkProbeRange('ttl', this.#ttl, 1, 255, true);
    checkProbeRange('trafficClass', this.#trafficClass, 0, 255, true);
    checkProbeRange('payloadBytes', payloadBytes, 0, maxProbeBytes(destination.family), true);
    this.#payload = probePayload(payloadBytes);
    this.#route = probeRoute(context, destination, options.source ?? null);
  }

  /** The next result in order of arrival; null: none now. */
  take(): PingResult | null {
    return this.#results.shift() ?? null;
  }

  get summary(): PingSummary {
    const n = this.#received;
    const meanMs = this.#sumMs / n;
    return {
      sent: this.#sent,
      received: n,
      errors: this.#errors,
      timeouts: this.#timeouts,
      duplicates: this.#duplicates,
      late: this.#late,
      damaged: this.#damaged,
      untaken: this.#untaken,
      minMs: n === 0 ? NaN : this.#minMs,
      meanMs,
      maxMs: n === 0 ? NaN : this.#maxMs,
      // rounding can make the difference negative
      deviationMs: Math.sqrt(Math.max(this.#sumSquares / n - meanMs * meanMs, 0)),
    };
  }

  /** Ends it now; results not taken stay. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#context.timers.remove(this.#timer);
    this.#probes.remove(this);
    this.#outstanding.length = 0;
    this.signal(EndpointEvent.Closed);
  }

  override start(): void {
    this.#nextSendMs = this.#context.now;
    this.#context.wantsToTransmit(this);
  }

  onDeadline(now: number): void {
    if (this.#sent < this.#count && now >= this.#nextSendMs) this.#context.wantsToTransmit(this);
    this.#timeOut(now);
    this.#plan();
  }

  transmit(): boolean {
    const { now } = this.#context;
    if (this.closed || this.#sent >= this.#count || now < this.#nextSendMs) return true;
    const number = this.#sent + 1;
    const { identifier } = this;
    const sequence = number & 0xffff;
    if (
      !sendEchoRequest(
        this.#context,
        this.#route,
        identifier,
        sequence,
        this.#payload,
        this.#ttl,
        this.#trafficClass,
      )
    )
      return false;
    this.#sent = number;
    this.#outstanding.push({ number, sentMs: now, answered: false });
    // A request that had to wait for the device does not pull the next ones together.
    this.#nextSendMs = now + this.#intervalMs;
    this.#plan();
    return true;
  }

  override echoReply(rx: RxPacket): boolean {
    const { destination } = this;
    if (!destination.isMulticast && !rx.sender.equals(destination)) return false;
    const at = this.#find(rx.slab.view.getUint16(rx.off + Icmp.Sequence));
    if (at === null) {
      this.#late++;
      return false;
    }
    if (!carriesPayload(rx, this.#payload)) {
      this.#damaged++;
      return false;
    }
    if (at.answered) {
      this.#duplicates++;
      return true;
    }
    const rttMs = this.#context.now - at.sentMs;
    this.#received++;
    this.#sumMs += rttMs;
    this.#sumSquares += rttMs * rttMs;
    this.#minMs = Math.min(this.#minMs, rttMs);
    this.#maxMs = Math.max(this.#maxMs, rttMs);
    this.#settle(at, { outcome: 'reply', from: rx.sender, rttMs, ttl: rx.ttl, error: null });
    return true;
  }

  override icmpError(error: IcmpError): boolean {
    if (!isAboutEcho(error, this.destination, this.identifier)) return false;
    if (error.kind === IcmpErrorKind.TooBig) this.#context.ip.reducePathMtu(this.#route, error.mtuBytes);
    const at = this.#find(error.seq & 0xffff);
    if (at === null || at.answered) return true;
    this.#errors++;
    this.#settle(at, {
      outcome: 'error',
      from: reporterOf(error),
      rttMs: this.#context.now - at.sentMs,
      ttl: -1,
      error: probeErrorOf(error.kind),
    });
    return true;
  }

  #find(sequence: number): Outstanding | null {
    for (const at of this.#outstanding) if ((at.number & 0xffff) === sequence) return at;
    return null;
  }

  #settle(at: Outstanding, result: Omit<PingResult, 'number'>): void {
    at.answered = true;
    if (this.#results.length >= MAX_PING_RESULTS) this.#untaken++;
    else this.#results.push({ number: at.number, ...result });
    this.signal(EndpointEvent.Readable);
    this.#endWhenDone();
  }

  #timeOut(now: number): void {
    for (let first = this.#outstanding[0]; first !== undefined; first = this.#outstanding[0]) {
      if (first.sentMs + this.#timeoutMs > now) break;
      this.#outstanding.shift();
      if (first.answered) continue;
      this.#timeouts++;
      this.#settle(first, { outcome: 'timeout', from: null, rttMs: NaN, ttl: -1, error: null });
    }
  }

  #endWhenDone(): void {
    if (this.#sent >= this.#count && this.#outstanding.every((at) => at.answered)) this.close();
  }

  #plan(): void {
    if (this.closed) return;
    const first = this.#outstanding[0];
    const timeoutMs = first === undefined ? Infinity : first.sentMs + this.#timeoutMs;
    // what waits for the device is sent when the device can take it
    const sendMs = this.#sent >= this.#count || this.waitsToTransmit ? Infinity : this.#nextSendMs;
    this.#context.timers.set(this.#timer, Math.min(timeoutMs, sendMs));
  }
}
