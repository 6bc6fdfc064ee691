import type { Route, StackContext } from '../context.ts';
import { foldChecksum, sumSlab } from '../wire/checksum.ts';
import {
  IP_MAX_PACKET_BYTES,
  IPV4_HEADER_BYTES,
  IPV4_MORE_FRAGMENTS,
  Ipv4,
  writeIpv4Header,
} from '../wire/ipv4.ts';
import {
  IPV6_FRAGMENT_HEADER_BYTES,
  IPV6_HEADER_BYTES,
  Ipv6Fragment,
  Ipv6Next,
  writeIpv6Header,
} from '../wire/ipv6.ts';
import { Slab } from '../wire/slab.ts';
import type { IpCounters } from './counters.ts';

/** Cuts packets that are larger than the path MTU (RFC 791 §3.2, RFC 8200 §4.5). */
export class Fragmenter {
  readonly #context: StackContext;
  readonly #counters: IpCounters;
  /** The payload being cut; made when first needed. */
  #payload: Slab | null = null;

  constructor(context: StackContext, counters: IpCounters) {
    this.#context = context;
    this.#counters = counters;
  }

  /**
   * Sends `context.tx`, whose transport header and checksum are complete, in fragments.
   * @param headerBytes room for the IP header at the start of the head
   * @param flowLabel 0 for IPv4
   * @param id the identification of the datagram, 32 bits
   * @returns false when the device was full before the first fragment; later ones that it does not take are lost
   */
  send(
    route: Route,
    protocol: number,
    headerBytes: number,
    trafficClass: number,
    ttl: number,
    flowLabel: number,
    id: number,
  ): boolean {
    const { tx } = this.#context;
    this.#payload ??= Slab.alloc(IP_MAX_PACKET_BYTES);
    const payload = this.#payload;
    tx.headOff += headerBytes;
    tx.headLen -= headerBytes;
    const total = tx.gather(payload.bytes, 0);
    const { comment } = tx;
    const v4 = route.destination.family === 4;
    const overhead = v4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES + IPV6_FRAGMENT_HEADER_BYTES;
    // Every fragment but the last carries a multiple of 8 bytes.
    const pieceBytes = (route.pathMtuBytes - overhead) & ~7;
    for (let at = 0; at < total; at += pieceBytes) {
      const length = Math.min(pieceBytes, total - at);
      tx.reset();
      tx.comment = comment;
      tx.headLen = overhead;
      tx.body = payload;
      tx.bodyOff = at;
      tx.bodyLen = length;
      const more = at + length < total;
      if (v4) this.#writeV4(route, protocol, trafficClass, ttl, id & 0xffff, at, length, more);
      else this.#writeV6(route, protocol, trafficClass, ttl, flowLabel, id, at, length, more);
      if (!route.iface.send(tx, route.nextHop)) {
        this.#counters.deviceFull++;
        if (at === 0) return false;
        this.#counters.fragmentsLostOnSend++;
        return true;
      }
      this.#counters.sent++;
      this.#counters.sentBytes += overhead + length;
      this.#counters.fragmentsSent++;
    }
    return true;
  }

  #writeV4(
    route: Route,
    protocol: number,
    trafficClass: number,
    ttl: number,
    id: number,
    at: number,
    length: number,
    more: boolean,
  ): void {
    const { tx } = this.#context;
    const { view } = tx.head;
    const off = tx.headOff;
    const flags = (more ? IPV4_MORE_FRAGMENTS : 0) | (at >>> 3);
    const { source, destination } = route;
    const total = IPV4_HEADER_BYTES + length;
    writeIpv4Header(view, off, total, protocol, trafficClass, ttl, id, flags, source.w3, destination.w3);
    view.setUint16(off + Ipv4.Checksum, foldChecksum(sumSlab(tx.head, off, IPV4_HEADER_BYTES, 0)));
  }

  #writeV6(
    route: Route,
    protocol: number,
    trafficClass: number,
    ttl: number,
    flowLabel: number,
    id: number,
    at: number,
    length: number,
    more: boolean,
  ): void {
    const { tx } = this.#context;
    const { view } = tx.head;
    const off = tx.headOff;
    const { source, destination } = route;
    const payloadLength = IPV6_FRAGMENT_HEADER_BYTES + length;
    const next = Ipv6Next.Fragment;
    writeIpv6Header(view, off, payloadLength, next, trafficClass, flowLabel, ttl, source, destination);
    const fragment = off + IPV6_HEADER_BYTES;
    view.setUint16(fragment + Ipv6Fragment.NextHeader, protocol << 8);
    view.setUint16(fragment + Ipv6Fragment.OffsetMore, at | (more ? 1 : 0));
    view.setUint32(fragment + Ipv6Fragment.Identification, id);
  }
}
