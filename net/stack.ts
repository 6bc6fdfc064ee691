import { Arena } from '../engine/arena.ts';
import { EngineClient } from '../engine/client.ts';
import { type EngineCounters, sumOf } from '../engine/engine-counters.ts';
import type { EngineOptions } from '../engine/options.ts';
import type { SocketSummary, StackStats } from '../engine/questions.ts';
import { SharedSocket } from '../engine/shared-socket.ts';
import { type EngineHandle, publishEngine, sharedEngines, startEngines } from '../engine/start.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { FlowShare } from '../stack/flow-share.ts';
import { canonicalType, type DnsRecord, typeNumber } from '../stack/resolver/record.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { answerOf, ask } from './answer.ts';
import { CHANNELS } from './channels.ts';
import type { FetchOptions, StackFetch } from './fetch.ts';
import { prometheusText } from './metrics.ts';
import { closeOpen } from './open-sockets.ts';
import type { ConnectOptions } from './options.ts';
import { type PingOptions, PingRun, type Resolve, type TraceOptions, TraceRun } from './probe-run.ts';
import { RawSocket, type RawSocketOptions } from './raw-socket.ts';
import { type ListenOptions, Server } from './server.ts';
import { Socket, type SocketOptions } from './socket.ts';
import { type UdpOptions, UdpSocket } from './udp.ts';

export interface StackOptions extends EngineOptions {
  /**
   * The stack that `connect`, `listen`, `udp` and `resolve` use when they are given none, in this thread and in those that
   * it starts from now on. Default false.
   */
  readonly shared?: boolean;
}

export interface ResolveRecordsOptions {
  /** What to look up: `'MX'`, `'TXT'`, `'HTTPS'` … or `'TYPE65'`. */
  readonly type: string;
  readonly signal?: AbortSignal | undefined;
}

export interface ResolveOptions {
  /** 0: both, in the order in which {@link NetStack.connect} would try them. Default 0. */
  readonly family?: 0 | 4 | 6 | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface SignalOption {
  readonly signal?: AbortSignal | undefined;
}

/** An address as `dns.lookup` gives it. */
export interface ResolvedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** A stack on its device, in a thread of its own. Any thread can hold one on the same engine. */
export class NetStack implements AsyncDisposable {
  /** Of the first engine, which has all that cannot be shared. */
  readonly #client: EngineClient;
  readonly #clients: readonly EngineClient[];
  readonly #handles: readonly EngineHandle[];
  /** Connections go to the engines by turns. */
  #turn = 0;
  #fetch: StackFetch | null = null;

  private constructor(clients: readonly EngineClient[], handles: readonly EngineHandle[]) {
    this.#client = clients[0]!;
    this.#clients = clients;
    this.#handles = handles;
  }

  /** The stack of an engine that somebody else has started, and stops. @param arenas default: the process's shared one
   * @throws NetError NOT_INITIALIZED */
  static attach(arenas: Arena | readonly Arena[] = sharedEngines()): NetStack {
    const all = arenas instanceof Arena ? [arenas] : arenas;
    if (all.length > 0)
      return new NetStack(
        all.map((arena) => EngineClient.of(arena)),
        [],
      );
    throw new NetError('NOT_INITIALIZED', {
      phase: Phase.Argument,
      detail: 'make a stack with createStack({ device, addresses, shared: true }), or pass one as `stack`',
    });
  }

  /** The stack of engines that end with it. */
  static own(...handles: readonly EngineHandle[]): NetStack {
    return new NetStack(
      handles.map(({ arena }) => EngineClient.of(arena)),
      handles,
    );
  }

  /** What the engine has done since its start; while it works, as of some rounds ago. */
  get counters(): EngineCounters {
    return sumOf(this.engineCounters);
  }

  /** {@link counters} of each engine. */
  get engineCounters(): EngineCounters[] {
    return this.#clients.map((client) => client.counters);
  }

  /** The shared memory of the first engine: another thread makes it its own stack with {@link attach}. */
  get arena(): Arena {
    return this.#client.arena;
  }

  /** The same of all engines. */
  get arenas(): Arena[] {
    return this.#clients.map(({ arena }) => arena);
  }

  /**
   * Connects by name or address. @returns the socket after 'connect', with TLS after 'secureConnect'
   * @throws NetError everything that can go wrong; `phase` says how far it came
   */
  connect(options: ConnectOptions): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = new Socket(this.#clientFor(options), options).connect(options);
      const connected = socket.encrypted ? 'secureConnect' : 'connect';
      const closed = (): void =>
        reject(new NetError('ABORTED', { phase: Phase.Connect, detail: 'closed while connecting' }));
      socket.once('error', reject);
      socket.once('close', closed);
      socket.once(connected, () => {
        socket.off('close', closed);
        resolve(socket);
        // an error before the caller could listen is left in `errored`; the next use of the socket tells it
        setImmediate(() => socket.off('error', reject));
      });
    });
  }

  /**
   * The same in the way of `net.createConnection`: the socket at once, for `http.Agent` and others that wait by themselves.
   * It can be passed on without its stack.
   */
  readonly createConnection = (options: ConnectOptions, listener?: () => void): Socket =>
    new Socket(this.#clientFor(options), options).connect(options, listener);

  /**
   * Node's own `fetch`, whose connections and TLS are those of the stack; they are kept for the next request.
   * @throws TypeError as `fetch` does, with a NetError as its `cause`; NetError ARGUMENT_INVALID when a global dispatcher was set that is no
   * Agent of undici
   */
  async fetch(input: string | URL | Request, options: FetchOptions = {}): Promise<Response> {
    if (this.#fetch === null) {
      // HTTP is loaded when somebody wants it
      const { StackFetch } = await import('./fetch.ts');
      this.#fetch ??= new StackFetch(this);
    }
    return this.#fetch.fetch(input, options);
  }

  #clientFor({ localPort = 0, port }: ConnectOptions): EngineClient {
    const count = this.#clients.length;
    if (count === 1) return this.#client;
    const own = new FlowShare(0, count);
    const isGiven = typeof localPort === 'number' && localPort > 0;
    return this.#clients[isGiven ? own.tcpOwner(localPort, Number(port)) : this.#turn++ % count]!;
  }

  /** A socket that is not connected yet, as `new net.Socket()`: for libraries that call its `connect` by themselves. */
  socket(options: SocketOptions = {}): Socket {
    return new Socket(this.#client, options);
  }

  /** @throws NetError ADDRESS_IN_USE, ADDRESS_NOT_AVAILABLE, PORT_INVALID … */
  listen(options: ListenOptions): Promise<Server> {
    return Server.listen(this.#clients, options);
  }

  /** @throws NetError ADDRESS_IN_USE, ADDRESS_NOT_AVAILABLE, PORT_INVALID … */
  udp(options: UdpOptions = {}): Promise<UdpSocket> {
    const owner = new FlowShare(0, this.#clients.length).udpOwner(options.port ?? 0);
    return UdpSocket.open(this.#clients[owner]!, options);
  }

  /** @throws NetError ARGUMENT_INVALID, ADDRESS_NOT_AVAILABLE … */
  rawSocket(options: RawSocketOptions): Promise<RawSocket> {
    return RawSocket.open(this.#client, options);
  }

  /**
   * Looks a name up: hosts file, then DNS; with a `type`, the records of that type, in DNS only. @returns at least one
   * @throws NetError HOST_NOT_FOUND, HOST_NO_ADDRESS, DNS_TIMEOUT, DNS_FAILURE, CANCELLED …
   */
  resolve(name: string, options: ResolveRecordsOptions): Promise<readonly DnsRecord[]>;
  resolve(name: string, options?: ResolveOptions): Promise<ResolvedAddress[]>;
  resolve(
    name: string,
    options: ResolveOptions | ResolveRecordsOptions = {},
  ): Promise<ResolvedAddress[] | readonly DnsRecord[]> {
    if ('type' in options) {
      const type = canonicalType(options.type);
      if (type === null) {
        const detail = `expected a type of DNS records like MX or TYPE65, got ${String(options.type)}`;
        return Promise.reject(new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail }));
      }
      const start = (): SharedSocket => SharedSocket.records(this.#client, name, typeNumber(type));
      return told(
        name,
        type,
        answerOf(this.#client, start, options.signal, (lookup) => lookup.takeRecords()),
      );
    }
    const start = (): SharedSocket => SharedSocket.lookup(this.#client, name, options.family ?? 0);
    const found = answerOf(this.#client, start, options.signal, (lookup) =>
      lookup.addresses.map((address) => ({ address: address.toString(), family: address.family })),
    );
    return told(name, '', found);
  }

  /**
   * The names of an address: those of the hosts file, else its PTR records.
   * @throws NetError ARGUMENT_INVALID, HOST_NOT_FOUND, HOST_NO_ADDRESS, DNS_TIMEOUT, DNS_FAILURE, CANCELLED …
   */
  reverse(address: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<string[]> {
    const parsed = IpAddress.parse(address);
    if (parsed === null) {
      const detail = `expected an IP address, got '${address}'`;
      return Promise.reject(new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail }));
    }
    const start = (): SharedSocket => SharedSocket.reverse(this.#client, parsed);
    const found = answerOf(this.#client, start, options.signal, (lookup) =>
      lookup.takeRecords().map((record) => String(record.data)),
    );
    return told(address, 'PTR', found);
  }

  /**
   * Asks a host for echoes: `for await (const reply of stack.ping('device.test'))`. Nothing is sent before somebody waits for the first.
   * The loop throws NetError HOST_NOT_FOUND …, NETWORK_UNREACHABLE, ACCESS_DENIED, ARGUMENT_INVALID, CANCELLED.
   */
  ping(host: string, options: PingOptions = {}): PingRun {
    return new PingRun(this.#client, host, this.#firstAddress, options);
  }

  /** Finds the routers on the way to a host, hop by hop: `for await (const hop of stack.trace('device.test'))`. Throws as {@link ping}. */
  trace(host: string, options: TraceOptions = {}): TraceRun {
    return new TraceRun(this.#client, host, this.#firstAddress, options);
  }

  readonly #firstAddress: Resolve = async (host, family, signal) => {
    const [first] = await this.resolve(host, { family, signal });
    if (first === undefined) throw new NetError('HOST_NO_ADDRESS', { phase: Phase.Resolve, detail: host });
    return first;
  };

  /** What the stack is and has done so far, with a counter for each reason to drop. @throws NetError ENGINE_STOPPED, CANCELLED */
  stats(options: SignalOption = {}): Promise<StackStats> {
    return ask(this.#client, 'stats', options.signal) as Promise<StackStats>;
  }

  /** {@link stats} in Prometheus' text format 0.0.4. */
  async metrics(options: SignalOption = {}): Promise<string> {
    return prometheusText(await this.stats(options));
  }

  /**
   * All sockets of the stack, those of other threads and connections in TIME-WAIT among them; 10,000 at most.
   * @param options with `info` each connection is described as by {@link Socket.info}; 1000 at most
   */
  sockets(options: SignalOption & { readonly info?: boolean } = {}): Promise<SocketSummary[]> {
    const question = options.info === true ? 'described sockets' : 'sockets';
    return ask(this.#client, question, options.signal) as Promise<SocketSummary[]>;
  }

  /**
   * If this stack has started its engine: closes what this thread has open on it, in order, and stops the engine. Sockets of
   * other threads end with ENGINE_STOPPED. An attached stack has nothing to close. May be called twice.
   */
  async close(): Promise<void> {
    if (this.#handles.length === 0) return;
    for (const client of this.#clients) closeOpen(client);
    await Promise.all(this.#handles.map((handle) => handle.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Starts a stack on a device, in a thread of its own.
 * @throws NetError DEVICE_FAILED, ARGUMENT_INVALID
 * @throws RangeError for sizes out of range
 */
export async function createStack(options: StackOptions): Promise<NetStack> {
  const { shared = false, ...engine } = options;
  const handles = await startEngines(engine);
  const [first, ...others] = handles.map(({ arena }) => arena);
  if (shared) publishEngine(first!, others);
  return NetStack.own(...handles);
}

let chosen: NetStack | null = null;

/** The stack to use in this thread when none is given; null: the process's shared one again. */
export function setDefaultStack(stack: NetStack | null): void {
  chosen = stack;
}

/** Publishes the end of a lookup. @param type '': addresses */
function told<T extends readonly unknown[]>(name: string, type: string, looking: Promise<T>): Promise<T> {
  if (!CHANNELS.resolved.hasSubscribers) return looking;
  const startedAt = performance.now();
  const tell = (answers: T | null, error: unknown): void =>
    CHANNELS.resolved.publish({ name, type, answers, error, elapsedMs: performance.now() - startedAt });
  looking.then(
    (answers) => tell(answers, null),
    (error: unknown) => tell(null, error),
  );
  return looking;
}

interface OnStack {
  /** Default: {@link setDefaultStack}'s, else the process's shared one. */
  readonly stack?: NetStack | undefined;
}

/** {@link NetStack.connect} on the default stack. */
export async function connect(options: ConnectOptions & OnStack): Promise<Socket> {
  return stackOf(options).connect(options);
}

/** {@link NetStack.listen} on the default stack. */
export async function listen(options: ListenOptions & OnStack): Promise<Server> {
  return stackOf(options).listen(options);
}

/** {@link NetStack.udp} on the default stack. */
export async function udp(options: UdpOptions & OnStack = {}): Promise<UdpSocket> {
  return stackOf(options).udp(options);
}

/** {@link NetStack.resolve} on the default stack. */
export function resolve(
  name: string,
  options: ResolveRecordsOptions & OnStack,
): Promise<readonly DnsRecord[]>;
export function resolve(name: string, options?: ResolveOptions & OnStack): Promise<ResolvedAddress[]>;
export async function resolve(
  name: string,
  options: (ResolveOptions | ResolveRecordsOptions) & OnStack = {},
): Promise<ResolvedAddress[] | readonly DnsRecord[]> {
  return stackOf(options).resolve(name, options);
}

/** {@link NetStack.reverse} on the default stack. */
export async function reverse(
  address: string,
  options: { readonly signal?: AbortSignal | undefined } & OnStack = {},
): Promise<string[]> {
  return stackOf(options).reverse(address, options);
}

/** {@link NetStack.ping} on the default stack. */
export function ping(host: string, options: PingOptions & OnStack = {}): PingRun {
  return stackOf(options).ping(host, options);
}

/** {@link NetStack.trace} on the default stack. */
export function trace(host: string, options: TraceOptions & OnStack = {}): TraceRun {
  return stackOf(options).trace(host, options);
}

/** {@link NetStack.createConnection} on the default stack: `new http.Agent({ … }).createConnection = createConnection`. */
export function createConnection(options: ConnectOptions & OnStack, listener?: () => void): Socket {
  return stackOf(options).createConnection(options, listener);
}

function stackOf(options: OnStack): NetStack {
  return options.stack ?? chosen ?? NetStack.attach();
}
