import test from 'ava';
import { type HookedPacket, MAX_INJECTED_PACKETS, type PacketHook } from './packet-hook.ts';
import { EthernetWire } from './testing/ethernet-wire.ts';
import { addressOf, ipPacket, udpDatagram } from './testing/packets.ts';
import { PAIR_ADDRESSES, StackPair } from './testing/stack-pair.ts';
import type { UdpSocket } from './udp/udp-socket.ts';

const { a, b } = PAIR_ADDRESSES;
const PORT = 9;

interface Talk {
  readonly pair: StackPair;
  readonly socket: UdpSocket;
  /** Texts that came to b. */
  readonly got: string[];
  say(text: string): void;
  counters(): Record<string, number> | undefined;
}

function talk(hook: PacketHook | null, pair: StackPair = new StackPair()): Talk {
  const got: string[] = [];
  pair.b.udp.open({
    local: null,
    localPort: PORT,
    remote: null,
    remotePort: 0,
    broadcast: false,
    receiver: {
      datagram: (_socket, slab, off, len) =>
        void got.push(Buffer.from(slab.bytes.subarray(off, off + len)).toString()),
    },
  });
  const remote = addressOf(b.v4);
  const socket = pair.a.udp.open({ local: null, localPort: 0, remote, remotePort: PORT, broadcast: false });
  pair.a.packetHook = hook;
  return {
    pair,
    socket,
    got,
    say: (text): void => {
      const bytes = Buffer.from(text);
      socket.sendTo(bytes, 0, bytes.length, null, 0);
      pair.runFor(10);
    },
    counters: () => pair.a.counters.toJSON()['hook'],
  };
}

const textOf = ({ bytes, ipOff }: HookedPacket): string => Buffer.from(bytes.subarray(ipOff + 28)).toString();

test('without a hook there is nothing: no counters, no wrapper', (t) => {
  const { pair, say, got, counters } = talk(null);
  say('one');
  t.deepEqual(got, ['one']);
  t.is(counters(), undefined);
  t.is(pair.aInterface.hook, null);
  t.is(pair.a.packetInjector, null);
});

test('a hook sees both directions with times, and passes what it does not change', (t) => {
  const seen: string[] = [];
  const { pair, say, got, counters } = talk((packet) => {
    seen.push(`${packet.now} ${packet.direction} ${packet.interface} ${packet.ipOff} ${packet.bytes.length}`);
    return undefined;
  });
  say('one');
  pair.a.icmp.ping({ destination: addressOf(b.v4), count: 1 });
  pair.runFor(10);
  t.deepEqual(got, ['one']);
  t.deepEqual(seen, ['1000 out link0 0 31', '1010 out link0 0 84', '1012 in link0 0 84']);
  t.like(counters(), { seenOut: 2, seenIn: 1, droppedIn: 0, droppedOut: 0 });
  pair.a.packetHook = null;
  say('two');
  t.is(seen.length, 3);
  t.deepEqual(got, ['one', 'two']);
});

test('packets are dropped, altered and replaced', (t) => {
  const { say, got, counters, pair } = talk((packet) => {
    switch (textOf(packet)) {
      case 'drop':
        return false;
      case 'alter':
        // the checksum does not fit any more: the peer finds the damage
        packet.bytes[28]! ^= 1;
        return true;
      case 'replace':
        packet.bytes = ipPacket(
          { from: a.v4, to: b.v4, protocol: 17 },
          udpDatagram(a.v4, b.v4, 5, PORT, Buffer.from('other')),
        );
        return true;
      default:
        return undefined;
    }
  });
  for (const text of ['first', 'drop', 'alter', 'replace', 'last']) say(text);
  t.deepEqual(got, ['first', 'other', 'last']);
  t.like(counters(), { seenOut: 5, droppedOut: 1 });
  t.is(pair.b.counters.toJSON()['udp']?.['dropChecksum'], 1);
});

test('received packets, too: dropped and damaged', (t) => {
  const seen: string[] = [];
  const { pair, counters } = talk((packet) => {
    if (packet.direction === 'out') return undefined;
    seen.push('in');
    if (seen.length === 1) return false;
    if (seen.length === 2) packet.bytes[30]! ^= 1;
    return undefined;
  });
  const ping = pair.a.icmp.ping({ destination: addressOf(b.v4), count: 3, intervalMs: 10, timeoutMs: 50 });
  pair.runFor(1000);
  t.like(ping.summary, { sent: 3, received: 1 });
  t.like(counters(), { seenIn: 3, droppedIn: 1 });
});

test('packets are added in both directions, at any time, and not seen again', (t) => {
  const { pair, say, got, counters } = talk((packet, injector) => {
    if (packet.direction === 'out' && textOf(packet) === 'twice') injector.inject('out', packet.bytes);
    return undefined;
  });
  say('twice');
  t.deepEqual(got, ['twice', 'twice']);
  const heard: string[] = [];
  pair.a.udp.open({
    local: null,
    localPort: 77,
    remote: null,
    remotePort: 0,
    broadcast: false,
    receiver: { datagram: (_s, slab, off) => void heard.push(String.fromCharCode(slab.bytes[off]!)) },
  });
  const spoofed = (text: string): Uint8Array =>
    ipPacket({ from: b.v4, to: a.v4, protocol: 17 }, udpDatagram(b.v4, a.v4, 1, 77, Buffer.from(text)));
  pair.a.packetInjector?.inject('in', spoofed('x'), 'link0');
  t.deepEqual(heard, [], 'not while the stack may be at work');
  t.is(pair.a.nextDeadline(), pair.nowMs);
  pair.runFor(0);
  t.deepEqual(heard, ['x']);
  t.like(counters(), { seenOut: 1, injectedOut: 1, injectedIn: 1, seenIn: 0 });
  t.throws(() => pair.a.packetInjector?.inject('in', spoofed('x'), 'none'), { instanceOf: RangeError });
});

test('what waits to be received is limited; what is too long, or finds the device full, is dropped and counted', (t) => {
  const { pair, counters } = talk(
    () => undefined,
    new StackPair({ forward: { kilobitsPerSecond: 1, queuePackets: 1, refuses: true } }),
  );
  const injector = pair.a.packetInjector!;
  for (let i = 0; i < MAX_INJECTED_PACKETS + 3; i++) injector.inject('in', new Uint8Array(20));
  t.is(counters()?.['dropInjected'], 3);
  pair.runFor(0);
  t.is(counters()?.['injectedIn'], MAX_INJECTED_PACKETS);
  injector.inject('out', new Uint8Array(70_000));
  t.is(counters()?.['dropInjected'], 4);
  for (let i = 0; i < 20; i++) injector.inject('out', new Uint8Array(1000));
  t.true(counters()!['injectedOut']! < 20);
  t.is(counters()!['injectedOut']! + counters()!['dropInjected']!, 24);
});

test('an injector that answers itself does not keep time from going on', (t) => {
  let count = 0;
  const pair = new StackPair();
  pair.a.packetHook = (packet, injector) => {
    count++;
    if (packet.direction === 'out') injector.inject('in', pingRequest());
    return undefined;
  };
  const pingRequest = (): Uint8Array => ipPacket({ from: b.v4, to: a.v4, protocol: 253 }, new Uint8Array(8));
  pair.a.packetInjector!.inject('in', pingRequest());
  // each injected packet makes an ICMP error, which injects the next: the rate limit of errors ends it
  pair.runFor(50);
  t.true(count > 0 && count < 1000, String(count));
});

test('TCP recovers from every third segment being dropped by a hook', (t) => {
  const pair = new StackPair();
  let segments = 0;
  pair.a.packetHook = (packet) => packet.direction === 'in' || ++segments % 3 !== 0;
  const listener = pair.b.tcp.listen({ local: null, port: 80, backlog: 8 });
  const connection = pair.a.tcp.connect({
    local: null,
    localPort: 0,
    remote: addressOf(b.v4),
    remotePort: 80,
    noDelay: false,
    keepAlive: null,
  });
  const data = new Uint8Array(30_000).fill(7);
  let got = 0;
  pair.onEvents = (): void => {
    const peer = listener.accept();
    if (peer !== null) accepted = peer;
  };
  let accepted: ReturnType<typeof listener.accept> = null;
  t.true(pair.runUntil(() => accepted !== null, 60_000));
  connection.sendRing!.write(data, 0, data.length);
  connection.appWrote();
  const into = new Uint8Array(4096);
  pair.onEvents = (): void => {
    const ring = accepted!.recvRing;
    for (
      let read = ring?.read(into, 0, into.length) ?? 0;
      read > 0;
      read = ring?.read(into, 0, into.length) ?? 0
    )
      got += read;
    accepted!.appRead();
  };
  t.true(
    pair.runUntil(() => got === data.length, 600_000),
    String(got),
  );
  t.true(pair.a.counters.toJSON()['hook']!['droppedOut']! > 5);
});

test('Ethernet: whole frames, ARP among them; partial checksums are completed', (t) => {
  const wire = new EthernetWire();
  const own = wire.add(1, ['192.0.2.1/24']);
  const other = wire.add(2, ['192.0.2.2/24']);
  const seen: string[] = [];
  own.stack.packetHook = ({ direction, bytes, ipOff }) => {
    seen.push(`${direction} ${ipOff} ${(bytes[12]! << 8) | bytes[13]!}`);
    return undefined;
  };
  const ping = own.stack.icmp.ping({ destination: other.iface.addresses[0]!.address, count: 1 });
  wire.runFor(100);
  t.is(ping.summary.received, 1);
  t.deepEqual(seen, ['out -1 2054', 'in -1 2054', 'out 14 2048', 'in 14 2048']);
});

test('checksums that the device would complete are complete in what a hook sees, and leaves', (t) => {
  const pair = new StackPair({ txChecksum: true });
  let field = 0;
  const { say, got } = talk(({ bytes }) => {
    field = (bytes[26]! << 8) | bytes[27]!;
    return undefined;
  }, pair);
  say('hello');
  t.deepEqual(got, ['hello']);
  const [sent] = pair.trace;
  t.deepEqual([sent!.bytes[26], sent!.bytes[27]], [field >> 8, field & 255]);
  const right = udpDatagram(
    a.v4,
    b.v4,
    (sent!.bytes[20]! << 8) | sent!.bytes[21]!,
    PORT,
    Buffer.from('hello'),
  );
  t.deepEqual(sent!.bytes.subarray(20), right);
});

test('interfaces that carry several segments as one are refused', (t) => {
  const pair = new StackPair({ txChecksum: true, txSegmentBytes: 60_000 });
  t.throws(
    () => {
      pair.a.packetHook = () => undefined;
    },
    { message: /without offload/ },
  );
  t.is(pair.a.packetHook, null);
});
