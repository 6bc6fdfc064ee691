import { TOO_BIG_BYTES, writeTooBig } from '../../drivers/too-big.ts';
import type { Endpoint } from '../../stack/endpoint.ts';
import { NetError } from '../../stack/errors.ts';
import type { TcpConnection } from '../../stack/tcp/connection.ts';
import type { TcpListener } from '../../stack/tcp/listener.ts';
import { TcpState } from '../../stack/tcp/tcp-state.ts';
import { ElasticHeapRings } from '../../stack/testing/elastic-heap-rings.ts';
import { PAIR_ADDRESSES, StackPair, type TracedPacket } from '../../stack/testing/stack-pair.ts';
import { IpAddress } from '../../stack/wire/ip-address.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { encodeTcp } from '../script/packet.ts';
import { Application, type WriteBytes } from './application.ts';
import { Chance, isMild, type Scenario, SERVER_PORT, type SessionPlan } from './scenario.ts';
import { Violation, Watcher } from './watcher.ts';

/** More than any scenario needs. */
const MAX_STEPS = 400_000;
const MAX_EVENTS_AT_INSTANT = 20_000;
/** All that goes on by itself ends within this: TIME-WAIT, path MTUs that are forgotten, orphans. */
const QUIET_MS = 2 * 3600_000;

/** What became of a scenario without violations. */
export interface Outcome {
  /** Connections whose streams both arrived whole and ended in order. */
  readonly complete: number;
  /** … and those whose failure was reported. */
  readonly failed: number;
  readonly packets: number;
  readonly virtualMs: number;
}

/** Called with everything that goes onto the link. */
export type Tap = (from: 'a' | 'b', bytes: Uint8Array, nowMs: number) => void;

/** Runs one scenario. @throws Violation */
export function runScenario(scenario: Scenario, tap: Tap | null = null): Outcome {
  return new Run(scenario, tap).run();
}

/** Both ends of a session. */
interface Session {
  readonly plan: SessionPlan;
  readonly client: Application;
  readonly server: Application;
  /** Why it could not begin. */
  refusal: string;
}

class Run {
  readonly #scenario: Scenario;
  readonly #pair: StackPair;
  readonly #watcher: Watcher;
  readonly #sessions: Session[];
  /** By the owner that their connections name. */
  readonly #applications: Application[] = [];
  /** Rings that come and go; null: each connection has its own. */
  readonly #elastic: { readonly a: ElasticHeapRings; readonly b: ElasticHeapRings } | null;
  readonly #chance: Chance;
  readonly #startMs: number;
  readonly #remote: { readonly a: IpAddress; readonly b: IpAddress };
  /** Things to do at their times, the next one last. */
  readonly #agenda: { atMs: number; act: () => void }[] = [];
  #violation: unknown = null;
  #listener: TcpListener | null = null;
  #steps = 0;
  #eventsSinceCheck = 0;

  constructor(scenario: Scenario, tap: Tap | null) {
    this.#scenario = scenario;
    this.#chance = new Chance(scenario.seed * 31 + 7);
    this.#watcher = new Watcher(Math.min(scenario.mtuBytes, scenario.pathMtu?.bytes ?? Infinity));
    this.#elastic =
      scenario.elasticBytes === 0 ? null : { a: new ElasticHeapRings(), b: new ElasticHeapRings() };
    const elastic = this.#elastic;
    if (elastic !== null)
      for (const rings of [elastic.a, elastic.b]) rings.limitBytes = scenario.elasticBytes;
    const pair = new StackPair({
      ...scenario,
      ipv6: scenario.family === 6,
      ...(elastic === null ? {} : { aSource: elastic.a, bSource: elastic.b }),
    });
    this.#pair = pair;
    pair.traceLimit = 0;
    this.#startMs = pair.nowMs;
    const version = scenario.family === 6 ? 'v6' : 'v4';
    this.#remote = { a: addressOf(PAIR_ADDRESSES.a[version]), b: addressOf(PAIR_ADDRESSES.b[version]) };
    Object.assign(pair.a.tcp.settings, scenario.settings.a);
    Object.assign(pair.b.tcp.settings, scenario.settings.b);
    if (scenario.wraps) this.#wrapSoon();
    if (scenario.parks)
      for (const stack of [pair.a, pair.b])
        stack.tcp.onReplaced = (owner, by) => {
          const application = this.#applications[owner];
          if (application !== undefined) application.held = by;
        };
    for (const way of ['forward', 'backward'] as const) {
      const from = way === 'forward' ? 'a' : 'b';
      pair[way].filter = (bytes) => {
        tap?.(from, bytes, pair.nowMs);
        const closed = pair[from].tcp.counters.windowsClosedForMemory;
        if (scenario.blindSegments === 0) this.#guard(() => this.#watcher.sent(from, bytes, closed));
        else this.#watcher.packets++;
        return this.#isTooBig(from, bytes) ? 'drop' : 'pass';
      };
    }
    pair.onEvents = (endpoint, events) => this.#happened(endpoint, events);
    this.#sessions = scenario.sessions.map((plan, i) => this.#session(plan, i));
  }

  run(): Outcome {
    const { changes, listener, blindSegments } = this.#scenario;
    if (this.#sessions.some(({ plan }) => plan.kind === 'listener'))
      this.#listener = this.#pair.b.tcp.listen({
        local: null,
        port: SERVER_PORT,
        backlog: listener.backlog,
        fastOpenQueue: listener.fastOpenQueue,
      });
    for (const { atMs, way, options } of changes) {
      const link = this.#pair[way];
      this.#at(atMs, () => {
        link.options = { ...link.options, ...options };
      });
    }
    if (listener.closeAtMs !== Infinity) this.#at(listener.closeAtMs, () => this.#listener?.close());
    for (let i = 0; i < blindSegments; i++) this.#at(this.#chance.within([0, 2000]), () => this.#blind());
    for (const session of this.#sessions) this.#at(session.plan.startMs, () => this.#open(session));
    this.#untilQuiet();
    this.#giveUp();
    this.#end();
    const complete = this.#sessions.filter(isComplete).length;
    return {
      complete,
      failed: this.#sessions.length - complete,
      packets: this.#watcher.packets,
      virtualMs: this.#pair.nowMs - this.#startMs,
    };
  }

  // ---------------------------------------------------------------- what happens

  #session(plan: SessionPlan, at: number): Session {
    const marks = [at * 7919 + 13, at * 104_729 + 50_021] as const;
    const { seed } = this.#scenario;
    const write = (side: 'a' | 'b'): WriteBytes => {
      const rings = this.#elastic?.[side];
      return (connection, from, off, length) => {
        if (rings !== undefined) return rings.write(connection, from, off, length, seed % 2 === 0);
        const count = connection.sendRing?.write(from, off, length) ?? 0;
        // Some always say that more follows, and nothing may wait for ever
        if (count > 0) connection.appWrote(seed % 4 === 1);
        return count;
      };
    };
    const client = new Application(
      `client ${at}`,
      plan.client,
      seed * 64 + at * 2,
      marks[0],
      marks[1],
      write('a'),
    );
    const server = new Application(
      `server ${at}`,
      plan.server,
      seed * 64 + at * 2 + 1,
      marks[1],
      marks[0],
      write('b'),
    );
    this.#applications.push(client, server);
    return { plan, client, server, refusal: '' };
  }

  #open(session: Session): void {
    const { plan } = session;
    const connect = (
      from: 'a' | 'b',
      localPort: number,
      remotePort: number,
      owner: number,
    ): TcpConnection | null => {
      try {
        return this.#pair[from].tcp.connect({
          remote: from === 'a' ? this.#remote.b : this.#remote.a,
          remotePort,
          local: null,
          localPort,
          noDelay: false,
          keepAlive: null,
          congestion: plan.congestion,
          fastOpen: plan.fastOpen,
          owner,
        });
      } catch (error) {
        if (!(error instanceof NetError)) throw error;
        session.refusal = error.code;
        return null;
      }
    };
    const client = connect('a', plan.clientPort, plan.serverPort, this.#applications.indexOf(session.client));
    if (client !== null) this.#attach(session.client, client);
    if (plan.kind !== 'simultaneous' || client === null) return;
    const server = connect('b', plan.serverPort, plan.clientPort, this.#applications.indexOf(session.server));
    if (server !== null) this.#attach(session.server, server);
  }

  #attach(application: Application, connection: TcpConnection): void {
    connection.owner = this.#applications.indexOf(application);
    application.attach(connection, this.#pair.nowMs);
  }

  #happened(endpoint: Endpoint, events: number): void {
    if (++this.#eventsSinceCheck > MAX_EVENTS_AT_INSTANT)
      throw new Violation(`events without end at ${this.#pair.nowMs} ms, ${this.#states()}`);
    if (endpoint === this.#listener) {
      const delay = this.#scenario.listener.acceptDelayMs;
      if (delay === 0) this.#accept();
      else this.#at(this.#pair.nowMs - this.#startMs + delay, () => this.#accept());
      return;
    }
    this.#applications[endpoint.owner]?.happened(events, this.#pair.nowMs);
  }

  #accept(): void {
    for (;;) {
      const connection = this.#listener?.accept() ?? null;
      if (connection === null) return;
      // an attempt given up before its SYN was sent has the same number as one after it at the same instant
      const session = this.#sessions.findLast(({ client }) => client.connection?.iss === connection.irs);
      // a third party's, or a SYN with data that has come twice (RFC 7413 §2.1)
      if (session === undefined || session.server.held !== null) connection.abort();
      else this.#attach(session.server, connection);
    }
  }

  /** A segment with the ports of a connection and guessed numbers (RFC 5961 §1). */
  #blind(): void {
    const chance = this.#chance;
    const to = chance.one<'a' | 'b'>(['a', 'b']);
    const port = this.#sessions[0]?.client.connection?.localPort ?? 1;
    const guess = (): number => Math.floor(chance.unit() * 2 ** 32);
    const toServer = to === 'b';
    const bytes = encodeTcp(
      { source: toServer ? this.#remote.a : this.#remote.b, destination: this.#remote[to] },
      {
        sourcePort: toServer ? port : SERVER_PORT,
        destinationPort: toServer ? SERVER_PORT : port,
        seq: guess(),
        ack: guess(),
        flags: chance.one(['R', 'R.', 'S', 'S.', '.', 'P.', 'F.', 'FSRP.', '']),
        window: chance.within([0, 65_535]),
        urgent: 0,
        options: [],
        payload: new Uint8Array(chance.one([0, 1, 40])),
      },
    );
    this.#pair.inject(to, bytes);
    this.#pair.settle();
  }

  #isTooBig(from: 'a' | 'b', bytes: Uint8Array): boolean {
    const { pathMtu } = this.#scenario;
    const pair = this.#pair;
    if (pathMtu === null || bytes.length <= pathMtu.bytes || pair.nowMs - this.#startMs < pathMtu.atMs)
      return false;
    const report = Slab.alloc(TOO_BIG_BYTES);
    const length = writeTooBig(report, 0, new Slab(bytes), 0, bytes.length, pathMtu.bytes);
    if (length === 0) return true;
    const answer = report.bytes.subarray(0, length);
    const traced: TracedPacket = {
      from: from === 'a' ? 'b' : 'a',
      sentAtMs: pair.nowMs,
      bytes: answer,
      fate: 'under way',
    };
    pair.schedule(traced, answer, pair.nowMs + 1, 0);
    return true;
  }

  #wrapSoon(): void {
    for (const stack of [this.#pair.a, this.#pair.b]) {
      const source = stack.tcp.isn;
      let next = -1 - this.#chance.within([0, 70_000]);
      stack.tcp.isn = {
        compute: () => {},
        // a later connection of the same ports has later numbers (RFC 9293 §3.4.1)
        isn: () => {
          next = (next + 1_000_000) | 0;
          return (next - 1_000_000) | 0;
        },
        timestampOffset: source.timestampOffset,
      };
    }
  }

  // ---------------------------------------------------------------- time

  #at(afterMs: number, act: () => void): void {
    const atMs = this.#startMs + afterMs;
    const place = this.#agenda.findIndex((other) => other.atMs <= atMs);
    this.#agenda.splice(place < 0 ? this.#agenda.length : place, 0, { atMs, act });
  }

  /** Until neither the stacks nor the applications will do anything by themselves. */
  #untilQuiet(): void {
    const pair = this.#pair;
    for (;;) {
      pair.settle();
      this.#check();
      let at = this.#agenda.at(-1)?.atMs ?? Infinity;
      for (const { client, server } of this.#sessions) at = Math.min(at, client.nextMs(), server.nextMs());
      const next = pair.nextEventMs();
      if (at === Infinity && next === Infinity) return;
      if (at > next) {
        pair.step();
        continue;
      }
      pair.run(Math.max(at, pair.nowMs));
      while ((this.#agenda.at(-1)?.atMs ?? Infinity) <= pair.nowMs) this.#agenda.pop()?.act();
      for (const { client, server } of this.#sessions) {
        client.act(pair.nowMs);
        server.act(pair.nowMs);
      }
    }
  }

  #check(): void {
    this.#eventsSinceCheck = 0;
    const pair = this.#pair;
    if (this.#violation !== null) throw this.#violation;
    if (++this.#steps > MAX_STEPS) throw new Violation(`no end after ${MAX_STEPS} steps, ${this.#states()}`);
    this.#watcher.inspect('a', pair.a);
    this.#watcher.inspect('b', pair.b);
    for (const { client, server } of this.#sessions)
      for (const { name, complaint } of [client, server])
        if (complaint !== '') throw new Violation(`${name}: ${complaint}`);
  }

  /** A stack must not throw in the middle of its work: it is told after it. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#violation ??= error;
    }
  }

  // ---------------------------------------------------------------- the end

  /** Whoever still waits, waits for a peer that is gone without a word; its application has had enough. */
  #giveUp(): void {
    for (const { client, server } of this.#sessions) {
      for (const [end, peer] of [
        [client, server],
        [server, client],
      ] as const) {
        if (end.held === null || end.closed) continue;
        const peerIsGone =
          peer.held === null || (peer.closed && (peer.connection?.error !== null || peer.leftEarly));
        if (!peerIsGone && !end.leftEarly)
          throw new Violation(`${end.name} waits for ever, its peer ${stateOf(peer)}: ${this.#states()}`);
        end.abort();
      }
    }
    this.#untilQuiet();
  }

  #end(): void {
    const pair = this.#pair;
    this.#listener?.close();
    this.#untilQuiet();
    const { packets } = this.#watcher;
    const endMs = pair.nowMs;
    pair.runFor(QUIET_MS);
    const more = this.#watcher.packets - packets;
    if (more > 0) throw new Violation(`${more} packets after all was quiet at ${endMs} ms`);
    for (const [name, stack, rings] of [
      ['a', pair.a, pair.aRings],
      ['b', pair.b, pair.bRings],
    ] as const) {
      if (stack.nextDeadline() !== Infinity) throw new Violation(`${name} has a timer for ever`);
      if (stack.tcp.table.size !== 0)
        throw new Violation(`${name} keeps ${stack.tcp.table.size} connections`);
      if (stack.tcp.timeWaits.size !== 0)
        throw new Violation(`${name} keeps ${stack.tcp.timeWaits.size} in TIME-WAIT`);
      const elastic = this.#elastic?.[name];
      if (stack.tcp.parkingLot.size !== 0)
        throw new Violation(`${name} keeps ${stack.tcp.parkingLot.size} folded up`);
      if (elastic !== undefined && elastic.openCount + elastic.usedBytes !== 0)
        throw new Violation(
          `${name} keeps ${elastic.usedBytes} bytes of rings for ${elastic.openCount} connections`,
        );
      if (rings.openCount !== 0)
        throw new Violation(`${name} keeps the rings of ${rings.openCount} connections`);
    }
    for (const session of this.#sessions) this.#judge(session);
  }

  /** The streams have arrived byte for byte, or the failure was reported. */
  #judge(session: Session): void {
    const { client, server, refusal } = session;
    if (refusal !== '') return;
    for (const [end, peer] of [
      [client, server],
      [server, client],
    ] as const) {
      const { connection, name } = end;
      if (end.complaint !== '') throw new Violation(`${name}: ${end.complaint}`);
      if (connection === null) continue;
      if (!end.closed || (connection.state < TcpState.TimeWait && connection.state !== TcpState.Closed))
        throw new Violation(`${name} was never told of its end, ${stateOf(end)}`);
      if (connection.error !== null || end.leftEarly) continue;
      // it ended in order: then all has gone both ways
      if (peer.held === null) throw new Violation(`${name} ended in order without a peer`);
      if (!peer.finished) throw new Violation(`${name} ended in order before ${peer.name} had finished`);
      if (end.received !== peer.written)
        throw new Violation(`${name} ended in order with ${end.received} of ${peer.written} octets`);
      if (!peer.leftEarly && peer.connection?.error === null && peer.received !== end.written)
        throw new Violation(
          `${name} ended in order, ${peer.name} has ${peer.received} of ${end.written} octets`,
        );
    }
    if (isMild(this.#scenario) && !isComplete(session))
      throw new Violation(
        `a session that nothing disturbs much failed: ${stateOf(client)}, ${stateOf(server)}`,
      );
  }

  #states(): string {
    return this.#sessions.map(({ client, server }) => `${stateOf(client)}; ${stateOf(server)}`).join('; ');
  }
}

function isComplete({ client, server }: Session): boolean {
  return (
    [client, server].every(
      ({ connection, leftEarly }) => connection !== null && connection.error === null && !leftEarly,
    ) &&
    client.received === server.written &&
    server.received === client.written
  );
}

function stateOf({ name, connection, plan, written, received, leftEarly, finished }: Application): string {
  if (connection === null) return `${name} has no connection`;
  const { state, error } = connection;
  const end = leftEarly ? ', left early' : finished ? ', finished' : '';
  return `${name} in state ${state}, wrote ${written} of ${plan.bytes}, read ${received}${end}, error ${error}`;
}

function addressOf(text: string): IpAddress {
  const address = IpAddress.parse(text);
  if (address === null) throw new Error(text);
  return address;
}
