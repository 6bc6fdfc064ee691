import type { DeviceCounters } from '../drivers/device.ts';
import type { Endpoint } from '../stack/endpoint.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { Interface } from '../stack/ip/interface.ts';
import { Ping, type PingResult, type PingSummary } from '../stack/ip/ping.ts';
import type { Trace as RouteTrace, TraceHop } from '../stack/ip/trace.ts';
import { parseZonedAddress, requireZone } from '../stack/resolver/host-name.ts';
import { TcpConnection } from '../stack/tcp/connection.ts';
import type { Flow } from '../stack/tcp/connection-table.ts';
import { type ConnectionInfo, describeConnection } from '../stack/tcp/info.ts';
import { TcpListener } from '../stack/tcp/listener.ts';
import { ParkedConnection } from '../stack/tcp/parked-connection.ts';
import { TCP_STATE_NAMES, TcpState } from '../stack/tcp/tcp-state.ts';
import { UdpSocket } from '../stack/udp/udp-socket.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { type EngineCounters, readCounters } from './engine-counters.ts';
import type { Port } from './port.ts';
import type { Services } from './services.ts';
import { type SocketBlock, SocketEvent, SocketStatus, SocketWord } from './socket-block.ts';
import type { SocketTable } from './socket-table.ts';

/** Sockets that one answer lists at most; the counts are of all. */
export const MAX_LISTED_SOCKETS = 10_000;
/** The same when each connection is described: that is some 2 KB for each. */
export const MAX_DESCRIBED_SOCKETS = 1000;
/** Memory for results of a ping or a trace on their way to the asking thread. */
const RESULT_RING_BYTES = 16_384;

/** One line of `ss`. Plain JSON. */
export interface SocketSummary {
  readonly protocol: 'tcp' | 'udp';
  /** TCP's states as RFC 9293 names them, and LISTEN; UDP: '' or ESTABLISHED with a fixed peer. */
  readonly state: string;
  /** null: any. */
  readonly localAddress: string | null;
  readonly localPort: number;
  /** null: none. */
  readonly remoteAddress: string | null;
  readonly remotePort: number;
  /** Bytes that the application has not read, and that the peer has not acknowledged. */
  readonly receiveQueueBytes: number;
  readonly sendQueueBytes: number;
  /** Of a TCP connection, when it was asked for. */
  readonly info?: ConnectionInfo;
}

/** An interface, as plain JSON. */
export interface InterfaceStats {
  readonly name: string;
  readonly mtuBytes: number;
  readonly addresses: readonly string[];
  /** What its device has carried and dropped; null: it is a virtual LAN on that of another. */
  readonly device: Readonly<DeviceCounters> | null;
}

/** What a stack is and has done so far. Plain JSON. */
export interface StackStats {
  /** That of the option `device`. */
  readonly interface: InterfaceStats;
  /** All of them, in the order of their numbers. */
  readonly interfaces: readonly InterfaceStats[];
  readonly engine: EngineCounters;
  /** Each layer's counters by their names, the reasons for drops among them: `layers.tcp.dropChecksum`. */
  readonly layers: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** TCP connections by state. */
  readonly connections: Readonly<Record<string, number>>;
}

/** The answer to a question about one connection. */
export type SocketInfo = ConnectionInfo;

export type Question = 'stats' | 'sockets' | 'described sockets' | { readonly socket: number };

/** What an engine is asked to send, as it travels in a socket block: short names, for there is little room. */
export type ProbeRequest =
  | {
      readonly ping: string;
      /** 0: until it is released. */
      readonly count?: number;
      readonly intervalMs?: number;
      readonly payloadBytes?: number;
      readonly timeoutMs?: number;
      readonly ttl?: number;
      readonly source?: string;
    }
  | {
      readonly trace: string;
      readonly method?: 'udp' | 'icmp' | 'tcp';
      readonly port?: number;
      readonly firstHop?: number;
      readonly maxHops?: number;
      readonly probesPerHop?: number;
      readonly timeoutMs?: number;
      readonly payloadBytes?: number;
      readonly source?: string;
    };

/** As JSON has it: addresses are text, numbers that are none are null. */
export type Plain<T> = T extends number
  ? number | null
  : T extends IpAddress
    ? string
    : T extends string | boolean | null
      ? T
      : { readonly [K in keyof T]: Plain<T[K]> };

/** A line of the answer to a {@link ProbeRequest}. */
export type ProbeLine =
  | { readonly reply: Plain<PingResult>; readonly summary: Plain<PingSummary> }
  | { readonly hop: Plain<TraceHop> };

/** Answers what other threads ask of a running engine: JSON in the receive ring of the block that asks. */
export class Questions {
  readonly #services: Services;
  readonly #table: SocketTable;
  readonly #ports: readonly Port[];
  readonly #counters: Float64Array;

  /** @param counters the engine's account, where it is published */
  constructor(services: Services, table: SocketTable, ports: readonly Port[], counters: Float64Array) {
    this.#services = services;
    this.#table = table;
    this.#ports = ports;
    this.#counters = counters;
  }

  /**
   * Answers at once.
   * @param endpoints what each socket block stands for
   * @throws NetError NOT_CONNECTED for a socket that is no connection (any more), NO_BUFFERS
   */
  answer(
    block: SocketBlock,
    endpoints: readonly (Endpoint | ParkedConnection | null)[],
    awake: (index: number) => Endpoint | null,
  ): void {
    const question = JSON.parse(block.text) as Question;
    const answer =
      question === 'stats'
        ? this.#stats()
        : question === 'sockets' || question === 'described sockets'
          ? this.#sockets(endpoints, question !== 'sockets')
          : infoOf(awake(question.socket));
    if (!this.#table.openAnswer(block, new TextEncoder().encode(JSON.stringify(answer)))) {
      throw new NetError('NO_BUFFERS', { phase: Phase.Argument, detail: 'no memory for the answer' });
    }
  }

  /** Starts a ping or a trace for a block. @throws NetError what `IcmpLayer.ping` throws */
  startProbe(block: SocketBlock): Ping | RouteTrace {
    const request = JSON.parse(block.text) as ProbeRequest;
    if (!this.#table.openAnswerRing(block, RESULT_RING_BYTES)) {
      throw new NetError('NO_BUFFERS', { phase: Phase.Argument, detail: 'no memory for the results' });
    }
    const { source = '', ...options } = request;
    const target = 'ping' in request ? request.ping : request.trace;
    const given = {
      ...options,
      ...('count' in options && options.count === 0 ? { count: Infinity } : {}),
      destination: this.#literal(target),
      source: source === '' ? null : this.#literal(source),
      owner: block.index,
    };
    const { icmp } = this.#services.stack;
    return 'ping' in request ? icmp.ping(given) : icmp.trace(given);
  }

  #literal(text: string): IpAddress {
    const literal = parseZonedAddress(text);
    if (literal !== null)
      return requireZone(
        literal,
        this.#services.stack.interfaces.map(({ name }) => name),
      );
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `expected an IP address, got '${text}'`,
    });
  }

  /** Hands over the results that there is room for; at the end of them the block is closed in order. */
  pushResults(block: SocketBlock, prober: Ping | RouteTrace): void {
    const ring = block.recvRing(block.get(SocketWord.RecvRing));
    let told = 0;
    while (ring.freeBytes >= LONGEST_LINE_BYTES) {
      const line = nextLine(prober);
      if (line === null) {
        if (prober.closed && block.get(SocketWord.Status) === SocketStatus.Open) {
          block.set(SocketWord.Status, SocketStatus.Closed);
          told |= SocketEvent.Closed;
        }
        break;
      }
      const bytes = new TextEncoder().encode(`${JSON.stringify(line, plain)}\n`);
      ring.write(bytes, 0, bytes.length);
      told |= SocketEvent.Readable;
    }
    if (told !== 0) this.#table.tell(block, told);
  }

  #stats(): StackStats {
    const { stack } = this.#services;
    const connections = Object.fromEntries(TCP_STATE_NAMES.map((name) => [name, 0]));
    for (const flow of stack.tcp.table) {
      const name = stateOf(flow);
      connections[name] = (connections[name] ?? 0) + 1;
    }
    return {
      interface: this.#describe(this.#ports[0]!.iface),
      interfaces: stack.interfaces.map((iface) => this.#describe(iface)),
      engine: readCounters(this.#counters),
      layers: stack.counters.toJSON(),
      connections,
    };
  }

  #describe(iface: Interface): InterfaceStats {
    const { name, addresses, capabilities } = iface;
    const port = this.#ports.find((each) => each.iface === iface);
    return {
      name,
      mtuBytes: capabilities.mtuBytes,
      addresses: addresses.map(({ address, prefixLength }) => `${address}/${prefixLength}`),
      device: port === undefined ? null : port.own.counters,
    };
  }

  #sockets(
    endpoints: readonly (Endpoint | ParkedConnection | null)[],
    isDescribed: boolean,
  ): SocketSummary[] {
    const found: SocketSummary[] = [];
    const limit = isDescribed ? MAX_DESCRIBED_SOCKETS : MAX_LISTED_SOCKETS;
    for (const endpoint of endpoints) {
      if (endpoint instanceof TcpListener) found.push(listenerSummary(endpoint));
      else if (endpoint instanceof UdpSocket) found.push(datagramSummary(endpoint));
      if (found.length === limit) return found;
    }
    const { table } = this.#services.stack.tcp;
    // who is described wakes, which changes the table
    for (const each of isDescribed ? [...table].slice(0, limit) : table) {
      const flow = isDescribed && each instanceof ParkedConnection ? each.wake() : each;
      const isLive = flow instanceof TcpConnection;
      found.push({
        protocol: 'tcp',
        state: stateOf(flow),
        localAddress: String(flow.local),
        localPort: flow.localPort,
        remoteAddress: String(flow.remote),
        remotePort: flow.remotePort,
        receiveQueueBytes: isLive ? (flow.recvRing?.usedBytes ?? 0) : 0,
        sendQueueBytes: isLive ? (flow.sendRing?.usedBytes ?? 0) : 0,
        ...(isDescribed && isLive ? { info: describeConnection(flow) } : {}),
      });
      if (found.length === limit) break;
    }
    return found;
  }
}

/** A hop of ten probes whose routers tell all that is taken of their extensions is the longest. */
const LONGEST_LINE_BYTES = 10_000;

function plain(_key: string, value: unknown): unknown {
  return value instanceof IpAddress ? value.toString() : value;
}

function nextLine(prober: Ping | RouteTrace): object | null {
  if (prober instanceof Ping) {
    const reply = prober.take();
    return reply === null ? null : { reply, summary: prober.summary };
  }
  const hop = prober.take();
  return hop === null ? null : { hop };
}

/** Only established connections are parked. */
function stateOf(flow: Flow): string {
  return TCP_STATE_NAMES[flow instanceof ParkedConnection ? TcpState.Established : flow.state] ?? '';
}

function infoOf(endpoint: Endpoint | null): SocketInfo {
  if (endpoint instanceof TcpConnection) return describeConnection(endpoint);
  throw new NetError('NOT_CONNECTED', { phase: Phase.Argument, detail: 'there is no connection to tell of' });
}

function listenerSummary(listener: TcpListener): SocketSummary {
  return {
    protocol: 'tcp',
    state: 'LISTEN',
    localAddress: listener.local === null ? null : String(listener.local),
    localPort: Math.max(0, listener.localPort),
    remoteAddress: null,
    remotePort: 0,
    receiveQueueBytes: 0,
    sendQueueBytes: 0,
  };
}

function datagramSummary(socket: UdpSocket): SocketSummary {
  const { localAddress, localPort, remote, remotePort } = socket;
  return {
    protocol: 'udp',
    state: remote === null ? '' : 'ESTABLISHED',
    localAddress: localAddress === null ? null : String(localAddress),
    localPort,
    remoteAddress: remote === null ? null : String(remote),
    remotePort,
    receiveQueueBytes: socket.recvRing?.usedBytes ?? 0,
    sendQueueBytes: socket.sendRing?.usedBytes ?? 0,
  };
}
