import type { DropWatch } from '../stack/drop-watch.ts';
import type { HookedPacket, PacketHook } from '../stack/packet-hook.ts';
import { type Arena, ArenaWord } from './arena.ts';
import type { EngineNotice, PacketNotice } from './notices.ts';

/** Packets told and not yet heard: a starter that does not come to its event loop loses what is beyond. */
export const MAX_UNHEARD_PACKETS = 10_000;

/** Tells the starter of every packet, and of why the stack has dropped one: all of a turn together. */
export class PacketTeller {
  readonly #arena: Arena;
  readonly #drops: DropWatch;
  readonly #tell: (notice: EngineNotice) => void;
  /** The hook of the application, which comes first with what leaves and last with what comes, as seen from the device. */
  readonly #other: PacketHook | null;
  #packets: PacketNotice[] = [];
  #missed = 0;

  constructor(
    arena: Arena,
    drops: DropWatch,
    other: PacketHook | null,
    tell: (notice: EngineNotice) => void,
  ) {
    this.#arena = arena;
    this.#drops = drops;
    this.#other = other;
    this.#tell = tell;
  }

  readonly hook: PacketHook = (packet, injector) => {
    if (packet.direction === 'in') this.#note(packet);
    if (this.#other?.(packet, injector) === false) return false;
    if (packet.direction === 'out') this.#note(packet);
    return true;
  };

  /** The stack is done with the packets of a turn. */
  endTurn(): void {
    this.#noteDrop();
    if (this.#packets.length === 0) return;
    this.#tell({ kind: 'packets', packets: this.#packets });
    this.#packets = [];
  }

  #note({ direction, interface: iface, now, ipOff, bytes, comment }: HookedPacket): void {
    this.#noteDrop();
    const { words } = this.#arena;
    if (Atomics.load(words, ArenaWord.UnheardPackets) >= MAX_UNHEARD_PACKETS) {
      this.#missed++;
      return;
    }
    Atomics.add(words, ArenaWord.UnheardPackets, 1);
    // the application's hook and the stack go on with these bytes
    const copy = bytes.slice();
    const missed = this.#missed;
    this.#missed = 0;
    this.#packets.push({
      direction,
      interface: iface,
      now,
      ipOff,
      bytes: copy,
      comment,
      missed,
      dropped: '',
    });
  }

  /** What the stack counts now is about the packet that came last. */
  #noteDrop(): void {
    const dropped = this.#drops.why();
    if (dropped === '') return;
    const last = this.#packets.findLastIndex(({ direction }) => direction === 'in');
    if (last >= 0) this.#packets[last] = { ...this.#packets[last]!, dropped };
  }
}
