import test from 'ava';
import { IpAddress } from '../wire/ip-address.ts';
import { type CacheableReply, DnsCache, MAX_NEGATIVE_TTL_MS, MAX_TTL_MS } from './cache.ts';
import { ResolverCounters } from './counters.ts';

const found = (ttlSeconds: number): CacheableReply => ({
  kind: 'addresses',
  addresses: [IpAddress.v4(1)],
  ttlSeconds,
});

test('an answer is kept for exactly its time to live', (t) => {
  const cache = new DnsCache(new ResolverCounters());
  cache.put('a', 'A', found(10), 1000);
  t.is(cache.get('a', 'A', 10_999)?.kind, 'addresses');
  t.is(cache.get('a', 'AAAA', 1000), null);
  t.is(cache.get('b', 'A', 1000), null);
  t.is(cache.get('a', 'A', 11_000), null);
  t.is(cache.size, 0);
});

test('a time to live of 0 is not kept, long ones are cut', (t) => {
  const cache = new DnsCache(new ResolverCounters());
  cache.put('a', 'A', found(0), 0);
  t.is(cache.size, 0);
  cache.put('a', 'A', found(0x7fffffff), 0);
  t.not(cache.get('a', 'A', MAX_TTL_MS - 1), null);
  t.is(cache.get('a', 'A', MAX_TTL_MS), null);
  cache.put('a', 'A', { kind: 'nodata', ttlSeconds: 0x7fffffff }, 0);
  t.not(cache.get('a', 'A', MAX_NEGATIVE_TTL_MS - 1), null);
  t.is(cache.get('a', 'A', MAX_NEGATIVE_TTL_MS), null);
});

test('NXDOMAIN holds for all types and ends with a positive answer; NODATA holds for its type', (t) => {
  const cache = new DnsCache(new ResolverCounters());
  cache.put('a', 'A', { kind: 'nxdomain', ttlSeconds: 10 }, 0);
  t.is(cache.get('a', 'AAAA', 1)?.kind, 'nxdomain');
  cache.put('a', 'A', found(10), 1);
  t.is(cache.get('a', 'A', 2)?.kind, 'addresses');
  t.is(cache.get('a', 'AAAA', 2), null);
  cache.put('b', 'AAAA', { kind: 'nodata', ttlSeconds: 10 }, 0);
  t.is(cache.get('b', 'A', 1), null);
});

test('the number of entries is bounded; the one unused for longest goes, and is counted', (t) => {
  const counters = new ResolverCounters();
  const cache = new DnsCache(counters, 0, 3);
  for (const name of ['a', 'b', 'c']) cache.put(name, 'A', found(10), 0);
  cache.get('a', 'A', 1);
  cache.put('d', 'A', found(10), 1);
  t.is(cache.size, 3);
  t.is(counters.cacheEvicted, 1);
  t.is(cache.get('b', 'A', 1), null);
  t.not(cache.get('a', 'A', 1), null);
});

test('an answer that is too old is kept for when nobody has a newer one, and counts as known for a while then', (t) => {
  const cache = new DnsCache(new ResolverCounters(), 60_000);
  const reply = { kind: 'addresses', addresses: [IpAddress.v4(1)], ttlSeconds: 10 } as const;
  cache.put('old.example', 'A', reply, 0);
  cache.put('none.example', 'A', { kind: 'nodata', ttlSeconds: 10 }, 0);
  t.is(cache.get('old.example', 'A', 20_000), null);
  t.is(cache.stale('old.example', 'A', 20_000), reply);
  t.is(cache.get('old.example', 'A', 49_999), reply, 'RFC 8767 §5: not asked again for 30 s');
  t.is(cache.get('old.example', 'A', 50_000), null);
  t.is(cache.stale('none.example', 'A', 20_000), null, 'only positive answers');
});

test('the stale time has an end', (t) => {
  const cache = new DnsCache(new ResolverCounters(), 60_000);
  cache.put('old.example', 'A', { kind: 'addresses', addresses: [IpAddress.v4(1)], ttlSeconds: 10 }, 0);
  t.is(cache.stale('old.example', 'A', 70_000), null);
  t.is(cache.size, 0);
});
