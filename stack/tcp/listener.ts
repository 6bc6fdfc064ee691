import type { RxPacket } from '../context.ts';
import { Endpoint, EndpointEvent } from '../endpoint.ts';
import { NetError } from '../errors.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { TcpFlag } from '../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';
import { acceptFastOpen } from './fast-open.ts';
import { startFromCookie, startPassive } from './handshake.ts';
import type { Segment } from './segment.ts';
import { segmentArrives } from './segment-arrives.ts';
import type { TcpLayer } from './tcp-layer.ts';
import { TcpState } from './tcp-state.ts';

/** Half-open connections per listener; further SYNs are dropped, and the peers send them again. */
export const MAX_SYN_BACKLOG = 256;
/** Established connections that wait to be accepted, whatever the application asks for (Linux's somaxconn). */
export const MAX_BACKLOG = 4096;

/** How long a Fast Open connection that was reset counts as unconfirmed, as on Linux. */
const EARLY_RESET_MS = 60_000;

/** LISTEN: makes a connection of every SYN [MUST-41] [MUST-42]. */
export class TcpListener extends Endpoint {
  /** Null: any local address. */
  readonly local: IpAddress | null;
  /** `ANY_PORT`: all that no other listener has. */
  readonly localPort: number;
  readonly layer: TcpLayer;
  /** Fast Open connections that may be there before their clients have confirmed them (RFC 7413 §5.1); 0: off. */
  fastOpenQueue = 0;
  readonly #backlog: number;
  /** In SYN-RECEIVED. */
  readonly #halfOpen: Set<TcpConnection> = new Set();
  /** Established and not yet accepted, oldest first. */
  readonly #ready: TcpConnection[] = [];
  #closed = false;
  /** Fast Open connections that are not confirmed … */
  #early = 0;
  /** … and until when those that were reset count: a spoofed client's host resets at once (RFC 7413 §5.1). */
  readonly #resetUntil: number[] = [];

  constructor(layer: TcpLayer, local: IpAddress | null, localPort: number, backlog: number) {
    super(layer.context);
    this.layer = layer;
    this.local = local;
    this.localPort = localPort;
    this.#backlog = Math.max(1, Math.min(backlog, MAX_BACKLOG));
  }

  /** The next established connection, or null. Its events so far follow. */
  accept(): TcpConnection | null {
    const connection = this.#ready.shift();
    if (connection === undefined) return null;
    connection.released();
    return connection;
  }

  /** Ends listening; connections that were not accepted are reset. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.layer.removeListener(this);
    for (const connection of [...this.#halfOpen, ...this.#ready]) connection.abort();
    this.signal(EndpointEvent.Closed);
  }

  /** RFC 9293 §3.10.7.2. @param issFloor see `startPassive` */
  segmentArrives(rx: RxPacket, seg: Segment, issFloor: number): void {
    const { counters } = this.layer;
    const { flags } = seg;
    // First RST, second ACK, third SYN
    if ((flags & TcpFlag.Rst) !== 0) {
      counters.dropNoConnection++;
      return;
    }
    if ((flags & TcpFlag.Ack) !== 0) {
      if ((flags & TcpFlag.Syn) === 0 && this.#answersCookie(rx, seg)) return;
      counters.dropNoConnection++;
      this.layer.resetReply(seg);
      return;
    }
    if ((flags & TcpFlag.Syn) === 0) {
      counters.dropNoAck++;
      return;
    }
    if ((flags & TcpFlag.Fin) !== 0 && this.layer.settings.dropSynFin) {
      counters.dropSynFin++;
      return;
    }
    // As Linux: no new connections while the application does not take those that are ready
    if (this.#ready.length >= this.#backlog) {
      counters.listenOverflows++;
      return;
    }
    const { synCookies } = this.layer.settings;
    const full = this.#halfOpen.size >= MAX_SYN_BACKLOG;
    if (full) counters.synBacklogOverflows++;
    if (full || synCookies === 'always') {
      const route = synCookies === 'never' ? null : this.layer.routeBack(rx);
      if (route !== null) this.layer.synCookies.answer(this.layer, route, seg);
      return;
    }
    this.#open(rx, seg, issFloor);
  }

  #open(rx: RxPacket, seg: Segment, issFloor: number): void {
    const layer = this.layer;
    const local = new IpAddress(rx.family, rx.dst0, rx.dst1, rx.dst2, rx.dst3);
    const remote = rx.sender;
    const connection = this.#connection(local, remote, seg);
    if (connection === null) {
      layer.counters.sendUnroutable++;
      return;
    }
    layer.table.add(connection);
    connection.fastOpen = acceptFastOpen(this, remote, local, seg);
    startPassive(connection, seg, issFloor);
    if (connection.isEarly) {
      this.#ready.push(connection);
      this.signal(EndpointEvent.Incoming);
    } else {
      this.#halfOpen.add(connection);
    }
  }

  /** The ACK of a handshake of which nothing was kept. @returns false: it is something else */
  #answersCookie(rx: RxPacket, seg: Segment): boolean {
    const { layer } = this;
    const local = new IpAddress(rx.family, rx.dst0, rx.dst1, rx.dst2, rx.dst3);
    const remote = rx.sender;
    if (!layer.synCookies.isExpecting(layer.context.now)) return false;
    const state = layer.synCookies.check(local, remote, seg, layer.context.now);
    if (state === null) {
      layer.counters.synCookiesFailed++;
      return false;
    }
    // The peer takes the connection for established and says all that it wants again
    if (this.#ready.length >= this.#backlog) {
      layer.counters.listenOverflows++;
      return true;
    }
    const connection = this.#connection(local, remote, seg);
    if (connection === null) return true;
    layer.counters.synCookiesTaken++;
    layer.table.add(connection);
    this.#halfOpen.add(connection);
    startFromCookie(connection, state);
    segmentArrives(connection, seg);
    // The ACK did not do what it should: nothing is to be left of it
    if (connection.state === TcpState.SynReceived) connection.terminate('TIMEOUT', '');
    return true;
  }

  /** @returns false: there are too many Fast Open connections that nobody has confirmed */
  takeEarly(): boolean {
    const { now } = this.layer.context;
    while (this.#resetUntil.length > 0 && this.#resetUntil[0]! <= now) this.#resetUntil.shift();
    if (this.#early + this.#resetUntil.length >= Math.min(this.fastOpenQueue, MAX_BACKLOG)) return false;
    this.#early++;
    return true;
  }

  earlySettled(reset: boolean): void {
    this.#early--;
    if (reset) this.#resetUntil.push(this.layer.context.now + EARLY_RESET_MS);
  }

  #connection(local: IpAddress, remote: IpAddress, seg: Segment): TcpConnection | null {
    try {
      return this.layer.passiveConnection(this, local, remote, seg);
    } catch (error) {
      // No way back to the peer
      if (error instanceof NetError) return null;
      throw error;
    }
  }

  /** A handshake is complete. @returns false: the ACK is ignored for now, or the connection is gone */
  admit(connection: TcpConnection): boolean {
    const { counters } = this.layer;
    if (this.#ready.length >= this.#backlog) {
      counters.listenOverflows++;
      return false;
    }
    if (!connection.openRings()) {
      counters.acceptedWithoutMemory++;
      connection.terminateWithReset('NO_BUFFERS', '');
      return false;
    }
    this.#halfOpen.delete(connection);
    this.#ready.push(connection);
    this.signal(EndpointEvent.Incoming);
    return true;
  }

  /** A connection ended before it was accepted. */
  forget(connection: TcpConnection): void {
    this.#halfOpen.delete(connection);
    const at = this.#ready.indexOf(connection);
    if (at >= 0) this.#ready.splice(at, 1);
  }
}
