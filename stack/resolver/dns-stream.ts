import { type Endpoint, EndpointEvent, type EndpointObserver, INTERNAL_OWNER } from '../endpoint.ts';
import type { Stack } from '../stack.ts';
import type { TcpConnection } from '../tcp/connection.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { ResolverCounters } from './counters.ts';

/** RFC 7766 §6.2.3: an idle connection is kept for a few seconds, for the questions that often follow. */
export const STREAM_IDLE_MS = 10_000;

/** RFC 7766 §8: each message is preceded by its length in two bytes. */
const LENGTH_BYTES = 2;

/** TLS between a stream and its connection (RFC 7858), given from outside: the stack has none of its own. */
export interface SecureChannel {
  /** Bytes from the peer; the other two may have something afterwards. @throws Error when the peer cannot be trusted */
  receive(bytes: Uint8Array): void;
  /** Takes plain bytes for the peer, also before the handshake is over. */
  send(plain: Uint8Array): void;
  /** The next bytes for the peer, the first ones before anything was received; null: none now. */
  takeOutgoing(): Uint8Array | null;
  /** The next decrypted bytes; null: none now. */
  takePlain(): Uint8Array | null;
}

/** Gets what a question over a stream brings. One of the two is called, once. */
export interface StreamReceiver {
  /** A message with the id of the question; valid during the call only. @returns true when it is the answer waited for */
  streamMessage(bytes: Uint8Array, lengthBytes: number): boolean;
  /** The connection ended first. @param wasReused it had been open before this question: asking again may help */
  streamEnded(reason: string, wasReused: boolean): void;
}

/** Where a stream leads to. */
export interface StreamTarget {
  readonly address: IpAddress;
  readonly port: number;
  /** null: plain TCP. */
  readonly secure: (() => SecureChannel) | null;
}

interface Exchange {
  readonly receiver: StreamReceiver;
  readonly wasReused: boolean;
  /** {@link DnsStream} messages received before it was sent. */
  readonly messagesBefore: number;
}

/**
 * DNS over TCP or TLS to one name server: one connection for all questions under way (RFC 7766 §6.2.1), answers in any order, kept for a
 * while when idle, opened again when there is a question. How long an answer may take is the caller's business.
 */
export class DnsStream implements EndpointObserver, TimerTarget {
  readonly #stack: Stack;
  readonly #target: StreamTarget;
  readonly #counters: ResolverCounters;
  readonly #timer: TimerEntry = new TimerEntry(this);
  readonly #waiting = new Map<number, Exchange>();
  #connection: TcpConnection | null = null;
  #channel: SecureChannel | null = null;
  #isReady = false;
  #outgoing: Uint8Array[] = [];
  readonly #length = new Uint8Array(LENGTH_BYTES);
  /** Bytes of the length, or of the message, that have come. */
  #gotBytes = 0;
  #message: Uint8Array | null = null;
  #messages = 0;

  constructor(stack: Stack, target: StreamTarget, counters: ResolverCounters) {
    this.#stack = stack;
    this.#target = target;
    this.#counters = counters;
  }

  /** A question with this id is under way: another must not have it. */
  has(id: number): boolean {
    return this.#waiting.has(id);
  }

  /**
   * Sends a question. @param query the whole message, with an id that {@link has} not
   * @throws NetError when there is no way to the server or no free port
   */
  ask(query: Uint8Array, receiver: StreamReceiver): void {
    const wasReused = this.#connection !== null;
    if (this.#connection === null) this.#open();
    this.#stack.timers.remove(this.#timer);
    this.#waiting.set(idOf(query), { receiver, wasReused, messagesBefore: this.#messages });
    // RFC 7766 §8: length and message go out in one segment
    const framed = new Uint8Array(LENGTH_BYTES + query.length);
    framed[0] = query.length >>> 8;
    framed[1] = query.length & 0xff;
    framed.set(query, LENGTH_BYTES);
    if (this.#channel === null) this.#outgoing.push(framed);
    else this.#channel.send(framed);
    this.#flush();
  }

  /**
   * A question is not waited for any more.
   * @param timedOut a connection that has brought nothing since then is taken for dead: the next question opens another
   */
  forget(query: Uint8Array, timedOut: boolean): void {
    const exchange = this.#waiting.get(idOf(query));
    if (exchange === undefined) return;
    this.#waiting.delete(idOf(query));
    if (timedOut && exchange.messagesBefore === this.#messages) this.#end('it was silent');
    else this.#rest();
  }

  /** Nobody has asked for a while. */
  onDeadline(): void {
    this.#end('it was idle');
  }

  endpointEvents(endpoint: Endpoint, events: number): void {
    if (endpoint !== this.#connection) return;
    if ((events & EndpointEvent.Ready) !== 0) this.#isReady = true;
    if ((events & (EndpointEvent.Ready | EndpointEvent.Writable)) !== 0) this.#flush();
    if ((events & (EndpointEvent.Readable | EndpointEvent.PeerFinished)) !== 0) this.#receive();
    if (endpoint !== this.#connection) return;
    if ((events & EndpointEvent.Closed) !== 0) this.#end(closeReason(this.#connection));
    else if ((events & EndpointEvent.PeerFinished) !== 0) this.#end('it closed the TCP connection');
  }

  #open(): void {
    const { address, port, secure } = this.#target;
    this.#connection = this.#stack.tcp.connect({
      remote: address,
      remotePort: port,
      local: null,
      localPort: 0,
      noDelay: true,
      keepAlive: null,
      owner: INTERNAL_OWNER,
    });
    this.#connection.observer = this;
    this.#channel = secure === null ? null : secure();
  }

  #flush(): void {
    const connection = this.#connection;
    if (connection === null || !this.#isReady) return;
    for (let bytes = this.#channel?.takeOutgoing(); bytes; bytes = this.#channel?.takeOutgoing()) {
      this.#outgoing.push(bytes);
    }
    const ring = connection.sendRing;
    let wrote = false;
    for (let bytes = this.#outgoing[0]; bytes !== undefined && ring !== null; bytes = this.#outgoing[0]) {
      const taken = ring.write(bytes, 0, Math.min(bytes.length, ring.freeBytes));
      wrote ||= taken > 0;
      if (taken < bytes.length) {
        this.#outgoing[0] = bytes.subarray(taken);
        break;
      }
      this.#outgoing.shift();
    }
    if (wrote) connection.appWrote();
  }

  #receive(): void {
    const connection = this.#connection;
    const ring = connection?.recvRing ?? null;
    if (connection === null || ring === null || ring.usedBytes === 0) return;
    const bytes = new Uint8Array(ring.usedBytes);
    ring.read(bytes, 0, bytes.length);
    connection.appRead();
    const channel = this.#channel;
    if (channel === null) {
      this.#take(bytes);
      return;
    }
    try {
      channel.receive(bytes);
    } catch (error) {
      this.#flush();
      this.#end(`TLS: ${error instanceof Error ? error.message : 'failed'}`);
      return;
    }
    for (let plain = channel.takePlain(); plain !== null; plain = channel.takePlain()) {
      if (connection !== this.#connection) return;
      this.#take(plain);
    }
    this.#flush();
  }

  /** Cuts the stream into messages. */
  #take(bytes: Uint8Array): void {
    const connection = this.#connection;
    let at = 0;
    while (at < bytes.length && connection === this.#connection) {
      const into = this.#message ?? this.#length;
      const size = Math.min(into.length - this.#gotBytes, bytes.length - at);
      into.set(bytes.subarray(at, at + size), this.#gotBytes);
      at += size;
      this.#gotBytes += size;
      if (this.#gotBytes < into.length) return;
      this.#gotBytes = 0;
      if (this.#message === null) {
        // At most 65,535 bytes, by the width of the field
        const lengthBytes = ((this.#length[0] ?? 0) << 8) | (this.#length[1] ?? 0);
        if (lengthBytes > 0) this.#message = new Uint8Array(lengthBytes);
      } else {
        this.#message = null;
        this.#deliver(into);
      }
    }
  }

  #deliver(message: Uint8Array): void {
    const id = idOf(message);
    this.#messages++;
    const exchange = this.#waiting.get(id);
    if (exchange === undefined) this.#counters.ignoredId++;
    if (exchange?.receiver.streamMessage(message, message.length) !== true) return;
    if (this.#waiting.get(id) === exchange) this.#waiting.delete(id);
    this.#rest();
  }

  #rest(): void {
    if (this.#waiting.size === 0 && this.#connection !== null) {
      this.#stack.timers.set(this.#timer, this.#stack.now + STREAM_IDLE_MS);
    }
  }

  /** Lets the connection go (a FIN, or nothing when it is not established yet). */
  #end(reason: string): void {
    const connection = this.#connection;
    const waiting = [...this.#waiting.values()];
    this.#stack.timers.remove(this.#timer);
    this.#connection = null;
    this.#channel = null;
    this.#isReady = false;
    this.#outgoing = [];
    this.#message = null;
    this.#gotBytes = 0;
    this.#waiting.clear();
    connection?.close();
    for (const { receiver, wasReused } of waiting) receiver.streamEnded(reason, wasReused);
  }
}

function idOf(message: Uint8Array): number {
  return ((message[0] ?? 0) << 8) | (message[1] ?? 0);
}

function closeReason(connection: TcpConnection): string {
  return connection.error === null ? 'it closed the TCP connection' : `TCP: ${connection.error}`;
}
