import type { Endpoint } from '../stack/endpoint.ts';
import { TcpConnection } from '../stack/tcp/connection.ts';
import { TcpListener } from '../stack/tcp/listener.ts';
import { addressOf } from '../stack/testing/packets.ts';
import { type LinkOptions, PAIR_ADDRESSES, StackPair } from '../stack/testing/stack-pair.ts';

/** The path: 100 Mbit/s, 40 ms there and back, a queue of one bandwidth-delay product. */
const KILOBITS_PER_SECOND = 100_000;
const ONE_WAY_MS = 20;
const QUEUE_PACKETS = 340;
const RING_BYTES = 1 << 21;
const PORT = 7;
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

/**
 * Sends `bytes` from one stack to another over a virtual link.
 * @param link departs from the path described above, in the direction of the data
 * @throws Error when it is not through after ten minutes
 */
export function simulate(bytes: number, seed: number, link: Partial<LinkOptions>): NetsimResult {
  const path = { latencyMs: ONE_WAY_MS, kilobitsPerSecond: KILOBITS_PER_SECOND, queuePackets: QUEUE_PACKETS };
  const pair = new StackPair({
    seed,
    sendRingBytes: RING_BYTES,
    recvRingBytes: RING_BYTES,
    forward: { ...path, ...link },
    backward: path,
  });
  pair.traceLimit = 0;
  const listener = pair.b.tcp.listen({ local: null, port: PORT, backlog: 1 });
  const sender = pair.a.tcp.connect({
    remote: addressOf(PAIR_ADDRESSES.b.v4),
    remotePort: PORT,
    local: null,
    localPort: 0,
    noDelay: false,
    keepAlive: null,
  });
  const chunk = new Uint8Array(65_536);
  let written = 0;
  let received = 0;
  const write = (): void => {
    const ring = sender.sendRing;
    if (ring === null) return;
    while (written < bytes && ring.freeBytes > 0) {
      written += ring.write(chunk, 0, Math.min(chunk.length, bytes - written, ring.freeBytes));
    }
    sender.appWrote();
  };
  const read = (connection: TcpConnection): void => {
    const ring = connection.recvRing;
    if (ring === null) return;
    while (ring.usedBytes > 0) received += ring.read(chunk, 0, chunk.length);
    connection.appRead();
  };
  pair.onEvents = (endpoint: Endpoint): void => {
    if (endpoint instanceof TcpListener) {
      const accepted = endpoint.accept();
      if (accepted !== null) read(accepted);
    } else if (endpoint === sender) {
      write();
    } else if (endpoint instanceof TcpConnection) {
      read(endpoint);
    }
  };
  const startedAt = pair.nowMs;
  write();
  pair.runUntil(() => received === bytes, startedAt + LIMIT_MS);
  if (received !== bytes) throw new Error(`seed ${seed}: ${received} of ${bytes} bytes after ten minutes`);
  const { fast, timeout } = sender.info().retransmits;
  const tookMs = pair.nowMs - startedAt;
  listener.close();
  return { tookMs, fastRetransmits: fast, timeoutRetransmits: timeout };
}

/** Mean of several seeds. */
export function simulateMany(bytes: number, seeds: number, link: Partial<LinkOptions>): NetsimResult {
  let tookMs = 0;
  let fastRetransmits = 0;
  let timeoutRetransmits = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const result = simulate(bytes, seed, link);
    tookMs += result.tookMs / seeds;
    fastRetransmits += result.fastRetransmits / seeds;
    timeoutRetransmits += result.timeoutRetransmits / seeds;
  }
  return { tookMs, fastRetransmits, timeoutRetransmits };
}

function printTable(bytes: number, seeds: number): void {
  console.log(`${bytes / 1e6} MB over 100 Mbit/s, 40 ms; mean of ${seeds} seeds, virtual time`);
  console.log('| loss | reordered | ms | Mbit/s | fast retransmits | after timeouts |');
  console.log('|---|---|---|---|---|---|');
  const rows = [...LOSSES.map((loss) => ({ loss, reorder: 0 })), { loss: 0, reorder: 0.02 }];
  for (const row of rows) {
    const { tookMs, fastRetransmits, timeoutRetransmits } = simulateMany(bytes, seeds, row);
    const rate = (bytes * 8) / tookMs / 1000;
    console.log(
      `| ${row.loss * 100} % | ${row.reorder * 100} % | ${tookMs.toFixed(0)} | ${rate.toFixed(1)} | ${fastRetransmits.toFixed(0)} | ${timeoutRetransmits.toFixed(0)} |`,
    );
  }
}

if (import.meta.main) printTable(Number(process.argv[2] ?? 20_000_000), Number(process.argv[3] ?? 5));
