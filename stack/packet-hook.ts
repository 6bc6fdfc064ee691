import type { StackContext } from './context.ts';
import type { Interface } from './ip/interface.ts';
import { HEADROOM_BYTES, type PacketSink, RxFlag, TxPacket } from './link.ts';
import { TimerEntry } from './timers.ts';
import { ETHERNET_HEADER_BYTES, Ethernet, EtherType } from './wire/ethernet.ts';
import { completeAt, completePacket } from './wire/partial-checksum.ts';
import { Slab } from './wire/slab.ts';

/** A packet that is about to leave, or has just come. */
export interface HookedPacket {
  readonly direction: 'in' | 'out';
  /** Name of the interface. */
  readonly interface: string;
  /** Milliseconds of the stack's clock. */
  readonly now: number;
  /** Where the IP header begins in `bytes`; -1: it is no IP packet (ARP and the like). */
  readonly ipOff: number;
  /**
   * The packet as on the wire, all checksums in it: from the IP header on, or from the Ethernet header on where the link is
   * Ethernet. A copy: change it in place, or put other bytes in its place. Checksums are not made right again.
   */
  bytes: Uint8Array;
  /** Why it is sent, when that is not evident; '' otherwise. */
  readonly comment: string;
}

/** What a hook may do beside. */
export interface PacketInjector {
  /**
   * Adds a packet, which no hook sees: `out` leaves at once; `in` is received as soon as the stack is done with what it is at.
   * Beyond `MAX_INJECTED_PACKETS` that wait, or when the device is full, it is dropped and counted.
   * @param bytes like those of a hooked packet of the interface; not referenced after the return
   * @param iface name of the interface; default: the first one
   */
  inject(direction: 'in' | 'out', bytes: Uint8Array, iface?: string): void;
}

/**
 * Sees every packet of a stack, in both directions, next to the device; one that finds the device full comes again. It is called while the
 * stack is at work, so it calls nothing of it but the injector. What it throws passes through the stack to whoever drives it.
 * @returns false: the packet is dropped
 */
export type PacketHook = (packet: HookedPacket, injector: PacketInjector) => boolean | undefined;

/** Injected packets that wait to be received. */
export const MAX_INJECTED_PACKETS = 1024;
const MAX_PACKET_BYTES: number = ETHERNET_HEADER_BYTES + 4 + 40 + 65_535;

/** What a packet hook saw and did. */
export class HookCounters {
  seenIn = 0;
  seenOut = 0;
  droppedIn = 0;
  droppedOut = 0;
  injectedIn = 0;
  injectedOut = 0;
  /** Too many, too long, or the device was full. */
  dropInjected = 0;
}

/** Takes injected packets as received. */
export type Receive = (iface: Interface, slab: Slab, off: number, len: number) => void;

interface Waiting {
  readonly iface: Interface;
  readonly bytes: Uint8Array;
}

/** Runs a packet hook on the interfaces of a stack: stands between each and its device. */
export class HookRunner implements PacketInjector {
  readonly counters: HookCounters;
  readonly #hook: PacketHook;
  readonly #interfaces: () => readonly Interface[];
  readonly #receive: Receive;
  readonly #context: StackContext;
  readonly #timer: TimerEntry = new TimerEntry(this);
  readonly #waiting: Waiting[] = [];
  readonly #packet: TxPacket = new TxPacket(Slab.alloc(HEADROOM_BYTES + MAX_PACKET_BYTES));

  constructor(
    hook: PacketHook,
    counters: HookCounters,
    context: StackContext,
    interfaces: () => readonly Interface[],
    receive: Receive,
  ) {
    this.#hook = hook;
    this.counters = counters;
    this.#context = context;
    this.#interfaces = interfaces;
    this.#receive = receive;
  }

  /** A received packet, before the stack sees it. */
  input(iface: Interface, slab: Slab, off: number, len: number, flags: number): void {
    this.counters.seenIn++;
    const copy = new Slab(slab.bytes.slice(off, off + len));
    const ipOff = ipOffset(iface, copy);
    if ((flags & RxFlag.ChecksumPartial) !== 0 && ipOff >= 0) completePacket(copy, ipOff, len - ipOff);
    const bytes = this.#ask(iface, 'in', copy.bytes, ipOff, '');
    if (bytes === null) this.counters.droppedIn++;
    // nothing is known of its checksum any more: damage is to be found
    else this.#receive(iface, new Slab(bytes), 0, bytes.length);
  }

  /** What an interface's packets go through on their way to its device. */
  sinkOf(iface: Interface): PacketSink {
    return { send: (packet) => this.#output(iface, packet) };
  }

  inject(direction: 'in' | 'out', bytes: Uint8Array, name?: string): void {
    const interfaces = this.#interfaces();
    const iface = name === undefined ? interfaces[0] : interfaces.find((each) => each.name === name);
    if (iface === undefined) throw new RangeError(`no interface ${name ?? ''} to inject a packet at`);
    if (bytes.length > MAX_PACKET_BYTES) {
      this.counters.dropInjected++;
    } else if (direction === 'out') {
      if (this.#send(iface, bytes, '')) this.counters.injectedOut++;
      else this.counters.dropInjected++;
    } else if (this.#waiting.length >= MAX_INJECTED_PACKETS) {
      this.counters.dropInjected++;
    } else {
      this.#waiting.push({ iface, bytes: bytes.slice() });
      this.#context.timers.set(this.#timer, this.#context.now);
    }
  }

  /** TimerTarget: injected packets come in, and those that hooks inject meanwhile a round later. */
  onDeadline(): void {
    for (const { iface, bytes } of this.#waiting.splice(0)) {
      this.counters.injectedIn++;
      this.#receive(iface, new Slab(bytes), 0, bytes.length);
    }
  }

  close(): void {
    this.#waiting.length = 0;
    this.#context.timers.remove(this.#timer);
  }

  /** @returns what `PacketSink.send` returns */
  #output(iface: Interface, packet: TxPacket): boolean {
    const bytes = new Uint8Array(packet.lengthBytes);
    packet.gather(bytes, 0);
    const copy = new Slab(bytes);
    if (packet.csumStart >= 0) completeAt(copy, 0, bytes.length, packet.csumStart, packet.csumOffset);
    this.counters.seenOut++;
    const wanted = this.#ask(iface, 'out', bytes, ipOffset(iface, copy), packet.comment);
    if (wanted === null || wanted.length > MAX_PACKET_BYTES) {
      this.counters.droppedOut++;
      return true;
    }
    return this.#send(iface, wanted, packet.comment);
  }

  /** @returns null: dropped */
  #ask(
    iface: Interface,
    direction: 'in' | 'out',
    bytes: Uint8Array,
    ipOff: number,
    comment: string,
  ): Uint8Array | null {
    const { now } = this.#context;
    const packet: HookedPacket = { direction, interface: iface.name, now, ipOff, bytes, comment };
    return this.#hook(packet, this) === false ? null : packet.bytes;
  }

  #send(iface: Interface, bytes: Uint8Array, comment: string): boolean {
    const packet = this.#packet;
    packet.reset();
    packet.headLen = bytes.length;
    packet.comment = comment;
    packet.head.bytes.set(bytes, HEADROOM_BYTES);
    return iface.sink.send(packet);
  }
}

/** @returns where the IP header begins; -1: it is no IP packet */
function ipOffset(iface: Interface, { view, lengthBytes }: Slab): number {
  if (iface.link === null) return 0;
  if (lengthBytes < ETHERNET_HEADER_BYTES) return -1;
  const type = view.getUint16(Ethernet.Type);
  return type === EtherType.Ipv4 || type === EtherType.Ipv6 ? ETHERNET_HEADER_BYTES : -1;
}
