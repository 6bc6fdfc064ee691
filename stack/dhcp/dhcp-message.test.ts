import test from 'ava';
import { fc } from '../../test/properties.ts';
import { Slab } from '../wire/slab.ts';
import { leaseOf, MAX_LEASE_NAME_SERVERS, MAX_LEASE_ROUTES } from './dhcp-lease.ts';
import { parseDhcpReply } from './dhcp-message.ts';
import { bytesOf, replyBytes, word } from './test-server.ts';

const REQUEST = { transactionId: 0x12345678, hardware: Uint8Array.of(2, 0, 0, 0, 0, 1) };
const SERVER: readonly [number, readonly number[]] = [54, bytesOf('192.0.2.1')];
const HOUR: readonly [number, readonly number[]] = [51, word(3600)];

type Options = readonly (readonly [number, readonly number[]])[];

function reply(options: Options, address = '192.0.2.100'): Uint8Array {
  return replyBytes(REQUEST, { type: 5, address, options });
}

const parse = (bytes: Uint8Array): ReturnType<typeof parseDhcpReply> =>
  parseDhcpReply(new Slab(bytes), 0, bytes.length);

function lease(options: Options, address = '192.0.2.100'): ReturnType<typeof leaseOf> {
  const parsed = parse(reply(options, address));
  return parsed === null ? null : leaseOf(parsed, 1000, null);
}

const routes = (options: Options): string[] =>
  lease([SERVER, HOUR, ...options])!.routes.map(
    ({ prefix, gateway }) => `${prefix.address}/${prefix.prefixLength} ${gateway}`,
  );

test('what a lease says', (t) => {
  const all = lease([
    SERVER,
    HOUR,
    [1, bytesOf('255.255.255.0')],
    [3, bytesOf('192.0.2.1')],
    [6, [...bytesOf('192.0.2.53'), ...bytesOf('198.51.100.53')]],
    [15, [...Buffer.from('Lab.Example.\0')]],
    [26, [1400 >> 8, 1400 & 255]],
  ])!;
  t.is(`${all.address.address}/${all.address.prefixLength}`, '192.0.2.100/24');
  t.is(all.server.toString(), '192.0.2.1');
  t.deepEqual(all.nameServers.map(String), ['192.0.2.53', '198.51.100.53']);
  t.is(all.domain, 'lab.example');
  t.is(all.mtuBytes, 1400);
  t.deepEqual(
    [all.renewAtMs, all.rebindAtMs, all.expiresAtMs],
    [1000 + 1_800_000, 1000 + 3_150_000, 1000 + 3_600_000],
  );
  t.deepEqual(routes([[3, bytesOf('192.0.2.1')]]), ['192.0.2.1/0 192.0.2.1']);
});

// [RFC 1122 §3.3.1.2-4]
test('classless routes replace the router (RFC 3442)', (t) => {
  const value = [0, ...bytesOf('192.0.2.1'), 24, 10, 1, 2, ...bytesOf('192.0.2.9'), 8, 10, 0, 0, 0, 0];
  const router: Options[number] = [3, bytesOf('192.0.2.254')];
  const expected = ['0.0.0.0/0 192.0.2.1', '10.1.2.0/24 192.0.2.9', '10.0.0.0/8 null'];
  t.deepEqual(routes([router, [121, value]]), expected);
  // RFC 3396: in two parts
  t.deepEqual(routes([[121, value.slice(0, 7)], router, [121, value.slice(7)]]), expected);
  for (const bad of [[33, 1, 2, 3, 4, 5, 1, 2, 3, 4], value.slice(0, -1), []])
    t.deepEqual(routes([router, [121, bad]]), ['192.0.2.254/0 192.0.2.254'], String(bad));
  const many = Array.from({ length: 40 }, (_, i) => [8, i + 1, ...bytesOf('192.0.2.1')]).flat();
  t.is(
    routes([
      [121, many.slice(0, 240)],
      [121, many.slice(240)],
    ]).length,
    MAX_LEASE_ROUTES,
  );
});

test('times: T1 and T2 where they make sense, leases for ever, leases too short', (t) => {
  const t1t2 = lease([SERVER, HOUR, [58, word(100)], [59, word(200)]])!;
  t.deepEqual([t1t2.renewAtMs, t1t2.rebindAtMs], [101_000, 201_000]);
  const swapped = lease([SERVER, HOUR, [58, word(200)], [59, word(100)]])!;
  t.is(swapped.renewAtMs, 1_801_000);
  const forever = lease([SERVER, [51, word(0xffffffff)]])!;
  t.deepEqual([forever.renewAtMs, forever.expiresAtMs], [Infinity, Infinity]);
  t.is(lease([SERVER, [51, word(9)]]), null);
});

test('what makes no sense is refused, or as if it were not there', (t) => {
  t.is(lease([SERVER]), null, 'no lease time');
  t.is(lease([HOUR]), null, 'no server');
  for (const address of ['0.0.0.0', '127.0.0.1', '224.0.0.1', '255.255.255.255'])
    t.is(lease([SERVER, HOUR], address), null, address);
  t.is(lease([SERVER, HOUR, [1, bytesOf('255.0.255.0')]])!.address.prefixLength, 32);
  t.is(lease([SERVER, HOUR, [1, bytesOf('0.0.0.0')]])!.address.prefixLength, 32);
  t.is(lease([SERVER, HOUR, [1, bytesOf('255.255.255.255')]])!.address.prefixLength, 32);
  t.is(lease([SERVER, HOUR, [26, [0, 100]]])!.mtuBytes, Infinity);
  t.is(lease([SERVER, HOUR, [15, [...Buffer.from('a b')]]])!.domain, null);
  t.is(lease([SERVER, HOUR, [15, [...Buffer.from('..')]]])!.domain, null);
  t.deepEqual(lease([SERVER, HOUR, [6, [1, 2, 3]]])!.nameServers, []);
  const many = Array.from({ length: 20 }, () => bytesOf('192.0.2.53')).flat();
  t.is(lease([SERVER, HOUR, [6, many]])!.nameServers.length, MAX_LEASE_NAME_SERVERS);
});

test('options in the fields for names (option 52)', (t) => {
  const bytes = reply([[52, [3]]]);
  bytes.set([51, 4, ...word(7200), 255], 108);
  bytes.set([54, 4, ...bytesOf('192.0.2.7'), 255], 44);
  const found = leaseOf(parse(bytes)!, 0, null)!;
  t.is(found.server.toString(), '192.0.2.7');
  t.is(found.expiresAtMs, 7_200_000);
  bytes[114] = 51;
  bytes[115] = 200;
  t.is(parse(bytes), null, 'past the end of the field');
  t.is(parse(reply([[52, [4]]])), null);
});

test('cut off at every byte, it is no message', (t) => {
  const bytes = reply([SERVER, HOUR, [121, [0, ...bytesOf('192.0.2.1')]]]);
  t.not(parse(bytes), null);
  for (let length = 0; length < bytes.length; length++)
    t.is(parse(bytes.slice(0, length)), null, String(length));
  const long = new Uint8Array(1473);
  long.set(bytes);
  t.is(parse(long), null);
});

test('whatever comes, nothing is thrown', (t) => {
  const whole = reply([SERVER, HOUR, [1, bytesOf('255.255.255.0')], [121, [0, ...bytesOf('192.0.2.1')]]]);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 }),
      fc.uint8Array({ maxLength: 300 }),
      (changes, tail) => {
        const bytes = new Uint8Array(whole.length + tail.length);
        bytes.set(whole);
        for (const [at, value] of changes) bytes[at] = value;
        bytes.set(tail, whole.length - 1);
        const parsed = parse(bytes);
        if (parsed !== null) leaseOf(parsed, 0, null);
      },
    ),
    { numRuns: 5000 },
  );
  t.pass();
});
