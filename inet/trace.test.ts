import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { openPcap } from '../drivers/pcap-reader.ts';
import {
  INET_ERRORS,
  INET_OPTION_SECURE,
  INET_PROTOCOL_TCP,
  INET_TRACE_DEFAULT,
  INET_TRACE_SECRETS,
  INVALID_SOCKET,
  InetConnect,
  InetDisableTrace,
  InetDisconnect,
  InetEnableTrace,
  InetGetErrorString,
  InetGetLastError,
  InetInitialize,
  InetRead,
  InetUninitialize,
  InetWrite,
} from './index.ts';
import { until } from './testing/bench.ts';
import { type Peer, PeerPort, startPeer } from './testing/peer.ts';

let peer: Peer;
const folder = mkdtempSync(join(tmpdir(), 'tunwire-trace-'));
const path = (name: string): string => join(folder, name);

test.before(async () => {
  peer = await startPeer();
  InetInitialize({
    device: peer.end,
    addresses: ['192.0.2.2/24'],
    resolver: { servers: ['192.0.2.1'], hostsFile: null },
    caFile: peer.caFile,
  });
});

test.after.always(async () => {
  InetUninitialize();
  await peer?.stop();
  rmSync(folder, { recursive: true });
});

function lastCode(): string {
  const number = InetGetLastError();
  return Object.entries(INET_ERRORS).find(([, row]) => row.number === number)?.[0] ?? String(number);
}

function talk(port: number, options = 0): void {
  const socket = InetConnect('peer.test', port, INET_PROTOCOL_TCP, 10, options);
  if (socket === INVALID_SOCKET) throw new Error(InetGetErrorString(InetGetLastError()));
  InetWrite(socket, new TextEncoder().encode('traced'));
  InetRead(socket, new Uint8Array(100));
  InetDisconnect(socket);
}

/** Packets in a file that is complete. */
function packets(name: string): number {
  const reader = openPcap(path(name));
  let count = 0;
  while (reader.next()) count++;
  if (reader.error !== null) throw reader.error;
  reader.close();
  return count;
}

/** The engine closes the file in its own thread. */
async function closed(name: string): Promise<void> {
  await until(() => !openFiles().includes(path(name)));
}

/** The files that this process has open. */
function openFiles(): string[] {
  const folder = '/proc/self/fd';
  return readdirSync(folder).map((fd) => {
    try {
      return readlinkSync(`${folder}/${fd}`);
    } catch {
      return '';
    }
  });
}

test.serial(
  'packets are written while the trace is on, and a later trace goes on with the file',
  async (t) => {
    talk(PeerPort.Echo);
    t.true(InetEnableTrace(path('a.pcapng')), InetGetErrorString(InetGetLastError()));
    talk(PeerPort.Echo);
    t.true(InetDisableTrace());
    talk(PeerPort.Echo);
    await closed('a.pcapng');
    const first = packets('a.pcapng');
    t.true(first >= 7, `${first} packets`);
    t.true(readFileSync(path('a.pcapng')).includes('traced'));
    t.true(InetEnableTrace(path('a.pcapng')));
    talk(PeerPort.Echo);
    t.true(InetDisableTrace());
    await closed('a.pcapng');
    t.true(packets('a.pcapng') > first);
  },
);

test.serial("a trace is the process's and counted: it ends with its last user", async (t) => {
  t.true(InetEnableTrace(path('b.pcapng')));
  t.true(InetEnableTrace(null));
  t.false(InetEnableTrace(path('c.pcapng')));
  t.is(lastCode(), 'ARGUMENT_INVALID');
  t.true(InetDisableTrace());
  talk(PeerPort.Echo);
  const worker = new Worker(new URL('./testing/trace-worker.ts', import.meta.url), {
    workerData: path('b.pcapng'),
  });
  t.is(await new Promise((done) => worker.once('message', done)), 'begun');
  t.true(InetDisableTrace());
  talk(PeerPort.Greet);
  worker.postMessage('end');
  await new Promise((done) => worker.once('exit', done));
  await closed('b.pcapng');
  t.true(readFileSync(path('b.pcapng')).includes('hello'), 'the worker was the last user');
  const size = statSync(path('b.pcapng')).size;
  talk(PeerPort.Greet);
  t.is(statSync(path('b.pcapng')).size, size);
  t.false(InetDisableTrace());
  t.is(lastCode(), 'OPTION_INVALID');
});

test.serial('secrets go along on request only', async (t) => {
  for (const [name, flags] of [
    ['plain.pcapng', INET_TRACE_DEFAULT],
    ['secrets.pcapng', INET_TRACE_SECRETS],
  ] as const) {
    t.true(InetEnableTrace(path(name), flags));
    talk(PeerPort.TlsEcho, INET_OPTION_SECURE);
    t.true(InetDisableTrace());
    await closed(name);
    t.is(readFileSync(path(name)).includes('CLIENT_TRAFFIC_SECRET_0'), flags === INET_TRACE_SECRETS, name);
  }
});

test.serial('a file that cannot be written, and other wrong arguments', (t) => {
  t.false(InetEnableTrace('/no/such/folder/a.pcapng'));
  t.is(lastCode(), 'ARGUMENT_INVALID');
  t.false(InetEnableTrace(null));
  t.is(lastCode(), 'ARGUMENT_INVALID', 'nothing to join');
  t.false(InetEnableTrace(path('d'.repeat(300))));
  t.is(lastCode(), 'ARGUMENT_INVALID');
  t.false(InetEnableTrace(path('d.pcapng'), 4));
  t.is(lastCode(), 'ARGUMENT_INVALID');
});
