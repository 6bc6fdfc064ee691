import { equalBytes } from './der.ts';
import { type GeneralName, NameForm } from './general-name.ts';

/** What the caller asked for, in the form that certificates are compared with (RFC 9525 §6.1). */
export type ReferenceName =
  | { readonly kind: 'dns' /** Lower case, no trailing dot. */; readonly name: string }
  | { readonly kind: 'ip' /** 4 or 16 in network order. */; readonly octets: Uint8Array };

/**
 * Reads a host name (A-labels, one trailing dot allowed) or an IP address literal (IPv6 with or without brackets and
 * zone).
 * @returns null when it is neither
 */
export function parseReferenceName(text: string): ReferenceName | null {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  const zone = bare.indexOf('%');
  // RFC 6874 §1: a zone has a meaning on this machine only, so no certificate holds one.
  const octets = parseIpv4(bare) ?? parseIpv6(zone < 0 ? bare : bare.slice(0, zone));
  if (octets !== null) return { kind: 'ip', octets };
  const name = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  // RFC 1123 §2.1, WHATWG URL: a name that ends in a number is a broken IPv4 address, never a host name.
  if (!isDnsName(name) || /(^|\.)(\d+|0x[0-9a-f]*)$/.test(name)) return null;
  return { kind: 'dns', name };
}

/** Whether a certificate with these subjectAltNames is for the server. RFC 9525 §6: they alone count, never the subject. */
export function matchesServer(names: readonly GeneralName[], reference: ReferenceName): boolean {
  for (const name of names) {
    if (reference.kind === 'ip') {
      // RFC 9525 §6.5: an address matches an iPAddress entry octet by octet, and nothing else.
      if (name.form === NameForm.Ip && equalBytes(name.octets, reference.octets)) return true;
    } else if (name.form === NameForm.Dns && matchesDns(name.text, reference.name)) return true;
  }
  return false;
}

/**
 * RFC 9525 §6.3: a wildcard is the whole left-most label, and stands for exactly one label. Differs in that at least
 * two labels must follow it, as in OpenSSL and node:tls: `*.com` is nobody's.
 */
export function matchesDns(presented: string, name: string): boolean {
  const pattern = presented.toLowerCase();
  if (!pattern.startsWith('*.')) return pattern === name && isDnsName(pattern);
  const dot = name.indexOf('.');
  const rest = pattern.slice(1);
  return dot > 0 && rest.indexOf('.', 1) > 0 && name.slice(dot) === rest && isDnsName(rest.slice(1));
}

/** Letters, digits, hyphens and underscores in labels of 1 to 63, at most 253 in all; lower or upper case. */
export function isDnsName(name: string): boolean {
  if (name.length === 0 || name.length > 253) return false;
  let label = 0;
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    if (c === 0x2e) {
      if (label === 0 || name.charCodeAt(i - 1) === 0x2d) return false;
      label = 0;
      continue;
    }
    const letter = (c | 0x20) >= 0x61 && (c | 0x20) <= 0x7a;
    const digit = c >= 0x30 && c <= 0x39;
    // Underscores are no host name characters (RFC 952), and are in the names of many machines of a lab all the same.
    if (!letter && !digit && c !== 0x5f && (c !== 0x2d || label === 0)) return false;
    if (++label > 63) return false;
  }
  return label > 0 && name.charCodeAt(name.length - 1) !== 0x2d;
}

/** Four decimal numbers without leading zeros (RFC 6943 §3.1.1, the strict form). */
function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  const octets = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = parts[i]!;
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return null;
    octets[i] = Number(part);
  }
  return octets;
}

/** RFC 4291 §2.2. */
function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = groupsOf(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1]!, true) : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  // `::` stands for at least one group.
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const octets = new Uint8Array(16);
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  for (const [i, group] of groups.entries()) {
    octets[2 * i] = group >> 8;
    octets[2 * i + 1] = group;
  }
  return octets;
}

/** @param last whether the address ends here, so that an IPv4 address may be its last two groups */
function groupsOf(text: string, last: boolean): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    const ipv4 = last && i === parts.length - 1 && part.includes('.') ? parseIpv4(part) : null;
    if (ipv4 !== null) groups.push((ipv4[0]! << 8) | ipv4[1]!, (ipv4[2]! << 8) | ipv4[3]!);
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return null;
  }
  return groups;
}
