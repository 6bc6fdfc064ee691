import { NetError, Phase } from '../stack/errors.ts';
import type { LinkCapabilities, TxPacket } from '../stack/link.ts';
import { Slab } from '../stack/wire/slab.ts';
import { type Device, DeviceCounters, type PacketInput } from './device.ts';
import { InterfaceRequest } from './interface-request.ts';
import * as sys from './syscalls.ts';
import { inputVirtio, VIRTIO_HEADER_BYTES, writeVirtioHeader } from './virtio-net.ts';

export interface TunOptions {
  /** Largest IP packet to send, in bytes; default: what the interface says. */
  readonly mtuBytes?: number;
  /** false: plain packets, no checksum or segmentation offload. Default true. */
  readonly offload?: boolean;
}

/** The smallest MTU that both families can work with (RFC 791 §3.2). */
const MIN_MTU_BYTES = 68;
/** RFC 791 §3.1: the length field has 16 bits. */
const MAX_PACKET_BYTES = 65_535;
/** linux/if.h: IFNAMSIZ less the final zero. */
const MAX_NAME_BYTES = 15;
/** An IPv6 packet counts 65,535 bytes behind its header. */
const READ_BYTES: number = VIRTIO_HEADER_BYTES + 40 + 65_535;
/** Puts the IP header behind the virtio header at a multiple of 16. */
const READ_OFFSET = 4;

// linux/if_tun.h, linux/sockios.h (asm-generic numbers)
const TUNSETIFF = 0x400454ca;
const TUNGETFEATURES = 0x800454cf;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNSETVNETLE = 0x400454dc;
const SIOCGIFFLAGS = 0x8913;
const SIOCGIFMTU = 0x8921;
const IFF_UP = 0x0001;
const IFF_RUNNING = 0x0040;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
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

/** How long to wait for the kernel to notice that the interface has a carrier. */
const CARRIER_MS = 500;

const CLONE_DEVICE = '/dev/net/tun';

/**
 * Attaches to a TUN interface of the calling thread's network namespace; with the right to do so (CAP_NET_ADMIN), one that
 * does not exist is made, and disappears at close.
 * @param name 1 … 15 characters
 * @throws NetError ARGUMENT_INVALID, DEVICE_FAILED; the message says which command repairs it
 */
export function openTun(name: string, options: TunOptions = {}): Device {
  if (!/^[^\s/]+$/.test(name) || Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `a TUN interface name has 1 … ${MAX_NAME_BYTES} characters without blanks and slashes, got '${name}'`,
    });
  }
  const fd = sys.open(CLONE_DEVICE, sys.O_RDWR | sys.O_NONBLOCK);
  if (fd < 0) throw sys.callError('DEVICE_FAILED', Phase.None, `open ${CLONE_DEVICE}`, fd, openHint(fd));
  try {
    const request = new InterfaceRequest(name);
    const vnet = attach(fd, request, options.offload !== false);
    const mtuBytes = options.mtuBytes ?? askInterface(SIOCGIFMTU, request);
    if (!Number.isInteger(mtuBytes) || mtuBytes < MIN_MTU_BYTES || mtuBytes > MAX_PACKET_BYTES) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `an MTU is ${MIN_MTU_BYTES} … ${MAX_PACKET_BYTES} bytes, got ${mtuBytes}`,
      });
    }
    waitForCarrier(request);
    return new TunDevice(fd, request.name, mtuBytes, vnet);
  } catch (error) {
    sys.closeFile(fd);
    throw error;
  }
}

/** @returns whether packets carry a virtio header */
function attach(fd: number, request: InterfaceRequest, offload: boolean): boolean {
  const vnet = offload && kernelKnowsVnet(fd, request);
  request.value = IFF_TUN | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0);
  const result = sys.ioctl(fd, TUNSETIFF, request.address);
  if (result < 0) {
    const hint = attachHint(result, request.name);
    throw sys.callError('DEVICE_FAILED', Phase.None, `attach to TUN interface ${request.name}`, result, hint);
  }
  if (!vnet) {
    // a former user of the interface may have left them on
    sys.ioctl(fd, TUNSETOFFLOAD, 0);
    return false;
  }
  request.value = VIRTIO_HEADER_BYTES;
  must(sys.ioctl(fd, TUNSETVNETHDRSZ, request.valueAddress), 'TUNSETVNETHDRSZ', request.name);
  request.value = 1;
  must(sys.ioctl(fd, TUNSETVNETLE, request.valueAddress), 'TUNSETVNETLE', request.name);
  for (const features of OFFLOADS) if (sys.ioctl(fd, TUNSETOFFLOAD, features) === 0) break;
  return true;
}

function kernelKnowsVnet(fd: number, request: InterfaceRequest): boolean {
  return sys.ioctl(fd, TUNGETFEATURES, request.valueAddress) === 0 && (request.value & IFF_VNET_HDR) !== 0;
}

/** Asks for a value of the interface. */
function askInterface(question: number, request: InterfaceRequest): number {
  // a socket is the only way to ask in the thread's own network namespace; any family does
  const fd = sys.socket(sys.AF_UNIX, sys.SOCK_DGRAM | sys.SOCK_CLOEXEC, 0);
  must(fd, 'socket(AF_UNIX) to ask for the MTU and the state', request.name);
  const result = sys.ioctl(fd, question, request.address);
  sys.close(fd);
  must(result, 'SIOCGIFMTU or SIOCGIFFLAGS', request.name);
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

function attachHint(errno: number, name: string): string {
  switch (-errno) {
    case sys.Errno.EPERM:
      return `it does not exist or belongs to another user; make it with: sudo ip tuntap add dev ${name} mode tun user $USER`;
    case sys.Errno.EBUSY:
      return 'another process has it open';
    case sys.Errno.EINVAL:
      return `an interface of this name exists and is no single-queue TUN interface; see: ip -d link show ${name}`;
    default:
      return '';
  }
}

class TunDevice implements Device {
  readonly name: string;
  readonly capabilities: LinkCapabilities;
  readonly counters = new DeviceCounters();
  readonly #vnet: boolean;
  #fd: number;
  readonly #read: Slab = Slab.alloc(READ_OFFSET + READ_BYTES);
  readonly #readAddress: number = sys.addressOf(this.#read.bytes) + READ_OFFSET;
  readonly #pieces = new sys.IoVector(3);
  /** A stack has one slab for heads and mostly one for bodies: the last ones, with where they lie. */
  #head: Slab = this.#read;
  #headAddress = 0;
  #body: Slab = this.#read;
  #bodyAddress = 0;

  constructor(fd: number, name: string, mtuBytes: number, vnet: boolean) {
    this.#fd = fd;
    this.name = `tun:${name}`;
    this.#vnet = vnet;
    this.capabilities = { mtuBytes, txChecksum: vnet, txSegmentBytes: vnet ? MAX_PACKET_BYTES : 0 };
  }

  get pollFd(): number {
    return this.#fd;
  }

  receive(input: PacketInput, budget: number): number {
    for (let packets = 0; packets < budget; packets++) {
      const len = sys.read(this.#fd, this.#readAddress, READ_BYTES);
      if (len < 0) {
        if (len === -sys.Errno.EAGAIN) return packets;
        throw this.#lost('read', len);
      }
      if (this.#vnet) {
        inputVirtio(this.#read, READ_OFFSET, len, input, this.counters);
      } else {
        this.counters.rxPackets++;
        this.counters.rxBytes += len;
        input.input(this.#read, READ_OFFSET, len, 0);
      }
    }
    return budget;
  }

  send(packet: TxPacket): boolean {
    if (packet.head !== this.#head || this.#headAddress === 0) {
      this.#head = packet.head;
      this.#headAddress = sys.addressOf(packet.head.bytes);
    }
    let address = this.#headAddress + packet.headOff;
    let len = packet.headLen;
    if (this.#vnet) {
      writeVirtioHeader(packet);
      address -= VIRTIO_HEADER_BYTES;
      len += VIRTIO_HEADER_BYTES;
    }
    const result =
      packet.bodyLen === 0 ? sys.write(this.#fd, address, len) : this.#gather(packet, address, len);
    if (result < 0) return this.#failed(result);
    this.counters.txPackets++;
    this.counters.txBytes += packet.lengthBytes;
    return true;
  }

  #gather(packet: TxPacket, address: number, len: number): number {
    if (packet.body !== this.#body || this.#bodyAddress === 0) {
      this.#body = packet.body;
      this.#bodyAddress = sys.addressOf(packet.body.bytes);
    }
    const pieces = this.#pieces;
    pieces.set(0, address, len);
    pieces.set(1, this.#bodyAddress + packet.bodyOff, packet.bodyLen);
    if (packet.body2Len === 0) return sys.writev(this.#fd, pieces.address, 2);
    pieces.set(2, this.#bodyAddress + packet.body2Off, packet.body2Len);
    return sys.writev(this.#fd, pieces.address, 3);
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
      default:
        this.counters.txDroppedError++;
        return true;
    }
  }

  #lost(call: string, errno: number): NetError {
    const hint = -errno === sys.Errno.EBADFD ? 'the interface was deleted' : '';
    return sys.callError('DEVICE_LOST', Phase.Transfer, `${call} on ${this.name}`, errno, hint);
  }

  flush(): void {}

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
  }
}
