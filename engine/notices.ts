import { parentPort } from 'node:worker_threads';
import { type Arena, ArenaWord } from './arena.ts';
import { ENGINE_CHANNELS } from './channels.ts';

/** What an engine tells the thread that has started it. An engine's thread never comes to its event loop, so warnings of its own would not be heard. */
export type EngineNotice =
  | { readonly kind: 'warning'; readonly type: string; readonly message: string }
  | AddressConflict
  | Packets;

/** Another station on a link uses an address of the stack. */
export interface AddressConflict {
  readonly kind: 'address-conflict';
  readonly interface: string;
  readonly address: string;
  readonly linkAddress: string;
}

/** The packets of a turn. */
export interface Packets {
  readonly kind: 'packets';
  readonly packets: readonly PacketNotice[];
}

/** See `HookedPacket`. */
export interface PacketNotice {
  readonly direction: 'in' | 'out';
  readonly interface: string;
  readonly now: number;
  readonly ipOff: number;
  readonly bytes: Uint8Array;
  readonly comment: string;
  /** So many before it, for which the starter was too slow. */
  readonly missed: number;
  /** Why the stack has dropped it; '': it has not. */
  readonly dropped: string;
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
  if (notice.kind === 'packets') {
    hearPackets(arena, notice);
    return;
  }
  const { interface: iface, address, linkAddress } = notice;
  ENGINE_CHANNELS.addressConflict.publish({ arena, interface: iface, address, linkAddress });
  process.emitWarning(
    `${linkAddress} on ${iface} uses ${address}, which this stack has: give one of them another address`,
    'AddressConflictWarning',
  );
}

function hearPackets(arena: Arena, { packets }: Packets): void {
  Atomics.sub(arena.words, ArenaWord.UnheardPackets, packets.length);
  for (const { direction, dropped, missed, ...packet } of packets) {
    const { packetIn, packetOut, drop } = ENGINE_CHANNELS;
    (direction === 'in' ? packetIn : packetOut).publish({ arena, ...packet, missed });
    if (dropped !== '') drop.publish({ arena, ...packet, reason: dropped });
  }
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
