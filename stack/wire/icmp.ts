/** The fields that all ICMP messages share (RFC 792, RFC 4443 §2.1). */
export const Icmp = {
  Type: 0,
  Code: 1,
  Checksum: 2,
  /** Echo: identifier and sequence number. Errors: unused, pointer or MTU. */
  Rest: 4,
  Identifier: 4,
  Sequence: 6,
  /** RFC 1191 §4: next-hop MTU in the low 16 bits of the rest. */
  MtuV4: 6,
  /** RFC 4443 §3.2: MTU in all 32 bits. */
  MtuV6: 4,
  /** The quoted packet, or the echoed data. */
  Data: 8,
} as const;

export const ICMP_HEADER_BYTES = 8;

/** ICMPv4 types (RFC 792, RFC 950, RFC 1256). */
export const IcmpV4Type = {
  EchoReply: 0,
  Unreachable: 3,
  SourceQuench: 4,
  Redirect: 5,
  Echo: 8,
  TimeExceeded: 11,
  ParameterProblem: 12,
} as const;

/** Codes of Unreachable (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1). */
export const IcmpV4Unreachable = {
  Net: 0,
  Host: 1,
  Protocol: 2,
  Port: 3,
  FragmentationNeeded: 4,
  SourceRouteFailed: 5,
  NetUnknown: 6,
  HostUnknown: 7,
  SourceIsolated: 8,
  NetProhibited: 9,
  HostProhibited: 10,
  NetTos: 11,
  HostTos: 12,
  Prohibited: 13,
  PrecedenceViolation: 14,
  PrecedenceCutoff: 15,
} as const;

/** Codes of Redirect (RFC 792). */
export const IcmpV4Redirect = { Net: 0, Host: 1, TosNet: 2, TosHost: 3 } as const;

/** ICMPv6 types (RFC 4443, RFC 2710, RFC 4861, RFC 3810). Below 128: errors. */
export const IcmpV6Type = {
  Unreachable: 1,
  TooBig: 2,
  TimeExceeded: 3,
  ParameterProblem: 4,
  EchoRequest: 128,
  EchoReply: 129,
  ListenerQuery: 130,
  ListenerReport: 131,
  ListenerDone: 132,
  RouterSolicitation: 133,
  RouterAdvertisement: 134,
  NeighborSolicitation: 135,
  NeighborAdvertisement: 136,
  Redirect: 137,
  ListenerReportV2: 143,
} as const;

/** Codes of ICMPv6 Unreachable (RFC 4443 §3.1). */
export const IcmpV6Unreachable = {
  NoRoute: 0,
  Prohibited: 1,
  BeyondScope: 2,
  Address: 3,
  Port: 4,
  PolicyFailed: 5,
  RejectRoute: 6,
} as const;

/** Codes of ICMPv6 ParameterProblem (RFC 4443 §3.4, RFC 7112 §5). */
export const IcmpV6Parameter = {
  Field: 0,
  NextHeader: 1,
  Option: 2,
  FirstFragment: 3,
} as const;

/** RFC 792: the packet's time ran out, or that of its reassembly. The same codes in ICMPv6 (RFC 4443 §3.3). */
export const IcmpTimeExceeded = {
  Transit: 0,
  Reassembly: 1,
} as const;

/** RFC 1122 §3.2.2, RFC 4443 §2.4(c): messages about which no error may be sent. Unknown ICMPv4 types count as errors. */
export function isIcmpError(family: 4 | 6, type: number): boolean {
  if (family === 6) return type < 128;
  switch (type) {
    case IcmpV4Type.EchoReply:
    case IcmpV4Type.Echo:
    case 9: // router advertisement and solicitation (RFC 1256)
    case 10:
    case 13: // timestamp and its reply
    case 14:
      return false;
    default:
      return true;
  }
}

/** Writes the first four bytes; the checksum field is left 0 for the caller. */
export function writeIcmpHeader(view: DataView, off: number, type: number, code: number, rest: number): void {
  view.setUint8(off + Icmp.Type, type);
  view.setUint8(off + Icmp.Code, code);
  view.setUint16(off + Icmp.Checksum, 0);
  view.setInt32(off + Icmp.Rest, rest);
}
