import { writeSync } from 'node:fs';
import { NetError, Phase } from '../stack/errors.ts';

/** Engines that one clock can drive. */
const MAX_ENGINES = 64;
/** Words of the shared memory: how often the clock was moved, and for each engine its eventfd + 1 and the last move that it has seen. */
const MOVES = 0;
const FIRST_ENGINE = 1;
const ENGINE_WORDS = 2;
const WORDS_OFF = 8;
const one = new Uint8Array(new BigUint64Array([1n]).buffer);

/**
 * A clock that stands still until it is moved: given to stacks as the option `clock`, their timers run by it, and hours pass in
 * milliseconds. Any thread that has its {@link memory} can move it. What belongs to Node and not to the stack keeps real time:
 * `socket.setTimeout`, and the time limit of a TLS handshake.
 * @example
 * const clock = new VirtualClock();
 * const stack = await createStack({ device, addresses, clock, seed: 1 });
 * const failed = stack.connect({ host: '192.0.2.99', port: 80, timeoutMs: 60_000 });
 * await clock.advance(60_000);
 */
export class VirtualClock {
  /** Structured-cloneable: `new VirtualClock(memory)` in another thread is the same clock. */
  readonly memory: SharedArrayBuffer;

  constructor(
    memory: SharedArrayBuffer = new SharedArrayBuffer(
      WORDS_OFF + 4 * (FIRST_ENGINE + MAX_ENGINES * ENGINE_WORDS),
    ),
  ) {
    this.memory = memory;
  }

  /** Milliseconds since the clock was made. */
  get now(): number {
    return new Float64Array(this.memory, 0, 1)[0] ?? 0;
  }

  /**
   * Moves the clock on. @param ms from 0 @returns when every engine has done what was due; what it has sent meanwhile may still be
   * on its way to another. @throws NetError ARGUMENT_INVALID
   */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0 && ms < Infinity)) {
      const detail = `a clock is moved by milliseconds from 0, got ${ms}`;
      throw new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
    }
    const words = wordsOf(this.memory);
    new Float64Array(this.memory, 0, 1)[0] = this.now + ms;
    const move = Atomics.add(words, MOVES, 1) + 1;
    for (let at = FIRST_ENGINE; at < words.length; at += ENGINE_WORDS) {
      const fd = Atomics.load(words, at) - 1;
      if (fd < 0) continue;
      try {
        writeSync(fd, one);
      } catch {
        // the engine has ended meanwhile
        continue;
      }
      for (let seen = Atomics.load(words, at + 1); seen - move < 0; seen = Atomics.load(words, at + 1)) {
        if (Atomics.load(words, at) !== fd + 1) break;
        const change = Atomics.waitAsync(words, at + 1, seen, 1000);
        // the event loop lives on by this, as nothing else may keep it
        const keepAlive = setInterval(() => {}, 1000);
        if (change.async) await change.value;
        clearInterval(keepAlive);
      }
    }
  }
}

/** An engine's hold on the clock that drives it. */
export class ClockUser {
  readonly #words: Int32Array;
  readonly #now: Float64Array;
  readonly #at: number;
  /** The move that the time last told belongs to. */
  #move = 0;

  /** @throws NetError NO_BUFFERS */
  constructor(memory: SharedArrayBuffer, wakeFd: number) {
    this.#words = wordsOf(memory);
    this.#now = new Float64Array(memory, 0, 1);
    this.#at = FIRST_ENGINE;
    while (Atomics.compareExchange(this.#words, this.#at, 0, wakeFd + 1) !== 0) {
      this.#at += ENGINE_WORDS;
      if (this.#at >= this.#words.length) {
        const detail = `a clock drives ${MAX_ENGINES} stacks at most`;
        throw new NetError('NO_BUFFERS', { phase: Phase.Argument, detail });
      }
    }
    this.done();
  }

  readonly clock = (): number => this.#now[0] ?? 0;

  /** Before a turn: what is due now will be done by it. */
  begin(): void {
    this.#move = Atomics.load(this.#words, MOVES);
  }

  /** When nothing is left to do at this time: tells whoever has moved the clock. */
  done(): void {
    if (Atomics.exchange(this.#words, this.#at + 1, this.#move) !== this.#move)
      Atomics.notify(this.#words, this.#at + 1);
  }

  close(): void {
    Atomics.store(this.#words, this.#at, 0);
    Atomics.notify(this.#words, this.#at + 1);
  }
}

function wordsOf(memory: SharedArrayBuffer): Int32Array {
  return new Int32Array(memory, WORDS_OFF);
}
