import { NetError, Phase } from '../stack/errors.ts';
import { type Arena, ArenaWord, EngineState, SlotWord } from './arena.ts';
import { buryEngine, endSocket, isBuried } from './dead-engine.ts';
import { type EngineCounters, heartbeat, readCounters } from './engine-counters.ts';
import { SocketBlock, SocketEvent, SocketStatus, SocketWord } from './socket-block.ts';
import { OWN_THREAD } from './thread-id.ts';
import { giveThreadSlot } from './thread-slot.ts';
import { wakeEngine } from './wake.ts';

/** How often an event loop that waits for events looks after the engine. */
const HEARTBEAT_MS = 2000;
/** An engine gives signs of life every half second; after so long without any it is dead. */
const SILENCE_MS = 5000;

/** Gets a socket's events in the event loop of the thread that watches it. */
export type EventListener = (events: number) => void;

/** This thread's clients that have a thread slot, to be given back at its end. */
const clientsWithSlots = new Set<EngineClient>();

function giveSlots(): void {
  for (const client of clientsWithSlots) client.giveSlot();
}

/** One thread's way to an engine: takes sockets, gives commands, and hears events in its event loop. */
export class EngineClient {
  static readonly #clients: WeakMap<SharedArrayBuffer, EngineClient> = new WeakMap();

  readonly arena: Arena;
  /**
   * By the index of the block. perf: a Map that much goes through keeps it all alive for a while: a table it has outgrown points to the
   * next, and one dead table in the old generation keeps all after it, with the sockets of then (scavenges of 25 ms, now 1 ms)
   */
  readonly #listeners: (EventListener | undefined)[] = [];
  /** Called in the event loop whenever events came, or somebody has rung. */
  onRing: (() => void) | null = null;
  #slot = -1;
  #references = 0;
  #heartbeat = -1;
  #heardAt = 0;
  #keepAlive: NodeJS.Timeout | null = null;

  private constructor(arena: Arena) {
    this.arena = arena;
  }

  /** The calling thread's client of an engine; always the same one. */
  static of(arena: Arena): EngineClient {
    let client = EngineClient.#clients.get(arena.memory);
    if (client === undefined) {
      client = new EngineClient(arena);
      EngineClient.#clients.set(arena.memory, client);
    }
    return client;
  }

  /** Takes a fresh socket block. @throws NetError ENGINE_STOPPED, NO_BUFFERS */
  take(): SocketBlock {
    this.checkRunning();
    const index = this.arena.takeBlock(SocketWord.NextFree);
    if (index < 0) {
      throw new NetError('NO_BUFFERS', {
        phase: Phase.Argument,
        detail: `all ${this.arena.maxSockets} sockets of the engine are in use; raise maxSockets`,
      });
    }
    const block = new SocketBlock(this.arena, index);
    block.clear();
    block.set(SocketWord.Owner, OWN_THREAD);
    block.set(SocketWord.Status, SocketStatus.Idle);
    return block;
  }

  /** For those who wait, about once a second. @throws NetError ENGINE_STOPPED, with the reason when the engine failed */
  checkRunning(): void {
    this.#checkHeartbeat();
    const state = this.arena.load(ArenaWord.State);
    if (state === EngineState.Running || state === EngineState.Starting) return;
    throw new NetError('ENGINE_STOPPED', { phase: Phase.None, detail: this.arena.failure });
  }

  /** An engine whose thread was terminated from outside could tell nobody: whoever notices does it in its place. */
  #checkHeartbeat(): void {
    const beat = heartbeat(this.arena.counters);
    const now = performance.now();
    if (beat !== this.#heartbeat) {
      this.#heartbeat = beat;
      this.#heardAt = now;
    } else if (now - this.#heardAt > SILENCE_MS) {
      buryEngine(this);
    }
  }

  /** For an event loop that waits. */
  #lookAfter(): void {
    this.#checkHeartbeat();
    // whoever told of the engine's end may have been ended before it came to this thread
    if (isBuried(this.arena)) this.arena.ringAll();
  }

  /** What the engine has done since its start; while it works, as of some rounds ago. */
  get counters(): EngineCounters {
    return readCounters(this.arena.counters);
  }

  /** Leaves commands in a socket's block and wakes the engine if it sleeps. */
  command(block: SocketBlock, commands: number): void {
    if (block.or(SocketWord.Commands, commands) === 0) {
      this.arena.push(ArenaWord.CommandHead, block.at + SocketWord.NextCommand, block.index);
    }
    wakeEngine(this.arena);
  }

  /** Has a socket's events delivered to this thread's event loop, in place of the thread that had them before. */
  watch(block: SocketBlock, listener: EventListener): void {
    this.#listeners[block.index] = listener;
    block.set(SocketWord.EventSlot, this.#takeSlot() + 1);
  }

  /** Whether events of the socket are delivered to this thread. */
  watches(block: SocketBlock): boolean {
    return this.#slot >= 0 && block.get(SocketWord.EventSlot) === this.#slot + 1;
  }

  /** Delivers events to whichever thread watches the socket, as the engine does; nothing when none does. */
  post(block: SocketBlock, events: number): void {
    const slot = block.get(SocketWord.EventSlot) - 1;
    if (slot < 0 || block.or(SocketWord.Events, events) !== 0) return;
    const slotWord = this.arena.slotWord(slot);
    this.arena.push(slotWord + SlotWord.ReadyHead, block.at + SocketWord.NextReady, block.index);
    this.ring(block);
  }

  /** Wakes whichever thread watches the socket, without an event: its {@link onRing} is called. */
  ring(block: SocketBlock): void {
    const slot = block.get(SocketWord.EventSlot) - 1;
    if (slot < 0) return;
    const doorbell = this.arena.slotWord(slot) + SlotWord.Doorbell;
    Atomics.add(this.arena.words, doorbell, 1);
    Atomics.notify(this.arena.words, doorbell);
  }

  unwatch(block: SocketBlock): void {
    block.set(SocketWord.EventSlot, 0);
    this.#listeners[block.index] = undefined;
  }

  /** Keeps the event loop alive while somebody waits for events; as often as {@link unref}. */
  ref(): void {
    this.#keepAlive ??= setInterval(() => this.#lookAfter(), HEARTBEAT_MS);
    if (this.#references++ === 0) this.#keepAlive.ref();
  }

  unref(): void {
    this.#references--;
    if (this.#references > 0) return;
    this.#keepAlive?.unref();
    if (this.arena.load(ArenaWord.State) >= EngineState.Stopped) this.#stopLooking();
  }

  /** A timer holds all that it can reach: the memory of an engine that has ended would stay. */
  #stopLooking(): void {
    if (this.#references > 0 || this.#keepAlive === null) return;
    clearInterval(this.#keepAlive);
    this.#keepAlive = null;
  }

  /** Stops hearing events for good: the thread ends. */
  giveSlot(): void {
    if (this.#slot >= 0) giveThreadSlot(this.arena, this.#slot);
    this.#slot = -1;
  }

  #takeSlot(): number {
    if (this.#slot >= 0) return this.#slot;
    this.#slot = this.arena.takeSlot();
    if (this.#slot < 0) {
      throw new NetError('NO_BUFFERS', {
        phase: Phase.Argument,
        detail: 'too many threads wait for events of this engine',
      });
    }
    if (clientsWithSlots.size === 0) process.on('exit', giveSlots);
    clientsWithSlots.add(this);
    void this.#listen(this.arena.slotWord(this.#slot));
    return this.#slot;
  }

  /** Sleeps on the doorbell without blocking the event loop, for as long as the thread lives. */
  async #listen(slotWord: number): Promise<void> {
    const { words } = this.arena;
    let seen = Atomics.load(words, slotWord + SlotWord.Doorbell);
    while (this.#slot >= 0) {
      // looked at before: what is told until then is heard here
      const isLast = isBuried(this.arena);
      this.#dispatch(slotWord);
      if (isLast) this.#endRest();
      this.onRing?.();
      if (isLast) break;
      Atomics.store(words, slotWord + SlotWord.Sleeping, 1);
      const rung = Atomics.waitAsync(words, slotWord + SlotWord.Doorbell, seen);
      if (rung.async) await rung.value;
      Atomics.store(words, slotWord + SlotWord.Sleeping, 0);
      seen = Atomics.load(words, slotWord + SlotWord.Doorbell);
    }
    this.#stopLooking();
    if (clientsWithSlots.delete(this) && clientsWithSlots.size === 0) process.off('exit', giveSlots);
  }

  /** What nobody has told: a socket that was opened when the engine had just ended, events that the engine had no time to hand over. */
  #endRest(): void {
    for (const index of this.#listeners.keys()) {
      if (this.#listeners[index] === undefined) continue;
      const block = new SocketBlock(this.arena, index);
      if (!this.watches(block)) continue;
      const isNew = endSocket(block, this.arena.failure);
      const events = Atomics.exchange(block.words, block.at + SocketWord.Events, 0);
      if (isNew || events !== 0) this.#hear(index, events | SocketEvent.Closed);
    }
  }

  #hear(index: number, events: number): void {
    try {
      this.#listeners[index]?.(events);
    } catch (error) {
      // as an event emitter would: an uncaught exception, but not at the cost of the other sockets
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #dispatch(slotWord: number): void {
    let next = this.arena.takeAll(slotWord + SlotWord.ReadyHead, SocketWord.NextReady);
    while (next !== 0) {
      const index = next - 1;
      const at = this.arena.blockOffset(index) >> 2;
      // the link first: once its events are taken the block may be pushed again
      next = this.arena.load(at + SocketWord.NextReady);
      const events = Atomics.exchange(this.arena.words, at + SocketWord.Events, 0);
      const slot = this.arena.load(at + SocketWord.EventSlot) - 1;
      if (slot >= 0 && slot !== this.#slot) {
        // the socket, or the block's next one, has found another thread meanwhile: they are for that
        this.post(new SocketBlock(this.arena, index), events);
        continue;
      }
      this.#hear(index, events);
    }
  }
}
