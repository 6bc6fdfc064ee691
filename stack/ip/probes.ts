import { type IcmpError, IcmpErrorKind, type Route, type RxPacket, type StackContext } from '../context.ts';
import { Endpoint } from '../endpoint.ts';
import { NetError, Phase } from '../errors.ts';
import type { FlowShare } from '../flow-share.ts';
import { foldChecksum, sumSlab } from '../wire/checksum.ts';
import { ICMP_HEADER_BYTES, Icmp, IcmpV4Type, IcmpV6Type, writeIcmpHeader } from '../wire/icmp.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { IP_MAX_PACKET_BYTES, IPV4_HEADER_BYTES, IpProtocol } from '../wire/ipv4.ts';
import { Slab } from '../wire/slab.ts';

/** Pings and traces of a stack at the same time. */
export const MAX_PROBERS = 64;

/** What became of one probe. `null` stands for no answer in time. */
export type ProbeError =
  | 'net-unreachable'
  | 'host-unreachable'
  | 'protocol-unreachable'
  | 'port-unreachable'
  | 'too-big'
  | 'time-exceeded'
  | 'parameter-problem'
  | 'prohibited';

/** A ping or a trace: an endpoint that sends probes and recognises what comes back. */
export abstract class Prober extends Endpoint {
  /** In the echo requests; no other prober of the stack has it. */
  identifier = 0;
  /** Called once, when the prober is on the list. */
  abstract start(): void;
  /** @returns true when the reply is to one of its requests */
  abstract echoReply(rx: RxPacket): boolean;
  /** @returns true when the error is about one of its packets */
  abstract icmpError(error: IcmpError): boolean;
  /** A TCP segment that belongs to no connection. @returns true when it answers one of its SYNs */
  tcpAnswer(_rx: RxPacket): boolean {
    return false;
  }
}

/** The probers of a stack. */
export class Probes {
  readonly #context: StackContext;
  readonly #probers: Prober[] = [];
  /** Which TCP ports are this stack's; null: all. */
  tcpShare: FlowShare | null = null;

  constructor(context: StackContext) {
    this.#context = context;
  }

  /** Probers now. */
  get count(): number {
    return this.#probers.length;
  }

  /** Starts a prober. @throws NetError NO_BUFFERS */
  add<T extends Prober>(prober: T): T {
    if (this.#probers.length >= MAX_PROBERS)
      throw new NetError('NO_BUFFERS', { phase: Phase.Route, detail: `${MAX_PROBERS} pings and traces run` });
    do prober.identifier = this.#context.random.uint32() & 0xffff;
    while (this.#probers.some((other) => other.identifier === prober.identifier));
    this.#probers.push(prober);
    prober.start();
    return prober;
  }

  remove(prober: Prober): void {
    const at = this.#probers.indexOf(prober);
    if (at >= 0) this.#probers.splice(at, 1);
  }

  /** @returns false when nobody waits for the reply */
  echoReply(rx: RxPacket): boolean {
    const identifier = rx.slab.view.getUint16(rx.off + Icmp.Identifier);
    for (const prober of this.#probers) if (prober.identifier === identifier) return prober.echoReply(rx);
    return false;
  }

  /** Told of each TCP segment without a connection, before it is answered with a reset. */
  tcpAnswer(rx: RxPacket): void {
    for (const prober of this.#probers) if (prober.tcpAnswer(rx)) return;
  }

  /** @returns false when the error is about nobody's probe */
  icmpError(error: IcmpError): boolean {
    for (const prober of this.#probers) if (prober.icmpError(error)) return true;
    return false;
  }
}

/** The data of probes: an alphabet as ping sends it, so that damage is seen. */
export function probePayload(lengthBytes: number): Slab {
  const slab = Slab.alloc(lengthBytes);
  for (let i = 0; i < lengthBytes; i++) slab.bytes[i] = i & 0xff;
  return slab;
}

/** True when the message in `rx` carries exactly `payload` behind its header. */
export function carriesPayload(rx: RxPacket, payload: Slab): boolean {
  if (rx.len !== ICMP_HEADER_BYTES + payload.lengthBytes) return false;
  const { bytes } = rx.slab;
  const at = rx.off + ICMP_HEADER_BYTES;
  for (let i = 0; i < payload.lengthBytes; i++) if (bytes[at + i] !== payload.bytes[i]) return false;
  return true;
}

/** Sends an echo request. @returns false when the device was full */
export function sendEchoRequest(
  context: StackContext,
  route: Route,
  identifier: number,
  sequence: number,
  payload: Slab,
  ttl: number,
  trafficClass: number,
): boolean {
  const { ip, tx } = context;
  const v4 = route.destination.family === 4;
  const at = ip.begin(route, ICMP_HEADER_BYTES);
  const type = v4 ? IcmpV4Type.Echo : IcmpV6Type.EchoRequest;
  writeIcmpHeader(tx.head.view, at, type, 0, (identifier << 16) | sequence);
  tx.body = payload;
  tx.bodyOff = 0;
  tx.bodyLen = payload.lengthBytes;
  if (v4) {
    const head = sumSlab(tx.head, at, ICMP_HEADER_BYTES, 0);
    const sum = foldChecksum(sumSlab(payload, 0, payload.lengthBytes, head));
    tx.head.view.setUint16(at + Icmp.Checksum, sum);
  }
  const protocol = v4 ? IpProtocol.Icmp : IpProtocol.Icmpv6;
  return ip.finish(route, protocol, v4 ? -1 : Icmp.Checksum, trafficClass, ttl);
}

/** True when the error is about an echo request to `destination` with this identifier. */
export function isAboutEcho(error: IcmpError, destination: IpAddress, identifier: number): boolean {
  const type = destination.family === 4 ? IcmpV4Type.Echo : IcmpV6Type.EchoRequest;
  return error.icmpType === type && error.seq >>> 16 === identifier && isAboutPacketTo(error, destination);
}

export function isAboutPacketTo(error: IcmpError, destination: IpAddress): boolean {
  const { family, w0, w1, w2, w3, zone } = destination;
  return (
    (zone === error.remoteZone || zone === 0) &&
    error.remote3 === w3 &&
    error.family === family &&
    error.remote0 === w0 &&
    error.remote1 === w1 &&
    error.remote2 === w2
  );
}

/** The sender of an error. */
export function reporterOf(error: IcmpError): IpAddress {
  return new IpAddress(error.family, error.from0, error.from1, error.from2, error.from3);
}

export function probeErrorOf(kind: IcmpErrorKind): ProbeError {
  switch (kind) {
    case IcmpErrorKind.UnreachableNet:
      return 'net-unreachable';
    case IcmpErrorKind.UnreachableHost:
      return 'host-unreachable';
    case IcmpErrorKind.UnreachableProtocol:
      return 'protocol-unreachable';
    case IcmpErrorKind.UnreachablePort:
      return 'port-unreachable';
    case IcmpErrorKind.TooBig:
      return 'too-big';
    case IcmpErrorKind.TimeExceeded:
      return 'time-exceeded';
    case IcmpErrorKind.ParameterProblem:
      return 'parameter-problem';
    case IcmpErrorKind.AdminProhibited:
      return 'prohibited';
  }
}

/** Largest payload of a probe with an 8-byte header, in bytes. */
export function maxProbeBytes(family: 4 | 6): number {
  return IP_MAX_PACKET_BYTES - ICMP_HEADER_BYTES - (family === 4 ? IPV4_HEADER_BYTES : 0);
}

/** The way to the destination of a prober. @throws NetError ACCESS_DENIED, and what `IpOutput.route` throws */
export function probeRoute(context: StackContext, destination: IpAddress, source: IpAddress | null): Route {
  const route = context.ip.route(destination, source);
  if (destination.family === 4 && route.iface.isBroadcast(destination.w3)) {
    throw new NetError('ACCESS_DENIED', {
      phase: Phase.Argument,
      detail: `${destination} is a broadcast address`,
      address: destination.toString(),
    });
  }
  return route;
}

/** @throws NetError ARGUMENT_INVALID unless `value` is `least` … `most`, and a whole number when `whole` */
export function checkProbeRange(
  name: string,
  value: number,
  least: number,
  most: number,
  whole: boolean,
): void {
  if (value >= least && value <= most && (!whole || Number.isInteger(value) || value === Infinity)) return;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `${name} is ${least} … ${most}, got ${value}`,
  });
}
