/**
 * `npm run demo`: two stacks in one process, wired together by memory. Needs no root and no device. Everything it prints
 * was checked; the exit code is 1 when something is not as it should be.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { InetGetErrorString, InetGetLastError, InetInitialize, InetUninitialize } from '../../inet/index.ts';
import { createMemoryLink } from '../../net/index.ts';
import { DemoFailure, expect, grouped, heading, line, stopwatch } from './account.ts';
import { showAsynchronous } from './asynchronous.ts';
import { showBlocking } from './blocking.ts';
import { summarize } from './capture-summary.ts';
import {
  CLIENT_ADDRESSES,
  HTTP_PORT,
  HTTPS_PORT,
  makeBody,
  NAME_SERVER,
  NAMES,
  SERVER_ADDRESSES,
  type ServerCounts,
  type ServerData,
  type ServerReady,
} from './scene.ts';

const CAPTURE_FILE = 'demo.pcapng';
const SECURE_CONNECTIONS = 2;

const file = import.meta.url.endsWith('.ts') ? './server-thread.ts' : './server-thread.js';
const [near, far] = createMemoryLink();
const server = new Worker(new URL(file, import.meta.url), {
  workerData: { device: far } satisfies ServerData,
  name: 'tunwire demo server',
});
const scratch = mkdtempSync(join(tmpdir(), 'tunwire-demo-'));
try {
  await run();
} catch (error) {
  process.exitCode = 1;
  const text = error instanceof DemoFailure ? error.message : error instanceof Error ? error.stack : error;
  console.error(`\nFAILED  ${text}`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
  await server.terminate();
}

async function run(): Promise<void> {
  const total = stopwatch();
  const lap = stopwatch();
  console.log('tunwire demo: two TCP/IP stacks in one process, no root, no device');
  const [{ authority }] = (await once(server, 'message')) as [ServerReady];
  heading('Two stacks, wired together by memory');
  line('stack 2', SERVER_ADDRESSES.join(', '), lap());
  line('', 'with DNS, and HTTP and HTTPS servers of Node');
  startStack(authority);
  line('stack 1', CLIENT_ADDRESSES.join(', '), lap());
  line('', 'for InetConnect and connect');

  const body = makeBody();
  try {
    const [one, two, three, four] = NAMES;
    showBlocking(one, HTTP_PORT, false, body);
    showBlocking(two, HTTPS_PORT, true, body);
    await showAsynchronous(three, HTTP_PORT, null, body);
    await showAsynchronous(four, HTTPS_PORT, authority, body);
  } finally {
    InetUninitialize();
  }
  server.postMessage('stop');
  const [counts] = (await once(server, 'message')) as [ServerCounts];
  expect('requests that the servers saw', counts.requests, NAMES.length);
  expect('names that the DNS server was asked for', counts.names, [...NAMES]);

  heading('The capture');
  const { packets, decryptable } = summarize(CAPTURE_FILE);
  expect('whether there are packets in it', packets > 0, true);
  expect('TLS connections with their secrets in it', decryptable, SECURE_CONNECTIONS);
  line('file', `${CAPTURE_FILE}: Wireshark opens it decrypted`);
  line('packets', grouped(packets));
  line('secrets', `of ${decryptable} TLS connections`);
  console.log(`\nAll as expected, in ${(total() / 1000).toFixed(1)} s.`);
}

/** Starts stack 1 for InetConnect and for net's connect: they share the engine of the process. */
function startStack(authority: string): void {
  const caFile = join(scratch, 'authority.pem');
  writeFileSync(caFile, authority);
  const started = InetInitialize({
    device: near,
    addresses: CLIENT_ADDRESSES,
    resolver: { hostsFile: null, servers: [NAME_SERVER] },
    capture: { file: CAPTURE_FILE, secrets: true },
    caFile,
  });
  if (!started) throw new DemoFailure(`InetInitialize: ${InetGetErrorString(InetGetLastError())}`);
}
