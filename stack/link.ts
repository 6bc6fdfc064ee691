import { copyBytes } from './wire/copy.ts';
import type { Slab } from './wire/slab.ts';

/** What the device under an interface can do. Told once, when the interface is made. */
export interface LinkCapabilities {
  /** Largest IP packet the link carries in one piece, 68 (RFC 791) … 65,535 bytes. */
  readonly mtuBytes: number;
  /** The device completes TCP and UDP checksums (`csumStart`, `csumOffset` of a {@link TxPacket}). */
  readonly txChecksum: boolean;
  /** Largest TCP super-segment (IP header included) the device cuts up itself; 0: it does not. */
  readonly txSegmentBytes: number;
  /** It also cuts datagrams of one length that are handed over as one packet, up to `txSegmentBytes`. Default false. */
  readonly txDatagramSegments?: boolean;
  /** The link is Ethernet: packets of the sink and of `Interface.input` are whole frames, without their check sequence. */
  readonly ethernet?: EthernetCapabilities;
}

/** What an Ethernet device says of itself. */
export interface EthernetCapabilities {
  /** Its own station address, six bytes. */
  readonly address: Uint8Array;
  /** Its frames are those of one virtual LAN, with a tag (IEEE 802.1Q): 1 … 4094. Default: those without. */
  readonly vlanId?: number;
}

/** What a device knows of a packet it hands in; bits of the `flags` argument of `Interface.input`. */
export const RxFlag = {
  /** The transport checksum is known to be right, or the packet never left this machine: not verified again. */
  ChecksumValid: 1,
  /** The checksum field holds the pseudo-header sum only; comes with ChecksumValid. A capture completes its copy. */
  ChecksumPartial: 2,
  /** An Ethernet frame brought it that went to a group of stations, or to all. */
  LinkGroup: 4,
} as const;

/** Room before the headers of an outgoing packet for what a device puts in front (virtio-net header, Ethernet). */
export const HEADROOM_BYTES = 64;
/** Room for IP and TCP headers with all their options. */
export const HEADER_BYTES = 192;

/**
 * The one outgoing packet of a stack: filled, sent and filled again. A packet is its headers (`head`; on its way to an Ethernet device
 * the Ethernet header is the first of them, and lengths and offsets count from it) followed by up to
 * two pieces of payload, which stay where they are (a send ring wraps at most once).
 */
export class TxPacket {
  readonly head: Slab;
  headOff: number = HEADROOM_BYTES;
  headLen = 0;
  /** Where the payload lies; meaningless while both lengths are 0. */
  body: Slab;
  bodyOff = 0;
  bodyLen = 0;
  body2Off = 0;
  body2Len = 0;
  /** Payload bytes of each segment the device is to cut this packet into; 0: send as it is. */
  gsoBytes = 0;
  /** Offset from the start of the IP packet where the device starts checksumming; -1: the checksum is complete. */
  csumStart = -1;
  /** Where the checksum goes, from `csumStart`. The field holds the pseudo-header sum. */
  csumOffset = 0;
  /** For captures: why this packet is sent, when that is not evident ('' otherwise). */
  comment = '';

  constructor(head: Slab) {
    this.head = head;
    this.body = head;
  }

  /** Length of the whole IP packet. */
  get lengthBytes(): number {
    return this.headLen + this.bodyLen + this.body2Len;
  }

  /** Forgets the payload and the offload requests of the packet before. */
  reset(): void {
    this.headOff = HEADROOM_BYTES;
    this.headLen = 0;
    this.bodyLen = 0;
    this.body2Len = 0;
    this.gsoBytes = 0;
    this.csumStart = -1;
    this.csumOffset = 0;
    this.comment = '';
  }

  /** Copies the IP packet into one piece; for devices that cannot gather. @returns its length */
  gather(into: Uint8Array, off: number): number {
    const head = this.head.bytes;
    copyBytes(head, this.headOff, into, off, this.headLen);
    let at = off + this.headLen;
    if (this.bodyLen > 0) {
      copyBytes(this.body.bytes, this.bodyOff, into, at, this.bodyLen);
      at += this.bodyLen;
    }
    if (this.body2Len > 0) {
      copyBytes(this.body.bytes, this.body2Off, into, at, this.body2Len);
      at += this.body2Len;
    }
    return at - off;
  }
}

/** Where an interface sends its packets: a device, or a test. */
export interface PacketSink {
  /**
   * Takes one packet; nothing of it is referenced after the return. Does not call the stack: an answer that is there at once
   * waits until the driver's next round.
   * @returns false when the device is full: nothing was taken, the stack sends it again at the next `transmit`
   */
  send(packet: TxPacket): boolean;
}
