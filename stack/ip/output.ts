import type { IpOutput, Route, StackContext } from '../context.ts';
import { HEADROOM_BYTES, type TxPacket } from '../link.ts';
import { fold16, foldChecksum, sumOddPiece, sumPseudoHeader, sumSlab } from '../wire/checksum.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import {
  IP_MAX_PACKET_BYTES,
  IPV4_DONT_FRAGMENT,
  IPV4_HEADER_BYTES,
  IPV4_MAX_HEADER_BYTES,
  IpProtocol,
  Ipv4,
  writeIpv4Header,
} from '../wire/ipv4.ts';
import { IPV6_HEADER_BYTES, writeIpv6Header } from '../wire/ipv6.ts';
import { copySlab, type Slab } from '../wire/slab.ts';
import type { IpCounters } from './counters.ts';
import { FlowLabels } from './flow-label.ts';
import { Fragmenter } from './fragment.ts';
import { type Identification, Identifications } from './identification.ts';
import type { Interface } from './interface.ts';
import { IPV4_MIN_PATH_MTU_BYTES, type RouteTable } from './route-table.ts';

/** Both ports, at the start of a TCP or UDP header. */
const PORTS_BYTES = 4;

/** The sending half of the IP layer. */
export class IpSender implements IpOutput {
  readonly #context: StackContext;
  readonly #routes: RouteTable;
  readonly #counters: IpCounters;
  readonly #fragmenter: Fragmenter;
  readonly #flowLabels: FlowLabels;
  readonly #identifications: Identifications;

  constructor(context: StackContext, routes: RouteTable, counters: IpCounters) {
    this.#context = context;
    this.#routes = routes;
    this.#counters = counters;
    this.#flowLabels = new FlowLabels(context.secret);
    this.#identifications = new Identifications(context.random, counters);
    this.#fragmenter = new Fragmenter(context, counters);
  }

  route(destination: IpAddress, source: IpAddress | null): Route {
    return this.#routes.route(destination, source);
  }

  isOwnAddress(address: IpAddress): boolean {
    return this.#routes.owner(address) !== null;
  }

  reducePathMtu(route: Route, mtuBytes: number): boolean {
    return this.#routes.reducePathMtu(route, mtuBytes, this.#context.now);
  }

  redirect(
    iface: Interface,
    destination: IpAddress,
    source: IpAddress,
    router: IpAddress,
    nextHop: IpAddress,
  ): boolean {
    return this.#routes.redirect(iface, destination, source, router, nextHop);
  }

  begin(route: Route, transportHeaderBytes: number): number {
    const tx = this.#context.tx;
    tx.reset();
    const headerBytes = route.destination.family === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    tx.headLen = headerBytes + transportHeaderBytes;
    return HEADROOM_BYTES + headerBytes;
  }

  finish(route: Route, protocol: number, csumOffset: number, trafficClass: number, ttl: number): boolean {
    const tx = this.#context.tx;
    const { source, destination, iface } = route;
    const hopLimit = ttl > 0 ? ttl : iface.hopLimit(destination.family);
    const v4 = destination.family === 4;
    const headerBytes = v4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    const view = tx.head.view;
    const off = tx.headOff;
    const length = tx.lengthBytes;
    const transportLength = length - headerBytes;
    if ((v4 ? length : transportLength) > IP_MAX_PACKET_BYTES)
      throw new RangeError(`IP packet of ${length} bytes; callers keep to 65,535`);
    const inFragments = length > route.pathMtuBytes && tx.gsoBytes === 0;

    if (csumOffset >= 0) {
      const at = off + headerBytes + csumOffset;
      const pseudo = sumPseudoHeader(source, destination, protocol, transportLength);
      if (iface.capabilities.txChecksum && !inFragments) {
        view.setUint16(at, fold16(pseudo));
        tx.csumStart = headerBytes;
        tx.csumOffset = csumOffset;
      } else {
        view.setUint16(at, 0);
        const sum = foldChecksum(sumPayload(tx, headerBytes, pseudo));
        // RFC 768: 0 means "no checksum", so a sum of 0 is sent as its other form
        view.setUint16(at, sum === 0 && protocol === IpProtocol.Udp ? 0xffff : sum);
      }
    }
    const flowLabel = v4 ? 0 : this.#flowLabel(route, protocol, headerBytes);
    const { now } = this.#context;
    if (inFragments) {
      const numbers = this.#identification(route);
      // differs from RFC 6864 §5.2, which would have us wait, because nobody does: 546 datagrams a second would be all
      if (v4 && numbers.isUsedUp(now)) this.#counters.identificationRepeated++;
      const id = numbers.take(now);
      return this.#fragmenter.send(route, protocol, headerBytes, trafficClass, hopLimit, flowLabel, id);
    }

    if (v4) {
      // RFC 1191 §3: Don't Fragment finds the path MTU for TCP. RFC 6864 §4.1: such a datagram needs no identification. The others
      // become such while there is none left for them, or when
      // they leave together, for the device numbers them.
      const atomic =
        route.pathMtuBytes > IPV4_MIN_PATH_MTU_BYTES &&
        (protocol === IpProtocol.Tcp || tx.gsoBytes > 0 || this.#identification(route).isUsedUp(now));
      const id = atomic ? 0 : this.#identification(route).take(now) & 0xffff;
      const flags = atomic ? IPV4_DONT_FRAGMENT : 0;
      writeIpv4Header(
        view,
        off,
        length,
        protocol,
        trafficClass,
        hopLimit,
        id,
        flags,
        source.w3,
        destination.w3,
      );
      view.setUint16(off + Ipv4.Checksum, foldChecksum(sumSlab(tx.head, off, IPV4_HEADER_BYTES, 0)));
    } else {
      writeIpv6Header(
        view,
        off,
        transportLength,
        protocol,
        trafficClass,
        flowLabel,
        hopLimit,
        source,
        destination,
      );
    }
    if (!iface.send(tx, route.nextHop)) {
      this.#counters.deviceFull++;
      return false;
    }
    this.#counters.sent++;
    this.#counters.sentBytes += length;
    return true;
  }

  /** The label of the packet in `context.tx`, by the ports that its head begins with. */
  #flowLabel(route: Route, protocol: number, headerBytes: number): number {
    const { head, headOff, headLen } = this.#context.tx;
    const hasPorts =
      (protocol === IpProtocol.Tcp || protocol === IpProtocol.Udp) && headLen >= headerBytes + PORTS_BYTES;
    return this.#flowLabels.label(route, protocol, hasPorts ? head.view.getInt32(headOff + headerBytes) : 0);
  }

  #identification(route: Route): Identification {
    route.identification ??= this.#identifications.of(route.source, route.destination, this.#context.now);
    return route.identification;
  }

  sendWhole(route: Route, slab: Slab, lengthBytes: number): boolean {
    const { tx } = this.#context;
    tx.reset();
    // devices look for headers in the head
    const headBytes = Math.min(lengthBytes, IPV4_MAX_HEADER_BYTES);
    copySlab(slab, 0, tx.head, tx.headOff, headBytes);
    tx.headLen = headBytes;
    tx.body = slab;
    tx.bodyOff = headBytes;
    tx.bodyLen = lengthBytes - headBytes;
    if (!route.iface.send(tx, route.nextHop)) {
      this.#counters.deviceFull++;
      return false;
    }
    this.#counters.sent++;
    this.#counters.sentBytes += lengthBytes;
    return true;
  }
}

/** Sums the transport header in the head and the payload's pieces. Transport headers have even lengths. */
function sumPayload(tx: TxPacket, headerBytes: number, initial: number): number {
  let sum = sumSlab(tx.head, tx.headOff + headerBytes, tx.headLen - headerBytes, initial);
  if (tx.bodyLen > 0) sum = sumSlab(tx.body, tx.bodyOff, tx.bodyLen, sum);
  if (tx.body2Len > 0) {
    sum =
      (tx.bodyLen & 1) === 0
        ? sumSlab(tx.body, tx.body2Off, tx.body2Len, sum)
        : sumOddPiece(tx.body, tx.body2Off, tx.body2Len, sum);
  }
  return sum;
}
