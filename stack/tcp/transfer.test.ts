import test from 'ava';
import type { Endpoint } from '../endpoint.ts';
import { EndpointEvent } from '../endpoint.ts';
import { addressOf } from '../testing/packets.ts';
import { PAIR_ADDRESSES, type PairOptions, StackPair } from '../testing/stack-pair.ts';
import { TcpConnection } from './connection.ts';
import { TcpListener } from './listener.ts';
import type { ConnectOptions } from './tcp-layer.ts';

/** One end's application: writes a known stream, reads all, shuts down after the last byte, closes at the end. */
class Application {
  readonly connection: TcpConnection;
  readonly #toSend: number;
  readonly #mark: number;
  written = 0;
  received = 0;
  closed = false;
  wrong = -1;
  /** Reads only while this is set. */
  reads = true;
  readonly #buffer = new Uint8Array(9973);

  constructor(connection: TcpConnection, bytes: number, mark: number) {
    this.connection = connection;
    this.#toSend = bytes;
    this.#mark = mark;
  }

  /** Byte `at` of the stream with this mark. */
  static byteAt(mark: number, at: number): number {
    return (Math.imul(at + mark, 0x9e3779b1) >>> 24) & 255;
  }

  pump(peerMark: number): void {
    const { sendRing, recvRing } = this.connection;
    if (sendRing === null || recvRing === null) return;
    let wrote = false;
    while (this.written < this.#toSend && sendRing.freeBytes > 0) {
      const length = Math.min(this.#buffer.length, this.#toSend - this.written, sendRing.freeBytes);
      for (let i = 0; i < length; i++) this.#buffer[i] = Application.byteAt(this.#mark, this.written + i);
      this.written += sendRing.write(this.#buffer, 0, length);
      wrote = true;
    }
    if (wrote) this.connection.appWrote();
    if (this.written === this.#toSend) this.connection.shutdown();
    while (this.reads && recvRing.usedBytes > 0) {
      const length = recvRing.read(this.#buffer, 0, this.#buffer.length);
      for (let i = 0; i < length && this.wrong < 0; i++) {
        if (this.#buffer[i] !== Application.byteAt(peerMark, this.received + i))
          this.wrong = this.received + i;
      }
      this.received += length;
      this.connection.appRead();
    }
  }
}

interface TransferOptions extends Partial<PairOptions> {
  readonly family?: 4 | 6;
  readonly forwardBytes: number;
  readonly backwardBytes: number;
  readonly limitMs?: number;
  readonly connect?: Partial<ConnectOptions>;
}

interface TransferResult {
  readonly pair: StackPair;
  readonly client: Application;
  readonly server: Application | null;
  readonly tookMs: number;
}

function transfer(
  options: TransferOptions,
  during?: (pair: StackPair, client: Application) => void,
): TransferResult {
  const pair = new StackPair(options);
  pair.traceLimit = 0;
  const family = options.family === 6 ? 'v6' : 'v4';
  const listener = pair.b.tcp.listen({ local: null, port: 7, backlog: 4 });
  const connection = pair.a.tcp.connect({
    remote: addressOf(PAIR_ADDRESSES.b[family]),
    remotePort: 7,
    local: null,
    localPort: 0,
    noDelay: false,
    keepAlive: null,
    ...options.connect,
  });
  const client = new Application(connection, options.forwardBytes, 1);
  let server: Application | null = null;
  const startedAt = pair.nowMs;
  pair.onEvents = (endpoint: Endpoint, events: number): void => {
    if (endpoint instanceof TcpListener) {
      const accepted = endpoint.accept();
      if (accepted !== null) server = new Application(accepted, options.backwardBytes, 2);
    }
    if (!(endpoint instanceof TcpConnection)) return;
    const app = endpoint === client.connection ? client : server;
    app?.pump(app === client ? 2 : 1);
    if (app !== null && (events & EndpointEvent.Closed) !== 0) app.closed = true;
  };
  client.pump(2);
  during?.(pair, client);
  const done = (): boolean => client.closed && (server?.closed ?? false);
  pair.runUntil(done, startedAt + (options.limitMs ?? 600_000));
  const tookMs = pair.nowMs - startedAt;
  listener.close();
  // TIME-WAIT and everything else must end by itself
  pair.run(pair.nowMs + 400_000);
  return { pair, client, server, tookMs };
}

function verify(t: import('ava').ExecutionContext, options: TransferOptions, result: TransferResult): void {
  const { pair, client, server } = result;
  const seed = `seed ${options.seed}`;
  t.is(client.connection.error, null, seed);
  t.not(server, null, seed);
  t.is(server?.connection.error, null, seed);
  t.is(server?.received, options.forwardBytes, seed);
  t.is(client.received, options.backwardBytes, seed);
  t.is(client.wrong, -1, seed);
  t.is(server?.wrong, -1, seed);
  t.true(client.closed && server?.closed, seed);
  t.is(pair.aRings.openCount, 0, seed);
  t.is(pair.bRings.openCount, 0, seed);
  t.is(pair.a.tcp.table.size, 0, seed);
  t.is(pair.b.tcp.table.size, 0, seed);
  t.is(pair.nextEventMs(), Infinity, seed);
}

test('a stream each way arrives byte for byte', (t) => {
  const options = { seed: 1, forwardBytes: 300_000, backwardBytes: 200_000 };
  verify(t, options, transfer(options));
});

test('IPv6, super-segments and offloaded checksums', (t) => {
  const options = {
    seed: 2,
    family: 6 as const,
    txChecksum: true,
    txSegmentBytes: 65_535,
    forwardBytes: 1_000_000,
    backwardBytes: 1_000_000,
  };
  verify(t, options, transfer(options));
});

const SEEDS = 24;
const HOSTILE = { loss: 0.03, duplicate: 0.02, reorder: 0.05, corrupt: 0.02 };

for (const offload of [false, true]) {
  for (const family of [4, 6] as const) {
    test(`loss, duplication, reordering and corruption: IPv${family}, offload ${offload}`, (t) => {
      for (let seed = 1; seed <= SEEDS; seed++) {
        const options: TransferOptions = {
          seed,
          family,
          txChecksum: offload,
          txSegmentBytes: offload ? 65_535 : 0,
          sendRingBytes: 32_768 << (seed % 4),
          recvRingBytes: 65_536 << (seed % 3),
          forwardBytes: 20_000 + 7919 * seed,
          backwardBytes: seed % 3 === 0 ? 0 : 90_001,
          forward: HOSTILE,
          backward: HOSTILE,
        };
        verify(t, options, transfer(options));
      }
    });
  }
}

test('heavy loss, and NewReno', (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const options: TransferOptions = {
      seed,
      forwardBytes: 60_000,
      backwardBytes: 60_000,
      forward: { loss: 0.2 },
      backward: { loss: 0.2 },
      limitMs: 3_000_000,
      connect: { congestion: seed % 2 === 0 ? 'newreno' : 'cubic' },
    };
    verify(t, options, transfer(options));
  }
});

test('a device that is full now and then', (t) => {
  for (const txSegmentBytes of [0, 20_000]) {
    const slow = { kilobitsPerSecond: 10_000, queuePackets: 3, refuses: true };
    const options = {
      seed: 5,
      txSegmentBytes,
      forwardBytes: 400_000,
      backwardBytes: 100_000,
      forward: slow,
      backward: slow,
    };
    verify(t, options, transfer(options));
  }
});

test('a reader that stops makes the window zero; when it goes on, so does the stream [MUST-36] [MUST-37]', (t) => {
  const options = { seed: 6, forwardBytes: 0, backwardBytes: 500_000 };
  const result = transfer(options, (pair, client) => {
    client.reads = false;
    pair.runFor(300_000);
    t.is(client.received, 0);
    t.true((client.connection.recvRing?.freeBytes ?? Infinity) < 256);
    client.reads = true;
    client.pump(2);
  });
  verify(t, options, result);
});

test('window scaling: a large ring is used on a long path', (t) => {
  const options = {
    seed: 7,
    forwardBytes: 8_000_000,
    backwardBytes: 0,
    sendRingBytes: 1 << 20,
    recvRingBytes: 1 << 20,
    txSegmentBytes: 65_535,
    forward: { latencyMs: 50 },
    backward: { latencyMs: 50 },
  };
  const result = transfer(options);
  verify(t, options, result);
  // 64 KB per round trip of 100 ms would take 12 s
  t.true(result.tookMs < 2500, `${result.tookMs} ms`);
});

test('throughput with loss on 20 Mbit/s and 20 ms is near the link', (t) => {
  for (const [loss, limitMs] of [
    [0, 2600],
    [0.001, 2600],
    [0.01, 6000],
  ] as const) {
    const link = { latencyMs: 10, kilobitsPerSecond: 20_000, queuePackets: 60, loss };
    const options = {
      seed: 8,
      forwardBytes: 4_000_000,
      backwardBytes: 0,
      sendRingBytes: 1 << 18,
      recvRingBytes: 1 << 18,
      forward: link,
      backward: { ...link, loss: 0 },
    };
    const result = transfer(options);
    verify(t, options, result);
    t.true(result.tookMs < limitMs, `loss ${loss}: ${result.tookMs} ms`);
  }
});
