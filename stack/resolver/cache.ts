import type { ResolverCounters } from './counters.ts';
import type { DnsReply } from './dns-reply.ts';
import type { DnsType } from './record.ts';

/** What of a reply can be kept. */
export type CacheableReply = Extract<DnsReply, { kind: 'addresses' | 'records' | 'nodata' | 'nxdomain' }>;

/** Answers kept, positive and negative together; the one not used for longest goes first. */
export const MAX_CACHE_ENTRIES = 10_000;
/** RFC 8767 §4 recommends a cap in the order of days; benches change more often than the Internet does. */
export const MAX_TTL_MS = 86_400_000;
/** RFC 2308 §5: one to three hours work well. */
export const MAX_NEGATIVE_TTL_MS = 3_600_000;
/** RFC 8767 §5: the time for which nobody is asked again after a failure, and the time to live of what is given instead. */
export const STALE_ANSWER_MS = 30_000;

interface CacheEntry {
  readonly reply: CacheableReply;
  expires: number;
  /** The end of its stale time. */
  readonly keptUntil: number;
}

/**
 * Answers of name servers, positive and negative (RFC 2308), for as long as they may be used. Names are lower-case
 * without trailing dot; times are the stack's.
 */
export class DnsCache {
  /** In order of use: the first was not used for longest. */
  readonly #entries = new Map<string, CacheEntry>();
  readonly #counters: ResolverCounters;
  readonly #staleMs: number;
  readonly #maxEntries: number;

  /** @param staleMs how long positive answers are kept after their time (RFC 8767); 0: not at all */
  constructor(counters: ResolverCounters, staleMs = 0, maxEntries: number = MAX_CACHE_ENTRIES) {
    this.#counters = counters;
    this.#staleMs = staleMs;
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @returns the answer, or null when it is not known or too old */
  get(name: string, type: DnsType, now: number): CacheableReply | null {
    // RFC 2308 §5: "does not exist" is known of the name, whatever type was asked for
    return this.#find(keyOf(name, 'nxdomain'), now, false) ?? this.#find(keyOf(name, type), now, false);
  }

  /**
   * An answer that is too old, because no server has a newer one (RFC 8767 §5). It counts as known for {@link STALE_ANSWER_MS}, so
   * that the servers are not asked for it again before.
   */
  stale(name: string, type: DnsType, now: number): CacheableReply | null {
    const key = keyOf(name, type);
    const reply = this.#find(key, now, true);
    const entry = this.#entries.get(key);
    if (reply === null || entry === undefined) return null;
    entry.expires = Math.max(entry.expires, Math.min(now + STALE_ANSWER_MS, entry.keptUntil));
    return reply;
  }

  /** Keeps an answer; a time to live of 0 is not kept (RFC 1035 §3.2.1). */
  put(name: string, type: DnsType, reply: CacheableReply, now: number): void {
    const isPositive = reply.kind === 'addresses' || reply.kind === 'records';
    const ttlMs = Math.min(reply.ttlSeconds * 1000, isPositive ? MAX_TTL_MS : MAX_NEGATIVE_TTL_MS);
    if (ttlMs <= 0) return;
    if (reply.kind !== 'nxdomain') this.#entries.delete(keyOf(name, 'nxdomain'));
    const key = keyOf(name, reply.kind === 'nxdomain' ? 'nxdomain' : type);
    this.#entries.delete(key);
    const expires = now + ttlMs;
    this.#entries.set(key, { reply, expires, keptUntil: expires + (isPositive ? this.#staleMs : 0) });
    if (this.#entries.size > this.#maxEntries) this.#evict();
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear();
  }

  #find(key: string, now: number, evenStale: boolean): CacheableReply | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    if (entry.keptUntil <= now) {
      this.#entries.delete(key);
      return null;
    }
    if (entry.expires <= now && !evenStale) return null;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.reply;
  }

  #evict(): void {
    for (const key of this.#entries.keys()) {
      this.#entries.delete(key);
      this.#counters.cacheEvicted++;
      return;
    }
  }
}

function keyOf(name: string, what: DnsType | 'nxdomain'): string {
  return `${what} ${name}`;
}
