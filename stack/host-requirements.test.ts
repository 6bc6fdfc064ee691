// sends any payload: a few bytes on port 53
import test from 'ava';
import { addressOf, icmpMessage, ipPacket, udpDatagram } from './testing/packets.ts';
import { PAIR_ADDRESSES, StackPair } from './testing/stack-pair.ts';
import { DatagramHeader, peekDatagram, shiftDatagram } from './udp/datagram-ring.ts';
import type { UdpOptions } from './udp/udp-layer.ts';
import { foldChecksum, sumPseudoHeader, sumSlab } from './wire/checksum.ts';
import { IpAddress } from './wire/ip-address.ts';
import { Slab } from './wire/slab.ts';

// What RFC 1122 wants of IP, ICMP and UDP and the tests of their files do not show.

const { a, b } = PAIR_ADDRESSES;
const ANY: UdpOptions = { local: null, localPort: 0, remote: null, remotePort: 0, broadcast: false };
const UDP = 17;

function toB(
  fields: { ttl?: number; trafficClass?: number } = {},
  port = 53,
  from: string = a.v4,
): Uint8Array {
  return ipPacket(
    { from, to: b.v4, protocol: UDP, ...fields },
    udpDatagram(from, b.v4, 1234, port, new Uint8Array(4)),
  );
}

/** A server on port 53 of `b`, and how many datagrams it got. */
function withServer(): { pair: StackPair; got: () => number } {
  const pair = new StackPair();
  let count = 0;
  pair.b.udp.open({ ...ANY, localPort: 53, receiver: { datagram: () => count++ } });
  return { pair, got: () => count };
}

// [RFC 1122 §3.2.1.1-1] [RFC 1122 §3.1-5]
test('another version of IP is dropped in silence, and counted (RFC 1122 §3.2.1.1)', (t) => {
  const { pair, got } = withServer();
  const packet = toB();
  for (const version of [0, 3, 5, 7, 15]) {
    packet[0] = (version << 4) | 5;
    pair.inject('b', packet);
  }
  t.is(got(), 0);
  t.deepEqual(pair.trace, []);
  t.is(pair.b.counters.toJSON()['ip']!['dropVersion'], 5);
});

// [RFC 1122 §3.2.1.7-2]
test('a TTL of 1, and of 0, is no reason to drop what has arrived (RFC 1122 §3.2.1.7)', (t) => {
  const { pair, got } = withServer();
  pair.inject('b', toB({ ttl: 1 }));
  pair.inject('b', toB({ ttl: 0 }));
  t.is(got(), 2);
});

// [RFC 1122 §3.2.2-1] [RFC 1122 §3.2.2.7-1] [RFC 1122 §3.2.2.9-2] [RFC 1122 §3.2.2.2-1]
test('ICMP messages of other types, questions for address masks and information among them, are dropped in silence (RFC 1122 §3.2.2)', (t) => {
  const pair = new StackPair();
  for (const type of [1, 2, 6, 7, 15, 17, 19, 41, 255])
    pair.inject(
      'b',
      ipPacket(
        { from: a.v4, to: b.v4, protocol: 1 },
        icmpMessage(a.v4, b.v4, type, 0, 1, new Uint8Array(20)),
      ),
    );
  t.deepEqual(pair.trace, []);
});

// [RFC 1122 §3.2.2-5] [RFC 1122 §4.1.3.1-1] [RFC 1122 §3.2.2.1-1] [RFC 1122 §3.3.8-1]
test('ports and protocols where nobody is: errors with a type of service of 0 (RFC 1122 §3.2.2, §4.1.3.1)', (t) => {
  const pair = new StackPair();
  pair.inject('b', toB({ trafficClass: 0xb8 }, 99));
  pair.inject('b', ipPacket({ from: a.v4, to: b.v4, protocol: 132, trafficClass: 0xb8 }, new Uint8Array(12)));
  t.deepEqual(
    pair.trace.map(({ bytes }) => [bytes[1], bytes[20], bytes[21]]),
    [
      [0, 3, 3],
      [0, 3, 2],
    ],
  );
});

// [RFC 1122 §3.2.2-10] [RFC 1122 §4.1.3.6-1]
test('a source that is not one host: nothing is taken, no error is sent (RFC 1122 §3.2.2, §4.1.3.6)', (t) => {
  const { pair, got } = withServer();
  for (const from of ['0.0.0.0', '127.0.0.1', '224.0.0.1', '255.255.255.255', '240.0.0.1', '192.0.2.255']) {
    pair.inject('b', toB({}, 53, from));
    pair.inject('b', toB({}, 99, from));
  }
  t.is(got(), 0);
  t.deepEqual(pair.trace, []);
});

// [RFC 1122 §4.1.4-1] [RFC 1122 §3.2.1.7-3] [RFC 1122 §3.2.1.6-1] [RFC 1122 §4.1.3.4-4] [RFC 1122 §4.1.3.4-1] [RFC 1122 §3.2.1.7-4]
test('UDP: TTL and type of service are the application’s, and there is a checksum (RFC 1122 §4.1.4)', (t) => {
  const pair = new StackPair();
  const socket = pair.a.udp.open({
    ...ANY,
    remote: addressOf(b.v4),
    remotePort: 53,
    ttl: 7,
    trafficClass: 0xb8,
  });
  socket.sendTo(new Uint8Array(5), 0, 5, null, 0);
  pair.runFor(1);
  const { bytes } = pair.trace[0]!;
  t.is(bytes[8], 7);
  t.is(bytes[1], 0xb8);
  t.not((bytes[26]! << 8) | bytes[27]!, 0);
  const seed = sumPseudoHeader(addressOf(a.v4), addressOf(b.v4), UDP, bytes.length - 20);
  t.is(foldChecksum(sumSlab(new Slab(bytes), 20, bytes.length - 20, seed)), 0);
});

// [RFC 1122 §4.1.3.5-1]
test('UDP: a socket for all addresses is told to which one a datagram came (RFC 1122 §4.1.3.5)', (t) => {
  const pair = new StackPair();
  const receiver = pair.b.udp.open({ ...ANY, localPort: 53 });
  for (const to of [b.v4, b.v6, '255.255.255.255']) {
    const socket = pair.a.udp.open({ ...ANY, broadcast: true, remote: addressOf(to), remotePort: 53 });
    socket.sendTo(new Uint8Array(5), 0, 5, null, 0);
    pair.runFor(1);
    const header = new DatagramHeader();
    t.true(peekDatagram(receiver.recvRing!, header));
    const { family, local0, local1, local2, local3 } = header;
    t.is(new IpAddress(family === 6 ? 6 : 4, local0, local1, local2, local3).toString(), to);
    shiftDatagram(receiver.recvRing!, header);
  }
});

// [RFC 1122 §4.1.3.5-4] [RFC 1122 §4.1.3.5-2] [RFC 1122 §4.1.3.5-3] [RFC 1122 §4.1.3.6-2] [RFC 1122 §3.2.1.3-2] [RFC 1122 §3.3.4.2-2]
test('UDP: the source is one of our addresses, chosen by the application or by the stack (RFC 1122 §4.1.3.5)', (t) => {
  const pair = new StackPair();
  const chosen = pair.a.udp.open({ ...ANY, local: addressOf(a.v4), remote: addressOf(b.v4), remotePort: 53 });
  const open = pair.a.udp.open({ ...ANY, remote: addressOf(b.v4), remotePort: 53 });
  for (const socket of [chosen, open]) socket.sendTo(new Uint8Array(5), 0, 5, null, 0);
  pair.runFor(1);
  const sources = pair.trace
    .filter(({ from }) => from === 'a')
    .map(({ bytes }) => bytes.slice(12, 16).join('.'));
  t.deepEqual(sources, [a.v4, a.v4]);
  t.is(open.localAddress?.toString(), a.v4);
  t.throws(() => pair.a.udp.open({ ...ANY, local: addressOf(b.v4) }), { message: /.+/ });
});
