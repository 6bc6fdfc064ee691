import test from 'ava';
import { NetError } from '../stack/errors.ts';
import { RxFlag } from '../stack/link.ts';
import { foldChecksum, sumSlab } from '../stack/wire/checksum.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { Slab } from '../stack/wire/slab.ts';
import type { Device } from './device.ts';
import { type ImpairedDevice, impair } from './impair.ts';
import type { Impairments, ImpairSettings } from './impair-options.ts';
import { createMemoryLink, type MemoryLinkOptions, openMemory } from './memory.ts';
import { Lab } from './testing/lab.ts';
import { Collector } from './testing/packets.ts';
import { bytesOf, checksumIsRight, datagram, segment } from './testing/raw-packets.ts';

const V4 = { source: '192.0.2.1', destination: '192.0.2.2', sourcePort: 1000, destinationPort: 2000 };
const V6 = { source: '2001:db8::1', destination: '2001:db8::2', sourcePort: 1000, destinationPort: 2000 };
const TCP = { sequence: -1, acknowledgment: 5, flags: 0x10 };

/** Packets are told apart by the number in their last four bytes. */
function numbered(number: number, lengthBytes = 100, ends = V4): ReturnType<typeof segment> {
  const payload = new Uint8Array(lengthBytes - (ends === V4 ? 40 : 60));
  new DataView(payload.buffer).setUint32(payload.length - 4, number);
  return segment({ ...ends, ...TCP }, payload, 0, false);
}

function numberOf(bytes: Uint8Array): number {
  if (bytes.length < 4) return -1;
  return new DataView(bytes.buffer).getUint32(bytes.length - 4);
}

interface Got {
  readonly number: number;
  readonly atMs: number;
}

/** An impaired end of a link and its plain other end, with a clock that the test moves. */
class Bench {
  now = 1000;
  readonly device: ImpairedDevice;
  readonly peer: Device;
  readonly got: Got[] = [];
  readonly bytes: Uint8Array[] = [];

  constructor(settings: ImpairSettings, link: MemoryLinkOptions = {}) {
    const [a, b] = createMemoryLink(link);
    this.device = impair(openMemory(a), { ...settings, clock: () => this.now });
    this.peer = openMemory(b);
  }

  /** Takes what has arrived at the peer. */
  look(): void {
    const collector = new Collector();
    while (this.peer.receive(collector, 64) > 0) {}
    for (const bytes of collector.packets) {
      this.bytes.push(bytes);
      this.got.push({ number: numberOf(bytes), atMs: this.now });
    }
  }

  /** Lets time pass, from deadline to deadline. */
  run(untilMs: number): void {
    this.look();
    for (let next = this.device.nextDeadline(); next <= untilMs; next = this.device.nextDeadline()) {
      if (next === Infinity) return;
      this.now = Math.max(next, this.now);
      this.device.advance(this.now);
      this.look();
    }
    this.now = untilMs;
  }

  /** Sends `count` packets, one every `everyMs`, and waits for the last. */
  stream(count: number, everyMs: number, lengthBytes = 100, ends = V4): void {
    const start = this.now;
    for (let i = 1; i <= count; i++) {
      this.run(start + (i - 1) * everyMs);
      this.device.send(numbered(i, lengthBytes, ends));
    }
    this.run(Infinity);
  }
}

/** Sends a stream with these impairments outwards. */
function streamed(out: Impairments, count: number, everyMs = 1, seed = 1): Bench {
  const bench = new Bench({ seed, out });
  bench.stream(count, everyMs);
  return bench;
}

const numbersOf = (bench: Bench): number[] => bench.got.map((got) => got.number);
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);
/** How long each packet took; packets were sent one every `everyMs` from 1000 on. */
const delaysOf = (bench: Bench, everyMs: number): number[] =>
  bench.got.map(({ number, atMs }) => atMs - 1000 - (number - 1) * everyMs);
const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;

test('without impairments everything passes at once and unchanged, both ways', (t) => {
  const bench = new Bench({}, { checksums: 'skip' });
  t.deepEqual(bench.device.capabilities, { mtuBytes: 1500, txChecksum: false, txSegmentBytes: 0 });
  const packet = numbered(7, 1500);
  t.true(bench.device.send(packet));
  bench.look();
  t.deepEqual(bench.bytes, [bytesOf(packet)]);
  t.is(bench.device.nextDeadline(), Infinity);
  bench.peer.send(datagram(V4, new Uint8Array(9)));
  const collector = new Collector();
  t.false(bench.device.prepareSleep());
  t.is(bench.device.receive(collector, 8), 1);
  t.is(bench.device.receive(collector, 8), 0);
  t.true(bench.device.prepareSleep());
  t.deepEqual(collector.flags, [RxFlag.ChecksumValid | RxFlag.ChecksumPartial]);
  t.like(bench.device.impaired.in, { packets: 1, bytes: 37, passed: 1 });
  t.like(bench.device.impaired.out, { packets: 1, bytes: 1500, passed: 1 });
});

test('a device with segmentation offload is refused', (t) => {
  const [a] = createMemoryLink({ checksums: 'skip', segmentBytes: 65_535 });
  t.throws(() => impair(openMemory(a), { clock: () => 0 }), { instanceOf: NetError, code: 'EINVAL' });
});

test('random loss: as much as asked for, the same with the same seed', (t) => {
  const first = streamed({ loss: 0.1 }, 5000);
  const lost = 5000 - first.got.length;
  t.true(lost > 420 && lost < 580, `${lost} lost`);
  t.is(first.device.impaired.out.lostRandom, lost);
  t.deepEqual(numbersOf(streamed({ loss: 0.1 }, 5000)), numbersOf(first));
  t.notDeepEqual(numbersOf(streamed({ loss: 0.1 }, 5000, 1, 2)), numbersOf(first));
  // another impairment draws from another stream
  const both = streamed({ loss: 0.1, jitterMs: 0.2, delayMs: 1, duplicate: 0 }, 5000);
  t.deepEqual(numbersOf(both), numbersOf(first));
  t.is(streamed({ loss: 1 }, 50).got.length, 0);
});

test('the directions are independent', (t) => {
  const bench = new Bench({ in: { loss: 0.5 }, out: { loss: 0.5 } });
  const collector = new Collector();
  for (let i = 1; i <= 200; i++) {
    bench.device.send(numbered(i));
    bench.peer.send(numbered(i));
    bench.device.receive(collector, 8);
  }
  bench.look();
  const inward = collector.packets.map(numberOf);
  t.true(inward.length > 60 && inward.length < 140);
  t.notDeepEqual(inward, numbersOf(bench));
});

test('every n-th, listed and chosen packets are lost', (t) => {
  t.deepEqual(numbersOf(streamed({ lossEvery: 3 }, 10)), [1, 2, 4, 5, 7, 8, 10]);
  const listed = streamed({ lossPackets: [1, 4, 5] }, 6);
  t.deepEqual(numbersOf(listed), [2, 3, 6]);
  t.is(listed.device.impaired.out.lostListed, 3);
  const seen: number[] = [];
  const chosen = streamed(
    {
      drop: (slab, off, len, number) => {
        seen.push(number);
        return slab.bytes[off + len - 1] === 4;
      },
    },
    6,
  );
  t.deepEqual(numbersOf(chosen), [1, 2, 3, 5, 6]);
  t.deepEqual(seen, range(6));
  t.is(chosen.device.impaired.out.lostPredicate, 1);
});

test('bursts: their share and their length', (t) => {
  const count = 20_000;
  const bench = streamed({ burstLoss: { toBad: 0.02, toGood: 0.25 } }, count);
  const there = new Set(numbersOf(bench));
  const lost = count - there.size;
  // p / (p + r)
  t.true(Math.abs(lost / count - 0.02 / 0.27) < 0.012, `${lost} lost`);
  let bursts = 0;
  for (let i = 1; i <= count; i++) if (!there.has(i) && (i === 1 || there.has(i - 1))) bursts++;
  t.true(Math.abs(lost / bursts - 4) < 0.5, `mean burst ${lost / bursts}`);
  t.is(bench.device.impaired.out.lostBurst, lost);
});

test('delay: exactly as long', (t) => {
  const bench = streamed({ delayMs: 40 }, 20, 7);
  t.deepEqual(numbersOf(bench), range(20));
  t.deepEqual(
    delaysOf(bench, 7),
    range(20).map(() => 40),
  );
});

test('jitter: uniform within its width, overtaking unless the order is kept', (t) => {
  const free = streamed({ delayMs: 40, jitterMs: 10 }, 2000, 2);
  const delays = delaysOf(free, 2);
  t.true(Math.min(...delays) >= 30 && Math.max(...delays) < 50);
  t.true(Math.min(...delays) < 30.5 && Math.max(...delays) > 49.5);
  t.true(Math.abs(mean(delays) - 40) < 0.5);
  t.notDeepEqual(numbersOf(free), range(2000));
  const kept = streamed({ delayMs: 40, jitterMs: 10, keepOrder: true }, 2000, 2);
  t.deepEqual(numbersOf(kept), range(2000));
  t.true(Math.max(...delaysOf(kept, 2)) < 50);
});

test('jitter: normal around the delay, never negative', (t) => {
  const bench = streamed({ delayMs: 40, jitterMs: 10, distribution: 'normal' }, 4000, 2);
  const delays = delaysOf(bench, 2);
  const deviation = Math.sqrt(mean(delays.map((d) => (d - 40) ** 2)));
  t.true(
    Math.abs(mean(delays) - 40) < 0.6 && Math.abs(deviation - 10) < 0.5,
    `${mean(delays)} ± ${deviation}`,
  );
  const near = delaysOf(streamed({ delayMs: 1, jitterMs: 10, distribution: 'normal' }, 500, 2), 2);
  t.true(near.every((d) => d >= 0));
});

test('reorder: some packets skip the delay', (t) => {
  const bench = streamed({ delayMs: 10, reorder: 0.25 }, 1000, 1);
  const delays = delaysOf(bench, 1);
  const ahead = delays.filter((d) => d === 0).length;
  t.true(ahead > 200 && ahead < 300);
  t.true(delays.every((d) => d === 0 || d === 10));
  t.is(bench.device.impaired.out.reordered, ahead);
  t.deepEqual(
    [...numbersOf(bench)].sort((x, y) => x - y),
    range(1000),
  );
});

test('duplicates follow their packet', (t) => {
  const bench = streamed({ duplicate: 0.5 }, 200);
  const numbers = numbersOf(bench);
  t.deepEqual([...new Set(numbers)], range(200));
  const { duplicated, passed } = bench.device.impaired.out;
  t.true(duplicated > 70 && duplicated < 130);
  t.is(numbers.length, 200 + duplicated);
  t.is(passed, numbers.length);
  t.is(streamed({ duplicate: 1 }, 10).got.length, 20);
});

test('corruption turns one bit over, anywhere', (t) => {
  const bench = streamed({ corrupt: 1 }, 400);
  const places = new Set<number>();
  for (const [i, bytes] of bench.bytes.entries()) {
    const before = bytesOf(numbered(i + 1));
    let bits = 0;
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes[at]! ^ before[at]!;
      if (changed !== 0) places.add(at);
      for (let bit = changed; bit !== 0; bit &= bit - 1) bits++;
    }
    t.is(bits, 1);
  }
  t.true(Math.min(...places) < 5 && Math.max(...places) > 94);
  t.is(bench.device.impaired.out.corrupted, 400);
});

test('truncation leaves the beginning', (t) => {
  const bench = streamed({ truncate: 1 }, 300);
  const lengths = bench.bytes.map((bytes) => bytes.length);
  t.true(Math.min(...lengths) >= 1 && Math.max(...lengths) < 100);
  t.true(Math.min(...lengths) < 5 && Math.max(...lengths) > 95);
  t.deepEqual(bench.bytes[7], bytesOf(numbered(8)).slice(0, lengths[7]));
});

test('damage to a packet whose checksum was left out is found nevertheless', (t) => {
  for (const ends of [V4, V6]) {
    const bench = new Bench({ in: { corrupt: 1 } }, { checksums: 'skip' });
    for (let i = 0; i < 200; i++) bench.peer.send(datagram(ends, new Uint8Array(400)));
    const collector = new Collector();
    while (bench.device.receive(collector, 64) > 0) {}
    const whole = bytesOf(datagram(ends, new Uint8Array(400)));
    const header = ends === V4 ? 20 : 40;
    for (const [i, bytes] of collector.packets.entries()) {
      t.is(collector.flags[i], 0);
      const inHeader = !whole.slice(0, header).every((byte, at) => byte === bytes[at]);
      // a damaged IP header is found by its own checksum, or is another packet
      if (!inHeader) t.false(checksumIsRight(bytes));
    }
  }
});

test('rate: packets leave one after the other, and wait no longer than the queue', (t) => {
  // 100 bytes at 800 kbit/s: 1 ms each
  const bench = new Bench({ out: { rateBps: 800_000, queuePackets: 5, delayMs: 10 } });
  for (let i = 1; i <= 8; i++) bench.device.send(numbered(i));
  bench.run(1000 + 2);
  bench.device.send(numbered(9));
  bench.run(1100);
  bench.device.send(numbered(10));
  bench.run(Infinity);
  t.deepEqual(
    bench.got.map((got) => [got.number, got.atMs]),
    [
      [1, 1011],
      [2, 1012],
      [3, 1013],
      [4, 1014],
      [5, 1015],
      [9, 1016],
      [10, 1111],
    ],
  );
  t.is(bench.device.impaired.out.lostQueueFull, 3);
  const bytes = new Bench({ out: { rateBps: 800_000, queueBytes: 250 } });
  for (let i = 1; i <= 4; i++) bytes.device.send(numbered(i));
  bytes.run(Infinity);
  t.deepEqual(numbersOf(bytes), [1, 2]);
});

test('ECN: marked instead of lost, and above a threshold of the queue', (t) => {
  for (const ends of [V4, V6]) {
    const bench = new Bench({ out: { loss: 1, ecn: true } });
    const byteOf = (bytes: Uint8Array): number => (ends === V4 ? bytes[1]! & 3 : (bytes[1]! >>> 4) & 3);
    const withEcn = (number: number, ecn: number): ReturnType<typeof segment> => {
      const packet = numbered(number, 200, ends);
      const { bytes, view } = packet.head;
      if (ends === V6) {
        bytes[packet.headOff + 1]! |= ecn << 4;
        return packet;
      }
      bytes[packet.headOff + 1]! |= ecn;
      view.setUint16(packet.headOff + 10, 0);
      view.setUint16(packet.headOff + 10, foldChecksum(sumSlab(packet.head, packet.headOff, 20, 0)));
      return packet;
    };
    for (const ecn of [0, 1, 2, 3]) bench.device.send(withEcn(ecn, ecn));
    bench.look();
    t.deepEqual(numbersOf(bench), [1, 2, 3]);
    for (const bytes of bench.bytes) {
      t.is(byteOf(bytes), 3);
      if (ends === V4) t.is(foldChecksum(sumSlab(new Slab(bytes), 0, 20, 0)), 0);
      t.true(checksumIsRight(bytes));
    }
    t.like(bench.device.impaired.out, { marked: 2, lostRandom: 1 });
    const queue = new Bench({ out: { rateBps: 1_000_000, ecnThresholdPackets: 2 } });
    for (let i = 1; i <= 4; i++) queue.device.send(withEcn(i, i === 4 ? 0 : 2));
    queue.run(Infinity);
    t.deepEqual(queue.bytes.map(byteOf), [2, 2, 3, 0]);
  }
});

test('down: what is sent meanwhile is lost, what was under way arrives, and the other direction goes on', (t) => {
  const bench = new Bench({
    out: {
      delayMs: 5,
      down: [
        { fromMs: 10, toMs: 20 },
        { fromMs: 30, toMs: Infinity },
      ],
    },
    in: { down: [{ fromMs: 1, toMs: 2 }] },
  });
  bench.stream(40, 1);
  t.deepEqual(numbersOf(bench), [...range(10), 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
  t.is(bench.device.impaired.out.lostDown, 20);
  bench.peer.send(numbered(1));
  t.is(bench.device.receive(new Collector(), 8), 1);
  bench.now = 1001;
  bench.peer.send(numbered(2));
  t.is(bench.device.receive(new Collector(), 8), 0);
  t.is(bench.device.impaired.in.lostDown, 1);
});

test('received packets are delayed, within the budget', (t) => {
  const bench = new Bench({ in: { delayMs: 25 } });
  for (let i = 1; i <= 5; i++) bench.peer.send(numbered(i));
  const collector = new Collector();
  t.is(bench.device.receive(collector, 64), 0);
  t.is(bench.device.nextDeadline(), 1025);
  t.true(bench.device.prepareSleep());
  bench.device.awake();
  bench.now = 1025;
  t.false(bench.device.prepareSleep());
  bench.device.advance(1025);
  t.is(bench.device.receive(collector, 2), 2);
  t.is(bench.device.receive(collector, 2), 2);
  t.is(bench.device.receive(collector, 2), 1);
  t.is(bench.device.receive(collector, 2), 0);
  t.deepEqual(collector.packets.map(numberOf), range(5));
});

test('a full device below: nothing is lost, the stack is told', (t) => {
  const bench = new Bench({ out: { delayMs: 1 } }, { queueBytes: 256 * 1024 });
  const sent: number[] = [];
  let refused = 0;
  for (let i = 1; i <= 1000; i++) {
    bench.now += 0.5;
    bench.device.advance(bench.now);
    if (bench.device.send(numbered(i, 1500))) sent.push(i);
    else refused++;
  }
  t.true(refused > 500);
  t.true(bench.device.counters.txFull > 0);
  bench.run(bench.now + 100);
  t.deepEqual(numbersOf(bench), sent);
});

test('a full device below is counted once, by itself', (t) => {
  const bench = new Bench({}, { queueBytes: 256 * 1024 });
  while (bench.device.counters.txFull === 0) t.true(bench.device.send(numbered(1, 1500)));
  // the last one was taken here, and waits
  t.is(bench.device.counters.txFull, 1);
  t.false(bench.device.send(numbered(1, 1500)));
  t.is(bench.device.counters.txFull, 2);
});

test('MTU: larger packets vanish, or their sender learns it', (t) => {
  const gone = new Bench({ out: { mtuBytes: 1300 } });
  gone.device.send(numbered(1, 1300));
  gone.device.send(numbered(2, 1301));
  gone.run(Infinity);
  t.deepEqual(numbersOf(gone), [1]);
  t.is(gone.device.impaired.out.lostMtu, 1);
  for (const ends of [V4, V6]) {
    const lab = new Lab();
    const [a, b] = createMemoryLink();
    const refusing = impair(openMemory(a), {
      clock: lab.clock,
      out: { mtuBytes: 1300, mtuPolicy: 'refuse' },
      in: { mtuBytes: 1290, mtuPolicy: 'refuse' },
    });
    const left = lab.add(refusing, ['192.0.2.1/24', '2001:db8::1/64'], 1);
    const right = lab.add(openMemory(b), ['192.0.2.2/24', '2001:db8::2/64'], 2);
    const send = (from: typeof left, to: string): void => {
      const socket = from.stack.udp.open({
        local: null,
        localPort: 0,
        remote: IpAddress.parse(to),
        remotePort: 9,
        broadcast: false,
        receiver: { datagram: () => {} },
      });
      socket.sendTo(new Uint8Array(1400), 0, 1400, null, 0);
      lab.run(lab.nowMs + 5);
      socket.sendTo(new Uint8Array(1400), 0, 1400, null, 0);
      lab.run(lab.nowMs + 5);
    };
    send(left, ends.destination);
    t.is(refusing.impaired.out.refusedMtu, 1);
    t.is(left.stack.icmp.counters.dropChecksum, 0);
    t.is(left.stack.counters.toJSON()['ip']!['pathMtuReduced'], 1);
    send(right, ends.source);
    t.is(refusing.impaired.in.refusedMtu, 1);
    t.is(right.stack.counters.toJSON()['ip']!['pathMtuReduced'], 1);
    // the second ones came, in fragments
    t.is(right.stack.udp.counters.dropNoPort, 1);
    t.is(left.stack.udp.counters.dropNoPort, 1);
  }
});

test('close drops what is under way, and may be called twice', (t) => {
  const bench = new Bench({ out: { delayMs: 5 } });
  bench.device.send(numbered(1));
  bench.device.close();
  bench.device.close();
  t.is(bench.device.nextDeadline(), Infinity);
});
