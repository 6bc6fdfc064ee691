// needs: tun socat
import test from 'ava';
import { NetError } from '../stack/errors.ts';
import { HEADROOM_BYTES, TxPacket } from '../stack/link.ts';
import { Slab } from '../stack/wire/slab.ts';
import { createLab, ETHERNET_NAME, ETHERNET_V4, joinByEthernet, type Lab, PEER_V4 } from '../test/netns.ts';
import type { Device } from './device.ts';
import { openRaw, type RawOptions } from './raw.ts';
import { POLLIN, PollSet } from './syscalls.ts';
import { Collector } from './testing/packets.ts';

interface Ends {
  readonly own: Lab;
  readonly peer: Lab;
}

async function createEnds(t: { teardown(clean: () => Promise<void> | void): void }): Promise<Ends> {
  const own = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(own, peer);
  return { own, peer };
}

function open(lab: Lab, options: RawOptions = {}): Device {
  return lab.within(() => openRaw(ETHERNET_NAME, options));
}

/** Receives until a frame fits `wanted`, sleeping in poll. */
function next(device: Device, wanted: (frame: Uint8Array) => boolean): Uint8Array {
  const got = new Collector();
  const poll = new PollSet(1);
  poll.set(0, device.pollFd, POLLIN);
  for (const end = performance.now() + 5000; performance.now() < end; poll.wait(100)) {
    device.receive(got, 64);
    const found = got.packets.find(wanted);
    if (found !== undefined) return found;
  }
  throw new Error(`no such frame within 5 s; got ${got.packets.length} others`);
}

const isArp = (frame: Uint8Array): boolean => frame[12] === 8 && frame[13] === 6;

/** A broadcast frame of a virtual LAN, whose last byte tells which. */
function taggedFrame(lan: number): TxPacket {
  const packet = new TxPacket(Slab.alloc(HEADROOM_BYTES + 64));
  packet.headLen = 64;
  const { bytes, view } = packet.head;
  bytes.fill(0xff, HEADROOM_BYTES, HEADROOM_BYTES + 6);
  bytes[HEADROOM_BYTES + 6] = 2;
  view.setUint32(HEADROOM_BYTES + 12, 0x8100_c000 | lan);
  view.setUint16(HEADROOM_BYTES + 16, 0x0800);
  bytes[HEADROOM_BYTES + 63] = 0xc0 + lan;
  return packet;
}

/** Where the headers of TCP over IPv4 lie in a frame. */
const IP_AT = 14;
const TCP_AT = 34;
const TCP = 6;
const MSS_BYTES = 1448;

/** Most are small; some are several in one, as large as they come. */
function lengthOf(number: number): number {
  if (number % 97 === 0) return TCP_AT + 20 + 60_000;
  return TCP_AT + 20 + (number % 1461);
}

/** A frame of TCP to everybody, with the number in its sequence number and in its last byte. */
function numbered(number: number): TxPacket {
  const packet = new TxPacket(Slab.alloc(HEADROOM_BYTES + TCP_AT + 20));
  packet.headLen = TCP_AT + 20;
  const { bytes, view } = packet.head;
  const at = HEADROOM_BYTES;
  const lengthBytes = lengthOf(number);
  bytes.fill(0xff, at, at + 6);
  bytes[at + 6] = 2;
  view.setUint16(at + 12, 0x0800);
  view.setUint32(at + IP_AT, 0x4500_0000 | (lengthBytes - IP_AT));
  view.setUint16(at + IP_AT + 8, (64 << 8) | TCP);
  view.setUint32(at + TCP_AT + 4, number);
  view.setUint8(at + TCP_AT + 12, 0x50);
  packet.bodyLen = lengthBytes - packet.headLen;
  packet.body = new Slab(new Uint8Array(packet.bodyLen).fill(number & 0xff));
  packet.bodyOff = 0;
  packet.csumStart = TCP_AT;
  packet.csumOffset = 16;
  packet.gsoBytes = packet.bodyLen > MSS_BYTES + 12 ? MSS_BYTES : 0;
  return packet;
}

/** Makes the peer's kernel ask for `address`. */
async function provoke(peer: Lab, address: string): Promise<void> {
  await peer.run('socat', ['-u', '-', `UDP4-SENDTO:${address}:9`], { input: 'x' });
}

test('frames come whole, with what the interface can do', async (t) => {
  const { own, peer } = await createEnds(t);
  const device = open(own, { addresses: [`${ETHERNET_V4}/24`] });
  t.teardown(() => device.close());
  t.is(device.name, 'raw:veth0');
  // not of every kernel
  const { ethernet, txDatagramSegments: _, ...rest } = device.capabilities;
  t.deepEqual(rest, { mtuBytes: 1500, txChecksum: true, txSegmentBytes: 65_521 });
  const text = await own.ok('cat', [`/sys/class/net/${ETHERNET_NAME}/address`]).catch(() => '');
  t.is(ethernet?.address.length, 6);
  const listed = await own.ok('ip', ['link', 'show', ETHERNET_NAME]);
  t.true(
    listed.includes(
      Buffer.from(ethernet!.address)
        .toString('hex')
        .replace(/..(?!$)/g, '$&:'),
    ),
    text,
  );
  await provoke(peer, ETHERNET_V4);
  const request = next(device, isArp);
  t.is(request.length, 42);
  t.deepEqual([...request.subarray(38, 42)], [10, 78, 0, 2]);
  t.is(device.receive(new Collector(), 64), 0);
});

for (const [how, ring] of [
  ['in shared memory', true],
  ['one by one', false],
] as const) {
  test(`frames that this machine sends are not received; those of virtual LANs come with their tag (${how})`, async (t) => {
    const { own, peer } = await createEnds(t);
    const device = open(own, { ring });
    t.teardown(() => device.close());
    await own.ok('ip', ['addr', 'add', '10.79.0.1/24', 'dev', ETHERNET_NAME]);
    await provoke(own, '10.79.0.9');
    const other = open(peer);
    t.teardown(() => other.close());
    t.true(other.send(taggedFrame(5)));
    const tagged = next(device, (frame) => frame.at(-1) === 0xc5);
    t.deepEqual([...tagged.subarray(12, 18)], [0x81, 0, 0xc0, 5, 8, 0]);
    t.is(tagged.length, 64);
    t.true(other.send(taggedFrame(0)));
    t.is(next(device, (frame) => frame.at(-1) === 0xc0)[0], 0xff, 'a priority is no other LAN');
    t.is(other.counters.txPackets, 2);
    await provoke(peer, ETHERNET_V4);
    const request = next(device, isArp);
    t.deepEqual([...request.subarray(38, 42)], [10, 78, 0, 2], 'not the one of this machine');
  });

  test(`an interface that is down drops, one that is deleted is lost (${how})`, async (t) => {
    const { own, peer } = await createEnds(t);
    const device = open(own, { ring });
    t.teardown(() => device.close());
    await own.ok('ip', ['link', 'set', ETHERNET_NAME, 'down']);
    t.notThrows(() => device.receive(new Collector(), 64));
    await own.ok('ip', ['link', 'set', ETHERNET_NAME, 'up']);
    await provoke(peer, ETHERNET_V4);
    next(device, isArp);
    await own.ok('ip', ['link', 'del', ETHERNET_NAME]);
    // what the kernel had said by itself comes first
    const drain = (): void => {
      while (device.receive(new Collector(), 64) > 0) {}
    };
    const lost = t.throws(drain, { instanceOf: NetError });
    t.is(lost.tunwireCode, 'DEVICE_LOST');
    device.close();
    device.close();
  });

  test(`small and large ones come in order, whole, and many times around (${how})`, async (t) => {
    const { own, peer } = await createEnds(t);
    const device = open(own, { ring });
    t.teardown(() => device.close());
    const other = open(peer);
    t.teardown(() => other.close());
    const seen: number[] = [];
    const input = {
      input: ({ view, bytes }: Slab, off: number, len: number): void => {
        // not what the kernels say
        if (bytes[off + IP_AT + 9] !== TCP) return;
        const number = view.getUint32(off + TCP_AT + 4);
        t.is(len, lengthOf(number));
        // the last byte is there, too
        if (len > TCP_AT + 20) t.is(bytes[off + len - 1], number & 0xff);
        seen.push(number);
      },
    };
    const count = 20_000;
    for (let number = 0; number < count; number++) {
      t.true(other.send(numbered(number)));
      if (number % 100 === 99) while (device.receive(input, 64) > 0) {}
    }
    t.is(seen.length, count);
    t.true(seen.every((number, i) => number === i));
    t.is(device.counters.rxDroppedQueue, 0);
  });
}

test('what came faster than it was read, and what is too large, is counted', async (t) => {
  const { own, peer } = await createEnds(t);
  const device = open(own, { offload: false });
  t.teardown(() => device.close());
  const other = open(peer, { offload: false });
  t.teardown(() => other.close());
  device.advance(0);
  t.is(device.counters.rxDroppedQueue, 0);
  const large = new TxPacket(Slab.alloc(HEADROOM_BYTES + 1600));
  large.headLen = 1514;
  large.head.view.setUint16(HEADROOM_BYTES + 12, 0x0800);
  // what the kernel keeps for a socket: 8 MiB, which it doubles
  const sent = 25_000;
  for (let i = 0; i < sent; i++) t.true(other.send(large));
  t.is(other.counters.txPackets, sent);
  const got = new Collector(true);
  while (device.receive(got, 64) > 0) {}
  device.advance(500);
  t.is(device.counters.rxDroppedQueue, 0, 'the kernel is asked once a second');
  device.advance(1000);
  const { rxPackets, rxDroppedQueue } = device.counters;
  t.true(rxDroppedQueue > 1000, `${rxDroppedQueue} dropped`);
  // the kernels may have said something, too
  t.true(rxPackets + rxDroppedQueue >= sent && rxPackets + rxDroppedQueue < sent + 100);
  device.advance(5000);
  t.is(device.counters.rxDroppedQueue, rxDroppedQueue);
  large.headLen = 1515;
  t.true(other.send(large));
  t.like(other.counters, { txDroppedTooLarge: 1, txDroppedError: 0, txPackets: sent });
  await peer.ok('ip', ['link', 'set', ETHERNET_NAME, 'down']);
  large.headLen = 1514;
  t.true(other.send(large));
  t.is(other.counters.txDroppedDown, 1);
});

test('a slow interface: when what waits there is too much the device is full; what its queue drops, and what the kernel refuses, is counted', async (t) => {
  const { own } = await createEnds(t);
  const device = open(own);
  t.teardown(() => device.close());
  const shape = async (limitBytes: number): Promise<void> => {
    const rate = ['tbf', 'rate', '8kbit', 'burst', '1600', 'limit', String(limitBytes)];
    await own.ok('tc', ['qdisc', 'replace', 'dev', ETHERNET_NAME, 'root', ...rate]);
  };
  const packet = numbered(1460);
  packet.gsoBytes = 0;
  await shape(100_000_000);
  let sent = 0;
  while (device.send(packet)) sent++;
  t.like(device.counters, { txFull: 1, txPackets: sent, txDroppedQueue: 0, txDroppedError: 0 });
  t.true(sent > 1000, `${sent}`);
  // what waited is gone with the old queue
  await own.ok('tc', ['qdisc', 'del', 'dev', ETHERNET_NAME, 'root']);
  await shape(3000);
  for (let i = 0; i < 20; i++) t.true(device.send(packet));
  const { txDroppedQueue, txPackets } = device.counters;
  t.true(txDroppedQueue > 0);
  t.is(txPackets + txDroppedQueue, sent + 20);
  await own.ok('tc', ['qdisc', 'del', 'dev', ETHERNET_NAME, 'root']);
  // a checksum beyond the end of the packet
  packet.csumStart = 2000;
  t.true(device.send(packet));
  t.is(device.counters.txDroppedError, 1);
});

test('the MTU is read, or given; what cannot be opened says what to do', async (t) => {
  const { own, peer } = await createEnds(t);
  await own.ok('ip', ['link', 'set', ETHERNET_NAME, 'mtu', '9000']);
  const device = open(own, { offload: false });
  t.like(device.capabilities, { mtuBytes: 9000, txChecksum: false, txSegmentBytes: 0 });
  device.close();
  const given = open(own, { mtuBytes: 1280 });
  t.is(given.capabilities.mtuBytes, 1280);
  given.close();
  t.regex(t.throws(() => open(own, { mtuBytes: 9001 })).message, /68 … 9000 bytes, got 9001/);
  t.regex(t.throws(() => openRaw('no/name')).message, /1 … 15 characters/);
  t.regex(
    t.throws(() => open(peer, { addresses: [PEER_V4] })).message,
    /the kernel has the address 10\.78\.0\.1 too/,
  );
  const script = `
    const { openRaw } = await import(${JSON.stringify(new URL('./raw.ts', import.meta.url).href)});
    process.setgid(65534); process.setuid(65534);
    try { openRaw('veth0') } catch (error) { console.log(error.message) }`;
  const refused = await own.ok(process.execPath, ['--input-type=module', '-e', script]);
  t.regex(refused, /socket\(AF_PACKET\): EPERM; it takes CAP_NET_RAW: run it with sudo/);
});
