import type { CongestionControl } from './congestion-control.ts';

/** More than any window (RFC 7323 §2.3: 1 GiB), and still an integer of 32 bits. */
const UNLIMITED_BYTES = 2 ** 30;

/**
 * None at all: the peer's window is the only limit, and what is lost is sent again at once. For links of one's own, such as a cable to a
 * device under test.
 * differs from RFC 9293 §3.8.2 [MUST-19], which is why an application has to ask for it by name.
 */
export class NoCongestionControl implements CongestionControl {
  readonly name = 'none';
  cwndBytes: number = UNLIMITED_BYTES;
  ssthreshBytes: number = Infinity;
  readonly pacingBytesPerMs = 0;
  readonly ownsRecovery = true;
  readonly lossObserver = null;

  start(): void {}
  setMss(): void {}
  roundTrip(): void {}
  acked(): void {}
  congestion(): void {}
  undo(): void {}
  recovered(): void {}
  timeout(): void {}
  restartAfterIdle(): void {}
  beginTransmit(): void {}
  sampled(): void {}
}
