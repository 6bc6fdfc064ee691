// needs: tshark
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { LinkType } from '../drivers/pcap-link.ts';
import { pcapFile } from '../drivers/testing/pcap-files.ts';
import { DhcpClient, DhcpCounters } from './dhcp/dhcp-client.ts';
import { Slaac, SlaacCounters } from './ip/slaac.ts';
import { EthernetWire } from './testing/ethernet-wire.ts';
import { addressOf } from './testing/packets.ts';

/** Every transport's and every header's checksum, and what cannot be read. */
const WRONG =
  '_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 || icmp.checksum.status == 0 || icmpv6.checksum.status == 0 || igmp.checksum.status == 0';
const CHECKED = ['ip.check_checksum', 'tcp.check_checksum', 'udp.check_checksum'];
/** What has to be among the frames, or nothing is shown of it. */
const KINDS = ['arp', 'dhcp', 'ip.flags.mf == 1', 'ipv6.fraghdr'].concat(
  ['ip', 'tcp', 'udp', 'icmp', 'icmpv6', 'igmp'].map((protocol) => `${protocol}.checksum.status == 1`),
);

test('tshark finds nothing wrong in any frame: ARP, DHCP, neighbours, groups, fragments, errors, TCP', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const wire = new EthernetWire();
  const [a, b, c] = [
    wire.add(1, ['10.0.0.1/24', 'fe80::1/64', 'fd00::1/64']),
    wire.add(2, ['10.0.0.2/24', 'fe80::2/64', 'fd00::2/64']),
    wire.add(3, []),
  ];
  const owner = { configured: () => {}, serverAdvertised: () => {}, nameServersLearned: () => {} };
  new Slaac(c.stack, new SlaacCounters(), c.link, Int32Array.of(1, 2, 3, 4), owner);
  new DhcpClient(c.stack, c.stack.udp, new DhcpCounters(), c.iface, c.link, {
    leased: () => {},
    leaseLost: () => {},
  });
  const any = {
    local: null,
    remote: null,
    remotePort: 0,
    broadcast: false,
    receiver: { datagram: () => {} },
  };
  const member = b.stack.udp.open({ ...any, localPort: 53 });
  for (const group of ['239.1.2.3', 'ff15::1']) member.multicast.join(addressOf(group), null, null);
  b.stack.tcp.listen({ local: null, port: 7, backlog: 4 });
  wire.runFor(5000);
  const sender = a.stack.udp.open({ ...any, localPort: 0 });
  for (const to of ['10.0.0.2', 'fd00::2']) {
    const remote = addressOf(to);
    a.stack.icmp.ping({ destination: remote, count: 2, payloadBytes: 4001 });
    a.stack.icmp.trace({ destination: remote, probesPerHop: 1 });
    for (const bytes of [0, 1, 1001, 5001])
      sender.sendTo(new Uint8Array(bytes).fill(7), 0, bytes, remote, 53);
    const stream = { remote, remotePort: 7, local: null, localPort: 0, noDelay: true, keepAlive: null };
    const connection = a.stack.tcp.connect(stream);
    wire.runFor(1000);
    connection.sendRing!.write(new Uint8Array(9001).fill(9), 0, 9001);
    connection.appWrote();
    wire.runFor(1000);
    connection.abort();
    // nobody listens there
    a.stack.tcp.connect({ ...stream, remotePort: 8 });
    wire.runFor(5000);
  }
  member.close();
  wire.runFor(60_000);
  const path = join(folder, 'frames.pcap');
  const frames = wire.trace.map(({ atMs, bytes }) => ({ epochMs: Math.floor(atMs), nanoseconds: 0, bytes }));
  writeFileSync(path, pcapFile(LinkType.Ethernet, frames));
  const tshark = (filter: string): string[] => {
    const args = ['-r', path, '-Y', filter, ...CHECKED.flatMap((each) => ['-o', `${each}:TRUE`])];
    return execFileSync('tshark', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .split('\n')
      .filter((line) => line !== '');
  };
  for (const kind of KINDS) t.true(tshark(kind).length > 0, kind);
  t.deepEqual(tshark(WRONG), []);
});
