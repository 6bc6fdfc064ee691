/**
 * Chaos: `node bench/chaos.ts [--rounds N] [--seed N] [--kind KIND]` (default 200 rounds). In every round threads of both faces read, write
 * and connect at full speed over TUN until something they depend on is killed; then every call has to have ended in time and with
 * an error of the closed set, and everything has to be given back: descriptors, threads, sockets, memory. Needs root.
 */
import { readdirSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { Arena, ArenaWord, EngineState } from '../engine/arena.ts';
import type { EngineOptions } from '../engine/options.ts';
import { SocketBlock, SocketStatus, SocketWord } from '../engine/socket-block.ts';
import { publishEngine } from '../engine/start.ts';
import { createStack, NetStack } from '../net/index.ts';
import { SeededRandom } from '../stack/random.ts';
import { createLab, KERNEL_V4, type Lab, type LabProcess, OWN_V4 } from '../test/netns.ts';
import { type NetUse, useNet } from './chaos-net.ts';
import type { ThreadReport, ThreadTask } from './chaos-thread.ts';

export type Kind = 'peer' | 'link' | 'device' | 'threads' | 'engine' | 'close';

/** What is killed, and the errors that may come of it. `END`: the stream ended in order. */
const EXPECTED = {
  /** kill -9 of the peer's process: its kernel resets, or ends what it has read to the last byte. */
  peer: ['RESET', 'END', 'CONNECT_REFUSED', 'NOT_CONNECTED'],
  /** ip link set down, and up again. */
  link: ['TIMEOUT'],
  /** ip link del. */
  device: ['DEVICE_LOST', 'ENGINE_STOPPED'],
  /** Worker.terminate() of the threads that use the stack. */
  threads: [],
  /** Worker.terminate() of the thread that has started the engine, and the engine with it. */
  engine: ['ENGINE_STOPPED'],
  /** stack.close(): what the closing thread is about to connect is ABORTED. */
  close: ['ENGINE_STOPPED', 'END', 'ABORTED'],
} as const satisfies Record<Kind, readonly string[]>;
const KINDS = Object.keys(EXPECTED) as Kind[];
/** Before descriptors and threads are counted, and those that follow. */
const FIRST: readonly Kind[] = ['peer', 'engine'];
const REST: readonly Kind[] = KINDS.filter((kind) => !FIRST.includes(kind));

export interface ChaosReport {
  readonly rounds: number;
  readonly seed: number;
  /** How often each code has come of each kind. */
  readonly outcomes: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Milliseconds of the longest call, and of the longest time until everybody had noticed. */
  readonly longestCallMs: number;
  readonly longestEndMs: number;
  readonly problems: readonly string[];
}

const SINK = 7001;
const SOURCE = 7002;
const CALL_TIMEOUT_S = 20;
/** Where nothing but the timeout can end a call. */
const SHORT_TIMEOUT_S = 1;
/** Of a busy machine, beside what the timeouts allow. */
const SLACK_MS = 5000;
/** An engine that was terminated is missed by its silence (SILENCE_MS of engine/client.ts) at the second look. */
const NOTICE_MS = 10_000;
const PATIENCE_MS = 30_000;
const MOST_FLOW_MS = 300;

const PEER = `
const net = require('node:net');
const chunk = Buffer.alloc(65536);
net.createServer((socket) => socket.on('error', () => {}).resume()).listen(${SINK}, '0.0.0.0', 511);
net.createServer((socket) => {
  const fill = () => { while (!socket.destroyed && socket.write(chunk)); };
  socket.on('error', () => {}).on('drain', fill).resume();
  fill();
}).listen(${SOURCE}, '0.0.0.0', 511);`;

const MAKE_TUN = `ip tuntap add dev $1 mode tun; ip link set $1 addrgenmode none; ip addr add ${KERNEL_V4}/24 dev $1; ip link set $1 up`;

/** A thread under test. */
class Victim {
  readonly worker: Worker;
  readonly task: ThreadTask;
  readonly moving: Promise<void>;
  /** All of its tasks have ended. */
  readonly ended: Promise<void>;
  readonly codes: string[] = [];
  longestMs = 0;

  constructor(task: ThreadTask) {
    this.task = task;
    this.worker = new Worker(new URL('./chaos-thread.ts', import.meta.url), { workerData: task });
    const awaited = task.face === 'inet' ? 1 : 3;
    let isMoving = (): void => {};
    this.moving = new Promise((done) => {
      isMoving = done;
    });
    this.ended = new Promise((done) => {
      this.worker.on('message', (report: ThreadReport) => {
        if (report.is === 'moving') return isMoving();
        this.codes.push(report.code);
        this.longestMs = Math.max(this.longestMs, report.longestMs);
        if (this.codes.length === awaited) done();
      });
      this.worker.once('error', (error) => {
        this.codes.push(`${task.face} ${task.does}: ${error.stack}`);
        done();
      });
    });
  }
}

class Chaos {
  readonly #lab: Lab;
  readonly #random: SeededRandom;
  readonly #problems: string[] = [];
  readonly #outcomes: Record<string, Record<string, number>> = {};
  #peer: LabProcess | null = null;
  #longestCallMs = 0;
  #longestEndMs = 0;
  #what = '';

  constructor(lab: Lab, seed: number) {
    this.#lab = lab;
    this.#random = new SeededRandom(seed);
  }

  async run(
    rounds: number,
    seed: number,
    only: Kind | null,
    log: (line: string) => void,
  ): Promise<ChaosReport> {
    // what the process keeps for good once it was needed: libuv's threads, its pipes
    for (const kind of FIRST) {
      this.#what = `before all (${kind})`;
      await this.#round(kind);
    }
    const descriptors = readdirSync('/proc/self/fd').length;
    const threads = readdirSync('/proc/self/task').length;
    for (let i = 1; i <= rounds; i++) {
      // a short run has all kinds, too
      const kind = only ?? REST[i - 1] ?? KINDS[this.#below(KINDS.length)]!;
      this.#what = `round ${i} (${kind})`;
      const known = this.#problems.length;
      const since = performance.now();
      await this.#round(kind);
      await this.#settled('descriptors', () => readdirSync('/proc/self/fd').length, descriptors);
      await this.#settled('threads', () => readdirSync('/proc/self/task').length, threads);
      log(
        `${this.#what}: ${this.#problems.slice(known).join('; ') || 'ok'}, ${Math.round(performance.now() - since)} ms`,
      );
    }
    await this.#peer?.stop('SIGKILL');
    return {
      rounds,
      seed,
      outcomes: this.#outcomes,
      longestCallMs: Math.round(this.#longestCallMs),
      longestEndMs: Math.round(this.#longestEndMs),
      problems: this.#problems,
    };
  }

  async #round(kind: Kind): Promise<void> {
    await this.#havePeer();
    const lab = this.#lab;
    const options: EngineOptions = {
      device: `tun:${lab.tun}`,
      addresses: [`${OWN_V4}/24`],
      resolver: { hostsFile: null },
    };
    let owner: Worker | null = null;
    let stack: NetStack;
    if (kind === 'engine') {
      const file = new URL('../engine/testing/engine-owner.ts', import.meta.url);
      const started = lab.within(() => new Worker(file, { workerData: options }));
      const arena = new Arena(await new Promise<SharedArrayBuffer>((done) => started.once('message', done)));
      publishEngine(arena);
      stack = NetStack.attach(arena);
      owner = started;
    } else stack = await lab.within(() => createStack({ ...options, shared: true }));
    const { arena } = stack;
    // all that an idle stack has
    const idleBytes = arena.load(ArenaWord.SpareCount) * arena.load(ArenaWord.SpareBytes);
    const timeoutS = kind === 'link' ? SHORT_TIMEOUT_S : CALL_TIMEOUT_S;
    const common = { host: KERNEL_V4, sinkPort: SINK, sourcePort: SOURCE, timeoutS };
    const left = (['read', 'write', 'connect'] as const)[this.#below(3)]!;
    const victims = (['read', 'write', 'connect'] as const)
      .filter((does) => does !== left)
      .map((does) => new Victim({ ...common, face: 'inet', does }));
    victims.push(new Victim({ ...common, face: 'net', does: 'read' }));
    const own = useNet(stack, common);
    await this.#inTime(
      'to move',
      PATIENCE_MS,
      Promise.all([own.moving, ...victims.map(({ moving }) => moving)]),
    );
    await sleep(this.#below(MOST_FLOW_MS));

    const since = performance.now();
    const boundMs = (kind === 'link' ? SHORT_TIMEOUT_S * 1000 : NOTICE_MS) + SLACK_MS;
    await this.#kill(kind, stack, owner, victims);
    if (kind === 'threads' || kind === 'link') await this.#goesOn(kind, own, victims, boundMs);
    else {
      const all = [...own.tasks.values(), ...victims.map(({ ended }) => ended)];
      await this.#inTime('to end', boundMs, Promise.all(all));
      for (const [does, ended] of own.tasks)
        this.#count(kind, await Promise.race([ended, `own ${does} is stuck`]));
      for (const { task, codes } of victims)
        if (codes.length === 0) this.#problem(`${task.face} ${task.does} is stuck`);
    }
    this.#longestEndMs = Math.max(this.#longestEndMs, performance.now() - since);
    for (const victim of victims) {
      for (const code of victim.codes) this.#count(kind, code);
      this.#longestCallMs = Math.max(this.#longestCallMs, victim.longestMs);
      if (victim.longestMs > timeoutS * 1000 + SLACK_MS)
        this.#problem(`a call took ${victim.longestMs} ms of ${timeoutS} s`);
    }
    own.stop();
    await this.#inTime('of one’s own to end', PATIENCE_MS, Promise.all(own.tasks.values()));
    await Promise.all(victims.map(({ worker }) => worker.terminate()));
    const state = stack.arena.load(ArenaWord.State);
    if (kind === 'peer' || kind === 'link' || kind === 'threads') {
      if (state !== EngineState.Running) this.#problem(`the engine went along: ${stack.arena.failure}`);
      await this.#settled('sockets', () => socketsIn(stack.arena), 0);
      await this.#settled('bytes of memory', () => stack.counters.memoryUsedBytes, idleBytes);
    }
    await this.#inTime('to close', PATIENCE_MS, stack.close());
    await owner?.terminate();
  }

  async #kill(kind: Kind, stack: NetStack, owner: Worker | null, victims: readonly Victim[]): Promise<void> {
    const { tun } = this.#lab;
    if (kind === 'peer') {
      await this.#peer?.stop('SIGKILL');
      this.#peer = null;
    } else if (kind === 'link') await this.#lab.ok('ip', ['link', 'set', tun, 'down']);
    else if (kind === 'device') {
      await this.#lab.ok('ip', ['link', 'del', tun]);
      // for the next round; the engine has the old one
      await this.#lab.ok('sh', ['-ec', MAKE_TUN, 'sh', tun]);
    } else if (kind === 'threads') await Promise.all(victims.map(({ worker }) => worker.terminate()));
    else if (kind === 'engine') await owner!.terminate();
    else await this.#inTime('to close', PATIENCE_MS, stack.close());
  }

  /** Whoever was not killed still works. */
  async #goesOn(kind: Kind, own: NetUse, victims: readonly Victim[], boundMs: number): Promise<void> {
    if (kind === 'link') {
      // a pulled cable: blocking calls end by their own timeouts, and streams wait for it
      const blocked = victims.filter(({ task }) => task.face === 'inet').map(({ ended }) => ended);
      await this.#inTime('to time out', boundMs, Promise.all(blocked));
      await this.#lab.ok('ip', ['link', 'set', this.#lab.tun, 'up']);
    }
    const { read, write } = own.progress;
    const goesOn = async (): Promise<void> => {
      while (own.progress.read === read || own.progress.write === write) await sleep(20);
    };
    await this.#inTime('to go on', PATIENCE_MS, goesOn());
  }

  async #havePeer(): Promise<void> {
    if (this.#peer !== null) return;
    this.#peer = this.#lab.start(process.execPath, ['-e', PEER]);
    await this.#lab.listening(this.#peer, SOURCE);
  }

  #below(most: number): number {
    return Math.floor((this.#random.uint32() / 2 ** 32) * most);
  }

  #problem(text: string): void {
    this.#problems.push(`${this.#what}: ${text}`);
  }

  #count(kind: Kind, code: string): void {
    const outcomes = this.#outcomes[kind] ?? {};
    this.#outcomes[kind] = outcomes;
    outcomes[code] = (outcomes[code] ?? 0) + 1;
    if (!(EXPECTED[kind] as readonly string[]).includes(code)) this.#problem(`unexpected: ${code}`);
  }

  async #inTime(what: string, timeoutMs: number, done: Promise<unknown>): Promise<void> {
    const timer = new AbortController();
    const late = sleep(timeoutMs, 'late', { signal: timer.signal }).catch(() => '');
    if ((await Promise.race([done, late])) === 'late')
      this.#problem(`took longer than ${timeoutMs} ms ${what}`);
    timer.abort();
  }

  /** Waits until a number is down again. */
  async #settled(what: string, count: () => number, most: number): Promise<void> {
    for (const end = performance.now() + PATIENCE_MS; count() > most; await sleep(20)) {
      if (performance.now() < end) continue;
      this.#problem(`${count()} ${what}, expected ${most}`);
      return;
    }
  }
}

/** Sockets that somebody still has, or that the engine has not taken back. */
function socketsIn(arena: Arena): number {
  let count = 0;
  for (let index = 0; index < Math.min(arena.load(ArenaWord.Fresh), arena.maxSockets); index++) {
    if (new SocketBlock(arena, index).get(SocketWord.Status) !== SocketStatus.Free) count++;
  }
  return count;
}

/** @param only null: all kinds */
export function chaos(
  lab: Lab,
  rounds: number,
  seed: number,
  only: Kind | null,
  log: (line: string) => void,
): Promise<ChaosReport> {
  return new Chaos(lab, seed).run(rounds, seed, only, log);
}

if (import.meta.main) {
  enableCompileCache();
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '200' },
      seed: { type: 'string', default: '1' },
      kind: { type: 'string' },
    },
  });
  const kind = KINDS.find((name) => name === values.kind) ?? null;
  if (values.kind !== undefined && kind === null) throw new Error(`--kind is one of ${KINDS.join(', ')}`);
  const cleanUps: (() => Promise<void> | void)[] = [];
  const lab = await createLab({ teardown: (clean) => cleanUps.push(clean) });
  try {
    const report = await chaos(lab, Number(values.rounds), Number(values.seed), kind, (line) =>
      console.error(line),
    );
    console.log(JSON.stringify(report, null, 2));
    process.exitCode = report.problems.length === 0 ? 0 : 1;
  } finally {
    for (const clean of cleanUps) await clean();
  }
}
