import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import type { EngineClient } from '../engine/client.ts';
import type { EngineHandle } from '../engine/start.ts';
import { OWN_THREAD } from '../engine/thread-id.ts';
import { NetError, Phase } from '../stack/errors.ts';

/** Where workers find the settings that InetInitialize was given beside the engine's. */
const ENVIRONMENT_KEY = 'tunwire:inet';

/** What is not the engine's business: applies to all threads started after it was set. */
export interface SharedSettings {
  /** File or directory of trusted certificates; null: the system's. */
  readonly caFile: string | null;
  /** File of revocation lists; null: none. */
  readonly crlFile: string | null;
  /** The families of the stack's own addresses. */
  readonly families: readonly (4 | 6)[];
}

/** A thread between its first InetInitialize and its last InetUninitialize. */
export interface Session {
  readonly client: EngineClient;
  /** The engine, if this thread has started it. */
  readonly engine: EngineHandle | null;
  readonly settings: SharedSettings;
}

let current: Session | null = null;

/** The calling thread's id in ownership checks: Linux's, by which the engine sees when the thread has ended. */
export const CURRENT_THREAD: number = OWN_THREAD;

/** The calling thread's session. @throws NetError NOT_INITIALIZED */
export function currentSession(): Session {
  if (current !== null) return current;
  throw new NetError('NOT_INITIALIZED', {
    phase: Phase.Argument,
    detail: 'call InetInitialize in this thread first',
  });
}

export function hasSession(): boolean {
  return current !== null;
}

export function setSession(session: Session | null): void {
  current = session;
}

/** Settings of this thread's or a parent's InetInitialize. */
export function sharedSettings(): SharedSettings | null {
  const settings: unknown = getEnvironmentData(ENVIRONMENT_KEY);
  return typeof settings === 'object' && settings !== null ? (settings as SharedSettings) : null;
}

export function shareSettings(settings: SharedSettings): void {
  setEnvironmentData(ENVIRONMENT_KEY, { ...settings });
}
