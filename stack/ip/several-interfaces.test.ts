// sends any payload: a few bytes on port 53
import test from 'ava';
import { Connector, type ConnectRequest } from '../connector.ts';
import type { NetError } from '../errors.ts';
import { RxFlag } from '../link.ts';
import { SeededRandom } from '../random.ts';
import { HostsFile } from '../resolver/hosts-file.ts';
import { Resolver } from '../resolver/resolver.ts';
import { Stack } from '../stack.ts';
import { TcpState } from '../tcp/tcp-state.ts';
import { HeapRings } from '../testing/heap-rings.ts';
import { RecordingSink } from '../testing/packet-sink.ts';
import { addressOf, icmpMessage, ipPacket, udpDatagram } from '../testing/packets.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { Slab } from '../wire/slab.ts';
import type { Interface } from './interface.ts';

const PEER = 'fe80::9';

/** A stack with two interfaces, whose links both have fe80::9, and the same own address. */
class Host {
  readonly stack: Stack = new Stack({
    random: new SeededRandom(5),
    rings: new HeapRings(4096, 4096),
    now: 0,
  });
  readonly sinks: readonly RecordingSink[] = [new RecordingSink(), new RecordingSink()];
  readonly interfaces: readonly Interface[];
  readonly resolver: Resolver;

  constructor(hosts = '') {
    const capabilities = { mtuBytes: 1500, txChecksum: false, txSegmentBytes: 0 };
    const own = [
      ['10.0.0.2/8', 'fe80::2/64', 'fd00::2/64'],
      ['10.1.0.2/16', 'fe80::2/64', 'fe80::22/64', 'fd01::2/64'],
    ];
    const gateways = [[], ['10.1.0.1', 'fd01::1']];
    this.interfaces = this.sinks.map((sink, i) =>
      this.stack.addInterface({
        name: `eth${i}`,
        sink,
        capabilities,
        addresses: own[i]!,
        gateways: gateways[i]!,
      }),
    );
    this.resolver = new Resolver(this.stack, {
      hosts: HostsFile.parse(hosts),
      servers: [],
      timeoutMs: 1000,
      attempts: 1,
      toAscii: null,
    });
    this.sent();
  }

  /** What was sent since, but for multicast reports: the interface, the protocol and the addresses. */
  sent(): string[] {
    this.stack.transmit(0);
    return this.sinks.flatMap((sink, i) =>
      sink.packets.splice(0).flatMap(({ bytes }) => {
        const { view } = new Slab(bytes);
        const v6 = bytes[0]! >>> 4 === 6;
        const protocol = bytes[v6 ? 6 : 9]!;
        const source = IpAddress.read(view, v6 ? 8 : 12, v6 ? 6 : 4);
        const destination = IpAddress.read(view, v6 ? 24 : 16, v6 ? 6 : 4);
        return protocol === 0 || protocol === 2 ? [] : [`eth${i} ${protocol} ${source} > ${destination}`];
      }),
    );
  }

  connect(host: string, options: Partial<ConnectRequest> = {}): string | string[] {
    const attempt = new Connector(this.stack, this.resolver).connect({
      host,
      port: 7,
      protocol: 6,
      preferIpv6: true,
      deadline: 10_000,
      localAddress: null,
      localPort: 0,
      noDelay: false,
      keepAlive: null,
      broadcast: false,
      dontRoute: false,
      owner: -1,
      ...options,
    });
    if (attempt.error !== null) return `${attempt.error.tunwireCode} ${attempt.error.message}`;
    const sent = this.sent();
    attempt.cancel();
    this.sent();
    return sent;
  }

  input(at: number, from: string, to: string, protocol: number, payload: Uint8Array, flags = 0): void {
    const bytes = ipPacket({ from, to, protocol, ttl: 64 }, payload);
    this.interfaces[at]!.input(new Slab(bytes), 0, bytes.length, flags, 0);
  }

  get ip(): Record<string, number> {
    return this.stack.counters.toJSON()['ip']!;
  }
}

test('RFC 4007: a zone chooses the interface, by name and by number; without one it is the first', (t) => {
  const host = new Host(`${PEER}%eth1 dut\n${PEER}%eth7 dut`);
  const syn = (at: number): string[] => [`eth${at} 6 fe80::2 > ${PEER}`];
  t.deepEqual(host.connect(`${PEER}%eth1`), syn(1));
  t.deepEqual(host.connect(`${PEER}%2`), syn(1));
  t.deepEqual(host.connect(`[${PEER}%25eth1]`), syn(1));
  t.deepEqual(host.connect(`${PEER}%eth0`), syn(0));
  t.deepEqual(host.connect(PEER), syn(0));
  t.deepEqual(host.connect('dut'), syn(1), 'the hosts file says where');
  t.regex(String(host.connect(`${PEER}%eth2`)), /^HOST_INVALID .*it has: eth0 \(1\), eth1 \(2\)/);
  t.regex(String(host.connect(`${PEER}%3`)), /^HOST_INVALID .*it has: eth0 \(1\), eth1 \(2\)/);
  t.deepEqual(host.connect(`${PEER}%eth1`, { localAddress: addressOf('fe80::22') }), [
    `eth1 6 fe80::22 > ${PEER}`,
  ]);
  t.regex(
    String(host.connect(`${PEER}%eth0`, { localAddress: addressOf('fe80::22') })),
    /fe80::22 is not an address of interface eth0/,
  );
});

test('a zone that there is not is an error of the route, with those that there are', (t) => {
  const { stack } = new Host();
  const error = t.throws<NetError>(() => stack.ip.route(addressOf(PEER).inZone(3), null));
  t.is(error?.tunwireCode, 'NETWORK_UNREACHABLE');
  t.regex(error?.message ?? '', /no interface 3; there are: eth0 \(1\), eth1 \(2\)/);
});

// [RFC 1122 §3.4-2]
test('datagrams and pings go to their zone, and where they come from is told with it', (t) => {
  const host = new Host();
  const got: string[] = [];
  const socket = host.stack.udp.open({
    local: null,
    localPort: 53,
    remote: null,
    remotePort: 0,
    broadcast: false,
    receiver: { datagram: (_socket, _slab, _off, _len, from) => got.push(String(from)) },
  });
  const datagram = udpDatagram(PEER, 'fe80::2', 1234, 53, new Uint8Array(3));
  for (const at of [0, 1]) {
    host.input(at, PEER, 'fe80::2', 17, datagram);
    socket.sendTo(new Uint8Array(3), 0, 3, addressOf(PEER).inZone(at + 1), 1234);
    t.deepEqual(host.sent(), [`eth${at} 17 fe80::2 > ${PEER}`]);
  }
  t.deepEqual(got, [`${PEER}%1`, `${PEER}%2`]);
  host.stack.icmp.ping({ destination: addressOf(PEER).inZone(2), count: 1 });
  t.deepEqual(host.sent(), [`eth1 58 fe80::2 > ${PEER}`]);
});

const SYN = 2;
const RST_ACK = 0x14;

/** A TCP segment without a right checksum. */
function segment(ports: readonly [number, number], flags: number, ack = 0): Uint8Array {
  const { bytes, view } = Slab.alloc(20);
  view.setUint16(0, ports[0]);
  view.setUint16(2, ports[1]);
  view.setInt32(8, ack);
  view.setUint8(12, 5 << 4);
  view.setUint8(13, flags);
  return bytes;
}

test('RFC 4007 §6: connections to the same address in two zones, by the same ports, are two', (t) => {
  const host = new Host();
  const { tcp } = host.stack;
  const to = { remotePort: 7, local: null, localPort: 4000, noDelay: false, keepAlive: null };
  const [first, second] = [1, 2].map((zone) => tcp.connect({ ...to, remote: addressOf(PEER).inZone(zone) }));
  t.deepEqual(host.sent(), [`eth0 6 fe80::2 > ${PEER}`, `eth1 6 fe80::2 > ${PEER}`]);
  host.input(1, PEER, 'fe80::2', 6, segment([7, 4000], RST_ACK, second!.iss + 1), RxFlag.ChecksumValid);
  t.deepEqual([first!.state, second!.state], [TcpState.SynSent, TcpState.Closed]);
  // an error by the other link is not about what went by this one
  const quoted = ipPacket({ from: 'fe80::2', to: PEER, protocol: 6 }, segment([4000, 7], SYN));
  new Slab(quoted).view.setInt32(44, first!.iss);
  const unreachable = icmpMessage(PEER, 'fe80::2', 1, 4, 0, quoted);
  host.input(1, PEER, 'fe80::2', 58, unreachable);
  t.is(first!.state, TcpState.SynSent);
  host.input(0, PEER, 'fe80::2', 58, unreachable);
  t.is(first!.state, TcpState.Closed);
});

test('RFC 4007 §6: who connects from the same address and port in two zones is two peers', (t) => {
  const host = new Host();
  host.stack.tcp.listen({ local: null, port: 7, backlog: 4 });
  for (const at of [0, 1]) {
    host.input(at, PEER, 'fe80::2', 6, segment([4000, 7], SYN), RxFlag.ChecksumValid);
    t.deepEqual(host.sent(), [`eth${at} 6 fe80::2 > ${PEER}`]);
  }
  t.is(host.stack.tcp.table.size, 2);
});

test('RFC 4007 §6: a socket connected to an address in a zone takes nothing from the same address in another', (t) => {
  const host = new Host();
  const got: string[] = [];
  host.stack.udp.open({
    local: null,
    localPort: 53,
    remote: addressOf(PEER).inZone(2),
    remotePort: 1234,
    broadcast: false,
    receiver: { datagram: (_socket, _slab, _off, _len, from) => got.push(String(from)) },
  });
  const datagram = udpDatagram(PEER, 'fe80::2', 1234, 53, new Uint8Array(3));
  for (const at of [0, 1]) host.input(at, PEER, 'fe80::2', 17, datagram);
  t.deepEqual(got, [`${PEER}%2`]);
});

// [RFC 1122 §3.2.2.6-4] [RFC 1122 §3.3.4.2-1]
test('answers leave by the interface that the question came in by', (t) => {
  const host = new Host();
  for (const at of [1, 0]) {
    host.input(at, PEER, 'fe80::2', 58, icmpMessage(PEER, 'fe80::2', 128, 0, 0x10001, payload()));
    t.deepEqual(host.sent(), [`eth${at} 58 fe80::2 > ${PEER}`]);
    // a port where nobody is
    host.input(at, PEER, 'fe80::2', 17, udpDatagram(PEER, 'fe80::2', 1234, 99, new Uint8Array(3)));
    t.deepEqual(host.sent(), [`eth${at} 58 fe80::2 > ${PEER}`]);
  }
});

// [RFC 1122 §3.3.4.2-3] [RFC 1122 §3.3.4.2-4]
test('RFC 1122 §3.3.4.2: a strong host takes packets only where their destination is, and sends from where their source is', (t) => {
  const host = new Host();
  const open = (local: string | null): void => {
    host.stack.udp.open({
      local: local === null ? null : addressOf(local),
      localPort: 53,
      remote: null,
      remotePort: 0,
      broadcast: false,
      receiver: { datagram: () => {} },
    });
  };
  open(null);
  const ask = (at: number, from: string, to: string): void =>
    host.input(at, from, to, 17, udpDatagram(from, to, 1234, 53, new Uint8Array(3)));
  const delivered = (): number => host.stack.counters.toJSON()['udp']!['delivered']!;
  ask(0, '10.0.0.9', '10.0.0.2');
  t.is(delivered(), 1);
  ask(0, '10.0.0.9', '10.1.0.2');
  ask(0, 'fd00::9', 'fd01::2');
  t.is(delivered(), 1);
  t.is(host.ip['dropNotForUs'], 2);
  // 10.1.255.255 is the broadcast of one link only
  ask(0, '10.0.0.9', '10.1.255.255');
  t.is(delivered(), 1);
  ask(1, '10.1.0.9', '10.1.255.255');
  t.is(delivered(), 2);
  t.deepEqual(host.connect('10.0.0.9', { localAddress: addressOf('10.0.0.2') }), [
    'eth0 6 10.0.0.2 > 10.0.0.9',
  ]);
  t.deepEqual(host.connect('10.1.0.9', { localAddress: addressOf('10.0.0.2') }), [
    'eth0 6 10.0.0.2 > 10.1.0.9',
  ]);
});

test('the longest prefix of all interfaces, then the gateway; martian sources by the interface that they come in by', (t) => {
  const host = new Host();
  t.deepEqual(host.connect('10.1.0.9'), ['eth1 6 10.1.0.2 > 10.1.0.9']);
  t.deepEqual(host.connect('10.2.0.9'), ['eth0 6 10.0.0.2 > 10.2.0.9']);
  t.deepEqual(host.connect('192.0.2.9'), ['eth1 6 10.1.0.2 > 192.0.2.9']);
  t.deepEqual(host.connect('fd00::9'), ['eth0 6 fd00::2 > fd00::9']);
  t.deepEqual(host.connect('2001:db8::9'), ['eth1 6 fd01::2 > 2001:db8::9']);
  const before = host.ip['dropMartianSource']!;
  host.input(0, '127.0.0.1', '10.0.0.2', 17, udpDatagram('127.0.0.1', '10.0.0.2', 1, 53, new Uint8Array(3)));
  host.input(1, '10.1.255.255', '10.1.0.2', 17, udpDatagram('10.1.255.255', '10.1.0.2', 1, 53, payload()));
  t.is(host.ip['dropMartianSource']! - before, 2);
  // the broadcast of eth1 is an address like others for eth0
  host.input(0, '10.1.255.255', '10.0.0.2', 17, udpDatagram('10.1.255.255', '10.0.0.2', 1, 53, payload()));
  t.is(host.ip['dropMartianSource']! - before, 2);
});

function payload(): Uint8Array {
  return new Uint8Array(3);
}
