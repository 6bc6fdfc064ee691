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
import { CLIENT, type KernelSession, SERVER } from './kernel-session.ts';
import { CABLE_SESSIONS } from './kernel-sessions.ts';
import { WIRE_SESSIONS } from './kernel-wire-sessions.ts';
import { describeOwn, OWN_SESSIONS, recordOwn } from './own-sessions.ts';

const FOLDER = import.meta.dirname;
/** They are kept in the repository. */
const MAX_FIXTURE_BYTES = 100_000;
const SESSION_SCRIPT = join(FOLDER, 'kernel-ends.ts');
const WIRE_SCRIPT = join(FOLDER, 'wire.ts');
const KERNEL_SESSIONS: readonly KernelSession[] = [...CABLE_SESSIONS, ...WIRE_SESSIONS];

function describe(name: string, description: Description): void {
  writeFileSync(join(FOLDER, `${name}.json`), `${JSON.stringify(description, null, 2)}\n`);
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Two namespaces with a link between them. */
class Link {
  readonly client: string = `tunwire-rec-${process.pid}-c`;
  readonly server: string = `tunwire-rec-${process.pid}-s`;
  readonly iface: string;
  readonly #session: KernelSession;
  #wire: ReturnType<typeof spawn> | null = null;

  constructor(session: KernelSession) {
    this.#session = session;
    this.iface = session.wire === undefined ? 'veth0' : 'tun0';
  }

  async open(): Promise<void> {
    for (const side of [this.client, this.server]) {
      ip('netns', 'add', side);
      for (const which of ['all', 'default'])
        this.inside(side, ['sysctl', '-qw', `net.ipv6.conf.${which}.accept_dad=0`]);
      this.inside(side, ['sysctl', '-qw', 'net.ipv6.conf.default.router_solicitations=0']);
    }
    if (this.#session.wire === undefined) this.#cable();
    else this.#tuns();
    for (const [side, end] of [
      [this.client, CLIENT],
      [this.server, SERVER],
    ] as const) {
      ip('-n', side, 'link', 'set', this.iface, 'addrgenmode', 'none');
      ip('-n', side, 'addr', 'add', `${end.v4}/24`, 'dev', this.iface);
      ip('-n', side, 'addr', 'add', `${end.v6}/64`, 'dev', this.iface, 'nodad');
      ip('-n', side, 'link', 'set', this.iface, 'up');
    }
    if (this.#session.wire === undefined) this.#greet();
  }

  /** Packets are not put together by the devices, unless that is what shall be shown: so they look as on a wire. */
  #cable(): void {
    const { client, server } = this;
    const peer = ['type', 'veth', 'peer', 'name', this.iface, 'netns', server];
    ip('-n', client, 'link', 'add', this.iface, ...peer);
    if (this.#session.offload === true) return;
    const off = ['tso', 'off', 'gso', 'off', 'gro', 'off', 'tx', 'off'];
    for (const side of [client, server]) this.inside(side, ['ethtool', '-K', this.iface, ...off]);
  }

  #tuns(): void {
    for (const side of [this.client, this.server]) {
      ip('-n', side, 'tuntap', 'add', this.iface, 'mode', 'tun');
    }
  }

  /** Begins to carry packets, when nothing but the session is left to come. */
  async join(): Promise<void> {
    const { wire } = this.#session;
    if (wire === undefined) return;
    const args = [WIRE_SCRIPT, this.client, this.server, JSON.stringify(wire)];
    this.#wire = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    await said(this.#wire.stdout!, 'ready');
  }

  /** A device without carrier, or an address that is not looked up yet, would hold the first packets back. */
  #greet(): void {
    const greeting =
      "const s=require('dgram').createSocket(process.argv[2]);s.send('?',9,process.argv[1],()=>s.close())";
    this.inside(this.client, [process.execPath, '-e', greeting, SERVER.v4, 'udp4']);
    this.inside(this.client, [process.execPath, '-e', greeting, SERVER.v6, 'udp6']);
  }

  inside(side: string, command: readonly string[]): void {
    execFileSync('ip', ['netns', 'exec', side, ...command], { stdio: ['ignore', 'ignore', 'ignore'] });
  }

  close(): void {
    this.#wire?.stdin?.end();
    for (const side of [this.client, this.server]) ip('netns', 'del', side);
  }
}

const ALLOWED = '/proc/sys/net/ipv4/tcp_allowed_congestion_control';

/** Namespaces may choose only what the machine allows them; what is missing is allowed for the time of the recording. */
function allowCongestionControl(name: string | undefined): () => void {
  const allowed = readFileSync(ALLOWED, 'utf8').trim();
  if (name === undefined || allowed.split(' ').includes(name)) return () => {};
  writeFileSync(ALLOWED, `${allowed} ${name}`);
  return () => writeFileSync(ALLOWED, allowed);
}

async function recordKernel(session: KernelSession): Promise<void> {
  const link = new Link(session);
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-record-'));
  const file = join(folder, 'session.pcap');
  const disallow = allowCongestionControl(session.sysctl?.['tcp_congestion_control']);
  try {
    await link.open();
    for (const [side, settings] of [
      [link.client, session.sysctl],
      [link.server, session.serverSysctl],
    ] as const)
      for (const [key, value] of Object.entries(settings ?? {}))
        link.inside(side, ['sysctl', '-qw', `net.ipv4.${key}=${value}`]);
    if (session.kind?.startsWith('tls') === true) makeCertificate(folder);
    const at = (side: string, command: readonly string[]): ReturnType<typeof spawn> =>
      spawn('ip', ['netns', 'exec', side, ...command], { stdio: ['pipe', 'pipe', 'pipe'] });
    const server = at(link.server, [process.execPath, SESSION_SCRIPT, 'server', session.name, folder]);
    await said(server.stdout!, 'ready');
    const dump = at(link.client, [
      'tcpdump',
      ...(session.tcpdump ?? ['-i', link.iface]),
      '-U',
      '--immediate-mode',
      // a ring of frames of the largest size would take eight of them
      '-s',
      session.offload === true ? '70000' : '2000',
      '-B',
      '16384',
      '-Z',
      'root',
      '-w',
      file,
      // over a cable neighbours are looked for, and the greeting is answered
      session.wire === undefined ? '(tcp or udp) and not udp port 9' : 'tcp or icmp or icmp6',
    ]);
    await said(dump.stderr!, 'listening');
    await link.join();
    const client = at(link.client, [process.execPath, SESSION_SCRIPT, 'client', session.name]);
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
      recorded: [
        `Linux ${execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim()}, kernel client and server in two namespaces`,
        ...sysctls,
        ...(session.wire === undefined ? [] : [`link ${JSON.stringify(session.wire)}`]),
      ].join(', '),
      shows: session.shows,
      replay: session.replay ?? {},
    });
  } finally {
    disallow();
    link.close();
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
