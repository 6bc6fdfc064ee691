// needs: tun python3 tshark
import { once } from 'node:events';
import test from 'ava';
import {
  createLab,
  ETHERNET_NAME,
  joinByEthernet,
  type Lab,
  type LabProcess,
  PEER_V4,
} from '../test/netns.ts';
import { createStack, type NetStack } from './stack.ts';

const PORT = 47_300;
const OWN_V4 = '10.78.0.7';

interface Bed {
  readonly own: Lab;
  readonly peer: Lab;
  readonly stack: NetStack;
  /** Every frame, as tshark reads it. */
  readonly witness: LabProcess;
}

async function createBed(t: {
  timeout(ms: number): void;
  teardown(clean: () => Promise<void> | void): void;
}): Promise<Bed> {
  t.timeout(60_000);
  const own = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(own, peer);
  const fields = ['-T', 'fields', '-E', 'separator=;', '-e', 'ip.src', '-e', 'igmp.record_type'];
  const more = [
    '-e',
    'igmp.maddr',
    '-e',
    'icmpv6.mldr.mar.record_type',
    '-e',
    'icmpv6.mldr.mar.multicast_address',
  ];
  const problems = ['-e', '_ws.malformed', '-e', 'igmp.checksum.status', '-e', 'icmpv6.checksum.status'];
  const witness = peer.start('tshark', [
    ...['-i', ETHERNET_NAME, '-l', '-n', '-o', 'ip.check_checksum:TRUE'],
    ...['-f', `igmp or (ip6 and ip6[6] == 0)`, ...fields, ...more, ...problems],
  ]);
  await peer.until('tshark captures', () => witness.stderr.includes('Capturing'));
  const stack = await own.within(() =>
    createStack({
      device: `raw:${ETHERNET_NAME}`,
      addresses: [`${OWN_V4}/24`, 'fe80::7/64'],
      resolver: { hostsFile: null },
    }),
  );
  t.teardown(() => stack.close());
  return { own, peer, stack, witness };
}

/** Sends and receives with the kernel's sockets, told by lines. */
const KERNEL = `
import socket, struct, sys
group, port, own, dev = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
if ':' in group:
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    index = socket.if_nametoindex(dev)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 3)
    s.bind(('::', port))
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group) + struct.pack('@I', index))
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 3)
    s.bind(('', port))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(own))
print('ready', flush=True)
while True:
    data, peer = s.recvfrom(2048)
    print('heard', data.decode(), peer[0], flush=True)
    s.sendto(b'answer', (group, port))
`;

for (const [group, from] of [
  ['239.1.2.3', OWN_V4],
  ['ff05::1:2', 'fe80::7'],
] as const) {
  test(`the kernel and we hear each other in ${group}, and tshark sees our reports`, async (t) => {
    const { peer, stack, witness } = await createBed(t);
    const kernel = peer.start('python3', ['-c', KERNEL, group, String(PORT), PEER_V4, ETHERNET_NAME]);
    await peer.until('the kernel has joined', () => kernel.stdout.includes('ready'));
    await using socket = await stack.udp({ port: PORT });
    await socket.addMembership(group);
    await socket.setMulticastLoopback(false);
    const heard = once(socket, 'message');
    await socket.send('question', PORT, group);
    t.is(String((await heard)[0]), 'answer');
    await peer.until('the kernel says so', () => kernel.stdout.includes(`heard question ${from}`));
    await socket.dropMembership(group);
    const reports = (type: number): string[] =>
      witness.stdout.split('\n').filter((line) => line.includes(`;${type};${group};`));
    // 4: now from all sources (the kernel says it too, twice at most); 3: now from none, which is told twice
    await peer.until('all is told', () => reports(4).length >= 2 && reports(3).length >= 2);
    const ours = [...reports(4), ...reports(3)].filter((line) => !line.startsWith(PEER_V4));
    t.true(ours.length >= 2);
    // the last fields: nothing malformed, both checksums good (1) or not there
    for (const line of ours) t.regex(line, /;;(1;|;1)$/, line);
  });
}
