import type { ResolverCounters } from './counters.ts';
import type { DnsReply, DnsType } from './dns-message.ts';

/** What of a reply can be kept. */
export type CacheableReply = Extract<DnsReply, { kind: 'addresses' | 'nodata' | 'nxdomain' }>;

/** Answers kept, positive and negative together; the one not used for longest goes first. */
export const MAX_CACHE_ENTRIES = 10_000;
/** RFC 8767 §4 recommends a cap in the order of days; benches change more often than the Internet does. */
export const MAX_TTL_MS = 86_400_000;
/** RFC 2308 §5: one to three hours work well. */
export const MAX_NEGATIVE_TTL_MS = 3_600_000;

interface CacheEntry {
  readonly reply: CacheableReply;
  readonly expires: number;
}

/**
 * Answers of name servers, positive and negative (RFC 2308), for as long as they may be used. Names are lower-case
 * without trailing dot; times are the stack's.
 */
export class DnsCache {
  /** In order of use: the first was not used for longest. */
  readonly #entries = new Map<string, CacheEntry>();
  readonly #counters: ResolverCounters;
  readonly #maxEntries: number;

  constructor(counters: ResolverCounters, maxEntries: number = MAX_CACHE_ENTRIES) {
    this.#counters = counters;
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @returns the answer, or null when it is not known or too old */
  get(name: string, type: DnsType, now: number): CacheableReply | null {
    // RFC 2308 §5: "does not exist" is known of the name, whatever type was asked for
    return this.#find(keyOf(name, 'nxdomain'), now) ?? this.#find(keyOf(name, type), now);
  }

  /** Keeps an answer; a time to live of 0 is not kept (RFC 1035 §3.2.1). */
  put(name: string, type: DnsType, reply: CacheableReply, now: number): void {
    const limitMs = reply.kind === 'addresses' ? MAX_TTL_MS : MAX_NEGATIVE_TTL_MS;
    const ttlMs = Math.min(reply.ttlSeconds * 1000, limitMs);
    if (ttlMs <= 0) return;
    if (reply.kind !== 'nxdomain') this.#entries.delete(keyOf(name, 'nxdomain'));
    const key = keyOf(name, reply.kind === 'nxdomain' ? 'nxdomain' : type);
    this.#entries.delete(key);
    this.#entries.set(key, { reply, expires: now + ttlMs });
    if (this.#entries.size > this.#maxEntries) this.#evict();
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear();
  }

  #find(key: string, now: number): CacheableReply | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    this.#entries.delete(key);
    if (entry.expires <= now) return null;
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
