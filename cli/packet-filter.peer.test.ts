// needs: tcpdump
import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import test from 'ava';
import { temporaryFile } from './testing/temporary-file.ts';

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.ts');
const FIXTURES = resolve(import.meta.dirname, '../pcap-fixtures');

/** With DNS over UDP and TCP, and with ICMPv6. */
const CAPTURES = ['kernel-dns-truncated.pcap', 'kernel-ipv6-path-mtu.pcap'];
const FILTERS = [
  'tcp',
  'not tcp',
  'udp or arp',
  'src port 53',
  'dst port 53 and tcp',
  'not (port 53 or icmp6)',
  '!ip6 || udp',
  // and binds no more than or
  'udp or tcp and src port 53',
];

function dump(args: readonly string[]): Buffer {
  return execFileSync(process.execPath, [TUNWIRE, 'dump', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

function tcpdump(args: readonly string[]): string[] {
  const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore'];
  return execFileSync('tcpdump', ['-n', ...args], { encoding: 'utf8', stdio })
    .split('\n')
    .slice(0, -1);
}

for (const name of CAPTURES) {
  test(`${name}: what tcpdump chooses`, (t) => {
    const file = resolve(FIXTURES, name);
    const all = tcpdump(['-r', file]).length;
    for (const filter of FILTERS) {
      const words = filter.replace('icmp6', 'icmp').split(' ');
      const ours = dump(['-r', file, ...words])
        .toString()
        .split('\n');
      const chosen = ours.filter((line) => /^\d\d:\d\d:/.test(line)).length;
      t.is(chosen, tcpdump(['-r', file, filter]).length, filter);
      t.true(chosen <= all);
    }
  });

  test(`${name}: dump -w writes what tcpdump reads, with -s cut off`, (t) => {
    const file = resolve(FIXTURES, name);
    const written = temporaryFile(t, 'out.pcapng');
    dump([file, '-w', written]);
    t.deepEqual(tcpdump(['-r', written]), tcpdump(['-r', file]));
    dump(['-r', file, '-w', written, '-s', '40', '-c', '3', 'udp', 'or', 'tcp']);
    t.is(tcpdump(['-r', written]).length, 3);
    t.deepEqual(
      dump(['-r', file, '-w', '-', '-c', '2']).subarray(0, 4),
      Buffer.from([0x0a, 0x0d, 0x0d, 0x0a]),
    );
  });

  test(`${name}: -e has tcpdump's link level header`, (t) => {
    const file = resolve(FIXTURES, name);
    const stations = (line: string): string => /[0-9a-f:]{17} > [0-9a-f:]{17}/.exec(line)?.[0] ?? '';
    const ours = dump(['-r', file, '-e'])
      .toString()
      .split('\n')
      .filter((line) => /^\d\d:\d\d:/.test(line));
    t.deepEqual(ours.map(stations), tcpdump(['-e', '-r', file]).map(stations));
  });
}

test('a filter that means nothing is refused', (t) => {
  const file = resolve(FIXTURES, CAPTURES[0]!);
  for (const filter of ['(tcp', 'tcp)', 'port', 'port x', 'tcp or', 'not', 'src tcp', 'vlan'])
    t.throws(() => dump(['-r', file, ...filter.split(' ')]), { message: /a filter is made of/ }, filter);
});
