import test from 'ava';
import { fc } from '../../test/properties.ts';
import { EthernetWire, type Station } from '../testing/ethernet-wire.ts';
import { addressOf, icmpMessage, ipPacket } from '../testing/packets.ts';
import { EtherType, writeEthernetHeader } from '../wire/ethernet.ts';
import { Slab } from '../wire/slab.ts';
import { stableAddress } from './interface-identifier.ts';
import { Slaac, SlaacCounters } from './slaac.ts';

const SECOND = 1000;
const ROUTER = 'fe80::1';
const SECRET = Int32Array.of(1, 2, 3, 4);

interface Bed {
  readonly wire: EthernetWire;
  readonly own: Station;
  readonly counters: SlaacCounters;
  readonly slaac: Slaac;
  /** What the owner was told of name servers. */
  readonly names: string[];
}

function bed(): Bed {
  const wire = new EthernetWire();
  const own = wire.add(1, []);
  wire.add(2, ['fe80::2/64']);
  const counters = new SlaacCounters();
  const names: string[] = [];
  const slaac = new Slaac(own.stack, counters, own.link, SECRET, {
    configured: (settings) => own.stack.configure(own.iface, 'slaac', settings),
    serverAdvertised: () => {},
    nameServersLearned: (servers, domains) => void names.push(`${servers.join(' ')}; ${domains.join(' ')}`),
  });
  return { wire, own, counters, slaac, names };
}

const word = (value: number): number[] => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);

function bytesOf(address: string): number[] {
  const bytes = new Uint8Array(16);
  addressOf(address).write(new DataView(bytes.buffer), 0);
  return [...bytes];
}

interface PrefixFields {
  readonly prefix?: string;
  readonly bits?: number;
  readonly flags?: number;
  readonly valid?: number;
  readonly preferred?: number;
}

function prefixOption(fields: PrefixFields = {}): number[] {
  const { prefix = '2001:db8:1::', bits = 64, flags = 0xc0, valid = 86_400, preferred = 14_400 } = fields;
  return [3, 4, bits, flags, ...word(valid), ...word(preferred), 0, 0, 0, 0, ...bytesOf(prefix)];
}

interface Advertisement {
  readonly from?: string;
  readonly hopLimit?: number;
  readonly code?: number;
  readonly lifetime?: number;
  readonly options?: readonly number[];
  readonly cut?: number;
}

function advertise({ own, wire }: Bed, fields: Advertisement = {}): void {
  const {
    from = ROUTER,
    hopLimit = 255,
    code = 0,
    lifetime = 1800,
    options = prefixOption(),
    cut = 0,
  } = fields;
  const body = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, ...options);
  const message = icmpMessage(
    from,
    'ff02::1',
    134,
    code,
    (64 << 24) | lifetime,
    body.slice(0, body.length - cut),
  );
  const packet = ipPacket({ from, to: 'ff02::1', protocol: 58, ttl: hopLimit }, message);
  const frame = Slab.alloc(14 + packet.length);
  writeEthernetHeader(frame.view, 0, 0x3333, 1, 0x0200, 9, EtherType.Ipv6);
  frame.bytes.set(packet, 14);
  own.input(frame.bytes);
  wire.settle();
}

const addresses = ({ own }: Bed): string[] => own.iface.addresses.map(({ address }) => address.toString());
const LINK_LOCAL = stableAddress(addressOf('fe80::'), 0x0200, 1, 0, SECRET).toString();
const GLOBAL = stableAddress(addressOf('2001:db8:1::'), 0x0200, 1, 0, SECRET).toString();

/** ICMPv6 messages that we have sent, as `type source`. */
function sent({ wire, own }: Bed): string[] {
  return wire.trace
    .filter(({ from, bytes }) => from === own && bytes[12] === 0x86 && bytes[20] === 58)
    .map(({ bytes }) => `${bytes[54]} ${addressText(bytes.subarray(22, 38))}`);
}

function addressText(bytes: Uint8Array): string {
  return bytes.every((byte) => byte === 0) ? '::' : bytes[0] === 0xfe ? 'link' : 'global';
}

test('a link-local address, then routers are asked three times, four seconds apart', (t) => {
  const b = bed();
  t.deepEqual(addresses(b), []);
  b.wire.runFor(30 * SECOND);
  t.deepEqual(addresses(b), [LINK_LOCAL]);
  t.deepEqual(sent(b), ['135 ::', '133 link', '133 link', '133 link']);
  const at = b.wire.trace
    .filter(({ from, bytes }) => from === b.own && bytes[54] === 133)
    .map(({ atMs }) => atMs);
  t.is(Math.round(at[1]! - at[0]!), 4000);
});

test('an advertisement: an address, a default router, on-link prefix, MTU', (t) => {
  const b = bed();
  b.wire.runFor(3 * SECOND);
  advertise(b, { options: [...prefixOption(), 5, 1, 0, 0, ...word(1400)] });
  t.deepEqual(addresses(b), [LINK_LOCAL], 'not before it is known to be free');
  b.wire.runFor(3 * SECOND);
  t.deepEqual(addresses(b), [LINK_LOCAL, GLOBAL]);
  t.true(b.slaac.hasGlobalAddress);
  const far = b.own.stack.ip.route(addressOf('2001:db8:9::1'), null);
  t.is(`${far.source} ${far.nextHop} ${far.pathMtuBytes}`, `${GLOBAL} ${ROUTER} 1400`);
  const near = b.own.stack.ip.route(addressOf('2001:db8:1::7'), null);
  t.is(near.nextHop.toString(), '2001:db8:1::7');
  b.wire.runFor(60 * SECOND);
  t.is(b.counters.solicitationsSent, 1, 'the answer ends the questions');
});

test('without the on-link flag neighbours are reached by the router, without the other there is no address', (t) => {
  const b = bed();
  advertise(b, {
    options: [...prefixOption({ flags: 0x40 }), ...prefixOption({ prefix: '2001:db8:2::', flags: 0x80 })],
  });
  b.wire.runFor(3 * SECOND);
  t.deepEqual(addresses(b), [LINK_LOCAL, GLOBAL]);
  t.is(b.own.stack.ip.route(addressOf('2001:db8:1::7'), null).nextHop.toString(), ROUTER);
  t.is(b.own.stack.ip.route(addressOf('2001:db8:2::7'), null).nextHop.toString(), '2001:db8:2::7');
});

test('lifetimes: the router goes, the address is deprecated, then it is gone', (t) => {
  const b = bed();
  advertise(b, { lifetime: 100, options: prefixOption({ valid: 8000, preferred: 200 }) });
  b.wire.runFor(50 * SECOND);
  const far = addressOf('2001:db8:9::1');
  t.is(b.own.stack.ip.route(far, null).nextHop.toString(), ROUTER);
  b.wire.runFor(51 * SECOND);
  t.throws(() => b.own.stack.ip.route(far, null), { message: /no interface/ });
  t.falsy(b.own.iface.addresses[1]!.isDeprecated);
  b.wire.runFor(100 * SECOND);
  t.true(b.own.iface.addresses[1]!.isDeprecated);
  b.wire.runFor(7800 * SECOND);
  t.deepEqual(addresses(b), [LINK_LOCAL]);
  t.is(b.counters.addressesExpired, 1);
});

test('a router that says that it is none, a forged short lifetime, a new prefix beside a deprecated one', (t) => {
  const b = bed();
  advertise(b);
  b.wire.runFor(5 * SECOND);
  advertise(b, { lifetime: 0, options: prefixOption({ valid: 1, preferred: 0 }) });
  t.throws(() => b.own.stack.ip.route(addressOf('2001:db8:9::1'), null));
  b.wire.runFor(7100 * SECOND);
  t.true(addresses(b).includes(GLOBAL), 'RFC 4862 §5.5.3 (e): two hours at least');
  advertise(b, { options: prefixOption({ prefix: '2001:db8:2::' }) });
  b.wire.runFor(5 * SECOND);
  const { source } = b.own.stack.ip.route(addressOf('2001:db8:1::7'), null);
  t.true(source.toString().startsWith('2001:db8:2:'), 'RFC 6724 rule 3');
  b.wire.runFor(200 * SECOND);
  t.false(addresses(b).includes(GLOBAL));
});

test('name servers and domains (RFC 8106) come and go', (t) => {
  const b = bed();
  const label = (text: string): number[] => [text.length, ...Buffer.from(text)];
  const domains = [...label('lab'), ...label('example'), 0, ...label('x'), 0];
  while (domains.length % 8 !== 0) domains.push(0);
  const servers = [25, 5, 0, 0, ...word(100), ...bytesOf('2001:db8::53'), ...bytesOf('2001:db8::54')];
  const search = [31, 1 + domains.length / 8, 0, 0, ...word(100), ...domains];
  advertise(b, { options: [...servers, ...search] });
  t.deepEqual(b.names, ['2001:db8::53 2001:db8::54; lab.example x']);
  b.wire.runFor(101 * SECOND);
  t.is(b.names.at(-1), '; ');
});

test('somebody has the address: others are tried, four in all', (t) => {
  const b = bed();
  const second = stableAddress(addressOf('2001:db8:1::'), 0x0200, 1, 1, SECRET).toString();
  b.wire.add(3, [`${GLOBAL}/64`]);
  advertise(b);
  b.wire.runFor(5 * SECOND);
  t.deepEqual(addresses(b), [LINK_LOCAL, second]);
  t.is(b.counters.duplicates, 1);
  const all = [0, 1, 2, 3].map(
    (attempt) => `${stableAddress(addressOf('2001:db8:2::'), 0x0200, 1, attempt, SECRET)}/64`,
  );
  b.wire.add(4, all);
  advertise(b, { options: prefixOption({ prefix: '2001:db8:2::' }) });
  b.wire.runFor(20 * SECOND);
  t.is(b.counters.failed, 1);
  t.is(addresses(b).length, 2);
});

test('two stations that want one address at the same time: neither takes it', (t) => {
  const b = bed();
  const other = b.wire.add(3, []);
  advertise(b);
  other.link.ndp.probe(addressOf(GLOBAL));
  b.wire.settle();
  t.is(b.counters.duplicates, 1);
});

test('forged and malformed advertisements are dropped and counted', (t) => {
  const b = bed();
  advertise(b, { hopLimit: 254 });
  advertise(b, { from: '2001:db8::1' });
  advertise(b, { code: 1 });
  advertise(b, { options: [1, 0, 0, 0, 0, 0, 0, 0] });
  advertise(b, { options: [1, 2, 0, 0, 0, 0, 0, 0] });
  t.is(b.counters.dropInvalid, 5);
  const whole = prefixOption();
  for (let cut = 1; cut < whole.length + 8; cut++) if (cut !== whole.length) advertise(b, { cut });
  t.is(b.counters.dropInvalid, 5 + whole.length + 6);
  t.is(b.counters.advertisementsReceived, 0);
  for (const options of [
    prefixOption({ prefix: 'fe80::' }),
    prefixOption({ prefix: 'ff02::' }),
    prefixOption({ bits: 63 }),
    prefixOption({ valid: 10, preferred: 11 }),
  ])
    advertise(b, { options });
  t.is(b.counters.ignoredPrefix, 4);
  b.wire.runFor(5 * SECOND);
  t.deepEqual(addresses(b), [LINK_LOCAL]);
});

test('a flood of prefixes, routers and servers is bounded', (t) => {
  const b = bed();
  for (let i = 1; i <= 100; i++) {
    const server = [25, 3, 0, 0, ...word(100), ...bytesOf(`2001:db8::${i}`)];
    advertise(b, {
      from: `fe80::${i}`,
      options: [...prefixOption({ prefix: `2001:db8:${i}::` }), ...server],
    });
  }
  b.wire.runFor(5 * SECOND);
  t.is(addresses(b).length, 9);
  t.is(b.own.iface.routes.length, 9);
  t.is(b.counters.ignoredTooMany, 4 * 92);
});

test('whatever is advertised, nothing is thrown', (t) => {
  const b = bed();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(3, 5, 25, 31), (bytes, type) => {
      const units = Math.ceil((bytes.length + 2) / 8);
      const option = new Uint8Array(units * 8);
      option.set([type, units]);
      option.set(bytes, 2);
      advertise(b, { options: [...option] });
    }),
    { numRuns: 2000 },
  );
  b.slaac.close();
  t.pass();
});

test('identifiers depend on secret, prefix, station and attempt, and on nothing else (RFC 7217)', (t) => {
  const prefix = addressOf('2001:db8:1::');
  const all = [
    stableAddress(prefix, 0x0200, 1, 0, SECRET),
    stableAddress(prefix, 0x0200, 1, 1, SECRET),
    stableAddress(prefix, 0x0200, 2, 0, SECRET),
    stableAddress(addressOf('2001:db8:2::'), 0x0200, 1, 0, SECRET),
    stableAddress(prefix, 0x0200, 1, 0, Int32Array.of(1, 2, 3, 5)),
  ].map(String);
  t.is(new Set(all.map((text) => text.split(':').slice(-4).join(':'))).size, all.length);
  t.is(stableAddress(prefix, 0x0200, 1, 0, SECRET).toString(), all[0]!);
});
