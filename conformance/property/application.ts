import { EndpointEvent } from '../../stack/endpoint.ts';
import type { TcpConnection } from '../../stack/tcp/connection.ts';
import { ParkedConnection } from '../../stack/tcp/parked-connection.ts';
import { Chance, type EndPlan, type Range } from './scenario.ts';

/** Longer than any stream and what is added to it. */
const NOISE_BYTES = 1 << 18;
const NOISE: Buffer = noise();

function noise(): Buffer {
  const chance = new Chance(1);
  return Buffer.from(Uint8Array.from({ length: NOISE_BYTES }, () => Math.floor(256 * chance.unit())));
}

/** Gives octets to a connection. @returns how many it took; 0: Writable follows */
export type WriteBytes = (connection: TcpConnection, from: Uint8Array, off: number, length: number) => number;

/** One end of a connection: writes a known stream and reads what comes, as its plan says. */
export class Application {
  readonly plan: EndPlan;
  readonly name: string;
  /** The connection as it was last; what is folded up is unfolded by whoever acts. */
  held: TcpConnection | ParkedConnection | null = null;
  written = 0;
  received = 0;
  /** It has said that nothing more follows. */
  finished = false;
  /** It has let go, or reset the connection, before both streams had ended. */
  leftEarly = false;
  peerFinished = false;
  closed = false;
  /** What is wrong with what was read; '' nothing. */
  complaint = '';
  readonly #write: WriteBytes;
  readonly #chance: Chance;
  readonly #mark: number;
  readonly #peerMark: number;
  readonly #buffer: Buffer = Buffer.alloc(65_536);
  #writeAtMs = 0;
  #waitsForRoom = false;
  #readAtMs = 0;
  #stopped = false;
  #abortAtMs = Infinity;
  #limit = 0;
  #startMs = 0;

  /** @param mark what tells its stream from others. @param peerMark the other end's */
  constructor(name: string, plan: EndPlan, seed: number, mark: number, peerMark: number, write: WriteBytes) {
    this.name = name;
    this.#write = write;
    this.plan = plan;
    this.#chance = new Chance(seed);
    this.#mark = mark % (NOISE_BYTES >> 1);
    this.#peerMark = peerMark % (NOISE_BYTES >> 1);
  }

  /** Unfolds it when it is folded up. */
  get connection(): TcpConnection | null {
    const { held } = this;
    return held instanceof ParkedConnection ? held.wake() : held;
  }

  attach(connection: TcpConnection, nowMs: number): void {
    const { plan } = this;
    this.held = connection;
    connection.noDelay = plan.noDelay;
    if (plan.keepAlive !== null) connection.setKeepAlive(plan.keepAlive);
    if (plan.userTimeoutMs > 0) connection.setUserTimeout(plan.userTimeoutMs);
    this.#startMs = nowMs;
    this.#writeAtMs = nowMs;
    this.#readAtMs = nowMs;
    if (plan.ending === 'abort') this.#abortAtMs = nowMs + plan.abortAtMs;
    this.#act(nowMs);
  }

  /** When it does something by itself; Infinity: only after an event. */
  nextMs(): number {
    const { held } = this;
    if (held === null || this.closed) return Infinity;
    const limit = this.plan.limits[this.#limit];
    let at = this.#abortAtMs;
    if (limit !== undefined) at = Math.min(at, this.#startMs + limit.atMs);
    if (this.written < this.plan.bytes && !this.#waitsForRoom && !this.finished)
      at = Math.min(at, this.#writeAtMs);
    // nothing waits to be read in a connection that is folded up
    if (held instanceof ParkedConnection) return at;
    if (!this.leftEarly && (held.recvRing?.usedBytes ?? 0) > 0) at = Math.min(at, this.#readAtMs);
    return at;
  }

  /** @param events bits of {@link EndpointEvent} */
  happened(events: number, nowMs: number): void {
    if ((events & EndpointEvent.PeerFinished) !== 0) this.peerFinished = true;
    if ((events & EndpointEvent.Writable) !== 0) this.#waitsForRoom = false;
    this.#act(nowMs);
    if ((events & EndpointEvent.Closed) === 0) return;
    this.closed = true;
    // what came before the end can still be read
    if (!this.leftEarly) this.#read(Infinity);
  }

  /** Does what is due. */
  act(nowMs: number): void {
    if (this.closed || this.nextMs() > nowMs) return;
    this.#act(nowMs);
  }

  #act(nowMs: number): void {
    const { connection, plan } = this;
    if (connection === null || this.closed) return;
    if (this.#abortAtMs <= nowMs) {
      this.abort();
      return;
    }
    for (;;) {
      const limit = plan.limits[this.#limit];
      if (limit === undefined || this.#startMs + limit.atMs > nowMs) break;
      connection.recvLimitBytes = limit.bytes;
      this.#limit++;
      connection.appRead();
    }
    this.#readDue(nowMs);
    this.#writeDue(connection, nowMs);
    const hasAll = this.peerFinished && (connection.recvRing?.usedBytes ?? 0) === 0;
    if (this.written < plan.bytes || this.finished) return;
    if (plan.ending === 'late' && !hasAll) return;
    this.finished = true;
    if (plan.ending === 'close') {
      if (!hasAll) this.leftEarly = true;
      connection.close();
    } else {
      connection.shutdown();
    }
  }

  abort(): void {
    this.#abortAtMs = Infinity;
    this.leftEarly = true;
    this.finished = true;
    this.connection?.abort();
  }

  #writeDue(connection: TcpConnection, nowMs: number): void {
    const { plan } = this;
    while (this.written < plan.bytes && this.#writeAtMs <= nowMs && !this.finished) {
      const wanted = Math.min(this.#chance.within(plan.writeBytes), plan.bytes - this.written);
      const count = this.#write(connection, NOISE, this.#mark + this.written, wanted);
      this.written += count;
      this.#waitsForRoom = count === 0;
      if (count === 0) return;
      this.#writeAtMs = nowMs + this.#pause(plan.writePauseMs);
    }
  }

  #readDue(nowMs: number): void {
    const { plan } = this;
    const ring = this.connection?.recvRing ?? null;
    if (ring === null || this.leftEarly) return;
    while (ring.usedBytes > 0 && this.#readAtMs <= nowMs) {
      if (this.received >= plan.stopAfterBytes && !this.#stopped) {
        this.#stopped = true;
        this.#readAtMs = nowMs + plan.stopMs;
        return;
      }
      this.#read(this.#chance.within(plan.readBytes));
      this.#readAtMs = nowMs + this.#pause(plan.readPauseMs);
    }
  }

  #read(atMost: number): void {
    const { connection } = this;
    const ring = connection?.recvRing ?? null;
    if (connection === null || ring === null) return;
    for (let left = atMost; left > 0 && ring.usedBytes > 0; ) {
      const count = ring.read(this.#buffer, 0, Math.min(left, this.#buffer.length));
      const from = this.#peerMark + this.received;
      if (this.#buffer.compare(NOISE, from, from + count, 0, count) !== 0 && this.complaint === '')
        this.complaint = `of the octets ${this.received} to ${this.received + count} not all are what was written`;
      this.received += count;
      left -= count;
      connection.appRead();
    }
  }

  #pause(range: Range): number {
    return range[1] === 0 ? 0 : this.#chance.unit() * (range[1] - range[0]) + range[0];
  }
}
