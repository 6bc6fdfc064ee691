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
