import type { Route } from '../context.ts';
import type { RandomSource } from '../random.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { IPV4_HEADER_BYTES, IpProtocol } from '../wire/ipv4.ts';
import { IPV6_HEADER_BYTES } from '../wire/ipv6.ts';
import {
  synOptionBytes,
  TCP_HEADER_BYTES,
  Tcp,
  TcpFlag,
  TcpOptions,
  writeSynOptions,
  writeTcpHeader,
} from '../wire/tcp.ts';
import { ourWindowShift } from './handshake.ts';
import type { Segment } from './segment.ts';
import { sipHash } from './siphash.ts';
import type { TcpLayer } from './tcp-layer.ts';

/*
 * RFC 4987 §3.6: when half-open connections fill their queue, the state of further ones goes into the sequence number of the SYN-ACK, and
 * comes back with the ACK of the handshake. Five bits count time, three choose an MSS, 24 are a keyed hash over all of it, both
 * ends and the peer's sequence number. As on Linux the low six bits of the timestamp carry what else was agreed on. Nothing is kept, so
 * nothing is sent again.
 */

/** One count of the cookies' clock; a cookie is good for one to two of them. */
const COUNT_MS = 64_000;
/** What a peer's MSS is rounded down to: what is common, and what is legal. */
const MSS_BYTES = [64, 536, 1220, 1300, 1400, 1440, 1460, 8960] as const;
const TTL = 64;
/** In the timestamp: four bits of window scale (15: none), SACK permitted. */
const NO_SCALE = 15;
const SACK_BIT = 16;
const STATE_BITS = 63;

/** What a cookie has kept of a SYN. */
export interface CookieState {
  /** Our initial sequence number: the cookie itself. */
  readonly iss: number;
  readonly irs: number;
  /** The options of the SYN. */
  readonly options: TcpOptions;
}

/** Makes and checks the SYN cookies of a stack. */
export class SynCookies {
  readonly #random: RandomSource;
  readonly #key: Int32Array = new Int32Array(4);
  readonly #words: Int32Array = new Int32Array(11);
  readonly #hash: Int32Array = new Int32Array(2);
  #hasKey = false;
  #lastSentAt: number = -Infinity;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  /** Answers a SYN without keeping anything of it. */
  answer(layer: TcpLayer, route: Route, seg: Segment): void {
    const { context, settings, isn, counters } = layer;
    const { now } = context;
    const { source: local, destination: remote } = route;
    const { options } = seg;
    const scale = settings.windowScale && options.windowShift >= 0;
    const sack = settings.selectiveAcks && options.sackPermitted;
    const timestamps = settings.timestamps && options.hasTimestamps;
    // Without timestamps there is no place to remember these two
    const shift = timestamps && scale ? ourWindowShift(layer) : -1;
    isn.compute(local, seg.destinationPort, remote, seg.sourcePort);
    const tsVal = stampState(
      Math.floor(now) + isn.timestampOffset,
      scale ? options.windowShift : NO_SCALE,
      sack,
    );
    const headerBytes = TCP_HEADER_BYTES + synOptionBytes(shift >= 0, timestamps && sack, timestamps);
    const off = context.ip.begin(route, headerBytes);
    const { view } = context.tx.head;
    const cookie = this.#make(
      local,
      remote,
      seg,
      seg.seq,
      countAt(now),
      mssIndex(options.mssBytes, local.family),
    );
    const flags = TcpFlag.Syn | TcpFlag.Ack;
    const window = Math.min(settings.passiveWindowBytes, 0xffff);
    const { sourcePort, destinationPort } = seg;
    writeTcpHeader(
      view,
      off,
      destinationPort,
      sourcePort,
      cookie,
      (seg.seq + 1) | 0,
      headerBytes,
      flags,
      window,
    );
    const ipBytes = local.family === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    const mss = Math.min(route.iface.mtuBytes(route.destination.family) - ipBytes - TCP_HEADER_BYTES, 0xffff);
    writeSynOptions(
      view,
      off + Tcp.Options,
      mss,
      shift,
      timestamps && sack,
      timestamps,
      tsVal,
      options.tsVal,
    );
    context.tx.comment = 'SYN cookie';
    if (!context.ip.finish(route, IpProtocol.Tcp, Tcp.Checksum, 0, TTL)) {
      counters.deviceFull++;
      return;
    }
    this.#lastSentAt = now;
    counters.segmentsOut++;
    counters.synCookiesSent++;
  }

  /** Answers may still come: without a recent cookie nothing is computed for stray segments. */
  isExpecting(now: number): boolean {
    return now - this.#lastSentAt <= 2 * COUNT_MS;
  }

  /** What the ACK of a handshake brings back. @returns null: it is not the answer to a cookie of ours */
  check(local: IpAddress, remote: IpAddress, seg: Segment, now: number): CookieState | null {
    const cookie = (seg.ack - 1) | 0;
    const irs = (seg.seq - 1) | 0;
    const count = countAt(now);
    const sent = cookie >>> 27;
    if (sent !== (count & 31) && sent !== ((count - 1) & 31)) return null;
    if (this.#make(local, remote, seg, irs, sent, (cookie >>> 24) & 7) !== cookie) return null;
    return { iss: cookie, irs, options: restore(seg, MSS_BYTES[(cookie >>> 24) & 7]!) };
  }

  #make(local: IpAddress, remote: IpAddress, seg: Segment, irs: number, count: number, mss: number): number {
    if (!this.#hasKey) {
      this.#hasKey = true;
      for (let i = 0; i < 4; i++) this.#key[i] = this.#random.uint32();
    }
    const top = ((count & 31) << 27) | (mss << 24);
    const words = this.#words;
    words[0] = local.w0;
    words[1] = local.w1;
    words[2] = local.w2;
    words[3] = local.w3;
    words[4] = remote.w0;
    words[5] = remote.w1;
    words[6] = remote.w2;
    words[7] = remote.w3;
    words[8] = (seg.destinationPort << 16) | seg.sourcePort;
    words[9] = irs;
    words[10] = top;
    sipHash(this.#key, words, this.#hash);
    return top | (this.#hash[0]! & 0xffffff);
  }
}

function countAt(now: number): number {
  return Math.floor(now / COUNT_MS) & 31;
}

/** The largest entry that is not more than the option; without option RFC 9293 §3.7.1's defaults. */
function mssIndex(mssBytes: number, family: 4 | 6): number {
  const mss = mssBytes >= 0 ? mssBytes : family === 4 ? 536 : 1220;
  let index = 0;
  for (let i = 1; i < MSS_BYTES.length; i++) if (MSS_BYTES[i]! <= mss) index = i;
  return index;
}

/** The timestamp with its low bits replaced; never later than the clock. */
function stampState(timestamp: number, shift: number, sack: boolean): number {
  const state = (Math.min(shift, NO_SCALE) & 15) | (sack ? SACK_BIT : 0);
  const stamped = (timestamp & ~STATE_BITS) | state;
  return ((stamped - timestamp) | 0) > 0 ? (stamped - STATE_BITS - 1) | 0 : stamped;
}

function restore(seg: Segment, mssBytes: number): TcpOptions {
  const options = new TcpOptions();
  options.mssBytes = mssBytes;
  if (!seg.options.hasTimestamps) return options;
  options.hasTimestamps = true;
  options.tsVal = seg.options.tsVal;
  const state = seg.options.tsEcr & STATE_BITS;
  if ((state & 15) !== NO_SCALE) options.windowShift = state & 15;
  options.sackPermitted = (state & SACK_BIT) !== 0;
  return options;
}
