import { isIP } from 'node:net';
import { WOULD_BLOCK } from '../engine/channel.ts';
import type { EngineClient } from '../engine/client.ts';
import type { Plain, ProbeLine, ProbeRequest } from '../engine/questions.ts';
import { SharedSocket } from '../engine/shared-socket.ts';
import { SocketStatus } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { PingResult, PingSummary } from '../stack/ip/ping.ts';
import { checkProbeRange } from '../stack/ip/probes.ts';
import type { TraceHop } from '../stack/ip/trace.ts';
import { cancelled, onAbort, throwIfCancelled } from './abort.ts';
import { noteOpen } from './open-sockets.ts';
import { checkAddress } from './options.ts';

/** What became of one echo request; `from` is null and `rttMs` null when nothing came in time. */
export type PingReply = Plain<PingResult>;
/** Numbers over all requests so far, as ping prints them at its end; times are null without replies. */
export type PingStatistics = Plain<PingSummary>;
/** One hop on the way with its probes; `from` null: nobody answered in time. */
export type TracedHop = Plain<TraceHop>;

interface ProbeOptions {
  /** Addresses of this family only. Default 0: the first that the name has. */
  readonly family?: 0 | 4 | 6 | undefined;
  /** An own address. Default: chosen by route. */
  readonly localAddress?: string | undefined;
  /** Data in a request, without headers. */
  readonly payloadBytes?: number | undefined;
  /** How long each answer is waited for, from 1. Default 2000, of a trace 3000. */
  readonly timeoutMs?: number | undefined;
  /** Ends it: whoever waits for a result gets an AbortError. */
  readonly signal?: AbortSignal | undefined;
}

export interface PingOptions extends ProbeOptions {
  /** Requests, from 1; Infinity: until it is ended. Default 4. */
  readonly count?: number | undefined;
  /** Between two requests, from 1. Default 1000. */
  readonly intervalMs?: number | undefined;
  /** Hop limit, 1 … 255. Default 64. */
  readonly ttl?: number | undefined;
}

export interface TraceOptions extends ProbeOptions {
  /** UDP datagrams to ports where nobody listens, echo requests, or SYNs to `port`, which are never answered. Default 'udp'. */
  readonly method?: 'udp' | 'icmp' | 'tcp' | undefined;
  /** Of SYNs, 1 … 65535. Default 80. */
  readonly port?: number | undefined;
  /** Hop limit of the first probes. Default 1. */
  readonly firstHop?: number | undefined;
  /** 1 … 255. Default 30. */
  readonly maxHops?: number | undefined;
  /** 1 … 10. Default 3. */
  readonly probesPerHop?: number | undefined;
}

/** A name or address to the first of its addresses. */
export type Resolve = (
  host: string,
  family: 0 | 4 | 6,
  signal: AbortSignal | undefined,
) => Promise<{ readonly address: string }>;

/**
 * A ping or a trace under way: an async iterable of its results, which can be gone through once. Leaving the loop ends it. What goes
 * wrong at the beginning (a name that is not found, no route) is thrown by the first step.
 */
abstract class ProbeRun<Result> implements AsyncIterable<Result>, AsyncDisposable {
  /** Where to, once the name is resolved. */
  address: string | null = null;
  readonly #client: EngineClient;
  readonly #host: string;
  readonly #resolve: Resolve;
  readonly #options: ProbeOptions;
  #shared: SharedSocket | null = null;
  #started = false;
  #over = false;
  #text = '';
  #wake: () => void = () => {};
  #end: () => void = () => {};

  constructor(client: EngineClient, host: string, resolve: Resolve, options: ProbeOptions) {
    this.#client = client;
    this.#host = host;
    this.#resolve = resolve;
    this.#options = options;
  }

  /** What the engine is asked for. */
  protected abstract request(address: string): ProbeRequest;
  /** The result in a line of the answer. */
  protected abstract take(line: ProbeLine): Result | null;

  /** All results, when there are no more. @throws NetError also after some results */
  async all(): Promise<Result[]> {
    const results: Result[] = [];
    for await (const result of this) results.push(result);
    return results;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Result, undefined> {
    if (this.#started) {
      const detail = 'a ping or a trace is gone through once';
      throw new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
    }
    this.#started = true;
    const { signal } = this.#options;
    throwIfCancelled(signal);
    let stop = (): void => {};
    try {
      const shared = await this.#start();
      stop = onAbort(signal, () => this.#wake());
      while (!this.#over) {
        // the flag before the results: what was there before it is read then
        const changed = new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        if (signal?.aborted) throw cancelled(signal, Phase.Transfer);
        shared.throwIfFailed();
        const line = this.#nextLine(shared);
        if (line === 'end') return;
        if (line === null) {
          await changed;
          continue;
        }
        const result = this.take(line);
        if (result !== null) yield result;
      }
    } finally {
      stop();
      this.#end();
    }
  }

  async #start(): Promise<SharedSocket> {
    const { family = 0, localAddress, signal } = this.#options;
    checkAddress(this.#client, 'localAddress', localAddress);
    const { address } =
      isIP(this.#host) === 0 ? await this.#resolve(this.#host, family, signal) : { address: this.#host };
    this.address = address;
    const shared = SharedSocket.probe(this.#client, this.request(address));
    this.#shared = shared;
    this.#client.ref();
    const noteClosed = noteOpen(this.#client, () => this.#end());
    this.#end = (): void => {
      this.#end = (): void => {};
      this.#over = true;
      noteClosed();
      shared.release();
      this.#shared = null;
      this.#client.unref();
      this.#wake();
    };
    shared.watch(() => this.#wake());
    return shared;
  }

  /** @returns null: none now */
  #nextLine(shared: SharedSocket): ProbeLine | 'end' | null {
    for (;;) {
      const end = this.#text.indexOf('\n');
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return JSON.parse(line) as ProbeLine;
      }
      if (shared.status < SocketStatus.Open) return null;
      const piece = Buffer.alloc(4096);
      const bytes = shared.read(piece, 0, piece.length);
      if (bytes === WOULD_BLOCK) return null;
      if (bytes === 0) return 'end';
      // plain ASCII
      this.#text += piece.toString('latin1', 0, bytes);
    }
  }

  /** Ends it now; the loop over it ends, too. May be called twice. */
  close(): void {
    this.#started = true;
    this.#over = true;
    if (this.#shared !== null) this.#end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

/** Echo requests to one host (`NetStack.ping`). */
export class PingRun extends ProbeRun<PingReply> {
  /** As of the last reply taken, or a little later; null before the first. */
  statistics: PingStatistics | null = null;
  readonly #options: PingOptions;

  constructor(client: EngineClient, host: string, resolve: Resolve, options: PingOptions) {
    super(client, host, resolve, options);
    this.#options = options;
  }

  protected override request(address: string): ProbeRequest {
    const { count = 4, intervalMs, payloadBytes, timeoutMs, ttl, localAddress } = this.#options;
    // Infinity has no place in JSON
    checkProbeRange('count', count, 1, Infinity, true);
    return {
      ping: address,
      count: count === Infinity ? 0 : count,
      ...defined({ intervalMs, payloadBytes, timeoutMs, ttl, source: localAddress }),
    };
  }

  protected override take(line: ProbeLine): PingReply | null {
    if (!('reply' in line)) return null;
    this.statistics = line.summary;
    return line.reply;
  }
}

/** The way to one host (`NetStack.trace`). */
export class TraceRun extends ProbeRun<TracedHop> {
  readonly #options: TraceOptions;

  constructor(client: EngineClient, host: string, resolve: Resolve, options: TraceOptions) {
    super(client, host, resolve, options);
    this.#options = options;
  }

  protected override request(address: string): ProbeRequest {
    const { method, port, firstHop, maxHops, probesPerHop, timeoutMs, payloadBytes, localAddress } =
      this.#options;
    return {
      trace: address,
      ...defined({
        method,
        port,
        firstHop,
        maxHops,
        probesPerHop,
        timeoutMs,
        payloadBytes,
        source: localAddress,
      }),
    };
  }

  protected override take(line: ProbeLine): TracedHop | null {
    return 'hop' in line ? line.hop : null;
  }
}

/** Without what is not set. */
function defined<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}
