// sends broken frames: one byte of ICMP
import test from 'ava';
import { addressOf, ipPacket, udpDatagram } from '../testing/packets.ts';
import { PAIR_ADDRESSES, StackPair } from '../testing/stack-pair.ts';
import { DatagramHeader, peekDatagram, pushDatagramTo, shiftDatagram } from '../udp/datagram-ring.ts';
import { foldChecksum, sumPseudoHeader, sumSlab } from '../wire/checksum.ts';
import { Slab } from '../wire/slab.ts';
import { MAX_RAW_SOCKETS } from './raw-layer.ts';
import { MAX_PENDING_PACKETS, type RawOptions, type RawSocket } from './raw-socket.ts';

const { a, b } = PAIR_ADDRESSES;
const PROTOCOL = 253;

/** What came, as texts of sender and payload. */
function listen(
  pair: StackPair,
  options: RawOptions,
): { got: string[]; packets: Uint8Array[]; socket: RawSocket } {
  const got: string[] = [];
  const packets: Uint8Array[] = [];
  const socket = pair.b.raw.open({
    ...options,
    receiver: {
      packet: (_socket, slab, off, len, from) => {
        packets.push(slab.bytes.slice(off, off + len));
        got.push(`${from} ${Buffer.from(slab.bytes.subarray(off, off + len))}`);
      },
    },
  });
  return { got, packets, socket };
}

const text = (words: string): Uint8Array => Buffer.from(words);

for (const family of ['v4', 'v6'] as const) {
  test(`payloads of any protocol go there and back, in fragments too (${family})`, (t) => {
    const pair = new StackPair();
    const { packets, got } = listen(pair, { protocol: PROTOCOL });
    const socket = pair.a.raw.open({ protocol: PROTOCOL, ttl: 7, trafficClass: 0xb8 });
    const to = addressOf(b[family]);
    for (const length of [0, 1, 1000, 9000]) {
      socket.sendTo(new Uint8Array(length).fill(65), to);
      pair.runFor(10);
      t.deepEqual(packets.at(-1), new Uint8Array(length).fill(65), String(length));
    }
    t.true(got[0]!.startsWith(a[family]));
    const [first] = pair.trace;
    t.is(first!.bytes[family === 'v4' ? 8 : 7], 7, 'hop limit');
    t.like(pair.b.counters.toJSON()['raw'], { opened: 1, delivered: 4 });
    t.like(pair.a.counters.toJSON()['raw'], { sent: 4 });
    t.is(pair.b.counters.toJSON()['ip']?.['dropUnknownProtocol'], 0);
  });
}

test('nobody there: an ICMP error; somebody there: none', (t) => {
  const pair = new StackPair();
  const socket = pair.a.raw.open({ protocol: PROTOCOL });
  socket.sendTo(text('x'), addressOf(b.v4));
  pair.runFor(10);
  t.is(pair.trace.length, 2);
  t.is(pair.trace[1]!.bytes[21], 2, 'protocol unreachable');
  const other = listen(pair, { protocol: PROTOCOL });
  socket.sendTo(text('y'), addressOf(b.v4));
  pair.runFor(10);
  t.is(pair.trace.length, 3);
  other.socket.close();
  t.is(pair.b.raw.socketCount, 0);
  socket.sendTo(text('z'), addressOf(b.v4));
  pair.runFor(1010);
  t.is(pair.trace.length, 5);
});

test('copies of what the stack takes itself; every socket of the protocol gets one, a bound one only its own', (t) => {
  const pair = new StackPair();
  const first = listen(pair, { protocol: 17 });
  const whole = listen(pair, { protocol: 17, wholePackets: true });
  const v6 = listen(pair, { protocol: 17, local: addressOf(b.v6) });
  const heard: number[] = [];
  pair.b.udp.open({
    local: null,
    localPort: 9,
    remote: null,
    remotePort: 0,
    broadcast: false,
    receiver: { datagram: (_s, _slab, _off, len) => void heard.push(len) },
  });
  const datagram = udpDatagram(a.v4, b.v4, 5, 9, text('hello'));
  const packet = ipPacket({ from: a.v4, to: b.v4, protocol: 17 }, datagram);
  pair.inject('b', packet.slice());
  t.deepEqual(heard, [5]);
  t.deepEqual(first.packets, [datagram]);
  t.deepEqual(whole.packets, [packet]);
  t.deepEqual(v6.packets, []);
});

test('whole packets with a header of one’s own: length, checksum and source are filled in', (t) => {
  const pair = new StackPair();
  const { packets } = listen(pair, { protocol: PROTOCOL, wholePackets: true });
  const socket = pair.a.raw.open({ protocol: 255, wholePackets: true });
  const packet = ipPacket(
    { from: a.v4, to: b.v4, protocol: PROTOCOL, ttl: 3, id: 77, trafficClass: 4 },
    text('own'),
  );
  const rough = packet.slice();
  rough.fill(0, 2, 4);
  rough.fill(0, 10, 16);
  socket.sendTo(rough, null);
  pair.runFor(10);
  t.deepEqual(packets, [packet]);
  const spoofed = ipPacket({ from: '203.0.113.9', to: b.v4, protocol: PROTOCOL }, new Uint8Array(1000));
  socket.sendTo(spoofed, null);
  const six = ipPacket({ from: a.v6, to: b.v6, protocol: PROTOCOL }, new Uint8Array(100));
  socket.sendTo(six, null);
  pair.runFor(10);
  t.deepEqual(packets.slice(1), [spoofed, six]);
  for (const wrong of [
    new Uint8Array(0),
    new Uint8Array(19),
    new Uint8Array(40),
    six.subarray(0, 139),
    packet.subarray(0, 19),
  ])
    t.throws(() => socket.sendTo(wrong, null), { message: /expected an IPv4 or IPv6 packet/ });
  const long = ipPacket({ from: a.v4, to: b.v4, protocol: PROTOCOL }, new Uint8Array(1481));
  t.throws(() => socket.sendTo(long, null), { message: /at most 1500 bytes, got 1501/ });
});

test('over IPv6 a checksum goes where it is asked for, and into every ICMPv6 message', (t) => {
  const pair = new StackPair();
  const sums = [89, 58].map((protocol) => {
    const { packets } = listen(pair, { protocol });
    const offset = protocol === 89 ? { checksumOffset: 12 } : {};
    const socket = pair.a.raw.open({ protocol, ...offset });
    // of an unassigned informational type
    const payload = new Uint8Array(24).fill(200);
    socket.sendTo(payload, addressOf(b.v6));
    pair.runFor(10);
    const [got] = packets;
    const pseudo = sumPseudoHeader(addressOf(a.v6), addressOf(b.v6), protocol, 24);
    if (protocol === 89)
      t.throws(() => socket.sendTo(new Uint8Array(13), addressOf(b.v6)), { message: /14 bytes at least/ });
    return foldChecksum(sumSlab(new Slab(got!), 0, 24, pseudo));
  });
  t.deepEqual(sums, [0, 0]);
});

test('rings: records in and out; what does not fit is dropped and counted; errors are left', (t) => {
  const pair = new StackPair({ sendRingBytes: 8192, recvRingBytes: 2048 });
  const from = pair.a.raw.open({ protocol: PROTOCOL });
  const to = pair.b.raw.open({ protocol: PROTOCOL });
  for (let i = 0; i < 4; i++)
    t.true(pushDatagramTo(from.sendRing!, addressOf(b.v4), 0, new Uint8Array(980).fill(i), 0, 980));
  t.true(pushDatagramTo(from.sendRing!, addressOf('203.0.113.1'), 0, text('nowhere'), 0, 7));
  from.appWrote();
  pair.runFor(10);
  const header = new DatagramHeader();
  t.true(peekDatagram(to.recvRing!, header));
  t.is(header.lengthBytes, 980);
  shiftDatagram(to.recvRing!, header);
  t.like(pair.b.counters.toJSON()['raw'], { delivered: 2, dropReceiveRingFull: 2 });
  t.is(from.takeError(), 'NETWORK_UNREACHABLE');
  t.is(from.takeError(), null);
  t.like(pair.a.counters.toJSON()['raw'], { sent: 4, dropSendFailed: 1 });
  from.close();
  to.close();
  t.is(pair.aRings.openCount, 0);
  t.throws(() => from.sendTo(text('x'), addressOf(b.v4)), { message: /closed/ });
});

for (const wholePackets of [false, true]) {
  test(`a full device: packets wait, up to a limit${wholePackets ? ', with headers of their own too' : ''}`, (t) => {
    const pair = new StackPair({ forward: { kilobitsPerSecond: 8, queuePackets: 1, refuses: true } });
    const { got } = listen(pair, { protocol: PROTOCOL });
    const socket = pair.a.raw.open({ protocol: wholePackets ? 255 : PROTOCOL, wholePackets });
    const count = MAX_PENDING_PACKETS + 10;
    for (let i = 0; i < count; i++) {
      const payload = text(`${i}`);
      if (wholePackets) socket.sendTo(ipPacket({ from: a.v4, to: b.v4, protocol: PROTOCOL }, payload), null);
      else socket.sendTo(payload, addressOf(b.v4));
    }
    const { raw, ip } = pair.a.counters.toJSON();
    const dropped = raw!['dropSendQueueFull']!;
    t.true(dropped > 0);
    t.true(ip!['deviceFull']! > 0);
    pair.run(Infinity);
    t.deepEqual(
      got,
      Array.from({ length: count - dropped }, (_, i) => `${a.v4} ${i}`),
    );
  });
}

test('options are checked; sockets are limited; broadcast needs a word', (t) => {
  const { a: stack } = new StackPair();
  t.throws(() => stack.raw.open({ protocol: 256 }), {
    message: /protocol of a raw socket is 0 … 255, got 256/,
  });
  t.throws(() => stack.raw.open({ protocol: 1, ttl: 0 }), { message: /ttl of a raw socket is 1 … 255/ });
  t.throws(() => stack.raw.open({ protocol: 1, checksumOffset: 3 }), { message: /even/ });
  t.throws(() => stack.raw.open({ protocol: 1, local: addressOf('203.0.113.1') }), {
    message: /not an address of this stack/,
  });
  const broadcast = addressOf('192.0.2.255');
  t.throws(() => stack.raw.open({ protocol: 1 }).sendTo(text('x'), broadcast), {
    message: /not open for broadcast/,
  });
  t.notThrows(() => stack.raw.open({ protocol: 1, broadcast: true }).sendTo(text('x'), broadcast));
  while (stack.raw.socketCount < MAX_RAW_SOCKETS)
    stack.raw.open({ protocol: 1, receiver: { packet: () => {} } });
  t.throws(() => stack.raw.open({ protocol: 1 }), { message: /256 raw sockets are open/ });
});
