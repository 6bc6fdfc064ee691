/** The Ethernet header (IEEE 802.3 §3.1.1): where its fields lie from the start of the frame. */
export const Ethernet = { Destination: 0, Source: 6, Type: 12 } as const;

export const ETHERNET_HEADER_BYTES = 14;
export const ETHERNET_ADDRESS_BYTES = 6;

/** What a frame carries (IEEE 802 numbers, RFC 9542 §3.1). */
export const EtherType = {
  Ipv4: 0x0800,
  Arp: 0x0806,
  /** IEEE 802.1Q: a tag of four bytes, whose last two are the EtherType of what follows. */
  Vlan: 0x8100,
  Ipv6: 0x86dd,
  /** IEEE 802.1ad: the outer of two tags. */
  ServiceVlan: 0x88a8,
} as const;

export const VLAN_TAG_BYTES = 4;
/** IEEE 802.1Q §9.6: VLAN 0 means that the tag holds a priority only. */
export const VLAN_ID_MASK = 0x0fff;

/** IEEE 802.1Q table 9-2: the last one is reserved. */
export const MAX_VLAN_ID = 4094;

/** An outer tag and an inner one (IEEE 802.1ad). */
const MAX_VLAN_TAGS = 2;

/** Length of a frame's header with its VLAN tags. @param len of the frame */
export function frameHeaderBytes(view: DataView, off: number, len: number): number {
  let headerBytes = ETHERNET_HEADER_BYTES;
  for (let tags = 0; tags < MAX_VLAN_TAGS && len >= headerBytes + VLAN_TAG_BYTES; tags++) {
    // the last two bytes of the header so far
    const type = view.getUint16(off + headerBytes - 2);
    if (type !== EtherType.Vlan && type !== EtherType.ServiceVlan) break;
    headerBytes += VLAN_TAG_BYTES;
  }
  return headerBytes;
}

/** The first two bytes of the broadcast address, and its last four. */
export const BROADCAST_HIGH = 0xffff;
export const BROADCAST_LOW = -1;

/** The first two bytes of an Ethernet address, unsigned. With {@link ethernetLow} it is the whole address. */
export function ethernetHigh(view: DataView, off: number): number {
  return view.getUint16(off);
}

/** The last four bytes of an Ethernet address, signed. */
export function ethernetLow(view: DataView, off: number): number {
  return view.getInt32(off + 2);
}

export function writeEthernetAddress(view: DataView, off: number, high: number, low: number): void {
  view.setUint16(off, high);
  view.setInt32(off + 2, low);
}

export function writeEthernetHeader(
  view: DataView,
  off: number,
  destinationHigh: number,
  destinationLow: number,
  sourceHigh: number,
  sourceLow: number,
  type: number,
): void {
  writeEthernetAddress(view, off + Ethernet.Destination, destinationHigh, destinationLow);
  writeEthernetAddress(view, off + Ethernet.Source, sourceHigh, sourceLow);
  view.setUint16(off + Ethernet.Type, type);
}

/** True for the addresses of many stations: multicast and broadcast (IEEE 802.3 §3.2.3). */
export function isGroupAddress(high: number): boolean {
  return (high & 0x0100) !== 0;
}

/** `02:00:00:00:00:01` */
export function formatEthernetAddress(high: number, low: number): string {
  const digits = (high * 0x1_0000_0000 + (low >>> 0)).toString(16).padStart(12, '0');
  return digits.replace(/..(?!$)/g, '$&:');
}
