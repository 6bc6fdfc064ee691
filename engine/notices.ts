import { parentPort } from 'node:worker_threads';
import type { Arena } from './arena.ts';
import { ENGINE_CHANNELS } from './channels.ts';

/** What an engine tells the thread that has started it. An engine's thread never comes to its event loop, so warnings of its own would not be heard. */
export type EngineNotice =
  | { readonly kind: 'warning'; readonly type: string; readonly message: string }
  | AddressConflict;

/** Another station on a link uses an address of the stack. */
export interface AddressConflict {
  readonly kind: 'address-conflict';
  readonly interface: string;
  readonly address: string;
  readonly linkAddress: string;
}

/** RFC 5227 §2.4: what defends an address does so every ten seconds at most; nobody needs to hear of it more often. */
const CONFLICT_INTERVAL_MS = 10_000;

/** In the engine's thread. */
export function tellStarter(notice: EngineNotice): void {
  parentPort?.postMessage(notice);
}

/** In the starter's. */
export function hearNotice(arena: Arena, notice: EngineNotice): void {
  if (notice.kind === 'warning') {
    process.emitWarning(notice.message, notice.type);
    return;
  }
  const { interface: iface, address, linkAddress } = notice;
  ENGINE_CHANNELS.addressConflict.publish({ arena, interface: iface, address, linkAddress });
  process.emitWarning(
    `${linkAddress} on ${iface} uses ${address}, which this stack has: give one of them another address`,
    'AddressConflictWarning',
  );
}

/** Tells of conflicts, of each address now and then. */
export class ConflictTeller {
  readonly #clock: () => number;
  readonly #tell: (notice: AddressConflict) => void;
  /** When each was told, in ms. Only own addresses can be in conflict, so it stays small. */
  readonly #toldAt = new Map<string, number>();

  constructor(clock: () => number, tell: (notice: AddressConflict) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  tell(iface: string, address: string, linkAddress: string): void {
    const key = `${iface} ${address}`;
    const now = this.#clock();
    if (now - (this.#toldAt.get(key) ?? -Infinity) < CONFLICT_INTERVAL_MS) return;
    this.#toldAt.set(key, now);
    this.#tell({ kind: 'address-conflict', interface: iface, address, linkAddress });
  }
}
