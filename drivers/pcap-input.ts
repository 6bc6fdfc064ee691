import { NetError, Phase } from '../stack/errors.ts';
import type { LinkCapabilities, TxPacket } from '../stack/link.ts';
import type { Slab } from '../stack/wire/slab.ts';
import { type Device, DeviceCounters, type PacketInput } from './device.ts';
import { openPcap, type PcapReader } from './pcap-reader.ts';
import type { Direction } from './pcapng.ts';

export interface PcapInputOptions {
  /** The monotonic clock in milliseconds that `advance` is called with. The first packet comes at once. */
  readonly clock: () => number;
  /** How many times faster than recorded; Infinity: without waiting. Default 1. */
  readonly speed?: number;
  /** Largest IP packet that the stack may send, in bytes. Default 1500. */
  readonly mtuBytes?: number;
  /** Chooses packets, for instance those to one address; default: all. */
  readonly accept?: (slab: Slab, off: number, len: number, direction: Direction) => boolean;
  /** Called once, at the end of the file; with the reason when it is damaged or cut off. */
  readonly onEnd?: (error: NetError | null) => void;
}

/**
 * A device `pcap:FILE` that hands in the IP packets of a capture at the distances they were recorded with, and swallows what
 * is sent. Frames without an IP packet are passed over and counted (`rxDroppedNotIp`).
 * @throws NetError ARGUMENT_INVALID when the file cannot be read or is no capture
 */
export function openPcapInput(path: string, options: PcapInputOptions): Device {
  const { speed = 1 } = options;
  if (!(speed > 0)) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `the speed of a replay is above 0, got ${speed}`,
    });
  }
  return new PcapInput(openPcap(path), options);
}

/** IPv6 packets count 65,535 bytes behind their header. */
const MAX_PACKET_BYTES: number = 40 + 65_535;

class PcapInput implements Device {
  readonly name: string;
  readonly capabilities: LinkCapabilities;
  readonly counters: DeviceCounters = new DeviceCounters();
  readonly pollFd = -1;
  readonly #reader: PcapReader;
  readonly #options: PcapInputOptions;
  readonly #startMs: number;
  /** Time of day of the first packet, in two parts as in a frame: one number would not keep nanoseconds. */
  #firstMs: number = Number.NaN;
  #firstNanoseconds = 0;
  /** When the packet in the reader is due; Infinity: there is none. */
  #dueMs: number;

  constructor(reader: PcapReader, options: PcapInputOptions) {
    this.name = `pcap:${reader.path}`;
    this.capabilities = { mtuBytes: options.mtuBytes ?? 1500, txChecksum: false, txSegmentBytes: 0 };
    this.#reader = reader;
    this.#options = options;
    this.#startMs = options.clock();
    this.#dueMs = this.#startMs;
    this.#readOn();
  }

  send(packet: TxPacket): boolean {
    this.counters.txPackets++;
    this.counters.txBytes += packet.lengthBytes;
    return true;
  }

  receive(input: PacketInput, budget: number): number {
    const now = this.#options.clock();
    let packets = 0;
    while (packets < budget && this.#dueMs <= now) {
      const { slab, ipOff, ipLen } = this.#reader.frame;
      packets++;
      this.counters.rxPackets++;
      this.counters.rxBytes += ipLen;
      input.input(slab, ipOff, ipLen, 0);
      this.#readOn();
    }
    return packets;
  }

  /** Goes to the next packet that is wanted. */
  #readOn(): void {
    const { frame } = this.#reader;
    while (this.#reader.next()) {
      if (frame.ipOff < 0 || frame.ipLen > MAX_PACKET_BYTES) {
        this.counters.rxDroppedNotIp++;
        continue;
      }
      if (frame.isLost) continue;
      const { accept, speed = 1 } = this.#options;
      if (accept?.(frame.slab, frame.ipOff, frame.ipLen, frame.direction) === false) continue;
      if (Number.isNaN(this.#firstMs)) {
        this.#firstMs = frame.epochMs;
        this.#firstNanoseconds = frame.nanoseconds;
      }
      const sinceMs = frame.epochMs - this.#firstMs + (frame.nanoseconds - this.#firstNanoseconds) / 1e6;
      // times that go backwards do not change the order
      this.#dueMs = Math.max(this.#dueMs, this.#startMs + sinceMs / speed);
      return;
    }
    if (this.#dueMs === Infinity) return;
    this.#dueMs = Infinity;
    this.#options.onEnd?.(this.#reader.error);
  }

  flush(): void {}

  prepareSleep(): boolean {
    return this.#dueMs > this.#options.clock();
  }

  awake(): void {}

  nextDeadline(): number {
    return this.#dueMs;
  }

  advance(): void {}

  close(): void {
    this.#dueMs = Infinity;
    this.#reader.close();
  }
}
