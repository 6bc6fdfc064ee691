import type { TlsVersion } from './wire/codes.ts';

/** What a later connection needs to resume an earlier one. It holds secrets. */
export interface TlsSession {
  readonly version: TlsVersion;
  /** IANA number of the cipher suite. */
  readonly cipherSuite: number;
  /** The PSK of the ticket (TLS 1.3), or the master secret (before it, with RFC 7627 always). */
  readonly secret: Uint8Array;
  /** Empty for a session before TLS 1.3 that has only an id. */
  readonly ticket: Uint8Array;
  /** Before TLS 1.3 without tickets; else empty. */
  readonly sessionId: Uint8Array;
  /** RFC 8446 §4.6.1; 0 before TLS 1.3. */
  readonly ageAdd: number;
  /** When it came, in milliseconds since 1970. */
  readonly receivedUnixTimeMs: number;
  readonly lifetimeSeconds: number;
  /** RFC 8446 §4.6.1: how much early data the server takes with it; 0: none. */
  readonly maxEarlyDataBytes: number;
  /** The application protocol of the connection, or null. */
  readonly alpn: string | null;
  /** The stapled answer of OCSP, or null; like the chain it is looked at again. */
  readonly ocspResponse: Uint8Array | null;
  /** RFC 6962 §3.3, or null. */
  readonly signedCertificateTimestamps: Uint8Array | null;
  /** Of the server, DER, leaf first: the verifier looks at it again when the session is resumed. */
  readonly chain: readonly Uint8Array[];
}

/** Keeps sessions between connections; given by whoever makes the connections. */
export interface SessionStore {
  /** Takes out the newest session of a key, or null: what is taken is used once. */
  take(key: string): TlsSession | null;
  /** Adds one; a store may forget any session at any time. */
  put(key: string, session: TlsSession): void;
  /**
   * Takes out one that was put in, if it is still there: RFC 5246 §7.2.2 forbids to resume the session of a connection that
   * ended with a fatal alert. A store without it leaves that to the server.
   */
  remove?(key: string, session: TlsSession): void;
}

/** Where a connection looks for sessions, and leaves its own. */
export interface SessionUse {
  readonly store: SessionStore;
  /** TCP port of the server. */
  readonly port: number;
  /**
   * Names what the certificates were checked against: sessions never pass from one policy to another. The name of a
   * policy that checks nothing must differ from all others.
   */
  readonly policy: string;
}

/** Sessions that a {@link MemorySessionStore} keeps for each key. */
export const MAX_SESSIONS_PER_KEY = 4;
/** Keys of a {@link MemorySessionStore}. */
export const MAX_SESSION_KEYS = 256;

/** Sessions in the memory of the process, the oldest ones forgotten first. */
export class MemorySessionStore implements SessionStore {
  /** Sessions forgotten because there were too many. */
  evicted = 0;
  // in the order in which keys were last written
  readonly #sessions = new Map<string, TlsSession[]>();

  take(key: string): TlsSession | null {
    const list = this.#sessions.get(key);
    const session = list?.pop() ?? null;
    if (list?.length === 0) this.#sessions.delete(key);
    return session;
  }

  put(key: string, session: TlsSession): void {
    const list = this.#sessions.get(key) ?? [];
    this.#sessions.delete(key);
    this.#sessions.set(key, list);
    list.push(session);
    if (list.length > MAX_SESSIONS_PER_KEY) this.#forget(list.splice(0, 1));
    if (this.#sessions.size <= MAX_SESSION_KEYS) return;
    const [oldest, sessions] = this.#sessions.entries().next().value!;
    this.#sessions.delete(oldest);
    this.#forget(sessions);
  }

  remove(key: string, session: TlsSession): void {
    const list = this.#sessions.get(key) ?? [];
    const at = list.indexOf(session);
    if (at < 0) return;
    list.splice(at, 1);
    session.secret.fill(0);
    if (list.length === 0) this.#sessions.delete(key);
  }

  #forget(sessions: readonly TlsSession[]): void {
    for (const session of sessions) session.secret.fill(0);
    this.evicted += sessions.length;
  }
}

/**
 * What sessions are stored under: a session is only good for the same server, the same policy, the same protocols and
 * the same client.
 *
 * @param identity of the client's certificate, empty for none
 * @param fallback whether INET_OPTION_SECURE_FALLBACK was in use
 */
export function sessionKey(
  serverName: string,
  use: SessionUse,
  alpn: readonly string[],
  identity: string,
  fallback = false,
): string {
  return JSON.stringify([serverName.toLowerCase(), use.port, use.policy, alpn, identity, fallback]);
}

/** Whether a session can still be used at a moment. */
export function isFresh(session: TlsSession, unixTimeMs: number): boolean {
  const ageMs = unixTimeMs - session.receivedUnixTimeMs;
  // a clock that was set back makes the age unknown
  return ageMs >= 0 && ageMs < session.lifetimeSeconds * 1000;
}
