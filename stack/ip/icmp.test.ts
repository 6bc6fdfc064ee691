import test from 'ava';
import { IcmpErrorKind } from '../context.ts';
import { RxFlag } from '../link.ts';
import { addressOf, icmpMessage, ipPacket, udpDatagram } from '../testing/packets.ts';
import { PAIR_ADDRESSES, StackPair } from '../testing/stack-pair.ts';
import type { UdpOptions } from '../udp/udp-layer.ts';
import type { UdpSocket } from '../udp/udp-socket.ts';
import { foldChecksum, sumPseudoHeader, sumSlab } from '../wire/checksum.ts';
import { Slab } from '../wire/slab.ts';
import { ICMP_ERROR_BURST, ICMP_ERRORS_PER_SECOND } from './icmp.ts';

const { a, b } = PAIR_ADDRESSES;
const ANY: UdpOptions = { local: null, localPort: 0, remote: null, remotePort: 0, broadcast: false };

type Family = 'v4' | 'v6';
const ICMP = { v4: 1, v6: 58 } as const;

function bytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7) & 255);
}

/** An ICMP message from `a` to `b`. */
function toB(family: Family, type: number, code: number, rest: number, data: Uint8Array): Uint8Array {
  const from = a[family];
  const to = b[family];
  return ipPacket({ from, to, protocol: ICMP[family] }, icmpMessage(from, to, type, code, rest, data));
}

function sentByB(pair: StackPair): Uint8Array[] {
  return pair.trace.filter((packet) => packet.from === 'b').map((packet) => packet.bytes);
}

for (const family of ['v4', 'v6'] as const) {
  const header = family === 'v4' ? 20 : 40;

  // [RFC 1122 §3.2.2.6-1] [RFC 1122 §3.2.2.6-5]
  test(`echo: everything comes back (${family})`, (t) => {
    for (const length of [0, 1, 56, 1400, 5000]) {
      const pair = new StackPair({ mtuBytes: 9000 });
      pair.inject('b', toB(family, family === 'v4' ? 8 : 128, 0, 0x12345678, bytes(length)));
      const [reply] = sentByB(pair);
      t.is(reply?.length, header + 8 + length);
      t.deepEqual(reply?.slice(header, header + 2), Uint8Array.of(family === 'v4' ? 0 : 129, 0));
      t.deepEqual(reply?.slice(header + 4), Uint8Array.of(0x12, 0x34, 0x56, 0x78, ...bytes(length)));
      pair.runFor(10);
      t.is(pair.a.icmp.counters.echoReplies, 1);
      t.is(pair.a.icmp.counters.dropChecksum, 0);
    }
  });

  test(`echo larger than the link goes and comes in fragments (${family})`, (t) => {
    const pair = new StackPair();
    const data = bytes(20_000);
    const message = toB(family, family === 'v4' ? 8 : 128, 0, 1, data).slice(header);
    const piece = 1448;
    for (let at = 0; at < message.length; at += piece) {
      const more = at + piece < message.length;
      const part = message.slice(at, at + piece);
      const from = a[family];
      const to = b[family];
      const flagsFragment = (more ? 0x2000 : 0) | (at >> 3);
      const offset = at | (more ? 1 : 0);
      const fragmentHeader = Uint8Array.of(58, 0, offset >> 8, offset & 255, 0, 0, 0, 5);
      pair.inject(
        'b',
        family === 'v4'
          ? ipPacket({ from, to, protocol: 1, id: 5, flagsFragment }, part)
          : ipPacket({ from, to, protocol: 44 }, Uint8Array.from([...fragmentHeader, ...part])),
      );
    }
    t.true(sentByB(pair).length > 10);
    t.true(sentByB(pair).every((packet) => packet.length <= 1500));
    pair.runFor(10);
    t.is(pair.a.icmp.counters.echoReplies, 1);
  });

  // [RFC 1122 §3.2.2.6-3]
  test(`wrong checksums, truncations and multicast are not answered (${family})`, (t) => {
    const pair = new StackPair();
    const request = toB(family, family === 'v4' ? 8 : 128, 0, 1, bytes(9));
    const wrong = request.slice();
    wrong[header + 9] = (wrong[header + 9] ?? 0) ^ 1;
    pair.inject('b', wrong);
    t.is(pair.b.icmp.counters.dropChecksum, 1);
    const from = a[family];
    const message = request.slice(header);
    for (let length = 0; length < message.length; length++)
      pair.inject('b', ipPacket({ from, to: b[family], protocol: ICMP[family] }, message.slice(0, length)));
    const to = family === 'v4' ? '192.0.2.255' : 'ff02::1';
    const type = family === 'v4' ? 8 : 128;
    pair.inject(
      'b',
      ipPacket({ from, to, protocol: ICMP[family] }, icmpMessage(from, to, type, 0, 1, bytes(9))),
    );
    t.is(pair.b.icmp.counters.dropEchoMulticast, 1);
    t.is(pair.b.icmp.counters.echoRepliesSent, 0);
    t.is(pair.trace.length, 0);
  });

  // [RFC 1122 §3.2.2-2] [RFC 1122 §3.2.2-3]
  test(`errors quote what caused them, within their size, and are limited in rate (${family})`, (t) => {
    const pair = new StackPair();
    const from = a[family];
    const to = b[family];
    const packet = ipPacket({ from, to, protocol: 17 }, udpDatagram(from, to, 1, 9, bytes(1400)));
    for (let i = 0; i < ICMP_ERROR_BURST + 10; i++) pair.inject('b', packet);
    t.is(pair.b.icmp.counters.errorsSent, ICMP_ERROR_BURST);
    t.is(pair.b.icmp.counters.errorsRateLimited, 10);
    const [error] = sentByB(pair);
    t.is(error?.length, family === 'v4' ? 576 : 1280);
    t.deepEqual(error?.slice(header + 8), packet.slice(0, (error?.length ?? 0) - header - 8));
    if (family === 'v4') t.is(foldChecksum(sumSlab(new Slab(error!), header, error!.length - header, 0)), 0);
    pair.runFor(100);
    for (let i = 0; i < 50; i++) pair.inject('b', packet);
    t.is(pair.b.icmp.counters.errorsSent, ICMP_ERROR_BURST + ICMP_ERRORS_PER_SECOND / 10);
  });

  // [RFC 1122 §3.2.2-6] [RFC 1122 §3.2.2-7] [RFC 1122 §3.2.2-9]
  test(`no errors about errors, later fragments and multicast (${family})`, (t) => {
    const pair = new StackPair();
    const from = a[family];
    const to = b[family];
    const error = toB(family, family === 'v4' ? 3 : 1, 0, 0, bytes(60));
    // An ICMP error with an option that has to be complained about (IPv6), or in a protocol nobody knows (IPv4)
    if (family === 'v6') {
      const all = Uint8Array.from([58, 0, 1, 4, 0, 0, 0, 0, ...error.slice(header)]);
      const rx = ipPacket({ from, to, protocol: 60 }, all);
      pair.inject('b', rx);
    }
    const later = ipPacket({ from, to, protocol: 132, flagsFragment: 0x0003 }, bytes(16));
    if (family === 'v4') pair.inject('b', later);
    const group = family === 'v4' ? '224.0.0.1' : 'ff02::1';
    pair.inject('b', ipPacket({ from, to: group, protocol: 132 }, bytes(16)));
    pair.inject('b', ipPacket({ from, to: group, protocol: 17 }, udpDatagram(from, group, 1, 9, bytes(3))));
    t.is(pair.trace.length, 0);
  });

  const quoteFrom = (socket: UdpSocket, length: number, toPort = 99): Uint8Array => {
    const datagram = udpDatagram(a[family], b[family], socket.localPort, toPort, bytes(length));
    return ipPacket({ from: a[family], to: b[family], protocol: 17 }, datagram);
  };
  const toA = (type: number, code: number, rest: number, data: Uint8Array): Uint8Array =>
    ipPacket(
      { from: b[family], to: a[family], protocol: ICMP[family] },
      icmpMessage(b[family], a[family], type, code, rest, data),
    );

  // [RFC 1122 §3.2.2-4] [RFC 1122 §3.2.2.1-2] [RFC 1122 §3.2.2.4-1] [RFC 1122 §3.2.2.5-2] [RFC 1122 §4.1.3.3-1]
  test(`errors are mapped to what the socket sees (${family})`, (t) => {
    const cases: [number, number, string | null][] =
      family === 'v4'
        ? [
            [3, 0, 'NETWORK_UNREACHABLE'],
            [3, 1, 'HOST_UNREACHABLE'],
            [3, 2, 'CONNECT_REFUSED'],
            [3, 3, 'CONNECT_REFUSED'],
            [3, 13, 'HOST_UNREACHABLE'],
            [11, 0, 'HOST_UNREACHABLE'],
            [12, 0, 'HOST_UNREACHABLE'],
            [4, 0, null],
            [5, 0, null],
            [99, 0, null],
          ]
        : [
            [1, 0, 'NETWORK_UNREACHABLE'],
            [1, 1, 'HOST_UNREACHABLE'],
            [1, 3, 'HOST_UNREACHABLE'],
            [1, 4, 'CONNECT_REFUSED'],
            [3, 0, 'HOST_UNREACHABLE'],
            [4, 0, 'HOST_UNREACHABLE'],
            [4, 1, 'CONNECT_REFUSED'],
            [133, 0, null],
            [134, 0, null],
            [135, 0, null],
            [137, 0, null],
            [143, 0, null],
            [99, 0, null],
          ];
    const pair = new StackPair();
    const socket = pair.a.udp.open({ ...ANY, remote: addressOf(b[family]), remotePort: 99 });
    for (const [type, code, expected] of cases) {
      pair.inject('a', toA(type, code, 0, quoteFrom(socket, 20)));
      t.is(socket.takeError(), expected as typeof socket.pendingError, `${type}/${code}`);
    }
    t.is(pair.trace.length, 0);
  });

  // [RFC 1122 §3.4-3]
  test(`errors about packets that are not ours change nothing (${family})`, (t) => {
    const pair = new StackPair();
    const socket = pair.a.udp.open({ ...ANY, remote: addressOf(b[family]), remotePort: 99 });
    const type = family === 'v4' ? 3 : 1;
    const code = family === 'v4' ? 3 : 4;
    const quote = quoteFrom(socket, 20);
    for (let length = 0; length < header + 8; length++)
      pair.inject('a', toA(type, code, 0, quote.slice(0, length)));
    pair.inject('a', toA(type, code, 0, quoteFrom(socket, 20, 98)));
    const foreign = ipPacket(
      { from: family === 'v4' ? '192.0.2.77' : '2001:db8::77', to: b[family], protocol: 17 },
      quote.slice(header),
    );
    pair.inject('a', toA(type, code, 0, foreign));
    t.is(pair.a.icmp.counters.dropQuoteNotOurs, 1);
    t.is(socket.pendingError, null);
    pair.inject('a', toA(type, code, 0, quote.slice(0, header + 8)));
    t.is(socket.pendingError, 'CONNECT_REFUSED');
  });

  // [RFC 1122 §3.3.3-1]
  test(`too big: the path MTU shrinks, and larger datagrams are cut (${family})`, (t) => {
    const pair = new StackPair();
    const socket = pair.a.udp.open({ ...ANY, remote: addressOf(b[family]), remotePort: 99 });
    const send = (length: number): number => {
      const before = pair.trace.length;
      socket.sendTo(bytes(length), 0, length, null, 0);
      return pair.trace.length - before;
    };
    t.is(send(1400), 1);
    const type = family === 'v4' ? 3 : 2;
    const code = family === 'v4' ? 4 : 0;
    pair.inject('a', toA(type, code, 1300, quoteFrom(socket, 1400)));
    t.is(send(1400), 2);
    t.is(socket.pendingError, null);
    t.true(pair.trace.slice(-2).every((packet) => packet.bytes.length <= 1300));
    // Somebody else's port
    const other = quoteFrom(socket, 1400);
    other[header + 1] = (other[header + 1] ?? 0) ^ 1;
    pair.inject('a', toA(type, code, family === 'v4' ? 600 : 1281, other));
    t.is(send(1250), 1);
  });
}

for (const family of ['v4', 'v6'] as const) {
  test(`reassembly that times out is told about requests, not about errors (${family})`, (t) => {
    const sendFirst = (type: number): number => {
      const pair = new StackPair();
      const from = a[family];
      const to = b[family];
      const piece = icmpMessage(from, to, type, 0, 0, bytes(64)).slice(0, 40);
      pair.inject(
        'b',
        family === 'v4'
          ? ipPacket({ from, to, protocol: 1, flagsFragment: 0x2000 }, piece)
          : ipPacket({ from, to, protocol: 44 }, Uint8Array.from([58, 0, 0, 1, 0, 0, 0, 5, ...piece])),
      );
      pair.runFor(70_000);
      return pair.b.icmp.counters.errorsSent;
    };
    t.is(sendFirst(family === 'v4' ? 8 : 128), 1);
    for (const type of family === 'v4' ? [3, 5, 11, 12, 200] : [1, 2, 3, 4, 100]) t.is(sendFirst(type), 0);
  });
}

for (const family of ['v4', 'v6'] as const) {
  test(`an error quotes a checksum that was left to the device as the wire would have it (${family})`, (t) => {
    const header = family === 'v4' ? 20 : 40;
    const from = a[family];
    const to = b[family];
    const whole = ipPacket({ from, to, protocol: 17 }, udpDatagram(from, to, 1234, 9, bytes(2000)));
    const partial = whole.slice();
    const pseudo = sumPseudoHeader(addressOf(from), addressOf(to), 17, 2008);
    new DataView(partial.buffer).setUint16(header + 6, 0xffff - foldChecksum(pseudo));
    const pair = new StackPair({ mtuBytes: 4000 });
    pair.inject('b', partial.slice(), RxFlag.ChecksumValid | RxFlag.ChecksumPartial);
    const [error] = sentByB(pair);
    t.deepEqual(error?.slice(header + 8), whole.slice(0, error!.length - header - 8));
  });
}

test('RFC 1191 §5: a router that does not tell the MTU', (t) => {
  const pair = new StackPair();
  let told = 0;
  pair.a.ipInput.register(17, {
    input: () => {},
    icmpError: (error) => {
      t.is(error.kind, IcmpErrorKind.TooBig);
      told = error.mtuBytes;
    },
  });
  const datagram = udpDatagram(a.v4, b.v4, 1, 2, bytes(1472));
  const quote = ipPacket({ from: a.v4, to: b.v4, protocol: 17 }, datagram);
  const message = icmpMessage(b.v4, a.v4, 3, 4, 0, quote);
  pair.inject('a', ipPacket({ from: b.v4, to: a.v4, protocol: 1 }, message));
  t.is(told, 1492);
});

test('a quoted TCP header gives ports and sequence number', (t) => {
  const pair = new StackPair();
  const seen: unknown[] = [];
  pair.a.ipInput.register(6, {
    input: () => {},
    icmpError: (e) => seen.push([e.kind, e.localPort, e.remotePort, e.seq, e.hasSeq, e.remote3, e.protocol]),
  });
  const tcp = Uint8Array.of(0x10, 0x01, 0x00, 0x50, 0xff, 0xff, 0xff, 0x02);
  const quote = ipPacket({ from: a.v4, to: b.v4, protocol: 6 }, tcp);
  const message = icmpMessage(b.v4, a.v4, 3, 1, 0, quote);
  pair.inject('a', ipPacket({ from: b.v4, to: a.v4, protocol: 1 }, message));
  t.deepEqual(seen, [[IcmpErrorKind.UnreachableHost, 4097, 80, -254, true, addressOf(b.v4).w3, 6]]);
});
