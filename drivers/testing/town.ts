import { type Endpoint, EndpointEvent } from '../../stack/endpoint.ts';
import type { Ping } from '../../stack/ip/ping.ts';
import { SeededRandom } from '../../stack/random.ts';
import { TcpConnection } from '../../stack/tcp/connection.ts';
import { TcpListener } from '../../stack/tcp/listener.ts';
import type { UdpSocket } from '../../stack/udp/udp-socket.ts';
import { IpAddress } from '../../stack/wire/ip-address.ts';
import { createMemoryHub, openMemoryHub } from '../hub.ts';
import { type ImpairedDevice, impair } from '../impair.ts';
import type { Impairments } from '../impair-options.ts';
import { Lab, type LabHost } from './lab.ts';

/** Then everything must have ended by itself: retransmissions give up after a quarter of an hour. */
const QUIET_MINUTES = 60;
const PORT = 7;
const KEEP_ALIVE = { idleMs: 60_000, intervalMs: 10_000, count: 5 };

/** All that can be done to a link, of a strength that lets most connections live. */
function impairments(random: SeededRandom, seen: Impairments['drop'] & {}, corrupt: number): Impairments {
  const part = (most: number): number => (random.uint32() / 0x1_0000_0000) * most;
  const rateBps = 200_000 + part(2_000_000);
  return {
    mtuBytes: 1400,
    // TCP does not get through a black hole
    mtuPolicy: random.uint32() % 8 === 0 ? 'drop' : 'refuse',
    lossEvery: 50 + (random.uint32() % 100),
    lossPackets: [1, 5, 6, 7],
    drop: seen,
    loss: part(0.02),
    burstLoss: { toBad: part(0.004), toGood: 0.3, lossInBad: 0.9, lossInGood: 0.001 },
    ecn: random.uint32() % 2 === 0,
    duplicate: part(0.02),
    corrupt,
    truncate: part(0.01),
    rateBps,
    queuePackets: 40,
    queueBytes: 40_000,
    ecnThresholdPackets: 20,
    delayMs: 1 + part(40),
    jitterMs: part(10),
    distribution: random.uint32() % 2 === 0 ? 'normal' : 'uniform',
    keepOrder: random.uint32() % 3 === 0,
    reorder: part(0.02),
  };
}

/** FNV-1a over all packets that stacks sent and received, with their times. */
export class Trace {
  hash = 0x811c9dc5;
  packets = 0;

  add(nowMs: number, bytes: Uint8Array, off: number, len: number): void {
    this.packets++;
    this.#mix(Math.floor(nowMs * 1000));
    this.#mix(len);
    for (let i = off; i < off + len; i++) this.#mix(bytes[i]!);
  }

  #mix(value: number): void {
    this.hash = Math.imul(this.hash ^ value, 0x01000193);
  }
}

/** One end of a connection: sends a stream that can be checked, reads all, and closes when both are done. */
export class Stream {
  readonly connection: TcpConnection;
  readonly #toSend: number;
  written = 0;
  received = 0;
  isRight = true;
  error: string | null = null;
  readonly #buffer = new Uint8Array(8192);

  constructor(connection: TcpConnection, bytes: number) {
    this.connection = connection;
    this.#toSend = bytes;
  }

  pump(events: number): void {
    const { connection } = this;
    const { sendRing, recvRing } = connection;
    if ((events & EndpointEvent.Closed) !== 0) this.error = connection.error;
    if (sendRing === null || recvRing === null) return;
    const before = this.written;
    while (this.written < this.#toSend && sendRing.freeBytes > 0) {
      const length = Math.min(this.#buffer.length, this.#toSend - this.written);
      for (let i = 0; i < length; i++) this.#buffer[i] = Stream.byteAt(this.written + i);
      this.written += sendRing.write(this.#buffer, 0, length);
    }
    if (this.written > before) connection.appWrote();
    while (recvRing.usedBytes > 0) {
      const length = recvRing.read(this.#buffer, 0, this.#buffer.length);
      for (let i = 0; i < length; i++)
        if (this.#buffer[i] !== Stream.byteAt(this.received + i)) this.isRight = false;
      this.received += length;
      connection.appRead();
    }
    if (this.written === this.#toSend) connection.shutdown();
    if ((events & EndpointEvent.PeerFinished) !== 0) connection.close();
  }

  static byteAt(at: number): number {
    return (Math.imul(at, 0x9e3779b1) >>> 24) & 255;
  }
}

/** Hosts that talk to each other at random over links with all impairments, and what came of it. */
export class Town {
  readonly lab: Lab = new Lab();
  readonly trace: Trace = new Trace();
  readonly #minutes: number;
  readonly hosts: LabHost[] = [];
  readonly links: ImpairedDevice[] = [];
  readonly streams: Stream[] = [];
  readonly pings: Ping[] = [];
  readonly sockets: UdpSocket[] = [];
  readonly listeners: TcpListener[] = [];
  datagrams = 0;
  /** What was done to packets on all links, by reason. */
  get impaired(): Map<string, number> {
    const happened = new Map<string, number>();
    for (const counters of this.links.flatMap((link) => [link.impaired.in, link.impaired.out]))
      for (const [reason, count] of Object.entries(counters))
        happened.set(reason, (happened.get(reason) ?? 0) + count);
    return happened;
  }

  /** Streams of which everything arrived that was sent. */
  get whole(): number {
    return this.streams.filter((stream) => stream.error === null && stream.received > 0).length;
  }

  /** What is not as it must be after {@link run}; empty: nothing leaked, and what arrived is what was sent. */
  get faults(): string[] {
    const faults: string[] = [];
    const check = (is: boolean, what: string): void => {
      if (!is) faults.push(what);
    };
    for (const stream of this.streams) check(stream.isRight, 'a stream arrived changed');
    for (const ping of this.pings) check(ping.closed, 'a ping has not ended');
    check(this.lab.nextMs() === Infinity, 'something waits for a time');
    for (const { stack, rings, device } of this.hosts) {
      const held = {
        rings: rings.openCount,
        connections: stack.tcp.table.size,
        timeWaits: stack.tcp.timeWaits.size,
        sockets: stack.udp.socketCount,
        probes: stack.icmp.probes.count,
        reassemblies: stack.ipInput.reassembler.openCount,
        timers: stack.timers.size,
      };
      for (const [kind, count] of Object.entries(held))
        check(count === 0, `${device.name} holds ${count} ${kind}`);
    }
    return faults;
  }

  readonly #byConnection = new Map<Endpoint, Stream>();
  readonly #random: SeededRandom;

  /** @param count hosts, 2 … 64 @param minutes of talk */
  constructor(seed: number, count: number, minutes: number) {
    this.#minutes = minutes;
    const random = new SeededRandom(seed);
    this.#random = random;
    const { lab, trace } = this;
    lab.onEvents = (host, endpoint, events) => this.#happened(host, endpoint, events);
    lab.onPacket = (slab, off, len) => trace.add(lab.nowMs, slab.bytes, off, len);
    for (const [i, port] of createMemoryHub({ ports: count }).entries()) {
      const seen: Impairments['drop'] = (slab, off, len) => {
        trace.add(lab.nowMs, slab.bytes, off, len);
        return slab.bytes[off + len - 1] === 0xa5;
      };
      const fromMs = 60_000 + 40_000 * i;
      const down = [{ fromMs, toMs: fromMs + 10_000 }];
      const link = impair(openMemoryHub(port), {
        clock: lab.clock,
        seed: seed * count + i,
        // one bit on the whole way: two can cancel each other out in the Internet checksum
        in: { ...impairments(random, seen, 0), down },
        out: { ...impairments(random, seen, 0.015), down },
      });
      this.links.push(link);
      const host = lab.add(link, [`192.0.2.${i + 1}/24`, `2001:db8::${i + 1}/64`], seed * 100 + i);
      this.hosts.push(host);
      this.listeners.push(host.stack.tcp.listen({ local: null, port: PORT, backlog: 16 }));
      this.sockets.push(this.#openUdp(host, PORT));
    }
  }

  run(): void {
    const { lab } = this;
    const endMs = lab.nowMs + this.#minutes * 60_000;
    while (lab.nowMs < endMs) {
      lab.run(Math.min(lab.nowMs + this.#below(450), endMs));
      this.#act();
    }
    for (const one of [...this.listeners, ...this.sockets]) one.close();
    // their drop is no part of the traffic
    lab.run(endMs + QUIET_MINUTES * 60_000);
  }

  #act(): void {
    const host = this.hosts[this.#below(this.hosts.length)]!;
    const toIndex = this.#below(this.hosts.length);
    if (this.hosts[toIndex] === host) return;
    const family = this.#below(2) === 0 ? '192.0.2.' : '2001:db8::';
    const to = IpAddress.parse(`${family}${toIndex + 1}`)!;
    switch (this.#below(5)) {
      case 0:
        this.pings.push(
          host.stack.icmp.ping({ destination: to, intervalMs: 200, payloadBytes: this.#below(3000) }),
        );
        return;
      case 1: {
        const connection = host.stack.tcp.connect({
          remote: to,
          remotePort: PORT,
          local: null,
          localPort: 0,
          noDelay: false,
          keepAlive: KEEP_ALIVE,
        });
        this.#add(connection, this.#below(60_000)).pump(0);
        return;
      }
      default: {
        const bytes = new Uint8Array(this.#below(4000)).fill(this.#below(256));
        this.sockets[this.hosts.indexOf(host)]!.sendTo(bytes, 0, bytes.length, to, PORT);
      }
    }
  }

  #happened(_host: LabHost, endpoint: Endpoint, events: number): void {
    if (endpoint instanceof TcpListener) {
      for (let accepted = endpoint.accept(); accepted !== null; accepted = endpoint.accept()) {
        accepted.setKeepAlive(KEEP_ALIVE);
        this.#add(accepted, this.#below(30_000)).pump(0);
      }
    } else if (endpoint instanceof TcpConnection) {
      this.#byConnection.get(endpoint)?.pump(events);
    }
  }

  #add(connection: TcpConnection, bytes: number): Stream {
    const stream = new Stream(connection, bytes);
    this.streams.push(stream);
    this.#byConnection.set(connection, stream);
    return stream;
  }

  #openUdp(host: LabHost, localPort: number): UdpSocket {
    return host.stack.udp.open({
      local: null,
      localPort,
      remote: null,
      remotePort: 0,
      broadcast: false,
      // ECN-capable: ECT(0)
      trafficClass: 2,
      receiver: { datagram: () => this.datagrams++ },
    });
  }

  #below(limit: number): number {
    return this.#random.uint32() % limit;
  }
}
