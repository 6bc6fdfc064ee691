/**
 * Where the IP packet lies in a captured frame, for the link types that carry IP (tcpdump.org/linktypes.html). Every
 * function takes a frame that may be cut off anywhere or be nonsense.
 */
export const LinkType = {
  Null: 0,
  Ethernet: 1,
  /** OpenBSD's number for Raw. */
  RawOpenBsd: 14,
  /** What tcpdump calls DLT_RAW elsewhere, in old files. */
  RawOld: 12,
  Raw: 101,
  Loop: 108,
  LinuxSll: 113,
  Ipv4: 228,
  Ipv6: 229,
  LinuxSll2: 276,
} as const;

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
/** 802.1Q, 802.1ad, and the number that came before it. */
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_SERVICE_VLAN = 0x88a8;
const ETHERTYPE_OLD_SERVICE_VLAN = 0x9100;
const MAX_VLAN_TAGS = 8;
const VLAN_TAG_BYTES = 4;

/** True for the link types that {@link ipOffset} knows. */
export function isKnownLinkType(linkType: number): boolean {
  return Object.values<number>(LinkType).includes(linkType);
}

/** @returns how far into the frame its IP packet begins; -1: it carries none */
export function ipOffset(view: DataView, off: number, len: number, linkType: number): number {
  switch (linkType) {
    case LinkType.Ethernet:
      return behindType(view, off, len, 12, 14);
    case LinkType.LinuxSll:
      return behindType(view, off, len, 14, 16);
    case LinkType.LinuxSll2:
      return len < 20 ? -1 : behindType(view, off, len, 0, 20);
    case LinkType.Null:
    case LinkType.Loop:
      return len > 4 && isVersion(view, off + 4, familyOf(view, off)) ? 4 : -1;
    case LinkType.Raw:
    case LinkType.RawOld:
    case LinkType.RawOpenBsd:
      return len > 0 && (isVersion(view, off, 4) || isVersion(view, off, 6)) ? 0 : -1;
    case LinkType.Ipv4:
      return len > 0 && isVersion(view, off, 4) ? 0 : -1;
    case LinkType.Ipv6:
      return len > 0 && isVersion(view, off, 6) ? 0 : -1;
    default:
      return -1;
  }
}

/** @param typeAt where the EtherType lies. @param headerBytes length of the link header */
function behindType(view: DataView, off: number, len: number, typeAt: number, headerBytes: number): number {
  if (len <= headerBytes) return -1;
  let type = view.getUint16(off + typeAt);
  let at = headerBytes;
  for (let tags = 0; isVlan(type) && tags < MAX_VLAN_TAGS; tags++) {
    if (len <= at + VLAN_TAG_BYTES) return -1;
    type = view.getUint16(off + at + 2);
    at += VLAN_TAG_BYTES;
  }
  if (type === ETHERTYPE_IPV4) return isVersion(view, off + at, 4) ? at : -1;
  if (type === ETHERTYPE_IPV6) return isVersion(view, off + at, 6) ? at : -1;
  return -1;
}

function isVlan(type: number): boolean {
  return type === ETHERTYPE_VLAN || type === ETHERTYPE_SERVICE_VLAN || type === ETHERTYPE_OLD_SERVICE_VLAN;
}

/** The address family is the writing machine's number, in its byte order (Null) or in network order (Loop). */
function familyOf(view: DataView, off: number): 4 | 6 | 0 {
  const big = view.getUint32(off);
  const little = view.getUint32(off, true);
  switch (big < little ? big : little) {
    case 2:
      return 4;
    // Linux and Windows, NetBSD and OpenBSD, FreeBSD, macOS
    case 10:
    case 23:
    case 24:
    case 28:
    case 30:
      return 6;
    default:
      return 0;
  }
}

function isVersion(view: DataView, off: number, version: 4 | 6 | 0): boolean {
  return view.getUint8(off) >>> 4 === version;
}
