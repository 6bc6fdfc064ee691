import type { RxPacket, StackContext } from '../context.ts';
import { NetError, Phase } from '../errors.ts';
import { IP_MAX_PACKET_BYTES } from '../wire/ipv4.ts';
import { IPV6_HEADER_BYTES } from '../wire/ipv6.ts';
import { Slab } from '../wire/slab.ts';
import { type RawOptions, RawSocket } from './raw-socket.ts';

/** Raw sockets of one stack: each packet is compared with all of them. */
export const MAX_RAW_SOCKETS = 256;

/** What raw sockets sent, received and dropped. */
export class RawCounters {
  opened = 0;
  delivered = 0;
  sent = 0;
  dropReceiveRingFull = 0;
  dropSendQueueFull = 0;
  /** No way to the destination, too long, no packet … */
  dropSendFailed = 0;
}

/** The raw sockets of a stack. */
export class RawLayer {
  readonly counters: RawCounters;
  readonly #context: StackContext;
  readonly #sockets: RawSocket[] = [];
  #scratch: Slab | null = null;

  constructor(context: StackContext) {
    this.#context = context;
    this.counters = context.counters.group('raw', new RawCounters());
  }

  /** Open sockets now. Zero: nobody is to be asked. */
  get socketCount(): number {
    return this.#sockets.length;
  }

  /** Where packets are put together. */
  get scratch(): Slab {
    this.#scratch ??= Slab.alloc(IP_MAX_PACKET_BYTES + IPV6_HEADER_BYTES);
    return this.#scratch;
  }

  /** @throws NetError ARGUMENT_INVALID, ADDRESS_NOT_AVAILABLE, NO_BUFFERS */
  open(options: RawOptions): RawSocket {
    const { local = null, ttl, trafficClass, checksumOffset = -1 } = options;
    check('protocol', options.protocol, 0, 255);
    if (ttl !== undefined) check('ttl', ttl, 1, 255);
    if (trafficClass !== undefined) check('trafficClass', trafficClass, 0, 255);
    check('checksumOffset', checksumOffset, -1, IP_MAX_PACKET_BYTES - 2);
    if (checksumOffset > 0 && checksumOffset % 2 !== 0)
      throw invalid(`checksumOffset is even, got ${checksumOffset}`);
    if (local !== null && !this.#context.ip.isOwnAddress(local)) {
      throw new NetError('ADDRESS_NOT_AVAILABLE', {
        phase: Phase.Route,
        detail: `${local} is not an address of this stack`,
        address: local.toString(),
      });
    }
    if (this.#sockets.length >= MAX_RAW_SOCKETS) throw noBuffers(`${MAX_RAW_SOCKETS} raw sockets are open`);
    const socket = new RawSocket(this, this.#context, options);
    socket.owner = options.owner ?? -1;
    if (socket.receiver === null && !this.#context.rings.open(socket))
      throw noBuffers('no memory for the rings of a socket');
    this.#sockets.push(socket);
    this.counters.opened++;
    return socket;
  }

  /** Gives copies of a packet to those that want it. @returns whether there is one, however full */
  copy(rx: RxPacket, protocol: number): boolean {
    let wanted = false;
    for (let i = 0; i < this.#sockets.length; i++) {
      const socket = this.#sockets[i]!;
      if (socket.protocol !== protocol) continue;
      const { local } = socket;
      if (
        local !== null &&
        (local.family !== rx.family || (!rx.multicast && !isTo(rx, local.w0, local.w1, local.w2, local.w3)))
      )
        continue;
      wanted = true;
      socket.deliver(rx);
    }
    return wanted;
  }

  forget(socket: RawSocket): void {
    const at = this.#sockets.indexOf(socket);
    if (at >= 0) this.#sockets.splice(at, 1);
    if (socket.receiver === null) this.#context.rings.close(socket);
  }
}

function isTo(rx: RxPacket, w0: number, w1: number, w2: number, w3: number): boolean {
  return rx.dst3 === w3 && rx.dst2 === w2 && rx.dst1 === w1 && rx.dst0 === w0;
}

function check(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw invalid(`${name} of a raw socket is ${least} … ${most}, got ${value}`);
}

function invalid(detail: string): NetError {
  return new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}

function noBuffers(detail: string): NetError {
  return new NetError('NO_BUFFERS', { phase: Phase.Connect, detail });
}
