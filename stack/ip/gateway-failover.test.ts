import test, { type ExecutionContext } from 'ava';
import type { TcpConnection } from '../tcp/connection.ts';
import { EthernetWire, type Station } from '../testing/ethernet-wire.ts';
import { addressOf } from '../testing/packets.ts';
import { EtherType } from '../wire/ethernet.ts';

interface Family {
  readonly own: string;
  readonly first: string;
  readonly second: string;
  readonly far: string;
  readonly prefix: string;
}

const V4: Family = {
  own: '192.0.2.1/24',
  first: '192.0.2.2',
  second: '192.0.2.3',
  far: '198.51.100.1',
  prefix: '/24',
};
const V6: Family = {
  own: '2001:db8::1/64',
  first: '2001:db8::2',
  second: '2001:db8::3',
  far: '2001:db8:9::1',
  prefix: '/64',
};
const SECOND = 1000;

/** Two gateways: the first, which is only there while `isUp`, hands everything to the other, which is the far host too. */
class Bed {
  readonly wire: EthernetWire = new EthernetWire();
  readonly own: Station;
  readonly far: Station;
  readonly #family: Family;
  isUp = true;

  constructor(family: Family) {
    const { wire } = this;
    this.#family = family;
    const { first, second, far, prefix } = family;
    this.own = wire.add(1, [family.own]);
    const gateway = wire.add(2, [first + prefix]);
    this.far = wire.add(3, [second + prefix, `${far}/${prefix === '/24' ? 32 : 128}`]);
    this.own.stack.configure(this.own.iface, 'test', {
      addresses: [],
      routes: [first, second].map(addressOf).map((hop) => ({
        prefix: { address: hop, prefixLength: 0 },
        gateway: hop,
      })),
      mtuBytes: Infinity,
    });
    wire.filter = (frame, from): boolean => {
      if (from === gateway) return this.isUp;
      if (frame[5] !== 2 || frame[0] !== 2) return true;
      if (isTcp(frame)) frame[5] = 3;
      return this.isUp;
    };
    this.far.stack.tcp.listen({ local: null, port: 7, backlog: 4 });
    wire.runFor(2 * SECOND);
  }

  connect(): TcpConnection {
    return this.own.stack.tcp.connect({
      remote: addressOf(this.#family.far),
      remotePort: 7,
      local: null,
      localPort: 0,
      noDelay: true,
      keepAlive: null,
    });
  }

  hop(): string {
    return this.own.stack.ip.route(addressOf(this.#family.far), null).nextHop.toString();
  }

  counter(group: string, name: string): number {
    return this.own.counters(group)[name]!;
  }
}

function write(c: TcpConnection, lengthBytes: number): void {
  c.sendRing!.write(new Uint8Array(lengthBytes), 0, lengthBytes);
  c.appWrote();
}

for (const family of [V4, V6]) {
  const name = family === V4 ? 'IPv4' : 'IPv6';

  // [RFC 1122 §3.3.1.5-1] [RFC 1122 §3.3.1.2-3]
  test(`${name}: a gateway that was never there gives way to the next, with what waited for it`, (t) => {
    const bed = new Bed(family);
    bed.isUp = false;
    t.is(bed.hop(), family.first);
    const c = bed.connect();
    bed.wire.runFor(3.2 * SECOND);
    t.true(c.isSynchronized, 'the SYN that waited took the other way, and nobody was told of trouble');
    t.is(c.softError, null);
    t.is(bed.hop(), family.second);
    t.is(bed.counter('ip', 'gatewayChanged'), 1);
  });

  // [RFC 1122 §3.3.1.5-1]
  test(`${name}: connections go on by another gateway when theirs is gone`, (t) => {
    const bed = new Bed(family);
    const c = bed.connect();
    bed.wire.runFor(SECOND);
    write(c, 100);
    bed.wire.runFor(SECOND);
    t.is(c.sndUna, c.sndNxt);
    t.is(c.route.nextHop.toString(), family.first);
    bed.isUp = false;
    write(c, 100);
    bed.wire.runFor(120 * SECOND);
    t.is(c.route.nextHop.toString(), family.second);
    t.is(c.sndUna, c.sndNxt, 'acknowledged');
    t.is(c.error, null);
    // it comes back and shows itself: what begins from now on uses it
    bed.isUp = true;
    const { own } = bed;
    own.stack.icmp.ping({ destination: addressOf(family.first), count: 1, timeoutMs: 5000 });
    bed.wire.runFor(20 * SECOND);
    own.stack.configure(own.iface, 'other', null);
    t.is(bed.hop(), family.first);
  });

  // [RFC 1122 §3.3.1.4-5]
  test(`${name}: acknowledgments of new data show that the first hop is there: it is not asked`, (t) => {
    const bed = new Bed(family);
    const c = bed.connect();
    bed.wire.runFor(SECOND);
    const asked = bed.counter('neighbour', 'solicitationsSent');
    for (let i = 0; i < 300; i++) {
      write(c, 10);
      bed.wire.runFor(SECOND);
    }
    t.is(bed.counter('neighbour', 'solicitationsSent'), asked);
    t.true(bed.counter('neighbour', 'confirmedByTransport') >= 5);
    // without them it is
    bed.own.stack.icmp.ping({ destination: addressOf(family.far), count: 300, intervalMs: 1000 });
    bed.wire.runFor(300 * SECOND);
    t.true(bed.counter('neighbour', 'solicitationsSent') > asked);
  });

  test(`${name}: no gateway answers: the application is told, and they are tried by turns`, (t) => {
    const bed = new Bed(family);
    silence(bed);
    const c = bed.connect();
    const hops: string[] = [];
    for (let i = 0; i < 30; i++) {
      const hop = c.route.nextHop.toString();
      if (hops.at(-1) !== hop) hops.push(hop);
      bed.wire.runFor(SECOND);
    }
    t.deepEqual(hops.slice(0, 3), [family.first, family.second, family.first]);
    t.not(c.softError ?? c.error, null);
    hearsAgain(t, bed);
  });
}

function isTcp(frame: Uint8Array): boolean {
  const type = (frame[12]! << 8) | frame[13]!;
  return (type === EtherType.Ipv4 && frame[23] === 6) || (type === EtherType.Ipv6 && frame[20] === 6);
}

function silence(bed: Bed): void {
  bed.wire.filter = () => false;
}

function hearsAgain(t: ExecutionContext, bed: Bed): void {
  bed.wire.filter = (frame): boolean => {
    if (frame[5] === 2 && frame[0] === 2 && isTcp(frame)) frame[5] = 3;
    return true;
  };
  const c = bed.connect();
  bed.wire.runFor(10 * SECOND);
  t.true(c.isSynchronized);
}
