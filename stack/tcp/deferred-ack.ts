import type { StackContext } from '../context.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { TcpConnection } from './connection.ts';

/** The longest that an acknowledgment of a SYN-ACK waits: far below the 500 ms of RFC 9293 §3.8.6.3 [MUST-40]. */
export const DEFERRED_ACK_MS = 2;

/**
 * Acknowledgments of SYN-ACKs that wait for what the application will do first, data or a FIN, which takes them along (RFC 9293
 * §3.10.7.3: data or controls which were queued for transmission may be included; Linux's tcp_rcv_synsent_state_process waits likewise when
 * a write is pending). The driver sends them as soon as it has nothing else to do, so they wait only while it is busy. perf: a set-up of
 * three segments out in place of four.
 */
export class DeferredAcks implements TimerTarget {
  readonly #context: StackContext;
  readonly #timer: TimerEntry = new TimerEntry(this);
  readonly #waiting: TcpConnection[] = [];

  constructor(context: StackContext) {
    this.#context = context;
  }

  defer(c: TcpConnection): void {
    c.ackDeferred = true;
    if (this.#waiting.length === 0)
      this.#context.timers.set(this.#timer, this.#context.now + DEFERRED_ACK_MS);
    this.#waiting.push(c);
  }

  onDeadline(): void {
    this.send();
  }

  /** They leave with the next transmission. @returns false when none is left that has to */
  send(): boolean {
    if (this.#waiting.length === 0) return false;
    this.#context.timers.cancel(this.#timer);
    let any = false;
    for (const c of this.#waiting) {
      if (!c.ackDeferred) continue;
      c.ackDeferred = false;
      if (!c.isSynchronized) continue;
      any = true;
      c.ackNow = true;
      this.#context.wantsToTransmit(c);
    }
    this.#waiting.length = 0;
    return any;
  }
}
