import test from 'ava';
import { fc } from '../../test/properties.ts';
import { HEADROOM_BYTES, TxPacket } from '../link.ts';
import { EthernetWire, type Station } from '../testing/ethernet-wire.ts';
import { addressOf, icmpMessage, ipPacket, ipv6Fragments } from '../testing/packets.ts';
import { EtherType, writeEthernetHeader } from '../wire/ethernet.ts';
import { Slab } from '../wire/slab.ts';
import { MAX_ADVERTISED_ROUTES, MAX_DEFAULT_ROUTERS } from './advertised-routes.ts';
import { stableAddress } from './interface-identifier.ts';
import { LEAST_ADVERTISED_RETRANSMIT_MS, MOST_ADVERTISED_RETRANSMIT_MS } from './neighbour-cache.ts';
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

/** RFC 4191 §2.3, as long as it has to be. @param preference two bits */
function routeOption(prefix: string, bits: number, preference = 0, lifetime = 1800): number[] {
  const bytes = bytesOf(prefix).slice(0, 8 * Math.ceil(bits / 64));
  return [24, 1 + bytes.length / 8, bits, preference << 3, ...word(lifetime), ...bytes];
}

const [HIGH, RESERVED, LOW] = [1, 2, 3] as const;

interface Advertisement {
  readonly from?: string;
  readonly hopLimit?: number;
  readonly code?: number;
  readonly lifetime?: number;
  readonly reachable?: number;
  readonly sendWith?: number;
  /** Of RFC 4191, as two bits. */
  readonly preference?: number;
  readonly retransmit?: number;
  readonly options?: readonly number[];
  readonly cut?: number;
  /** In fragments of so many bytes. */
  readonly bytesEach?: number;
}

function advertise({ own, wire }: Bed, fields: Advertisement = {}): void {
  const {
    from = ROUTER,
    hopLimit = 255,
    code = 0,
    lifetime = 1800,
    reachable = 0,
    sendWith = 64,
    preference = 0,
    retransmit = 0,
    options = prefixOption(),
    cut = 0,
    bytesEach,
  } = fields;
  const body = Uint8Array.of(...word(reachable), ...word(retransmit), ...options);
  const message = icmpMessage(
    from,
    'ff02::1',
    134,
    code,
    (sendWith << 24) | (preference << 19) | lifetime,
    body.slice(0, body.length - cut),
  );
  const packet = ipPacket({ from, to: 'ff02::1', protocol: 58, ttl: hopLimit }, message);
  for (const part of bytesEach === undefined ? [packet] : ipv6Fragments(packet, bytesEach)) {
    const frame = Slab.alloc(14 + part.length);
    writeEthernetHeader(frame.view, 0, 0x3333, 1, 0x0200, 9, EtherType.Ipv6);
    frame.bytes.set(part, 14);
    own.input(frame.bytes);
  }
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

test('a link-local address, then routers are asked until one answers, ever more seldom (RFC 7559)', (t) => {
  const b = bed();
  t.deepEqual(addresses(b), []);
  b.wire.runFor(35 * SECOND);
  t.deepEqual(addresses(b), [LINK_LOCAL]);
  t.deepEqual(sent(b), ['135 ::', '133 link', '133 link', '133 link', '133 link']);
  const at = b.wire.trace
    .filter(({ from, bytes }) => from === b.own && bytes[54] === 133)
    .map(({ atMs }) => atMs);
  for (const [i, wantedMs] of [4000, 8000, 16_000].entries()) {
    const gotMs = at[i + 1]! - at[i]!;
    t.true(Math.abs(gotMs - wantedMs) < 0.35 * wantedMs, `${gotMs}`);
  }
  b.wire.runFor(10 * 24 * 3600 * SECOND);
  const { solicitationsSent } = b.counters;
  t.true(solicitationsSent > 220 && solicitationsSent < 280, `${solicitationsSent} in ten days`);
  advertise(b);
  b.wire.runFor(24 * 3600 * SECOND);
  t.is(b.counters.solicitationsSent, solicitationsSent);
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

test('a default router that does not answer makes way for another, and is tried again when that one goes', (t) => {
  const b = bed();
  // nobody has the first address, station 2 the other
  advertise(b);
  advertise(b, { from: 'fe80::2' });
  b.wire.runFor(3 * SECOND);
  const far = addressOf('2001:db8:9::1');
  const router = (): string => b.own.stack.ip.route(far, null).nextHop.toString();
  t.is(router(), ROUTER);
  const socket = b.own.stack.udp.open({
    local: null,
    localPort: 0,
    remote: far,
    remotePort: 9,
    broadcast: false,
    receiver: { datagram: () => {} },
  });
  socket.sendTo(new Uint8Array(1), 0, 1, null, 0);
  b.wire.runFor(4 * SECOND);
  t.is(router(), 'fe80::2');
  t.is(b.own.counters('ip')['gatewayChanged'], 1);
  socket.sendTo(new Uint8Array(1), 0, 1, null, 0);
  b.wire.runFor(60 * SECOND);
  t.is(router(), 'fe80::2', 'it answers');
  // its word that it is none
  advertise(b, { from: 'fe80::2', lifetime: 0 });
  t.is(router(), ROUTER);
  socket.sendTo(new Uint8Array(1), 0, 1, null, 0);
  b.wire.runFor(4 * SECOND);
  t.is(router(), ROUTER, 'there is no other');
});

test('RFC 4191: of routers the preferred one that answers is used; what it says may change', (t) => {
  const b = bed();
  const far = addressOf('2001:db8:9::1');
  const router = (): string => b.own.stack.ip.route(far, null).nextHop.toString();
  advertise(b, { preference: LOW });
  t.is(b.own.iface.routes.length, 2);
  b.wire.runFor(3 * SECOND);
  t.is(router(), ROUTER);
  advertise(b, { from: 'fe80::2', preference: RESERVED });
  t.is(router(), 'fe80::2', 'reserved is medium, which is more than low');
  advertise(b, { from: 'fe80::3', preference: HIGH });
  t.is(router(), 'fe80::3');
  advertise(b, { from: 'fe80::3', preference: LOW });
  t.is(router(), 'fe80::2');
  advertise(b, { preference: HIGH });
  t.is(router(), ROUTER);
  // nobody has that address
  b.own.stack.icmp.ping({ destination: far, count: 1, timeoutMs: 100 });
  b.wire.runFor(4 * SECOND);
  t.is(router(), 'fe80::2', 'whoever answers goes before whoever is preferred');
  // RFC 4191 §3.1: an option for ::/0 speaks as the header does, and after it
  advertise(b, { from: 'fe80::2', options: routeOption('::', 0, LOW, 100), preference: HIGH });
  b.wire.runFor(101 * SECOND);
  t.not(router(), 'fe80::2');
});

test('a preferred router that was silent is used again when it advertises with its link address (RFC 4861 §6.3.4)', (t) => {
  const b = bed();
  b.wire.add(3, ['fe80::3/64']);
  const far = addressOf('2001:db8:9::1');
  const router = (): string => b.own.stack.ip.route(far, null).nextHop.toString();
  const ping = (): void => {
    b.own.stack.icmp.ping({ destination: far, count: 1, timeoutMs: 100 });
    b.wire.runFor(4 * SECOND);
  };
  const { filter } = b.wire;
  b.wire.filter = (frame, from): boolean => from.address[5] !== 2 && filter(frame, from);
  advertise(b, { from: 'fe80::2', preference: HIGH });
  advertise(b, { from: 'fe80::3' });
  b.wire.runFor(3 * SECOND);
  t.is(router(), 'fe80::2');
  ping();
  t.is(router(), 'fe80::3');
  const kept = b.own.stack.ip.route(far, null);
  b.wire.filter = filter;
  advertise(b, { from: 'fe80::2', preference: HIGH });
  t.is(router(), 'fe80::3', 'that says nothing of whether it hears us');
  const linkAddress = (last: number): number[] => [1, 1, 2, 0, 0, 0, 0, last];
  advertise(b, { from: 'fe80::2', preference: HIGH, options: linkAddress(2) });
  t.is(router(), 'fe80::2');
  t.is(kept.nextHop.toString(), 'fe80::3', 'connections that are there stay with the other');
  const { length } = b.wire.trace;
  ping();
  t.is(router(), 'fe80::2');
  const asked = b.wire.trace.slice(length).filter(({ from, bytes }) => from === b.own && bytes[54] === 135);
  t.is(asked.length, 0, 'its address is known');
  // nobody else can have our address
  advertise(b, { from: 'fe80::4', options: linkAddress(1) });
  t.is(b.own.counters('neighbour')['dropLinkAddress'], 1);
});

test('RFC 4191: routes to prefixes, of routers that are no default ones too; the longest one that answers', (t) => {
  const b = bed();
  const hop = (to: string): string => b.own.stack.ip.route(addressOf(to), null).nextHop.toString();
  advertise(b, { from: 'fe80::2', lifetime: 0, options: routeOption('2001:db8:9::', 48) });
  advertise(b, { from: 'fe80::2', lifetime: 0 });
  b.wire.runFor(3 * SECOND);
  t.is(hop('2001:db8:9:1::1'), 'fe80::2');
  t.throws(() => hop('2001:db8:a::1'), { message: /no interface/ });
  // nobody has that address: a longer prefix, then a default router
  advertise(b, { from: ROUTER, options: routeOption('2001:db8:9:1::', 64, HIGH) });
  t.is(hop('2001:db8:9:1::1'), ROUTER);
  t.is(hop('2001:db8:9:2::1'), 'fe80::2');
  t.is(hop('2001:db8:a::1'), ROUTER);
  b.own.stack.icmp.ping({ destination: addressOf('2001:db8:9:1::1'), count: 1, timeoutMs: 100 });
  b.wire.runFor(4 * SECOND);
  t.is(hop('2001:db8:9:1::1'), 'fe80::2', 'the other one does not answer');
  // the same route of two routers: the preferred one
  advertise(b, { from: 'fe80::5', lifetime: 0, options: routeOption('2001:db8:9::', 48, HIGH) });
  t.is(hop('2001:db8:9:2::1'), 'fe80::5');
  advertise(b, { from: 'fe80::5', lifetime: 0, options: routeOption('2001:db8:9:ffff::', 48, HIGH, 0) });
  t.is(hop('2001:db8:9:2::1'), 'fe80::2', 'taken back');
  b.wire.runFor(1800 * SECOND);
  t.throws(() => hop('2001:db8:9:2::1'), { message: /no interface/ }, 'over');
});

test('RFC 4191 §2.3: what no route can be is ignored', (t) => {
  const b = bed();
  const whole = routeOption('2001:db8:9::', 48, HIGH);
  const changed = (...changes: readonly (readonly [number, number])[]): number[] => {
    const option = [...whole];
    for (const [at, value] of changes) option[at] = value;
    return option;
  };
  for (const option of [
    changed([3, RESERVED << 3]),
    // longer than what is there
    changed([2, 65]),
    changed([2, 129]),
    [24, 1, 1, 0, ...word(1800)],
    [24, 4, 48, 0, ...word(1800), ...new Array<number>(24).fill(0)],
    routeOption('ff05::', 16),
    routeOption('fe80::', 64),
  ])
    advertise(b, { lifetime: 0, options: option });
  t.is(b.counters.advertisementsReceived, 7);
  t.is(b.counters.ignoredPrefix, 2);
  t.deepEqual(b.own.iface.routes, []);
  advertise(b, { lifetime: 0, options: whole });
  t.is(b.own.iface.routes.length, 1);
});

test('routers say how long a neighbour is there and how long answers are waited for, within limits', (t) => {
  const b = bed();
  const { neighbours } = b.own.link;
  advertise(b, { reachable: 5000, retransmit: 300 });
  t.is(neighbours.retransmitMs, 300);
  b.wire.runFor(3 * SECOND);
  /** When we ask for neighbours from now on, while another is pinged. */
  const asked = (destination: string, forMs: number): number[] => {
    const before = b.wire.trace.length;
    b.own.stack.icmp.ping({ destination: addressOf(destination), count: 1, timeoutMs: 100 });
    b.wire.runFor(forMs);
    return b.wire.trace
      .slice(before)
      .filter(({ from, bytes }) => from === b.own && bytes[54] === 135)
      .map(({ atMs }) => atMs);
  };
  const [first = 0, ...others] = asked('fe80::77', 2 * SECOND);
  t.deepEqual(
    others.map((atMs) => Math.round(atMs - first)),
    [300, 600],
  );
  t.is(asked('fe80::2', 8 * SECOND).length, 1);
  // its answer is older than 7.5 s now; by itself the stack would believe it for 15 s at least
  t.is(asked('fe80::2', 6 * SECOND).length, 1);
  advertise(b, { reachable: 1, retransmit: 1 });
  t.is(neighbours.retransmitMs, LEAST_ADVERTISED_RETRANSMIT_MS);
  advertise(b, { reachable: 0xffffffff, retransmit: 0xffffffff });
  t.is(neighbours.retransmitMs, MOST_ADVERTISED_RETRANSMIT_MS);
  advertise(b);
  t.is(neighbours.retransmitMs, MOST_ADVERTISED_RETRANSMIT_MS, 'nothing is said');
});

test('routers say with which hop limit packets are sent (RFC 4861 §6.3.4); one too low is not believed', (t) => {
  const b = bed();
  advertise(b, { sendWith: 200 });
  b.wire.runFor(3 * SECOND);
  const { stack } = b.own;
  const base = {
    local: null,
    localPort: 0,
    broadcast: false,
    remotePort: 9,
    receiver: { datagram: () => {} },
  };
  /** Hop limits of a datagram, a datagram whose sender has chosen, and a SYN, all to a neighbour. */
  const hopLimits = (): number[] => {
    const remote = addressOf('fe80::2');
    const before = b.wire.trace.length;
    stack.udp.open({ ...base, remote }).sendTo(new Uint8Array(1), 0, 1, null, 0);
    stack.udp.open({ ...base, remote, ttl: 7 }).sendTo(new Uint8Array(1), 0, 1, null, 0);
    stack.tcp.connect({ remote, remotePort: 9, local: null, localPort: 0, noDelay: false, keepAlive: null });
    b.wire.runFor(100);
    return b.wire.trace
      .slice(before)
      .filter(({ from, bytes }) => from === b.own && (bytes[20] === 17 || bytes[20] === 6))
      .map(({ bytes }) => bytes[21]!)
      .sort((x, y) => x - y);
  };
  t.deepEqual(hopLimits(), [7, 200, 200]);
  for (const sendWith of [0, 1, 31]) advertise(b, { sendWith });
  t.deepEqual(hopLimits(), [7, 200, 200]);
  advertise(b, { sendWith: 32 });
  t.deepEqual(hopLimits(), [7, 32, 32]);
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

test('own questions that come back on a loop make no duplicate', (t) => {
  const b = bed();
  const back = b.wire.add(9, []);
  const { filter } = b.wire;
  b.wire.filter = (frame, from): boolean => {
    if (from === b.own) back.send(echoOf(frame));
    return filter(frame, from);
  };
  advertise(b);
  b.wire.runFor(5 * SECOND);
  t.deepEqual(addresses(b), [LINK_LOCAL, GLOBAL]);
  t.is(b.counters.duplicates, 0);
  t.true(b.own.counters('ethernet')['dropOwn']! > 2);
});

/** The same frame, as if a switch sent it back. */
function echoOf(frame: Uint8Array): TxPacket {
  const packet = new TxPacket(Slab.alloc(HEADROOM_BYTES + frame.length));
  packet.headLen = frame.length;
  packet.head.bytes.set(frame, HEADROOM_BYTES);
  return packet;
}

test('forged and malformed advertisements are dropped and counted', (t) => {
  const b = bed();
  advertise(b, { hopLimit: 254 });
  advertise(b, { from: '2001:db8::1' });
  advertise(b, { code: 1 });
  advertise(b, { options: [1, 0, 0, 0, 0, 0, 0, 0] });
  advertise(b, { options: [1, 2, 0, 0, 0, 0, 0, 0] });
  t.is(b.counters.dropInvalid, 5);
  // RFC 6980 §5
  advertise(b, { bytesEach: 1000 });
  advertise(b, { bytesEach: 16 });
  t.is(b.own.counters('ip')['reassembled'], 1);
  t.is(b.counters.dropInvalid, 7);
  const whole = prefixOption();
  for (let cut = 1; cut < whole.length + 8; cut++) if (cut !== whole.length) advertise(b, { cut });
  t.is(b.counters.dropInvalid, 7 + whole.length + 6);
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
  t.is(b.own.iface.routes.length, 8 + MAX_DEFAULT_ROUTERS);
  t.is(b.counters.ignoredTooMany, 4 * 92);
  for (let i = 1; i <= 100; i++) advertise(b, { options: routeOption(`2001:db8:a:${i}::`, 64) });
  t.is(b.own.iface.routes.length, 8 + MAX_DEFAULT_ROUTERS + MAX_ADVERTISED_ROUTES);
  t.is(b.counters.ignoredTooMany, 4 * 92 + 100 - MAX_ADVERTISED_ROUTES);
});

test('whatever is advertised, nothing is thrown', (t) => {
  const b = bed();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(3, 5, 24, 25, 31), (bytes, type) => {
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
