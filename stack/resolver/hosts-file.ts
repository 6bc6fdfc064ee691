import { NetError } from '../errors.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { type AddressLiteral, parseZonedAddress } from './host-name.ts';

/** A line of a hosts file that could not be used, and why. */
export interface SkippedLine {
  /** Counted from 1. */
  readonly line: number;
  readonly reason: string;
}

/** How many skipped lines are described; the others are only counted. */
export const MAX_SKIPPED_LINES_KEPT = 100;

/** Names kept for the reverse lookup of one address. */
export const MAX_REVERSE_NAMES = 32;

const NO_ADDRESSES: readonly AddressLiteral[] = [];
const NO_NAMES: readonly string[] = [];

const TAB = 9;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const HASH = 35;

/**
 * The names of a hosts file (hosts(5)): an address, then the names it belongs to, `#` starts a comment. Names are compared without
 * regard to case and to a trailing dot; a name on several lines has all their addresses, in the order of the lines.
 */
export class HostsFile {
  /** Lines that were left out, the first `MAX_SKIPPED_LINES_KEPT` of them. */
  readonly skipped: SkippedLine[] = [];
  /** How many lines were left out. */
  skippedCount = 0;
  readonly #addresses = new Map<string, AddressLiteral[]>();
  readonly #names = new Map<string, string[]>();

  /** Reads a whole file. Never fails: a line that cannot be used is skipped and noted. */
  static parse(text: string): HostsFile {
    const hosts = new HostsFile();
    let line = 1;
    let at = text.charCodeAt(0) === 0xfeff ? 1 : 0;
    while (at < text.length) {
      let end = text.indexOf('\n', at);
      if (end < 0) end = text.length;
      hosts.#addLine(text, at, end, line++);
      at = end + 1;
    }
    return hosts;
  }

  /** Number of different names. */
  get size(): number {
    return this.#addresses.size;
  }

  /** All addresses of a name, in file order, with the zones they are in; empty when the file does not have the name. */
  lookup(name: string): readonly AddressLiteral[] {
    return this.#addresses.get(canonicalName(name)) ?? NO_ADDRESSES;
  }

  /** The names of an address, the canonical one (first on its line) first; empty when there are none. */
  reverse(address: IpAddress): readonly string[] {
    return this.#names.get(address.toString()) ?? NO_NAMES;
  }

  #addLine(text: string, start: number, end: number, line: number): void {
    let at = skipBlanks(text, start, end);
    if (at === end || text.charCodeAt(at) === HASH) return;
    let wordEnd = skipWord(text, at, end);
    const literal = text.slice(at, wordEnd);
    const address = readAddress(literal);
    if (typeof address === 'string') {
      this.#skip(line, address);
      return;
    }
    let named = false;
    for (;;) {
      at = skipBlanks(text, wordEnd, end);
      if (at === end || text.charCodeAt(at) === HASH) break;
      wordEnd = skipWord(text, at, end);
      named = true;
      this.#add(address, canonicalName(text.slice(at, wordEnd)));
    }
    if (!named) this.#skip(line, `no name follows the address ${literal}`);
  }

  #add(literal: AddressLiteral, name: string): void {
    const { address, zone } = literal;
    const addresses = this.#addresses.get(name);
    if (addresses === undefined) this.#addresses.set(name, [literal]);
    else if (!addresses.some((known) => known.address.equals(address) && known.zone === zone)) {
      addresses.push(literal);
    }
    const key = address.toString();
    const names = this.#names.get(key);
    if (names === undefined) this.#names.set(key, [name]);
    // Block lists give one address (0.0.0.0) a hundred thousand names; the reverse direction needs a few.
    else if (names.length < MAX_REVERSE_NAMES && !names.includes(name)) names.push(name);
  }

  #skip(line: number, reason: string): void {
    this.skippedCount++;
    if (this.skipped.length < MAX_SKIPPED_LINES_KEPT) this.skipped.push({ line, reason });
  }
}

function canonicalName(name: string): string {
  const lower = name.toLowerCase();
  return lower.length > 1 && lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

/** @returns the address, or why it is none */
function readAddress(literal: string): AddressLiteral | string {
  try {
    return parseZonedAddress(literal) ?? `not an IP address: ${literal.slice(0, 64)}`;
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    return error.detail;
  }
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB || code === CARRIAGE_RETURN || code === LINE_FEED;
}

function skipBlanks(text: string, from: number, end: number): number {
  let at = from;
  while (at < end && isBlank(text.charCodeAt(at))) at++;
  return at;
}

function skipWord(text: string, from: number, end: number): number {
  let at = from;
  while (at < end) {
    const code = text.charCodeAt(at);
    if (code === HASH || isBlank(code)) break;
    at++;
  }
  return at;
}
