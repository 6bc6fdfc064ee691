import { EndpointEvent } from '../endpoint.ts';
import type { Interface } from '../ip/interface.ts';
import type { PacketSink, TxPacket } from '../link.ts';
import { SeededRandom } from '../random.ts';
import { Stack } from '../stack.ts';
import { HeapRings } from '../testing/heap-rings.ts';
import { addressOf, ipPacket } from '../testing/packets.ts';
import { foldChecksum, sumPseudoHeader, sumSlab } from '../wire/checksum.ts';
import { IPV4_HEADER_BYTES, IpProtocol } from '../wire/ipv4.ts';
import { IPV6_HEADER_BYTES } from '../wire/ipv6.ts';
import { Slab } from '../wire/slab.ts';
import { TCP_HEADER_BYTES, Tcp, TcpFlag, type TcpOptions, writeTcpHeader } from '../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpListener } from './listener.ts';
import { Segment } from './segment.ts';
import type { ConnectOptions } from './tcp-layer.ts';

/** Near the wrap of sequence numbers, so that every test crosses it. */
export const TEST_ISS: number = 0xffffff00 | 0;
export const TEST_IRS: number = 0xffffff80 | 0;

const FLAG_LETTERS: readonly (readonly [string, number])[] = [
  ['S', TcpFlag.Syn],
  ['F', TcpFlag.Fin],
  ['R', TcpFlag.Rst],
  ['P', TcpFlag.Psh],
  ['A', TcpFlag.Ack],
  ['U', TcpFlag.Urg],
  ['E', TcpFlag.Ece],
  ['W', TcpFlag.Cwr],
];

/** A segment in tcpdump's manner. Sequence numbers are relative: `seq` to the sender's ISS, `ack` to the receiver's. */
export interface SegmentFields {
  /** 'S', 'SA', 'A', 'PA', 'FA', 'RA', … */
  readonly flags: string;
  readonly seq: number;
  readonly ack?: number;
  /** The window field, not scaled. Default 65535. */
  readonly win?: number;
  /** Text, or a number of bytes. */
  readonly data?: string | number;
  readonly urgent?: number;
  readonly mss?: number;
  readonly windowShift?: number;
  readonly sackPermitted?: boolean;
  /** TSval and TSecr. */
  readonly ts?: readonly [number, number];
  readonly sack?: readonly (readonly [number, number])[];
  /** Raw options in place of those above. */
  readonly rawOptions?: Uint8Array;
}

/** A segment that the stack has sent. */
export interface SeenSegment {
  readonly flags: string;
  readonly seq: number;
  readonly ack: number;
  readonly win: number;
  readonly urgent: number;
  readonly text: string;
  readonly length: number;
  readonly options: TcpOptions;
  /** Bytes of the Fast Open option; empty: none, or a request. */
  readonly cookie: number[];
  readonly sack: readonly (readonly [number, number])[];
  /** Payload of each segment the device is to make; 0: it is one. */
  readonly gsoBytes: number;
  readonly comment: string;
  readonly atMs: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** How a test wants its stack. */
export interface BenchOptions {
  readonly family?: 4 | 6;
  readonly mtuBytes?: number;
  readonly txSegmentBytes?: number;
  readonly sendRingBytes?: number;
  readonly recvRingBytes?: number;
  /** Further addresses of the stack, with their prefixes. */
  readonly moreAddresses?: readonly string[];
  /** Initial sequence number of the stack. */
  readonly iss?: number;
  /** What an active open sends besides address and port. */
  readonly connect?: Partial<ConnectOptions>;
  /** Time between SYN and SYN-ACK in `established`; default 0. */
  readonly rttMs?: number;
  /** Default: none. */
  readonly quickAcks?: number;
  /** Default: off. */
  readonly tailLossProbe?: boolean;
  /** Options of the peer's SYN or SYN-ACK. */
  readonly peer?: Partial<SegmentFields>;
}

/**
 * A stack whose peer is the test: segments go in as literals, what is sent is looked at one by one, time stands still until
 * the test moves it.
 */
export class TcpBench implements PacketSink {
  readonly stack: Stack;
  readonly iface: Interface;
  readonly rings: HeapRings;
  own: string;
  readonly peer: string;
  now = 10_000;
  /** Packets the device still takes. */
  room: number = Infinity;
  peerPort = 80;
  ownPort = 0;
  /** The one under test. */
  connection!: TcpConnection;
  listener!: TcpListener;
  /** Events that its owner has seen so far, bits. */
  events = 0;
  readonly #sent: SeenSegment[] = [];
  readonly #iss: number;

  constructor(options: BenchOptions = {}) {
    const v6 = options.family === 6;
    this.own = v6 ? '2001:db8::1' : '192.0.2.1';
    this.peer = v6 ? '2001:db8::2' : '192.0.2.2';
    this.rings = new HeapRings(options.sendRingBytes ?? 65_536, options.recvRingBytes ?? 65_536);
    this.stack = new Stack({ random: new SeededRandom(1), rings: this.rings, now: this.now });
    this.iface = this.stack.addInterface({
      name: 'test0',
      sink: this,
      capabilities: {
        mtuBytes: options.mtuBytes ?? 1500,
        txChecksum: false,
        txSegmentBytes: options.txSegmentBytes ?? 0,
      },
      addresses: [v6 ? `${this.own}/64` : `${this.own}/24`, ...(options.moreAddresses ?? [])],
      gateways: [],
    });
    this.stack.tcp.settings.quickAcks = options.quickAcks ?? 0;
    // Its round trips take no time at all: probes would come at once
    this.stack.tcp.settings.tailLossProbe = options.tailLossProbe ?? false;
    this.#iss = options.iss ?? TEST_ISS;
    const iss = this.#iss;
    this.stack.tcp.isn = { compute: () => {}, isn: () => iss, timestampOffset: 0 };
  }

  /** An active open, its SYN not yet looked at. */
  static synSent(options: BenchOptions = {}): TcpBench {
    const bench = new TcpBench(options);
    bench.connect(options.connect);
    return bench;
  }

  /** An active open that is established; nothing is left to look at. The peer offers no options unless told. */
  static established(options: BenchOptions = {}): TcpBench {
    const bench = TcpBench.synSent(options);
    bench.take();
    if (options.rttMs !== undefined) bench.wait(options.rttMs);
    bench.seg({ flags: 'SA', seq: 0, ack: 1, win: 65_535, mss: 1460, ...options.peer });
    bench.take();
    bench.takeEvents();
    return bench;
  }

  /** A connection that a listener on port 80 has accepted. */
  static accepted(options: BenchOptions = {}): TcpBench {
    const bench = new TcpBench(options);
    const listener = bench.listen(80);
    bench.seg({ flags: 'S', seq: 0, win: 65_535, mss: 1460, ...options.peer });
    bench.take();
    bench.seg({ flags: 'A', seq: 1, ack: 1 });
    bench.accept(listener);
    bench.takeEvents();
    return bench;
  }

  connect(options: Partial<ConnectOptions> = {}): TcpConnection {
    this.connection = this.stack.tcp.connect({
      remote: addressOf(this.peer),
      remotePort: this.peerPort,
      local: null,
      localPort: 0,
      noDelay: false,
      keepAlive: null,
      ...options,
    });
    this.ownPort = this.connection.localPort;
    this.settle();
    return this.connection;
  }

  listen(port: number, backlog = 8): TcpListener {
    const listener = this.stack.tcp.listen({ local: null, port, backlog });
    this.ownPort = port;
    this.peerPort = 50_000;
    return listener;
  }

  accept(listener: TcpListener): TcpConnection {
    const connection = listener.accept();
    if (connection === null) throw new Error('nothing to accept');
    this.connection = connection;
    this.settle();
    return connection;
  }

  /** A segment from the peer arrives; what it makes the stack send is sent. */
  seg(fields: SegmentFields): void {
    this.arrive(fields);
    this.settle();
  }

  /** Segments arrive in one batch. */
  batch(...segments: readonly SegmentFields[]): void {
    for (const fields of segments) this.arrive(fields);
    this.settle();
  }

  arrive(fields: SegmentFields): void {
    const packet = ipPacket(
      { from: this.peer, to: this.own, protocol: IpProtocol.Tcp },
      this.bytesOf(fields),
    );
    this.iface.input(new Slab(packet), 0, packet.length, 0, this.now);
  }

  /** The segment as bytes, its checksum right. */
  bytesOf(fields: SegmentFields): Uint8Array {
    const options = fields.rawOptions ?? optionBytes(fields, this.#iss);
    const data =
      typeof fields.data === 'number'
        ? new Uint8Array(fields.data).fill(0x61)
        : new TextEncoder().encode(fields.data ?? '');
    const headerBytes = TCP_HEADER_BYTES + options.length;
    const slab = Slab.alloc(headerBytes + data.length);
    let flags = 0;
    for (const [letter, bit] of FLAG_LETTERS) if (fields.flags.includes(letter)) flags |= bit;
    const ack = fields.ack === undefined ? 0 : (this.#iss + fields.ack) | 0;
    writeTcpHeader(
      slab.view,
      0,
      this.peerPort,
      this.ownPort,
      (TEST_IRS + fields.seq) | 0,
      ack,
      headerBytes,
      flags,
      fields.win ?? 65_535,
    );
    slab.view.setUint16(Tcp.Urgent, fields.urgent ?? 0);
    slab.bytes.set(options, TCP_HEADER_BYTES);
    slab.bytes.set(data, headerBytes);
    const pseudo = sumPseudoHeader(addressOf(this.peer), addressOf(this.own), 6, slab.lengthBytes);
    slab.view.setUint16(Tcp.Checksum, foldChecksum(sumSlab(slab, 0, slab.lengthBytes, pseudo)));
    return slab.bytes;
  }

  /** Lets events out and segments too. */
  settle(): void {
    this.stack.transmit(this.now);
    for (let endpoint = this.stack.pollEvent(); endpoint !== null; endpoint = this.stack.pollEvent()) {
      const events = endpoint.takeEvents();
      if (endpoint === this.connection) this.events |= events;
    }
  }

  /** The clock moves on by `ms`, stopping at every deadline on the way. */
  wait(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = this.stack.nextDeadline();
      if (next > end) break;
      this.now = Math.max(next, this.now);
      this.stack.advance(this.now);
      this.settle();
    }
    this.now = end;
    this.stack.advance(end);
    this.settle();
  }

  /** Everything sent since the last call. */
  take(): SeenSegment[] {
    return this.#sent.splice(0);
  }

  /** Events since the last call. */
  takeEvents(): number {
    const events = this.events;
    this.events = 0;
    return events;
  }

  get isClosed(): boolean {
    return (this.events & EndpointEvent.Closed) !== 0;
  }

  /** The application writes; all of it must fit. */
  write(data: string | number): void {
    const bytes = typeof data === 'number' ? new Uint8Array(data).fill(0x62) : new TextEncoder().encode(data);
    const ring = this.connection.sendRing;
    if (ring === null || ring.write(bytes, 0, bytes.length) < bytes.length) {
      throw new Error('the send ring is full');
    }
    this.connection.appWrote();
    this.settle();
  }

  /** The application reads what there is, at most `limit` bytes. */
  read(limit: number = 1 << 20): string {
    const ring = this.connection.recvRing;
    if (ring === null) return '';
    const bytes = new Uint8Array(Math.min(ring.usedBytes, limit));
    ring.read(bytes, 0, bytes.length);
    this.connection.appRead();
    this.settle();
    return new TextDecoder().decode(bytes);
  }

  send(packet: TxPacket): boolean {
    if (this.room <= 0) return false;
    this.room--;
    const slab = Slab.alloc(packet.lengthBytes);
    packet.gather(slab.bytes, 0);
    this.#sent.push(this.#see(slab, packet));
    return true;
  }

  #see(slab: Slab, packet: TxPacket): SeenSegment {
    const ipBytes = this.own.includes(':') ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES;
    const seg = new Segment();
    const length = slab.lengthBytes - ipBytes;
    const sum = sumPseudoHeader(addressOf(this.own), addressOf(this.peer), 6, length);
    if (foldChecksum(sumSlab(slab, ipBytes, length, sum)) !== 0) throw new Error('wrong checksum');
    if (!seg.read(slab, ipBytes, length) || !seg.optionsLegal) throw new Error('malformed segment');
    let flags = '';
    for (const [letter, bit] of FLAG_LETTERS) if (seg.flags & bit) flags += letter;
    const { options } = seg;
    const sack: [number, number][] = [];
    for (let i = 0; i < options.sackBlocks; i++) {
      sack.push([(options.sackLeft[i]! - TEST_IRS) | 0, (options.sackRight[i]! - TEST_IRS) | 0]);
    }
    return {
      flags,
      seq: (seg.seq - this.#iss) | 0,
      ack: (seg.flags & TcpFlag.Ack) !== 0 ? (seg.ack - TEST_IRS) | 0 : 0,
      win: seg.windowField,
      urgent: seg.urgentPointer,
      text: new TextDecoder().decode(slab.bytes.subarray(seg.payloadOff, seg.payloadOff + seg.payloadLen)),
      length: seg.payloadLen,
      options,
      cookie: [
        ...slab.bytes.subarray(options.cookieOff, options.cookieOff + Math.max(options.cookieBytes, 0)),
      ],
      sack,
      gsoBytes: packet.gsoBytes,
      comment: packet.comment,
      atMs: this.now,
      sourcePort: seg.sourcePort,
      destinationPort: seg.destinationPort,
    };
  }
}

/** `flags seq:ack length` of segments, to compare at a glance. */
export function brief(segments: readonly SeenSegment[]): string[] {
  return segments.map((seg) => `${seg.flags} ${seg.seq} ack ${seg.ack} len ${seg.length}`);
}

function optionBytes(fields: SegmentFields, iss: number): Uint8Array {
  const bytes: number[] = [];
  const word = (value: number): number[] => [
    (value >>> 24) & 255,
    (value >>> 16) & 255,
    (value >>> 8) & 255,
    value & 255,
  ];
  if (fields.mss !== undefined) bytes.push(2, 4, fields.mss >> 8, fields.mss & 255);
  if (fields.windowShift !== undefined) bytes.push(3, 3, fields.windowShift);
  if (fields.sackPermitted) bytes.push(4, 2);
  if (fields.ts !== undefined) bytes.push(8, 10, ...word(fields.ts[0]), ...word(fields.ts[1]));
  if (fields.sack !== undefined && fields.sack.length > 0) {
    bytes.push(5, 2 + 8 * fields.sack.length);
    for (const [left, right] of fields.sack) bytes.push(...word(iss + left), ...word(iss + right));
  }
  while (bytes.length % 4 !== 0) bytes.push(1);
  return Uint8Array.from(bytes);
}
