import type { Interface } from '../../stack/ip/interface.ts';
import { type PacketSink, RxFlag, type TxPacket } from '../../stack/link.ts';
import type { RandomSource } from '../../stack/random.ts';
import { Stack } from '../../stack/stack.ts';
import { HeapRings } from '../../stack/testing/heap-rings.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { decodePacket, type LivePacket } from '../script/packet.ts';

/** An instant that never ends is a defect of the stack. */
const MAX_ROUNDS = 10_000;

export interface HostOptions {
  readonly random: RandomSource;
  /** What the clock shows at the capture's first packet. */
  readonly startMs: number;
  /** Own address with its prefix length. */
  readonly address: string;
  readonly mtuBytes: number;
  readonly sendRingBytes: number;
  readonly recvRingBytes: number;
}

/** A packet that our stack has sent. */
export interface SentPacket {
  /** Milliseconds since the capture's first packet. */
  readonly timeMs: number;
  readonly packet: LivePacket;
}

/** Our stack under a virtual clock, with the capture as its only link. Times are milliseconds since the first packet. */
export class ReplayHost implements PacketSink {
  readonly stack: Stack;
  /** Called with everything the stack sends, at once. */
  onSent: (sent: SentPacket) => void = () => {};
  /** Called whenever the application may have something to do. @returns true when it did */
  onSettled: () => boolean = () => false;
  readonly #iface: Interface;
  readonly #startMs: number;
  #nowMs = 0;

  constructor(options: HostOptions) {
    this.#startMs = options.startMs;
    const rings = new HeapRings(options.sendRingBytes, options.recvRingBytes);
    this.stack = new Stack({ random: options.random, rings, now: options.startMs });
    this.#iface = this.stack.addInterface({
      name: 'replay0',
      sink: this,
      capabilities: { mtuBytes: options.mtuBytes, txChecksum: false, txSegmentBytes: 0 },
      addresses: [options.address],
      gateways: [],
    });
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  send(packet: TxPacket): boolean {
    const bytes = new Uint8Array(packet.lengthBytes);
    packet.gather(bytes, 0);
    this.onSent({ timeMs: this.#nowMs, packet: decodePacket(bytes, this.#nowMs * 1000) });
    return true;
  }

  /** A packet of the capture arrives; {@link settle} follows. @param isVerified its checksums may be wrong: the recorder's device computed them */
  inject(packet: Uint8Array, isVerified: boolean): void {
    const slab = new Slab(packet.slice());
    this.#iface.input(slab, 0, packet.length, isVerified ? RxFlag.ChecksumValid : 0, this.#now);
  }

  /** Lets the stack and the application do all they want at this instant. */
  settle(): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      this.stack.transmit(this.#now);
      let busy = false;
      for (let endpoint = this.stack.pollEvent(); endpoint !== null; endpoint = this.stack.pollEvent()) {
        endpoint.takeEvents();
        busy = true;
      }
      if (this.onSettled()) busy = true;
      if (!busy) return;
    }
    throw new Error('the stack has something to do without end at one instant');
  }

  /** Runs until `stop` says so or the clock shows `limitMs`. @returns what `stop` said last */
  run(limitMs: number, stop: () => boolean = () => false): boolean {
    while (!stop()) {
      const at = Math.max(this.stack.nextDeadline() - this.#startMs, this.#nowMs);
      if (at > limitMs) {
        this.#advance(Math.max(limitMs, this.#nowMs));
        return stop();
      }
      this.#advance(at);
    }
    return true;
  }

  #advance(ms: number): void {
    this.#nowMs = ms;
    this.stack.advance(this.#now);
    this.settle();
  }

  get #now(): number {
    return this.#startMs + this.#nowMs;
  }
}
