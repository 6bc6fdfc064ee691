import type { IpAddress } from './ip-address.ts';

/** What reports say of a group (RFC 3376 §4.2.12, RFC 3810 §5.2.12). */
export const RecordType = {
  ModeIsInclude: 1,
  ModeIsExclude: 2,
  ChangeToInclude: 3,
  ChangeToExclude: 4,
  AllowSources: 5,
  BlockSources: 6,
} as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];

/** One group of a report. */
export interface MembershipRecord {
  readonly type: RecordType;
  readonly group: IpAddress;
  readonly sources: readonly IpAddress[];
}

/** A question of a router, of IGMP or MLD. */
export interface MembershipQuery {
  /** Of IGMP: 1, 2, 3; MLDv1 is 2 here, and MLDv2 is 3. */
  readonly version: 1 | 2 | 3;
  /** null: all groups. */
  readonly group: IpAddress | null;
  readonly sources: readonly IpAddress[];
  readonly maxResponseMs: number;
  /** 0: not said. */
  readonly robustness: number;
  /** 0: not said. */
  readonly intervalMs: number;
}

/** RFC 3376 §4.1.1: from 128 on, an exponent of three bits and a mantissa of four. */
export function floatingCode(code: number): number {
  return code < 0x80 ? code : ((code & 0x0f) | 0x10) << (((code >>> 4) & 7) + 3);
}

/** RFC 3810 §5.1.3: the same with sixteen bits, from 32768 on. */
export function floatingCode16(code: number): number {
  return code < 0x8000 ? code : ((code & 0x0fff) | 0x1000) << (((code >>> 12) & 7) + 3);
}
