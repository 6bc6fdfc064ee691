// needs: tun dnsmasq unbound named nsd
import test from 'ava';
import type { ResolverOptions } from '../engine/options.ts';
import { createLab, KERNEL_V4, KERNEL_V6, type Lab, OWN_ADDRESSES } from '../test/netns.ts';
import { makeCredentials } from '../test/peers/credentials.ts';
import { type Hosts, startDnsmasq, startNamed, startNsd, startUnbound } from '../test/peers/servers.ts';
import { createStack, type NetStack } from './stack.ts';

/** More addresses than fit a UDP answer of 1,232 bytes. */
const MANY: readonly string[] = Array.from({ length: 100 }, (_, i) => `10.1.1.${i + 1}`);
const HOSTS: Hosts = {
  'www.lab.test': ['10.1.0.1', 'fd01::1'],
  'four.lab.test': ['10.1.0.4'],
  'many.lab.test': MANY,
};

/** Runs `body` with a stack of its own on the lab's device. */
async function withStack<T>(
  lab: Lab,
  resolver: ResolverOptions,
  body: (stack: NetStack) => Promise<T>,
): Promise<T> {
  const options = { device: `tun:${lab.tun}`, addresses: OWN_ADDRESSES };
  const stack = await lab.within(() =>
    createStack({ ...options, resolver: { hostsFile: null, ...resolver } }),
  );
  try {
    return await body(stack);
  } finally {
    await stack.close();
  }
}

/** The addresses of a name, or the code of the error. */
async function addresses(stack: NetStack, name: string, family: 0 | 4 | 6 = 0): Promise<string> {
  try {
    return (await stack.resolve(name, { family })).map((each) => each.address).join(' ');
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

const peers: readonly (readonly [string, (lab: Lab) => Promise<unknown>])[] = [
  ['dnsmasq', (lab) => startDnsmasq(lab, HOSTS)],
  ['unbound', (lab) => startUnbound(lab, HOSTS)],
  ['named', (lab) => startNamed(lab, HOSTS)],
  ['nsd', (lab) => startNsd(lab, HOSTS)],
];

for (const [name, start] of peers) {
  test(`${name}: addresses of both families, none, no such name, and what only fits TCP`, async (t) => {
    const lab = await createLab(t);
    await start(lab);
    await withStack(lab, { servers: [KERNEL_V4, KERNEL_V6] }, async (stack) => {
      t.is(await addresses(stack, 'www.lab.test'), '10.1.0.1 fd01::1');
      t.is(await addresses(stack, 'four.lab.test', 6), 'ENODATA');
      t.is(await addresses(stack, 'nowhere.lab.test'), 'ENOTFOUND');
      const many = (await addresses(stack, 'many.lab.test', 4)).split(' ');
      t.true(many.length > 10 && many.every((each) => MANY.includes(each)), String(many));
    });
    await withStack(lab, { servers: [KERNEL_V6], search: ['lab.test'] }, async (stack) => {
      t.is(await addresses(stack, 'four'), '10.1.0.4');
    });
  });
}

test('unbound over TLS: the right name, the wrong one, an authority we do not know, and whoever answers', async (t) => {
  const lab = await createLab(t);
  const { caFile, certFile, keyFile } = makeCredentials(lab.folder, ['dns.lab.test', KERNEL_V4]);
  await startUnbound(lab, HOSTS, [
    'interface: 0.0.0.0@853',
    `tls-service-key: "${keyFile}"`,
    `tls-service-pem: "${certFile}"`,
  ]);
  const ask = (resolver: ResolverOptions): Promise<string> =>
    withStack(lab, { attempts: 1, ...resolver }, (stack) => addresses(stack, 'four.lab.test', 4));
  t.is(await ask({ caFile, servers: [`tls://dns.lab.test@${KERNEL_V4}`] }), '10.1.0.4');
  t.is(await ask({ caFile, servers: [`tls://${KERNEL_V4}#853`] }), '10.1.0.4', 'by the address');
  t.is(await ask({ caFile, servers: [`tls://other.lab.test@${KERNEL_V4}`] }), 'EAI_AGAIN');
  t.is(await ask({ servers: [`tls://dns.lab.test@${KERNEL_V4}`] }), 'EAI_AGAIN', 'not our authority');
  t.is(await ask({ opportunisticTls: true, servers: [KERNEL_V4] }), '10.1.0.4');
  t.is(await ask({ caFile, servers: [`tls://dns.lab.test@${KERNEL_V6}`] }), 'EAI_AGAIN', 'no TLS there');
  t.is(
    await ask({ opportunisticTls: true, servers: [KERNEL_V6] }),
    '10.1.0.4',
    'plain, where there is no TLS',
  );
});

const RECORDS: readonly string[] = [
  '@ 60 IN MX 10 mail',
  '@ 60 IN TXT "v=spf1 -all" "second"',
  '_sip._udp 60 IN SRV 1 2 5060 sip',
  '@ 60 IN CAA 0 issue "ca.test"',
  'svc 60 IN HTTPS 1 . alpn=h2,h3 port=8443 ipv4hint=10.1.0.1',
  'key 60 IN TYPE65280 \\# 2 0102',
];

for (const [name, start] of [
  ['named', startNamed],
  ['nsd', startNsd],
] as const) {
  test(`${name}: records of other types`, async (t) => {
    const lab = await createLab(t);
    await start(lab, HOSTS, RECORDS);
    await withStack(lab, { servers: [KERNEL_V4] }, async (stack) => {
      const data = async (host: string, type: string): Promise<unknown> =>
        (await stack.resolve(host, { type })).map((record) => record.data);
      t.deepEqual(await data('lab.test', 'MX'), [{ preference: 10, exchange: 'mail.lab.test' }]);
      t.deepEqual(await data('lab.test', 'txt'), [['v=spf1 -all', 'second']]);
      t.deepEqual(await data('_sip._udp.lab.test', 'SRV'), [
        { priority: 1, weight: 2, port: 5060, target: 'sip.lab.test' },
      ]);
      t.like(((await data('lab.test', 'CAA')) as object[])[0], { tag: 'issue', value: 'ca.test' });
      t.deepEqual(await data('svc.lab.test', 'HTTPS'), [
        { priority: 1, target: '.', alpn: ['h2', 'h3'], port: 8443, ipv4hint: ['10.1.0.1'] },
      ]);
      t.deepEqual(await data('key.lab.test', 'TYPE65280'), ['0102']);
      await t.throwsAsync(stack.resolve('four.lab.test', { type: 'MX' }), { code: 'ENODATA' });
      await t.throwsAsync(stack.resolve('four.lab.test', { type: 'BANANA' }), { code: 'EINVAL' });
    });
  });
}

test('dnsmasq: the names of addresses', async (t) => {
  const lab = await createLab(t);
  await startDnsmasq(lab, HOSTS);
  await withStack(lab, { servers: [KERNEL_V4] }, async (stack) => {
    t.deepEqual(await stack.reverse('10.1.0.4'), ['four.lab.test']);
    t.deepEqual(await stack.reverse('fd01::1'), ['www.lab.test']);
    await t.throwsAsync(stack.reverse('10.9.9.9'));
  });
});
