import type { DatagramEndpoint, RingSource } from '../../stack/context.ts';
import type { Interface } from '../../stack/ip/interface.ts';
import type { PacketSink, TxPacket } from '../../stack/link.ts';
import { SeededRandom } from '../../stack/random.ts';
import { Ring } from '../../stack/ring.ts';
import { Stack } from '../../stack/stack.ts';
import type { TcpConnection } from '../../stack/tcp/connection.ts';
import type { SequenceSource } from '../../stack/tcp/isn.ts';
import { TcpState } from '../../stack/tcp/tcp-state.ts';
import { IpAddress } from '../../stack/wire/ip-address.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { decodePacket, type LivePacket } from './packet.ts';
import type { ScriptProfile } from './profile.ts';

/** Where the clock of a run begins, ms: not at 0, which might look like "never". */
const START_MS = 1_000_000;
/** A run in which one instant never ends is a defect of the stack. */
const MAX_ROUNDS = 10_000;
/** Our initial sequence numbers: every connection crosses the wrap after 256 octets. */
const LOCAL_ISN = 0xffffff00 | 0;

/** packetdrill's addresses. */
const ADDRESSES = {
  4: { local: '192.168.0.1', prefix: 16, gateway: '192.168.255.254', remote: '192.0.2.1' },
  6: { local: 'fd3d:fa7b:d17d::1', prefix: 48, gateway: 'fd3d:fa7b:d17d:8888::2', remote: '2001:db8::1' },
} as const;

/** What a script's options say of the network. */
const DEFAULT_SEED = 1;

export interface ScriptNetwork {
  readonly family: 4 | 6;
  readonly mtuBytes: number;
  /** `--local_ip`, `--remote_ip`; undefined: packetdrill's own. */
  readonly local?: string | undefined;
  readonly remote?: string | undefined;
  readonly seed?: number | undefined;
}

/** Which sides use Fast Open, as `sysctl` sets it; the rest is in the stack's own settings. */
export interface FastOpenDefaults {
  client: boolean;
  /** Listeners may use it when they ask for it … */
  server: boolean;
  /** … and do without asking. */
  allListeners: boolean;
}

/** Buffers of new sockets, as `sysctl` sets them; the rest is in the stack's own settings. */
export interface BufferDefaults {
  receiveBufferBytes: number;
  sendBufferBytes: number;
}

/** A stack under a virtual clock with the script as its only device. */
export class ScriptHost implements PacketSink {
  readonly stack: Stack;
  readonly family: 4 | 6;
  readonly local: IpAddress;
  readonly remote: IpAddress;
  readonly defaults: BufferDefaults;
  readonly fastOpen: FastOpenDefaults;
  /** Keep-alive of new sockets: seconds, seconds, probes. */
  readonly keepAlive: { idle: number; interval: number; count: number };
  readonly profile: ScriptProfile;
  /** What the stack has sent and the script has not looked at yet, oldest first. */
  readonly sent: LivePacket[] = [];
  /** Called after everything that may change what the application sees. */
  afterStep: () => void = () => {};
  /** Called when a packet was worked off, before what it causes is sent. */
  beforeTransmit: () => void = () => {};
  /** Called with every connection that a listener has made, before its SYN-ACK is sent. */
  onPassive: (connection: TcpConnection) => void = () => {};
  readonly #iface: Interface;
  readonly #seen: WeakSet<TcpConnection> = new WeakSet();
  /** When their handshakes ended, in the stack's time. */
  readonly #establishedAt: WeakMap<TcpConnection, number> = new WeakMap();
  #nowUs = 0;

  constructor(profile: ScriptProfile, network: ScriptNetwork) {
    const { family, mtuBytes } = network;
    const addresses = {
      ...ADDRESSES[family],
      ...(network.local === undefined ? {} : { local: network.local }),
      ...(network.remote === undefined ? {} : { remote: network.remote }),
    };
    this.profile = profile;
    this.family = family;
    this.local = addressOf(addresses.local);
    this.remote = addressOf(addresses.remote);
    this.defaults = {
      receiveBufferBytes: profile.receiveBufferBytes,
      sendBufferBytes: profile.sendBufferBytes,
    };
    this.stack = new Stack({
      random: new SeededRandom(network.seed ?? DEFAULT_SEED),
      rings: new ScriptRings(this),
      now: START_MS,
    });
    this.keepAlive = { ...profile.keepAlive };
    this.fastOpen = { ...profile.fastOpen };
    this.stack.tcp.isn = FIXED_SEQUENCE;
    if (profile.fastOpenKey !== null) this.stack.tcp.fastOpenCookies.setKey(profile.fastOpenKey);
    Object.assign(this.stack.tcp.settings, profile.settings);
    this.#iface = this.stack.addInterface({
      name: 'script0',
      sink: this,
      capabilities: { mtuBytes, txChecksum: false, txSegmentBytes: 0 },
      addresses: [`${addresses.local}/${addresses.prefix}`],
      gateways: [addresses.gateway],
    });
  }

  /** Microseconds since the start of the run. */
  get nowUs(): number {
    return this.#nowUs;
  }

  /** The stack sends. */
  send(packet: TxPacket): boolean {
    const bytes = new Uint8Array(packet.lengthBytes);
    packet.gather(bytes, 0);
    this.sent.push(decodePacket(bytes, this.#nowUs));
    return true;
  }

  /** The peer sends. */
  inject(bytes: Uint8Array): void {
    const slab = new Slab(bytes);
    this.#iface.input(slab, 0, bytes.length, 0, this.#ms);
    this.beforeTransmit();
    this.settle();
  }

  /** Lets the stack do and send all it wants at this instant. */
  settle(): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      this.#meetConnections();
      const before = this.sent.length;
      this.stack.transmit(this.#ms);
      let busy = this.sent.length > before;
      for (let endpoint = this.stack.pollEvent(); endpoint !== null; endpoint = this.stack.pollEvent()) {
        endpoint.takeEvents();
        busy = true;
      }
      if (!busy) {
        this.afterStep();
        return;
      }
    }
    throw new Error('the stack has something to do without end at one instant');
  }

  /** Runs until `stop` says so or the clock shows `limitUs`. @returns false: the limit came first */
  run(limitUs: number, stop: () => boolean): boolean {
    while (!stop()) {
      const at = this.#nextUs();
      if (at > limitUs) {
        if (limitUs === Infinity) return false;
        this.#advance(Math.max(limitUs, this.#nowUs));
        return stop();
      }
      this.#advance(at);
    }
    return true;
  }

  #nextUs(): number {
    const deadline = this.stack.nextDeadline();
    return deadline === Infinity ? Infinity : Math.max(Math.ceil((deadline - START_MS) * 1000), this.#nowUs);
  }

  #advance(us: number): void {
    this.#nowUs = us;
    this.stack.advance(this.#ms);
    this.settle();
  }

  get #ms(): number {
    return START_MS + this.#nowUs / 1000;
  }

  /** How long a connection is established, ms; 0: it was never. */
  ageMs(connection: TcpConnection): number {
    return this.#ms - (this.#establishedAt.get(connection) ?? this.#ms);
  }

  /** Sets what the application says of a connection before anything of it is sent. */
  #meetConnections(): void {
    for (const flow of this.stack.tcp.table) {
      if (!('passive' in flow)) continue;
      if (!this.#seen.has(flow)) {
        this.#seen.add(flow);
        flow.recvLimitBytes = this.defaults.receiveBufferBytes;
        if (flow.passive) this.onPassive(flow);
      }
      if (flow.isSynchronized && !this.#establishedAt.has(flow)) this.#establishedAt.set(flow, this.#ms);
      const knowsMss = flow.state >= (flow.passive ? TcpState.Established : TcpState.SynReceived);
      if (this.profile.roundReceiveBuffer && knowsMss) roundReceiveBuffer(flow);
    }
  }
}

/** FreeBSD, tcp_mss(): the buffer becomes a multiple of the MSS. */
function roundReceiveBuffer(c: TcpConnection): void {
  const segment = Math.min(c.peerMss, c.advMss);
  if (c.recvLimitBytes > segment) c.recvLimitBytes = Math.ceil(c.recvLimitBytes / segment) * segment;
}

/** Rings from the heap, as large as the buffers asked for. */
class ScriptRings implements RingSource {
  readonly elastic = null;
  readonly #host: ScriptHost;

  constructor(host: ScriptHost) {
    this.#host = host;
  }

  open(endpoint: TcpConnection | DatagramEndpoint): boolean {
    const { receiveBufferBytes, sendBufferBytes } = this.#host.defaults;
    // Twice the buffer: the limit may be rounded up, and out-of-order data beyond it has a place
    endpoint.recvRing = Ring.alloc(powerOfTwo(2 * receiveBufferBytes));
    endpoint.sendRing = Ring.alloc(powerOfTwo(sendBufferBytes));
    return true;
  }

  close(): void {}
}

const FIXED_SEQUENCE: SequenceSource = {
  compute: () => {},
  isn: () => LOCAL_ISN,
  timestampOffset: 0x7fff0000,
};

function powerOfTwo(atLeast: number): number {
  let size = 1024;
  while (size < atLeast) size *= 2;
  return size;
}

function addressOf(text: string): IpAddress {
  const address = IpAddress.parse(text);
  if (address === null) throw new Error(`not an address: ${text}`);
  return address;
}
