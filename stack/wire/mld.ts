import { IpAddress } from './ip-address.ts';
import { floatingCode, floatingCode16, type MembershipQuery, type MembershipRecord } from './membership.ts';

/** MLD messages (RFC 2710 §3, RFC 3810 §5): where their fields lie in the ICMPv6 message. */
export const Mld = {
  MaxResponse: 4,
  Group: 8,
  /** Queries of version 2. */
  Robustness: 24,
  Interval: 25,
  SourceCount: 26,
  Sources: 28,
  /** Reports of version 2. */
  RecordCount: 6,
  Records: 8,
} as const;

/** RFC 2710 §3: queries, reports and Done of version 1. */
export const MLD_V1_BYTES = 24;

/** Reads a query whose checksum is right. @returns null when it is malformed */
export function parseMldQuery(view: DataView, off: number, len: number): MembershipQuery | null {
  if (len < MLD_V1_BYTES) return null;
  const group = IpAddress.read(view, off + Mld.Group, 6);
  const code = view.getUint16(off + Mld.MaxResponse);
  const common = { group: group.isUnspecified ? null : group, sources: [] };
  if (common.group !== null && !group.isMulticast) return null;
  // RFC 3810 §8.1: the length tells the version
  if (len === MLD_V1_BYTES)
    return { ...common, version: 2, maxResponseMs: code, robustness: 0, intervalMs: 0 };
  if (len < Mld.Sources) return null;
  const count = view.getUint16(off + Mld.SourceCount);
  if (len < Mld.Sources + 16 * count) return null;
  const sources: IpAddress[] = [];
  for (let i = 0; i < count; i++) sources.push(IpAddress.read(view, off + Mld.Sources + 16 * i, 6));
  return {
    ...common,
    sources,
    version: 3,
    maxResponseMs: floatingCode16(code),
    robustness: view.getUint8(off + Mld.Robustness) & 7,
    intervalMs: floatingCode(view.getUint8(off + Mld.Interval)) * 1000,
  };
}

/** Bytes of a record in a report of version 2 (RFC 3810 §5.2). */
export function mldRecordBytes(record: MembershipRecord): number {
  return 20 + 16 * record.sources.length;
}

/** @returns where the next record goes */
export function writeMldRecord(view: DataView, off: number, record: MembershipRecord): number {
  view.setUint8(off, record.type);
  view.setUint8(off + 1, 0);
  view.setUint16(off + 2, record.sources.length);
  let at = off + 4;
  at += record.group.write(view, at);
  for (const source of record.sources) at += source.write(view, at);
  return at;
}
