import test from 'ava';
import { addressOf } from '../testing/packets.ts';
import { PAIR_ADDRESSES, StackPair } from '../testing/stack-pair.ts';
import { TcpFlag } from '../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';

/** Two stacks with an established connection that uses AccECN; the first sends. */
function pairWithAccurateEcn(
  options: { txSegmentBytes?: number; option?: 'off' | 'needed' | 'always' } = {},
): {
  pair: StackPair;
  sender: TcpConnection;
  receiver: TcpConnection;
} {
  const pair = new StackPair({ seed: 1, txSegmentBytes: options.txSegmentBytes ?? 0 });
  for (const { settings } of [pair.a.tcp, pair.b.tcp]) {
    settings.ecn = 'active';
    settings.accurateEcn = 'active';
    settings.accurateEcnOption = options.option ?? 'always';
  }
  const listener = pair.b.tcp.listen({ local: null, port: 7, backlog: 1 });
  const remote = addressOf(PAIR_ADDRESSES.b.v4);
  const none = { local: null, localPort: 0, noDelay: false, keepAlive: null };
  const sender = pair.a.tcp.connect({ remote, remotePort: 7, ...none });
  pair.runFor(50);
  return { pair, sender, receiver: listener.accept()! };
}

/** Sends and reads until all has arrived. */
function transfer(pair: StackPair, sender: TcpConnection, receiver: TcpConnection, bytes: number): void {
  let left = bytes;
  for (let turns = 0; turns < 2000 && (left > 0 || sender.sndUna !== sender.sndNxt); turns++) {
    const length = Math.min(left, sender.sendRing?.freeBytes ?? 0);
    sender.sendRing?.write(new Uint8Array(length), 0, length);
    sender.appWrote();
    left -= length;
    pair.runFor(10);
    receiver.recvRing?.advanceTail(receiver.recvRing.usedBytes);
    receiver.appRead();
  }
}

for (const option of ['off', 'needed', 'always'] as const) {
  test(`every mark is told, and no other, with the option ${option}`, (t) => {
    const { pair, sender, receiver } = pairWithAccurateEcn({ option });
    t.not(sender.info().accurateEcn, null);
    t.not(receiver.info().accurateEcn, null);
    let seen = 0;
    let marked = 0;
    let markedBytes = 0;
    pair.forward.filter = (bytes) => {
      const payload = payloadBytes(bytes);
      if (payload > 0 && seen++ % 5 === 0) {
        mark(bytes);
        marked++;
        markedBytes += payload;
      }
      return 'pass';
    };
    transfer(pair, sender, receiver, 400_000);
    t.true(marked > 20, `${marked}`);
    const told = sender.info().accurateEcn!;
    t.is(receiver.info().ceSegmentsIn, marked);
    t.is(told.ceSegmentsOut, marked);
    t.is(receiver.info().accurateEcn!.in.ce, markedBytes);
    t.is(receiver.info().accurateEcn!.in.ect0, 400_000 - markedBytes);
    if (option === 'off') {
      t.false(told.peerSendsOption);
      t.is(told.out.ce, 0);
    } else {
      t.is(told.out.ce, markedBytes);
      t.is(told.out.ect0, 400_000 - markedBytes);
    }
    t.true(pair.a.tcp.counters.ecnReductions > 0);
    t.is(pair.a.tcp.counters.retransmits, 0);
  });
}

test('a device that cuts up packets would take CWR away: while the counter has it, segments leave one by one', (t) => {
  const { pair, sender, receiver } = pairWithAccurateEcn({ txSegmentBytes: 65_535 });
  const lengths = new Map<boolean, number>();
  pair.forward.filter = (bytes) => {
    const hasCwr = (bytes[33]! & TcpFlag.Cwr) !== 0;
    lengths.set(hasCwr, Math.max(lengths.get(hasCwr) ?? 0, bytes.length));
    return 'pass';
  };
  transfer(pair, sender, receiver, 100_000);
  t.true((lengths.get(false) ?? 0) > 1500, 'the counter is 5: AE and ECE');
  // The peer's data has come with a mark: the counter is 6
  pair.backward.filter = (bytes) => {
    if (payloadBytes(bytes) > 0) mark(bytes);
    return 'pass';
  };
  transfer(pair, receiver, sender, 100);
  lengths.clear();
  transfer(pair, sender, receiver, 100_000);
  t.is(lengths.get(true), 1500);
  t.is(lengths.get(false), undefined);
});

test('marks do not make ACKs answer ACKs', (t) => {
  const { pair, sender, receiver } = pairWithAccurateEcn();
  for (const link of [pair.forward, pair.backward]) {
    link.filter = (bytes) => {
      if ((bytes[1]! & 3) !== 0) mark(bytes);
      return 'pass';
    };
  }
  transfer(pair, sender, receiver, 50_000);
  const before = pair.a.tcp.counters.segmentsOut + pair.b.tcp.counters.segmentsOut;
  pair.runFor(60_000);
  t.true(pair.a.tcp.counters.segmentsOut + pair.b.tcp.counters.segmentsOut - before < 5);
});

function payloadBytes(bytes: Uint8Array): number {
  return bytes.length - 20 - (bytes[32]! >> 4) * 4;
}

/** Sets CE on an IPv4 packet that is ECT(0); the header's checksum stays right. */
function mark(bytes: Uint8Array): void {
  if ((bytes[1]! & 3) !== 2) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  bytes[1] = bytes[1]! | 3;
  // RFC 1624: one more in a word is one less in its checksum
  const sum = view.getUint16(10) - 1;
  view.setUint16(10, sum < 0 ? 0xfffe : sum);
}
