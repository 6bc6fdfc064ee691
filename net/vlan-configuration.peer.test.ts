// needs: tun dnsmasq radvd tcpdump
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { LinkType } from '../drivers/pcap-link.ts';
import { pcapFile } from '../drivers/testing/pcap-files.ts';
import { openTap } from '../drivers/tun.ts';
import { createLab } from '../test/netns.ts';
import { startDnsmasq, startNodeServer } from '../test/peers/servers.ts';
import { createStack } from './index.ts';
import { AccessPort } from './testing/access-port.ts';

const TAP = 'tap0';
const SERVER_V4 = '10.79.0.1';
const SERVER_V6 = 'fd79::1';
const VLAN = 10;
const PORT = 47_240;

// Not every kernel has VLAN interfaces: the servers are at a switch port that belongs to the VLAN.
test('dnsmasq and radvd configure an interface of a VLAN', async (t) => {
  t.timeout(60_000);
  const lab = await createLab(t);
  await lab.ok('sh', [
    '-c',
    `set -e
     echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
     ip tuntap add dev ${TAP} mode tap
     ip addr add ${SERVER_V4}/24 dev ${TAP}
     ip addr add ${SERVER_V6}/64 dev ${TAP} nodad
     ip addr add fe80::1/64 dev ${TAP} nodad
     ip link set ${TAP} up`,
  ]);
  const path = lab.file('switch');
  const port = new AccessPort(
    path,
    lab.within(() => openTap(TAP, { offload: false })),
    VLAN,
  );
  t.teardown(() => port.close());
  await once(port.server, 'listening');
  await startDnsmasq(lab, { 'www.lab.test': [SERVER_V4, SERVER_V6] }, [
    `--interface=${TAP}`,
    '--dhcp-range=10.79.0.50,10.79.0.50,255.255.255.0,1h',
    '--dhcp-authoritative',
    '--no-ping',
    '--domain=lab.test',
    `--dhcp-leasefile=${lab.file('leases')}`,
  ]);
  const config = lab.file('radvd.conf');
  writeFileSync(
    config,
    `interface ${TAP} { AdvSendAdvert on; prefix fd79::/64 { AdvOnLink on; AdvAutonomous on; }; };\n`,
  );
  lab.start('radvd', ['-n', '-C', config, '-p', lab.file('radvd.pid'), '-m', 'stderr', '-u', 'root']);
  await startNodeServer(lab, PORT, 'echo');
  const stack = await createStack({
    device: `unix:${path}`,
    addresses: [],
    vlans: [{ id: VLAN, addresses: ['dhcp', 'slaac'] }],
    slaacSecret: Uint8Array.from({ length: 16 }, (_, i) => i),
    resolver: { hostsFile: null },
  });
  t.teardown(() => stack.close());
  const found: string[] = [];
  for (const family of [4, 6] as const) {
    const socket = await stack.connect({ host: 'www', port: PORT, family });
    socket.write('hello');
    const [text] = (await once(socket, 'data')) as [Buffer];
    found.push(`${text} ${socket.localAddress}`);
    socket.destroy();
  }
  t.is(found[0], 'hello 10.79.0.50');
  t.regex(found[1]!, /^hello fd79:/);
  await stack.close();
  const capture = lab.file('trunk.pcap');
  const frames = port.frames.map((bytes) => ({ epochMs: 0, nanoseconds: 0, bytes }));
  writeFileSync(capture, pcapFile(LinkType.Ethernet, frames));
  const seen = await lab.ok('tcpdump', ['-n', '-e', '-v', '-r', capture]);
  t.regex(seen, /vlan 10, p 0, ethertype IPv4.{0,300}?BOOTP\/DHCP, Request/s);
  t.regex(seen, /vlan 10, p 0, ethertype IPv6.{0,300}?router solicitation/s);
  t.notRegex(seen, /bad (udp )?cksum|incorrect|truncated/);
});
