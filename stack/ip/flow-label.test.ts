import test from 'ava';
import type { Route } from '../context.ts';
import { EndpointEvent } from '../endpoint.ts';
import { drawSecret, SeededRandom } from '../random.ts';
import { Stack } from '../stack.ts';
import { HeapRings } from '../testing/heap-rings.ts';
import { addressOf } from '../testing/packets.ts';
import { PAIR_ADDRESSES, StackPair, type TracedPacket } from '../testing/stack-pair.ts';
import { FlowLabels } from './flow-label.ts';

const TCP = 6;
const UDP = 17;

function routeTo(to: string, from = '2001:db8::1'): Route {
  const stack = new Stack({ random: new SeededRandom(1), rings: new HeapRings(256, 256), now: 0 });
  stack.addInterface({
    name: 'test0',
    sink: { send: () => true },
    capabilities: { mtuBytes: 1500, txChecksum: false, txSegmentBytes: 0 },
    addresses: [`${from}/64`],
    gateways: ['2001:db8::ff'],
  });
  return stack.ip.route(addressOf(to), null);
}

function labelIn({ bytes }: TracedPacket): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) & 0xfffff;
}

test('RFC 6437 §3: a flow keeps its label; labels are never 0, and spread evenly over 20 bits', (t) => {
  const labels = new FlowLabels(drawSecret(new SeededRandom(1)));
  const route = routeTo('2001:db8::9');
  const seen = new Set<number>();
  const buckets = new Uint32Array(16);
  for (let port = 0; port < 20_000; port++) {
    const label = labels.label(route, TCP, (port << 16) | 443);
    t.is(label, labels.label(route, TCP, (port << 16) | 443));
    if (label < 1 || label > 0xfffff) t.fail(`${label}`);
    seen.add(label);
    const bucket = label >>> 16;
    buckets[bucket] = buckets[bucket]! + 1;
  }
  // 20,000 of 2^20 by chance: about 190 coincide
  t.true(seen.size > 19_600 && seen.size < 19_950, `${seen.size}`);
  for (const count of buckets) t.true(Math.abs(count - 1250) < 200, `${buckets}`);
});

test('protocol, ports, both addresses and the secret make a label', (t) => {
  const first = new FlowLabels(drawSecret(new SeededRandom(1)));
  const here = routeTo('2001:db8::9');
  const all = [
    first.label(here, TCP, 7),
    first.label(here, UDP, 7),
    first.label(here, TCP, 8),
    first.label(routeTo('2001:db8::8'), TCP, 7),
    first.label(routeTo('2001:db8::9', '2001:db8::2'), TCP, 7),
    new FlowLabels(drawSecret(new SeededRandom(2))).label(routeTo('2001:db8::9'), TCP, 7),
  ];
  t.is(new Set(all).size, all.length);
  t.is(new FlowLabels(drawSecret(new SeededRandom(1))).label(routeTo('2001:db8::9'), TCP, 7), all[0]!);
});

test('all packets of a connection have one label each way, retransmissions and refusals too', (t) => {
  const pair = new StackPair({ forward: { latencyMs: 5, loss: 0.2 }, backward: { latencyMs: 5 } });
  const listener = pair.b.tcp.listen({ local: null, port: 7, backlog: 1 });
  const connect = (remotePort: number): void => {
    const connection = pair.a.tcp.connect({
      remote: addressOf(PAIR_ADDRESSES.b.v6),
      remotePort,
      local: null,
      localPort: 50_000,
      noDelay: false,
      keepAlive: null,
    });
    pair.onEvents = (endpoint, events) => {
      if (endpoint === listener) listener.accept();
      if (endpoint !== connection || (events & EndpointEvent.Ready) === 0) return;
      connection.sendRing?.write(new Uint8Array(30_000), 0, 30_000);
      connection.appWrote();
      connection.shutdown();
    };
    pair.runFor(20_000);
  };
  connect(7);
  t.true(pair.trace.length > 30);
  const labelsOf = (from: 'a' | 'b'): Set<number> =>
    new Set(pair.trace.filter((packet) => packet.from === from && packet.bytes[6] === TCP).map(labelIn));
  t.is(labelsOf('a').size, 1);
  t.is(labelsOf('b').size, 1);
  t.notDeepEqual(labelsOf('a'), labelsOf('b'));
  t.false(labelsOf('a').has(0) || labelsOf('b').has(0));
  // to a port where nobody is: another flow
  connect(8);
  t.is(labelsOf('a').size, 2);
  t.is(labelsOf('b').size, 2);
});

test('fragments of a datagram carry the label of its flow', (t) => {
  const pair = new StackPair();
  const socket = pair.a.udp.open({
    local: null,
    localPort: 0,
    remote: addressOf(PAIR_ADDRESSES.b.v6),
    remotePort: 9,
    broadcast: false,
  });
  for (const bytes of [5000, 100]) socket.sendTo(new Uint8Array(bytes), 0, bytes, null, 0);
  pair.runFor(100);
  const sent = pair.trace.filter(({ from, bytes }) => from === 'a' && [44, UDP].includes(bytes[6]!));
  t.is(sent.length, 5);
  t.is(new Set(sent.map(labelIn)).size, 1);
});
