// needs: tun tcpdump tshark
import { resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { createLab, ETHERNET_NAME, joinByEthernet, type Lab, type LabProcess } from '../test/netns.ts';

const TUNWIRE = new URL('tunwire.ts', import.meta.url).pathname;
const fixture = (name: string): string => resolve(import.meta.dirname, `../pcap-fixtures/${name}.pcap`);

async function watch(lab: Lab, iface: string, file: string, ...filter: string[]): Promise<LabProcess> {
  const capture = lab.start('tcpdump', [
    '-i',
    iface,
    '-U',
    '--immediate-mode',
    // as it is there is room for eight packets
    '-s',
    '2000',
    '-Z',
    'root',
    '-w',
    file,
    ...filter,
  ]);
  await lab.until('tcpdump listens', () => capture.stderr.includes('listening on'));
  return capture;
}

/** Bytes of the IP packets of a capture, in hexadecimal. */
async function packets(lab: Lab, file: string): Promise<string[]> {
  const text = await lab.ok('tcpdump', ['-n', '-t', '-x', '-r', file]);
  const all: string[] = [];
  for (const line of text.split('\n')) {
    if (/^\s+0x[0-9a-f]{4}:/.test(line))
      all[all.length - 1] += line.replace(/^\s+0x[0-9a-f]{4}:/, '').replaceAll(/\s/g, '');
    else if (line !== '') all.push('');
  }
  return all;
}

const play = (lab: Lab, ...args: readonly string[]): ReturnType<Lab['run']> =>
  lab.run(process.execPath, [TUNWIRE, 'replay', ...args]);

/** Plays a fixture onto a device and has tcpdump take it down. */
async function played(
  t: ExecutionContext,
  own: Lab,
  watcher: Lab,
  [device, iface]: readonly [string, string],
  name: string,
  args: readonly string[] = [],
): Promise<{ before: string[]; after: string[]; file: string; report: Record<string, number> }> {
  const file = watcher.file(`${iface}.pcap`);
  const before = await packets(own, fixture(name));
  const watching = await watch(watcher, iface, file, '-Q', 'in');
  const result = await play(own, fixture(name), '--onto', device, '--json', ...args);
  t.is(result.code, 0, result.stderr);
  const report = JSON.parse(result.stdout) as Record<string, number>;
  let after: string[] = [];
  await watcher.until('all packets are there', async () => {
    after = await packets(watcher, file);
    return after.length >= (report['packets'] ?? 0);
  });
  await watching.stop('SIGINT');
  return { before, after, file, report };
}

test('a capture goes onto a TUN device as it was, at its pace and faster', async (t) => {
  const lab = await createLab(t);
  const slow = await played(t, lab, lab, [`tun:${lab.tun}`, lab.tun], 'kernel-dns');
  t.deepEqual(slow.after, slow.before);
  t.is(slow.report['packets'], slow.before.length);
  const max = await played(t, lab, lab, [`tun:${lab.tun}`, lab.tun], 'kernel-download', [
    '--speed',
    'max',
    '--loop',
    '2',
  ]);
  t.deepEqual(max.after, [...max.before, ...max.before]);
});

test('distances: at ten times the speed a tenth of the time', async (t) => {
  const lab = await createLab(t);
  const times = await lab.ok('tcpdump', ['-n', '-ttttt', '-r', fixture('kernel-keepalive')]);
  const [, minutes = '0', seconds = '0'] =
    /^ 00:(\d\d):(\d\d\.\d+)/.exec(times.trimEnd().split('\n').at(-1) ?? '') ?? [];
  const recordedMs = (60 * Number(minutes) + Number(seconds)) * 1000;
  t.true(recordedMs > 1000);
  const speed = recordedMs / 500;
  const { report } = await played(t, lab, lab, [`tun:${lab.tun}`, lab.tun], 'kernel-keepalive', [
    '--speed',
    String(speed),
  ]);
  // what is over 500 is a busy machine's
  t.true(report['elapsedMs']! >= 490, `${report['elapsedMs']} ms`);
});

test('--map: other addresses, and checksums that are right', async (t) => {
  const lab = await createLab(t);
  for (const [name, changes] of [
    ['kernel-download', ['--map', '198.18.0.0/16=10.99.0.0/16']],
    ['kernel-ipv6', ['--map', '2001:2:0:1::/64=2001:db8:0:7::/64']],
    ['kernel-dns', ['--map', '198.18.0.1=10.1.2.3', '--map', '198.18.0.2=10.1.2.4']],
  ] as const) {
    const { before, after, file } = await played(t, lab, lab, [`tun:${lab.tun}`, lab.tun], name, [
      '--speed',
      'max',
      ...changes,
    ]);
    t.is(after.length, before.length);
    t.true(
      after.some((packet, i) => packet !== before[i]),
      name,
    );
    const sums = ['ip', 'tcp', 'udp'].flatMap((what) => ['-o', `${what}.check_checksum:TRUE`]);
    const fields = [
      '-T',
      'fields',
      '-e',
      'ip.checksum.status',
      '-e',
      'tcp.checksum.status',
      '-e',
      'udp.checksum.status',
    ];
    const wrong = (text: string): number => text.split('\n').filter((line) => line.includes('0')).length;
    const theirs = wrong(await lab.ok('tshark', ['-r', fixture(name), ...sums, ...fields]));
    t.is(wrong(await lab.ok('tshark', ['-r', file, ...sums, ...fields])), theirs, `${name}: wrong checksums`);
  }
});

test('--map changes ARP, what neighbours ask for, and packets that errors quote; --filter knows ARP', async (t) => {
  const [own, peer] = [await createLab(t), await createLab(t)];
  await joinByEthernet(own, peer);
  for (const [lab, host] of [
    [own, 1],
    [peer, 2],
  ] as const) {
    await lab.ok('ip', ['addr', 'add', `10.66.0.${host}/24`, 'dev', ETHERNET_NAME]);
    await lab.ok('ip', ['-6', 'addr', 'add', `fd66::${host}/64`, 'dev', ETHERNET_NAME, 'nodad']);
  }
  const frames = own.file('frames.pcapng');
  const watching = await watch(peer, ETHERNET_NAME, frames, 'arp', 'or', 'icmp', 'or', 'icmp6', 'or', 'udp');
  const seen = (file: string, filter: string, ...more: string[]): Promise<string> =>
    own.ok('tshark', ['-r', file, '-Y', filter, ...more]);
  await own.until('all is there', async () => {
    // nobody listens there: an error that quotes the datagram comes back
    for (const to of ['UDP4:10.66.0.2:9', 'UDP6:[fd66::2]:9'])
      await own.run('socat', ['-u', '-', to], { input: Uint8Array.of(1, 2, 3) });
    const kinds = ['arp', 'icmp.type == 3', 'icmpv6.type == 1', 'icmpv6.type == 135', 'icmpv6.type == 136'];
    for (const kind of kinds) if ((await seen(frames, kind)) === '') return false;
    return true;
  });
  await watching.stop('SIGINT');
  const maps = ['--map', '10.66.0.0/24=10.99.1.0/24', '--map', 'fd66::/64=2001:db8:1:2::/64'];
  const file = own.file('mapped.pcap');
  const again = await watch(peer, ETHERNET_NAME, file, '-Q', 'in');
  const result = await play(own, frames, '--onto', `raw:${ETHERNET_NAME}`, '--speed', 'max', ...maps);
  t.is(result.code, 0, result.stderr);
  const count = (await packets(own, frames)).length;
  await peer.until('all frames are there', async () => (await packets(peer, file)).length >= count);
  await again.stop('SIGINT');
  const checks = ['-o', 'ip.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE'];
  const bad = (text: string): number => text.split('Checksum Status: Bad').length - 1;
  const all = await seen(
    file,
    'frame',
    '-V',
    '-o',
    'ip.check_checksum:TRUE',
    '-o',
    'udp.check_checksum:TRUE',
  );
  // link-local addresses and groups stay as they are
  t.notRegex(all, /10\.66\.0\.|fd66::/);
  t.regex(all, /Sender IP address: 10\.99\.1\.1/);
  t.regex(all, /Target Address: 2001:db8:1:2::2/);
  // the kernel left those of its datagrams to an interface that has none
  t.is(bad(all), bad(await seen(frames, 'frame', '-V', ...checks)));
  t.true(
    (await seen(file, 'icmp.type == 3 && ip.src == 10.99.1.1 && icmp.checksum.status == "Good"')) !== '',
  );
  t.true(
    (await seen(
      file,
      'icmpv6.type == 1 && ipv6.dst == 2001:db8:1:2::2 && icmpv6.checksum.status == "Good"',
    )) !== '',
  );

  const args = ['--onto', `raw:${ETHERNET_NAME}`, '--speed', 'max', '--json', '--filter', 'arp'];
  const filtered = await play(own, frames, ...args);
  const { packets: sent, filtered: left } = JSON.parse(filtered.stdout) as Record<string, number>;
  t.is(sent, (await seen(frames, 'arp')).trimEnd().split('\n').length);
  t.is(sent! + left!, count);
});

test('Ethernet frames go onto an interface; a capture without their headers does not', async (t) => {
  const [own, peer] = [await createLab(t), await createLab(t)];
  await joinByEthernet(own, peer);
  const frames = own.file('frames.pcapng');
  const watching = await watch(peer, ETHERNET_NAME, frames);
  await peer.run('ping', ['-c', '1', '-W', '1', '10.78.0.9']);
  await own.until('a frame is there', async () => (await packets(own, frames)).length > 0);
  await watching.stop('SIGINT');
  const file = peer.file('again.pcap');
  const again = await watch(peer, ETHERNET_NAME, file, '-Q', 'in');
  const result = await play(own, frames, '--onto', `raw:${ETHERNET_NAME}`, '--speed', 'max');
  t.is(result.code, 0, result.stderr);
  t.regex(result.stderr, /^\* \d+ packets, \d+ bytes in \d\.\d{3} s/);
  const before = await packets(own, frames);
  await peer.until('all frames are there', async () => (await packets(peer, file)).length >= before.length);
  await again.stop('SIGINT');
  t.deepEqual(await packets(peer, file), before);
  const none = await play(
    own,
    fixture('kernel-dns'),
    '--onto',
    `raw:${ETHERNET_NAME}`,
    '--json',
    '--speed',
    'max',
  );
  const { packets: sent, skipped } = JSON.parse(none.stdout) as Record<string, number>;
  if (sent === 0) t.is(none.code, 1);
  t.is(sent! + skipped!, (await packets(own, fixture('kernel-dns'))).length);
});

test('what is wrong is said with what to do', async (t) => {
  const lab = await createLab(t);
  for (const [args, code, reason] of [
    [['--speed', '2'], 2, /--onto raw:INTERFACE/],
    [['--onto', 'tun:none9', '--speed', '0'], 2, /--speed takes a number above 0, or max/],
    [['--onto', `tun:${lab.tun}`, '--map', '10.0.0.1'], 2, /OLD=NEW/],
    [['--onto', `tun:${lab.tun}`, '--map', '10.0.0.1=fd00::1'], 2, /two versions of IP/],
    [['--onto', `tun:${lab.tun}`, '--map', '10.0.0.0/8=11.0.0.0/9'], 2, /prefixes of two lengths/],
    [['--onto', 'pcap:x'], 2, /tun:NAME, tap:NAME or raw:INTERFACE/],
    [['--onto', 'raw:none9'], 45, /none9/],
  ] as const) {
    const result = await play(lab, fixture('kernel-dns'), ...args);
    t.is(result.code, code, result.stderr);
    t.regex(result.stderr, reason);
  }
});

test('--filter sends one side; --loop 0 and the highest speed end with Ctrl-C', async (t) => {
  const lab = await createLab(t);
  const onto = ['--onto', `tun:${lab.tun}`, '--speed', 'max'];
  const { after, report } = await played(t, lab, lab, [`tun:${lab.tun}`, lab.tun], 'kernel-dns', [
    '--filter',
    'udp and src port 53',
  ]);
  const [all, answers] = [
    await packets(lab, fixture('kernel-dns')),
    await lab.ok('tcpdump', ['-n', '-r', fixture('kernel-dns'), 'udp and src port 53']),
  ];
  t.is(after.length, answers.trimEnd().split('\n').length);
  t.true(after.length > 0 && after.every((packet) => all.includes(packet)));
  t.is(report['filtered'], all.length - after.length);

  const endless = lab.start(process.execPath, [
    ...[TUNWIRE, 'replay', fixture('kernel-download')],
    ...[...onto, '--loop', '0', '--json'],
  ]);
  const sent = async (): Promise<number> =>
    Number(await lab.ok('cat', [`/sys/class/net/${lab.tun}/statistics/rx_packets`]));
  const before = await sent();
  await lab.until('it plays', async () => (await sent()) > before + 1000 || endless.ended);
  endless.kill('SIGINT');
  t.is(await endless.exited, 130, endless.stderr);
  t.true((JSON.parse(endless.stdout) as { packets: number }).packets > 1000);
});

test('an interface that is down has refused the packets: exit code 1', async (t) => {
  const lab = await createLab(t);
  await lab.ok('ip', ['link', 'set', lab.tun, 'down']);
  const result = await play(
    lab,
    fixture('kernel-dns'),
    '--onto',
    `tun:${lab.tun}`,
    '--json',
    '--speed',
    'max',
  );
  t.is(result.code, 1, result.stderr);
  t.regex(result.stderr, /has refused \d+ packets; is it up.*ip link show/);
  const { packets: done, refused } = JSON.parse(result.stdout) as Record<string, number>;
  t.is(done, 0);
  t.is(refused, (await packets(lab, fixture('kernel-dns'))).length);
});
