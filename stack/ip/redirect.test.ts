import test from 'ava';
import { EthernetWire, type Station } from '../testing/ethernet-wire.ts';
import { addressOf, icmpMessage, ipPacket, ipv6Fragments } from '../testing/packets.ts';
import { EtherType, writeEthernetHeader } from '../wire/ethernet.ts';
import { Slab } from '../wire/slab.ts';
import { REDIRECT_ENTRIES } from './route-table.ts';

interface Family {
  readonly own: string;
  readonly first: string;
  readonly better: string;
  readonly far: string;
  readonly prefix: string;
  readonly type: number;
}

const V4: Family = {
  own: '192.0.2.1',
  first: '192.0.2.2',
  better: '192.0.2.3',
  far: '198.51.100.1',
  prefix: '/24',
  type: EtherType.Ipv4,
};
const V6: Family = {
  own: 'fe80::1',
  first: 'fe80::2',
  better: 'fe80::3',
  far: '2001:db8::1',
  prefix: '/64',
  type: EtherType.Ipv6,
};

interface Bed {
  readonly wire: EthernetWire;
  readonly own: Station;
}

function bed(family: Family): Bed {
  const wire = new EthernetWire();
  const own = wire.add(1, [family.own + family.prefix]);
  for (const [number, address] of [
    [2, family.first],
    [3, family.better],
  ] as const)
    wire.add(number, [address + family.prefix]);
  const gateway = addressOf(family.first);
  own.stack.configure(own.iface, 'test', {
    addresses: [],
    routes: [{ prefix: { address: gateway, prefixLength: 0 }, gateway }],
    mtuBytes: Infinity,
  });
  return { wire, own };
}

const bytesOf = (text: string): number[] => {
  const bytes = new Uint8Array(16);
  return [...bytes.slice(0, addressOf(text).write(new DataView(bytes.buffer), 0))];
};

interface Fields {
  readonly from?: string;
  readonly to?: string;
  readonly target?: string;
  readonly far?: string;
  readonly ttl?: number;
  readonly code?: number;
  readonly source?: string;
  readonly cut?: number;
  /** In fragments of so many bytes. */
  readonly bytesEach?: number;
}

function redirect({ own, wire }: Bed, family: Family, fields: Fields = {}): void {
  const {
    from = family.first,
    to = family.own,
    target = family.better,
    far = family.far,
    ttl = 255,
  } = fields;
  const { code = 1, source = family.own, cut = 0, bytesEach } = fields;
  const isV4 = family === V4;
  const rest = isV4 ? addressOf(target).w3 : 0;
  const quoted = ipPacket({ from: source, to: far, protocol: 17 }, new Uint8Array(8));
  const data = isV4 ? [...quoted] : [...bytesOf(target), ...bytesOf(far), 2, 1, 2, 0, 0, 0, 0, 3];
  const body = Uint8Array.from(data.slice(0, data.length - cut));
  const message = icmpMessage(from, to, isV4 ? 5 : 137, isV4 ? code : code - 1, rest, body);
  const packet = ipPacket({ from, to, protocol: isV4 ? 1 : 58, ttl }, message);
  for (const part of bytesEach === undefined ? [packet] : ipv6Fragments(packet, bytesEach)) {
    const frame = Slab.alloc(14 + part.length);
    writeEthernetHeader(frame.view, 0, 0x0200, 1, 0x0200, 2, family.type);
    frame.bytes.set(part, 14);
    own.input(frame.bytes);
  }
  wire.settle();
}

for (const family of [V4, V6]) {
  const name = family === V4 ? 'IPv4' : 'IPv6';
  const way = ({ own }: Bed): string => own.stack.ip.route(addressOf(family.far), null).nextHop.toString();

  // [RFC 1122 §3.2.2.2-2] [RFC 1122 §3.2.2.2-3]
  test(`${name}: a better first hop is taken, also by those who have the route already`, (t) => {
    const b = bed(family);
    const route = b.own.stack.ip.route(addressOf(family.far), null);
    redirect(b, family);
    t.is(way(b), family.better);
    t.is(route.nextHop.toString(), family.better);
    // and from there to another one
    redirect(b, family, { from: family.better, target: family.first });
    t.is(way(b), family.first);
    // of a whole network: only the host is believed about
    if (family === V4) {
      redirect(b, family, { code: 0 });
      t.is(way(b), family.better);
      redirect(b, family, { code: 0, from: family.better, target: family.first });
    }
    t.is(way(b), family.first);
    t.like(b.own.counters('icmp'), { redirectsFollowed: family === V4 ? 4 : 2, ignoredRedirect: 0 });
  });

  // [RFC 1122 §3.2.2.2-4]
  test(`${name}: redirects that nobody may send are ignored`, (t) => {
    const b = bed(family);
    // before anything goes that way
    redirect(b, family);
    t.is(way(b), family.first);
    const wrong: Fields[] = [
      { from: family.better },
      { target: family.own },
      { target: family === V4 ? '203.0.113.1' : '2001:db8::9' },
      { target: family === V4 ? '192.0.2.255' : 'ff02::1' },
      { target: family === V4 ? '224.0.0.5' : '::' },
      { far: family === V4 ? '198.51.100.2' : '2001:db8::2' },
      { code: 4 },
      { cut: family === V4 ? 9 : 1 },
      ...(family === V4
        ? [{ source: family.better }]
        : [{ ttl: 254 }, { bytesEach: 1000 }, { bytesEach: 16 }]),
    ];
    for (const fields of wrong) {
      redirect(b, family, fields);
      t.is(way(b), family.first, JSON.stringify(fields));
    }
    t.is(b.own.counters('icmp')['ignoredRedirect'], wrong.length + 1);
  });

  test(`${name}: when the new hop does not answer, the router before is used again`, (t) => {
    const b = bed(family);
    way(b);
    const silent = family === V4 ? '192.0.2.77' : 'fe80::77';
    b.wire.filter = (frame) => !(frame[12] === 8 && frame[13] === 6) && frame[54] !== 136;
    redirect(b, family, { target: silent });
    t.is(way(b), silent);
    for (let i = 0; i < 2; i++) {
      b.own.stack.icmp.ping({ destination: addressOf(family.far), count: 1, timeoutMs: 1000 });
      b.wire.runFor(30_000);
    }
    t.is(way(b), family.first);
  });

  test(`${name}: a new configuration forgets redirects, and no more are kept than the limit`, (t) => {
    const b = bed(family);
    way(b);
    redirect(b, family);
    b.own.stack.configure(b.own.iface, 'other', null);
    t.is(way(b), family.first);
    const far = (i: number): string =>
      family === V4 ? `10.0.${i >> 8}.${i & 255}` : `2001:db8:1::${i.toString(16)}`;
    const hop = (i: number): string => b.own.stack.ip.route(addressOf(far(i)), null).nextHop.toString();
    for (let i = 1; i <= REDIRECT_ENTRIES + 1; i++) {
      hop(i);
      redirect(b, family, { far: far(i) });
    }
    t.is(hop(1), family.first);
    t.is(hop(2), family.better);
    t.is(hop(REDIRECT_ENTRIES + 1), family.better);
  });
}
