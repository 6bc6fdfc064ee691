import type { Device, DeviceCounters, PacketInput } from '../drivers/device.ts';
import { type MemoryLinkEnd, openMemory } from '../drivers/memory.ts';
import { FlowShare } from '../stack/flow-share.ts';
import { HEADROOM_BYTES, type LinkCapabilities, RxFlag, TxPacket } from '../stack/link.ts';
import { Slab } from '../stack/wire/slab.ts';

/** One engine's place among several on the queues of one device. */
export interface QueuePlace {
  readonly index: number;
  /** To each of the engines, by index; null: itself. */
  readonly links: readonly (MemoryLinkEnd | null)[];
}

/** A packet that every engine gets: each puts fragments together, one of them takes the result. */
const EVERYBODY = -1;

const ICMP = 1;
const TCP = 6;
const UDP = 17;
const IPV6_HOP_BY_HOP = 0;
const IPV6_ROUTING = 43;
const IPV6_FRAGMENT = 44;
const ICMPV6 = 58;
const IPV6_DESTINATION = 60;
/** RFC 4443 §2.1: errors are below 128. */
const ICMPV6_FIRST_QUESTION = 128;
const IPV4_HEADER_BYTES = 20;
const IPV6_HEADER_BYTES = 40;
const ICMP_HEADER_BYTES = 8;
/** More extension headers than that are nobody's in particular. */
const MAX_EXTENSION_HEADERS = 8;

/**
 * One queue of a device that has several. The kernel puts a flow's packets into the queue that sent its last ones, but a packet of a
 * flow that it does not know yet, or has forgotten, into any: what belongs to another engine is handed to that through memory.
 */
export class SteeredDevice implements Device, PacketInput {
  readonly name: string;
  readonly capabilities: LinkCapabilities;
  readonly counters: DeviceCounters;
  readonly pollFd: number;
  readonly share: FlowShare;
  readonly #queue: Device;
  readonly #links: readonly (Device | null)[];
  readonly #handed: TxPacket = new TxPacket(Slab.alloc(HEADROOM_BYTES));
  #input: PacketInput = this;

  /** @param queue this engine's @param wakeFd its eventfd */
  constructor(queue: Device, { index, links }: QueuePlace, wakeFd: number) {
    this.#queue = queue;
    this.name = queue.name;
    this.capabilities = queue.capabilities;
    this.counters = queue.counters;
    this.pollFd = queue.pollFd;
    this.share = new FlowShare(index, links.length);
    this.#links = links.map((end) => (end === null ? null : openMemory(end, { eventFd: wakeFd })));
  }

  receive(input: PacketInput, budget: number): number {
    this.#input = input;
    let packets = this.#queue.receive(this, budget);
    // one after the other: the largest answer says whether there may be more
    for (const link of this.#links)
      if (link !== null) packets = Math.max(packets, link.receive(input, budget));
    return packets;
  }

  /** PacketInput: a packet of the own queue. */
  input(slab: Slab, off: number, len: number, flags: number): void {
    const owner = ownerOf(this.share, slab, off, len);
    if (owner === this.share.index) {
      this.#input.input(slab, off, len, flags);
      return;
    }
    const packet = this.#handed;
    packet.reset();
    packet.body = slab;
    packet.bodyOff = off;
    packet.bodyLen = len;
    packet.csumStart = (flags & RxFlag.ChecksumValid) === 0 ? -1 : 0;
    if (owner === EVERYBODY) {
      for (const link of this.#links) link?.send(packet);
      this.#input.input(slab, off, len, flags);
    } else {
      // an engine that does not keep up loses packets, as a full queue of the kernel does
      this.#links[owner]!.send(packet);
    }
  }

  send(packet: TxPacket): boolean {
    return this.#queue.send(packet);
  }

  flush(): void {
    this.#queue.flush();
    for (const link of this.#links) link?.flush();
  }

  prepareSleep(): boolean {
    for (const link of this.#links) {
      if (link === null || link.prepareSleep()) continue;
      this.awake();
      return false;
    }
    return this.#queue.prepareSleep();
  }

  awake(): void {
    for (const link of this.#links) link?.awake();
    this.#queue.awake();
  }

  nextDeadline(): number {
    return this.#queue.nextDeadline();
  }

  advance(now: number): void {
    this.#queue.advance(now);
  }

  close(): void {
    for (const link of this.#links) link?.close();
    this.#queue.close();
  }
}

/**
 * Whose an IP packet is: the owner of its TCP connection or UDP socket; for an ICMP error, of the packet that it is about; the first
 * engine's for all the rest.
 * @returns the engine, or -1 for all of them
 */
export function ownerOf(share: FlowShare, slab: Slab, off: number, len: number): number {
  return flowOwner(share, slab, off, off + len, false);
}

/** @param isQuoted the packet stands in an ICMP error: it was sent by us */
function flowOwner(share: FlowShare, slab: Slab, off: number, end: number, isQuoted: boolean): number {
  const { bytes, view } = slab;
  if (end - off < IPV4_HEADER_BYTES) return 0;
  let protocol: number;
  let at: number;
  let isFragment: boolean;
  if (bytes[off]! >>> 4 === 4) {
    protocol = bytes[off + 9]!;
    at = off + (bytes[off]! & 15) * 4;
    // RFC 791 §3.1: more fragments, or an offset
    isFragment = (view.getUint16(off + 6) & 0x3fff) !== 0;
  } else {
    if (end - off < IPV6_HEADER_BYTES) return 0;
    protocol = bytes[off + 6]!;
    at = off + IPV6_HEADER_BYTES;
    isFragment = false;
    for (let i = 0; i < MAX_EXTENSION_HEADERS && isExtension(protocol) && at + 8 <= end; i++) {
      if (protocol === IPV6_FRAGMENT) {
        isFragment = true;
        protocol = bytes[at]!;
        break;
      }
      const next = bytes[at]!;
      at += 8 + bytes[at + 1]! * 8;
      protocol = next;
    }
  }
  if (protocol === TCP || protocol === UDP) {
    // one that is not the first has no ports; nobody is told about a fragment of what we sent
    if (isFragment) return isQuoted ? 0 : EVERYBODY;
    if (at + 4 > end) return 0;
    const localPort = view.getUint16(isQuoted ? at : at + 2);
    if (protocol === UDP) return share.udpOwner(localPort);
    return share.tcpOwner(localPort, view.getUint16(isQuoted ? at + 2 : at));
  }
  if (isQuoted || !isIcmpError(protocol, bytes[at])) return 0;
  return flowOwner(share, slab, at + ICMP_HEADER_BYTES, end, true);
}

function isExtension(protocol: number): boolean {
  return (
    protocol === IPV6_HOP_BY_HOP ||
    protocol === IPV6_ROUTING ||
    protocol === IPV6_FRAGMENT ||
    protocol === IPV6_DESTINATION
  );
}

/** RFC 792: unreachable, source quench, time exceeded, parameter problem. */
function isIcmpError(protocol: number, type: number | undefined): boolean {
  if (protocol === ICMP) return type === 3 || type === 4 || type === 11 || type === 12;
  return protocol === ICMPV6 && type !== undefined && type < ICMPV6_FIRST_QUESTION;
}
