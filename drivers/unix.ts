import { randomBytes } from 'node:crypto';
import { NetError, Phase } from '../stack/errors.ts';
import type { LinkCapabilities, TxPacket } from '../stack/link.ts';
import { ETHERNET_ADDRESS_BYTES, ETHERNET_HEADER_BYTES } from '../stack/wire/ethernet.ts';
import { Slab } from '../stack/wire/slab.ts';
import { type Device, DeviceCounters, type PacketInput } from './device.ts';
import { checkMtu } from './interface-request.ts';
import { PacketWriter } from './packet-writer.ts';
import * as sys from './syscalls.ts';

export interface UnixOptions {
  /** Largest IP packet, in bytes. Default 1500. */
  readonly mtuBytes?: number;
  /** Our own, six bytes. Default: chosen by chance, locally administered. */
  readonly stationAddress?: Uint8Array;
  /** The device's name; default `unix:PATH`. */
  readonly name?: string;
}

const DEFAULT_MTU_BYTES = 1500;
/** Before each frame its length, in network order (qemu: net/stream.c; passt: tap.c). */
const LENGTH_BYTES = 4;
/** The longest frame that QEMU takes (include/net/net.h: NET_BUFSIZE); more is no stream of frames. */
const MAX_FRAME_BYTES: number = 4096 + 65_536;
const MAX_MTU_BYTES = 65_535;
/** One read brings as many frames as there are; a frame that is cut off is moved to the start. */
const READ_BYTES: number = 4 * (LENGTH_BYTES + MAX_FRAME_BYTES);
/** How often the rest of a frame is offered to a stream that is full, in milliseconds. */
const RETRY_MS = 1;

/** linux/un.h: a path with its final zero. */
const PATH_BYTES = 108;
const SOCKET_BUFFER_BYTES: number = 4 * 1024 * 1024;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;

/**
 * Connects to a stream socket that carries Ethernet frames, each behind its length: QEMU's `-netdev stream`, passt, and what speaks like
 * them. Needs no privilege.
 * @throws NetError ARGUMENT_INVALID, DEVICE_FAILED
 */
export function openUnix(path: string, options: UnixOptions = {}): Device {
  const mtuBytes = checkMtu(options.mtuBytes ?? DEFAULT_MTU_BYTES, MAX_MTU_BYTES);
  const address = options.stationAddress ?? randomStation();
  const fd = sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK | sys.SOCK_CLOEXEC, 0);
  if (fd < 0) throw sys.callError('DEVICE_FAILED', Phase.None, 'socket(AF_UNIX)', fd);
  try {
    connectTo(fd, path);
    return new FrameStream(fd, options.name ?? `unix:${path}`, {
      mtuBytes,
      txChecksum: false,
      txSegmentBytes: 0,
      ethernet: { address },
    });
  } catch (error) {
    sys.close(fd);
    throw error;
  }
}

function connectTo(fd: number, path: string): void {
  const name = Buffer.from(path);
  if (name.length === 0 || name.length >= PATH_BYTES || name.includes(0)) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `the path of a socket has 1 … ${PATH_BYTES - 1} bytes, got '${path}'`,
    });
  }
  const size = new Int32Array(new ArrayBuffer(4));
  size[0] = SOCKET_BUFFER_BYTES;
  sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, sys.addressOf(size), 4);
  // struct sockaddr_un: family, path
  const address = new Uint8Array(new ArrayBuffer(2 + PATH_BYTES));
  address[0] = sys.AF_UNIX;
  address.set(name, 2);
  const result = sys.connect(fd, sys.addressOf(address), 2 + name.length + 1);
  if (result < 0)
    throw sys.callError('DEVICE_FAILED', Phase.None, `connect to ${path}`, result, hint(result));
}

function hint(errno: number): string {
  switch (-errno) {
    case sys.Errno.ENOENT:
    case sys.Errno.ECONNREFUSED:
      return 'nothing listens there; start passt -s PATH, or qemu with -netdev stream,server=on,addr.type=unix,addr.path=PATH';
    case sys.Errno.EAGAIN:
      return 'it has a connection already';
    default:
      return '';
  }
}

/** IEEE 802 §8.2.2: made here, by no manufacturer; one station. */
function randomStation(): Uint8Array {
  const address = new Uint8Array(randomBytes(ETHERNET_ADDRESS_BYTES));
  address[0] = (address[0]! & 0xfc) | 2;
  return address;
}

class FrameStream implements Device {
  readonly name: string;
  readonly capabilities: LinkCapabilities;
  readonly counters = new DeviceCounters();
  #fd: number;
  readonly #read: Slab = Slab.alloc(READ_BYTES);
  readonly #readAddress: number = sys.addressOf(this.#read.bytes);
  /** What was read and not handed in yet. */
  #from = 0;
  #end = 0;
  readonly #writer = new PacketWriter(LENGTH_BYTES);
  /** The rest of a frame that the stream has taken a part of: it has to follow before anything else. */
  readonly #rest: Slab = Slab.alloc(LENGTH_BYTES + MAX_FRAME_BYTES);
  readonly #restAddress: number = sys.addressOf(this.#rest.bytes);
  #restFrom = 0;
  #restEnd = 0;
  #now = 0;

  constructor(fd: number, name: string, capabilities: LinkCapabilities) {
    this.#fd = fd;
    this.name = name;
    this.capabilities = capabilities;
  }

  get pollFd(): number {
    return this.#fd;
  }

  receive(input: PacketInput, budget: number): number {
    for (let packets = 0; ; packets++) {
      if (packets === budget) return budget;
      if (!this.#hasFrame() && !this.#readOn()) return packets;
      const lengthBytes = this.#read.view.getUint32(this.#from);
      const off = this.#from + LENGTH_BYTES;
      this.#from = off + lengthBytes;
      if (lengthBytes <= ETHERNET_HEADER_BYTES) {
        this.counters.rxDroppedShort++;
        continue;
      }
      this.counters.rxPackets++;
      this.counters.rxBytes += lengthBytes;
      input.input(this.#read, off, lengthBytes, 0);
    }
  }

  /** Whether a whole frame lies in memory. @throws NetError DEVICE_LOST when what comes is no stream of frames */
  #hasFrame(): boolean {
    const available = this.#end - this.#from;
    if (available < LENGTH_BYTES) return false;
    const lengthBytes = this.#read.view.getUint32(this.#from);
    if (lengthBytes <= MAX_FRAME_BYTES) return available >= LENGTH_BYTES + lengthBytes;
    throw new NetError('DEVICE_LOST', {
      phase: Phase.Transfer,
      detail: `${this.name}: expected a frame of at most ${MAX_FRAME_BYTES} bytes, got the length ${lengthBytes}`,
    });
  }

  /** Reads until there is a whole frame. @returns false when there is none yet */
  #readOn(): boolean {
    const { bytes } = this.#read;
    for (;;) {
      if (this.#from > 0) bytes.copyWithin(0, this.#from, this.#end);
      this.#end -= this.#from;
      this.#from = 0;
      const got = sys.read(this.#fd, this.#readAddress + this.#end, READ_BYTES - this.#end);
      if (got === -sys.Errno.EAGAIN) return false;
      if (got < 0) throw this.#lost('read', got);
      if (got === 0) throw this.#ended();
      this.#end += got;
      if (this.#hasFrame()) return true;
    }
  }

  send(packet: TxPacket): boolean {
    const lengthBytes = packet.lengthBytes;
    if (lengthBytes > MAX_FRAME_BYTES) {
      this.counters.txDroppedTooLarge++;
      return true;
    }
    if (!this.#sendRest()) {
      this.counters.txFull++;
      return false;
    }
    packet.head.view.setUint32(packet.headOff - LENGTH_BYTES, lengthBytes);
    const result = this.#writer.write(this.#fd, packet);
    if (result === -sys.Errno.EAGAIN) {
      this.counters.txFull++;
      return false;
    }
    if (result < 0) throw this.#lost('write', result);
    if (result < LENGTH_BYTES + lengthBytes) {
      this.#rest.view.setUint32(0, lengthBytes);
      packet.gather(this.#rest.bytes, LENGTH_BYTES);
      this.#restFrom = result;
      this.#restEnd = LENGTH_BYTES + lengthBytes;
    }
    this.counters.txPackets++;
    this.counters.txBytes += lengthBytes;
    return true;
  }

  /** @returns false when there is still some left */
  #sendRest(): boolean {
    while (this.#restFrom < this.#restEnd) {
      const left = this.#restEnd - this.#restFrom;
      const result = sys.write(this.#fd, this.#restAddress + this.#restFrom, left);
      if (result === -sys.Errno.EAGAIN) return false;
      if (result < 0) throw this.#lost('write', result);
      this.#restFrom += result;
    }
    return true;
  }

  #lost(call: string, errno: number): NetError {
    if (errno === -sys.Errno.EPIPE || errno === -sys.Errno.ECONNRESET) return this.#ended();
    return sys.callError('DEVICE_LOST', Phase.Transfer, `${call} on ${this.name}`, errno);
  }

  #ended(): NetError {
    return new NetError('DEVICE_LOST', {
      phase: Phase.Transfer,
      detail: `${this.name}: the other side has closed the connection`,
    });
  }

  flush(): void {}

  prepareSleep(): boolean {
    return true;
  }

  awake(): void {}

  nextDeadline(): number {
    return this.#restFrom < this.#restEnd ? this.#now + RETRY_MS : Number.POSITIVE_INFINITY;
  }

  advance(now: number): void {
    this.#now = now;
    this.#sendRest();
  }

  close(): void {
    if (this.#fd >= 0) sys.close(this.#fd);
    this.#fd = -1;
  }
}
