import { RxFlag } from '../stack/link.ts';
import { EtherType } from '../stack/wire/ethernet.ts';
import * as sys from './syscalls.ts';

/** `struct msghdr` on 64-bit systems. */
const Message = {
  Name: 0,
  NameLength: 8,
  Vector: 16,
  VectorLength: 24,
  Control: 32,
  ControlLength: 40,
  Flags: 48,
};
const MESSAGE_BYTES = 56;
/** `struct sockaddr_ll` */
const LinkAddress = { PacketType: 10 };
const LINK_ADDRESS_BYTES = 20;
/** `struct cmsghdr` with a `struct tpacket_auxdata`. */
const Control = { Length: 0, Level: 8, Type: 12, Status: 16, VlanTag: 32, VlanType: 34 };
const CONTROL_BYTES = 40;

// linux/if_packet.h
const SOL_PACKET = 263;
const PACKET_AUXDATA = 8;
const PACKET_OUTGOING = 4;
const TP_STATUS_CSUMNOTREADY = 0x08;
const TP_STATUS_VLAN_VALID = 0x10;
const TP_STATUS_VLAN_TPID_VALID = 0x40;
const TP_STATUS_CSUM_VALID = 0x80;

const NAME_AT = MESSAGE_BYTES;
const CONTROL_AT: number = NAME_AT + 24;

/** Reads frames from a packet socket with what the kernel knows of them, into one place in memory. */
export class PacketReader {
  readonly #memory = new DataView(new ArrayBuffer(CONTROL_AT + CONTROL_BYTES));
  readonly #address: number = sys.addressOf(this.#memory);
  readonly #vector = new sys.IoVector(1);

  constructor(address: number, lengthBytes: number) {
    this.#vector.set(0, address, lengthBytes);
    this.#pointer(Message.Name, this.#address + NAME_AT);
    this.#pointer(Message.Vector, this.#vector.address);
    this.#pointer(Message.VectorLength, 1);
    this.#pointer(Message.Control, this.#address + CONTROL_AT);
  }

  #pointer(at: number, value: number): void {
    this.#memory.setUint32(at, value >>> 0, true);
    this.#memory.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
  }

  /** recvmsg(2). @returns the length of what was read, or -errno */
  read(fd: number): number {
    const memory = this.#memory;
    memory.setUint32(Message.NameLength, LINK_ADDRESS_BYTES, true);
    memory.setUint32(Message.ControlLength, CONTROL_BYTES, true);
    return sys.recvmsg(fd, this.#address, 0);
  }

  /** True when the frame just read is one that this machine has sent. */
  get isOutgoing(): boolean {
    return this.#memory.getUint8(NAME_AT + LinkAddress.PacketType) === PACKET_OUTGOING;
  }

  /** The 802.1Q tag that is not in the frame any more; 0: there was none. */
  get vlanTag(): number {
    if ((this.#status & TP_STATUS_VLAN_VALID) === 0) return 0;
    return this.#memory.getUint16(CONTROL_AT + Control.VlanTag, true);
  }

  /** What kind of tag it is: its EtherType. */
  get vlanType(): number {
    const isTold = (this.#status & TP_STATUS_VLAN_TPID_VALID) !== 0;
    return isTold ? this.#memory.getUint16(CONTROL_AT + Control.VlanType, true) : EtherType.Vlan;
  }

  /** Bits of {@link RxFlag}; for sockets whose frames come without a virtio header. */
  get rxFlags(): number {
    const status = this.#status;
    if ((status & TP_STATUS_CSUMNOTREADY) !== 0) return RxFlag.ChecksumValid | RxFlag.ChecksumPartial;
    return (status & TP_STATUS_CSUM_VALID) === 0 ? 0 : RxFlag.ChecksumValid;
  }

  get #status(): number {
    const memory = this.#memory;
    const isAuxiliary =
      memory.getUint32(Message.ControlLength, true) >= CONTROL_BYTES - 4 &&
      memory.getInt32(CONTROL_AT + Control.Level, true) === SOL_PACKET &&
      memory.getInt32(CONTROL_AT + Control.Type, true) === PACKET_AUXDATA;
    return isAuxiliary ? memory.getUint32(CONTROL_AT + Control.Status, true) : 0;
  }
}
