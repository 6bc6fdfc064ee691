import { type NetError, Phase } from '../stack/errors.ts';
import type { LinkCapabilities, TxPacket } from '../stack/link.ts';
import { ETHERNET_HEADER_BYTES } from '../stack/wire/ethernet.ts';
import { IP_MAX_PACKET_BYTES } from '../stack/wire/ipv4.ts';
import { type Device, DeviceCounters, type PacketInput } from './device.ts';
import {
  checkInterfaceName,
  checkMtu,
  IFF_RUNNING,
  IFF_UP,
  InterfaceRequest,
  SIOCGIFFLAGS,
  SIOCGIFHWADDR,
  SIOCGIFMTU,
} from './interface-request.ts';
import { IoRing } from './io-ring.ts';
import { PacketBatch } from './packet-batch.ts';
import { PacketWriter } from './packet-writer.ts';
import { ReadAhead } from './read-ahead.ts';
import * as sys from './syscalls.ts';
import { inputVirtio, VIRTIO_HEADER_BYTES, writeVirtioHeader } from './virtio-net.ts';

export interface TunOptions {
  /** Largest IP packet to send, in bytes; default: what the interface says. */
  readonly mtuBytes?: number;
  /** One queue of several, each opened once; the interface must be made for it (`multi_queue`). Default false. */
  readonly multiQueue?: boolean;
  /** false: plain packets, no checksum or segmentation offload. Default true. */
  readonly offload?: boolean;
  /** false: packets are read and written one by one, not several in one system call (io_uring(7)). Default true. */
  readonly ring?: boolean;
}

/** A frame with a tag, and an IPv6 packet, which counts 65,535 bytes behind its header. */
const READ_BYTES: number = VIRTIO_HEADER_BYTES + ETHERNET_HEADER_BYTES + 4 + 40 + 65_535;
/** Puts the IP header behind the virtio header, and an Ethernet header, at a multiple of 16. */
const READ_OFFSET = { tun: 4, tap: 6 } as const;

// linux/if_tun.h (asm-generic numbers)
const TUNSETIFF = 0x400454ca;
const TUNGETFEATURES = 0x800454cf;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNSETVNETLE = 0x400454dc;
const IFF_TUN = 0x0001;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const IFF_MULTI_QUEUE = 0x0100;
const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_TSO_ECN = 0x08;
/** Both or none (kernel: drivers/net/tun.c set_offload). */
const TUN_F_USO = 0x20 | 0x40;
/** What the kernel may leave to us on packets it hands over, from most to least; older kernels refuse the first. */
const OFFLOADS: readonly number[] = [
  TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO,
  TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
  TUN_F_CSUM,
  0,
];

const NO_HEADER = -1;

/** With an Ethernet header a super-segment stays below 64 KiB (kernel: drivers/net/tun.c takes no larger packet). */
const SEGMENT_BYTES = { tun: IP_MAX_PACKET_BYTES, tap: IP_MAX_PACKET_BYTES - ETHERNET_HEADER_BYTES } as const;

/** How long to wait for the kernel to notice that the interface has a carrier. */
const CARRIER_MS = 500;

const CLONE_DEVICE = '/dev/net/tun';

type Mode = 'tun' | 'tap';

/**
 * Attaches to a TUN interface of the calling thread's network namespace; with the right to do so (CAP_NET_ADMIN), one that
 * does not exist is made, and disappears at close.
 * @param name 1 … 15 characters
 * @throws NetError ARGUMENT_INVALID, DEVICE_FAILED; the message says which command repairs it
 */
export function openTun(name: string, options: TunOptions = {}): Device {
  return openClone('tun', name, options);
}

/**
 * The same for a TAP interface: an Ethernet link to the kernel, or to what it is bridged with. Our station is a neighbour of the
 * kernel's, with its address but for the last bit.
 */
export function openTap(name: string, options: TunOptions = {}): Device {
  return openClone('tap', name, options);
}

function openClone(mode: Mode, name: string, options: TunOptions): Device {
  checkInterfaceName(`a ${mode.toUpperCase()} interface`, name);
  const fd = sys.open(CLONE_DEVICE, sys.O_RDWR | sys.O_NONBLOCK);
  if (fd < 0) throw sys.callError('DEVICE_FAILED', Phase.None, `open ${CLONE_DEVICE}`, fd, openHint(fd));
  try {
    const request = new InterfaceRequest(name);
    const features = attach(fd, mode, request, options.offload !== false, options.multiQueue === true);
    const vnet = features !== NO_HEADER;
    const mtuBytes = checkMtu(options.mtuBytes ?? askInterface(SIOCGIFMTU, request), IP_MAX_PACKET_BYTES);
    waitForCarrier(request);
    const ring = options.ring === false ? null : IoRing.open();
    return new TunDevice(fd, mode, request.name, vnet, ring, {
      mtuBytes,
      txChecksum: vnet,
      txSegmentBytes: vnet ? SEGMENT_BYTES[mode] : 0,
      // a kernel that leaves it to others (from 6.2 on) does it for others
      txDatagramSegments: vnet && (features & TUN_F_USO) !== 0,
      ...(mode === 'tap' ? { ethernet: { address: neighbourOf(request) } } : {}),
    });
  } catch (error) {
    sys.closeFile(fd);
    throw error;
  }
}

/** The station address that we have on the link to a TAP interface. */
function neighbourOf(request: InterfaceRequest): Uint8Array {
  askInterface(SIOCGIFHWADDR, request);
  const address = request.slice(2, 6);
  address[5]! ^= 1;
  // IEEE 802 §8.2.2: made here, by no manufacturer
  address[0]! |= 2;
  return address;
}

/** @returns what the kernel may leave to us, see {@link OFFLOADS}; {@link NO_HEADER}: packets carry no virtio header */
function attach(
  fd: number,
  mode: Mode,
  request: InterfaceRequest,
  offload: boolean,
  multiQueue: boolean,
): number {
  const vnet = offload && kernelKnowsVnet(fd, request);
  const kind = (mode === 'tap' ? IFF_TAP : IFF_TUN) | (multiQueue ? IFF_MULTI_QUEUE : 0);
  request.value = kind | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0);
  const result = sys.ioctl(fd, TUNSETIFF, request.address);
  if (result < 0) {
    const hint = attachHint(result, mode, request.name, multiQueue);
    const what = `attach to ${mode.toUpperCase()} interface ${request.name}`;
    throw sys.callError('DEVICE_FAILED', Phase.None, what, result, hint);
  }
  if (!vnet) {
    // a former user of the interface may have left them on
    sys.ioctl(fd, TUNSETOFFLOAD, 0);
    return NO_HEADER;
  }
  request.value = VIRTIO_HEADER_BYTES;
  must(sys.ioctl(fd, TUNSETVNETHDRSZ, request.valueAddress), 'TUNSETVNETHDRSZ', request.name);
  request.value = 1;
  must(sys.ioctl(fd, TUNSETVNETLE, request.valueAddress), 'TUNSETVNETLE', request.name);
  return OFFLOADS.find((features) => sys.ioctl(fd, TUNSETOFFLOAD, features) === 0) ?? 0;
}

function kernelKnowsVnet(fd: number, request: InterfaceRequest): boolean {
  return sys.ioctl(fd, TUNGETFEATURES, request.valueAddress) === 0 && (request.value & IFF_VNET_HDR) !== 0;
}

/** Asks for a value of the interface. */
function askInterface(question: number, request: InterfaceRequest): number {
  // a socket is the only way to ask in the thread's own network namespace; any family does
  const fd = sys.socket(sys.AF_UNIX, sys.SOCK_DGRAM | sys.SOCK_CLOEXEC, 0);
  must(fd, 'socket(AF_UNIX) to ask for its state', request.name);
  const result = sys.ioctl(fd, question, request.address);
  sys.close(fd);
  must(result, 'ask for the state', request.name);
  return request.value;
}

/**
 * Attaching gives the interface its carrier, but the kernel's link watch comes around to it a little later and drops what it
 * has to send until then: the answer to our first packet.
 */
function waitForCarrier(request: InterfaceRequest): void {
  const nap = new Int32Array(new SharedArrayBuffer(4));
  for (let waitedMs = 0; waitedMs < CARRIER_MS; waitedMs++) {
    const flags = askInterface(SIOCGIFFLAGS, request);
    // an interface that is down does not get there
    if ((flags & IFF_UP) === 0 || (flags & IFF_RUNNING) !== 0) return;
    Atomics.wait(nap, 0, 0, 1);
  }
}

function must(result: number, what: string, name: string): void {
  if (result < 0) throw sys.callError('DEVICE_FAILED', Phase.None, `${what} of ${name}`, result);
}

function openHint(errno: number): string {
  switch (-errno) {
    case sys.Errno.EPERM:
    case sys.Errno.EACCES:
      return `allow it with: sudo chmod 0666 ${CLONE_DEVICE}`;
    case sys.Errno.ENOENT:
    case sys.Errno.ENXIO:
    case sys.Errno.ENODEV:
      return `load the driver with: sudo modprobe tun; in a container start it with --device ${CLONE_DEVICE} --cap-add NET_ADMIN`;
    default:
      return '';
  }
}

function attachHint(errno: number, mode: Mode, name: string, multiQueue: boolean): string {
  switch (-errno) {
    case sys.Errno.EPERM:
      return `it does not exist or belongs to another user; make it with: sudo ip tuntap add dev ${name} mode ${mode}${multiQueue ? ' multi_queue' : ''} user $USER`;
    case sys.Errno.EBUSY:
      return 'another process has it open';
    case sys.Errno.EINVAL:
      return `an interface of this name exists and is no ${multiQueue ? 'multi' : 'single'}-queue ${mode.toUpperCase()} interface; see: ip -d link show ${name}`;
    default:
      return '';
  }
}

class TunDevice implements Device {
  readonly name: string;
  readonly capabilities: LinkCapabilities;
  readonly counters = new DeviceCounters();
  readonly #vnet: boolean;
  readonly #linkBytes: number;
  readonly #prefixBytes: number;
  #fd: number;
  readonly #reader: ReadAhead;
  readonly #writer: PacketWriter;
  readonly #ring: IoRing | null;
  /** Null: packets are written one by one. */
  readonly #batch: PacketBatch | null;

  constructor(
    fd: number,
    mode: Mode,
    name: string,
    vnet: boolean,
    ring: IoRing | null,
    capabilities: LinkCapabilities,
  ) {
    this.#fd = fd;
    this.name = `${mode}:${name}`;
    this.#vnet = vnet;
    this.#linkBytes = mode === 'tap' ? ETHERNET_HEADER_BYTES : 0;
    this.#prefixBytes = vnet ? VIRTIO_HEADER_BYTES : 0;
    this.#ring = ring;
    this.#reader = new ReadAhead(ring, READ_OFFSET[mode], READ_BYTES);
    this.#writer = new PacketWriter(this.#prefixBytes);
    this.#batch = ring === null ? null : new PacketBatch(ring, this.#prefixBytes);
    this.capabilities = capabilities;
  }

  get pollFd(): number {
    return this.#fd;
  }

  receive(input: PacketInput, budget: number): number {
    const reader = this.#reader;
    let packets = 0;
    reader.begin();
    for (let isDry = false; !isDry && packets < budget; ) {
      const calls = reader.read(this.#fd, budget - packets);
      for (let i = 0; i < calls; i++) {
        const len = reader.length(i);
        if (len >= 0) {
          this.#handIn(reader.off(i), len, input);
          packets++;
        } else if (len === -sys.Errno.EAGAIN) {
          // one may have come for the call after this
          isDry = true;
        } else {
          throw this.#lost('read', len);
        }
      }
    }
    return packets;
  }

  #handIn(off: number, len: number, input: PacketInput): void {
    const { slab } = this.#reader;
    if (this.#vnet) {
      inputVirtio(slab, off, len, input, this.counters, VIRTIO_HEADER_BYTES, this.#linkBytes);
    } else {
      this.counters.rxPackets++;
      this.counters.rxBytes += len;
      input.input(slab, off, len, 0);
    }
  }

  /** Small packets leave together at the latest at {@link flush}; a write that fails then is counted, and its packet is lost. */
  send(packet: TxPacket): boolean {
    if (this.#vnet) writeVirtioHeader(packet, VIRTIO_HEADER_BYTES, this.#linkBytes);
    const batch = this.#batch;
    if (batch?.take(packet) === true) {
      if (batch.isFull) this.flush();
      return true;
    }
    this.flush();
    return this.#written(this.#writer.write(this.#fd, packet));
  }

  /** @returns what `send` returns */
  #written(result: number): boolean {
    if (result < 0) return this.#failed(result);
    this.counters.txPackets++;
    this.counters.txBytes += result - this.#prefixBytes;
    return true;
  }

  flush(): void {
    const batch = this.#batch;
    if (batch === null || batch.isEmpty) return;
    const count = batch.write(this.#fd);
    // too late for the stack to keep it
    for (let i = 0; i < count; i++) if (!this.#written(batch.result(i))) this.counters.txDroppedQueue++;
  }

  /** @returns what `send` returns */
  #failed(errno: number): boolean {
    switch (-errno) {
      case sys.Errno.EAGAIN:
        this.counters.txFull++;
        return false;
      // the interface is down: like a pulled cable, it may come back
      case sys.Errno.EIO:
        this.counters.txDroppedDown++;
        return true;
      case sys.Errno.EBADFD:
      case sys.Errno.EBADF:
        throw this.#lost('write', errno);
      case sys.Errno.ENOBUFS:
        this.counters.txDroppedQueue++;
        return true;
      default:
        this.counters.txDroppedError++;
        return true;
    }
  }

  #lost(call: string, errno: number): NetError {
    const hint = -errno === sys.Errno.EBADFD ? 'the interface was deleted' : '';
    return sys.callError('DEVICE_LOST', Phase.Transfer, `${call} on ${this.name}`, errno, hint);
  }

  prepareSleep(): boolean {
    return true;
  }

  awake(): void {}

  nextDeadline(): number {
    return Number.POSITIVE_INFINITY;
  }

  advance(): void {}

  close(): void {
    if (this.#fd >= 0) sys.closeFile(this.#fd);
    this.#fd = -1;
    this.#ring?.close();
  }
}
