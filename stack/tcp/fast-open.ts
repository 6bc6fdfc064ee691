import type { RandomSource } from '../random.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { Slab } from '../wire/slab.ts';
import { CookieBytes, TCP_HEADER_BYTES, type TcpOptions } from '../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpListener } from './listener.ts';
import type { Segment } from './segment.ts';
import { sipHash } from './siphash.ts';

/** Servers whose cookies are kept; of more, the one used longest ago is forgotten. */
export const MAX_CACHED_COOKIES = 1024;
/** Pieces of SYN data are this much shorter than the MSS: the room of all options (Linux's MAX_TCP_OPTION_SPACE). */
const OPTION_SPACE_BYTES = 40;
/** RFC 7413 §4.1.3.1 leaves open how long a refusal counts: as long as Linux avoids a black hole. */
const REFUSED_MS = 3_600_000;
/** So many SYNs with an option in a row, and no answer to any, are a black hole … */
const LOSSES_OF_BLACK_HOLE = 2;
/** … that is avoided for this long, and twice as long each time (RFC 7413 §4.1.3.1). */
const BLACK_HOLE_MS = 60_000;
/** Our cookies: what a 64-bit hash gives. */
const COOKIE_BYTES = 8;

/** What a client knows of a server (RFC 7413 §4.1.3). */
export class FastOpenEntry {
  /** Empty: none. */
  cookie: Uint8Array = new Uint8Array(0);
  /** It came in the option of RFC 6994. */
  experimental = false;
  /** The server did not answer the option of RFC 7413: that of RFC 6994 is tried once. */
  trial: 'open' | 'next' | 'done' = 'open';
  /** Its MSS option; 0: not known. */
  mssBytes = 0;
  losses = 0;
  /** Fast Open is not tried before. */
  notBefore: number = -Infinity;
}

/** The cookies that servers gave us, by address. */
export class FastOpenCache {
  readonly #entries: Map<string, FastOpenEntry> = new Map();

  /** @returns null: nothing is known of it */
  find(remote: IpAddress): FastOpenEntry | null {
    return this.#entries.get(remote.toString()) ?? null;
  }

  /** The entry, made if need be; it is the newest now. */
  touch(remote: IpAddress): FastOpenEntry {
    const key = remote.toString();
    const entry = this.#entries.get(key) ?? new FastOpenEntry();
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > MAX_CACHED_COOKIES) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    return entry;
  }

  clear(): void {
    this.#entries.clear();
  }

  get size(): number {
    return this.#entries.size;
  }
}

/**
 * A server's cookies (RFC 7413 §4.1.2): a keyed hash of both addresses, so that nothing is stored. The key can be changed at any
 * time; cookies of the one before stay valid until the next change.
 */
export class FastOpenCookies {
  readonly #key: Int32Array = new Int32Array(4);
  readonly #before: Int32Array = new Int32Array(4);
  #hasBefore = false;
  readonly #hash: Int32Array = new Int32Array(2);
  readonly #random: RandomSource;
  #hasKey = false;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  /** @param key four words; those of Linux's tcp_fastopen_key make the same cookies as there */
  setKey(key: readonly [number, number, number, number]): void {
    this.#before.set(this.#key);
    this.#hasBefore = this.#hasKey;
    this.#key.set(key);
    this.#hasKey = true;
  }

  /** The cookie of a client. */
  make(client: IpAddress, server: IpAddress): Uint8Array {
    this.#ensureKey();
    return this.#compute(this.#key, client, server);
  }

  /** @returns 'old': made with the key before, so the client is to get a new one */
  check(client: IpAddress, server: IpAddress, slab: Slab, options: TcpOptions): 'valid' | 'old' | 'invalid' {
    if (options.cookieBytes !== COOKIE_BYTES) return 'invalid';
    this.#ensureKey();
    if (this.#fits(this.#key, client, server, slab, options.cookieOff)) return 'valid';
    if (this.#hasBefore && this.#fits(this.#before, client, server, slab, options.cookieOff)) return 'old';
    return 'invalid';
  }

  /** Stacks without such a listener draw nothing from the random source. */
  #ensureKey(): void {
    if (this.#hasKey) return;
    this.#hasKey = true;
    for (let i = 0; i < 4; i++) this.#key[i] = this.#random.uint32();
  }

  #fits(key: Int32Array, client: IpAddress, server: IpAddress, slab: Slab, off: number): boolean {
    const cookie = this.#compute(key, client, server);
    let difference = 0;
    for (let i = 0; i < COOKIE_BYTES; i++) difference |= cookie[i]! ^ slab.bytes[off + i]!;
    return difference === 0;
  }

  #compute(key: Int32Array, client: IpAddress, server: IpAddress): Uint8Array {
    const words = client.family === 4 ? new Int32Array(2) : new Int32Array(8);
    const half = words.length / 2;
    const all = (address: IpAddress): number[] => [address.w0, address.w1, address.w2, address.w3];
    words.set(
      all(client)
        .slice(4 - half)
        .map(swapBytes),
      0,
    );
    words.set(
      all(server)
        .slice(4 - half)
        .map(swapBytes),
      half,
    );
    sipHash(key, words, this.#hash);
    const cookie = new Uint8Array(COOKIE_BYTES);
    const view = new DataView(cookie.buffer);
    view.setInt32(0, this.#hash[0]!, true);
    view.setInt32(4, this.#hash[1]!, true);
    return cookie;
  }
}

function swapBytes(word: number): number {
  return ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

/** Why an active open went without (Linux's tcpi_fastopen_client_fail). */
export type FastOpenFailure = 'none' | 'no cookie' | 'data not acknowledged' | 'SYN lost';

/** What one connection does about Fast Open; on connections without it there is none. */
export class FastOpen {
  /** The option of our next SYN or SYN-ACK: null none, empty a request. */
  option: Uint8Array | null = null;
  experimental = false;
  /** We asked for a cookie, or sent one. */
  asked = false;
  /** The SYN waits for the first data of the application. */
  held = false;
  /** Data sent with the SYN; its acknowledgment decides. */
  synDataBytes = 0;
  /** The data in the SYN was taken by the peer, or by us. */
  succeeded = false;
  failure: FastOpenFailure = 'none';
  /** Passive: established as far as data goes; the ACK of the SYN-ACK is still to come. */
  early = false;
  /** Where `early` counts. */
  listener: TcpListener | null = null;
}

// ---------------------------------------------------------------- client

/** An active open with Fast Open: chooses what the SYN asks or carries (RFC 7413 §4.2.1). */
export function startFastOpen(c: TcpConnection): void {
  const { fastOpenCache, settings, counters } = c.layer;
  const entry = fastOpenCache.find(c.remote);
  const state = new FastOpen();
  c.fastOpen = state;
  if (entry !== null && c.now < entry.notBefore) {
    counters.fastOpenAvoided++;
    return;
  }
  if (settings.fastOpenWithoutCookie) {
    state.held = true;
    return;
  }
  state.asked = true;
  state.option = entry?.cookie ?? new Uint8Array(0);
  if (state.option.length === 0) state.failure = 'no cookie';
  state.experimental = entry !== null && (entry.experimental || entry.trial === 'next');
  state.held = state.option.length > 0;
}

/** How much of what the application has written goes with the SYN. */
export function synDataBytes(c: TcpConnection): number {
  const { fastOpen, sendRing } = c;
  if (fastOpen === null || sendRing === null || c.retries > 0 || c.passive) return 0;
  const mayCarry =
    fastOpen.option === null ? c.layer.settings.fastOpenWithoutCookie : fastOpen.option.length > 0;
  if (!mayCarry || c.bareSyn) return 0;
  return Math.min(sendRing.usedBytes, synDataLimit(c));
}

/** RFC 7413 §4.1.3: no more than the server's MSS of last time, and the path, let through. */
export function synDataLimit(c: TcpConnection): number {
  const cached = c.layer.fastOpenCache.find(c.remote)?.mssBytes ?? 0;
  const byPath = c.route.pathMtuBytes - c.ipHeaderBytes - TCP_HEADER_BYTES;
  // Not known: RFC 7413 §4.1.3 has the default of TCP; on closed networks the path is known
  const byPeer = cached > 0 ? cached : c.layer.settings.fastOpenWithoutCookie ? byPath : c.peerMss;
  const mss = Math.min(byPeer, byPath, c.maxSegmentBytes);
  return Math.max(mss - OPTION_SPACE_BYTES, 0);
}

/** No answer to a SYN with an option or data: the next one is plain (RFC 7413 §4.2.1), for the network may drop such SYNs. */
export function fastOpenTimeout(c: TcpConnection): void {
  const state = c.fastOpen;
  if (state === null || c.passive || c.retries > 0) return;
  if (state.option === null && state.synDataBytes === 0) return;
  state.option = null;
  state.failure = 'SYN lost';
  const entry = c.layer.fastOpenCache.touch(c.remote);
  entry.losses++;
  if (entry.losses < LOSSES_OF_BLACK_HOLE) return;
  c.layer.counters.fastOpenBlackHoles++;
  entry.notBefore = c.now + Math.min(BLACK_HOLE_MS * 2 ** (entry.losses - LOSSES_OF_BLACK_HOLE), REFUSED_MS);
}

/** The SYN with its data was too large for the path: it goes again at once, and plain. @returns false: nothing of that kind */
export function synDataTooBig(c: TcpConnection): boolean {
  const state = c.fastOpen;
  if (state === null || c.retries > 0 || state.synDataBytes === 0) return false;
  state.option = null;
  c.retries++;
  c.synToSend = true;
  return true;
}

/**
 * The SYN-ACK of an active open: keeps the cookie, and counts what it acknowledges of the data. What it does not acknowledge goes
 * out again at once as if it had never been sent (RFC 7413 §4.2.1).
 */
export function fastOpenAnswered(c: TcpConnection, ack: number, slab: Slab, options: TcpOptions): void {
  const state = c.fastOpen;
  if (state === null) return;
  const { counters, fastOpenCache } = c.layer;
  const ackedBytes = (ack - c.iss - 1) | 0;
  if (state.synDataBytes > 0) {
    state.succeeded = ackedBytes === state.synDataBytes;
    if (state.succeeded) counters.fastOpenActive++;
    else {
      counters.fastOpenActiveFails++;
      if (state.failure === 'none') state.failure = 'data not acknowledged';
    }
  }
  const entry = fastOpenCache.touch(c.remote);
  if (options.mssBytes > 0) entry.mssBytes = options.mssBytes;
  if (!state.asked) return;
  if (c.synRetransmits === 0) entry.losses = 0;
  const { cookieBytes } = options;
  if (cookieBytes > 0) {
    entry.cookie = slab.bytes.slice(options.cookieOff, options.cookieOff + cookieBytes);
    entry.experimental = options.cookieExperimental;
    entry.trial = 'done';
    entry.losses = 0;
    entry.notBefore = -Infinity;
    return;
  }
  // RFC 7413 §4.1.1: an illegal one is ignored, which leaves a request without an answer
  const asked = entry.cookie.length === 0;
  if (asked && cookieBytes === CookieBytes.Absent && c.synRetransmits === 0)
    entry.trial = entry.trial === 'open' ? 'next' : 'done';
  // RFC 7413 §4.1.3.1: a server that leaves SYN data unacknowledged refuses, and says so by giving no other cookie
  const refused = asked ? cookieBytes === CookieBytes.Illegal : state.synDataBytes > 0 && ackedBytes === 0;
  if (refused && c.synRetransmits === 0) {
    entry.notBefore = c.now + REFUSED_MS;
    counters.fastOpenRefused++;
  }
}

/** The application has written, or wants nothing more: a SYN that was held back may go. */
export function releaseSyn(c: TcpConnection): void {
  const state = c.fastOpen;
  if (state?.held) state.held = false;
}

// ---------------------------------------------------------------- server

/** What a listener with Fast Open makes of a SYN (RFC 7413 §4.2.2). @returns null: an ordinary handshake */
export function acceptFastOpen(
  listener: TcpListener,
  client: IpAddress,
  server: IpAddress,
  seg: Segment,
): FastOpen | null {
  const { fastOpenCookies, settings, counters } = listener.layer;
  const { options } = seg;
  const bare = options.cookieBytes === CookieBytes.Absent && settings.fastOpenServerWithoutCookie;
  if (listener.fastOpenQueue === 0 || (options.cookieBytes < 0 && !(bare && seg.payloadLen > 0))) return null;
  const state = new FastOpen();
  state.experimental = options.cookieExperimental;
  const verdict = bare ? 'valid' : fastOpenCookies.check(client, server, seg.slab, options);
  if (verdict !== 'valid') state.option = fastOpenCookies.make(client, server);
  if (options.cookieBytes === CookieBytes.Request) counters.fastOpenRequestsIn++;
  if (verdict === 'invalid') {
    if (options.cookieBytes > 0) counters.fastOpenCookiesRefused++;
    return state;
  }
  // RFC 7413 §5.1: whoever has a cookie can make us keep connections that nobody has confirmed
  if (!listener.takeEarly()) {
    counters.fastOpenOverflows++;
    return state;
  }
  state.early = true;
  state.listener = listener;
  return state;
}

/** Such a connection has been confirmed by the peer, or is over. */
export function earlySettled(c: TcpConnection): void {
  const state = c.fastOpen;
  if (!state?.early) return;
  state.early = false;
  state.listener?.earlySettled(c.error === 'RESET');
}
