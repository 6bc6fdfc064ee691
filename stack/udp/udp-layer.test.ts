// sends any payload: a few bytes on ports 53 and 67

import test from 'ava';
import type { Endpoint } from '../endpoint.ts';
import { EndpointEvent } from '../endpoint.ts';
import type { NetError } from '../errors.ts';
import { LocalPorts } from '../local-ports.ts';
import { addressOf, ipPacket, udpDatagram } from '../testing/packets.ts';
import { PAIR_ADDRESSES, type PairOptions, StackPair } from '../testing/stack-pair.ts';
import { DatagramHeader, peekDatagram, pushDatagramTo, shiftDatagram } from './datagram-ring.ts';
import type { UdpOptions } from './udp-layer.ts';
import { MAX_PENDING_DATAGRAMS, type UdpSocket } from './udp-socket.ts';

const { a, b } = PAIR_ADDRESSES;
const ANY: UdpOptions = { local: null, localPort: 0, remote: null, remotePort: 0, broadcast: false };

function bytes(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7) & 255);
}

/** Takes the oldest datagram from a receive ring. */
function receive(socket: UdpSocket): { payload: Uint8Array; header: DatagramHeader } | null {
  const header = new DatagramHeader();
  const ring = socket.recvRing!;
  if (!peekDatagram(ring, header)) return null;
  const payload = new Uint8Array(header.lengthBytes);
  ring.copyOut(header.position, payload, 0, payload.length);
  shiftDatagram(ring, header);
  return { payload, header };
}

function codeOf(error: NetError | undefined): string | undefined {
  return error?.tunwireCode;
}

function pairWith(options: Partial<PairOptions> = {}): StackPair {
  return new StackPair({ sendRingBytes: 262_144, recvRingBytes: 262_144, ...options });
}

for (const family of ['v4', 'v6'] as const) {
  for (const variant of [{}, { txChecksum: true }, { mtuBytes: 9000 }, { mtuBytes: 1280 }]) {
    // [RFC 1122 §3.3.2-1] [RFC 1122 §3.3.2-2] [RFC 1122 §3.3.3-2]
    test(`datagrams of every size arrive over ${family} ${JSON.stringify(variant)}`, (t) => {
      const pair = pairWith(variant);
      const server = pair.b.udp.open({ ...ANY, localPort: 53 });
      const client = pair.a.udp.open({ ...ANY, remote: addressOf(b[family]), remotePort: 53 });
      const most = family === 'v4' ? 65_507 : 65_527;
      for (const length of [0, 1, 2, 3, 100, 1232, 1472, 1473, 4097, 65_000, most]) {
        const sent = bytes(length, length);
        t.true(pushDatagramTo(client.sendRing!, null, 0, sent, 0, length));
        client.appWrote();
        pair.runFor(5);
        const got = receive(server);
        t.deepEqual(got?.payload, sent);
        t.is(got?.header.port, client.localPort);
        t.is(got?.header.family, family === 'v4' ? 4 : 6);
        t.is(got?.header.w3, addressOf(a[family]).w3);
        server.sendTo(sent, 0, length, addressOf(a[family]), client.localPort);
        pair.runFor(5);
        t.deepEqual(receive(client)?.payload, sent);
      }
      const error = t.throws<NetError>(() => client.sendTo(bytes(most + 1), 0, most + 1, null, 0));
      t.is(codeOf(error), 'MESSAGE_TOO_LONG');
    });
  }
}

test('a receiver gets datagrams in place of a ring', (t) => {
  const pair = pairWith();
  const got: string[] = [];
  const server = pair.b.udp.open({
    ...ANY,
    localPort: 7,
    receiver: {
      datagram(socket, slab, off, length, from, fromPort) {
        got.push(`${from} ${new TextDecoder().decode(slab.bytes.slice(off, off + length))}`);
        socket.sendTo(slab.bytes, off, length, from, fromPort);
      },
    },
  });
  t.is(server.recvRing, null);
  const client = pair.a.udp.open({ ...ANY, remote: addressOf(b.v6), remotePort: 7 });
  client.sendTo(new TextEncoder().encode('hello'), 0, 5, null, 0);
  pair.runFor(10);
  t.deepEqual(got, ['2001:db8::1 hello']);
  t.deepEqual(receive(client)?.payload, new TextEncoder().encode('hello'));
});

test('ports: a clash, a wrong local address, exhaustion', (t) => {
  const { udp } = pairWith().a;
  const first = udp.open({ ...ANY, localPort: 5000, local: addressOf(a.v4) });
  t.is(codeOf(t.throws<NetError>(() => udp.open({ ...ANY, localPort: 5000 }))), 'ADDRESS_IN_USE');
  t.is(
    codeOf(t.throws<NetError>(() => udp.open({ ...ANY, localPort: 5000, local: addressOf(a.v4) }))),
    'ADDRESS_IN_USE',
  );
  udp.open({ ...ANY, localPort: 5000, local: addressOf(a.v6) });
  t.is(
    codeOf(t.throws<NetError>(() => udp.open({ ...ANY, local: addressOf(b.v4) }))),
    'ADDRESS_NOT_AVAILABLE',
  );
  t.is(codeOf(t.throws<NetError>(() => udp.open({ ...ANY, localPort: 65_536 }))), 'PORT_INVALID');
  first.close();
  udp.open({ ...ANY, localPort: 5000, local: addressOf(a.v4) });
});

test('RFC 6056: ephemeral ports lie in the dynamic range, scattered, and all of them are used', (t) => {
  const pair = new StackPair({ sendRingBytes: 32, recvRingBytes: 32 });
  const { udp } = pair.a;
  const sockets: UdpSocket[] = [];
  const ports = new Set<number>();
  const count = new LocalPorts().udp.count;
  let neighbours = 0;
  for (let i = 0; i < count; i++) {
    const socket = udp.open(ANY);
    if (i > 0 && i < 100 && Math.abs(socket.localPort - (sockets.at(-1)?.localPort ?? 0)) < 2) neighbours++;
    sockets.push(socket);
    ports.add(socket.localPort);
  }
  t.is(ports.size, count);
  t.true([...ports].every((port) => new LocalPorts().udp.has(port)));
  t.true(neighbours < 5);
  t.is(codeOf(t.throws<NetError>(() => udp.open(ANY))), 'ADDRESS_NOT_AVAILABLE');
  for (const socket of sockets) socket.close();
  t.is(udp.socketCount, 0);
  t.is(pair.aRings.openCount, 0);
});

test('a connected socket hears its peer only; others get port unreachable', (t) => {
  const pair = pairWith();
  const client = pair.a.udp.open({ ...ANY, localPort: 9000, remote: addressOf(b.v4), remotePort: 53 });
  const stranger = pair.b.udp.open({ ...ANY, localPort: 54, remote: addressOf(a.v4), remotePort: 9000 });
  const server = pair.b.udp.open({ ...ANY, localPort: 53 });
  stranger.sendTo(bytes(3), 0, 3, null, 0);
  server.sendTo(bytes(4), 0, 4, addressOf(a.v4), 9000);
  pair.runFor(10);
  t.is(receive(client)?.payload.length, 4);
  t.is(receive(client), null);
  t.is(stranger.takeError(), 'CONNECT_REFUSED');
  t.is(stranger.pendingDetail, 'the peer reports that nothing listens on its port');
  t.is(server.takeError(), null);
});

for (const family of ['v4', 'v6'] as const) {
  test(`port unreachable reaches the connected socket that sent, over ${family}`, (t) => {
    const pair = pairWith();
    const seen: [Endpoint, number][] = [];
    pair.onEvents = (endpoint, events) => seen.push([endpoint, events]);
    const client = pair.a.udp.open({ ...ANY, remote: addressOf(b[family]), remotePort: 99 });
    const other = pair.a.udp.open({ ...ANY, remote: addressOf(b[family]), remotePort: 98 });
    client.sendTo(bytes(20), 0, 20, null, 0);
    pair.runFor(10);
    t.deepEqual(seen, [[client, EndpointEvent.Readable]]);
    t.is(client.takeError(), 'CONNECT_REFUSED');
    t.is(client.takeError(), null);
    t.is(other.pendingError, null);
    t.false(client.closed);
  });
}

test('broadcast needs its option, and reaches every socket for all addresses', (t) => {
  const pair = pairWith();
  const server = pair.b.udp.open({ ...ANY, localPort: 67 });
  const bound = pair.b.udp.open({ ...ANY, localPort: 68, local: addressOf(b.v4) });
  const shy = pair.a.udp.open(ANY);
  for (const to of ['192.0.2.255', '255.255.255.255']) {
    const error = t.throws<NetError>(() => shy.sendTo(bytes(1), 0, 1, addressOf(to), 67));
    t.is(codeOf(error), 'ACCESS_DENIED');
    const open = (): UdpSocket => pair.a.udp.open({ ...ANY, remote: addressOf(to), remotePort: 67 });
    t.is(codeOf(t.throws<NetError>(open)), 'ACCESS_DENIED');
    const loud = pair.a.udp.open({ ...ANY, broadcast: true });
    loud.sendTo(bytes(9), 0, 9, addressOf(to), 67);
    loud.sendTo(bytes(9), 0, 9, addressOf(to), 68);
    pair.runFor(10);
    t.is(receive(server)?.payload.length, 9);
    t.is(receive(bound), null);
  }
  t.is(pair.b.icmp.counters.errorsSent, 0);
});

test('a datagram that does not fit the receive ring is dropped whole and counted', (t) => {
  const pair = new StackPair({ recvRingBytes: 256 });
  const server = pair.b.udp.open({ ...ANY, localPort: 53 });
  const client = pair.a.udp.open({ ...ANY, remote: addressOf(b.v4), remotePort: 53 });
  for (const length of [100, 200, 64]) client.sendTo(bytes(length), 0, length, null, 0);
  pair.runFor(10);
  t.is(receive(server)?.payload.length, 100);
  t.is(receive(server)?.payload.length, 64);
  t.is(receive(server), null);
  t.is(pair.b.udp.counters.dropReceiveRingFull, 1);
});

test('a full device: records wait in the ring, datagrams of sendTo in a short queue', (t) => {
  const pair = pairWith({ forward: { kilobitsPerSecond: 100, queuePackets: 1, refuses: true } });
  const server = pair.b.udp.open({ ...ANY, localPort: 53 });
  const client = pair.a.udp.open({ ...ANY, remote: addressOf(b.v4), remotePort: 53 });
  for (let i = 0; i < 10; i++) pushDatagramTo(client.sendRing!, null, 0, bytes(500, i), 0, 500);
  client.appWrote();
  pair.runFor(1000);
  for (let i = 0; i < 10; i++) t.deepEqual(receive(server)?.payload, bytes(500, i));
  for (let i = 0; i < 40; i++) client.sendTo(bytes(500, i), 0, 500, null, 0);
  pair.runFor(3000);
  let got = 0;
  for (let one = receive(server); one !== null; one = receive(server))
    t.deepEqual(one.payload, bytes(500, got++));
  t.is(pair.a.udp.counters.dropSendQueueFull, 40 - got);
  t.true(got >= MAX_PENDING_DATAGRAMS && got < 40);
});

test('a record that cannot be sent leaves its reason, and the next one goes', (t) => {
  const pair = pairWith();
  const server = pair.b.udp.open({ ...ANY, localPort: 53 });
  const client = pair.a.udp.open(ANY);
  const ring = client.sendRing!;
  pushDatagramTo(ring, addressOf('203.0.113.9'), 53, bytes(1), 0, 1);
  pushDatagramTo(ring, addressOf(b.v4), 53, bytes(2), 0, 2);
  client.appWrote();
  pair.runFor(10);
  t.is(client.takeError(), 'NETWORK_UNREACHABLE');
  t.notRegex(client.pendingDetail, /nothing listens/);
  pushDatagramTo(ring, null, 0, bytes(3), 0, 3);
  pushDatagramTo(ring, addressOf(b.v4), 0, bytes(3), 0, 3);
  client.appWrote();
  pair.runFor(10);
  t.is(client.takeError(), 'PORT_INVALID');
  t.notRegex(client.pendingDetail, /nothing listens/);
  t.is(pair.a.udp.counters.dropSendFailed, 3);
  t.is(receive(server)?.payload.length, 2);
  t.is(receive(server), null);
});

// [RFC 1122 §4.1.3.4-2]
test('checksums: wrong ones are dropped, none is allowed over IPv4 only', (t) => {
  const pair = pairWith();
  const server = pair.b.udp.open({ ...ANY, localPort: 53 });
  const { counters } = pair.b.udp;
  for (const family of ['v4', 'v6'] as const) {
    const from = a[family];
    const to = b[family];
    const datagram = udpDatagram(from, to, 1111, 53, bytes(5));
    const without = datagram.slice();
    without[6] = 0;
    without[7] = 0;
    const wrong = datagram.slice();
    wrong[9] = (wrong[9] ?? 0) ^ 0x10;
    for (const one of [datagram, without, wrong]) pair.inject('b', ipPacket({ from, to, protocol: 17 }, one));
  }
  t.is(counters.delivered, 3);
  t.is(counters.dropNoChecksum, 1);
  t.is(counters.dropChecksum, 2);
  for (let i = 0; i < 3; i++) t.deepEqual(receive(server)?.payload, bytes(5));
});

test('length fields: too short, too long, and bytes behind the datagram', (t) => {
  const pair = pairWith();
  const server = pair.b.udp.open({ ...ANY, localPort: 53 });
  const datagram = udpDatagram(a.v4, b.v4, 1111, 53, bytes(6));
  const send = (change: (view: DataView) => void, cut = datagram.length, pad = 0): void => {
    const copy = new Uint8Array(cut + pad);
    copy.set(datagram.subarray(0, cut));
    change(new DataView(copy.buffer));
    pair.inject('b', ipPacket({ from: a.v4, to: b.v4, protocol: 17 }, copy));
  };
  for (let cut = 0; cut < datagram.length; cut++) send(() => {}, cut);
  send((view) => view.setUint16(4, 7));
  send((view) => view.setUint16(4, 15));
  t.is(pair.b.udp.counters.delivered, 0);
  send(() => {}, datagram.length, 9);
  t.is(receive(server)?.payload.length, 6);
});

test('closing ends the socket: its port is free, its rings are back, sending throws', (t) => {
  const pair = pairWith();
  const seen: number[] = [];
  pair.onEvents = (_, events) => seen.push(events);
  const socket = pair.a.udp.open({ ...ANY, localPort: 6000, remote: addressOf(b.v4), remotePort: 53 });
  pushDatagramTo(socket.sendRing!, null, 0, bytes(3), 0, 3);
  socket.appWrote();
  socket.close();
  socket.close();
  pair.runFor(1);
  t.is(pair.trace.filter((packet) => packet.from === 'a').length, 1);
  t.is(seen.length, 1);
  t.is((seen[0] ?? 0) & EndpointEvent.Closed, EndpointEvent.Closed);
  t.is(pair.aRings.openCount, 0);
  t.is(codeOf(t.throws<NetError>(() => socket.sendTo(bytes(1), 0, 1, null, 0))), 'SHUT_DOWN');
  pair.a.udp.open({ ...ANY, localPort: 6000 });
});

test('refused rings: the socket is not opened and leaves nothing behind', (t) => {
  const pair = pairWith();
  pair.aRings.limit = 0;
  t.is(codeOf(t.throws<NetError>(() => pair.a.udp.open(ANY))), 'NO_BUFFERS');
  t.is(pair.a.udp.socketCount, 0);
});

for (const [family, group, host] of [
  ['v4', '239.1.2.3', '224.0.0.1'],
  ['v6', 'ff05::1:2', 'ff02::1'],
] as const) {
  test(`multicast: who has joined gets it, from the sources that it wants (${family})`, (t) => {
    const pair = pairWith();
    const to = addressOf(group);
    const open = (options: Partial<UdpOptions> = {}): UdpSocket =>
      pair.b.udp.open({ ...ANY, localPort: 5000, reuseAddress: true, ...options });
    const all = open();
    const from = open();
    const other = open();
    const none = open();
    all.multicast.join(to, null, null);
    from.multicast.join(to, addressOf(b[family]), addressOf(a[family]));
    other.multicast.join(to, null, addressOf(family === 'v4' ? '198.51.100.1' : '2001:db8:9::1'));
    const sender = pair.a.udp.open(ANY);
    const heard = (): boolean[] => [all, from, other, none].map((socket) => receive(socket) !== null);
    const send = (address: string): void => {
      sender.sendTo(bytes(10), 0, 10, addressOf(address), 5000);
      pair.runFor(5);
    };
    send(group);
    t.deepEqual(heard(), [true, true, false, false]);
    send(host);
    t.deepEqual(heard(), [true, true, true, true]);
    all.multicast.leave(to, null, null);
    send(group);
    t.deepEqual(heard(), [false, true, false, false]);
    from.close();
    other.close();
    const before = pair.b.counters.toJSON()['ip']!['dropNotForUs']!;
    send(group);
    t.deepEqual(heard().slice(3), [false]);
    t.is(pair.b.counters.toJSON()['ip']!['dropNotForUs'], before + 1);
  });

  // [RFC 1122 §3.2.1.7-1]
  test(`multicast: own members hear it too; a TTL of 0 keeps it here (${family})`, (t) => {
    const pair = pairWith();
    const to = addressOf(group);
    const sender = pair.a.udp.open({ ...ANY, localPort: 5000 });
    const peer = pair.b.udp.open({ ...ANY, localPort: 5000 });
    for (const socket of [sender, peer]) socket.multicast.join(to, null, null);
    const heard = (): boolean[] => [sender, peer].map((socket) => receive(socket)?.payload.length === 10);
    const send = (): void => {
      sender.sendTo(bytes(10), 0, 10, to, 5000);
      pair.runFor(5);
    };
    send();
    t.deepEqual(heard(), [true, true]);
    sender.multicast.ttl = 0;
    send();
    t.deepEqual(heard(), [true, false]);
    sender.multicast.ttl = 3;
    sender.multicast.loop = false;
    send();
    t.deepEqual(heard(), [false, true]);
  });

  test(`multicast: what cannot be joined or left (${family})`, (t) => {
    const pair = pairWith();
    const { multicast } = pair.a.udp.open(ANY);
    const to = addressOf(group);
    const code = (body: () => void): string | undefined => codeOf(t.throws<NetError>(body));
    t.is(
      code(() => multicast.join(addressOf(b[family]), null, null)),
      'ARGUMENT_INVALID',
    );
    t.is(
      code(() => multicast.leave(to, null, null)),
      'ADDRESS_NOT_AVAILABLE',
    );
    multicast.join(to, null, null);
    t.is(
      code(() => multicast.join(to, null, null)),
      'ADDRESS_IN_USE',
    );
    t.is(
      code(() => multicast.join(to, null, addressOf(b[family]))),
      'ARGUMENT_INVALID',
    );
    t.is(
      code(() => multicast.join(to, addressOf(b[family]), null)),
      'ADDRESS_NOT_AVAILABLE',
    );
  });
}

test('a port is shared by those who all allow it', (t) => {
  const { a: stack } = pairWith();
  stack.udp.open({ ...ANY, localPort: 5000, reuseAddress: true });
  t.notThrows(() => stack.udp.open({ ...ANY, localPort: 5000, reuseAddress: true }));
  const error = t.throws<NetError>(() => stack.udp.open({ ...ANY, localPort: 5000 }));
  t.is(codeOf(error), 'ADDRESS_IN_USE');
});
