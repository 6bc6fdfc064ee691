import { HEADROOM_BYTES } from '../link.ts';
import {
  ARP_BYTES,
  Arp,
  ArpOperation,
  arpSenderHigh,
  arpSenderLow,
  isArpForIpv4,
  writeArp,
} from '../wire/arp.ts';
import { BROADCAST_HIGH, BROADCAST_LOW, EtherType } from '../wire/ethernet.ts';
import { IpAddress } from '../wire/ip-address.ts';
import type { Slab } from '../wire/slab.ts';
import type { EthernetLink } from './ethernet-link.ts';
import type { Neighbour } from './neighbour.ts';
import { chooseSource } from './source-address.ts';

/** 169.254.0.0/16 */
const LINK_LOCAL_NETWORK = 0xa9fe;

/** Learns that an address that is being probed for belongs to somebody else. */
export interface ProbeWatcher {
  /** The IPv4 address that must not be in use, as a word. */
  readonly probed: number;
  probeAnswered(): void;
}

/** IPv4 addresses to Ethernet addresses (RFC 826), with conflict detection (RFC 5227). */
export class ArpLayer {
  /** Who probes for addresses on this link now. */
  readonly watchers: ProbeWatcher[] = [];
  readonly #link: EthernetLink;

  constructor(link: EthernetLink) {
    this.#link = link;
  }

  /** Takes what follows the Ethernet header of an ARP frame. */
  input(slab: Slab, off: number, len: number): void {
    const link = this.#link;
    const counters = link.neighbourCounters;
    if (len < ARP_BYTES) {
      counters.dropTruncated++;
      return;
    }
    const { view } = slab;
    const operation = view.getUint16(off + Arp.Operation);
    const isRequest = operation === ArpOperation.Request;
    if (!isArpForIpv4(view, off, len) || (!isRequest && operation !== ArpOperation.Reply)) {
      counters.dropArpFormat++;
      return;
    }
    if (isRequest) counters.solicitationsReceived++;
    else counters.advertisementsReceived++;
    const high = arpSenderHigh(view, off);
    const low = arpSenderLow(view, off);
    if (!link.isStation(high, low)) return;
    const sender = view.getInt32(off + Arp.SenderProtocol);
    const target = view.getInt32(off + Arp.TargetProtocol);
    const forUs = this.#owns(target);
    // RFC 5227 §2.1.1: somebody has the address, or probes for it at the same time
    if (this.watchers.length > 0) this.#tellWatchers(sender === 0 ? target : sender);
    if (this.#owns(sender)) {
      // RFC 5227 §2.4: the address is kept and defended, at most every ten seconds
      if (link.conflict(IpAddress.v4(sender), high, low)) this.announce(sender);
      return;
    }
    // RFC 5227 §1.1: the sender of a probe has no address yet; who asks for ours is told that it is taken
    if (sender !== 0) {
      if (!this.#canBeSender(sender)) {
        counters.dropSender++;
        return;
      }
      this.#learn(sender, high, low, isRequest, forUs);
    } else if (!isRequest) {
      counters.dropSender++;
      return;
    }
    if (!isRequest) return;
    if (!forUs) {
      counters.dropNotForUs++;
      return;
    }
    counters.advertisementsSent++;
    this.#send(ArpOperation.Reply, high, low, target, high, low, sender);
  }

  /** Asks for the link address of a neighbour. */
  request(neighbour: Neighbour, unicast: boolean): void {
    const link = this.#link;
    const source = chooseSource(link.iface.addresses, neighbour.address);
    // an interface without an IPv4 address has no routes that lead here
    if (source === null) return;
    const high = unicast ? neighbour.high : BROADCAST_HIGH;
    const low = unicast ? neighbour.low : BROADCAST_LOW;
    this.#send(ArpOperation.Request, high, low, source.w3, 0, 0, neighbour.address.w3);
  }

  #tellWatchers(address: number): void {
    // who is told watches no more
    for (const watcher of [...this.watchers]) if (watcher.probed === address) watcher.probeAnswered();
  }

  /** RFC 826: a sender that is known is updated, whatever it says; one that asks for us is remembered. */
  #learn(sender: number, high: number, low: number, isRequest: boolean, forUs: boolean): void {
    const link = this.#link;
    const counters = link.neighbourCounters;
    const known = link.neighbours.find(0, 0, 0xffff, sender);
    if (known !== null) {
      link.neighbours.advertised(known, true, high, low, !isRequest && forUs, true);
    } else if (!isRequest || !forUs) {
      counters.ignoredUnknown++;
    } else {
      const address = IpAddress.v4(sender);
      if (link.isOnLink(address)) link.neighbours.learn(address, high, low);
      else counters.ignoredOffLink++;
    }
  }

  #owns(word: number): boolean {
    return this.#link.iface.owns(4, 0, 0, 0xffff, word);
  }

  /** RFC 1122 §3.2.1.3 */
  #canBeSender(word: number): boolean {
    const first = word >>> 24;
    return first !== 0 && first !== 127 && first < 224 && !this.#link.iface.isBroadcast(word);
  }

  /** RFC 5227 §2.1.1: a request from nobody, so that no cache is disturbed if the address is in use. */
  probe(address: number): void {
    this.#send(ArpOperation.Request, BROADCAST_HIGH, BROADCAST_LOW, 0, 0, 0, address);
  }

  /** RFC 5227 §2.3: sender and target are the address announced. */
  announce(own: number): void {
    this.#send(ArpOperation.Request, BROADCAST_HIGH, BROADCAST_LOW, own, 0, 0, own);
  }

  /** A frame that the device does not take is lost, as it may be anywhere on a link. */
  #send(
    operation: number,
    toHigh: number,
    toLow: number,
    sender: number,
    targetHigh: number,
    targetLow: number,
    target: number,
  ): void {
    const link = this.#link;
    const packet = link.control(ARP_BYTES);
    const { view } = packet.head;
    writeArp(view, HEADROOM_BYTES, operation, link.high, link.low, sender, targetHigh, targetLow, target);
    // RFC 3927 §2.5: all hear of link-local senders, so that two who have the same address learn of it
    const isForAll = sender >>> 16 === LINK_LOCAL_NETWORK;
    link.transmit(
      packet,
      isForAll ? BROADCAST_HIGH : toHigh,
      isForAll ? BROADCAST_LOW : toLow,
      EtherType.Arp,
    );
  }
}
