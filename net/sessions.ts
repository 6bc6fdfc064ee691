import type { EngineClient } from '../engine/client.ts';
import { MemorySessionStore, type SessionStore } from '../tls/client.ts';

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
