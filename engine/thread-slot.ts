import { type Arena, SlotWord } from './arena.ts';
import { SocketWord } from './socket-block.ts';

/**
 * Gives a thread slot to whoever comes next. Blocks that are on its list are taken off first: their bits say that they are on one, and
 * without that the next thread to watch them would never hear of anything.
 */
export function giveThreadSlot(arena: Arena, slot: number): void {
  const { words } = arena;
  const at = arena.slotWord(slot);
  let next = arena.takeAll(at + SlotWord.ReadyHead, SocketWord.NextReady);
  while (next !== 0) {
    const block = arena.blockOffset(next - 1) >> 2;
    // the link first: without its bits the block may be pushed again
    next = Atomics.load(words, block + SocketWord.NextReady);
    Atomics.store(words, block + SocketWord.Events, 0);
  }
  // what is pushed from here on the next thread takes off
  Atomics.store(words, at + SlotWord.Taken, 0);
}
