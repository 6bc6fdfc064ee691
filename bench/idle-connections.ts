/**
 * What an idle connection costs, with many established at once: `node --expose-gc bench/idle-connections.ts [N]`. Once between two stacks
 * in this process, in virtual time; once from an engine over a TUN device to the kernel's TCP (needs root).
 */
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { BLOCK_BYTES } from '../engine/arena.ts';
import { EngineClient } from '../engine/client.ts';
import { SharedSocket } from '../engine/shared-socket.ts';
import { SocketStatus } from '../engine/socket-block.ts';
import { startEngineSync } from '../engine/start.ts';
import type { TcpConnection } from '../stack/tcp/connection.ts';
import { TcpListener } from '../stack/tcp/listener.ts';
import type { ParkedConnection } from '../stack/tcp/parked-connection.ts';
import { ElasticHeapRings } from '../stack/testing/elastic-heap-rings.ts';
import { addressOf } from '../stack/testing/packets.ts';
import { PAIR_ADDRESSES, StackPair } from '../stack/testing/stack-pair.ts';
import { createLab, KERNEL_V4, type Lab, type LabProcess, OWN_V4 } from '../test/netns.ts';

/** Ephemeral ports are 32,768 for each port of the peer, and descriptors often 20,000. */
const PER_PORT = 18_000;
const FIRST_PORT = 7000;
const OUTSTANDING = 64;
/** Connections that come first and go: what they load and compile is not a cost per connection. */
const WARM_UP = 5000;
/** Idle connections are folded up by then. */
const SETTLE_MS = 8000;
const NODE_FLAGS = ['--expose-gc', '--no-warnings'];

/** What N idle connections were seen to cost. */
export interface IdleCost {
  readonly connections: number;
  readonly bytesPerConnection: number;
  /** What of it the calling thread keeps, in its heap. */
  readonly callerBytesPerConnection: number;
  readonly tookMs: number;
}

function portOf(i: number): number {
  return FIRST_PORT + Math.floor(i / PER_PORT);
}

function ports(connections: number): number[] {
  return Array.from({ length: Math.ceil(connections / PER_PORT) }, (_, i) => FIRST_PORT + i);
}

/** Two stacks in this process: the heap that one end takes. @throws Error when connections are missing */
export function idleInVirtualTime(connections: number): IdleCost {
  const pair = new StackPair({ aSource: new ElasticHeapRings(), bSource: new ElasticHeapRings() });
  pair.traceLimit = 0;
  const ends: { a: (TcpConnection | ParkedConnection)[]; b: (TcpConnection | ParkedConnection)[] } = {
    a: [],
    b: [],
  };
  for (const side of ['a', 'b'] as const) {
    pair[side].tcp.onReplaced = (owner, by): void => {
      ends[side][owner] = by;
    };
  }
  pair.onEvents = (endpoint): void => {
    if (!(endpoint instanceof TcpListener)) return;
    for (let c = endpoint.accept(); c !== null; c = endpoint.accept()) c.owner = ends.b.push(c) - 1;
  };
  for (const port of ports(connections)) pair.b.tcp.listen({ local: null, port, backlog: 4096 });
  const remote = addressOf(PAIR_ADDRESSES.b.v4);
  const more = { remote, local: null, localPort: 0, noDelay: false, keepAlive: null };
  const before = heapBytes();
  const startedAt = performance.now();
  for (let i = 0; i < connections; i++) {
    const owner = ends.a.length;
    ends.a.push(pair.a.tcp.connect({ ...more, remotePort: portOf(i), owner }));
    if (i % OUTSTANDING === OUTSTANDING - 1) pair.runFor(3);
  }
  const tookMs = performance.now() - startedAt;
  pair.runFor(SETTLE_MS);
  if (ends.b.length !== connections) throw new Error(`${ends.b.length} of ${connections} connections`);
  const bytesPerConnection = (heapBytes() - before) / (2 * connections);
  return { connections, bytesPerConnection, callerBytesPerConnection: 0, tookMs };
}

function heapBytes(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** From an engine over TUN to the kernel, in a lab: the resident memory that one takes, the engine's and the caller's. */
export async function idleOverTun(lab: Lab, connections: number): Promise<IdleCost> {
  // one for each port: a process may not have descriptors for all
  const servers: LabProcess[] = [];
  for (const port of ports(connections)) {
    const server = lab.start(process.execPath, [import.meta.filename, 'serve', String(port)]);
    servers.push(server);
    await lab.listening(server, port);
  }
  const script = [...NODE_FLAGS, import.meta.filename, 'connect', String(connections)];
  const subject = lab.start(process.execPath, script);
  let output = '';
  subject.child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  const code = await subject.exited;
  for (const server of servers) server.kill('SIGKILL');
  if (code !== 0) throw new Error(`the engine's process ended with ${code}: ${subject.stderr}`);
  return JSON.parse(output) as IdleCost;
}

function serve(port: number): void {
  const open = new Set<Socket>();
  createServer((socket) => {
    open.add(socket.on('error', () => {}).on('close', () => open.delete(socket)));
    socket.on('data', (data) => socket.write(data));
  }).listen(port, '0.0.0.0', 4096);
}

async function connect(connections: number): Promise<void> {
  const engine = startEngineSync({
    device: 'tun:tun0',
    addresses: [`${OWN_V4}/24`],
    resolver: { hostsFile: null },
    maxSockets: connections + WARM_UP + 10,
  });
  const client = EngineClient.of(engine.arena);
  for (const socket of open(client, WARM_UP)) socket.release();
  await sleep(SETTLE_MS);
  globalThis.gc?.();
  const before = process.memoryUsage();
  const startedAt = performance.now();
  const sockets = open(client, connections);
  const tookMs = performance.now() - startedAt;
  await sleep(SETTLE_MS);
  globalThis.gc?.();
  const after = process.memoryUsage();
  const bytesPerConnection = (after.rss - before.rss) / connections;
  const callerBytesPerConnection = (after.heapUsed - before.heapUsed) / connections;
  let established = 0;
  for (const socket of sockets) if (socket.status === SocketStatus.Open) established++;
  if (established !== connections) throw new Error(`${established} of ${connections} connections`);
  // every hundredth is woken and still works
  for (let i = 0; i < connections; i += 100) echo(sockets[i]!);
  const cost: IdleCost = { connections, bytesPerConnection, callerBytesPerConnection, tookMs };
  console.log(JSON.stringify(cost));
  process.exit(0);
}

/** Opens connections, some at the same time. @throws NetError */
function open(client: EngineClient, connections: number): SharedSocket[] {
  const sockets: SharedSocket[] = [];
  for (let i = 0; i < connections; i++) {
    const more = { host: KERNEL_V4, port: portOf(i), protocol: 'tcp', timeoutMs: 30_000 } as const;
    sockets.push(SharedSocket.connect(client, more));
    if (i >= OUTSTANDING) opened(sockets[i - OUTSTANDING]!);
  }
  for (const socket of sockets.slice(-OUTSTANDING)) opened(socket);
  return sockets;
}

function opened(socket: SharedSocket): void {
  for (;;) {
    const { sendSequence } = socket;
    if (socket.status !== SocketStatus.Opening) break;
    socket.sleepSend(sendSequence, 60_000);
  }
  socket.throwIfFailed();
}

function echo(socket: SharedSocket): void {
  const byte = new Uint8Array(1);
  socket.write(byte, 0, 1);
  for (;;) {
    const { recvSequence } = socket;
    if (socket.read(byte, 0, 1) === 1) return;
    if (!socket.sleepRecv(recvSequence, 10_000)) throw new Error('no echo');
  }
}

/** {@link idleOverTun} with each number of connections, in a lab of its own. Needs root. */
export async function idleCosts(steps: readonly number[]): Promise<IdleCost[]> {
  const costs: IdleCost[] = [];
  for (const connections of steps) {
    const cleanUps: (() => Promise<void> | void)[] = [];
    const lab = await createLab({ teardown: (clean) => cleanUps.push(clean) });
    try {
      costs.push(await idleOverTun(lab, connections));
    } finally {
      for (const clean of cleanUps) await clean();
    }
  }
  return costs;
}

async function main(connections: number): Promise<void> {
  const virtual = idleInVirtualTime(connections);
  console.log(`${connections} connections between two stacks, opened in ${seconds(virtual)} s`);
  console.log(`  heap of one end, each                       ${virtual.bytesPerConnection.toFixed(0)} bytes`);
  console.log(`  block in shared memory, each                ${BLOCK_BYTES} bytes`);
  const cleanUps: (() => Promise<void> | void)[] = [];
  const lab = await createLab({ teardown: (clean) => cleanUps.push(clean) });
  try {
    const cost = await idleOverTun(lab, connections);
    console.log(`${connections} connections from an engine over TUN, opened in ${seconds(cost)} s`);
    console.log(
      `  heap of the calling thread, each            ${cost.callerBytesPerConnection.toFixed(0)} bytes`,
    );
    console.log(`  resident memory, each                      ${cost.bytesPerConnection.toFixed(0)} bytes`);
  } finally {
    for (const clean of cleanUps) await clean();
  }
}

function seconds(cost: IdleCost): string {
  return (cost.tookMs / 1000).toFixed(1);
}

if (import.meta.main) {
  const [what = '100000', count = '0'] = process.argv.slice(2);
  if (what === 'serve') serve(Number(count));
  else if (what === 'connect') await connect(Number(count));
  else await main(Number(what));
}
