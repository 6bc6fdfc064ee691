// needs: tun openssl nginx dnsmasq unbound socat curl
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'ava';
import { createLab, KERNEL_V4, KERNEL_V6 } from './netns.ts';
import { makeCredentials } from './peers/credentials.ts';
import { patternDigest } from './peers/pattern.ts';
import {
  startDnsmasq,
  startNginx,
  startNodeServer,
  startOpenssl,
  startSocat,
  startUnbound,
} from './peers/servers.ts';

test('a lab has a TUN device with both families, ready at once', async (t) => {
  const lab = await createLab(t, { mtuBytes: 9000 });
  const [device] = JSON.parse(await lab.ok('ip', ['-json', 'addr', 'show', lab.tun]));
  t.is(device.mtu, 9000);
  t.deepEqual(
    device.addr_info.map((info: { local: string; tentative?: boolean }) => [info.local, info.tentative]),
    [
      [KERNEL_V4, undefined],
      [KERNEL_V6, undefined],
    ],
  );
  t.is(await lab.ok('cat', ['-'], { input: 'through' }), 'through');
  await t.throwsAsync(lab.ok('false', []), { message: /exit code 1/ });
  await t.throwsAsync(lab.run('sleep', ['60'], { timeoutMs: 50 }), { message: /not done after 50 ms/ });
});

test('labs do not see each other, and leave nothing behind', async (t) => {
  const cleanups: (() => Promise<void> | void)[] = [];
  const own = { teardown: (clean: () => Promise<void> | void): number => cleanups.push(clean) };
  const one = await createLab(own);
  const two = await createLab(own);
  const server = await startSocat(one, 7, ['TCP-LISTEN:7,fork', 'PIPE']);
  await startSocat(two, 7, ['TCP-LISTEN:7,fork', 'PIPE']);
  t.is(one.within(() => readFileSync('/proc/thread-self/net/dev', 'utf8')).includes('eth0'), false);
  for (const clean of cleanups) await clean();
  await server.exited;
  const names = readdirSync('/run/netns');
  t.false(names.includes(one.namespace));
  t.false(names.includes(two.namespace));
  t.false(existsSync(one.folder));
});

test('a lab is removed when its process is killed', async (t) => {
  const script = `
    import { createLab } from ${JSON.stringify(new URL('./netns.ts', import.meta.url).href)};
    const lab = await createLab({ teardown() {} });
    const sleeper = lab.start('sleep', ['1000']);
    console.log(JSON.stringify([lab.namespace, lab.folder, sleeper.child.pid]));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const [namespace, folder, pid] = JSON.parse(line);
  t.true(existsSync(join('/run/netns', namespace)));
  child.kill('SIGKILL');
  const lab = await createLab(t);
  await lab.until('the namespace is gone', () => !existsSync(join('/run/netns', namespace)));
  await lab.until('the folder is gone', () => !existsSync(folder));
  // where nobody reaps orphans, a killed process stays as a zombie without threads of its own
  t.true(!existsSync(`/proc/${pid}`) || / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
});

test('the servers answer', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, ['www.lab.test', KERNEL_V4, KERNEL_V6]);
  const hosts = { 'www.lab.test': [KERNEL_V4, KERNEL_V6] };
  await startNginx(lab, credentials, { 'hello.txt': 'hello from nginx' });
  const openssl = await startOpenssl(lab, 4433, credentials, ['-www']);
  await startNodeServer(lab, 5001, 'source', { bytes: 200_000, credentials });
  const sink = await startNodeServer(lab, 5002, 'sink');
  const curl = (...args: string[]): Promise<string> =>
    lab.ok('curl', ['-sS', '--cacert', credentials.caFile, '--max-time', '10', ...args]);
  t.is(await curl(`http://${KERNEL_V4}/hello.txt`), 'hello from nginx');
  t.is(await curl(`https://[${KERNEL_V6}]/hello.txt`), 'hello from nginx');
  t.is(
    await curl('--resolve', `www.lab.test:443:${KERNEL_V4}`, 'https://www.lab.test/hello.txt'),
    'hello from nginx',
  );
  t.regex(await curl(`https://${KERNEL_V4}:4433/`), /TLSv1\.3/);
  t.regex(await curl(`https://[${KERNEL_V6}]:4433/`), /TLSv1\.3/);
  t.false(openssl.ended);
  const tls = await lab.run('socat', ['-u', `OPENSSL:${KERNEL_V4}:5001,cafile=${credentials.caFile}`, '-']);
  t.is(tls.code, 0, tls.stderr);
  await lab.ok('sh', ['-c', `printf abc | socat - TCP:${KERNEL_V4}:5002`]);
  await lab.until('the sink has counted', () => sink.stdout !== '');
  t.is(sink.stdout, '3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n');
  t.is(patternDigest(3).length, 64);

  const dnsmasq = await startDnsmasq(lab, hosts);
  t.regex(await query(lab, 'www.lab.test'), /10\.77\.0\.1/);
  await dnsmasq.stop();
  await startUnbound(lab, hosts);
  t.regex(await query(lab, 'www.lab.test'), /10\.77\.0\.1/);
});

/** Asks the name server in the lab with node:dns. */
function query(lab: Awaited<ReturnType<typeof createLab>>, name: string): Promise<string> {
  const script = `
    const resolver = new (require('node:dns').promises.Resolver)({ timeout: 2000, tries: 2 });
    resolver.setServers(['${KERNEL_V4}']);
    resolver.resolve4('${name}').then((found) => console.log(found.join(' ')));`;
  return lab.ok(process.execPath, ['-e', script]);
}
