import { IpAddress } from './ip-address.ts';
import type { MembershipQuery, MembershipRecord } from './membership.ts';
import { floatingCode } from './membership.ts';

/** IGMP messages (RFC 1112 appendix I, RFC 2236 §2, RFC 3376 §4): where their fields lie. */
export const Igmp = {
  Type: 0,
  MaxResponse: 1,
  Checksum: 2,
  Group: 4,
  /** Queries of version 3. */
  Robustness: 8,
  Interval: 9,
  SourceCount: 10,
  Sources: 12,
  /** Reports of version 3. */
  RecordCount: 6,
  Records: 8,
} as const;

export const IGMP_BYTES = 8;

export const IgmpType = { Query: 0x11, ReportV1: 0x12, ReportV2: 0x16, Leave: 0x17, ReportV3: 0x22 } as const;

/** RFC 3376 §4.1.1: in units of 100 ms; RFC 1112 knows no field, its time is 10 s (RFC 3376 §7.2.1). */
const RESPONSE_UNIT_MS = 100;
const RESPONSE_V1_MS = 10_000;

/** Reads a query whose checksum is right. @returns null when it is malformed */
export function parseIgmpQuery(view: DataView, off: number, len: number): MembershipQuery | null {
  if (len < IGMP_BYTES) return null;
  const group = IpAddress.read(view, off + Igmp.Group, 4);
  const code = view.getUint8(off + Igmp.MaxResponse);
  const common = { group: group.isUnspecified ? null : group, sources: [] };
  if (common.group !== null && !group.isMulticast) return null;
  // RFC 3376 §7.1: the length tells the version
  if (len === IGMP_BYTES) {
    const maxResponseMs = code === 0 ? RESPONSE_V1_MS : code * RESPONSE_UNIT_MS;
    return { ...common, version: code === 0 ? 1 : 2, maxResponseMs, robustness: 0, intervalMs: 0 };
  }
  if (len < Igmp.Sources) return null;
  const count = view.getUint16(off + Igmp.SourceCount);
  if (len < Igmp.Sources + 4 * count) return null;
  const sources: IpAddress[] = [];
  for (let i = 0; i < count; i++) sources.push(IpAddress.read(view, off + Igmp.Sources + 4 * i, 4));
  return {
    ...common,
    sources,
    version: 3,
    maxResponseMs: floatingCode(code) * RESPONSE_UNIT_MS,
    robustness: view.getUint8(off + Igmp.Robustness) & 7,
    intervalMs: floatingCode(view.getUint8(off + Igmp.Interval)) * 1000,
  };
}

/** Bytes of a record in a report of version 3 (RFC 3376 §4.2). */
export function igmpRecordBytes(record: MembershipRecord): number {
  return 8 + 4 * record.sources.length;
}

/** @returns where the next record goes */
export function writeIgmpRecord(view: DataView, off: number, record: MembershipRecord): number {
  view.setUint8(off, record.type);
  view.setUint8(off + 1, 0);
  view.setUint16(off + 2, record.sources.length);
  record.group.write(view, off + 4);
  let at = off + 8;
  for (const source of record.sources) at += source.write(view, at);
  return at;
}
