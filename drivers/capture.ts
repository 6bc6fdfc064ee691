import { type LinkCapabilities, RxFlag, type TxPacket } from '../stack/link.ts';
import { completeAt, completePacket } from '../stack/wire/partial-checksum.ts';
import type { Slab } from '../stack/wire/slab.ts';
import type { Device, DeviceCounters, PacketInput } from './device.ts';
import { ipOffset, LinkType } from './pcap-link.ts';
import { Direction, LINKTYPE_ETHERNET, LINKTYPE_RAW, type PcapngWriter } from './pcapng.ts';

export interface CaptureOptions {
  /** The monotonic clock in milliseconds that `advance` is called with. */
  readonly clock: () => number;
  /** Time of day at the clock's 0, in milliseconds since 1970; default: taken from the system's clock now. */
  readonly epochMs?: number;
  /** Called after each packet handed in: why it was dropped; '': it was not. Becomes its comment. */
  readonly dropped?: () => string;
  /** The interface's name in the file; default the device's. */
  readonly name?: string;
}

/**
 * Wraps a device so that every packet that passes is also written to a capture, sent ones as they are handed over (in front
 * of segmentation). Checksums that a device is left to complete are completed in the written copy. Closing
 * the device writes out what waits but leaves the writer open: it may serve other devices.
 */
export function capture(device: Device, writer: PcapngWriter, options: CaptureOptions): Device {
  return new CaptureDevice(device, writer, options);
}

class CaptureDevice implements Device, PacketInput {
  readonly name: string;
  readonly capabilities: LinkCapabilities;
  readonly counters: DeviceCounters;
  readonly #device: Device;
  readonly #writer: PcapngWriter;
  readonly #clock: () => number;
  readonly #dropped: (() => string) | null;
  readonly #epochMs: number;
  readonly #interface: number;
  readonly #isEthernet: boolean;
  #input: PacketInput | null = null;

  constructor(device: Device, writer: PcapngWriter, options: CaptureOptions) {
    this.name = device.name;
    this.capabilities = device.capabilities;
    this.counters = device.counters;
    this.#device = device;
    this.#writer = writer;
    this.#clock = options.clock;
    this.#dropped = options.dropped ?? null;
    // a whole number, so that the clock's fractions are kept exactly
    this.#epochMs = Math.round(options.epochMs ?? Date.now() - options.clock());
    this.#isEthernet = device.capabilities.ethernet !== undefined;
    const linkType = this.#isEthernet ? LINKTYPE_ETHERNET : LINKTYPE_RAW;
    this.#interface = writer.addInterface(options.name ?? device.name, linkType);
  }

  get pollFd(): number {
    return this.#device.pollFd;
  }

  receive(input: PacketInput, budget: number): number {
    this.#input = input;
    return this.#device.receive(this, budget);
  }

  input(slab: Slab, off: number, len: number, flags: number): void {
    const at = this.#begin(len);
    if (at >= 0) {
      const copy = this.#writer.slab;
      copy.bytes.set(slab.bytes.subarray(off, off + len), at);
      if ((flags & RxFlag.ChecksumPartial) !== 0) {
        const linkBytes = this.#isEthernet ? ipOffset(copy.view, at, len, LinkType.Ethernet) : 0;
        if (linkBytes >= 0) completePacket(copy, at + linkBytes, len - linkBytes);
      }
      this.#writer.endPacket(Direction.Inbound, '');
    }
    this.#input?.input(slab, off, len, flags);
    const reason = this.#dropped?.() ?? '';
    if (reason !== '' && at >= 0) this.#writer.commentReceived(reason);
  }

  send(packet: TxPacket): boolean {
    if (!this.#device.send(packet)) return false;
    const lengthBytes = packet.lengthBytes;
    const at = this.#begin(lengthBytes);
    if (at < 0) return true;
    const copy = this.#writer.slab;
    packet.gather(copy.bytes, at);
    if (packet.csumStart >= 0) completeAt(copy, at, lengthBytes, packet.csumStart, packet.csumOffset);
    this.#writer.endPacket(Direction.Outbound, commentOf(packet));
    return true;
  }

  /** @returns where the packet goes in the writer's slab; -1: it is not written */
  #begin(lengthBytes: number): number {
    const now = this.#clock();
    const wholeMs = Math.floor(now);
    this.#writer.advance(now);
    return this.#writer.beginPacket(
      this.#interface,
      this.#epochMs + wholeMs,
      Math.min(Math.round((now - wholeMs) * 1e6), 999_999),
      lengthBytes,
    );
  }

  flush(): void {
    this.#device.flush();
  }

  prepareSleep(): boolean {
    return this.#device.prepareSleep();
  }

  awake(): void {
    this.#device.awake();
  }

  nextDeadline(): number {
    return Math.min(this.#device.nextDeadline(), this.#writer.nextDeadline());
  }

  advance(now: number): void {
    this.#device.advance(now);
    this.#writer.advance(now);
  }

  close(): void {
    this.#device.close();
    this.#writer.flush();
  }
}

function commentOf(packet: TxPacket): string {
  if (packet.gsoBytes === 0) return packet.comment;
  const segments = Math.ceil((packet.bodyLen + packet.body2Len) / packet.gsoBytes);
  const offload = `handed to the device as ${segments} segments of ${packet.gsoBytes} bytes`;
  return packet.comment === '' ? offload : `${packet.comment}; ${offload}`;
}
