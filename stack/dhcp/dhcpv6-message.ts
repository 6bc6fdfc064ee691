import { IpAddress } from '../wire/ip-address.ts';

/** RFC 8415 §7.1, §7.2 */
export const ALL_DHCPV6_SERVERS: IpAddress = new IpAddress(6, 0xff020000, 0, 0, 0x10002);
export const DHCPV6_CLIENT_PORT = 546;
export const DHCPV6_SERVER_PORT = 547;

const MessageType = { Reply: 7, InformationRequest: 11 } as const;
const Option = {
  ClientId: 1,
  ServerId: 2,
  Requested: 6,
  ElapsedTime: 8,
  NameServers: 23,
  Domains: 24,
  RefreshTime: 32,
} as const;
const HEADER_BYTES = 4;
const OPTION_BYTES = 4;
/** RFC 8415 §11.4: a DUID of the link-layer address, of Ethernet. */
const DUID_BYTES = 10;
const DUID_LINK_LAYER_ETHERNET = 0x0003_0001;

/** Bytes of an Information-request. */
export const INFORMATION_REQUEST_BYTES: number =
  HEADER_BYTES + OPTION_BYTES + DUID_BYTES + OPTION_BYTES + 2 + OPTION_BYTES + 6;

/** What a server says of a network. */
export interface DhcpV6Information {
  readonly nameServers: readonly IpAddress[];
  /** Lower-case, without the final dot. */
  readonly domains: readonly string[];
  /** When it is to be asked again; -1: not said. */
  readonly refreshMs: number;
}

/**
 * Writes an Information-request (RFC 8415 §18.2.6).
 * @param transactionId 24 bits
 * @param high the station address, see `ethernetHigh`
 */
export function writeInformationRequest(
  view: DataView,
  transactionId: number,
  high: number,
  low: number,
  elapsedMs: number,
): void {
  view.setUint32(0, (MessageType.InformationRequest << 24) | transactionId);
  let at = option(view, HEADER_BYTES, Option.ClientId, DUID_BYTES);
  writeDuid(view, at, high, low);
  at = option(view, at + DUID_BYTES, Option.ElapsedTime, 2);
  view.setUint16(at, Math.min(elapsedMs / 10, 0xffff));
  at = option(view, at + 2, Option.Requested, 6);
  view.setUint16(at, Option.NameServers);
  view.setUint16(at + 2, Option.Domains);
  view.setUint16(at + 4, Option.RefreshTime);
}

/**
 * Reads what answers an Information-request of ours (RFC 8415 §16.10).
 * @returns null for everything else: another message, another transaction or client, no server, or malformed
 */
export function parseInformationReply(
  view: DataView,
  off: number,
  len: number,
  transactionId: number,
  high: number,
  low: number,
): DhcpV6Information | null {
  const end = off + len;
  if (len < HEADER_BYTES || view.getUint32(off) >>> 0 !== ((MessageType.Reply << 24) | transactionId) >>> 0)
    return null;
  const nameServers: IpAddress[] = [];
  const domains: string[] = [];
  let refreshMs = -1;
  let hasServer = false;
  for (let at = off + HEADER_BYTES; at < end; ) {
    const length = at + OPTION_BYTES <= end ? view.getUint16(at + 2) : Infinity;
    const value = at + OPTION_BYTES;
    if (value + length > end) return null;
    const type = view.getUint16(at);
    if (type === Option.ServerId) hasServer = true;
    else if (type === Option.ClientId && !isDuid(view, value, length, high, low)) return null;
    else if (type === Option.NameServers && length % 16 === 0)
      for (let each = value; each < value + length; each += 16)
        nameServers.push(IpAddress.read(view, each, 6));
    else if (type === Option.Domains) domains.push(...namesAt(view, value, value + length));
    else if (type === Option.RefreshTime && length === 4) refreshMs = view.getUint32(value) * 1000;
    at = value + length;
  }
  return hasServer ? { nameServers, domains, refreshMs } : null;
}

/** Writes an option's head. @returns where its value goes */
function option(view: DataView, at: number, type: number, length: number): number {
  view.setUint16(at, type);
  view.setUint16(at + 2, length);
  return at + OPTION_BYTES;
}

function writeDuid(view: DataView, at: number, high: number, low: number): void {
  view.setUint32(at, DUID_LINK_LAYER_ETHERNET);
  view.setUint16(at + 4, high);
  view.setInt32(at + 6, low);
}

function isDuid(view: DataView, at: number, length: number, high: number, low: number): boolean {
  if (length !== DUID_BYTES || view.getUint32(at) !== DUID_LINK_LAYER_ETHERNET) return false;
  return view.getUint16(at + 4) === high && view.getInt32(at + 6) === low;
}

/** Names of labels, without compression (RFC 8415 §10). What is no host's name ends the list. */
function namesAt(view: DataView, from: number, end: number): string[] {
  const names: string[] = [];
  let labels: string[] = [];
  for (let at = from; at < end; ) {
    const length = view.getUint8(at++);
    if (length === 0) {
      const name = labels.join('.');
      if (name !== '' && name.length <= 253) names.push(name);
      labels = [];
      continue;
    }
    if (length > 63 || at + length > end) break;
    let label = '';
    for (let i = 0; i < length; i++) label += String.fromCharCode(view.getUint8(at + i));
    if (!/^[A-Za-z0-9_-]+$/.test(label)) break;
    labels.push(label.toLowerCase());
    at += length;
  }
  return names;
}
