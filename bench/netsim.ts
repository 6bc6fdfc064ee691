import { parseArgs } from 'node:util';
import { BulkTransfer } from '../stack/testing/bulk-transfer.ts';
import { type LinkOptions, StackPair } from '../stack/testing/stack-pair.ts';

/** The path: 100 Mbit/s, 40 ms there and back, a queue of one bandwidth-delay product. */
const KILOBITS_PER_SECOND = 100_000;
const ONE_WAY_MS = 20;
const QUEUE_PACKETS = 340;
const RING_BYTES = 1 << 21;
/** What the link carries of payload: 1448 of 1500 bytes with timestamps. */
const PAYLOAD_SHARE = 1448 / 1500;
const LIMIT_MS = 600_000;
const LOSSES: readonly number[] = [0, 0.001, 0.01, 0.03];

/** What one transfer took, all of it in virtual time. */
export interface NetsimResult {
  /** From the SYN until the receiver has the last byte. */
  readonly tookMs: number;
  /** Segments that were sent again, by what made the sender do so. */
  readonly fastRetransmits: number;
  readonly timeoutRetransmits: number;
}

/** How the sender sends. */
export interface SimulatedSender {
  /** Default: the stack's. */
  readonly congestion?: string;
  /** Default: the stack's. */
  readonly pacing?: boolean;
}

/**
 * Sends `bytes` from one stack to another over a virtual link.
 * @param link departs from the path described above, in the direction of the data
 * @throws Error when it is not through after ten minutes
 */
export function simulate(
  bytes: number,
  seed: number,
  link: Partial<LinkOptions>,
  how: SimulatedSender = {},
): NetsimResult {
  const path = { latencyMs: ONE_WAY_MS, kilobitsPerSecond: KILOBITS_PER_SECOND, queuePackets: QUEUE_PACKETS };
  const pair = new StackPair({
    seed,
    sendRingBytes: RING_BYTES,
    recvRingBytes: RING_BYTES,
    forward: { ...path, ...link },
    backward: path,
  });
  pair.traceLimit = 0;
  if (how.pacing !== undefined) pair.a.tcp.settings.pacing = how.pacing;
  const transfer = new BulkTransfer(pair, bytes, how.congestion);
  const startedAt = pair.nowMs;
  pair.runUntil(() => transfer.receivedBytes === bytes, startedAt + LIMIT_MS);
  const { receivedBytes, sender } = transfer;
  if (receivedBytes !== bytes)
    throw new Error(`seed ${seed}: ${receivedBytes} of ${bytes} bytes after ten minutes`);
  const { fast, timeout } = sender.info().retransmits;
  const tookMs = pair.nowMs - startedAt;
  return { tookMs, fastRetransmits: fast, timeoutRetransmits: timeout };
}

/** The share of what the link can carry that a transfer has reached. */
export function utilization(bytes: number, { tookMs }: NetsimResult): number {
  return (bytes * 8) / (KILOBITS_PER_SECOND * PAYLOAD_SHARE * tookMs);
}

/** Mean of several seeds. */
export function simulateMany(
  bytes: number,
  seeds: number,
  link: Partial<LinkOptions>,
  how: SimulatedSender = {},
): NetsimResult {
  let tookMs = 0;
  let fastRetransmits = 0;
  let timeoutRetransmits = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const result = simulate(bytes, seed, link, how);
    tookMs += result.tookMs / seeds;
    fastRetransmits += result.fastRetransmits / seeds;
    timeoutRetransmits += result.timeoutRetransmits / seeds;
  }
  return { tookMs, fastRetransmits, timeoutRetransmits };
}

function printTable(bytes: number, seeds: number, how: SimulatedSender): void {
  console.log(
    `${bytes / 1e6} MB over 100 Mbit/s, 40 ms, ${how.congestion ?? 'cubic'}${how.pacing ? ', paced' : ''}; mean of ${seeds} seeds, virtual time`,
  );
  console.log('| loss | reordered | ms | Mbit/s | of the link | fast retransmits | after timeouts |');
  console.log('|---|---|---|---|---|---|---|');
  const rows = [...LOSSES.map((loss) => ({ loss, reorder: 0 })), { loss: 0, reorder: 0.02 }];
  for (const row of rows) {
    const result = simulateMany(bytes, seeds, row, how);
    const { tookMs, fastRetransmits, timeoutRetransmits } = result;
    const rate = (bytes * 8) / tookMs / 1000;
    console.log(
      `| ${row.loss * 100} % | ${row.reorder * 100} % | ${tookMs.toFixed(0)} | ${rate.toFixed(1)} | ${(100 * utilization(bytes, result)).toFixed(1)} % | ${fastRetransmits.toFixed(0)} | ${timeoutRetransmits.toFixed(0)} |`,
    );
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      bytes: { type: 'string', default: '20000000' },
      seeds: { type: 'string', default: '5' },
      congestion: { type: 'string', default: 'cubic' },
      pacing: { type: 'boolean', default: false },
    },
  });
  const { congestion, pacing } = values;
  printTable(Number(values.bytes), Number(values.seeds), { congestion, pacing });
}
