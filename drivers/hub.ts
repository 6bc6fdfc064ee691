import { NetError, Phase } from '../stack/errors.ts';
import type { LinkCapabilities, TxPacket } from '../stack/link.ts';
import { IPV4_HEADER_BYTES, Ipv4, ipVersion } from '../stack/wire/ipv4.ts';
import { IPV6_HEADER_BYTES, Ipv6 } from '../stack/wire/ipv6.ts';
import type { Slab } from '../stack/wire/slab.ts';
import { type Device, DeviceCounters, type PacketInput } from './device.ts';
import {
  createMemoryLink,
  type MemoryAttachment,
  type MemoryLinkEnd,
  type MemoryLinkOptions,
  openMemory,
} from './memory.ts';

/** Ports of one hub. Every two have a link, whose memory is used only as packets need it. */
export const MAX_HUB_PORTS = 64;
/** Addresses that a port remembers; the one learned first is forgotten. */
export const MAX_HUB_ADDRESSES = 4096;

/** One port of a hub; can be posted to another thread. Made by {@link createMemoryHub}. */
export interface MemoryHubPort {
  readonly kind: 'memory-hub';
  readonly port: number;
  /** Links to all other ports, in the order of their numbers. */
  readonly links: readonly MemoryLinkEnd[];
}

export interface MemoryHubOptions extends MemoryLinkOptions {
  /** 2 … `MAX_HUB_PORTS` */
  readonly ports: number;
}

/**
 * A network for any number of stacks of this process, in one thread or several: one port for each. It carries IP packets
 * and works as a switch does: a packet for an address that has sent before goes to its port, any other to all ports.
 * @throws NetError ARGUMENT_INVALID
 */
export function createMemoryHub(options: MemoryHubOptions): MemoryHubPort[] {
  const { ports: count, ...linkOptions } = options;
  if (!Number.isInteger(count) || count < 2 || count > MAX_HUB_PORTS) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `a hub has 2 … ${MAX_HUB_PORTS} ports, got ${count}`,
    });
  }
  const links = Array.from({ length: count }, (): MemoryLinkEnd[] => []);
  for (let first = 0; first < count; first++) {
    for (let second = first + 1; second < count; second++) {
      const [a, b] = createMemoryLink(linkOptions);
      links[first]!.push(a);
      links[second]!.push(b);
    }
  }
  // each list is in order of the other port: those below came first, one by one
  return links.map((ends, port) => ({ kind: 'memory-hub', port, links: ends }));
}

/**
 * Attaches the calling thread to one port. What is sent to a port before it is attached waits there; beyond its
 * queue it is dropped.
 * @throws NetError DEVICE_FAILED when this port is or was in use
 */
export function openMemoryHub(port: MemoryHubPort, attachment: MemoryAttachment = {}): Device {
  return new HubDevice(port, attachment);
}

/** Which link an address was seen on. */
interface Learned {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
  link: number;
}

class HubDevice implements Device, PacketInput {
  readonly name: string;
  readonly capabilities: LinkCapabilities;
  readonly counters: DeviceCounters = new DeviceCounters();
  readonly pollFd = -1;
  readonly #links: readonly Device[];
  /** By a hash of the address; of two with the same hash, the last one is known. */
  readonly #learned: Map<number, Learned> = new Map();
  #input: PacketInput | null = null;
  /** The link that is being read. */
  #from = 0;
  /** The link that is read first next time, so that none is starved. */
  #turn = 0;

  constructor(port: MemoryHubPort, attachment: MemoryAttachment) {
    const opened: Device[] = [];
    try {
      for (const end of port.links) opened.push(openMemory(end, attachment));
    } catch (error) {
      for (const link of opened) link.close();
      throw error;
    }
    this.name = `memory-hub:${port.port}`;
    this.#links = opened;
    this.capabilities = opened[0]!.capabilities;
  }

  send(packet: TxPacket): boolean {
    const lengthBytes = packet.lengthBytes;
    const { view } = packet.head;
    const link = this.#find(view, packet.headOff, packet.headLen);
    if (link >= 0) {
      const to = this.#links[link]!;
      const sent = to.counters.txPackets;
      if (!to.send(packet)) {
        this.counters.txFull++;
        return false;
      }
      // known, and gone: nobody is told of it by a switch either
      if (to.counters.txPackets === sent) {
        this.counters.txDroppedDown++;
        return true;
      }
    } else {
      for (const each of this.#links) if (!each.send(packet)) this.counters.txDroppedQueue++;
    }
    this.counters.txPackets++;
    this.counters.txBytes += lengthBytes;
    return true;
  }

  /** @returns the link of the packet's destination; -1: not known, or a group */
  #find(view: DataView, off: number, len: number): number {
    if (len >= IPV4_HEADER_BYTES && ipVersion(view, off) === 4)
      return this.#linkOf(0, 0, 0xffff, view.getInt32(off + Ipv4.Destination));
    if (len < IPV6_HEADER_BYTES || ipVersion(view, off) !== 6) return -1;
    const at = off + Ipv6.Destination;
    return this.#linkOf(
      view.getInt32(at),
      view.getInt32(at + 4),
      view.getInt32(at + 8),
      view.getInt32(at + 12),
    );
  }

  #linkOf(w0: number, w1: number, w2: number, w3: number): number {
    const known = this.#learned.get(hashOf(w0, w1, w2, w3));
    if (known === undefined) return -1;
    return known.w3 === w3 && known.w2 === w2 && known.w1 === w1 && known.w0 === w0 ? known.link : -1;
  }

  receive(input: PacketInput, budget: number): number {
    const links = this.#links;
    this.#input = input;
    let packets = 0;
    for (let i = 0; i < links.length && packets < budget; i++) {
      this.#from = (this.#turn + i) % links.length;
      packets += links[this.#from]!.receive(this, budget - packets);
    }
    if (packets > 0) this.#turn = (this.#from + 1) % links.length;
    return packets;
  }

  /** PacketInput: a link hands in a packet. */
  input(slab: Slab, off: number, len: number, flags: number): void {
    this.counters.rxPackets++;
    this.counters.rxBytes += len;
    const { view } = slab;
    if (len >= IPV4_HEADER_BYTES && ipVersion(view, off) === 4) {
      const word = view.getInt32(off + Ipv4.Source);
      // 0.0.0.0, groups and the broadcast address belong to nobody
      if (word !== 0 && word >>> 28 < 14) this.#learn(0, 0, 0xffff, word);
    } else if (len >= IPV6_HEADER_BYTES && ipVersion(view, off) === 6) {
      const at = off + Ipv6.Source;
      const w0 = view.getInt32(at);
      const w1 = view.getInt32(at + 4);
      const w2 = view.getInt32(at + 8);
      const w3 = view.getInt32(at + 12);
      if (w0 >>> 24 !== 0xff && (w0 | w1 | w2 | w3) !== 0) this.#learn(w0, w1, w2, w3);
    }
    this.#input?.input(slab, off, len, flags);
  }

  #learn(w0: number, w1: number, w2: number, w3: number): void {
    const hash = hashOf(w0, w1, w2, w3);
    const known = this.#learned.get(hash);
    if (known !== undefined && known.w3 === w3 && known.w2 === w2 && known.w1 === w1 && known.w0 === w0) {
      known.link = this.#from;
      return;
    }
    if (known === undefined && this.#learned.size >= MAX_HUB_ADDRESSES) {
      for (const oldest of this.#learned.keys()) {
        this.#learned.delete(oldest);
        break;
      }
    }
    this.#learned.set(hash, { w0, w1, w2, w3, link: this.#from });
  }

  flush(): void {
    for (const link of this.#links) link.flush();
  }

  prepareSleep(): boolean {
    for (const link of this.#links) {
      if (link.prepareSleep()) continue;
      this.awake();
      return false;
    }
    return true;
  }

  awake(): void {
    for (const link of this.#links) link.awake();
  }

  nextDeadline(): number {
    return Number.POSITIVE_INFINITY;
  }

  advance(): void {}

  close(): void {
    for (const link of this.#links) link.close();
  }
}

function hashOf(w0: number, w1: number, w2: number, w3: number): number {
  const mixed = Math.imul(Math.imul(Math.imul(w0, 31) + w1, 31) + w2, 0x9e3779b1) ^ w3;
  return mixed | 0;
}
