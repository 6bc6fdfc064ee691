import test from 'ava';
import type { Transmitter } from './context.ts';
import { Endpoint, EndpointEvent, type EndpointObserver } from './endpoint.ts';
import { SeededRandom } from './random.ts';
import { Stack } from './stack.ts';
import { HeapRings } from './testing/heap-rings.ts';
import { RecordingSink } from './testing/packet-sink.ts';

class Probe extends Endpoint {}

class Source implements Transmitter {
  nextToTransmit: Transmitter | null = null;
  waitsToTransmit = false;
  calls = 0;
  accepts = true;

  transmit(): boolean {
    this.calls++;
    return this.accepts;
  }
}

function makeStack(links: number): Stack {
  const stack = new Stack({ random: new SeededRandom(1), rings: new HeapRings(256, 256), now: 5 });
  for (let i = 0; i < links; i++)
    stack.addInterface({
      name: `link${i}`,
      sink: new RecordingSink(),
      capabilities: { mtuBytes: 1500, txChecksum: false, txSegmentBytes: 0 },
      addresses: [`192.0.${i}.1/24`],
      gateways: [],
    });
  return stack;
}

test('endpoints come out once, in order, whatever is signalled or taken meanwhile', (t) => {
  const stack = makeStack(1);
  const [a, b, c] = [new Probe(stack), new Probe(stack), new Probe(stack)];
  a.signal(EndpointEvent.Ready);
  b.signal(EndpointEvent.Ready);
  a.signal(EndpointEvent.Readable);
  // Taken while waiting, and signalled again: still in the queue once, and the queue whole
  t.is(a.takeEvents(), EndpointEvent.Ready | EndpointEvent.Readable);
  a.signal(EndpointEvent.Closed);
  b.takeEvents();
  b.signal(EndpointEvent.Writable);
  c.signal(EndpointEvent.Ready);
  t.is(stack.pollEvent(), a);
  t.is(a.takeEvents(), EndpointEvent.Closed);
  t.is(stack.pollEvent(), b);
  t.is(b.takeEvents(), EndpointEvent.Writable);
  b.signal(EndpointEvent.Closed);
  t.is(stack.pollEvent(), c);
  c.takeEvents();
  t.is(stack.pollEvent(), b);
  b.takeEvents();
  c.signal(EndpointEvent.Closed);
  c.takeEvents();
  t.is(stack.pollEvent(), null);
});

test('observers get their events when the driver polls, also those they cause', (t) => {
  const stack = makeStack(1);
  const [a, b, plain] = [new Probe(stack), new Probe(stack), new Probe(stack)];
  const seen: unknown[] = [];
  const observer: EndpointObserver = {
    endpointEvents(endpoint, events, now) {
      seen.push([endpoint === a ? 'a' : 'b', events, now]);
      if (endpoint === a) b.signal(EndpointEvent.Closed);
    },
  };
  a.observer = observer;
  b.observer = observer;
  a.signal(EndpointEvent.Ready);
  plain.signal(EndpointEvent.Ready);
  t.is(stack.pollEvent(), plain);
  plain.takeEvents();
  t.is(stack.pollEvent(), null);
  t.deepEqual(seen, [
    ['a', EndpointEvent.Ready, 5],
    ['b', EndpointEvent.Closed, 5],
  ]);
});

for (const links of [1, 2]) {
  test(`transmit: each has its turn, whoever found the device full stays on the list (${links} links)`, (t) => {
    const stack = makeStack(links);
    const sources = [new Source(), new Source(), new Source()];
    for (const source of sources) {
      stack.wantsToTransmit(source);
      stack.wantsToTransmit(source);
    }
    sources[1]!.accepts = false;
    t.false(stack.transmit(6));
    t.is(stack.now, 6);
    // With one device the third waits for it; with two it had its turn.
    t.deepEqual(
      sources.map((source) => source.calls),
      [1, 1, links - 1],
    );
    t.false(stack.transmit(7));
    sources[1]!.accepts = true;
    t.true(stack.transmit(8));
    t.true(stack.transmit(9));
    t.deepEqual(
      sources.map((source) => source.calls),
      [1, 3, 1],
    );
    t.true(sources.every((source) => !source.waitsToTransmit && source.nextToTransmit === null));
  });
}

test('counters are plain JSON by layer', (t) => {
  const all = makeStack(1).counters.toJSON();
  for (const layer of ['ip', 'icmp', 'udp', 'tcp']) {
    const group = all[layer];
    t.truthy(group);
    t.true(Object.values(group ?? {}).every((value) => value === 0));
  }
});
