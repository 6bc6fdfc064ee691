import test from 'ava';
import type { LinkCapabilities, TxPacket } from '../stack/link.ts';
import { ETHERNET_HEADER_BYTES, EtherType, VLAN_TAG_BYTES } from '../stack/wire/ethernet.ts';
import { Icmp, IcmpV4Type } from '../stack/wire/icmp.ts';
import { IPV4_HEADER_BYTES } from '../stack/wire/ipv4.ts';
import { Slab } from '../stack/wire/slab.ts';
import { type Device, DeviceCounters } from './device.ts';
import { impair } from './impair.ts';
import type { ImpairSettings } from './impair-options.ts';
import { Collector } from './testing/packets.ts';
import { bytesOf, newPacket, segment } from './testing/raw-packets.ts';

const ENDS = { source: '192.0.2.1', destination: '192.0.2.2', sourcePort: 1000, destinationPort: 2000 };
const HEADER_BYTES = {
  plain: ETHERNET_HEADER_BYTES,
  tagged: ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES,
} as const;
/** RFC 3168 §5: ECT(0), and Congestion Experienced. */
const ECN_CAPABLE = 2;
const CONGESTION_EXPERIENCED = 3;

/** An Ethernet link that takes everything and keeps it. */
class Wire implements Device {
  readonly name = 'wire';
  readonly capabilities: LinkCapabilities = {
    mtuBytes: 1500,
    txChecksum: false,
    txSegmentBytes: 0,
    ethernet: { address: new Uint8Array([2, 0, 0, 0, 0, 1]) },
  };
  readonly counters: DeviceCounters = new DeviceCounters();
  readonly pollFd = -1;
  readonly frames: Uint8Array[] = [];

  send(packet: TxPacket): boolean {
    this.frames.push(bytesOf(packet));
    return true;
  }
  receive(): number {
    return 0;
  }
  flush(): void {}
  prepareSleep(): boolean {
    return true;
  }
  awake(): void {}
  nextDeadline(): number {
    return Infinity;
  }
  advance(): void {}
  close(): void {}
}

/** A frame with an IP packet of `ipBytes` bytes. */
function frame(kind: keyof typeof HEADER_BYTES, ipBytes: number): TxPacket {
  const ip = bytesOf(
    segment({ ...ENDS, sequence: 1, acknowledgment: 5, flags: 0x10 }, new Uint8Array(ipBytes - 40), 0, false),
  );
  ip[1] = ECN_CAPABLE;
  const packet = newPacket();
  packet.headLen = HEADER_BYTES[kind];
  packet.body = new Slab(ip);
  packet.bodyOff = 0;
  packet.bodyLen = ip.length;
  const { bytes, view } = packet.head;
  const at = packet.headOff;
  bytes.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], at);
  if (kind === 'tagged') {
    view.setUint16(at + 12, EtherType.Vlan);
    view.setUint16(at + 14, 10);
  }
  view.setUint16(at + HEADER_BYTES[kind] - 2, EtherType.Ipv4);
  return packet;
}

function send(settings: ImpairSettings, ...frames: readonly TxPacket[]): { wire: Wire; back: Collector } {
  const wire = new Wire();
  const device = impair(wire, { ...settings, clock: () => 0 });
  for (const each of frames) device.send(each);
  const back = new Collector();
  device.receive(back, 64);
  return { wire, back };
}

for (const kind of ['plain', 'tagged'] as const) {
  const headerBytes = HEADER_BYTES[kind];

  test(`the MTU is of the packet, without the header of its frame: ${kind}`, (t) => {
    const { wire } = send({ out: { mtuBytes: 1400 } }, frame(kind, 1400), frame(kind, 1401));
    t.deepEqual(
      wire.frames.map((bytes) => bytes.length),
      [headerBytes + 1400],
    );
  });

  test(`congestion is marked in the packet, behind the header of its frame: ${kind}`, (t) => {
    const { wire } = send({ out: { loss: 1, ecn: true } }, frame(kind, 100));
    t.is(wire.frames[0]?.[headerBytes + 1], CONGESTION_EXPERIENCED);
  });

  test(`who sends too much is told in a frame of the same kind: ${kind}`, (t) => {
    const { back } = send({ out: { mtuBytes: 1400, mtuPolicy: 'refuse' } }, frame(kind, 1401));
    const [told] = back.packets;
    t.is(back.count, 1);
    t.deepEqual([...told!.subarray(0, 12)], [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    t.deepEqual(told!.subarray(12, headerBytes), bytesOf(frame(kind, 1401)).subarray(12, headerBytes));
    t.is(told![headerBytes + IPV4_HEADER_BYTES + Icmp.Type], IcmpV4Type.Unreachable);
  });
}
