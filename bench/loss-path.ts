/**
 * One transfer over a path that loses packets, in real time: `loss-path.ts JSON`, started in the receiver's network namespace. The
 * receiver is the kernel; the sender is the kernel of another namespace, or our stack in this process. Both meet the same impairment,
 * which decides about a packet by its number. Prints the result as JSON.
 */
import type { Device } from '../drivers/device.ts';
import { impair } from '../drivers/impair.ts';
import { POLLIN, PollSet } from '../drivers/syscalls.ts';
import { openTun } from '../drivers/tun.ts';
import type { Interface } from '../stack/ip/interface.ts';
import { HEADROOM_BYTES, TxPacket } from '../stack/link.ts';
import { SeededRandom } from '../stack/random.ts';
import { Stack } from '../stack/stack.ts';
import type { TcpConnection } from '../stack/tcp/connection.ts';
import { HeapRings } from '../stack/testing/heap-rings.ts';
import { addressOf } from '../stack/testing/packets.ts';
import { copyBytes } from '../stack/wire/copy.ts';
import { IpProtocol, Ipv4, ipv4HeaderBytes } from '../stack/wire/ipv4.ts';
import { Slab } from '../stack/wire/slab.ts';
import { Tcp, TcpFlag } from '../stack/wire/tcp.ts';
import { Lab } from '../test/netns.ts';

export const LOSS_PORT = 7000;
export const SENDER_ADDRESS = '10.77.0.1';
export const RECEIVER_ADDRESS = '10.77.0.2';
/** The path: 100 Mbit/s, 40 ms there and back, a queue of one bandwidth-delay product; the same in bench/netsim.ts. */
export const RATE_BPS = 100_000_000;
export const ONE_WAY_MS = 20;
export const QUEUE_PACKETS = 340;
const RING_BYTES = 1 << 22;
const BUDGET = 64;

/** What one transfer is. */
export interface LossJob {
  /** The sender's namespace; '': our stack sends. */
  readonly senderNamespace: string;
  readonly tun: string;
  readonly bytes: number;
  readonly seed: number;
  /** Of the packets with data, 0 … 1. */
  readonly loss: number;
  readonly congestion: string;
  readonly limitMs: number;
}

/** What it took. */
export interface LossResult {
  /** From the SYN until the sender could know that everything has arrived; -1: not within the limit. */
  readonly tookMs: number;
  /** Packets that the path took from the sender, and lost by chance and by its full queue. */
  readonly packets: number;
  readonly lost: number;
  readonly lostQueueFull: number;
}

/** Sends what comes from one device to another. */
class Forwarder {
  readonly #to: Device;
  readonly #tx: TxPacket = new TxPacket(Slab.alloc(HEADROOM_BYTES + 65_536));

  constructor(to: Device) {
    this.#to = to;
  }

  input(slab: Slab, off: number, len: number): void {
    const { head } = this.#tx;
    this.#tx.reset();
    copyBytes(slab.bytes, off, head.bytes, HEADROOM_BYTES, len);
    this.#tx.headLen = len;
    this.#to.send(this.#tx);
  }
}

/** Follows the connection by its packets. */
class Progress {
  startedMs = -1;
  doneMs = -1;
  #iss = 0;
  readonly #bytes: number;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  sent(slab: Slab, off: number, now: number): void {
    const at = tcpOffset(slab, off);
    if (at < 0 || this.startedMs >= 0 || (slab.view.getUint8(at + Tcp.Flags) & TcpFlag.Syn) === 0) return;
    this.startedMs = now;
    this.#iss = slab.view.getInt32(at + Tcp.Sequence);
  }

  received(slab: Slab, off: number, now: number): void {
    const at = tcpOffset(slab, off);
    if (at < 0 || this.startedMs < 0 || this.doneMs >= 0) return;
    const acked = (slab.view.getInt32(at + Tcp.Acknowledgment) - this.#iss - 1) | 0;
    if (acked >= this.#bytes) this.doneMs = now;
  }
}

function tcpOffset(slab: Slab, off: number): number {
  const { view } = slab;
  const version = view.getUint8(off) >>> 4;
  if (version !== 4 || view.getUint8(off + Ipv4.Protocol) !== IpProtocol.Tcp) return -1;
  return off + ipv4HeaderBytes(view, off);
}

/** Our stack with a connection that has something to send. */
class OwnSender {
  readonly #stack: Stack;
  readonly #iface: Interface;
  readonly #connection: TcpConnection;
  readonly #chunk: Uint8Array = new Uint8Array(65_536);
  #left: number;

  constructor(device: Device, job: LossJob, now: number) {
    const rings = new HeapRings(RING_BYTES, RING_BYTES);
    this.#stack = new Stack({ random: new SeededRandom(job.seed), rings, now });
    this.#iface = this.#stack.addInterface({
      name: 'path',
      sink: device,
      capabilities: device.capabilities,
      addresses: [`${SENDER_ADDRESS}/24`],
      gateways: [],
    });
    this.#left = job.bytes;
    this.#connection = this.#stack.tcp.connect({
      remote: addressOf(RECEIVER_ADDRESS),
      remotePort: LOSS_PORT,
      local: null,
      localPort: 0,
      noDelay: false,
      keepAlive: null,
      congestion: job.congestion,
    });
  }

  input(slab: Slab, off: number, len: number, flags: number, now: number): void {
    this.#iface.input(slab, off, len, flags, now);
  }

  nextDeadline(): number {
    return this.#stack.nextDeadline();
  }

  turn(now: number): void {
    this.#stack.advance(now);
    const ring = this.#connection.sendRing;
    if (ring !== null && this.#left > 0) {
      while (this.#left > 0 && ring.freeBytes > 0) {
        this.#left -= ring.write(this.#chunk, 0, Math.min(this.#chunk.length, this.#left, ring.freeBytes));
      }
      this.#connection.appWrote();
      if (this.#left === 0) this.#connection.shutdown();
    }
    for (let endpoint = this.#stack.pollEvent(); endpoint !== null; endpoint = this.#stack.pollEvent())
      endpoint.takeEvents();
    this.#stack.transmit(now);
  }
}

function run(job: LossJob): LossResult {
  const clock = (): number => performance.now();
  const path = { delayMs: ONE_WAY_MS, rateBps: RATE_BPS, queuePackets: QUEUE_PACKETS };
  const impaired = impair(openTun(job.tun, { offload: false }), {
    clock,
    seed: job.seed,
    out: { ...path, loss: job.loss },
    in: path,
  });
  const kernel = job.senderNamespace !== '';
  const tun = kernel
    ? new Lab(job.senderNamespace, '').within(() => openTun(job.tun, { offload: false }))
    : null;
  const progress = new Progress(job.bytes);
  const out = new Forwarder(impaired);
  const back = tun === null ? null : new Forwarder(tun);
  const own = kernel ? null : new OwnSender(watched(impaired, progress, clock), job, clock());
  const fromSender = {
    input: (slab: Slab, off: number, len: number): void => {
      progress.sent(slab, off, clock());
      out.input(slab, off, len);
    },
  };
  const fromReceiver = {
    input: (slab: Slab, off: number, len: number, flags: number): void => {
      const now = clock();
      progress.received(slab, off, now);
      if (own !== null) own.input(slab, off, len, flags, now);
      else back?.input(slab, off, len);
    },
  };
  const poll = new PollSet(2);
  poll.set(0, impaired.pollFd, POLLIN);
  if (tun !== null) poll.set(1, tun.pollFd, POLLIN);
  process.stdout.write('ready\n');
  const endMs = clock() + job.limitMs;
  while (progress.doneMs < 0 && clock() < endMs) {
    impaired.advance(clock());
    const received = impaired.receive(fromReceiver, BUDGET);
    const sent = tun?.receive(fromSender, BUDGET) ?? 0;
    own?.turn(clock());
    impaired.flush();
    tun?.flush();
    if (received > 0 || sent > 0) continue;
    const next = Math.min(impaired.nextDeadline(), own?.nextDeadline() ?? Infinity, endMs);
    poll.wait(Math.max(next - clock(), 0));
  }
  const { out: counters } = impaired.impaired;
  impaired.close();
  tun?.close();
  return {
    tookMs: progress.doneMs < 0 ? -1 : progress.doneMs - progress.startedMs,
    packets: counters.packets,
    lost: counters.lostRandom,
    lostQueueFull: counters.lostQueueFull,
  };
}

/** The device, with a look at what is sent. */
function watched(device: Device, progress: Progress, clock: () => number): Device {
  const flat = Slab.alloc(65_536);
  return new Proxy(device, {
    get(target, key) {
      if (key !== 'send') return Reflect.get(target, key, target);
      return (packet: TxPacket) => {
        if (progress.startedMs < 0) {
          packet.gather(flat.bytes, 0);
          progress.sent(flat, 0, clock());
        }
        return target.send(packet);
      };
    },
  });
}

if (import.meta.main) console.log(JSON.stringify(run(JSON.parse(process.argv[2] ?? '{}') as LossJob)));
