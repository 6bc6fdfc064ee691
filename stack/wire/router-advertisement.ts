import { IpAddress } from './ip-address.ts';

/** A Router Advertisement (RFC 4861 §4.2): where its fields lie in the ICMPv6 message. */
const Field = { HopLimit: 4, Flags: 5, Lifetime: 6, Reachable: 8, Retransmit: 12, Options: 16 } as const;

const Option = { Prefix: 3, Mtu: 5, NameServers: 25, Domains: 31 } as const;
const PREFIX_BYTES = 32;
/** RFC 4861 §4.2: M and O. A server of addresses knows the rest too. */
const SERVERS = 0xc0;
const ON_LINK = 0x80;
const AUTONOMOUS = 0x40;
const FOREVER_SECONDS = 0xffffffff;

/** RFC 4861 §4.6.2. Lifetimes in ms, Infinity: for ever. */
export interface PrefixInformation {
  readonly prefix: IpAddress;
  readonly prefixLength: number;
  readonly onLink: boolean;
  readonly autonomous: boolean;
  readonly validMs: number;
  readonly preferredMs: number;
}

/** What a router says; lists in its order. */
export interface RouterAdvertisement {
  /** Of packets that are sent here; 0: not said. */
  readonly hopLimit: number;
  /** 0: it is no default router. */
  readonly lifetimeMs: number;
  /** How long neighbours that have answered are there, and how long an answer is waited for; 0: not said. */
  readonly reachableMs: number;
  readonly retransmitMs: number;
  /** There is a DHCPv6 server. */
  readonly hasServer: boolean;
  readonly prefixes: readonly PrefixInformation[];
  /** 0: not said. */
  readonly mtuBytes: number;
  /** RFC 8106 §5.1 */
  readonly nameServers: readonly { readonly address: IpAddress; readonly lifetimeMs: number }[];
  /** RFC 8106 §5.2 */
  readonly domains: readonly { readonly name: string; readonly lifetimeMs: number }[];
}

/** Reads the ICMPv6 message from `off` to `end`. @returns null when it is cut off, or an option's length is wrong */
export function parseRouterAdvertisement(
  view: DataView,
  off: number,
  end: number,
): RouterAdvertisement | null {
  if (end - off < Field.Options) return null;
  const prefixes: PrefixInformation[] = [];
  const nameServers: { address: IpAddress; lifetimeMs: number }[] = [];
  const domains: { name: string; lifetimeMs: number }[] = [];
  let mtuBytes = 0;
  for (let at = off + Field.Options; at < end; ) {
    // RFC 4861 §6.1.2
    const length = at + 2 <= end ? view.getUint8(at + 1) * 8 : 0;
    if (length === 0 || at + length > end) return null;
    const next = at + length;
    const type = view.getUint8(at);
    if (type === Option.Prefix && length === PREFIX_BYTES) prefixes.push(prefixAt(view, at));
    else if (type === Option.Mtu && length === 8) mtuBytes = view.getUint32(at + 4);
    else if (type === Option.NameServers && length >= 24 && length % 16 === 8) {
      const lifetimeMs = lifetime(view, at + 4);
      for (let each = at + 8; each < next; each += 16)
        nameServers.push({ address: IpAddress.read(view, each, 6), lifetimeMs });
    } else if (type === Option.Domains && length >= 16) {
      const lifetimeMs = lifetime(view, at + 4);
      for (const name of namesAt(view, at + 8, next)) domains.push({ name, lifetimeMs });
    }
    at = next;
  }
  const lifetimeMs = view.getUint16(off + Field.Lifetime) * 1000;
  const hasServer = (view.getUint8(off + Field.Flags) & SERVERS) !== 0;
  return {
    hopLimit: view.getUint8(off + Field.HopLimit),
    lifetimeMs,
    reachableMs: view.getUint32(off + Field.Reachable),
    retransmitMs: view.getUint32(off + Field.Retransmit),
    hasServer,
    prefixes,
    mtuBytes,
    nameServers,
    domains,
  };
}

function prefixAt(view: DataView, at: number): PrefixInformation {
  const flags = view.getUint8(at + 3);
  return {
    prefix: IpAddress.read(view, at + 16, 6),
    prefixLength: view.getUint8(at + 2),
    onLink: (flags & ON_LINK) !== 0,
    autonomous: (flags & AUTONOMOUS) !== 0,
    validMs: lifetime(view, at + 4),
    preferredMs: lifetime(view, at + 8),
  };
}

function lifetime(view: DataView, at: number): number {
  const seconds = view.getUint32(at);
  return seconds === FOREVER_SECONDS ? Infinity : seconds * 1000;
}

/** Names of labels, without compression (RFC 8106 §5.2), padded with zeros. What is no host's name ends the list. */
function namesAt(view: DataView, from: number, end: number): string[] {
  const names: string[] = [];
  let labels: string[] = [];
  for (let at = from; at < end; ) {
    const length = view.getUint8(at++);
    if (length === 0) {
      if (labels.length === 0) break;
      names.push(labels.join('.'));
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
  return names.filter((name) => name.length <= 253);
}
