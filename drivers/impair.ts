import { NetError, Phase } from '../stack/errors.ts';
import type { LinkCapabilities, TxPacket } from '../stack/link.ts';
import { ETHERNET_ADDRESS_BYTES, Ethernet, frameHeaderBytes } from '../stack/wire/ethernet.ts';
import { copySlab, type Slab } from '../stack/wire/slab.ts';
import type { Device, DeviceCounters, PacketInput } from './device.ts';
import { checkImpairSettings, type Impairments, type ImpairSettings } from './impair-options.ts';
import { type ImpairCounters, ImpairedPath } from './impair-path.ts';
import type { HeldPacket } from './impair-queue.ts';
import { TOO_BIG_BYTES, writeTooBig } from './too-big.ts';

export interface ImpairOptions extends ImpairSettings {
  /** The monotonic clock in milliseconds that `advance` is called with. */
  readonly clock: () => number;
}

/** A device whose link is disturbed. Its `counters` are those of the device below: what really went over its wire. */
export interface ImpairedDevice extends Device {
  /** What was done to received (`in`) and sent (`out`) packets. */
  readonly impaired: { readonly in: ImpairCounters; readonly out: ImpairCounters };
  /** Tells somebody of each packet from now on; {@link unwatch} ends it. Without a witness nothing is noted. */
  watch(witness: ImpairWitness): void;
  unwatch(witness: ImpairWitness): void;
}

/** Hears what is done to each packet of an impaired device, in words; '': nothing. For captures. */
export interface ImpairWitness {
  /** Of the packet that is being sent, before `send` returns. @param isLost it does not leave */
  sent(story: string, isLost: boolean): void;
  /** Of the packet that is handed in right after this. */
  received(story: string): void;
  /** A packet that is not handed in. Valid during the call. @param flags bits of `RxFlag` */
  lost(slab: Slab, off: number, len: number, flags: number, story: string): void;
}

/** The two directions; each draws from streams of its own. */
const IN = 0;
const OUT = 1;

/** How soon packets are offered again to a device that was full when they were due. */
const RETRY_MS = 1;

/**
 * Wraps a device so that its packets are lost, delayed, damaged and so on, each direction on its own. All choices come from
 * the seed and all times from the clock: the same traffic at the same times gives the same trace.
 *
 * Each packet is judged alone, as it is on a wire. So the device shows no offload, whatever the one below can do; and
 * that one must not hand in several packets as one: one that cuts super-segments for us (`txSegmentBytes` above 0) also
 * coalesces what it receives, and is refused. Open a TUN with `offload: false`, a memory link without `segmentBytes`.
 * @throws NetError ARGUMENT_INVALID
 */
export function impair(device: Device, options: ImpairOptions): ImpairedDevice {
  checkImpairSettings(options);
  if (device.capabilities.txSegmentBytes > 0) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `${device.name} carries several packets as one; open it without segmentation offload to impair it`,
    });
  }
  return new Impair(device, options);
}

class Impair implements ImpairedDevice, PacketInput {
  readonly name: string;
  readonly capabilities: LinkCapabilities;
  readonly counters: DeviceCounters;
  readonly impaired: { readonly in: ImpairCounters; readonly out: ImpairCounters };
  readonly #device: Device;
  readonly #clock: () => number;
  readonly #isEthernet: boolean;
  readonly #witnesses: ImpairWitness[] = [];
  readonly #in: ImpairedPath;
  readonly #out: ImpairedPath;
  /** Until when the device below is not offered packets, because it was full; -Infinity: it was not. */
  #retryMs: number = -Infinity;
  #input: PacketInput | null = null;
  /** Packets handed in during the current `receive`. */
  #handed = 0;

  constructor(device: Device, options: ImpairOptions) {
    this.name = device.name;
    // what the link is stays; what the device does for us goes
    this.capabilities = { ...device.capabilities, txChecksum: false, txSegmentBytes: 0 };
    this.#isEthernet = device.capabilities.ethernet !== undefined;
    this.counters = device.counters;
    this.#device = device;
    this.#clock = options.clock;
    const { seed = 1 } = options;
    const startMs = options.clock();
    const path = (impairments: Impairments, direction: number, back: () => ImpairedPath): ImpairedPath =>
      new ImpairedPath(impairments, seed * 2 + direction, startMs, this.#isEthernet, {
        refuse: (slab, off, len) => this.#refuse(back(), impairments.mtuBytes ?? 0, slab, off, len),
        lost: (packet) => {
          if (direction === IN) this.#lost(packet);
        },
      });
    this.#in = path(options.in ?? {}, IN, () => this.#out);
    this.#out = path(options.out ?? {}, OUT, () => this.#in);
    this.impaired = { in: this.#in.counters, out: this.#out.counters };
  }

  watch(witness: ImpairWitness): void {
    this.#witnesses.push(witness);
    this.#in.tells = true;
    this.#out.tells = true;
  }

  unwatch(witness: ImpairWitness): void {
    const place = this.#witnesses.indexOf(witness);
    if (place >= 0) this.#witnesses.splice(place, 1);
    const tells = this.#witnesses.length > 0;
    this.#in.tells = tells;
    this.#out.tells = tells;
  }

  get pollFd(): number {
    return this.#device.pollFd;
  }

  send(packet: TxPacket): boolean {
    const now = this.#clock();
    // the device below has counted that it was full
    if (!this.#release(now)) return false;
    const held = this.#out.held.take(packet.lengthBytes);
    packet.gather(held.slab.bytes, held.off);
    held.tx.comment = packet.comment;
    this.#out.arrive(held, now);
    // what is lost has been given back, and keeps its story until it is taken again
    for (const witness of this.#witnesses) witness.sent(held.story, held.isLost);
    this.#release(now);
    return true;
  }

  /** Sends what is due. @returns false when the device below is full */
  #release(now: number): boolean {
    const { held } = this.#out;
    for (let due = held.due(now); due !== null; due = held.due(now)) {
      if (!this.#device.send(due.tx)) {
        this.#retryMs = now + RETRY_MS;
        return false;
      }
      this.#out.passed(due);
    }
    this.#retryMs = -Infinity;
    return true;
  }

  receive(input: PacketInput, budget: number): number {
    const now = this.#clock();
    this.#handed = 0;
    this.#input = input;
    this.#handIn(now, budget);
    if (this.#handed >= budget) return budget;
    const room = budget - this.#handed;
    const allRead = this.#device.receive(this, room) < room;
    this.#handIn(now, budget);
    // budget, and only that, says that there may be more
    return allRead && this.#handed < budget ? this.#handed : budget;
  }

  /** PacketInput: the device below hands in a packet. */
  input(slab: Slab, off: number, len: number, flags: number): void {
    const held = this.#in.held.take(len);
    held.slab.bytes.set(slab.bytes.subarray(off, off + len), held.off);
    held.flags = flags;
    this.#in.arrive(held, this.#clock());
  }

  #handIn(now: number, budget: number): void {
    const { held } = this.#in;
    for (let due = held.due(now); due !== null && this.#handed < budget; due = held.due(now)) {
      this.#handed++;
      for (const witness of this.#witnesses) witness.received(due.story);
      this.#input?.input(due.slab, due.off, due.lengthBytes, due.flags);
      this.#in.passed(due);
    }
  }

  #lost({ slab, off, lengthBytes, flags, story }: HeldPacket): void {
    for (const witness of this.#witnesses) witness.lost(slab, off, lengthBytes, flags, story);
  }

  #refuse(back: ImpairedPath, mtuBytes: number, slab: Slab, off: number, len: number): void {
    const link = this.#isEthernet ? frameHeaderBytes(slab.view, off, len) : 0;
    const message = back.held.take(link + TOO_BIG_BYTES);
    const { slab: into, off: at } = message;
    const lengthBytes = writeTooBig(into, at + link, slab, off + link, len - link, mtuBytes);
    if (lengthBytes === 0) {
      back.held.release(message);
      return;
    }
    if (link > 0) turnHeader(into, at, slab, off, link);
    message.lengthBytes = link + lengthBytes;
    back.insert(message, this.#clock());
  }

  flush(): void {
    this.#device.flush();
  }

  prepareSleep(): boolean {
    if (this.#in.nextMs() <= this.#clock()) return false;
    return this.#device.prepareSleep();
  }

  awake(): void {
    this.#device.awake();
  }

  nextDeadline(): number {
    const out = Math.max(this.#out.nextMs(), this.#retryMs);
    return Math.min(this.#device.nextDeadline(), this.#in.nextMs(), out);
  }

  advance(now: number): void {
    this.#device.advance(now);
    if (this.#out.nextMs() <= now && now >= this.#retryMs) {
      this.#release(now);
      this.#device.flush();
    }
  }

  close(): void {
    this.#device.close();
    this.#in.held.clear();
    this.#out.held.clear();
  }
}

/** The Ethernet header of an answer: the addresses change places. */
function turnHeader(into: Slab, at: number, slab: Slab, off: number, headerBytes: number): void {
  copySlab(slab, off, into, at, headerBytes);
  copySlab(slab, off + Ethernet.Source, into, at + Ethernet.Destination, ETHERNET_ADDRESS_BYTES);
  copySlab(slab, off + Ethernet.Destination, into, at + Ethernet.Source, ETHERNET_ADDRESS_BYTES);
}
