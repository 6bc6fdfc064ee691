// needs: tun dnsmasq
import { resolve } from 'node:path';
import test from 'ava';
import {
  createLab,
  ETHERNET_NAME,
  ETHERNET_V4,
  joinByEthernet,
  KERNEL_V4,
  OWN_V4,
  OWN_V6,
  PEER_V4,
} from '../test/netns.ts';
import { makeCredentials } from '../test/peers/credentials.ts';
import { startDnsmasq, startNodeServer } from '../test/peers/servers.ts';

const INET = JSON.stringify(resolve(import.meta.dirname, 'index.ts'));

test('a main thread blocks, on an engine that the environment describes', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, ['peer.lab.test']);
  await startDnsmasq(lab, { 'peer.lab.test': [KERNEL_V4] });
  await startNodeServer(lab, 7000, 'echo', { credentials });
  const script = `
    import * as inet from ${INET};
    let turns = 0;
    setInterval(() => turns++, 1).unref();
    if (!inet.InetInitialize()) throw new Error(inet.InetGetErrorString(inet.InetGetLastError()));
    const socket = inet.InetConnect('peer.lab.test', 7000, inet.INET_PROTOCOL_TCP, 5, inet.INET_OPTION_SECURE, null);
    if (socket === inet.INVALID_SOCKET) throw new Error(inet.InetGetErrorString(inet.InetGetLastError()));
    inet.InetWrite(socket, Buffer.from('there and back'));
    const buffer = Buffer.alloc(100);
    const length = inet.InetRead(socket, buffer);
    const closed = inet.InetDisconnect(socket);
    inet.InetUninitialize();
    console.log(JSON.stringify([buffer.toString('latin1', 0, length), closed, turns]));`;
  const result = await lab.run(process.execPath, ['--input-type=module', '-e', script], {
    env: {
      TUNWIRE_DEVICE: `tun:${lab.tun}`,
      TUNWIRE_ADDR: `${OWN_V4}/24,${OWN_V6}/64`,
      TUNWIRE_GATEWAY: KERNEL_V4,
      TUNWIRE_DNS: KERNEL_V4,
      TUNWIRE_CAFILE: credentials.caFile,
    },
  });
  t.is(result.stderr, '');
  // the event loop had no turn: every call blocked
  t.deepEqual(JSON.parse(result.stdout), ['there and back', 0, 0]);
  t.is(result.code, 0);
});

test('a process that ends while its threads are blocked ends at once', async (t) => {
  const lab = await createLab(t);
  await startNodeServer(lab, 7000, 'silent');
  const worker = `
    const inet = await import(${INET});
    const { parentPort } = await import('node:worker_threads');
    inet.InetInitialize();
    const socket = inet.InetConnect('${KERNEL_V4}', 7000, inet.INET_PROTOCOL_TCP, 0, 0, null);
    parentPort.postMessage(socket);
    inet.InetRead(socket, new Uint8Array(1));
    parentPort.postMessage('not reached');`;
  const script = `
    import { once } from 'node:events';
    import { Worker } from 'node:worker_threads';
    import * as inet from ${INET};
    inet.InetInitialize();
    const workers = [];
    for (let i = 0; i < 3; i++) workers.push(new Worker(${JSON.stringify(worker)}, { eval: true }));
    const handles = await Promise.all(workers.map((worker) => once(worker, 'message')));
    for (const [handle] of handles)
      while (inet.InetGetStatus(handle) !== inet.INET_STATUS_READ) await new Promise((done) => setImmediate(done));
    await workers[0].terminate();
    console.log('one terminated');
    process.exit(7);`;
  const run = lab.start(process.execPath, ['--input-type=module', '-e', script], {
    env: { TUNWIRE_DEVICE: `tun:${lab.tun}`, TUNWIRE_ADDR: `${OWN_V4}/24` },
  });
  await lab.until('all blocked', () => run.ended || run.stdout.includes('one terminated'));
  const endedAt = performance.now();
  t.is(await run.exited, 7, run.stderr);
  t.true(performance.now() - endedAt < 20_000);
});

test('a child process inherits nothing: no descriptor, and no hold on the connection', async (t) => {
  const lab = await createLab(t);
  await startNodeServer(lab, 7000, 'sink');
  const script = `
    import { spawn } from 'node:child_process';
    import { readdirSync, readlinkSync } from 'node:fs';
    import * as inet from ${INET};
    inet.InetInitialize();
    const socket = inet.InetConnect('${KERNEL_V4}', 7000, inet.INET_PROTOCOL_TCP, 5, inet.INET_OPTION_NOINHERIT, null);
    inet.InetWrite(socket, Buffer.from('hello'));
    const child = spawn('sh', ['-c', 'ls -l /proc/self/fd; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let listing = '';
    for await (const chunk of child.stdout) {
      listing += chunk;
      if (/total/.test(listing)) break;
    }
    // the child lives on; the connection ends all the same
    inet.InetDisconnect(socket);
    const own = readdirSync('/proc/self/fd').map((fd) => { try { return readlinkSync('/proc/self/fd/' + fd); } catch { return ''; } });
    console.log(JSON.stringify({ listing, own }));
    inet.InetUninitialize();
    child.kill('SIGKILL');`;
  const run = await lab.run(process.execPath, ['--input-type=module', '-e', script], {
    env: { TUNWIRE_DEVICE: `tun:${lab.tun}`, TUNWIRE_ADDR: `${OWN_V4}/24` },
  });
  t.is(run.code, 0, run.stderr);
  const { listing, own } = JSON.parse(run.stdout) as { listing: string; own: string[] };
  t.true(own.includes('/dev/net/tun'), 'the engine has the device');
  t.false(listing.includes('/dev/net/tun'), listing);
});

test('a neighbour that is not there, and a device that is taken away', async (t) => {
  const lab = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(lab, peer);
  await startNodeServer(peer, 7000, 'echo');
  const script = `
    import * as inet from ${INET};
    const code = () => Object.entries(inet.INET_ERRORS).find(([, row]) => row.number === inet.InetGetLastError())?.[0];
    inet.InetInitialize();
    const nobody = inet.InetConnect('10.78.0.77', 80, inet.INET_PROTOCOL_UDP, 20, 0, null);
    inet.InetWrite(nobody, Buffer.from('hello?'));
    inet.InetRead(nobody, new Uint8Array(1));
    console.log(code());
    const socket = inet.InetConnect('${PEER_V4}', 7000, inet.INET_PROTOCOL_TCP, 20, 0, null);
    console.log(socket !== inet.INVALID_SOCKET);
    inet.InetRead(socket, new Uint8Array(1));
    console.log(code());`;
  const run = lab.start(process.execPath, ['--input-type=module', '-e', script], {
    env: { TUNWIRE_DEVICE: `raw:${ETHERNET_NAME}`, TUNWIRE_ADDR: `${ETHERNET_V4}/24` },
  });
  await lab.until('connected', () => run.ended || run.stdout.includes('true'));
  await lab.ok('ip', ['link', 'del', ETHERNET_NAME]);
  await run.exited;
  t.deepEqual(run.stdout.trim().split('\n'), ['HOST_UNREACHABLE', 'true', 'DEVICE_LOST'], run.stderr);
});
