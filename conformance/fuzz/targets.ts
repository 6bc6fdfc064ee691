import { DeviceCounters } from '../../drivers/device.ts';
import { PcapReader } from '../../drivers/pcap-reader.ts';
import {
  enhancedBlock,
  interfaceBlock,
  joined,
  pcapFile,
  sectionBlock,
} from '../../drivers/testing/pcap-files.ts';
import { inputVirtio, VIRTIO_HEADER_BYTES } from '../../drivers/virtio-net.ts';
import { leaseOf } from '../../stack/dhcp/dhcp-lease.ts';
import { parseDhcpReply } from '../../stack/dhcp/dhcp-message.ts';
import { parseInformationReply } from '../../stack/dhcp/dhcpv6-message.ts';
import { Slaac, SlaacCounters } from '../../stack/ip/slaac.ts';
import { RxFlag } from '../../stack/link.ts';
import { SeededRandom } from '../../stack/random.ts';
import { ResolverCounters } from '../../stack/resolver/counters.ts';
import { checkReply, encodeQuery, ReplyCheck } from '../../stack/resolver/dns-message.ts';
import { readReply } from '../../stack/resolver/dns-reply.ts';
import { HostsFile } from '../../stack/resolver/hosts-file.ts';
import type { DnsType } from '../../stack/resolver/record.ts';
import { parseResolvConf } from '../../stack/resolver/resolv-conf.ts';
import { Stack } from '../../stack/stack.ts';
import { HeapRings } from '../../stack/testing/heap-rings.ts';
import { icmpMessage, ipPacket, udpDatagram } from '../../stack/testing/packets.ts';
import { foldChecksum, sumSlab } from '../../stack/wire/checksum.ts';
import { ETHERNET_HEADER_BYTES, EtherType, writeEthernetHeader } from '../../stack/wire/ethernet.ts';
import { readIcmpExtensions } from '../../stack/wire/icmp-extensions.ts';
import { parseIgmpQuery } from '../../stack/wire/igmp.ts';
import { IpAddress, parsePrefix } from '../../stack/wire/ip-address.ts';
import { Ipv4, ipVersion, ipv4HeaderBytes } from '../../stack/wire/ipv4.ts';
import { parseMldQuery } from '../../stack/wire/mld.ts';
import { findLinkAddress } from '../../stack/wire/ndp.ts';
import { parseRouterAdvertisement } from '../../stack/wire/router-advertisement.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { parseTcpOptions, TcpOptions } from '../../stack/wire/tcp.ts';
import { tlsTargets } from './tls-targets.ts';

/** Something that reads what others have written. It must neither throw, nor go on for ever, nor keep more and more. */
export interface FuzzTarget {
  readonly name: string;
  /** Inputs that are right, which the others are made from. */
  readonly good: readonly Uint8Array[];
  readonly run: (input: Uint8Array) => void;
  /** How much it keeps now; grows up to a limit, whatever comes. */
  readonly held?: () => number;
}

const PEER = { v4: '192.0.2.9', v6: 'fe80::9' };
const OWN = { v4: '192.0.2.1', v6: 'fe80::1', all: 'ff02::1', station: [2, 0, 0, 0, 0, 1] };

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes);
const zeros = (count: number): number[] => new Array<number>(count).fill(0);

function addressBytes(text: string): number[] {
  const bytes = new Uint8Array(16);
  const address = IpAddress.parse(text);
  if (address === null) throw new RangeError(text);
  return [...bytes.subarray(0, address.write(new DataView(bytes.buffer), 0))];
}

/** A router advertisement: a prefix, an MTU, name servers, domains. */
const ADVERTISEMENT = [
  ...[
    ...zeros(8),
    3,
    4,
    64,
    0xc0,
    0,
    1,
    0x51,
    0x80,
    0,
    0,
    0x38,
    0x40,
    ...zeros(4),
    ...addressBytes('2001:db8::'),
  ],
  ...[5, 1, 0, 0, 0, 0, 5, 0xdc, 25, 3, 0, 0, 0, 0, 14, 16, ...addressBytes('2001:db8::53')],
  ...[31, 2, 0, 0, 0, 0, 14, 16, 3, 0x6c, 0x61, 0x62, 0, 0, 0, 0],
  ...[24, 3, 65, 8, 0, 0, 14, 16, ...addressBytes('2001:db8:9::'), 24, 1, 0, 0x18, 0, 0, 14, 16],
];

/** IP packets of every kind that a stack looks into. */
function goodPackets(): Uint8Array[] {
  const { v4, v6 } = PEER;
  const syn = [0x30, 0x39, 0, 7, 1, 2, 3, 4, 0, 0, 0, 0, 0xa0, 2, 0xff, 0xff, 0, 0, 0, 0];
  const options = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
  const tcp = Uint8Array.from([...syn, ...options]);
  const v4Packet = (protocol: number, payload: Uint8Array, more: object = {}): Uint8Array =>
    ipPacket({ from: v4, to: OWN.v4, protocol, ...more }, payload);
  const v6Packet = (protocol: number, payload: Uint8Array, more: object = {}): Uint8Array =>
    ipPacket({ from: v6, to: OWN.v6, protocol, ...more }, payload);
  const icmp4 = (type: number, data: Uint8Array, rest = 0): Uint8Array =>
    v4Packet(1, icmpMessage(v4, OWN.v4, type, 0, rest, data));
  const icmp6 = (type: number, data: readonly number[], to = OWN.v6, rest = 0): Uint8Array =>
    ipPacket(
      { from: v6, to, protocol: 58, ttl: 255 },
      icmpMessage(v6, to, type, 0, rest, Uint8Array.from(data)),
    );
  const ours4 = ipPacket(
    { from: OWN.v4, to: v4, protocol: 17 },
    udpDatagram(OWN.v4, v4, 9, 9, new Uint8Array(8)),
  );
  const ours6 = ipPacket(
    { from: OWN.v6, to: v6, protocol: 17 },
    udpDatagram(OWN.v6, v6, 9, 9, new Uint8Array(8)),
  );
  const query = [...zeros(16), 2, 125, 0, 1, ...addressBytes('2001:db8::1')];
  const alert = Uint8Array.of(58, 0, 5, 2, 0, 0, 1, 0);
  const listener = icmpMessage(v6, OWN.all, 130, 0, 10_000 << 16, Uint8Array.from(query));
  return [
    v4Packet(17, udpDatagram(v4, OWN.v4, 1000, 53, new Uint8Array(20))),
    v4Packet(17, new Uint8Array(40), { flagsFragment: 0x2000, id: 7 }),
    v4Packet(17, new Uint8Array(40), { flagsFragment: 5, id: 7 }),
    v4Packet(17, udpDatagram(v4, OWN.v4, 1, 2, new Uint8Array(4)), {
      options: Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 0),
    }),
    v4Packet(6, tcp),
    icmp4(8, new Uint8Array(24)),
    ...[3, 4, 5, 11, 12].map((type) => icmp4(type, ours4, 0x578)),
    ipPacket(
      { from: v4, to: '224.0.0.1', protocol: 2, ttl: 1 },
      Uint8Array.of(0x11, 100, 0xe9, 0x1b, 0, 0, 0, 0, 2, 125, 0, 0),
    ),
    v6Packet(17, udpDatagram(v6, OWN.v6, 1000, 53, new Uint8Array(20))),
    v6Packet(6, tcp),
    v6Packet(44, Uint8Array.of(17, 0, 0, 1, 0, 0, 0, 9, ...zeros(40))),
    v6Packet(
      0,
      Uint8Array.of(43, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0, ...zeros(16)),
    ),
    ipPacket({ from: v6, to: OWN.all, protocol: 0, ttl: 1 }, Uint8Array.of(...alert, ...listener)),
    icmp6(128, zeros(24)),
    ...[1, 2, 3, 4].map((type) => icmp6(type, [...ours6], OWN.v6, 1400)),
    icmp6(134, ADVERTISEMENT, OWN.all, (64 << 24) | 1800),
    icmp6(135, [...addressBytes(OWN.v6), 1, 1, 2, 0, 0, 0, 0, 9]),
    icmp6(136, [...addressBytes(PEER.v6), 2, 1, 2, 0, 0, 0, 0, 9], OWN.v6, 0x60000000),
    icmp6(137, [...addressBytes('fe80::3'), ...addressBytes('2001:db8::5'), 2, 1, 2, 0, 0, 0, 0, 3]),
  ];
}

function framed(packet: Uint8Array): Uint8Array {
  const frame = Slab.alloc(ETHERNET_HEADER_BYTES + packet.length);
  const type = packet[0]! >>> 4 === 4 ? EtherType.Ipv4 : EtherType.Ipv6;
  writeEthernetHeader(frame.view, 0, 0x0200, 1, 0x0200, 9, type);
  frame.bytes.set(packet, ETHERNET_HEADER_BYTES);
  return frame.bytes;
}

/** Makes checksums right again most of the time, or nothing would come far. */
function mend(slab: Slab, off: number, end: number): void {
  const { view } = slab;
  if (end - off < 20) return;
  if (ipVersion(view, off) !== 4) return;
  const header = ipv4HeaderBytes(view, off);
  if (header < 20 || off + header > end) return;
  view.setUint16(off + Ipv4.Checksum, 0);
  view.setUint16(off + Ipv4.Checksum, foldChecksum(sumSlab(slab, off, header, 0)));
  const protocol = view.getUint8(off + Ipv4.Protocol);
  const at = off + header;
  if ((protocol !== 1 && protocol !== 2) || at + 8 > end) return;
  view.setUint16(at + 2, 0);
  view.setUint16(at + 2, foldChecksum(sumSlab(slab, at, end - at, 0)));
}

/** A whole stack that hears one packet after the other, a millisecond apart. */
function stackTarget(isEthernet: boolean): FuzzTarget {
  const rings = new HeapRings(1024, 1024);
  let now = 0;
  const stack = new Stack({ random: new SeededRandom(1), rings, now });
  const capabilities = { mtuBytes: 1500, txChecksum: false, txSegmentBytes: 0 };
  const iface = stack.addInterface({
    name: 'fuzz',
    sink: { send: () => true },
    capabilities: isEthernet
      ? { ...capabilities, ethernet: { address: Uint8Array.from(OWN.station) } }
      : capabilities,
    addresses: [`${OWN.v4}/24`, `${OWN.v6}/64`],
    gateways: [PEER.v4],
  });
  if (iface.link !== null)
    new Slaac(stack, new SlaacCounters(), iface.link, Int32Array.of(1, 2, 3, 4), {
      configured: (settings) => stack.configure(iface, 'slaac', settings),
      serverAdvertised: () => {},
      nameServersLearned: () => {},
    });
  stack.tcp.listen({ local: null, port: 7, backlog: 16 });
  const any = { local: null, remote: null, remotePort: 0, broadcast: false };
  stack.udp.open({ ...any, localPort: 53, receiver: { datagram: () => {} } });
  const start = isEthernet ? ETHERNET_HEADER_BYTES : 0;
  const packets = goodPackets();
  const arp = [
    ...[255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9],
  ];
  const question = Uint8Array.from([...arp, ...addressBytes(PEER.v4), ...zeros(6), ...addressBytes(OWN.v4)]);
  return {
    name: isEthernet ? 'stack on Ethernet' : 'stack',
    good: isEthernet ? [...packets.map(framed), question] : packets,
    run: (input) => {
      const slab = new Slab(input);
      now += 1;
      if (now % 8 !== 0) mend(slab, start, input.length);
      stack.advance(now);
      iface.input(slab, 0, input.length, now % 4 === 0 ? 0 : RxFlag.ChecksumValid, now);
      for (let endpoint = stack.pollEvent(); endpoint !== null; endpoint = stack.pollEvent())
        endpoint.takeEvents();
      stack.transmit(now);
    },
    held: () =>
      rings.openCount +
      stack.timers.size +
      stack.tcp.table.size +
      stack.ipInput.reassembler.openCount +
      (iface.link?.neighbours.size ?? 0) +
      iface.addresses.length +
      iface.routes.length,
  };
}

function dnsTarget(type: DnsType): FuzzTarget {
  const query = encodeQuery(new SeededRandom(1), 'www.example', type, true);
  const counters = new ResolverCounters();
  const question = [...query.bytes.subarray(0, query.questionEnd)];
  question[2] = 0x80;
  const record = (kind: number, data: readonly number[]): number[] => [
    ...[0xc0, 12, 0, kind, 0, 1, 0, 0, 1, 0, data.length >> 8, data.length & 255],
    ...data,
  ];
  const reply = (...records: number[][]): Uint8Array => {
    const bytes = [...question, ...records.flat()];
    bytes[7] = records.length;
    bytes[11] = 0;
    return Uint8Array.from(bytes);
  };
  return {
    name: `DNS reply, ${type}`,
    good: [
      reply(record(1, [192, 0, 2, 1])),
      reply(record(28, addressBytes('2001:db8::1'))),
      reply(record(5, [1, 0x61, 0xc0, 16])),
      reply(record(15, [0, 10, 0xc0, 12]), record(16, [3, 0x61, 0x62, 0x63])),
      reply(record(65, [0, 1, 0, 0, 1, 0, 3, 2, 0x68, 0x32]), record(33, [0, 1, 0, 1, 0, 53, 0xc0, 12])),
    ],
    run: (input) => {
      if (checkReply(input, 0, input.length, query) === ReplyCheck.Ours)
        readReply(input, 0, input.length, query, 'www.example', type, counters);
    },
  };
}

function dhcpReply(): Uint8Array {
  const bytes = new Uint8Array(300);
  const fixed = { 0: 2, 1: 1, 2: 6, 236: 99, 237: 130, 238: 83, 239: 99 };
  for (const [at, value] of Object.entries(fixed)) bytes[Number(at)] = value;
  const options = [
    ...[53, 1, 5, 51, 4, 0, 0, 14, 16, 54, 4, 192, 0, 2, 1, 1, 4, 255, 255, 255, 0, 3, 4, 192, 0, 2, 1],
  ];
  bytes.set([...options, 6, 4, 192, 0, 2, 1, 15, 3, 0x6c, 0x61, 0x62, 121, 5, 0, 192, 0, 2, 1, 255], 240);
  return bytes;
}

/** A time exceeded with a quote of 128 bytes, a label and an interface behind it; no checksum, which is right, too. */
function extendedError(family: 4 | 6): Uint8Array {
  const start = family === 4 ? [11, 0, 0, 0, 0, 32, 0, 0] : [3, 0, 0, 0, 16, 0, 0, 0];
  const label = [0, 8, 1, 1, 3, 0xe8, 0x1b, 0x3f];
  const address = [0, 1, 0, 0, 192, 0, 2, 1];
  const router = [0, 28, 2, 0x8f, 0, 0, 0, 3, ...address, 8, 0x65, 0x74, 0x68, 0x30, 0, 0, 0, 0, 0, 5, 0xdc];
  return Uint8Array.of(...start, ...zeros(128), 0x20, 0, 0, 0, ...label, ...router);
}

/** A capture, read to its end. */
function captureTarget(): FuzzTarget {
  const frames = goodPackets()
    .slice(0, 3)
    .map((packet) => ({ epochMs: 1, nanoseconds: 0, bytes: framed(packet) }));
  const block = enhancedBlock(0, 1n, frames[0]!.bytes);
  return {
    name: 'capture',
    good: [
      pcapFile(1, frames),
      pcapFile(1, frames, false, true),
      joined(sectionBlock(), interfaceBlock(1), block),
    ],
    run: (input) => {
      let at = 0;
      const reader = new PcapReader('fuzz', (into, off, len) => {
        const taken = Math.min(len, input.length - at);
        into.set(input.subarray(at, at + taken), off);
        at += taken;
        return taken;
      });
      while (reader.next());
      reader.close();
    },
  };
}

/** What the kernel hands over behind a header: a packet, a super-segment of TCP, several datagrams in one. */
function virtioTarget(): FuzzTarget {
  const counters = new DeviceCounters();
  const { v4 } = PEER;
  const udp = ipPacket(
    { from: v4, to: OWN.v4, protocol: 17 },
    udpDatagram(v4, OWN.v4, 9, 53, new Uint8Array(90)),
  );
  const tcp = ipPacket(
    { from: v4, to: OWN.v4, protocol: 6 },
    Uint8Array.of(...zeros(12), 0x50, 16, ...zeros(86)),
  );
  const behind = (type: number, packet: Uint8Array, ...more: number[]): Uint8Array =>
    Uint8Array.of(1, type, 40, 0, 30, 0, 20, 0, ...more, ...packet);
  return {
    name: 'virtio header',
    good: [behind(0, udp, 6, 0, 0, 0), behind(5, udp, 6, 0, 0, 0), behind(1, tcp, 16, 0, 0, 0)],
    run: (input) => {
      const sink = {
        input: (slab: Slab, off: number, len: number): void => {
          if (off < 0 || len < 0 || off + len > slab.lengthBytes) throw new RangeError(`${off} + ${len}`);
        },
      };
      for (const cut of [false, true]) {
        const slab = new Slab(input.slice());
        if (input.length >= VIRTIO_HEADER_BYTES)
          inputVirtio(slab, 0, input.length, sink, counters, VIRTIO_HEADER_BYTES, 0, cut);
      }
    },
  };
}

/** All that there is. Each call makes new ones, which have kept nothing yet. */
export function fuzzTargets(): FuzzTarget[] {
  const options = new TcpOptions();
  return [
    stackTarget(false),
    stackTarget(true),
    captureTarget(),
    virtioTarget(),
    {
      name: 'TCP options',
      good: [
        Uint8Array.of(2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7, 34, 6, 1, 2, 3, 4),
      ],
      run: (input) => void parseTcpOptions(new Slab(input), 0, input.length, options),
    },
    {
      name: 'DHCP reply',
      good: [dhcpReply()],
      run: (input) => {
        const parsed = parseDhcpReply(new Slab(input), 0, input.length);
        if (parsed !== null) leaseOf(parsed, 0, null);
      },
    },
    {
      name: 'DHCPv6 reply',
      good: [
        Uint8Array.of(
          7,
          0,
          0,
          1,
          0,
          2,
          0,
          2,
          0,
          9,
          0,
          23,
          0,
          16,
          ...zeros(16),
          0,
          24,
          0,
          5,
          3,
          0x6c,
          0x61,
          0x62,
          0,
        ),
      ],
      run: (input) => void parseInformationReply(new Slab(input).view, 0, input.length, 1, 0x0200, 1),
    },
    dnsTarget('A'),
    dnsTarget('MX'),
    dnsTarget('HTTPS'),
    {
      name: 'router advertisement',
      good: [Uint8Array.of(134, 0, 0, 0, 64, 0, 7, 8, ...ADVERTISEMENT)],
      run: (input) => void parseRouterAdvertisement(new Slab(input).view, 0, input.length),
    },
    {
      name: 'neighbour options',
      good: [Uint8Array.of(1, 1, 2, 0, 0, 0, 0, 9, 14, 2, ...zeros(14))],
      run: (input) => void findLinkAddress(new Slab(input).view, 0, input.length, 1),
    },
    {
      name: 'ICMP extensions',
      good: [extendedError(4), extendedError(6)],
      run: (input) => {
        const slab = new Slab(input);
        if (input.length >= 8)
          for (const family of [4, 6] as const) readIcmpExtensions(slab, 0, input.length, family);
      },
    },
    {
      name: 'IGMP query',
      good: [Uint8Array.of(0x11, 100, 0, 0, 239, 1, 2, 3, 2, 125, 0, 1, 192, 0, 2, 1)],
      run: (input) => void parseIgmpQuery(new Slab(input).view, 0, input.length),
    },
    {
      name: 'MLD query',
      good: [
        Uint8Array.of(
          130,
          0,
          0,
          0,
          39,
          16,
          0,
          0,
          ...addressBytes('ff05::1'),
          2,
          125,
          0,
          1,
          ...addressBytes('::1'),
        ),
      ],
      run: (input) => void parseMldQuery(new Slab(input).view, 0, input.length),
    },
    {
      name: 'addresses and prefixes',
      good: ['192.0.2.1/24', '2001:db8::1/64', '::ffff:192.0.2.1', 'fe80::1%eth0'].map(ascii),
      run: (input) => void parsePrefix(textOf(input)),
    },
    {
      name: 'hosts file',
      good: [ascii('192.0.2.1 one two # three\n2001:db8::1 one\n')],
      run: (input) => void HostsFile.parse(textOf(input)),
    },
    {
      name: 'resolv.conf',
      good: [ascii('nameserver 192.0.2.53\nsearch a.example b.example\noptions ndots:2 timeout:3 rotate\n')],
      run: (input) => void parseResolvConf(textOf(input)),
    },
    ...tlsTargets(),
  ];
}
