import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import {
  INET_ERROR,
  INET_ERRORS,
  INET_OPTION_SECURE,
  INET_OPTION_TRUSTEDSITE,
  INET_PROTOCOL_TCP,
  INET_PROTOCOL_UDP,
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
  type InitializeOptions,
  SECURITY_CERTIFICATE_EXPIRED,
  SECURITY_CERTIFICATE_INVALID,
  SECURITY_CERTIFICATE_NOMATCH,
  SECURITY_CERTIFICATE_REVOKED,
  SECURITY_CERTIFICATE_UNTRUSTED,
  SECURITY_CERTIFICATE_VALID,
  SECURITYINFO,
} from './index.ts';
import { lastCode } from './testing/bench.ts';
import { PeerPort, startPeer } from './testing/peer.ts';

const SECURE = INET_OPTION_SECURE;
const Tcp = INET_PROTOCOL_TCP;

/** An engine for one test, and a peer: an end of a memory link is used once. */
async function withEngine(options: Partial<InitializeOptions>, body: () => void): Promise<void> {
  const peer = await startPeer();
  try {
    const started = InetInitialize({
      device: peer.end,
      addresses: ['192.0.2.2/24', '2001:db8::2/64'],
      resolver: { servers: ['192.0.2.1'], hostsFile: null, timeoutMs: 100, attempts: 1 },
      caFile: peer.caFile,
      crlFile: peer.crlFile,
      ...options,
    });
    if (!started) throw new Error(InetGetErrorString(InetGetLastError()));
    body();
  } finally {
    InetUninitialize();
    await peer.stop();
  }
}

function connecting(host: string, port: number, options = 0, timeout = 5): string {
  const socket = InetConnect(host, port, Tcp, timeout, options);
  if (socket === INVALID_SOCKET) return lastCode();
  InetDisconnect(socket);
  return 'connected';
}

test.serial('name servers: silent, broken, none', async (t) => {
  await withEngine({}, () => {
    t.is(connecting('silent.test', 80, 0, 0), 'DNS_TIMEOUT');
    t.is(connecting('broken.test', 80), 'DNS_FAILURE');
  });
  const alone = { resolver: { servers: [], hostsFile: null } };
  await withEngine(alone, () => t.is(connecting('peer.test', 80), 'DNS_NO_SERVER'));
});

test.serial('a defect ends the engine, and is told to who waits', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-inet-hook-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const module = join(folder, 'defect.mjs');
  writeFileSync(module, 'export const createPacketHook = () => () => { throw new Error("a defect"); };');
  await withEngine({ packetHook: { module } }, () => {
    t.is(connecting('192.0.2.1', PeerPort.Echo), 'INTERNAL');
    t.regex(InetGetErrorString(InetGetLastError()), /^a defect in tunwire: Error: a defect/);
    t.is(connecting('192.0.2.1', PeerPort.Echo), 'ENGINE_STOPPED');
  });
});

test.serial('no way, and nobody there', async (t) => {
  await withEngine({}, () => {
    t.is(connecting('198.51.100.7', 80), 'NETWORK_UNREACHABLE');
    t.is(connecting('192.0.2.1', 9), 'CONNECT_REFUSED');
    const socket = InetConnect('192.0.2.1', 9, INET_PROTOCOL_UDP, 5);
    InetWrite(socket, new Uint8Array(1));
    t.is(InetRead(socket, new Uint8Array(1)), INET_ERROR);
    t.is(lastCode(), 'CONNECT_REFUSED');
    InetDisconnect(socket);
  });
});

test.serial('certificates that are refused, each with a code of its own', async (t) => {
  await withEngine({}, () => {
    t.is(connecting('peer.test', PeerPort.TlsExpired, SECURE), 'CERT_EXPIRED');
    t.is(connecting('peer.test', PeerPort.TlsUntrusted, SECURE), 'CERT_UNTRUSTED');
    t.is(connecting('peer.test', PeerPort.TlsInvalid, SECURE), 'CERT_INVALID');
    t.is(connecting('peer.test', PeerPort.TlsRevoked, SECURE), 'CERT_REVOKED');
    t.is(connecting('peer.test', PeerPort.TlsOther, SECURE), 'CERT_NAME_MISMATCH');
  });
});

test.serial('a trusted site is taken with any certificate, and its status is told', async (t) => {
  await withEngine({}, () => {
    const status = (port: number): number => {
      const socket = InetConnect('peer.test', port, Tcp, 5, SECURE | INET_OPTION_TRUSTEDSITE);
      const info = new SECURITYINFO();
      InetGetSecurityInformation(socket, info);
      InetDisconnect(socket);
      return info.dwCertStatus;
    };
    t.is(status(PeerPort.TlsEcho), SECURITY_CERTIFICATE_VALID);
    t.is(status(PeerPort.TlsOther), SECURITY_CERTIFICATE_NOMATCH);
    t.is(status(PeerPort.TlsExpired), SECURITY_CERTIFICATE_EXPIRED);
    t.is(status(PeerPort.TlsRevoked), SECURITY_CERTIFICATE_REVOKED);
    t.is(status(PeerPort.TlsUntrusted), SECURITY_CERTIFICATE_UNTRUSTED);
    t.is(status(PeerPort.TlsInvalid), SECURITY_CERTIFICATE_INVALID);
  });
});

test.serial('a table that is full', async (t) => {
  await withEngine({ maxSockets: 2 }, () => {
    const sockets = [1, 2].map(() => InetConnect('192.0.2.1', PeerPort.Echo, Tcp, 5));
    t.is(connecting('192.0.2.1', PeerPort.Echo), 'NO_BUFFERS');
    for (const socket of sockets) t.is(InetDisconnect(socket), 0);
    // the engine, in its thread, gives a socket back when the connection has ended
    let code = 'NO_BUFFERS';
    for (const end = performance.now() + 5000; code === 'NO_BUFFERS' && performance.now() < end; ) {
      code = connecting('192.0.2.1', PeerPort.Echo);
    }
    t.is(code, 'connected');
  });
});

test.serial('a device that is none, and an engine that somebody else has stopped', async (t) => {
  t.false(InetInitialize({ device: 'banana', addresses: [] }));
  t.is(lastCode(), 'DEVICE_FAILED');
  t.is(InetConnect('peer.test', 80), INVALID_SOCKET);
  t.is(lastCode(), 'NOT_INITIALIZED');
  const peer = await startPeer();
  t.teardown(() => peer.stop());
  const worker = new Worker(new URL('./testing/engine-owner.ts', import.meta.url), { workerData: peer.end });
  const [answer] = await once(worker, 'message');
  t.deepEqual(answer, { error: INET_ERRORS.ENGINE_STOPPED.number });
  await worker.terminate();
});

test('every code of the table is produced by a test', (t) => {
  const folder = import.meta.dirname;
  const texts = readdirSync(folder)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('\n');
  const unseen = Object.keys(INET_ERRORS).filter(
    (code) => !texts.includes(`'${code}'`) && !texts.includes(`ERRORS.${code}.`),
  );
  t.deepEqual(unseen, []);
});
