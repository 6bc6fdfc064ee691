// needs: openssl
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { issueCa, issueServer } from '../tls/testing/certificates.ts';
import {
  INET_OPTION_SECURE,
  INET_OPTION_TRUSTEDSITE,
  INET_PROTOCOL_TCP,
  INVALID_SOCKET,
  InetConnect,
  InetDisconnect,
  InetGetErrorString,
  InetGetLastError,
  InetGetSecurityInformation,
  InetInitialize,
  InetRead,
  InetUninitialize,
  InetWrite,
  MemorySessionStore,
  SECURITY_CERTIFICATE_VALID,
  SECURITY_RESUMPTION_EARLY_DATA,
  SECURITY_RESUMPTION_NONE,
  SECURITY_RESUMPTION_SESSION,
  type SECURITYCREDENTIALS,
  SECURITYINFO,
} from './index.ts';
import { type Peer, PeerPort, startPeer } from './testing/peer.ts';

const TIMEOUT_S = 30;
/** Only a server that hangs takes so long. */
const WAIT_MS = 60_000;
const folder: string = mkdtempSync(join(tmpdir(), 'tunwire-sessions-'));
let peer: Peer;
let server: ChildProcess;
let output = '';

// openssl s_server on the kernel's loopback, to which the peer's stack passes connections on
test.before(async () => {
  const times = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
  const ca = issueCa('sessions', times);
  const leaf = issueServer(['peer.test'], ca, times);
  const [caFile, serverFile] = [join(folder, 'ca.pem'), join(folder, 'server.pem')];
  writeFileSync(caFile, ca.pem);
  writeFileSync(serverFile, `${leaf.pem}${leaf.privateKey.export({ type: 'pkcs8', format: 'pem' })}`);
  server = spawn('openssl', [
    ...['s_server', '-accept', '127.0.0.1:0', '-early_data'],
    ...['-cert', serverFile, '-key', serverFile, '-cert_chain', caFile],
  ]);
  server.stderr?.resume();
  server.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString('latin1');
  });
  await until(() => /ACCEPT \S+:\d+/.test(output));
  peer = await startPeer(undefined, Number(/ACCEPT \S+:(\d+)/.exec(output)?.[1]));
  const started = InetInitialize({
    device: peer.end,
    addresses: ['192.0.2.2/24'],
    resolver: { servers: ['192.0.2.1'], hostsFile: null },
    caFile,
  });
  if (!started) throw new Error(InetGetErrorString(InetGetLastError()));
});

test.after.always(async () => {
  InetUninitialize();
  server?.kill();
  await peer?.stop();
  rmSync(folder, { recursive: true });
});

async function until(condition: () => boolean): Promise<void> {
  for (const end = performance.now() + WAIT_MS; !condition(); ) {
    if (performance.now() > end) throw new Error(`the server says: ${output}`);
    await sleep(5);
  }
}

let rounds = 0;

/** Connects, exchanges a line with the server, and ends. */
async function visit(credentials: SECURITYCREDENTIALS, options = 0): Promise<SECURITYINFO> {
  const round = `round ${++rounds}\n`;
  const secure = INET_OPTION_SECURE | options;
  const all = { ...credentials, earlyData: credentials.earlyData ? Buffer.from(`early ${round}`) : null };
  const socket = InetConnect('peer.test', PeerPort.Bridge, INET_PROTOCOL_TCP, TIMEOUT_S, secure, all);
  if (socket === INVALID_SOCKET) throw new Error(InetGetErrorString(InetGetLastError()));
  const info = new SECURITYINFO();
  InetGetSecurityInformation(socket, info);
  InetWrite(socket, Buffer.from(`late ${round}`));
  await until(() => output.includes(`late ${round}`));
  // what the server says comes behind its tickets
  server.stdin?.write(round);
  const buffer = new Uint8Array(100);
  for (let taken = 0; taken < round.length; ) taken += InetRead(socket, buffer.subarray(taken));
  const before = output.split('DONE').length;
  InetDisconnect(socket);
  await until(() => output.split('DONE').length > before);
  return info;
}

/** How often the server got the early data of the last visit. */
const earlyCount = (): number => output.split(`early round ${rounds}\n`).length - 1;

test.serial(
  'sessions: a later connection resumes; what was not verified never passes for verified',
  async (t) => {
    const sessions = new MemorySessionStore();
    const first = await visit({ sessions });
    t.is(first.dwResumption, SECURITY_RESUMPTION_NONE);
    // the server sends its certificate and the authority's
    t.is(first.certificates.length, 2);
    const second = await visit({ sessions });
    t.is(second.dwResumption, SECURITY_RESUMPTION_SESSION);
    t.is(second.dwCertStatus, SECURITY_CERTIFICATE_VALID);
    t.deepEqual(second.certificates, first.certificates);
    t.is((await visit({ sessions }, INET_OPTION_TRUSTEDSITE)).dwResumption, SECURITY_RESUMPTION_NONE);
    t.is((await visit({})).dwResumption, SECURITY_RESUMPTION_NONE);
  },
);

test.serial(
  'earlyData: before the answer with a session, else after it; the server gets it once',
  async (t) => {
    const credentials = { sessions: new MemorySessionStore(), earlyData: new Uint8Array(1) };
    const first = await visit(credentials);
    t.is(first.dwResumption, SECURITY_RESUMPTION_NONE);
    t.is(earlyCount(), 1);
    const second = await visit(credentials);
    t.is(second.dwResumption, SECURITY_RESUMPTION_EARLY_DATA);
    t.is(earlyCount(), 1);
  },
);
