/** Our CUBIC and the Linux kernel's over the same path with the same losses: `node bench/loss.ts --help`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createLab, type Lab } from '../test/netns.ts';
import { missing } from '../test/requirements.ts';
import {
  LOSS_PORT,
  type LossJob,
  type LossResult,
  ONE_WAY_MS,
  QUEUE_PACKETS,
  RATE_BPS,
  RECEIVER_ADDRESS,
  SENDER_ADDRESS,
} from './loss-path.ts';
import { median } from './statistics.ts';

const USAGE = `node bench/loss.ts [OPTION…]

Sends over 100 Mbit/s, 40 ms there and back, packets of 1500 bytes, in real time: the kernel's TCP with CUBIC and our stack, to a
kernel as receiver. The path is the same code with the same seed for both. Prints a table of medians.

  --seeds N         transfers of each kind (default 9)
  --losses LIST     chances of a loss (default 0,0.001,0.01,0.03)
  --bytes N         of each transfer; default: so that each takes some seconds
  --parallel N      transfers at the same time; at little loss they need a processor each (default 4, and 1 without loss)
  --congestion NAME of our stack (default cubic)
  --json FILE       default bench/results/loss.json

Needs root for its network namespaces: they are made for each transfer and removed after it.`;

const LIMIT_MS = 120_000;
/** Below this the link is the limit, and the transfers need the processor for themselves. */
const LOSSY = 0.005;

type Sender = 'kernel' | 'tunwire';
const SENDERS: readonly Sender[] = ['kernel', 'tunwire'];

/** One transfer. */
export interface LossRow {
  readonly loss: number;
  readonly bytes: number;
  readonly sender: Sender;
  readonly seed: number;
  readonly result: LossResult;
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '9' },
    losses: { type: 'string', default: '0,0.001,0.01,0.03' },
    bytes: { type: 'string' },
    parallel: { type: 'string', default: '4' },
    congestion: { type: 'string', default: 'cubic' },
    json: { type: 'string', default: resolve(import.meta.dirname, 'results', 'loss.json') },
    help: { type: 'boolean', default: false },
  },
});

/** So much that the beginning does not decide, and nobody waits for minutes. */
function bytesFor(loss: number): number {
  if (values.bytes !== undefined) return Number(values.bytes);
  if (loss >= 0.02) return 3_000_000;
  if (loss >= LOSSY) return 6_000_000;
  return loss > 0 ? 20_000_000 : 100_000_000;
}

/** One transfer in namespaces of its own: nothing is remembered of the one before. */
async function transfer(sender: Sender, loss: number, bytes: number, seed: number): Promise<LossResult> {
  const cleanUps: (() => Promise<void> | void)[] = [];
  const teardown = { teardown: (clean: () => Promise<void> | void) => cleanUps.push(clean) };
  try {
    const receiver = await createLab(teardown);
    await prepare(receiver, RECEIVER_ADDRESS);
    const far = sender === 'kernel' ? await createLab(teardown) : null;
    if (far !== null) await prepare(far, SENDER_ADDRESS);
    const sink = receiver.node('bench/loss-peer.ts', ['sink']);
    await receiver.listening(sink, LOSS_PORT);
    const job: LossJob = {
      senderNamespace: far?.namespace ?? '',
      tun: receiver.tun,
      bytes,
      seed,
      loss,
      congestion: values.congestion,
      limitMs: LIMIT_MS,
    };
    const path = receiver.node('bench/loss-path.ts', [JSON.stringify(job)]);
    await receiver.until('the path', () => path.ended || path.stdout.includes('ready'));
    far?.node('bench/loss-peer.ts', ['source', RECEIVER_ADDRESS, String(bytes)]);
    const code = await path.exited;
    if (code !== 0) throw new Error(`the path ended with ${code}\n${path.stderr}`);
    return JSON.parse(path.stdout.trim().split('\n').at(-1) ?? '') as LossResult;
  } finally {
    for (const clean of cleanUps) await clean();
  }
}

/** An address of its own, the kernel's CUBIC without pacing below it, and nothing remembered. */
async function prepare(lab: Lab, address: string): Promise<void> {
  const { tun } = lab;
  await lab.ok('ip', ['addr', 'flush', 'dev', tun]);
  await lab.ok('ip', ['addr', 'add', `${address}/24`, 'dev', tun]);
  const route = `route change 10.77.0.0/24 dev ${tun} proto kernel scope link src ${address} congctl cubic`;
  await lab.ok('ip', route.split(' '));
  await lab.ok('ip', ['link', 'set', tun, 'txqueuelen', '10000']);
}

async function measure(): Promise<LossRow[]> {
  const rows: LossRow[] = [];
  for (const loss of values.losses.split(',').map(Number)) {
    const bytes = bytesFor(loss);
    const waiting: { sender: Sender; seed: number }[] = [];
    for (let seed = 1; seed <= Number(values.seeds); seed++) {
      for (const sender of SENDERS) waiting.push({ sender, seed });
    }
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const { sender, seed } = next;
        const result = await transfer(sender, loss, bytes, seed);
        rows.push({ loss, bytes, sender, seed, result });
        process.stderr.write(
          `${loss * 100} % seed ${seed} ${sender}: ${result.tookMs.toFixed(0)} ms, ${result.lost} + ${result.lostQueueFull} lost\n`,
        );
      }
    };
    const workers = loss >= LOSSY ? Number(values.parallel) : 1;
    await Promise.all(Array.from({ length: workers }, work));
  }
  return rows;
}

function medianMs(rows: readonly LossRow[], loss: number, sender: Sender): number {
  const own = rows.filter((row) => row.loss === loss && row.sender === sender);
  return median(own.map(({ result }) => (result.tookMs < 0 ? LIMIT_MS : result.tookMs)));
}

/** The table, as Markdown. */
function table(rows: readonly LossRow[]): string {
  const lines = [
    `${RATE_BPS / 1e6} Mbit/s, ${2 * ONE_WAY_MS} ms, a queue of ${QUEUE_PACKETS} packets, packets of 1500 bytes; ${values.congestion} and the kernel's cubic; medians of ${values.seeds} seeds, real time`,
    '',
    '| loss | MB | kernel ms | tunwire ms | kernel Mbit/s | tunwire Mbit/s | tunwire / kernel |',
    '|---|---|---|---|---|---|---|',
  ];
  for (const loss of new Set(rows.map((row) => row.loss))) {
    const bytes = bytesFor(loss);
    const [kernel, own] = [medianMs(rows, loss, 'kernel'), medianMs(rows, loss, 'tunwire')];
    const rate = (ms: number): string => ((bytes * 8) / ms / 1000).toFixed(1);
    lines.push(
      `| ${loss * 100} % | ${bytes / 1e6} | ${kernel.toFixed(0)} | ${own.toFixed(0)} | ${rate(kernel)} | ${rate(own)} | ${(kernel / own).toFixed(2)} |`,
    );
  }
  return lines.join('\n');
}

async function main(): Promise<void> {
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const reason = missing('tun');
  if (reason !== '') throw new Error(reason);
  const rows = await measure();
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
  console.log(table(rows));
}

if (import.meta.main) await main();
