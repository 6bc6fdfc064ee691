import test from 'ava';
import { fc } from '../../test/properties.ts';
import { IpAddress } from '../wire/ip-address.ts';
import type { AddressLiteral } from './host-name.ts';
import { HostsFile, MAX_REVERSE_NAMES, MAX_SKIPPED_LINES_KEPT } from './hosts-file.ts';

const texts = (found: readonly AddressLiteral[]): string[] => found.map(({ address }) => String(address));

test('names, aliases, comments, both families, line ends of both kinds', (t) => {
  const hosts = HostsFile.parse(
    '\ufeff# a comment\r\n' +
      '192.0.2.1\tdut.lab. Dut # the device\r\n' +
      '\n   \t\n' +
      '2001:DB8::1   DUT.lab\n' +
      '192.0.2.2 other#comment without a blank',
  );
  t.deepEqual(texts(hosts.lookup('dut.lab')), ['192.0.2.1', '2001:db8::1']);
  t.deepEqual(texts(hosts.lookup('DUT.LAB.')), ['192.0.2.1', '2001:db8::1']);
  t.deepEqual(texts(hosts.lookup('dut')), ['192.0.2.1']);
  t.deepEqual(texts(hosts.lookup('other')), ['192.0.2.2']);
  t.deepEqual(hosts.lookup('comment'), []);
  t.is(hosts.size, 3);
  t.is(hosts.skippedCount, 0);
});

test('reverse gives the canonical name first', (t) => {
  const hosts = HostsFile.parse('192.0.2.1 a.lab a\n192.0.2.1 b.lab\n');
  const address = IpAddress.parse('192.0.2.1');
  t.deepEqual(hosts.reverse(address!), ['a.lab', 'a', 'b.lab']);
  t.deepEqual(hosts.reverse(IpAddress.parse('192.0.2.9')!), []);
});

test('an equal address is kept once', (t) => {
  const hosts = HostsFile.parse('::1 x\n0:0::1 x\n');
  t.deepEqual(texts(hosts.lookup('x')), ['::1']);
});

test('lines that cannot be used are skipped with their reason', (t) => {
  const hosts = HostsFile.parse(
    '2001:db8::1%lo0 localhost\nexample.com 192.0.2.1\n192.0.2.7\n192.0.2.300 x\n192.0.2.1 ok',
  );
  t.deepEqual(
    hosts.skipped.map((each) => each.line),
    [1, 2, 3, 4],
  );
  t.regex(hosts.skipped[0]!.reason, /zone/);
  t.regex(hosts.skipped[1]!.reason, /not an IP address: example\.com/);
  t.regex(hosts.skipped[2]!.reason, /no name/);
  t.deepEqual(texts(hosts.lookup('ok')), ['192.0.2.1']);
  t.deepEqual(hosts.lookup('localhost'), []);
});

test('a link-local address has its zone', (t) => {
  const hosts = HostsFile.parse('fe80::1%eth0 dut\nfe80::1%eth1 dut\nfe80::1%eth0 dut');
  t.deepEqual(
    hosts.lookup('dut').map(({ address, zone }) => `${address} ${zone}`),
    ['fe80::1 eth0', 'fe80::1 eth1'],
  );
  t.deepEqual(hosts.reverse(hosts.lookup('dut')[0]!.address), ['dut']);
});

test('what is kept about bad lines and block lists is bounded', (t) => {
  const bad = HostsFile.parse('x y\n'.repeat(MAX_SKIPPED_LINES_KEPT + 50));
  t.is(bad.skippedCount, MAX_SKIPPED_LINES_KEPT + 50);
  t.is(bad.skipped.length, MAX_SKIPPED_LINES_KEPT);
  const names = Array.from({ length: 1000 }, (_, i) => `0.0.0.0 ad${i}.example`).join('\n');
  const blocked = HostsFile.parse(names);
  t.is(blocked.size, 1000);
  t.is(blocked.reverse(IpAddress.v4(0)).length, MAX_REVERSE_NAMES);
});

test('100,000 lines are read in one pass', (t) => {
  const lines: string[] = [];
  for (let i = 0; i < 100_000; i++)
    lines.push(`10.${i >>> 16}.${(i >>> 8) & 255}.${i & 255}\thost${i}.lab host${i}\n`);
  const text = lines.join('');
  const before = process.threadCpuUsage();
  const hosts = HostsFile.parse(text);
  const { user, system } = process.threadCpuUsage(before);
  const elapsed = (user + system) / 1000;
  t.is(hosts.size, 200_000);
  t.deepEqual(texts(hosts.lookup('host99999')), ['10.1.134.159']);
  t.true(elapsed < 3000, `took ${elapsed} ms of this thread's time`);
});

test('any text is survived, and what is written is found again', (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      HostsFile.parse(text);
    }),
  );
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
  const entry = fc.record({ word: fc.integer(), names: fc.array(name, { minLength: 1, maxLength: 4 }) });
  fc.assert(
    fc.property(fc.array(entry), (entries) => {
      const text = entries.map((each) => `${IpAddress.v4(each.word)} ${each.names.join(' ')}`).join('\n');
      const hosts = HostsFile.parse(text);
      for (const each of entries) {
        for (const one of each.names)
          t.true(
            hosts.lookup(one.toUpperCase()).some(({ address }) => address.equals(IpAddress.v4(each.word))),
          );
      }
    }),
  );
});
