import type { EngineClient } from '../engine/client.ts';
import { MemorySessionStore, type SessionStore, type TlsSession } from '../tls/client.ts';

const stores = new WeakMap<EngineClient, SessionStore>();

/** Where TLS sessions of a stack are kept in this thread unless a connection names another place. */
export function sessionsOf(client: EngineClient): SessionStore {
  let store = stores.get(client);
  if (store === undefined) {
    store = new MemorySessionStore();
    stores.set(client, store);
  }
  return store;
}

/** The sessions of one connection: one that it was given goes first, and those that it gets are told beside being kept. */
export class ConnectionSessions implements SessionStore {
  readonly #store: SessionStore | null;
  #given: TlsSession | null;
  /** What the handshake has offered last. */
  offered: TlsSession | null = null;
  /** What came last. */
  received: TlsSession | null = null;
  readonly #untold: TlsSession[] = [];
  #listener: ((session: TlsSession) => void) | null = null;

  /** @param store null: none are kept. @param given the first that is offered; null: what the store has */
  constructor(store: SessionStore | null, given: TlsSession | null) {
    this.#store = store;
    this.#given = given;
  }

  take(key: string): TlsSession | null {
    const session = this.#given ?? this.#store?.take(key) ?? null;
    this.#given = null;
    this.offered = session === null ? null : copyOf(session);
    return session;
  }

  put(key: string, session: TlsSession): void {
    this.#store?.put(key, session);
    this.received = copyOf(session);
    this.#untold.push(this.received);
    this.#tellSoon();
  }

  remove(key: string, session: TlsSession): void {
    this.#store?.remove?.(key, session);
  }

  /** Tells of those that have come, and of each that comes, never within a call that reads. */
  tell(listener: (session: TlsSession) => void): void {
    this.#listener = listener;
    this.#tellAll(listener);
  }

  #tellSoon(): void {
    const listener = this.#listener;
    if (listener === null) return;
    process.nextTick(() => this.#tellAll(listener));
  }

  /** Several can have come in one record: while one is told, it is the last, as in Node. */
  #tellAll(listener: (session: TlsSession) => void): void {
    for (const session of this.#untold.splice(0)) {
      this.received = session;
      listener(session);
    }
  }
}

/** A store wipes the secrets of those that it forgets. */
function copyOf(session: TlsSession): TlsSession {
  return { ...session, secret: session.secret.slice() };
}
