/**
 * Records the captures in this folder again: `node pcap-fixtures/record.ts [NAME…]`. Those whose name begins with `kernel` are sessions of
 * the Linux kernel's client in a network namespace and need root, ip and tcpdump; those that begin with `own` are ours, in
 * virtual time, and are the same every time.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Description } from './description.ts';
import { CLIENT, KERNEL_SESSIONS, type KernelSession, SERVER } from './kernel-sessions.ts';
import { describeOwn, OWN_SESSIONS, recordOwn } from './own-sessions.ts';

const FOLDER = import.meta.dirname;
/** They are kept in the repository. */
const MAX_FIXTURE_BYTES = 100_000;
const SESSION_SCRIPT = join(FOLDER, 'kernel-sessions.ts');

function describe(name: string, description: Description): void {
  writeFileSync(join(FOLDER, `${name}.json`), `${JSON.stringify(description, null, 2)}\n`);
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Two namespaces with a cable between them; packets are not put together by the devices, so that they look as on a wire. */
class Cable {
  readonly client: string = `tunwire-rec-${process.pid}-c`;
  readonly server: string = `tunwire-rec-${process.pid}-s`;

  open(): void {
    for (const side of [this.client, this.server]) ip('netns', 'add', side);
    ip(
      '-n',
      this.client,
      'link',
      'add',
      'veth0',
      'type',
      'veth',
      'peer',
      'name',
      'veth0',
      'netns',
      this.server,
    );
    for (const [side, end] of [
      [this.client, CLIENT],
      [this.server, SERVER],
    ] as const) {
      this.inside(side, [
        'sysctl',
        '-qw',
        'net.ipv6.conf.all.accept_dad=0',
        'net.ipv6.conf.default.accept_dad=0',
      ]);
      this.inside(side, ['sysctl', '-qw', 'net.ipv6.conf.default.router_solicitations=0']);
      this.inside(side, ['ethtool', '-K', 'veth0', 'tso', 'off', 'gso', 'off', 'gro', 'off', 'tx', 'off']);
      ip('-n', side, 'link', 'set', 'veth0', 'addrgenmode', 'none');
      ip('-n', side, 'addr', 'add', `${end.v4}/24`, 'dev', 'veth0');
      ip('-n', side, 'addr', 'add', `${end.v6}/64`, 'dev', 'veth0', 'nodad');
      ip('-n', side, 'link', 'set', 'veth0', 'up');
    }
    // a device without carrier, or an address that is not looked up yet, would hold the first packets back
    const greeting =
      "const s=require('dgram').createSocket(process.argv[2]);s.send('?',9,process.argv[1],()=>s.close())";
    this.inside(this.client, [process.execPath, '-e', greeting, SERVER.v4, 'udp4']);
    this.inside(this.client, [process.execPath, '-e', greeting, SERVER.v6, 'udp6']);
  }

  inside(side: string, command: readonly string[]): void {
    execFileSync('ip', ['netns', 'exec', side, ...command], { stdio: ['ignore', 'ignore', 'ignore'] });
  }

  close(): void {
    for (const side of [this.client, this.server]) ip('netns', 'del', side);
  }
}

async function recordKernel(session: KernelSession): Promise<void> {
  const cable = new Cable();
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-record-'));
  const file = join(folder, 'session.pcap');
  try {
    cable.open();
    for (const [side, settings] of [
      [cable.client, session.sysctl],
      [cable.server, session.serverSysctl],
    ] as const)
      for (const [key, value] of Object.entries(settings ?? {}))
        cable.inside(side, ['sysctl', '-qw', `net.ipv4.${key}=${value}`]);
    if (session.kind === 'tls') makeCertificate(folder);
    const at = (side: string, command: readonly string[]): ReturnType<typeof spawn> =>
      spawn('ip', ['netns', 'exec', side, ...command], { stdio: ['pipe', 'pipe', 'pipe'] });
    const server = at(cable.server, [process.execPath, SESSION_SCRIPT, 'server', session.name, folder]);
    await said(server.stdout!, 'ready');
    const dump = at(cable.client, [
      'tcpdump',
      '-i',
      'veth0',
      '-U',
      '--immediate-mode',
      '-s',
      '0',
      '-Z',
      'root',
      '-w',
      file,
      '(tcp or udp) and not udp port 9',
    ]);
    await said(dump.stderr!, 'listening');
    const client = at(cable.client, [process.execPath, SESSION_SCRIPT, 'client', session.name]);
    client.stderr!.pipe(process.stderr);
    await new Promise((done) => client.once('exit', done));
    await sleep(300);
    const ended = new Promise((done) => dump.once('exit', done));
    dump.kill('SIGINT');
    await ended;
    server.stdin!.end();
    await new Promise((done) => server.once('exit', done));
    keep(session.name, 'pcap', readFileSync(file));
    const sysctls = Object.entries({ ...session.sysctl, ...session.serverSysctl }).map(
      ([k, v]) => `${k}=${v}`,
    );
    describe(session.name, {
      what: session.what,
      recorded: `Linux ${execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim()}, kernel client and server in two namespaces${
        sysctls.length > 0 ? `, ${sysctls.join(', ')}` : ''
      }`,
      shows: session.shows,
      replay: session.replay ?? {},
    });
  } finally {
    cable.close();
    rmSync(folder, { recursive: true });
  }
}

function makeCertificate(folder: string): void {
  const subject = ['-subj', '/CN=fixture.test', '-days', '3650', '-nodes'];
  const keys = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
  execFileSync('openssl', ['req', '-x509', ...keys, ...subject, ...files], { stdio: 'ignore' });
}

function said(stream: NodeJS.ReadableStream, word: string): Promise<void> {
  return new Promise((done) => {
    let text = '';
    stream.on('data', (data) => {
      text += String(data);
      if (text.includes(word)) done();
    });
  });
}

function keep(name: string, extension: string, bytes: Uint8Array): void {
  if (bytes.length > MAX_FIXTURE_BYTES)
    throw new Error(`${name}: ${bytes.length} bytes are too many for a fixture`);
  writeFileSync(join(FOLDER, `${name}.${extension}`), bytes);
}

const chosen = process.argv.slice(2);
const isChosen = ({ name }: { name: string }): boolean => chosen.length === 0 || chosen.includes(name);
for (const session of OWN_SESSIONS.filter(isChosen)) {
  const file = join(FOLDER, `${session.name}.pcapng`);
  recordOwn(session, file);
  describe(session.name, describeOwn(session));
  console.log(`${session.name}: ${statSync(file).size} bytes`);
}
for (const session of KERNEL_SESSIONS.filter(isChosen)) {
  await recordKernel(session);
  console.log(`${session.name}: ${statSync(join(FOLDER, `${session.name}.pcap`)).size} bytes`);
}
