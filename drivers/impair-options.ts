import { NetError, Phase } from '../stack/errors.ts';
import type { Slab } from '../stack/wire/slab.ts';

/**
 * Losses in bursts (Gilbert and Elliott): the link changes between a good and a bad state, packet by packet. netem's
 * `gemodel`. All chances are 0 … 1.
 */
export interface BurstLoss {
  /** Good to bad, netem's p. */
  readonly toBad: number;
  /** Bad to good, netem's r; the mean length of a bad time is 1 / r packets. Default 1 - p. */
  readonly toGood?: number;
  /** Loss in the bad state, netem's 1-h. Default 1. */
  readonly lossInBad?: number;
  /** Loss in the good state, netem's 1-k. Default 0. */
  readonly lossInGood?: number;
}

/** Looks at a packet and drops it by returning true. @param number counts the packets of the direction, from 1 */
export type DropPredicate = (slab: Slab, off: number, len: number, number: number) => boolean;

/**
 * What happens to the packets of one direction, in this order. Names and meanings are those of Linux's netem where it has
 * them; chances are 0 … 1. A packet is what goes over a wire at once: there is no segmentation offload on an impaired link.
 */
export interface Impairments {
  /** Packets are lost at these times. Those already under way arrive. In order, without overlap. */
  readonly down?: readonly DownTime[];
  /** Larger packets do not pass; 68 … 65,535 bytes. Default: no limit below the device's own. */
  readonly mtuBytes?: number;
  /**
   * `drop`: they vanish, as in a path MTU black hole. `refuse`: their sender is told by ICMP, in the name of the destination,
   * also about IPv4 packets that a router could fragment. Default `drop`.
   */
  readonly mtuPolicy?: 'drop' | 'refuse';
  /** Every n-th packet is lost. */
  readonly lossEvery?: number;
  /** Packets with these numbers are lost; the first is 1. */
  readonly lossPackets?: readonly number[];
  /** Packets for which this returns true are lost. A function does not travel to another thread. */
  readonly drop?: DropPredicate;
  readonly loss?: number;
  readonly burstLoss?: BurstLoss;
  /** What `loss` and `burstLoss` would lose is marked Congestion Experienced instead when it is ECN-capable. Default false. */
  readonly ecn?: boolean;
  /** A second copy follows; it meets the same rate and delay on its own. */
  readonly duplicate?: number;
  /**
   * One bit is turned over, anywhere in the packet. The Internet checksum finds any one bit; two in the same packet (both
   * directions of a path impaired) can cancel each other out, and wrong data arrives, as on a real network.
   */
  readonly corrupt?: number;
  /** Only the first bytes remain, at least one. */
  readonly truncate?: number;
  /** Bits per second that the link takes; packets queue before it. Default: no limit. */
  readonly rateBps?: number;
  /** Packets that wait for the link at a limited rate; more are dropped. Default 1000. */
  readonly queuePackets?: number;
  /** The same in bytes. Default: no limit. */
  readonly queueBytes?: number;
  /** ECN-capable packets that find as many waiting are marked Congestion Experienced (RFC 3168 §5). Default: none. */
  readonly ecnThresholdPackets?: number;
  readonly delayMs?: number;
  /** Half the width of a uniform, or the deviation of a normal distribution around `delayMs`; no delay is below 0. */
  readonly jitterMs?: number;
  /** Default `uniform`. */
  readonly distribution?: 'uniform' | 'normal';
  /** Packets leave in the order they came in, whatever their jitter. Default false, as in netem. */
  readonly keepOrder?: boolean;
  /** As many packets skip the delay, and so overtake. */
  readonly reorder?: number;
}

/** A time when the link is down, in milliseconds from the making of the device. */
export interface DownTime {
  readonly fromMs: number;
  /** Infinity: for good. */
  readonly toMs: number;
}

/** How a link is disturbed. Structured-cloneable as long as there is no predicate. */
export interface ImpairSettings {
  /** The same seed and the same traffic give the same trace. Default 1. */
  readonly seed?: number;
  /** Received packets. */
  readonly in?: Impairments;
  /** Sent packets. */
  readonly out?: Impairments;
}

/** Words as a command line has them: see {@link parseImpairments}. */
export type ImpairWords = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * Reads netem's words, without regard to case and with or without leading dashes:
 *
 * | word | value |
 * |---|---|
 * | `loss` | `2%`, or `gemodel P [R [1-H [1-K]]]` in percent |
 * | `loss-every`, `loss-packets` | `10`; `3,7,20-29` |
 * | `delay`, `jitter` | `40ms`, `1.5s`, `200us` |
 * | `distribution` | `uniform`, `normal` |
 * | `keep-order`, `ecn` | nothing, `true` or `false` |
 * | `reorder`, `duplicate` (`dup`), `corrupt`, `truncate` | `1%` |
 * | `rate` | `2mbit`, `500kbit`, `1gbit`, `9600bit` |
 * | `limit` | what waits for the link: `100` packets, or `64kb` |
 * | `ecn-threshold` | packets |
 * | `mtu` | `1400`, `1400 refuse` |
 * | `down` | times since the start: `10s-15s,60s-` |
 * | `seed` | a whole number |
 *
 * A word is for both directions; with `in-` or `out-` before it (`in-loss`) for one, which then counts.
 * @throws NetError ARGUMENT_INVALID, naming the word and what was expected
 */
export function parseImpairments(words: ImpairWords): ImpairSettings {
  let seed: number | undefined;
  const both: Impairments[] = [];
  const inward: Impairments[] = [];
  const outward: Impairments[] = [];
  for (const [given, value] of Object.entries(words)) {
    if (value === undefined) continue;
    const word = given.toLowerCase().replace(/^--/, '');
    const text = String(value).trim();
    if (word === 'seed') {
      seed = whole(word, text, -2147483648, 4294967295);
    } else if (word.startsWith('in-')) {
      inward.push(readWord(word, word.slice(3), text));
    } else if (word.startsWith('out-')) {
      outward.push(readWord(word, word.slice(4), text));
    } else {
      both.push(readWord(word, word, text));
    }
  }
  const settings: ImpairSettings = {
    ...(seed === undefined ? {} : { seed }),
    in: merge([...both, ...inward]),
    out: merge([...both, ...outward]),
  };
  checkImpairSettings(settings);
  return settings;
}

/** True when the settings change nothing. */
export function isUnimpaired(settings: ImpairSettings): boolean {
  const { in: inward = {}, out: outward = {} } = settings;
  return Object.keys(inward).length === 0 && Object.keys(outward).length === 0;
}

/** @throws NetError ARGUMENT_INVALID naming what is wrong */
export function checkImpairSettings(settings: ImpairSettings): void {
  checkImpairments('in', settings.in ?? {});
  checkImpairments('out', settings.out ?? {});
  if (settings.seed !== undefined && !Number.isInteger(settings.seed))
    throw invalid(`seed is a whole number, got ${settings.seed}`);
}

/** Packets that may wait at most, in `queuePackets`. */
export const MAX_QUEUE_PACKETS = 1_000_000;
const MAX_DELAY_MS = 86_400_000;

/** Least and most of every number; chances are 0 … 1. */
const RANGES: readonly (readonly [keyof Impairments, number, number, 'whole' | 'any'])[] = [
  ['mtuBytes', 68, 65_535, 'whole'],
  ['lossEvery', 1, Number.MAX_SAFE_INTEGER, 'whole'],
  ['loss', 0, 1, 'any'],
  ['duplicate', 0, 1, 'any'],
  ['corrupt', 0, 1, 'any'],
  ['truncate', 0, 1, 'any'],
  ['reorder', 0, 1, 'any'],
  ['rateBps', 1, 1e12, 'any'],
  ['queuePackets', 1, MAX_QUEUE_PACKETS, 'whole'],
  ['queueBytes', 1, Number.MAX_SAFE_INTEGER, 'whole'],
  ['ecnThresholdPackets', 0, MAX_QUEUE_PACKETS, 'whole'],
  ['delayMs', 0, MAX_DELAY_MS, 'any'],
  ['jitterMs', 0, MAX_DELAY_MS, 'any'],
];

function checkImpairments(direction: string, impairments: Impairments): void {
  for (const [name, least, most, kind] of RANGES) {
    const value = impairments[name];
    if (value !== undefined)
      checkNumber(`${direction}.${name}`, value as number, least, most, kind === 'whole');
  }
  const { down = [], burstLoss, lossPackets = [], reorder = 0, delayMs = 0, rateBps } = impairments;
  let before = 0;
  for (const { fromMs, toMs } of down) {
    if (!(fromMs >= before && toMs > fromMs))
      throw invalid(`${direction}.down times are in order, each from before to; got ${fromMs} … ${toMs} ms`);
    before = toMs;
  }
  if (burstLoss !== undefined) {
    const { toBad, toGood, lossInBad, lossInGood } = burstLoss;
    for (const [name, value] of Object.entries({ toBad, toGood, lossInBad, lossInGood }))
      if (value !== undefined) checkNumber(`${direction}.burstLoss.${name}`, value, 0, 1, false);
  }
  for (const number of lossPackets)
    checkNumber(`${direction}.lossPackets`, number, 1, Number.MAX_SAFE_INTEGER, true);
  if (reorder > 0 && delayMs === 0)
    throw invalid(`${direction}.reorder lets packets skip the delay: it needs one`);
  const queue = ['queuePackets', 'queueBytes', 'ecnThresholdPackets'] as const;
  for (const name of queue)
    if (impairments[name] !== undefined && rateBps === undefined)
      throw invalid(`${direction}.${name} is about packets that wait for the link: it needs a rate`);
}

function checkNumber(name: string, value: number, least: number, most: number, isWhole: boolean): void {
  if (value >= least && value <= most && (!isWhole || Number.isInteger(value))) return;
  throw invalid(`impairment ${name} is ${isWhole ? 'a whole number ' : ''}${least} … ${most}, got ${value}`);
}

function merge(parts: readonly Impairments[]): Impairments {
  const all: Impairments = {};
  for (const part of parts) Object.assign(all, part);
  return all;
}

/** @param word as given, for messages. @param name without its direction */
function readWord(word: string, name: string, text: string): Impairments {
  switch (name) {
    case 'loss':
      return text.toLowerCase().startsWith('gemodel')
        ? { burstLoss: gilbertElliott(word, text) }
        : { loss: chance(word, text) };
    case 'loss-every':
      return { lossEvery: whole(word, text, 1, Number.MAX_SAFE_INTEGER) };
    case 'loss-packets':
      return { lossPackets: packetNumbers(word, text) };
    case 'delay':
      return { delayMs: duration(word, text) };
    case 'jitter':
      return { jitterMs: duration(word, text) };
    case 'distribution':
      if (text === 'uniform' || text === 'normal') return { distribution: text };
      throw expected(word, 'uniform or normal', text);
    case 'keep-order':
      return { keepOrder: flag(word, text) };
    case 'ecn':
      return { ecn: flag(word, text) };
    case 'reorder':
      return { reorder: chance(word, text) };
    case 'duplicate':
    case 'dup':
      return { duplicate: chance(word, text) };
    case 'corrupt':
      return { corrupt: chance(word, text) };
    case 'truncate':
      return { truncate: chance(word, text) };
    case 'rate':
      return { rateBps: rate(word, text) };
    case 'limit':
      return /^\d+$/.test(text)
        ? { queuePackets: whole(word, text, 1, MAX_QUEUE_PACKETS) }
        : { queueBytes: sizeBytes(word, text) };
    case 'ecn-threshold':
      return { ecnThresholdPackets: whole(word, text, 0, MAX_QUEUE_PACKETS) };
    case 'mtu':
      return mtu(word, text);
    case 'down':
      return { down: text.split(',').map((part) => downTime(word, part)) };
    default:
      throw invalid(
        `unknown impairment '${word}'; there are loss, loss-every, loss-packets, delay, jitter, distribution, keep-order, ` +
          'reorder, duplicate, corrupt, truncate, rate, limit, ecn, ecn-threshold, mtu, down, each with in- or out- before it for one direction, and seed',
      );
  }
}

/** The number before a unit; NaN when there is none. */
function numberBefore(text: string, unit: RegExp): number {
  const match = /^(\d+(?:\.\d+)?|\.\d+)\s*([a-z%]*)$/i.exec(text);
  return match !== null && unit.test(match[2] ?? '') ? Number(match[1]) : NaN;
}

function chance(word: string, text: string): number {
  const percent = numberBefore(text, /^%$/);
  if (percent >= 0 && percent <= 100) return percent / 100;
  throw expected(word, 'a percentage such as 2% or 0.5%', text);
}

function gilbertElliott(word: string, text: string): BurstLoss {
  const chances = text
    .split(/\s+/)
    .slice(1)
    .map((part) => chance(word, part));
  const [toBad, toGood, lossInBad, lossInGood] = chances;
  if (toBad === undefined || chances.length > 4)
    throw expected(word, 'gemodel P [R [1-H [1-K]]], all in percent', text);
  return {
    toBad,
    ...(toGood === undefined ? {} : { toGood }),
    ...(lossInBad === undefined ? {} : { lossInBad }),
    ...(lossInGood === undefined ? {} : { lossInGood }),
  };
}

const DURATION_UNITS: readonly (readonly [RegExp, number])[] = [
  [/^us(ecs?)?$/i, 0.001],
  [/^ms(ecs?)?$/i, 1],
  [/^s(ecs?)?$/i, 1000],
];

function duration(word: string, text: string): number {
  for (const [unit, factor] of DURATION_UNITS) {
    const value = numberBefore(text, unit) * factor;
    if (!Number.isNaN(value)) return value;
  }
  throw expected(word, 'a time with its unit such as 40ms, 1.5s or 200us', text);
}

const RATE_UNITS: readonly (readonly [RegExp, number])[] = [
  [/^bit$/i, 1],
  [/^kbit$/i, 1e3],
  [/^mbit$/i, 1e6],
  [/^gbit$/i, 1e9],
];

/** `2mbit` in bits per second. @param word what it is for. @throws NetError ARGUMENT_INVALID */
export function rate(word: string, text: string): number {
  for (const [unit, factor] of RATE_UNITS) {
    const value = numberBefore(text, unit) * factor;
    if (value > 0) return value;
  }
  // tc's bps means bytes per second, which few expect
  throw expected(word, 'bits per second with their unit such as 2mbit, 500kbit, 1gbit or 9600bit', text);
}

const SIZE_UNITS: readonly (readonly [RegExp, number])[] = [
  [/^b$/i, 1],
  [/^kb?$/i, 1024],
  [/^mb?$/i, 1024 * 1024],
];

function sizeBytes(word: string, text: string): number {
  for (const [unit, factor] of SIZE_UNITS) {
    const value = numberBefore(text, unit) * factor;
    if (value > 0) return Math.round(value);
  }
  throw expected(word, 'a number of packets, or a size such as 64kb', text);
}

function whole(word: string, text: string, least: number, most: number): number {
  const value = /^-?\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw expected(word, `a whole number from ${least} to ${most}`, text);
}

function flag(word: string, text: string): boolean {
  if (text === '' || text === 'true') return true;
  if (text === 'false') return false;
  throw expected(word, 'nothing, true or false', text);
}

/** Longer lists are a mistake; a predicate does better. */
const MAX_LISTED_PACKETS = 100_000;

function packetNumbers(word: string, text: string): number[] {
  const numbers: number[] = [];
  for (const part of text.split(',')) {
    const [first = '', last = first, ...more] = part.split('-');
    const from = whole(word, first.trim(), 1, Number.MAX_SAFE_INTEGER);
    const to = whole(word, last.trim(), from, Number.MAX_SAFE_INTEGER);
    if (more.length > 0 || to - from + numbers.length >= MAX_LISTED_PACKETS)
      throw expected(word, `numbers and ranges such as 3,7,20-29, ${MAX_LISTED_PACKETS} at most`, text);
    for (let number = from; number <= to; number++) numbers.push(number);
  }
  return numbers;
}

function mtu(word: string, text: string): Impairments {
  const [bytes = '', policy = 'drop', ...more] = text.split(/\s+/);
  if (more.length > 0 || (policy !== 'drop' && policy !== 'refuse'))
    throw expected(word, 'bytes, and drop or refuse: 1400 refuse', text);
  return { mtuBytes: whole(word, bytes, 68, 65_535), mtuPolicy: policy };
}

function downTime(word: string, part: string): DownTime {
  const [from = '', to, ...more] = part.split('-').map((time) => time.trim());
  if (to === undefined || more.length > 0) throw expected(word, 'times such as 10s-15s,60s-', part);
  return { fromMs: duration(word, from), toMs: to === '' ? Infinity : duration(word, to) };
}

function expected(word: string, what: string, got: string): NetError {
  return invalid(`impairment '${word}' is ${what}; got '${got}'`);
}

function invalid(detail: string): NetError {
  return new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}
