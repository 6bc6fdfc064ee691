import test from 'ava';
import { addressOf, ipPacket } from '../testing/packets.ts';
import { PAIR_ADDRESSES, StackPair } from '../testing/stack-pair.ts';
import { Slab } from '../wire/slab.ts';
import { TcpFlag } from '../wire/tcp.ts';
import { TcpConnection } from './connection.ts';
import { TcpBench } from './testing.ts';

/** Two stacks with an established connection; the first sends. */
function pairWithEcn(txSegmentBytes = 0): { pair: StackPair; sender: TcpConnection } {
  const pair = new StackPair({ seed: 1, txSegmentBytes });
  pair.a.tcp.settings.ecn = 'active';
  const listener = pair.b.tcp.listen({ local: null, port: 7, backlog: 1 });
  const sender = pair.a.tcp.connect({
    remote: addressOf(PAIR_ADDRESSES.b.v4),
    remotePort: 7,
    local: null,
    localPort: 0,
    noDelay: false,
    keepAlive: null,
  });
  pair.runFor(50);
  listener.accept();
  return { pair, sender };
}

// [RFC 3168 §6.1.1-4]
test('a CE mark travels to the receiver, back as ECE, and is ended by CWR (RFC 3168 §6.1)', (t) => {
  const { pair, sender } = pairWithEcn();
  t.true(sender.info().ecn);
  let marked = 0;
  pair.forward.filter = (bytes) => {
    if ((bytes[1]! & 3) === 2 && marked++ === 0) mark(bytes);
    return 'pass';
  };
  sender.sendRing?.write(new Uint8Array(40_000), 0, 40_000);
  sender.appWrote();
  pair.runFor(100);
  t.is(sender.sndUna, sender.sndNxt);
  t.is(pair.b.tcp.counters.ecnMarksIn, 1);
  t.true(pair.a.tcp.counters.ecnEchoesIn > 0);
  t.is(pair.a.tcp.counters.ecnReductions, 1);
  t.true(sender.cc.ssthreshBytes < 40_000);
  t.is(pair.a.tcp.counters.retransmits, 0);
});

test('CWR leaves on one segment, not on a super-segment', (t) => {
  const { pair, sender } = pairWithEcn(65_535);
  const withCwr: number[] = [];
  pair.forward.filter = (bytes) => {
    if ((bytes[33]! & (TcpFlag.Cwr | TcpFlag.Syn)) === TcpFlag.Cwr) withCwr.push(bytes.length);
    else if ((bytes[1]! & 3) === 2 && pair.b.tcp.counters.ecnMarksIn === 0) mark(bytes);
    return 'pass';
  };
  for (let i = 0; i < 5; i++) {
    sender.sendRing?.write(new Uint8Array(30_000), 0, 30_000);
    sender.appWrote();
    pair.runFor(50);
  }
  t.deepEqual(withCwr, [1500]);
});

// [RFC 3168 §5.3-1]
test('a mark on one fragment marks the whole datagram (RFC 3168 §5.3)', (t) => {
  const bench = TcpBench.accepted({ peer: { flags: 'SEW' } });
  t.true(bench.connection.ecnOk);
  const segment = bench.bytesOf({ flags: 'A', seq: 1, ack: 1, data: 600 });
  const fields = { from: bench.peer, to: bench.own, protocol: 6, id: 7 };
  const first = ipPacket({ ...fields, trafficClass: 2, flagsFragment: 0x2000 }, segment.slice(0, 400));
  const second = ipPacket({ ...fields, trafficClass: 3, flagsFragment: 400 / 8 }, segment.slice(400));
  for (const packet of [first, second]) bench.iface.input(new Slab(packet), 0, packet.length, 0, bench.now);
  bench.settle();
  const [ack] = bench.take();
  t.is(ack?.ack, 601);
  t.is(ack?.flags, 'AE');
  t.true(bench.connection.ecnEcho);
});

// [RFC 3168 §6.1.2-3] [RFC 9438 §4.6-5]
test('ECN-Echo with a cwnd of one segment: the next leaves after a retransmission timeout (RFC 3168 §6.1.2)', (t) => {
  const bench = TcpBench.established({ rttMs: 20, peer: { mss: 1000 } });
  const { connection } = bench;
  connection.ecnOk = true;
  bench.write(1000);
  bench.wait(220);
  bench.take();
  t.is(connection.cc.cwndBytes, 1000);
  bench.seg({ flags: 'AE', seq: 1, ack: 1001 });
  t.is(connection.cc.cwndBytes, 1000, 'no less, and no more');
  const { rtoMs } = connection.rtt;
  bench.write(3000);
  bench.wait(rtoMs - 1);
  t.deepEqual(bench.take(), []);
  bench.wait(1);
  t.is(bench.take().length, 1);
  bench.wait(20);
  bench.seg({ flags: 'A', seq: 1, ack: 2001 });
  t.true(bench.take().length > 0, 'without an echo nothing is held');
});

// [BBR §3.7-1]
test('BBR: marks where packets were ECN-capable count as congestion: less is in flight (draft-ietf-ccwg-bbr §3.7)', (t) => {
  const most = (marks: boolean): { cwndBytes: number; reductions: number } => {
    const { pair, sender } = pairWithEcn();
    sender.setCongestionControl('bbr');
    pair.forward.filter = (bytes) => {
      if (marks && (bytes[1]! & 3) === 2) mark(bytes);
      return 'pass';
    };
    pair.onEvents = (endpoint) => {
      if (!(endpoint instanceof TcpConnection) || endpoint === sender) return;
      endpoint.recvRing?.advanceTail(endpoint.recvRing.usedBytes);
      endpoint.appRead();
    };
    for (let i = 0; i < 100; i++) {
      const room = sender.sendRing!.freeBytes;
      sender.sendRing!.write(new Uint8Array(room), 0, room);
      sender.appWrote();
      pair.runFor(5);
    }
    return { cwndBytes: sender.cc.cwndBytes, reductions: pair.a.tcp.counters.ecnReductions };
  };
  const marked = most(true);
  const plain = most(false);
  t.is(plain.reductions, 0);
  t.true(marked.reductions > 0);
  t.true(marked.cwndBytes < plain.cwndBytes, `${marked.cwndBytes} ${plain.cwndBytes}`);
});

/** Sets CE; the header's checksum stays right. */
function mark(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  bytes[1] = bytes[1]! | 3;
  // RFC 1624: one more in a word is one less in its checksum
  const sum = view.getUint16(10) - 1;
  view.setUint16(10, sum < 0 ? 0xfffe : sum);
}
