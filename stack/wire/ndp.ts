/** Neighbor Solicitation and Advertisement (RFC 4861 §4.3, §4.4): where their fields lie in the ICMPv6 message. */
export const Ndp = { Flags: 4, Target: 8, Options: 24 } as const;

/** Redirect (RFC 4861 §4.5). */
export const Redirect = { Target: 8, Destination: 24, Options: 40 } as const;

export const NDP_NEIGHBOR_BYTES = 24;
/** RFC 4861 §7.1: proof that the message has passed no router. */
export const NDP_HOP_LIMIT = 255;

/** Bits of the first byte of an advertisement's flags. */
export const NdpFlag = { Router: 0x80, Solicited: 0x40, Override: 0x20 } as const;

export const NdpOption = { SourceLinkAddress: 1, TargetLinkAddress: 2 } as const;
/** RFC 2464 §6: type, length, six bytes of address. */
export const NDP_LINK_ADDRESS_BYTES = 8;

/** {@link findLinkAddress}: the options end badly, the message is to be dropped. */
export const NDP_MALFORMED = -2;

/**
 * Looks for a link-layer address among the options, all of which are checked.
 * @returns offset of the address; -1: there is none; {@link NDP_MALFORMED}
 */
export function findLinkAddress(view: DataView, from: number, end: number, type: number): number {
  let found = -1;
  let at = from;
  while (at < end) {
    // RFC 4861 §4.6: the length counts units of 8 bytes; 0 means that the message must be dropped
    const lengthBytes = at + 2 <= end ? view.getUint8(at + 1) * 8 : 0;
    if (lengthBytes === 0 || at + lengthBytes > end) return NDP_MALFORMED;
    // RFC 2464 §6: one unit on Ethernet; an address of another link says nothing to us
    if (found < 0 && view.getUint8(at) === type && lengthBytes === NDP_LINK_ADDRESS_BYTES) found = at + 2;
    at += lengthBytes;
  }
  return found;
}
