import type { SessionStore, TlsSession } from '../../tls/session.ts';

const MOST_SESSIONS = 256;

/** Sessions of one server that listens on many ports, so that set-ups can go to any of them: a benchmark's store. */
export class AnyPortStore implements SessionStore {
  readonly #sessions: TlsSession[] = [];

  take(): TlsSession | null {
    return this.#sessions.pop() ?? null;
  }

  put(_key: string, session: TlsSession): void {
    if (this.#sessions.length < MOST_SESSIONS) this.#sessions.push(session);
  }
}
