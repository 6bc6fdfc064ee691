/**
 * What a packet costs with many connections: `node --expose-gc bench/growth.ts [N…]`. Two stacks in this process, in virtual time, so that
 * nothing but the stacks is measured: the time of the core for round trips on one of N connections, and on all of them by turns. When
 * they are many, these have been idle, are folded up, and unfold for their packet; their rings come from the heap here.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Endpoint } from '../stack/endpoint.ts';
import type { Interface } from '../stack/ip/interface.ts';
import type { PacketSink, TxPacket } from '../stack/link.ts';
import { SeededRandom } from '../stack/random.ts';
import { Stack } from '../stack/stack.ts';
import type { TcpConnection } from '../stack/tcp/connection.ts';
import { TcpListener } from '../stack/tcp/listener.ts';
import { ParkedConnection } from '../stack/tcp/parked-connection.ts';
import { ElasticHeapRings } from '../stack/testing/elastic-heap-rings.ts';
import { addressOf } from '../stack/testing/packets.ts';
import { Slab } from '../stack/wire/slab.ts';
import { median } from './statistics.ts';

/** The costs with one number of connections, in nanoseconds of a core for a packet of either stack. */
export interface Growth {
  readonly connections: number;
  readonly oneActive: number;
  readonly allByTurns: number;
}

export const GROWTH_STEPS: readonly number[] = [1, 100, 1000, 10_000, 100_000];

const ADDRESSES = { a: '192.0.2.1', b: '192.0.2.2' } as const;
const MTU_BYTES = 1500;
/** Packets under way in one direction, at most. */
const QUEUE_PACKETS = 1024;
/** Time that passes while packets go over once. */
const STEP_MS = 0.05;
const MESSAGE_BYTES = 64;
const FIRST_PORT = 7000;
const PER_PORT = 18_000;
const OUTSTANDING = 64;
/** Idle connections are folded up by then. */
const SETTLE_MS = 8000;
const TURNS = 20_000;
const ROUNDS = 5;

type End = TcpConnection | ParkedConnection;

/** One direction of a link that allocates nothing: the collector's work would grow with the heap, and be counted. */
class Pipe implements PacketSink {
  /** The interface at the other end. */
  to: Interface | null = null;
  readonly #slabs: readonly Slab[] = Array.from({ length: QUEUE_PACKETS }, () => Slab.alloc(MTU_BYTES));
  readonly #lengths = new Int32Array(QUEUE_PACKETS);
  #count = 0;

  send(packet: TxPacket): boolean {
    if (this.#count === QUEUE_PACKETS) return false;
    this.#lengths[this.#count] = packet.gather(this.#slabs[this.#count]!.bytes, 0);
    this.#count++;
    return true;
  }

  /** Hands over what is under way. @returns false when that was nothing */
  deliver(now: number): boolean {
    const count = this.#count;
    this.#count = 0;
    for (let i = 0; i < count; i++) this.to!.input(this.#slabs[i]!, 0, this.#lengths[i]!, 0, now);
    return count > 0;
  }
}

/** N connections between two stacks; what `b` gets it sends back. */
class Crowd {
  readonly #aRings = new ElasticHeapRings();
  readonly #bRings = new ElasticHeapRings();
  readonly #stacks: { readonly a: Stack; readonly b: Stack };
  readonly #pipes: readonly [Pipe, Pipe] = [new Pipe(), new Pipe()];
  readonly #a: End[] = [];
  readonly #b: End[] = [];
  readonly #message = new Uint8Array(MESSAGE_BYTES);
  #nowMs = 1000;
  #answered = 0;

  constructor(connections: number) {
    const now = this.#nowMs;
    const a = new Stack({ random: new SeededRandom(1), rings: this.#aRings, now });
    const b = new Stack({ random: new SeededRandom(2), rings: this.#bRings, now });
    this.#stacks = { a, b };
    const [there, back] = this.#pipes;
    back.to = attach(a, there, ADDRESSES.a);
    there.to = attach(b, back, ADDRESSES.b);
    a.tcp.onReplaced = (owner, by): void => {
      this.#a[owner] = by;
    };
    b.tcp.onReplaced = (owner, by): void => {
      this.#b[owner] = by;
    };
    const remote = addressOf(ADDRESSES.b);
    const options = { remote, local: null, localPort: 0, noDelay: true, keepAlive: null };
    for (let i = 0; i < connections; i++) {
      const remotePort = FIRST_PORT + Math.floor(i / PER_PORT);
      if (i % PER_PORT === 0) b.tcp.listen({ local: null, port: remotePort, backlog: 4096 });
      this.#a.push(a.tcp.connect({ ...options, remotePort, owner: i }));
      if (i % OUTSTANDING === OUTSTANDING - 1) this.#run(() => false);
    }
    this.#run(() => false);
    for (const until = this.#nowMs + SETTLE_MS; this.#nowMs < until; this.#nowMs += STEP_MS * 100)
      this.#step();
    if (this.#b.length !== connections) throw new Error(`${this.#b.length} of ${connections} connections`);
  }

  /** Round trips one after another, on `connectionOf(turn)`. @returns nanoseconds of a core per packet */
  measure(turns: number, connectionOf: (turn: number) => number): number {
    const before = this.#packets;
    const start = process.cpuUsage();
    for (let turn = 0; turn < turns; turn++) {
      const wanted = this.#answered + MESSAGE_BYTES;
      this.#ask(connectionOf(turn));
      if (!this.#run(() => this.#answered >= wanted)) throw new Error('no answer');
    }
    const { user, system } = process.cpuUsage(start);
    return ((user + system) * 1000) / (this.#packets - before);
  }

  /** Of both stacks, in and out. */
  get #packets(): number {
    const { a, b } = this.#stacks;
    return [a, b].reduce((sum, { tcp }) => sum + tcp.counters.segmentsIn + tcp.counters.segmentsOut, 0);
  }

  /** Goes on until `done`, or nothing is under way any more. @returns whether it is done */
  #run(done: () => boolean): boolean {
    while (!done()) if (!this.#step()) return done();
    return true;
  }

  /** @returns false when nothing was under way */
  #step(): boolean {
    const { a, b } = this.#stacks;
    const [there, back] = this.#pipes;
    this.#nowMs += STEP_MS;
    const now = this.#nowMs;
    a.advance(now);
    b.advance(now);
    this.#serve(a);
    this.#serve(b);
    const isBusy = there.deliver(now);
    return back.deliver(now) || isBusy;
  }

  #serve(stack: Stack): void {
    this.#takeEvents(stack);
    stack.transmit(this.#nowMs);
    this.#takeEvents(stack);
  }

  #takeEvents(stack: Stack): void {
    for (let endpoint = stack.pollEvent(); endpoint !== null; endpoint = stack.pollEvent()) {
      endpoint.takeEvents();
      this.#onEvents(stack, endpoint);
    }
  }

  #onEvents(stack: Stack, endpoint: Endpoint): void {
    if (endpoint instanceof TcpListener) this.#accept(endpoint);
    else if (stack === this.#stacks.a) this.#read(endpoint as TcpConnection);
    else this.#echo(endpoint as TcpConnection);
  }

  #ask(index: number): void {
    const end = this.#a[index]!;
    const connection = end instanceof ParkedConnection ? end.wake() : end;
    this.#aRings.write(connection, this.#message, 0, MESSAGE_BYTES, true);
  }

  #accept(listener: TcpListener): void {
    for (let c = listener.accept(); c !== null; c = listener.accept()) c.owner = this.#b.push(c) - 1;
  }

  #read(connection: TcpConnection): void {
    this.#answered += this.#take(connection);
  }

  #echo(connection: TcpConnection): void {
    const got = this.#take(connection);
    if (got > 0) this.#bRings.write(connection, this.#message, 0, got, true);
  }

  #take(connection: TcpConnection): number {
    const got = connection.recvRing?.read(this.#message, 0, MESSAGE_BYTES) ?? 0;
    if (got > 0) connection.appRead();
    return got;
  }
}

function attach(stack: Stack, sink: PacketSink, address: string): Interface {
  const capabilities = { mtuBytes: MTU_BYTES, txChecksum: false, txSegmentBytes: 0 };
  return stack.addInterface({
    name: 'link0',
    sink,
    capabilities,
    addresses: [`${address}/24`],
    gateways: [],
  });
}

/** @param connections at least 1 */
export function measureGrowth(connections: number, turns: number = TURNS, rounds: number = ROUNDS): Growth {
  const crowd = new Crowd(connections);
  globalThis.gc?.();
  const medianOf = (some: number, connectionOf: (turn: number) => number): number => {
    crowd.measure(some, connectionOf);
    globalThis.gc?.();
    return median(Array.from({ length: rounds }, () => crowd.measure(some, connectionOf)));
  };
  let next = 0;
  return {
    connections,
    oneActive: medianOf(turns, () => 0),
    // a fraction of them: folding up and unfolding takes many times as long
    allByTurns: medianOf(Math.ceil(turns / 10), () => next++ % connections),
  };
}

/** All steps, each in a fresh process. @param most connections */
export async function growth(most: number): Promise<Growth[]> {
  const found: Growth[] = [];
  for (const connections of GROWTH_STEPS.filter((step) => step <= most)) {
    const args = ['--expose-gc', import.meta.filename, String(connections)];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    found.push(JSON.parse(stdout) as Growth);
  }
  return found;
}

if (import.meta.main) {
  const steps = process.argv.slice(2).map(Number);
  for (const connections of steps.length > 0 ? steps : GROWTH_STEPS) {
    console.log(JSON.stringify(measureGrowth(connections)));
  }
}
