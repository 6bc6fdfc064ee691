import { type LinkCapabilities, RxFlag, type TxPacket } from '../stack/link.ts';
import { completeAt, completePacket } from '../stack/wire/partial-checksum.ts';
import type { Slab } from '../stack/wire/slab.ts';
import type { Device, DeviceCounters, PacketInput } from './device.ts';
import type { ImpairedDevice, ImpairWitness } from './impair.ts';
import { ipOffset, LinkType } from './pcap-link.ts';
import { Direction, LINKTYPE_ETHERNET, LINKTYPE_RAW, type PcapngWriter } from './pcapng.ts';

export interface CaptureOptions {
  /** The monotonic clock in milliseconds that `advance` is called with. */
  readonly clock: () => number;
  /** Time of day at the clock's 0, in milliseconds since 1970; default: taken from the system's clock now. */
  readonly epochMs?: number;
  /** Called after each packet handed in: why it was dropped; '': it was not. Becomes its comment. */
  readonly dropped?: () => string;
  /** The device that impairs the link, below: what it does to a packet becomes its comment, and what it loses is captured too. */
  readonly impaired?: ImpairedDevice;
  /** The interface's name in the file; default the device's. */
  readonly name?: string;
}

/** A device whose packets are captured. */
export interface CapturedDevice extends Device {
  /** Ends the capture, not the device. Nothing passes here any more. */
  detach(): void;
}

/**
 * Wraps a device so that every packet that passes is also written to a capture, sent ones as they are handed over (in front
 * of segmentation). Checksums that a device is left to complete are completed in the written copy. Closing
 * the device writes out what waits but leaves the writer open: it may serve other devices.
 */
export function capture(device: Device, writer: PcapngWriter, options: CaptureOptions): CapturedDevice {
  return new CaptureDevice(device, writer, options);
}

class CaptureDevice implements CapturedDevice, PacketInput, ImpairWitness {
  readonly name: string;
  readonly capabilities: LinkCapabilities;
  readonly counters: DeviceCounters;
  readonly #device: Device;
  readonly #writer: PcapngWriter;
  readonly #clock: () => number;
  readonly #dropped: (() => string) | null;
  readonly #impaired: ImpairedDevice | null;
  readonly #epochMs: number;
  readonly #interface: number;
  readonly #isEthernet: boolean;
  #input: PacketInput | null = null;
  /** What the link does to the packet that is passing. */
  #story = '';
  #isLost = false;
  readonly #drops: SendDrops;

  constructor(device: Device, writer: PcapngWriter, options: CaptureOptions) {
    this.name = device.name;
    // several datagrams in one would read as one; segments of a stream are one piece of it
    this.capabilities = { ...device.capabilities, txDatagramSegments: false };
    this.counters = device.counters;
    this.#device = device;
    this.#writer = writer;
    this.#clock = options.clock;
    this.#dropped = options.dropped ?? null;
    this.#impaired = options.impaired ?? null;
    this.#impaired?.watch(this);
    this.#drops = new SendDrops(device.counters);
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
    const isWritten = this.#received(slab, off, len, flags, this.#story, false);
    this.#story = '';
    this.#input?.input(slab, off, len, flags);
    const reason = this.#dropped?.() ?? '';
    if (reason !== '' && isWritten) this.#writer.commentReceived(reason);
  }

  #received(
    slab: Slab,
    off: number,
    len: number,
    flags: number,
    comment: string,
    isDropped: boolean,
  ): boolean {
    const at = this.#begin(len);
    if (at < 0) return false;
    const copy = this.#writer.slab;
    copy.bytes.set(slab.bytes.subarray(off, off + len), at);
    if ((flags & RxFlag.ChecksumPartial) !== 0) {
      const linkBytes = this.#isEthernet ? ipOffset(copy.view, at, len, LinkType.Ethernet) : 0;
      if (linkBytes >= 0) completePacket(copy, at + linkBytes, len - linkBytes);
    }
    this.#writer.endPacket(Direction.Inbound, comment, isDropped);
    return true;
  }

  /** ImpairWitness */
  sent(story: string, isLost: boolean): void {
    this.#story = impaired(story);
    this.#isLost = isLost;
  }

  received(story: string): void {
    this.#story = impaired(story);
  }

  lost(slab: Slab, off: number, len: number, flags: number, story: string): void {
    this.#received(slab, off, len, flags, impaired(story), true);
  }

  send(packet: TxPacket): boolean {
    this.#story = '';
    this.#isLost = false;
    if (!this.#device.send(packet)) return false;
    // so that the device knows by now what became of it
    this.#device.flush();
    // an impaired link sends others meanwhile
    if (this.#impaired === null) this.#story = this.#drops.why();
    const lengthBytes = packet.lengthBytes;
    const at = this.#begin(lengthBytes);
    if (at < 0) return true;
    const copy = this.#writer.slab;
    packet.gather(copy.bytes, at);
    if (packet.csumStart >= 0) completeAt(copy, at, lengthBytes, packet.csumStart, packet.csumOffset);
    this.#writer.endPacket(Direction.Outbound, commentOf(packet, this.#story), this.#isLost);
    this.#story = '';
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

  detach(): void {
    this.#impaired?.unwatch(this);
  }

  close(): void {
    this.detach();
    this.#device.close();
    this.#writer.flush();
  }
}

/** What a device counts of packets that it takes and does not carry, and what that means. */
const DROPS = [
  ['txDroppedDown', 'it is down, or nobody is at the other end'],
  ['txDroppedQueue', 'its queue is full'],
  ['txDroppedTooLarge', 'too large'],
  ['txDroppedError', 'the system refuses it'],
] as const;

class SendDrops {
  readonly #counters: DeviceCounters;
  readonly #seen: number[] = DROPS.map(() => 0);

  constructor(counters: DeviceCounters) {
    this.#counters = counters;
    this.why();
  }

  /** Why the packet sent last was dropped; '': it was not. */
  why(): string {
    let text = '';
    for (let i = 0; i < DROPS.length; i++) {
      const [name, meaning] = DROPS[i]!;
      const count = this.#counters[name];
      if (count !== this.#seen[i]) text = `dropped by the device: ${meaning}`;
      this.#seen[i] = count;
    }
    return text;
  }
}

/** @param story what became of it */
function commentOf(packet: TxPacket, story: string): string {
  if (packet.gsoBytes === 0 && story === '') return packet.comment;
  const parts = [packet.comment, offloadOf(packet), story];
  return parts.filter((part) => part !== '').join('; ');
}

function offloadOf(packet: TxPacket): string {
  if (packet.gsoBytes === 0) return '';
  const segments = Math.ceil((packet.bodyLen + packet.body2Len) / packet.gsoBytes);
  return `handed to the device as ${segments} segments of ${packet.gsoBytes} bytes`;
}

function impaired(story: string): string {
  return story === '' ? '' : `impaired: ${story}`;
}
