import { NetError, Phase } from '../errors.ts';
import { IpAddress } from '../wire/ip-address.ts';

/**
 * Converts a name with characters outside ASCII to its ASCII form (UTS 46 ToASCII), or gives null (or '') when it cannot be.
 * Injected, because its tables are large and the host has them (`domainToASCII` of node:url).
 */
export type ToAscii = (name: string) => string | null;

/** What a host argument means. */
export type HostArgument =
  | {
      readonly kind: 'address';
      readonly address: IpAddress;
      /** On which interface a link-local address is (RFC 4007 §11): its name or number; null: not said. */
      readonly zone: string | null;
    }
  | {
      readonly kind: 'name';
      /** Lower-case ASCII without trailing dot. */
      readonly name: string;
      /** It ended in a dot: no search list applies. */
      readonly absolute: boolean;
    };

/** RFC 1035 §2.3.4 */
export const MAX_LABEL_CHARS = 63;
/** RFC 1035 §2.3.4: 255 octets on the wire are 253 characters without the trailing dot. */
export const MAX_NAME_CHARS = 253;

/** RFC 6761 §6.3: what every localhost name resolves to. */
export const LOOPBACK_ADDRESSES: readonly IpAddress[] = [
  IpAddress.v4(0x7f000001),
  new IpAddress(6, 0, 0, 0, 1),
];

/**
 * Classifies and checks what a user gave as a host: an IP literal (four decimal parts, any IPv6 form, `[…]` around IPv6
 * as in URLs) or a name. An IPv4-mapped IPv6 address means the IPv4 address: mapped addresses never go on the wire (RFC 4942 §2.2).
 * @throws NetError HOST_INVALID (phase argument), with what is wrong and what to give instead
 */
export function parseHost(host: string, toAscii: ToAscii | null): HostArgument {
  if (host === '') throw invalid('it is empty; give a host name or an IP address');
  const literal = parseLiteral(host);
  if (literal !== null) return { kind: 'address', address: unmapped(literal.address), zone: literal.zone };
  refuseUrl(host);
  const ascii = isAscii(host) ? host : convert(host, toAscii);
  const absolute = ascii.endsWith('.');
  const name = (absolute ? ascii.slice(0, -1) : ascii).toLowerCase();
  const reason = nameFault(name);
  if (reason !== null) throw invalid(`${show(host)}: ${reason}`);
  return { kind: 'name', name, absolute };
}

/** RFC 6761 §6.3: `localhost` and all names below it. The name is lower-case without trailing dot. */
export function isLocalhost(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost');
}

/** RFC 6762 §3: `local` and all names below it. The name is lower-case without trailing dot. */
export function isMulticastName(name: string): boolean {
  return name === 'local' || name.endsWith('.local');
}

/**
 * Checks a name of any DNS record. Other than that of a host it may have all visible characters in its labels (RFC 2181 §11); `.`
 * is the root.
 * @returns lower-case ASCII without trailing dot
 * @throws NetError HOST_INVALID
 */
export function parseDnsName(text: string, toAscii: ToAscii | null): string {
  if (text === '') throw invalid('it is empty; give a name');
  if (text === '.') return text;
  const ascii = (isAscii(text) ? text : convert(text, toAscii)).toLowerCase();
  const name = ascii.endsWith('.') ? ascii.slice(0, -1) : ascii;
  const reason = lengthFault(name) ?? (/[^!-~]/.test(name) ? 'a blank or control character is in it' : null);
  if (reason !== null) throw invalid(`${show(text)}: ${reason}`);
  return name;
}

/** The name under which the names of an address are (RFC 1035 §3.5, RFC 3596 §2.5). */
export function reverseName(address: IpAddress): string {
  const { w0, w1, w2, w3 } = unmapped(address);
  if (unmapped(address).family === 4) {
    return `${w3 & 0xff}.${(w3 >>> 8) & 0xff}.${(w3 >>> 16) & 0xff}.${w3 >>> 24}.in-addr.arpa`;
  }
  const digits = [w0, w1, w2, w3].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  return `${[...digits].reverse().join('.')}.ip6.arpa`;
}

/** The address itself, or the IPv4 address that an IPv4-mapped IPv6 address stands for. */
export function unmapped(address: IpAddress): IpAddress {
  return isMapped(address) ? IpAddress.v4(address.w3) : address;
}

/** ::ffff:a.b.c.d */
export function isMapped(address: IpAddress): boolean {
  return address.family === 6 && address.w0 === 0 && address.w1 === 0 && address.w2 === 0xffff;
}

/** An IP address as people write it, with its zone. */
export interface AddressLiteral {
  readonly address: IpAddress;
  readonly zone: string | null;
}

/**
 * Reads `192.0.2.1`, `2001:db8::1` and `fe80::1%eth0` (RFC 4007 §11).
 * @returns null for what is no address
 * @throws NetError HOST_INVALID for a zone that no address has
 */
export function parseZonedAddress(text: string): AddressLiteral | null {
  const percent = text.indexOf('%');
  if (percent < 0) {
    const address = IpAddress.parse(text);
    return address === null ? null : { address, zone: null };
  }
  const address = IpAddress.parse(text.slice(0, percent));
  if (address === null) return null;
  const zone = text.slice(percent + 1);
  if (zone === '') throw invalid(`${show(text)}: a zone follows the percent sign, as in fe80::1%eth0`);
  // RFC 4007 §6: other addresses are of one zone everywhere
  if (address.family === 4 || !(address.isLinkLocal || isLinkLocalGroup(address))) {
    throw invalid(`${show(text)}: only a link-local IPv6 address has a zone; give the address without one`);
  }
  return { address, zone };
}

/**
 * The address of a literal, in its zone: the interface of that name or, counted from 1, that number (RFC 4007 §11.2).
 * @param interfaces their names, in order
 * @returns null when there is none
 */
export function zonedAddress(
  { address, zone }: AddressLiteral,
  interfaces: readonly string[],
): IpAddress | null {
  if (zone === null) return address;
  const byName = interfaces.indexOf(zone) + 1;
  const number = byName > 0 || !/^[1-9]\d*$/.test(zone) ? byName : Number(zone);
  return number >= 1 && number <= interfaces.length ? address.inZone(number) : null;
}

/** {@link zonedAddress}. @throws NetError HOST_INVALID, with the interfaces that there are */
export function requireZone(literal: AddressLiteral, interfaces: readonly string[]): IpAddress {
  const address = zonedAddress(literal, interfaces);
  if (address !== null) return address;
  const names = interfaces.map((name, i) => `${name} (${i + 1})`).join(', ') || 'none';
  throw invalid(
    `${literal.address}%${literal.zone}: this stack has no interface of that name or number; it has: ${names}`,
  );
}

/** The address as people write it, with the name of the interface that its zone is: `fe80::1%eth0`. */
export function addressText(address: IpAddress, host: { readonly interfaces: readonly string[] }): string {
  // the names are looked for where they are needed only
  const name = address.zone === 0 ? undefined : host.interfaces[address.zone - 1];
  return name === undefined ? address.toString() : `${address.inZone(0)}%${name}`;
}

/** RFC 4291 §2.7: ff02::/16 and the interface-local ff01::/16. */
function isLinkLocalGroup(address: IpAddress): boolean {
  return address.isMulticast && ((address.w0 >>> 16) & 0x0f) <= 2;
}

function parseLiteral(host: string): AddressLiteral | null {
  const bracketed = host.startsWith('[') && host.endsWith(']');
  // RFC 6874 §2: inside a URL the percent sign is written %25
  const text = bracketed ? host.slice(1, -1).replace('%25', '%') : host;
  const literal = parseZonedAddress(text);
  if (bracketed && (literal === null || literal.address.family === 4)) {
    throw invalid(`${show(host)}: only an IPv6 address may stand in brackets`);
  }
  return literal;
}

function refuseUrl(host: string): void {
  const scheme = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]*)/i.exec(host);
  if (scheme !== null) {
    const inside = scheme[1] ?? '';
    throw invalid(
      `${show(host)} looks like a URL; give only the host name${inside === '' ? '' : `: ${show(inside)}`}`,
    );
  }
  if (/[/?#\\]/.test(host)) {
    const before = /^[^/?#\\]*/.exec(host)?.[0] ?? '';
    throw invalid(
      `${show(host)} looks like part of a URL; give only the host name${before === '' ? '' : `: ${show(before)}`}`,
    );
  }
  if (host.includes('@')) {
    throw invalid(
      `${show(host)} looks like a user or mail address; give only the host name: ${show(host.slice(host.lastIndexOf('@') + 1))}`,
    );
  }
  const port = /^([^:]+|\[[^\]]*\]):(\d+)$/.exec(host);
  if (port !== null) {
    throw invalid(
      `${show(host)} has a port in it; give the host ${show(port[1] ?? '')} and the port ${show(port[2] ?? '')} separately`,
    );
  }
  if (host.includes(':')) throw invalid(`${show(host)} is neither a host name nor an IPv6 address`);
}

function convert(host: string, toAscii: ToAscii | null): string {
  if (toAscii === null) {
    throw invalid(`${show(host)} has characters outside ASCII; give its ASCII form (xn--…)`);
  }
  const ascii = toAscii(host);
  if (ascii === null || ascii === '') {
    throw invalid(`${show(host)} cannot be converted to an internationalised domain name (UTS 46)`);
  }
  return ascii;
}

/** @returns what is wrong with the lengths in a name without its trailing dot; null: nothing */
function lengthFault(name: string): string | null {
  if (name === '') return 'a name needs at least one label';
  if (name.length > MAX_NAME_CHARS) {
    return `a name has at most ${MAX_NAME_CHARS} characters, this one has ${name.length}`;
  }
  for (const label of name.split('.')) {
    if (label === '') return 'a label between two dots is empty';
    if (label.length > MAX_LABEL_CHARS) {
      return `a label has at most ${MAX_LABEL_CHARS} characters, ${show(label)} has ${label.length}`;
    }
  }
  return null;
}

/** @returns what is wrong with the lower-case name of a host without its trailing dot; null: nothing */
function nameFault(name: string): string | null {
  const fault = lengthFault(name);
  if (fault !== null) return fault;
  const labels = name.split('.');
  for (const label of labels) {
    // RFC 1123 §2.1: letters, digits, hyphen; the underscore is no host name character but in wide use
    const bad = /[^a-z0-9_-]/.exec(label);
    if (bad !== null) return `the character ${show(bad[0])} is not allowed`;
    // RFC 952: the first and the last character of a label are not a hyphen
    if (label.startsWith('-') || label.endsWith('-')) {
      return `the label ${show(label)} starts or ends with a hyphen`;
    }
  }
  // RFC 3696 §2: the last label is never all numeric. What ends in a number is meant as an IPv4 address (URL standard,
  // "ends in a number checker") in one of the short, octal or hexadecimal forms, which readers disagree about.
  if (/^(\d+|0x[0-9a-f]*)$/.test(labels[labels.length - 1] ?? '')) {
    return 'it ends in a number but is no IPv4 address; give four decimal parts 0 … 255 without leading zeros';
  }
  return null;
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

/** Quotes untrusted text for a message: control characters escaped, long text cut. */
function show(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

function invalid(detail: string): NetError {
  return new NetError('HOST_INVALID', { phase: Phase.Argument, detail });
}
