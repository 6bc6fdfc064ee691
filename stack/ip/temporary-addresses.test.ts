import test from 'ava';
import { EthernetWire, type Station } from '../testing/ethernet-wire.ts';
import { addressOf, icmpMessage, ipPacket } from '../testing/packets.ts';
import { EtherType, writeEthernetHeader } from '../wire/ethernet.ts';
import { IpAddress, type IpPrefix } from '../wire/ip-address.ts';
import { Slab } from '../wire/slab.ts';
import { Slaac, SlaacCounters } from './slaac.ts';
import {
  MAX_DESYNC_FACTOR_MS,
  REGEN_ADVANCE_MS,
  TEMP_IDGEN_RETRIES,
  TEMP_PREFERRED_LIFETIME_MS,
  TEMP_VALID_LIFETIME_MS,
} from './temporary-addresses.ts';

const PREFIX = '2001:db8:1::';
const HOUR_MS = 3_600_000;
const WEEK_SECONDS = 7 * 86_400;

interface Bed {
  readonly wire: EthernetWire;
  readonly own: Station;
  readonly counters: SlaacCounters;
}

function bed(isTemporary = true): Bed {
  const wire = new EthernetWire();
  const own = wire.add(1, []);
  wire.add(2, ['fe80::2/64']);
  const counters = new SlaacCounters();
  const secret = Int32Array.of(1, 2, 3, 4);
  const owner = {
    configured: (settings: Parameters<typeof own.stack.configure>[2]): void =>
      own.stack.configure(own.iface, 'slaac', settings),
    serverAdvertised: (): void => {},
    nameServersLearned: (): void => {},
  };
  new Slaac(own.stack, counters, own.link, secret, owner, { temporary: isTemporary });
  wire.runFor(5000);
  return { wire, own, counters };
}

/** A router tells of the prefix. @param valid, preferred seconds */
function advertise({ own, wire }: Bed, valid = WEEK_SECONDS, preferred = valid): void {
  const option = Slab.alloc(32);
  option.bytes.set([3, 4, 64, 0xc0]);
  option.view.setUint32(4, valid);
  option.view.setUint32(8, preferred);
  addressOf(PREFIX).write(option.view, 16);
  const body = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, ...option.bytes);
  const message = icmpMessage('fe80::1', 'ff02::1', 134, 0, 0x40_00_07_08, body);
  const packet = ipPacket({ from: 'fe80::1', to: 'ff02::1', protocol: 58, ttl: 255 }, message);
  const { view, bytes } = Slab.alloc(14 + packet.length);
  writeEthernetHeader(view, 0, 0x3333, 1, 0x0200, 77, EtherType.Ipv6);
  bytes.set(packet, 14);
  own.input(bytes);
  wire.settle();
}

function temporary({ own }: Bed): IpPrefix[] {
  return own.iface.addresses.filter(({ isTemporary }) => isTemporary === true);
}

function source({ own }: Bed): string {
  return own.stack.ip.route(addressOf('2606::1'), null).source.toString();
}

test('a random address beside the stable one, after its check; connections begin from it (RFC 6724 rule 7)', (t) => {
  const it = bed();
  advertise(it);
  t.is(temporary(it).length, 0, 'RFC 8981 §3.4 (6): it is asked for first');
  it.wire.runFor(5000);
  const [address] = temporary(it);
  const stable = it.own.iface.addresses.find(
    (each) => !each.address.isLinkLocal && each.isTemporary !== true,
  );
  t.true(address?.address.sharesPrefix(addressOf(PREFIX), 64));
  t.not(String(address?.address), String(stable?.address));
  t.is(source(it), String(address?.address));
  t.is(
    String(it.own.stack.ip.route(addressOf('2606::1'), stable!.address).source),
    String(stable!.address),
    'when it is asked for',
  );
  const without = bed(false);
  advertise(without);
  without.wire.runFor(5000);
  t.deepEqual(temporary(without), []);
});

test('each is preferred for 14 to 24 hours, valid for two days, and followed by another five seconds before', (t) => {
  const it = bed();
  const life = new Map<string, { from: number; preferredTo: number; validTo: number }>();
  for (let i = 0; i < 2 * 24 * 60 * 4; i++) {
    // routers repeat themselves; no address lives longer for it
    if (i % 60 === 0) advertise(it);
    it.wire.runFor(60_000 / 2);
    const { nowMs } = it.wire;
    for (const { address, isDeprecated } of temporary(it)) {
      const key = address.toString();
      const known = life.get(key) ?? { from: nowMs, preferredTo: nowMs, validTo: nowMs };
      life.set(key, known);
      if (isDeprecated !== true) known.preferredTo = nowMs;
      known.validTo = nowMs;
    }
    if (i > 0) t.true(temporary(it).some(({ isDeprecated }) => isDeprecated !== true));
  }
  const all = [...life.values()];
  t.true(all.length >= 4 && all.length <= 8, `${all.length}`);
  for (const { from, preferredTo } of all.slice(0, -1)) {
    const hours = (preferredTo - from) / HOUR_MS;
    t.true(
      hours > (TEMP_PREFERRED_LIFETIME_MS - MAX_DESYNC_FACTOR_MS) / HOUR_MS - 0.1 && hours <= 24,
      `${hours}`,
    );
  }
  const [first] = all;
  t.true(Math.abs(first!.validTo - first!.from - TEMP_VALID_LIFETIME_MS) < 120_000);
  t.is(it.counters.temporaryMade, all.length);
  t.true(it.counters.temporaryExpired >= 1);
});

test('the lifetimes of the prefix are the most; one too short makes none', (t) => {
  const it = bed();
  advertise(it, 600, REGEN_ADVANCE_MS / 1000);
  it.wire.runFor(5000);
  t.is(temporary(it).length, 0);
  advertise(it, 600, 300);
  it.wire.runFor(5000);
  const [address] = temporary(it);
  it.wire.runFor(300_000);
  t.true(temporary(it)[0]?.isDeprecated);
  t.is(temporary(it).length, 1, 'the prefix is not to be used for new ones');
  it.wire.runFor(300_000);
  t.is(temporary(it).length, 0);
  t.false(
    it.own.iface.owns(6, address!.address.w0, address!.address.w1, address!.address.w2, address!.address.w3),
  );
});

test('addresses that somebody has: others are tried, three in all', (t) => {
  const it = bed();
  const asked = new Set<string>();
  it.wire.filter = (frame, from) => {
    if (from !== it.own || frame[20] !== 58 || frame[54] !== 135) return true;
    const { view } = new Slab(frame);
    const target = IpAddress.read(view, 62, 6);
    const isProbe = IpAddress.read(view, 22, 6).isUnspecified;
    if (!isProbe || target.isLinkLocal) return true;
    asked.add(target.toString());
    // the same question by another station
    const other = frame.slice();
    other.set([2, 0, 0, 0, 0, 9], 6);
    it.own.input(other);
    return true;
  };
  advertise(it);
  it.wire.runFor(60_000);
  t.is(it.counters.temporaryDuplicates, TEMP_IDGEN_RETRIES);
  t.is(it.counters.temporaryFailed, 1);
  t.deepEqual(temporary(it), []);
  // the stable address and its other forms are the rest
  t.is(asked.size, TEMP_IDGEN_RETRIES + it.counters.duplicates);
});

test('forged lifetimes make no more of them', (t) => {
  const it = bed();
  for (let i = 0; i < 40; i++) {
    advertise(it, WEEK_SECONDS, 20);
    it.wire.runFor(30_000);
  }
  t.is(temporary(it).length, 1);
});
