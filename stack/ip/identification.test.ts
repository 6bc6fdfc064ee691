// sends broken frames: datagrams of UDP without a UDP header
import test from 'ava';
import { SeededRandom } from '../random.ts';
import { Stack } from '../stack.ts';
import { HeapRings } from '../testing/heap-rings.ts';
import { RecordingSink } from '../testing/packet-sink.ts';
import { addressOf } from '../testing/packets.ts';
import { Slab } from '../wire/slab.ts';
import { IpCounters } from './counters.ts';
import {
  IDENTIFIED_PAIRS,
  Identification,
  Identifications,
  MAX_DATAGRAM_LIFETIME_MS,
} from './identification.ts';

const UDP = 17;

interface Host {
  readonly stack: Stack;
  /** @returns the packets' identifications, -1 for those with Don't Fragment */
  send(to: string, payloadBytes: number): number[];
}

function host(): Host {
  const sink = new RecordingSink();
  const stack = new Stack({ random: new SeededRandom(3), rings: new HeapRings(256, 256), now: 0 });
  stack.addInterface({
    name: 'test0',
    sink,
    capabilities: { mtuBytes: 1500, txChecksum: true, txSegmentBytes: 0 },
    addresses: ['192.0.2.1/16'],
    gateways: [],
  });
  const body = Slab.alloc(4096);
  const send = (to: string, payloadBytes: number): number[] => {
    const { ip, tx } = stack;
    ip.begin(ip.route(addressOf(to), null), 8);
    tx.body = body;
    tx.bodyOff = 0;
    tx.bodyLen = payloadBytes;
    ip.finish(ip.route(addressOf(to), null), UDP, 6, 0, 64);
    return sink.packets.splice(0).map(({ bytes }) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      return (view.getUint16(6) & 0x4000) !== 0 ? -1 : view.getUint16(4);
    });
  };
  return { stack, send };
}

test('RFC 6864 §4.3: no identification comes again within two minutes; what needs none has none then', (t) => {
  const { stack, send } = host();
  const seen = new Set<number>();
  let atomic = 0;
  for (let i = 0; i < 0x10000; i++) {
    const [id] = send('192.0.2.2', 10);
    if (id === -1) atomic++;
    else if (seen.has(id!)) t.fail(`${id} again`);
    else seen.add(id!);
  }
  // the block that the first number lies in is not begun a second time
  t.true(seen.size > 0x10000 - 4096);
  t.is(atomic, 0x10000 - seen.size);
  t.deepEqual(send('192.0.2.2', 10), [-1]);
  t.not(send('192.0.2.3', 10)[0], -1, 'another destination has its own');
  stack.advance(MAX_DATAGRAM_LIFETIME_MS + 1);
  t.not(send('192.0.2.2', 10)[0], -1);
});

test('identifications of a destination count up from somewhere, fragments share one', (t) => {
  const { send } = host();
  const [first] = send('192.0.2.2', 10);
  const next = (first! + 1) & 0xffff;
  t.deepEqual(send('192.0.2.2', 3000), [next, next, next]);
  t.deepEqual(send('192.0.2.2', 10), [(first! + 2) & 0xffff]);
  const [other] = send('192.0.2.3', 10);
  t.true(Math.abs(other! - first!) > 3);
});

test('fragments go on when numbers are used up, and are counted', (t) => {
  const { stack, send } = host();
  for (let i = 0; i < 0x10000; i++) send('192.0.2.2', 10);
  const repeated = (): number => stack.counters.toJSON()['ip']?.['identificationRepeated'] ?? 0;
  t.is(repeated(), 0);
  t.is(send('192.0.2.2', 3000).length, 3);
  t.is(send('192.0.2.2', 3000).length, 3);
  t.is(repeated(), 2);
  stack.advance(MAX_DATAGRAM_LIFETIME_MS + 1);
  send('192.0.2.2', 3000);
  t.is(repeated(), 2);
});

test('32 bits do not come again after 16', (t) => {
  const numbers = new Identification(0xfffffff0);
  const seen = new Set<number>();
  for (let i = 0; i < 100_000; i++) seen.add(numbers.take(0));
  t.is(seen.size, 100_000);
  t.true([...seen].every((id) => id >= 0 && id <= 0xffffffff));
});

test('so many pairs of addresses are remembered; one forgotten too soon is counted', (t) => {
  const counters = new IpCounters();
  const all = new Identifications(new SeededRandom(1), counters);
  const own = addressOf('192.0.2.1');
  const pair = (i: number, now: number): Identification =>
    all.of(own, addressOf(`198.51.${100 + (i >> 8)}.${i & 255}`), now);
  const first = pair(0, 0);
  t.is(pair(0, 0), first);
  pair(1, 0).take(0);
  for (let i = 2; i < IDENTIFIED_PAIRS; i++) pair(i, 0);
  pair(IDENTIFIED_PAIRS, 1);
  t.is(counters.identificationsForgotten, 0, 'the first had given none');
  pair(IDENTIFIED_PAIRS + 1, 1);
  t.is(counters.identificationsForgotten, 1);
  t.not(pair(0, 1), first);
});
