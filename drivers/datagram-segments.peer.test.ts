// needs: tun tshark
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { TxPacket } from '../stack/link.ts';
import { SeededRandom } from '../stack/random.ts';
import { Stack } from '../stack/stack.ts';
import { HeapRings } from '../stack/testing/heap-rings.ts';
import { addressOf } from '../stack/testing/packets.ts';
import { pushDatagramTo } from '../stack/udp/datagram-ring.ts';
import {
  createLab,
  ETHERNET_NAME,
  ETHERNET_V4,
  ETHERNET_V6,
  joinByEthernet,
  KERNEL_V4,
  KERNEL_V6,
  type Lab,
  OWN_ADDRESSES,
  PEER_V4,
  PEER_V6,
  type Teardown,
} from '../test/netns.ts';
import type { Device } from './device.ts';
import { LinkType } from './pcap-link.ts';
import { openRaw } from './raw.ts';
import { Collector, fill } from './testing/packets.ts';
import { pcapFile } from './testing/pcap-files.ts';
import { checksumIsRight, datagram, type Ends } from './testing/raw-packets.ts';
import { openTap, openTun } from './tun.ts';

const PORT = 47_260;
const LENGTHS: readonly number[] = [...new Array<number>(30).fill(1000), 333];
const ETHERNET_BYTES = 14;

/** The kernel's socket: tells the length and the first and last byte of each datagram. */
const SOCKET = `
import { createSocket } from 'node:dgram';
const socket = createSocket({ type: 'udp6' }).bind(${PORT}, '::', () => console.log('ready'));
socket.on('message', (data) => console.log([data.length, data[0], data.at(-1)].join(' ')));`;

/** A link to a kernel. */
interface Link {
  readonly device: Device;
  readonly own: readonly string[];
  /** Whose kernel it is, and its addresses. */
  readonly peer: Lab;
  readonly addresses: readonly string[];
}

async function overTun(t: Teardown, offload: boolean): Promise<Link> {
  const lab = await createLab(t);
  const device = lab.within(() => openTun(lab.tun, { offload }));
  return { device, own: OWN_ADDRESSES, peer: lab, addresses: [KERNEL_V4, KERNEL_V6] };
}

async function overRaw(t: Teardown, offload: boolean): Promise<Link> {
  const lab = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(lab, peer);
  const device = lab.within(() => openRaw(ETHERNET_NAME, { offload }));
  const own = [`${ETHERNET_V4}/24`, `${ETHERNET_V6}/64`];
  return { device, own, peer, addresses: [PEER_V4, PEER_V6] };
}

for (const [kind, open] of [
  ['tun', overTun],
  ['raw', overRaw],
] as const) {
  for (const offload of [true, false]) {
    test(`datagrams that leave together come to the kernel's sockets one by one (${kind}, offload ${offload})`, async (t) => {
      t.timeout(60_000);
      const { device, own, peer, addresses } = await open(t, offload);
      t.teardown(() => device.close());
      const stack = new Stack({ random: new SeededRandom(1), rings: new HeapRings(65_536, 65_536), now: 0 });
      const { name, capabilities } = device;
      const iface = stack.addInterface({ name, sink: device, capabilities, addresses: own, gateways: [] });
      const input = {
        input: (...[slab, off, len, flags]: Parameters<Collector['input']>) =>
          iface.input(slab, off, len, flags, 0),
      };
      const turn = (): void => {
        device.receive(input, 64);
        stack.transmit(0);
        device.flush();
      };
      const kernel = peer.start(process.execPath, ['--input-type=module', '-e', SOCKET]);
      await peer.until('the kernel listens', () => kernel.stdout.includes('ready'));
      const socket = stack.udp.open({
        local: null,
        localPort: 0,
        remote: null,
        remotePort: 0,
        broadcast: false,
      });
      stack.transmit(0);
      device.flush();
      for (const to of addresses) {
        const heard = (): string[] => kernel.stdout.trim().split('\n').slice(1);
        const before = heard().length;
        const push = (length: number, value: number): void => {
          const bytes = new Uint8Array(length).fill(value);
          t.true(pushDatagramTo(socket.sendRing!, addressOf(to), PORT, bytes, 0, length));
        };
        // the first has to find the neighbour, on Ethernet
        push(1, 99);
        socket.appWrote();
        await peer.until('the first has come', () => {
          turn();
          return heard().length > before;
        });
        const { txPackets } = device.counters;
        LENGTHS.forEach((length, at) => {
          push(length, at);
        });
        socket.appWrote();
        stack.transmit(0);
        device.flush();
        const together = capabilities.txDatagramSegments === true;
        t.is(device.counters.txPackets - txPackets, together ? 1 : LENGTHS.length);
        const expected = LENGTHS.map((length, at) => `${length} ${at} ${at}`);
        await peer.until('all have come', () => heard().length > before + expected.length);
        t.deepEqual(heard().slice(before), ['1 99 99', ...expected]);
      }
      t.like(device.counters, { txDroppedError: 0, txDroppedTooLarge: 0, txDroppedQueue: 0 });
    });
  }
}

const V4 = { source: '10.79.0.2', destination: '10.79.0.1', sourcePort: 1000, destinationPort: 2000 };
const V6 = { source: 'fd79::2', destination: 'fd79::1', sourcePort: 1000, destinationPort: 2000 };
/** What is no whole number of datagrams, and the most that fits. */
const TOTALS: readonly number[] = [2500, 63_001];

/** Datagrams of 1000 bytes in one frame to everybody. */
function superFrame(ends: typeof V4, payload: Uint8Array): TxPacket {
  const packet = datagram(ends, payload, 1000);
  packet.headOff -= ETHERNET_BYTES;
  packet.headLen += ETHERNET_BYTES;
  packet.csumStart += ETHERNET_BYTES;
  const { bytes, view } = packet.head;
  bytes.fill(0xff, packet.headOff, packet.headOff + 6);
  bytes.set([2, 0, 0, 0, 0, 9], packet.headOff + 6);
  view.setUint16(packet.headOff + 12, ends === V4 ? 0x0800 : 0x86dd);
  return packet;
}

/** The frames of `ends` among what a device receives until `count` have come. */
async function receiveFrom(device: Device, ends: Ends, count: number): Promise<Uint8Array[]> {
  const got = new Collector();
  const isIpv4 = ends.source === V4.source;
  const ours = (): Uint8Array[] =>
    got.packets.filter((frame) => frame[6] === 2 && frame[11] === 9 && (frame[12] === 8) === isIpv4);
  for (const end = Date.now() + 5000; ours().length < count && Date.now() < end; await sleep(5))
    device.receive(got, 64);
  return ours();
}

for (const [what, offload] of [
  ['the kernel cuts them where the interface takes single ones only, with whole checksums', false],
  ['an interface that takes them gets them as they are, and we cut them', true],
] as const) {
  test(`UDP super-packets sent on a raw interface: ${what}`, async (t) => {
    t.timeout(60_000);
    const lab = await createLab(t);
    await lab.ok('ip', ['tuntap', 'add', 'dev', 'tap0', 'mode', 'tap']);
    await lab.ok('ip', ['link', 'set', 'tap0', 'up', 'addrgenmode', 'none']);
    const tap = lab.within(() => openTap('tap0', { offload }));
    t.teardown(() => tap.close());
    const raw = lab.within(() => openRaw('tap0'));
    t.teardown(() => raw.close());
    if (raw.capabilities.txDatagramSegments !== true) {
      t.pass('this kernel takes no such packets');
      return;
    }
    const frames: Uint8Array[] = [];
    for (const ends of [V4, V6]) {
      const headerBytes = ETHERNET_BYTES + (ends === V4 ? 28 : 48);
      for (const total of TOTALS) {
        const payload = new Uint8Array(total);
        fill(payload, 0, total, total);
        const count = Math.ceil(total / 1000);
        t.true(raw.send(superFrame(ends, payload)));
        const cut = await receiveFrom(tap, ends, count);
        t.is(cut.length, count);
        t.deepEqual(Buffer.concat(cut.map((frame) => frame.subarray(headerBytes))), Buffer.from(payload));
        frames.push(...cut);
      }
    }
    t.is(raw.counters.txDroppedError, 0);
    if (offload) return;
    t.true(frames.every((frame) => checksumIsRight(frame.slice(ETHERNET_BYTES))));
    const path = lab.file('cut.pcap');
    const records = frames.map((bytes) => ({ epochMs: 0, nanoseconds: 0, bytes }));
    writeFileSync(path, pcapFile(LinkType.Ethernet, records));
    const right = 'udp.checksum.status == 1 && !(ip.checksum.status == 0)';
    const options = ['ip.check_checksum:TRUE', 'udp.check_checksum:TRUE'].flatMap((each) => ['-o', each]);
    const lines = execFileSync('tshark', ['-r', path, ...options, '-Y', right], { encoding: 'utf8' });
    t.is(lines.trim().split('\n').length, frames.length);
  });
}

test('UDP super-packets that come in on a raw interface are cut: every datagram whole and in order', async (t) => {
  t.timeout(60_000);
  for (const ring of [true, false]) {
    const lab = await createLab(t);
    const peer = await createLab(t);
    await joinByEthernet(lab, peer);
    const sender = lab.within(() => openRaw(ETHERNET_NAME));
    t.teardown(() => sender.close());
    const receiver = peer.within(() => openRaw(ETHERNET_NAME, { ring }));
    t.teardown(() => receiver.close());
    if (sender.capabilities.txDatagramSegments !== true) {
      t.pass('this kernel takes no such packets');
      return;
    }
    for (const ends of [V4, V6]) {
      const headerBytes = ETHERNET_BYTES + (ends === V4 ? 28 : 48);
      const payload = new Uint8Array(63_001);
      fill(payload, 0, payload.length, 7);
      t.true(sender.send(superFrame(ends, payload)));
      const cut = await receiveFrom(receiver, ends, 64);
      t.is(cut.length, 64);
      t.deepEqual(Buffer.concat(cut.map((frame) => frame.subarray(headerBytes))), Buffer.from(payload));
    }
    t.is(receiver.counters.rxDroppedSuperPacket, 0);
  }
});
