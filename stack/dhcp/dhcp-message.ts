import { ethernetHigh, ethernetLow, writeEthernetAddress } from '../wire/ethernet.ts';
import { IpAddress } from '../wire/ip-address.ts';
import type { Slab } from '../wire/slab.ts';

/** RFC 2131 §4.1 */
export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;

/** A DHCP message (RFC 2131 §2): where its fields lie. */
export const Dhcp = {
  Operation: 0,
  HardwareType: 1,
  HardwareLength: 2,
  TransactionId: 4,
  Seconds: 8,
  Flags: 10,
  ClientAddress: 12,
  YourAddress: 16,
  ServerAddress: 20,
  RelayAddress: 24,
  HardwareAddress: 28,
  ServerName: 44,
  File: 108,
  Cookie: 236,
  Options: 240,
} as const;

const SERVER_NAME_BYTES = 64;
const FILE_BYTES = 128;
const COOKIE = 0x63825363;
const HARDWARE_ETHERNET = 1;
const BOOT_REQUEST = 1;
const BOOT_REPLY = 2;
/** RFC 2131 §2: the server is to broadcast its answers, as an IP stack without an address does not take others. */
const FLAG_BROADCAST = 0x8000;
/** RFC 1542 §2.1: some relays drop what is shorter. */
const LEAST_MESSAGE_BYTES = 300;
/** The longest message taken, and what option 57 tells servers: what fits an Ethernet frame (RFC 2132 §9.10). */
export const MAX_DHCP_MESSAGE_BYTES = 1472;

/** Options (RFC 2132; 121: RFC 3442; 61: RFC 4361). */
export const DhcpOption = {
  Pad: 0,
  SubnetMask: 1,
  Router: 3,
  NameServers: 6,
  DomainName: 15,
  InterfaceMtu: 26,
  RequestedAddress: 50,
  LeaseTime: 51,
  Overload: 52,
  MessageType: 53,
  ServerId: 54,
  ParameterList: 55,
  MaxMessageSize: 57,
  RenewalTime: 58,
  RebindingTime: 59,
  ClientId: 61,
  ClasslessRoutes: 121,
  End: 255,
} as const;

/** RFC 2132 §9.6 */
export const DhcpType = {
  Discover: 1,
  Offer: 2,
  Request: 3,
  Decline: 4,
  Ack: 5,
  Nak: 6,
  Release: 7,
} as const;
export type DhcpType = (typeof DhcpType)[keyof typeof DhcpType];

/** RFC 3442: a client that knows classless routes asks for them before the router. */
const WANTED = [
  DhcpOption.SubnetMask,
  DhcpOption.ClasslessRoutes,
  DhcpOption.Router,
  DhcpOption.NameServers,
  DhcpOption.DomainName,
  DhcpOption.InterfaceMtu,
  DhcpOption.LeaseTime,
  DhcpOption.RenewalTime,
  DhcpOption.RebindingTime,
];

/** RFC 4361 §6.1: type, identity association, DUID of the link-layer kind (RFC 8415 §11.4). */
const CLIENT_ID_TYPE = 255;
const IDENTITY_ASSOCIATION = 0x74756e77;
const DUID_LINK_LAYER = 3;
const CLIENT_ID_BYTES = 15;

/** What a client says. Addresses left out are 0.0.0.0, options left out are not there. */
export interface DhcpRequest {
  readonly type: DhcpType;
  readonly transactionId: number;
  /** Since the client began, 0 … 65,535. */
  readonly seconds: number;
  readonly broadcast: boolean;
  /** The station address, as two numbers. */
  readonly high: number;
  readonly low: number;
  readonly clientAddress: IpAddress | null;
  readonly requestedAddress: IpAddress | null;
  readonly server: IpAddress | null;
}

/** What a server says, its options not judged yet. */
export interface DhcpReply {
  readonly type: number;
  /** Signed. */
  readonly transactionId: number;
  readonly yourAddress: IpAddress;
  readonly high: number;
  readonly low: number;
  readonly options: ReadonlyMap<number, Uint8Array>;
}

/** Writes a message to the beginning of `slab`, which has room for it. @returns its length */
export function writeDhcpRequest(slab: Slab, request: DhcpRequest): number {
  const { bytes, view } = slab;
  bytes.fill(0, 0, LEAST_MESSAGE_BYTES);
  view.setUint8(Dhcp.Operation, BOOT_REQUEST);
  view.setUint8(Dhcp.HardwareType, HARDWARE_ETHERNET);
  view.setUint8(Dhcp.HardwareLength, 6);
  view.setInt32(Dhcp.TransactionId, request.transactionId);
  view.setUint16(Dhcp.Seconds, request.seconds);
  view.setUint16(Dhcp.Flags, request.broadcast ? FLAG_BROADCAST : 0);
  request.clientAddress?.write(view, Dhcp.ClientAddress);
  writeEthernetAddress(view, Dhcp.HardwareAddress, request.high, request.low);
  view.setUint32(Dhcp.Cookie, COOKIE);
  let at: number = Dhcp.Options;
  const begin = (option: number, length: number): number => {
    view.setUint8(at, option);
    view.setUint8(at + 1, length);
    at += 2 + length;
    return at - length;
  };
  view.setUint8(begin(DhcpOption.MessageType, 1), request.type);
  const id = begin(DhcpOption.ClientId, CLIENT_ID_BYTES);
  view.setUint8(id, CLIENT_ID_TYPE);
  view.setUint32(id + 1, IDENTITY_ASSOCIATION);
  view.setUint16(id + 5, DUID_LINK_LAYER);
  view.setUint16(id + 7, HARDWARE_ETHERNET);
  writeEthernetAddress(view, id + 9, request.high, request.low);
  if (request.requestedAddress !== null)
    request.requestedAddress.write(view, begin(DhcpOption.RequestedAddress, 4));
  if (request.server !== null) request.server.write(view, begin(DhcpOption.ServerId, 4));
  // RFC 2131 §4.4.1 table 5: not in DECLINE and RELEASE
  if (request.type === DhcpType.Discover || request.type === DhcpType.Request) {
    view.setUint16(begin(DhcpOption.MaxMessageSize, 2), MAX_DHCP_MESSAGE_BYTES);
    bytes.set(WANTED, begin(DhcpOption.ParameterList, WANTED.length));
  }
  view.setUint8(at, DhcpOption.End);
  return Math.max(at + 1, LEAST_MESSAGE_BYTES);
}

/**
 * Reads what a server has sent. @returns null when it is not a whole DHCP reply for Ethernet: cut off, without the End option, with
 * an option that goes past its field, or longer than {@link MAX_DHCP_MESSAGE_BYTES}
 */
export function parseDhcpReply(slab: Slab, off: number, lengthBytes: number): DhcpReply | null {
  if (lengthBytes < Dhcp.Options || lengthBytes > MAX_DHCP_MESSAGE_BYTES) return null;
  const { view } = slab;
  if (
    view.getUint8(off + Dhcp.Operation) !== BOOT_REPLY ||
    view.getUint8(off + Dhcp.HardwareType) !== HARDWARE_ETHERNET ||
    view.getUint8(off + Dhcp.HardwareLength) !== 6 ||
    view.getUint32(off + Dhcp.Cookie) !== COOKIE
  )
    return null;
  const options = new Map<number, Uint8Array>();
  if (!readOptions(slab, off + Dhcp.Options, off + lengthBytes, options)) return null;
  // RFC 2132 §9.3; RFC 3396 §5: `file` before `sname`
  const overload = options.get(DhcpOption.Overload)?.[0] ?? 0;
  if (overload > 3) return null;
  if ((overload & 1) !== 0 && !readField(slab, off + Dhcp.File, FILE_BYTES, options)) return null;
  if ((overload & 2) !== 0 && !readField(slab, off + Dhcp.ServerName, SERVER_NAME_BYTES, options))
    return null;
  const type = options.get(DhcpOption.MessageType);
  if (type?.length !== 1) return null;
  return {
    type: type[0] ?? 0,
    transactionId: view.getInt32(off + Dhcp.TransactionId),
    yourAddress: IpAddress.read(view, off + Dhcp.YourAddress, 4),
    high: ethernetHigh(view, off + Dhcp.HardwareAddress),
    low: ethernetLow(view, off + Dhcp.HardwareAddress),
    options,
  };
}

function readField(slab: Slab, off: number, lengthBytes: number, into: Map<number, Uint8Array>): boolean {
  return readOptions(slab, off, off + lengthBytes, into);
}

/** Adds the options to `into`; parts of one option are put together (RFC 3396 §5). @returns false when they are malformed */
function readOptions(slab: Slab, from: number, end: number, into: Map<number, Uint8Array>): boolean {
  const { bytes } = slab;
  let at = from;
  while (at < end) {
    const option = bytes[at] ?? 0;
    if (option === DhcpOption.End) return true;
    if (option === DhcpOption.Pad) {
      at++;
      continue;
    }
    const length = at + 1 < end ? (bytes[at + 1] ?? 0) : end;
    if (length > end - at - 2) return false;
    const value = bytes.slice(at + 2, at + 2 + length);
    const before = into.get(option);
    into.set(option, before === undefined ? value : joined(before, value));
    at += 2 + length;
  }
  // RFC 2131 §4.1: the last option is the End option
  return false;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
