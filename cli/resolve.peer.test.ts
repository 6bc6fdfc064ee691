// needs: tun dnsmasq
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { createLab, KERNEL_V4, KERNEL_V6 } from '../test/netns.ts';
import { startDnsmasq } from '../test/peers/servers.ts';
import { tunwire } from './testing/command.ts';

test('names by dnsmasq and by a hosts file, as dig writes them', async (t) => {
  const lab = await createLab(t);
  const records = ['--mx-host=lab.test,mail.lab.test,10', '--txt-record=lab.test,some text'];
  await startDnsmasq(lab, { 'www.lab.test': ['192.0.2.1', '2001:db8::1'] }, records);
  const dns = ['--dns', KERNEL_V4];
  const hosts = lab.file('own-hosts');
  writeFileSync(hosts, '192.0.2.7 printer\n');

  const cases: [string[], string][] = [
    [['www.lab.test', 'A', ...dns], 'www.lab.test.\t0\tIN\tA\t192.0.2.1\n'],
    [['www.lab.test', '-t', 'aaaa', '--short', '--dns', KERNEL_V6], '2001:db8::1\n'],
    [['lab.test', `@${KERNEL_V4}`, 'MX', '+short'], '10 mail.lab.test\n'],
    [
      ['lab.test', 'TXT', '--json', ...dns],
      '{"name":"lab.test","type":"TXT","ttlSeconds":0,"data":["some text"]}\n',
    ],
    [['-x', '192.0.2.1', '+short', ...dns], 'www.lab.test.\n'],
    [['printer', '--hosts', hosts], 'printer.\tIN\tA\t192.0.2.7\n'],
  ];
  for (const [args, expected] of cases) {
    const { code, stdout, stderr } = await tunwire(lab, 'resolve', args);
    t.deepEqual([code, stdout, stderr], [0, expected, ''], args.join(' '));
  }
  const none = await tunwire(lab, 'resolve', ['none.lab.test', ...dns]);
  t.deepEqual([none.code, none.stdout], [6, '']);
  const silent = ['www.lab.test', 'A', '@10.77.0.99', '--timeout', '0.3'];
  const late = await tunwire(lab, 'resolve', silent);
  t.deepEqual([late.code, late.stdout], [28, '']);
  t.is((await tunwire(lab, 'resolve', ['www.lab.test', '+nonsense', ...dns])).code, 2);
});
