import { IpAddress } from '../wire/ip-address.ts';
import type { RecordData } from './record.ts';

/** RFC 9460 §14.3.2 */
const Key = { Mandatory: 0, Alpn: 1, NoDefaultAlpn: 2, Port: 3, Ipv4Hint: 4, Ech: 5, Ipv6Hint: 6 } as const;

const KEY_NAMES = ['mandatory', 'alpn', 'no-default-alpn', 'port', 'ipv4hint', 'ech', 'ipv6hint'] as const;

/**
 * Reads the data of an SVCB or HTTPS record (RFC 9460 §2.2): `{ priority, target, … }` with the parameters by their names in
 * presentation format. Priority 0 is an alias (§2.4.2); its parameters are left out.
 * @param data at most 65,535 bytes
 * @returns null when the record is malformed, which makes it unusable as a whole (§2.2)
 */
export function readServiceBinding(data: Uint8Array): RecordData | null {
  const name = readName(data, 2);
  if (name === null) return null;
  const priority = word(data, 0);
  const fields: Record<string, RecordData> = { priority, target: name.text };
  let at = name.end;
  let last = -1;
  while (at < data.length) {
    if (at + 4 > data.length) return null;
    const key = word(data, at);
    const end = at + 4 + word(data, at + 2);
    // §2.2: keys in strictly increasing order
    if (key <= last || end > data.length) return null;
    const value = parameter(key, data.subarray(at + 4, end));
    if (value === null) return null;
    if (priority !== 0) fields[KEY_NAMES[key] ?? `key${key}`] = value;
    last = key;
    at = end;
  }
  return missesMandatory(fields) ? null : fields;
}

/** §8: a key listed as mandatory must be there. */
function missesMandatory(fields: Readonly<Record<string, RecordData>>): boolean {
  const { mandatory } = fields;
  return Array.isArray(mandatory) && mandatory.some((key) => !((key as string) in fields));
}

function parameter(key: number, value: Uint8Array): RecordData | null {
  switch (key) {
    case Key.Mandatory:
      return mandatoryKeys(value);
    case Key.Alpn:
      return protocols(value);
    case Key.NoDefaultAlpn:
      return value.length === 0 ? true : null;
    case Key.Port:
      return value.length === 2 ? word(value, 0) : null;
    case Key.Ipv4Hint:
      return addresses(value, 4);
    case Key.Ipv6Hint:
      return addresses(value, 16);
    case Key.Ech:
      return value.length === 0 ? null : btoa(String.fromCharCode(...value));
    default:
      return Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }
}

/** §8: strictly increasing, never itself. */
function mandatoryKeys(value: Uint8Array): RecordData | null {
  if (value.length === 0 || value.length % 2 !== 0) return null;
  const keys: string[] = [];
  let last: number = Key.Mandatory;
  for (let at = 0; at < value.length; at += 2) {
    const key = word(value, at);
    if (key <= last) return null;
    keys.push(KEY_NAMES[key] ?? `key${key}`);
    last = key;
  }
  return keys;
}

/** §7.1: each with its length before it. */
function protocols(value: Uint8Array): RecordData | null {
  const names: string[] = [];
  let at = 0;
  while (at < value.length) {
    const end = at + 1 + (value[at] ?? 0);
    if (end === at + 1 || end > value.length) return null;
    names.push(String.fromCharCode(...value.subarray(at + 1, end)));
    at = end;
  }
  return names.length === 0 ? null : names;
}

function addresses(value: Uint8Array, bytes: 4 | 16): RecordData | null {
  if (value.length === 0 || value.length % bytes !== 0) return null;
  const list: string[] = [];
  for (let at = 0; at < value.length; at += bytes) {
    const part = (i: number): number => (word(value, at + 4 * i) << 16) | word(value, at + 4 * i + 2) | 0;
    const address =
      bytes === 4 ? IpAddress.v4(part(0)) : new IpAddress(6, part(0), part(1), part(2), part(3));
    list.push(address.toString());
  }
  return list;
}

/** §2.2: a name without compression. @returns its text without trailing dot; '.' for the root */
function readName(data: Uint8Array, from: number): { text: string; end: number } | null {
  const labels: string[] = [];
  let at = from;
  while (at < data.length && at - from < 255) {
    const size = data[at] ?? 0;
    if (size === 0) return { text: labels.length === 0 ? '.' : labels.join('.').toLowerCase(), end: at + 1 };
    if (size > 63 || at + 1 + size > data.length) return null;
    labels.push(String.fromCharCode(...data.subarray(at + 1, at + 1 + size)));
    at += 1 + size;
  }
  return null;
}

function word(data: Uint8Array, at: number): number {
  return ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
}
