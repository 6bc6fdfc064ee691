import { NetError, Phase } from '../stack/errors.ts';
import type { LinkCapabilities, TxPacket } from '../stack/link.ts';
import { ETHERNET_HEADER_BYTES, Ethernet, VLAN_ID_MASK, VLAN_TAG_BYTES } from '../stack/wire/ethernet.ts';
import { Slab } from '../stack/wire/slab.ts';
import { type Device, DeviceCounters, type PacketInput } from './device.ts';
import {
  checkInterfaceName,
  checkMtu,
  IFF_UP,
  InterfaceRequest,
  SIOCGIFFLAGS,
  SIOCGIFHWADDR,
  SIOCGIFINDEX,
  SIOCGIFMTU,
} from './interface-request.ts';
import { kernelAddresses } from './kernel-addresses.ts';
import { kernelIsAtLeast } from './kernel-version.ts';
import { PacketReader } from './packet-reader.ts';
import { PacketRing } from './packet-ring.ts';
import { PacketWriter } from './packet-writer.ts';
import * as sys from './syscalls.ts';
import { inputVirtio, moveChecksum, VIRTIO_SHORT_HEADER_BYTES, writeVirtioHeader } from './virtio-net.ts';

export interface RawOptions {
  /**
   * The addresses that the stack will have (a prefix length may follow). Opening is refused when the kernel has one of them: it would
   * answer our peers too, with resets.
   */
  readonly addresses?: readonly string[];
  /** Largest IP packet to send, in bytes; default, and at most, what the interface says. */
  readonly mtuBytes?: number;
  /** false: every packet is alone, sent and received; received checksums may be partial all the same. Default true. */
  readonly offload?: boolean;
  /** false: frames are read one by one with recvmsg(2), not from memory shared with the kernel. Default true. */
  readonly ring?: boolean;
}

/** With the Ethernet header a super-segment stays below 64 KiB, which every driver takes (linux/netdevice.h GSO_LEGACY_MAX_SIZE). */
const SEGMENT_BYTES: number = 65_535 - ETHERNET_HEADER_BYTES;
/** Two VLAN tags, and an IPv6 packet, which counts 65,535 bytes behind its header. */
const READ_BYTES: number = VIRTIO_SHORT_HEADER_BYTES + ETHERNET_HEADER_BYTES + 8 + 40 + 65_535;
/** Puts the IP header behind both others at a multiple of 16. */
const READ_OFFSET = 8;
/** How often the kernel is asked what it has dropped, as long as there is something to do. */
const ASK_DROPS_MS = 1000;
/** Room for a burst while the engine is busy; counted with the kernel's overhead. */
const SOCKET_BUFFER_BYTES: number = 8 * 1024 * 1024;

// linux/if_packet.h, asm-generic/socket.h
const ETH_P_ALL = 0x0003;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_STATISTICS = 6;
const PACKET_AUXDATA = 8;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_ALLMULTI = 2;

/**
 * Attaches to an Ethernet interface of the calling thread's network namespace, beside the kernel: with the interface's own station
 * address, and IP addresses that the kernel does not have. Needs CAP_NET_RAW.
 * @param name 1 … 15 characters
 * @throws NetError ARGUMENT_INVALID, DEVICE_FAILED; the message says which command repairs it
 */
export function openRaw(name: string, options: RawOptions = {}): Device {
  checkInterfaceName('an interface', name);
  refuseKernelAddresses(options.addresses ?? []);
  // without a protocol nothing is received before the socket is bound to the interface
  const type = sys.SOCK_RAW | sys.SOCK_NONBLOCK | sys.SOCK_CLOEXEC;
  const fd = sys.socket(sys.AF_PACKET, type, 0);
  if (fd < 0) throw sys.callError('DEVICE_FAILED', Phase.None, 'socket(AF_PACKET)', fd, socketHint(fd));
  try {
    const request = new InterfaceRequest(name);
    ask(fd, SIOCGIFINDEX, request, 'find');
    const index = request.value;
    ask(fd, SIOCGIFHWADDR, request, 'read the station address of');
    const address = request.stationAddress;
    if (address === null) throw failed(`${name} is no Ethernet interface`);
    ask(fd, SIOCGIFMTU, request, 'read the MTU of');
    const mtuBytes = checkMtu(options.mtuBytes ?? request.value, request.value);
    ask(fd, SIOCGIFFLAGS, request, 'read the flags of');
    if ((request.value & IFF_UP) === 0)
      throw failed(`interface ${name} is down; start it with: sudo ip link set ${name} up`);
    const { vnet, ring } = configure(fd, name, index, mtuBytes, options.ring !== false);
    const offload = vnet && options.offload !== false;
    return new RawDevice(fd, name, vnet, ring, {
      mtuBytes,
      txChecksum: offload,
      txSegmentBytes: offload ? SEGMENT_BYTES : 0,
      // linux/virtio_net.h virtio_net_hdr_to_skb: older kernels refuse them with EINVAL. What the interface cannot cut the kernel cuts itself
      txDatagramSegments: offload && kernelIsAtLeast(6, 2),
      ethernet: { address },
    });
  } catch (error) {
    sys.close(fd);
    throw error;
  }
}

function refuseKernelAddresses(addresses: readonly string[]): void {
  const taken = addresses.length === 0 ? null : kernelAddresses();
  for (const text of addresses) {
    const owned = taken?.find(text.split('/')[0] ?? '') ?? null;
    if (owned === null) continue;
    throw failed(
      `the kernel has the address ${text} too and would reset our connections; choose another, or take it from the kernel: sudo ip addr del ${text} dev INTERFACE`,
    );
  }
}

/** @returns whether packets carry a virtio header, and where they are received */
function configure(
  fd: number,
  name: string,
  index: number,
  mtuBytes: number,
  wantsRing: boolean,
): { vnet: boolean; ring: PacketRing | null } {
  const value = new Int32Array(new ArrayBuffer(16));
  const valueAddress = sys.addressOf(value);
  const set = (level: number, option: number, to: number): number => {
    value[0] = to;
    return sys.setsockopt(fd, level, option, valueAddress, 4);
  };
  must(set(SOL_PACKET, PACKET_AUXDATA, 1), 'PACKET_AUXDATA', name);
  const vnet = set(SOL_PACKET, PACKET_VNET_HDR, 1) === 0;
  // older kernels than 4.20 do not know it; what they hand back is told by its packet type
  set(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
  if (set(SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER_BYTES) < 0)
    set(SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER_BYTES);
  if (set(SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER_BYTES) < 0)
    set(SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER_BYTES);
  // struct packet_mreq: index, type, and an address that this type has not. Groups of neighbour discovery are among them.
  value[0] = index;
  value[1] = PACKET_MR_ALLMULTI;
  must(
    sys.setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, valueAddress, 16),
    'PACKET_ADD_MEMBERSHIP',
    name,
  );
  const ring = wantsRing ? PacketRing.open(fd, mtuBytes, vnet ? VIRTIO_SHORT_HEADER_BYTES : 0) : null;
  // struct sockaddr_ll: family, protocol (network order), index
  const link = new DataView(new ArrayBuffer(20));
  link.setUint16(0, sys.AF_PACKET, true);
  link.setUint16(2, ETH_P_ALL);
  link.setInt32(4, index, true);
  const bound = sys.bind(fd, sys.addressOf(link), 20);
  if (bound < 0) ring?.close();
  must(bound, 'bind to', name);
  return { vnet, ring };
}

function ask(fd: number, request: number, ifreq: InterfaceRequest, what: string): void {
  const result = sys.ioctl(fd, request, ifreq.address);
  if (result >= 0) return;
  const hint = result === -sys.Errno.ENODEV ? 'see which there are: ip link' : '';
  throw sys.callError('DEVICE_FAILED', Phase.None, `${what} interface ${ifreq.name}`, result, hint);
}

function must(result: number, what: string, name: string): void {
  if (result < 0) throw sys.callError('DEVICE_FAILED', Phase.None, `${what} ${name}`, result);
}

function failed(detail: string): NetError {
  return new NetError('DEVICE_FAILED', { phase: Phase.None, detail });
}

function socketHint(errno: number): string {
  if (errno !== -sys.Errno.EPERM && errno !== -sys.Errno.EACCES) return '';
  return 'it takes CAP_NET_RAW: run it with sudo, or: sudo setpriv --reuid $USER --init-groups --inh-caps +net_raw --ambient-caps +net_raw COMMAND';
}

/** What is known of a frame beside its bytes. */
type FrameFacts = Pick<PacketReader, 'vlanTag' | 'vlanType' | 'rxFlags'>;

/** Asks the kernel about a packet socket. */
class SocketQuestions {
  /** Two words of an answer, and its length. */
  readonly #answer: Uint32Array = new Uint32Array(new ArrayBuffer(12));
  readonly #address: number = sys.addressOf(this.#answer);

  /** How many packets found no room since it was asked last: the second word of `struct tpacket_stats`. */
  dropped(fd: number): number {
    return this.#ask(fd, SOL_PACKET, PACKET_STATISTICS, 8) ? this.#answer[1]! : 0;
  }

  /** What went wrong since it was asked last, as a positive number; 0: nothing. */
  error(fd: number): number {
    return this.#ask(fd, SOL_SOCKET, SO_ERROR, 4) ? this.#answer[0]! : 0;
  }

  #ask(fd: number, level: number, option: number, lengthBytes: number): boolean {
    this.#answer[2] = lengthBytes;
    return sys.getsockopt(fd, level, option, this.#address, this.#address + 8) >= 0;
  }
}

class RawDevice implements Device {
  readonly name: string;
  readonly capabilities: LinkCapabilities;
  readonly counters = new DeviceCounters();
  readonly #interface: string;
  readonly #vnet: boolean;
  #fd: number;
  readonly #read: Slab = Slab.alloc(READ_OFFSET + READ_BYTES);
  readonly #reader: PacketReader;
  #ring: PacketRing | null;
  readonly #writer: PacketWriter;
  readonly #questions = new SocketQuestions();
  /** When the kernel is asked next what it has dropped. */
  #askDropsMs: number = -Infinity;

  constructor(
    fd: number,
    name: string,
    vnet: boolean,
    ring: PacketRing | null,
    capabilities: LinkCapabilities,
  ) {
    this.#fd = fd;
    this.#ring = ring;
    this.#interface = name;
    this.name = `raw:${name}`;
    this.#vnet = vnet;
    this.capabilities = capabilities;
    this.#writer = new PacketWriter(vnet ? VIRTIO_SHORT_HEADER_BYTES : 0);
    this.#reader = new PacketReader(sys.addressOf(this.#read.bytes) + READ_OFFSET, READ_BYTES);
  }

  get pollFd(): number {
    return this.#fd;
  }

  receive(input: PacketInput, budget: number): number {
    if (this.#ring !== null) return this.#receiveFrom(this.#ring, input, budget);
    for (let packets = 0; packets < budget; packets++) if (!this.#readOne(input)) return packets;
    return budget;
  }

  /** perf: 0.06 µs for a packet instead of 1.8 µs (2 cores); those that are read from the queue cost as before */
  #receiveFrom(ring: PacketRing, input: PacketInput, budget: number): number {
    for (let packets = 0; packets < budget; packets++) {
      if (!ring.next()) {
        // what poll had to say may be that the interface is gone
        if (packets === 0) this.#checkError();
        return packets;
      }
      if (ring.isCut) {
        if (ring.isQueued) this.#readOne(input);
        else this.counters.rxDroppedQueue++;
      } else if (!ring.isOutgoing) {
        this.#handIn(ring.slab, ring.off, ring.lengthBytes, ring, input);
      }
      ring.release();
    }
    return budget;
  }

  /** Reads a frame from the socket's queue. @returns false when there is none */
  #readOne(input: PacketInput): boolean {
    const reader = this.#reader;
    for (;;) {
      const len = reader.read(this.#fd);
      if (len >= 0) {
        if (!reader.isOutgoing) this.#handIn(this.#read, READ_OFFSET, len, reader, input);
        return true;
      }
      if (len === -sys.Errno.EAGAIN) return false;
      this.#checkExists(len);
    }
  }

  /** Hands in a frame with what is known of it. */
  #handIn(slab: Slab, off: number, len: number, about: FrameFacts, input: PacketInput): void {
    // the tag of a virtual LAN, taken out of the frame by the interface
    const { vlanTag } = about;
    const isTagged = (vlanTag & VLAN_ID_MASK) !== 0;
    const tagBytes = isTagged ? VLAN_TAG_BYTES : 0;
    if (isTagged) this.#putTag(slab, off, about.vlanType, vlanTag);
    if (this.#vnet) {
      inputVirtio(
        slab,
        off - tagBytes,
        len + tagBytes,
        input,
        this.counters,
        VIRTIO_SHORT_HEADER_BYTES,
        ETHERNET_HEADER_BYTES + tagBytes,
        this.capabilities.txSegmentBytes === 0,
      );
    } else {
      this.counters.rxPackets++;
      this.counters.rxBytes += len + tagBytes;
      input.input(slab, off - tagBytes, len + tagBytes, about.rxFlags);
    }
  }

  /** Puts a tag back behind the two addresses; what is before it moves. */
  #putTag({ bytes, view }: Slab, off: number, type: number, tag: number): void {
    const movedBytes = (this.#vnet ? VIRTIO_SHORT_HEADER_BYTES : 0) + Ethernet.Type;
    bytes.copyWithin(off - VLAN_TAG_BYTES, off, off + movedBytes);
    const at = off - VLAN_TAG_BYTES + movedBytes;
    view.setUint16(at, type);
    view.setUint16(at + 2, tag);
    if (this.#vnet) moveChecksum(view, off - VLAN_TAG_BYTES, VLAN_TAG_BYTES);
  }

  #checkError(): void {
    const errno = this.#questions.error(this.#fd);
    if (errno !== 0) this.#checkExists(-errno);
  }

  /** Told once when the interface goes down: like a pulled cable, it may come back. @throws NetError DEVICE_LOST when it is gone */
  #checkExists(errno: number): void {
    if (errno !== -sys.Errno.ENETDOWN || !this.#exists()) throw this.#lost('read', errno);
  }

  send(packet: TxPacket): boolean {
    if (this.#vnet) writeVirtioHeader(packet, VIRTIO_SHORT_HEADER_BYTES, ETHERNET_HEADER_BYTES);
    const result = this.#writer.write(this.#fd, packet);
    if (result < 0) return this.#failed(result);
    this.counters.txPackets++;
    this.counters.txBytes += packet.lengthBytes;
    return true;
  }

  /** @returns what `send` returns */
  #failed(errno: number): boolean {
    switch (-errno) {
      case sys.Errno.EAGAIN:
        this.counters.txFull++;
        return false;
      case sys.Errno.ENETDOWN:
        this.counters.txDroppedDown++;
        return true;
      // the interface that the socket was bound to is gone
      case sys.Errno.ENXIO:
      case sys.Errno.ENODEV:
      case sys.Errno.EBADF:
        throw this.#lost('write', errno);
      // lost on the way, as anywhere on a network
      case sys.Errno.ENOBUFS:
        this.counters.txDroppedQueue++;
        return true;
      case sys.Errno.EMSGSIZE:
        this.counters.txDroppedTooLarge++;
        return true;
      default:
        this.counters.txDroppedError++;
        return true;
    }
  }

  #exists(): boolean {
    return sys.ioctl(this.#fd, SIOCGIFINDEX, new InterfaceRequest(this.#interface).address) === 0;
  }

  #lost(call: string, errno: number): NetError {
    return sys.callError('DEVICE_LOST', Phase.Transfer, `${call} on ${this.name}`, errno, 'is it deleted?');
  }

  flush(): void {}

  prepareSleep(): boolean {
    return true;
  }

  awake(): void {}

  nextDeadline(): number {
    return Number.POSITIVE_INFINITY;
  }

  advance(now: number): void {
    if (now < this.#askDropsMs) return;
    this.#askDropsMs = now + ASK_DROPS_MS;
    this.counters.rxDroppedQueue += this.#questions.dropped(this.#fd);
  }

  close(): void {
    if (this.#fd >= 0) sys.close(this.#fd);
    this.#fd = -1;
    this.#ring?.close();
    this.#ring = null;
  }
}
