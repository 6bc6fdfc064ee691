// sends any payload: a few bytes on port 53
import test from 'ava';
import { SeededRandom } from '../random.ts';
import { Stack } from '../stack.ts';
import { HeapRings } from '../testing/heap-rings.ts';
import { RecordingSink } from '../testing/packet-sink.ts';
import { addressOf } from '../testing/packets.ts';
import { pushDatagramTo } from './datagram-ring.ts';
import type { UdpSocket } from './udp-socket.ts';

const PEER = { v4: '192.0.2.9', v6: 'fd00::9' } as const;

class Bed {
  readonly sink = new RecordingSink();
  readonly stack: Stack = new Stack({
    random: new SeededRandom(1),
    rings: new HeapRings(65_536, 65_536),
    now: 0,
  });
  readonly socket: UdpSocket;

  constructor(txDatagramSegments = true, txSegmentBytes = 65_535) {
    this.stack.addInterface({
      name: 'test',
      sink: this.sink,
      capabilities: { mtuBytes: 1500, txChecksum: true, txSegmentBytes, txDatagramSegments },
      addresses: ['192.0.2.1/24', 'fd00::1/64'],
      gateways: [],
    });
    const any = { local: null, localPort: 53, remote: null, remotePort: 0, broadcast: true };
    this.socket = this.stack.udp.open(any);
    this.stack.transmit(0);
    this.sink.packets.length = 0;
  }

  /** Puts datagrams of these lengths into the ring and sends them. @returns payload of each packet, and its pieces' length */
  send(lengths: readonly number[], to: string = PEER.v4, portOf = (_at: number): number => 9): number[][] {
    lengths.forEach((length, at) => {
      const bytes = new Uint8Array(length).fill(at + 1);
      if (!pushDatagramTo(this.socket.sendRing!, addressOf(to), portOf(at), bytes, 0, length))
        throw new Error('full');
    });
    return this.sent(to);
  }

  sent(to: string = PEER.v4): number[][] {
    this.socket.appWrote();
    this.stack.transmit(0);
    const headers = to.includes(':') ? 48 : 28;
    return this.sink.packets.map(({ bytes, gsoBytes }) => [bytes.length - headers, gsoBytes]);
  }
}

for (const to of Object.values(PEER)) {
  test(`datagrams of one length for one peer leave as one packet, the last may be shorter: ${to}`, (t) => {
    const bed = new Bed();
    t.deepEqual(bed.send([1000, 1000, 1000, 400, 1000, 7], to), [
      [3400, 1000],
      [1007, 1000],
    ]);
    const [{ bytes, csumOffset }] = bed.sink.packets as [(typeof bed.sink.packets)[0]];
    const payload = bytes.subarray(bytes.length - 3400);
    t.deepEqual([payload[0], payload[999], payload[1000], payload[2999], payload[3000]], [1, 1, 2, 3, 4]);
    t.is(csumOffset, 6);
    t.is(bed.stack.counters.toJSON()['udp']!['sent'], 6);
  });
}

test('others go alone: other lengths and peers, empty ones, groups, what needs fragments', (t) => {
  const alone = (lengths: readonly number[], to?: string, portOf?: (at: number) => number): void => {
    const sent = new Bed().send(lengths, to, portOf);
    t.deepEqual(
      sent.map(([, gso]) => gso),
      lengths.map(() => 0),
    );
  };
  alone([100, 101, 102]);
  alone([100, 100], PEER.v4, (at) => at + 1);
  alone([0, 0, 100]);
  alone([100, 100], '224.0.0.9');
  t.is(
    new Bed().send([1473, 1473]).every(([, gso]) => gso === 0),
    true,
  );
  t.deepEqual(new Bed(false).send([5, 5]), [
    [5, 0],
    [5, 0],
  ]);
  // an impaired link takes no super-segments, whatever its device does
  t.deepEqual(new Bed(true, 0).send([5, 5]), [
    [5, 0],
    [5, 0],
  ]);
});

test('no more together than 64, and than a packet holds', (t) => {
  t.deepEqual(new Bed().send(new Array<number>(70).fill(10)), [
    [640, 10],
    [60, 10],
  ]);
  t.deepEqual(new Bed(true, 3028).send(new Array<number>(4).fill(1000)), [
    [3000, 1000],
    [1000, 0],
  ]);
});

test('a device that is full gets all of them later, once', (t) => {
  const bed = new Bed();
  bed.sink.room = 0;
  t.deepEqual(bed.send([10, 10, 10]), []);
  bed.sink.room = 9;
  t.deepEqual(bed.sent(), [[30, 10]]);
  t.is(bed.socket.sendRing!.usedBytes, 0);
});
