// needs: tun socat
import test from 'ava';
import { NetError } from '../stack/errors.ts';
import { RxFlag, type TxPacket } from '../stack/link.ts';
import { createLab, KERNEL_V4, KERNEL_V6, type Lab, OWN_V4, OWN_V6 } from '../test/netns.ts';
import type { Device } from './device.ts';
import { IoRing } from './io-ring.ts';
import { POLLIN, PollSet, systemCalls } from './syscalls.ts';
import { Collector, fill } from './testing/packets.ts';
import {
  checksumIsRight,
  datagram,
  type Ends,
  echoRequest,
  type Segment,
  segment,
} from './testing/raw-packets.ts';
import { openTun, type TunOptions } from './tun.ts';

const V4: Ends = { source: OWN_V4, destination: KERNEL_V4 };
const V6: Ends = { source: OWN_V6, destination: KERNEL_V6 };
const SYN = 2;
const ACK = 16;
const PSH = 8;

function open(lab: Lab, options: TunOptions = {}): Device {
  return lab.within(() => openTun(lab.tun, options));
}

function send(device: Device, packet: TxPacket): boolean {
  const isTaken = device.send(packet);
  device.flush();
  return isTaken;
}

/** Receives until a packet fits `wanted`, sleeping in poll. */
function next(device: Device, got: Collector, wanted: (packet: Uint8Array) => boolean): Uint8Array {
  const poll = new PollSet(1);
  poll.set(0, device.pollFd, POLLIN);
  for (const end = performance.now() + 5000; performance.now() < end; poll.wait(100)) {
    device.receive(got, 64);
    const at = got.packets.findIndex(wanted);
    if (at >= 0) return got.packets.splice(0, at + 1).at(-1)!;
  }
  throw new Error(`no such packet within 5 s; got ${got.packets.length} others`);
}

const isIcmp = (packet: Uint8Array): boolean => packet[0]! >>> 4 === 4 && packet[9] === 1;
const isIcmpv6Reply = (packet: Uint8Array): boolean => packet[0]! >>> 4 === 6 && packet[40] === 129;
const isTcp = (packet: Uint8Array): boolean => packet[0]! >>> 4 === 4 && packet[9] === 6;
const isUdp = (packet: Uint8Array): boolean => packet[0]! >>> 4 === 4 && packet[9] === 17;

for (const [offload, ring] of [
  [true, true],
  [false, true],
  [true, false],
] as const) {
  test(`the kernel answers echo requests over both families, offload ${offload}, ring ${ring}`, async (t) => {
    const lab = await createLab(t);
    const device = open(lab, { offload, ring });
    t.teardown(() => device.close());
    t.is(device.name, 'tun:tun0');
    // not of every kernel, and of none without offload
    const { txDatagramSegments, ...rest } = device.capabilities;
    t.true(offload || txDatagramSegments === false);
    t.deepEqual(rest, { mtuBytes: 1500, txChecksum: offload, txSegmentBytes: offload ? 65_535 : 0 });
    const payload = new Uint8Array(1001);
    fill(payload, 0, payload.length, 3);
    const got = new Collector();
    t.true(send(device, echoRequest(V4, payload)));
    const reply = next(device, got, isIcmp);
    t.is(reply[20], 0, 'echo reply');
    t.deepEqual(reply.slice(28), payload);
    t.true(checksumIsRight(reply));
    t.true(send(device, echoRequest(V6, payload)));
    t.deepEqual(next(device, got, isIcmpv6Reply).slice(48), payload);
    t.is(device.receive(got, 64), 0);
    t.true(device.prepareSleep());
    t.is(device.counters.txPackets, 2);
  });
}

test('TCP super-packets pass in both directions, checksums left to the other side', async (t) => {
  const lab = await createLab(t);
  const device = open(lab);
  t.teardown(() => device.close());
  const server = lab.start('socat', ['TCP4-LISTEN:7', 'PIPE']);
  await lab.listening(server, 7);
  const got = new Collector();
  const fields = { ...V4, sourcePort: 4000, destinationPort: 7, sequence: -100, acknowledgment: 0 };
  const sendSegment = (
    change: Partial<Segment> & { flags: number },
    payload: Uint8Array,
    gso: number,
  ): void => {
    t.true(send(device, segment({ ...fields, ...change }, payload, gso)));
  };
  sendSegment({ flags: SYN }, new Uint8Array(0), 0);
  const synAck = new DataView(next(device, got, isTcp).buffer);
  t.is(synAck.getUint8(33), SYN | ACK);
  t.is(synAck.getInt32(28), -99);
  let acknowledgment = (synAck.getInt32(24) + 1) | 0;
  const data = new Uint8Array(12_000);
  fill(data, 0, data.length, 9);
  // the kernel's default MSS for a peer that names none is 536 bytes (RFC 9293 §3.7.1)
  sendSegment({ flags: ACK | PSH, sequence: -99, acknowledgment }, data, 1448);
  const echoed: number[] = [];
  let largest = 0;
  let partial = 0;
  while (echoed.length < data.length) {
    const before = got.flags.length;
    const packet = next(device, got, isTcp);
    partial += got.flags.slice(before - 1).filter((f) => (f & RxFlag.ChecksumPartial) !== 0).length;
    largest = Math.max(largest, packet.length - 40);
    echoed.push(...packet.slice(40));
    acknowledgment = (acknowledgment + packet.length - 40) | 0;
    sendSegment({ flags: ACK, sequence: -99 + data.length, acknowledgment }, new Uint8Array(0), 0);
  }
  t.deepEqual(Uint8Array.from(echoed), data);
  t.true(largest > 536, `the kernel hands over super-packets, largest payload ${largest}`);
  t.true(partial > 0, 'with partial checksums');
  t.is(device.counters.txDroppedError, 0);
});

test('UDP super-packets pass in both directions', async (t) => {
  const lab = await createLab(t);
  const device = open(lab);
  t.teardown(() => device.close());
  const server = lab.start('socat', ['-u', 'UDP4-RECVFROM:9,fork', 'OPEN:/dev/null']);
  await lab.listening(server, 9, 'udp');
  const ports = { sourcePort: 4000, destinationPort: 9 };
  const payload = new Uint8Array(3500);
  fill(payload, 0, payload.length, 5);
  t.true(send(device, datagram({ ...V4, ...ports }, payload, 1000)));
  await lab.until('four datagrams have come', async () =>
    /^Udp: 4 /m.test(await lab.ok('cat', ['/proc/net/snmp'])),
  );
  t.is(device.counters.txDroppedError, 0);
  // a sender with UDP_SEGMENT (option 103 of level 17): one call, four datagrams
  const to = `UDP4-SENDTO:${OWN_V4}:4001,setsockopt-int=17:103:1000`;
  await lab.ok('socat', ['-u', '-b', '65536', '-', to], { input: payload });
  const got = new Collector();
  const datagrams = [0, 1, 2, 3].map(() => next(device, got, isUdp));
  t.deepEqual(
    datagrams.map((packet) => packet.length - 28),
    [1000, 1000, 1000, 500],
  );
  t.deepEqual(Uint8Array.from(datagrams.flatMap((packet) => [...packet.slice(28)])), payload);
  t.true(
    got.flags.filter((flags) => (flags & RxFlag.ChecksumPartial) !== 0).length >= 4,
    'they came in one piece: the kernel completes checksums when it cuts',
  );
  for (const packet of datagrams) {
    const view = new DataView(packet.buffer);
    t.is(view.getUint16(2), packet.length);
    t.is(view.getUint16(24), packet.length - 20);
  }
});

test('packets leave in order, whether they wait for others or not, and come in order', async (t) => {
  const lab = await createLab(t);
  const device = open(lab);
  t.teardown(() => device.close());
  const { txPackets, rxPackets } = device.counters;
  const ring = IoRing.open();
  ring?.close();
  const callsBefore = systemCalls.count;
  // of 100 packets every tenth is too large to wait
  const payloads = Array.from({ length: 100 }, (_, i) => {
    const payload = new Uint8Array(i % 10 === 9 ? 3000 : 40);
    fill(payload, 0, payload.length, i);
    return payload;
  });
  for (const payload of payloads) t.true(device.send(echoRequest(V4, payload)));
  t.true(device.counters.txPackets - txPackets >= 90, 'no more than 32 wait');
  device.flush();
  t.is(device.counters.txPackets - txPackets, 100);
  const sent = systemCalls.count - callsBefore;
  t.true(sent <= (ring === null ? 100 : 22), `${sent} system calls`);
  const got = new Collector();
  const poll = new PollSet(1);
  poll.set(0, device.pollFd, POLLIN);
  // answers of 3000 bytes come in pieces
  const isAnswer = (packet: Uint8Array): boolean =>
    isIcmp(packet) && (packet[6]! & 0x3f) === 0 && packet[7] === 0;
  for (const end = performance.now() + 5000; performance.now() < end; poll.wait(100)) {
    device.receive(got, 7);
    if (got.packets.filter(isAnswer).length === 90) break;
  }
  t.deepEqual(
    got.packets.filter(isAnswer).map((packet) => packet.slice(28)),
    payloads.filter(({ length }) => length === 40),
  );
  t.is(device.counters.rxPackets - rxPackets, got.count);
});

test('an interface that is down drops, one that is deleted is lost', async (t) => {
  const lab = await createLab(t);
  const device = open(lab);
  t.teardown(() => device.close());
  await lab.ok('ip', ['link', 'set', lab.tun, 'down']);
  t.true(send(device, echoRequest(V4, new Uint8Array(8))));
  t.is(device.counters.txDroppedDown, 1);
  await lab.ok('ip', ['link', 'set', lab.tun, 'up']);
  t.true(send(device, echoRequest(V4, new Uint8Array(8))));
  next(device, new Collector(), isIcmp);
  // what is no IP packet the kernel refuses
  const nonsense = echoRequest(V4, new Uint8Array(8));
  nonsense.head.view.setUint8(nonsense.headOff, 0x05);
  t.true(send(device, nonsense));
  t.is(device.counters.txDroppedError, 1);
  // one of several is refused
  for (const packet of [echoRequest(V4, new Uint8Array(8)), nonsense, echoRequest(V4, new Uint8Array(8))])
    t.true(device.send(packet));
  device.flush();
  t.is(device.counters.txDroppedError, 2);
  t.is(device.counters.txPackets, 3);
  await lab.ok('ip', ['link', 'del', lab.tun]);
  const onSend = t.throws(() => send(device, echoRequest(V4, new Uint8Array(8))), { instanceOf: NetError });
  t.is(onSend.tunwireCode, 'DEVICE_LOST');
  const onReceive = t.throws(() => device.receive(new Collector(), 1), { instanceOf: NetError });
  t.regex(onReceive.message, /EBADFD; the interface was deleted/);
  device.close();
  device.close();
});

test('the MTU is read, or given; what cannot be opened says what to do', async (t) => {
  const lab = await createLab(t, { mtuBytes: 1400 });
  const device = open(lab);
  t.is(device.capabilities.mtuBytes, 1400);
  const busy = t.throws(() => open(lab), { instanceOf: NetError });
  t.is(busy.tunwireCode, 'DEVICE_FAILED');
  t.regex(busy.message, /EBUSY; another process has it open/);
  device.close();
  const given = open(lab, { mtuBytes: 1280 });
  t.is(given.capabilities.mtuBytes, 1280);
  given.close();
  t.regex(t.throws(() => open(lab, { mtuBytes: 67 })).message, /68 … 65535/);
  t.regex(t.throws(() => lab.within(() => openTun('lo'))).message, /EINVAL; .* no single-queue TUN/);
  t.regex(t.throws(() => openTun('sixteen-letters-')).message, /1 … 15 characters/);
  const script = `
    const { openTun } = await import(${JSON.stringify(new URL('./tun.ts', import.meta.url).href)});
    process.setgid(65534); process.setuid(65534);
    try { openTun('tun0') } catch (error) { console.log(error.message) }`;
  const refused = await lab.ok(process.execPath, ['--input-type=module', '-e', script]);
  t.regex(refused, /EPERM; .*sudo ip tuntap add dev tun0 mode tun user \$USER|EACCES; .*chmod 0666/);
});
