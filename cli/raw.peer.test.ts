// needs: tun socat tcpdump tshark ethtool strace
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import test from 'ava';
import {
  createLab,
  ETHERNET_NAME,
  ETHERNET_V4,
  ETHERNET_V6,
  joinByEthernet,
  type Lab,
  type LabProcess,
  PEER_V4,
  PEER_V6,
} from '../test/netns.ts';
import { pattern, patternDigest } from '../test/peers/pattern.ts';
import { startNodeServer } from '../test/peers/servers.ts';

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.ts');
const LARGE_BYTES = 20_000_000;
const SMALL_BYTES = 2_000_000;
const SINK_PORT = 47_000;
const SOURCE_PORT = 47_001;

interface Ends {
  readonly own: Lab;
  readonly peer: Lab;
}

/** Two labs on one cable; kernels that send segments in one piece, or (`plain`) as a wire carries them. */
async function createEnds(
  t: { teardown(clean: () => Promise<void> | void): void },
  plain = false,
): Promise<Ends> {
  const own = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(own, peer);
  if (plain) {
    for (const lab of [own, peer])
      await lab.ok('ethtool', ['-K', ETHERNET_NAME, 'tx', 'off', 'rx', 'off', 'tso', 'off', 'gso', 'off']);
  }
  return { own, peer };
}

function commandLine(args: readonly string[]): string[] {
  const addresses = ['--addr', `${ETHERNET_V4}/24`, '--addr', `${ETHERNET_V6}/64`];
  return [TUNWIRE, 'connect', '--raw', ETHERNET_NAME, ...addresses, ...args];
}

/** Sends a file to the sink and reads the source to a file. @returns what the sink has printed */
async function bothWays(ends: Ends, host: string, bytes: number, flags: readonly string[]): Promise<string> {
  const { own, peer } = ends;
  const sink = await startNodeServer(peer, SINK_PORT, 'sink');
  const source = await startNodeServer(peer, SOURCE_PORT, 'source', { bytes });
  const input = own.file('input');
  writeFileSync(input, Buffer.concat([...pattern(bytes)]));
  const script = 'in=$1; out=$2; shift 2; exec "$@" < "$in" > "$out"';
  const run = (port: number, from: string, to: string): Promise<string> => {
    const command = [process.execPath, ...commandLine([host, String(port), ...flags])];
    return own.ok('sh', ['-c', script, 'sh', from, to, ...command], { timeoutMs: 60_000 });
  };
  await run(SINK_PORT, input, '/dev/null');
  await run(SOURCE_PORT, '/dev/null', own.file('output'));
  await peer.until('the sink has counted', () => sink.stdout.includes('\n'));
  await sink.stop();
  await source.stop();
  return sink.stdout.trim();
}

function digestOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

for (const [how, plain, flags] of [
  ['with offload', false, []],
  ['without offload', true, ['--no-offload']],
] as const) {
  test.serial(`20 MB each way over both families, ${how}`, async (t) => {
    t.timeout(120_000);
    const ends = await createEnds(t, plain);
    for (const host of [PEER_V4, PEER_V6]) {
      const counted = await bothWays(ends, host, LARGE_BYTES, flags);
      t.is(counted, `${LARGE_BYTES} ${patternDigest(LARGE_BYTES)}`);
      t.is(digestOf(ends.own.file('output')), patternDigest(LARGE_BYTES));
    }
  });
}

test.serial('on a disturbed link every packet is judged alone', async (t) => {
  const ends = await createEnds(t);
  const file = ends.own.file('capture.pcapng');
  const flags = ['--loss', '1%', '--delay', '2ms', '--seed', '7', '--capture', file];
  const counted = await bothWays(ends, PEER_V4, SMALL_BYTES, flags);
  t.is(counted, `${SMALL_BYTES} ${patternDigest(SMALL_BYTES)}`);
  t.is(digestOf(ends.own.file('output')), patternDigest(SMALL_BYTES));
  // what the stack saw of the second transfer, for which the kernel sends many segments as one packet
  const odd = 'frame.len > 1514 || _ws.malformed || tcp.checksum.status == 0 || !eth';
  t.is(await tshark(ends.own, odd, file), '');
  t.regex(await tshark(ends.own, 'tcp.len == 1448', file), /10\.78\.0\.1 → 10\.78\.0\.2/);
});

/** tcpdump at the peer's end of the cable, once it records. */
async function startWitness(lab: Lab): Promise<LabProcess> {
  const args = [
    '-i',
    ETHERNET_NAME,
    '-s',
    '0',
    '-B',
    '65536',
    '-U',
    '-Z',
    'root',
    '-w',
    lab.file('witness.pcap'),
  ];
  const witness = lab.start('tcpdump', args);
  await lab.until('tcpdump listens', () => witness.stderr.includes('listening on'));
  return witness;
}

async function tshark(lab: Lab, filter: string, file: string = lab.file('witness.pcap')): Promise<string> {
  const checks = ['tcp', 'udp', 'ip'].flatMap((what) => ['-o', `${what}.check_checksum:TRUE`]);
  return await lab.ok('tshark', ['-n', '-r', file, ...checks, '-Y', filter], {
    timeoutMs: 60_000,
  });
}

test.serial('a witness on the cable sees right checksums, nothing malformed and no reset', async (t) => {
  t.timeout(120_000);
  const ends = await createEnds(t, true);
  const witness = await startWitness(ends.peer);
  for (const host of [PEER_V4, PEER_V6]) await bothWays(ends, host, SMALL_BYTES, ['--no-offload']);
  await witness.stop('SIGINT');
  t.is(await tshark(ends.peer, '_ws.malformed || tcp.flags.reset == 1'), '');
  const bad = 'tcp.checksum.status == 0 || ip.checksum.status == 0 || icmpv6.checksum.status == 0';
  t.is(await tshark(ends.peer, bad), '');
  t.regex(await tshark(ends.peer, 'arp.opcode == 1'), /Who has 10\.78\.0\.1\? Tell 10\.78\.0\.2/);
  t.regex(await tshark(ends.peer, 'icmpv6.type == 135'), /Neighbor Solicitation for fd78::1/);
  const good = await tshark(ends.peer, `ipv6.src == ${ETHERNET_V6} && tcp.checksum.status == 1`);
  t.true(good.split('\n').length > SMALL_BYTES / 1500);
});

test.serial('a kernel that forwards stays out of it when it has a blackhole for our address', async (t) => {
  const ends = await createEnds(t);
  await ends.own.ok('ip', ['addr', 'add', '10.78.0.3/24', 'dev', ETHERNET_NAME]);
  await ends.own.ok('sh', ['-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
  await ends.own.ok('ip', ['route', 'add', 'blackhole', ETHERNET_V4]);
  const witness = await startWitness(ends.peer);
  await bothWays(ends, PEER_V4, SMALL_BYTES, []);
  await witness.stop('SIGINT');
  t.is(
    await tshark(
      ends.peer,
      'icmp || tcp.flags.reset == 1 || arp.dst.proto_ipv4 == 10.78.0.2 && arp.src.proto_ipv4 == 10.78.0.3',
    ),
    '',
  );
  t.not(await tshark(ends.peer, 'tcp.flags.syn == 1'), '');
});

/** Type, code, checksum, identifier, sequence number, data. The kernel completes the checksum of ICMPv6 only. */
function echoRequest(type: number): Buffer {
  const message = Buffer.from([type, 0, 0, 0, 0x12, 0x34, 0, 1, ...Buffer.from('are you there?  ')]);
  let sum = 0;
  for (let at = 0; at < message.length; at += 2) sum += message.readUInt16BE(at);
  message.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, 2);
  return message;
}

test.serial('the kernel finds us and gets its echoes, over both families', async (t) => {
  const { own, peer } = await createEnds(t);
  await startNodeServer(peer, SINK_PORT, 'silent');
  const stack = own.start(process.execPath, commandLine([PEER_V4, String(SINK_PORT), '-v']));
  await own.until('it is connected', () => stack.stderr.includes('connected to'));
  for (const [to, request, reply] of [
    [`IP4-SENDTO:${ETHERNET_V4}:1`, 8, 0],
    [`IP6-SENDTO:[${ETHERNET_V6}]:58`, 128, 129],
  ] as const) {
    const socat = peer.start('socat', ['-t', '2', '-', to]);
    socat.child.stdin.write(echoRequest(request));
    await peer.until(
      'the echo is there',
      () => socat.stdoutBytes.includes('are you there?') && socat.stdoutBytes.includes(reply),
    );
    await socat.stop();
  }
  const known = await peer.ok('ip', ['neigh', 'show', 'dev', ETHERNET_NAME]);
  t.regex(known, /^10\.78\.0\.2 lladdr /m);
  t.regex(known, /^fd78::2 lladdr /m);
  await stack.stop();
});

test.serial('a host that is not there cannot be reached', async (t) => {
  const { own } = await createEnds(t);
  const args = commandLine(['10.78.0.99', '80', '--timeout', '5']);
  const result = await own.run(process.execPath, args);
  t.is(result.code, 28);
  t.regex(result.stderr, /no answer to SYN from 10\.78\.0\.99:80 \(HOST_UNREACHABLE was reported/);
});

test.serial('the process makes no socket of an internet family', async (t) => {
  const { own, peer } = await createEnds(t);
  await startNodeServer(peer, SOURCE_PORT, 'source', { bytes: 1000 });
  const log = own.file('strace');
  const command = [process.execPath, ...commandLine([PEER_V4, String(SOURCE_PORT)])];
  await own.ok('strace', ['-f', '-e', 'trace=socket', '-o', log, ...command], { input: '' });
  const sockets = readFileSync(log, 'latin1');
  t.regex(sockets, /socket\(AF_PACKET/);
  t.notRegex(sockets, /AF_INET/);
});

test.serial('what cannot be opened says what to do', async (t) => {
  const { own, peer } = await createEnds(t);
  const refused = async (lab: Lab, raw: string, addr: string): Promise<string> => {
    const args = [TUNWIRE, 'connect', '--raw', raw, '--addr', addr, PEER_V4, '80'];
    const result = await lab.run(process.execPath, args);
    t.is(result.code, 45, result.stderr);
    return result.stderr;
  };
  t.regex(await refused(own, 'nothere', `${ETHERNET_V4}/24`), /find interface nothere: ENODEV; .*ip link/);
  t.regex(await refused(own, 'lo', `${ETHERNET_V4}/24`), /lo is no Ethernet interface/);
  t.regex(
    await refused(peer, ETHERNET_NAME, `${PEER_V4}/24`),
    /the kernel has the address .*sudo ip addr del/,
  );
  t.regex(
    await refused(peer, ETHERNET_NAME, `${PEER_V6}/64`),
    /the kernel has the address .*sudo ip addr del/,
  );
  await own.ok('ip', ['link', 'set', ETHERNET_NAME, 'down']);
  t.regex(
    await refused(own, ETHERNET_NAME, `${ETHERNET_V4}/24`),
    /is down; start it with: sudo ip link set veth0 up/,
  );
  const both = await own.run(process.execPath, [...commandLine([PEER_V4, '80']), '--tun', 'tun0']);
  t.is(both.code, 2);
  const none = await own.run(process.execPath, [TUNWIRE, 'connect', PEER_V4, '80', '--addr', '10.0.0.1/8']);
  t.is(none.code, 2);
  t.regex(none.stderr, /--tun NAME, --raw INTERFACE or --device SPEC/);
});
