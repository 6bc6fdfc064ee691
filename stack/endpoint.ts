/** What has happened to an endpoint since its events were last taken; bits. */
export const EndpointEvent = {
  /** A connection is established, an attempt or a lookup has its answer. */
  Ready: 1,
  /** More bytes or datagrams lie in the receive ring. */
  Readable: 2,
  /** There is more room in the send ring. */
  Writable: 4,
  /** The peer has closed its direction; what is in the receive ring is the last. */
  PeerFinished: 8,
  /** The endpoint is over; `error` says why (null: closed in order). Always the last event. */
  Closed: 16,
  /** A listener has a connection to accept. */
  Incoming: 32,
  /** The peer has marked data as urgent, or more of it (RFC 9293 §3.8.5); see stack/tcp/urgent.ts. */
  Urgent: 64,
  /**
   * The connection goes on, but not well (RFC 9293 §3.9.1.8): retransmissions have passed R1, or ICMP has reported what may pass:
   * `retries` and `softError` of the connection.
   */
  Trouble: 128,
} as const;

/**
 * The `owner` of a connection that the stack makes for itself (a name server asked over TCP): no application sees it, and a
 * ring source gives it rings from the heap.
 */
export const INTERNAL_OWNER = -2;

/** Gets an endpoint's events inside the stack (the resolver's sockets, for instance) instead of `Stack.pollEvent`. */
export interface EndpointObserver {
  endpointEvents(endpoint: Endpoint, events: number, now: number): void;
}

/** Collects the endpoints that have events. The stack is one. */
export interface EventQueue {
  enqueue(endpoint: Endpoint): void;
}

/** Anything an application holds: a connection, a listener, a UDP socket, a lookup, a connection attempt. */
export abstract class Endpoint {
  /** Bits of {@link EndpointEvent} not yet taken. */
  events = 0;
  /** The next one in the stack's queue of endpoints with events. */
  nextWithEvents: Endpoint | null = null;
  /** Set: events go there and not to `Stack.pollEvent`. */
  observer: EndpointObserver | null = null;
  /** The application's own mark (the engine keeps its socket number here); -1: none. */
  owner = -1;
  readonly #queue: EventQueue;

  constructor(queue: EventQueue) {
    this.#queue = queue;
  }

  /** Notes an event and queues the endpoint once. */
  signal(event: number): void {
    if (this.events === 0) this.#queue.enqueue(this);
    this.events |= event;
  }

  /** Takes all events noted. */
  takeEvents(): number {
    const events = this.events;
    this.events = 0;
    return events;
  }
}
