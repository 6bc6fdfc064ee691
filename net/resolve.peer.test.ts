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
