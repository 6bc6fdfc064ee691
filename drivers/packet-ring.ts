import { RxFlag } from '../stack/link.ts';
import { EtherType } from '../stack/wire/ethernet.ts';
import { Slab } from '../stack/wire/slab.ts';
import * as sys from './syscalls.ts';

/** Memory that the kernel writes frames to: as many small packets as the buffer of a socket holds. */
const RING_BYTES: number = 16 * 1024 * 1024;
const LEAST_SLOT_BYTES = 2048;
/** Of larger packets (jumbo frames, several in one) the ring has the beginning only. */
const MOST_SLOT_BYTES = 16_384;
/** What stands in a slot before the packet, and tags of virtual LANs. */
const OVERHEAD_BYTES = 128;

// linux/if_packet.h
const SOL_PACKET = 263;
const PACKET_RX_RING = 5;
const PACKET_COPY_THRESH = 7;
const PACKET_VERSION = 10;
const PACKET_RESERVE = 12;
const TPACKET_V2 = 1;
/** Of a slot: it is ours; the whole packet is in the socket's queue; and as those of auxiliary data. */
const TP_STATUS_USER = 0x01;
const TP_STATUS_COPY = 0x02;
const TP_STATUS_CSUMNOTREADY = 0x08;
const TP_STATUS_VLAN_VALID = 0x10;
const TP_STATUS_VLAN_TPID_VALID = 0x40;
const TP_STATUS_CSUM_VALID = 0x80;
const TP_STATUS_KERNEL = 0;
/** `struct tpacket2_hdr`, and the `struct sockaddr_ll` behind it. */
const Slot = { Status: 0, Length: 4, CapturedLength: 8, Mac: 12, VlanTag: 24, VlanType: 26, PacketType: 42 };
const PACKET_OUTGOING = 4;
/** Puts the IP header behind a virtio header and that of Ethernet at a multiple of 16 (kernel: net/packet/af_packet.c tpacket_rcv). */
const RESERVED_BYTES = 6;

/**
 * The frames that a packet socket receives, in memory that is shared with the kernel (PACKET_RX_RING, version 2), slot by slot. A packet
 * that is larger than a slot is in the queue of the socket as well, to be read there in its turn.
 */
export class PacketRing {
  readonly slab: Slab;
  readonly #words: Int32Array;
  readonly #address: number;
  readonly #slotBytes: number;
  readonly #prefixBytes: number;
  /** Where the slot lies that is read next. */
  #at = 0;
  #status = 0;

  private constructor(address: number, memory: ArrayBuffer, slotBytes: number, prefixBytes: number) {
    this.#address = address;
    this.#slotBytes = slotBytes;
    this.#prefixBytes = prefixBytes;
    this.slab = new Slab(new Uint8Array(memory));
    this.#words = new Int32Array(memory);
  }

  /**
   * Lays a ring before a socket that is not bound yet.
   * @param prefixBytes length of the virtio header that stands before each frame; 0: none does
   * @returns null when the kernel has none to give: frames are read with recvmsg(2)
   */
  static open(fd: number, mtuBytes: number, prefixBytes: number): PacketRing | null {
    const least = Math.max(mtuBytes + OVERHEAD_BYTES, LEAST_SLOT_BYTES);
    const slotBytes = Math.min(2 ** Math.ceil(Math.log2(least)), MOST_SLOT_BYTES);
    const value = new Int32Array(new ArrayBuffer(16));
    const address = sys.addressOf(value);
    const set = (option: number, ...words: readonly number[]): boolean => {
      value.set(words);
      return sys.setsockopt(fd, SOL_PACKET, option, address, 4 * words.length) === 0;
    };
    const isSet =
      set(PACKET_VERSION, TPACKET_V2) &&
      set(PACKET_RESERVE, RESERVED_BYTES) &&
      set(PACKET_COPY_THRESH, 1) &&
      // struct tpacket_req: size and number of blocks, size and number of slots
      set(PACKET_RX_RING, MOST_SLOT_BYTES, RING_BYTES / MOST_SLOT_BYTES, slotBytes, RING_BYTES / slotBytes);
    if (!isSet) return null;
    const mapped = sys.mapShared(fd, RING_BYTES);
    if (mapped < 0) {
      // without memory of ours the socket is to queue its frames again
      set(PACKET_RX_RING, 0, 0, 0, 0);
      return null;
    }
    return new PacketRing(mapped, sys.memoryAt(mapped, RING_BYTES), slotBytes, prefixBytes);
  }

  /** @returns whether there is a frame; until {@link release} the properties are about it */
  next(): boolean {
    this.#status = Atomics.load(this.#words, this.#at >> 2);
    return (this.#status & TP_STATUS_USER) !== 0;
  }

  /** Gives the frame's slot back to the kernel. */
  release(): void {
    Atomics.store(this.#words, this.#at >> 2, TP_STATUS_KERNEL);
    this.#at += this.#slotBytes;
    if (this.#at === RING_BYTES) this.#at = 0;
  }

  /** Where the frame begins, with the virtio header if there is one, and its length with that. */
  get off(): number {
    return this.#at + this.slab.view.getUint16(this.#at + Slot.Mac, true) - this.#prefixBytes;
  }

  get lengthBytes(): number {
    return this.#prefixBytes + this.slab.view.getUint32(this.#at + Slot.CapturedLength, true);
  }

  /** There is more of it than what is here. */
  get isCut(): boolean {
    const { view } = this.slab;
    const at = this.#at;
    return view.getUint32(at + Slot.CapturedLength, true) < view.getUint32(at + Slot.Length, true);
  }

  /** The whole frame is the next one in the socket's queue. */
  get isQueued(): boolean {
    return (this.#status & TP_STATUS_COPY) !== 0;
  }

  /** True when this machine has sent it. */
  get isOutgoing(): boolean {
    return this.slab.view.getUint8(this.#at + Slot.PacketType) === PACKET_OUTGOING;
  }

  /** The 802.1Q tag that is not in the frame any more; 0: there was none. */
  get vlanTag(): number {
    if ((this.#status & TP_STATUS_VLAN_VALID) === 0) return 0;
    return this.slab.view.getUint16(this.#at + Slot.VlanTag, true);
  }

  /** What kind of tag it is: its EtherType. */
  get vlanType(): number {
    const isTold = (this.#status & TP_STATUS_VLAN_TPID_VALID) !== 0;
    return isTold ? this.slab.view.getUint16(this.#at + Slot.VlanType, true) : EtherType.Vlan;
  }

  /** Bits of {@link RxFlag}; for sockets whose frames come without a virtio header. */
  get rxFlags(): number {
    if ((this.#status & TP_STATUS_CSUMNOTREADY) !== 0) return RxFlag.ChecksumValid | RxFlag.ChecksumPartial;
    return (this.#status & TP_STATUS_CSUM_VALID) === 0 ? 0 : RxFlag.ChecksumValid;
  }

  /** Takes the memory away; nothing of the ring, its slab least of all, is touched after that. */
  close(): void {
    sys.unmap(this.#address, RING_BYTES);
  }
}
