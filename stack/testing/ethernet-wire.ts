import type { Endpoint } from '../endpoint.ts';
import type { EthernetLink } from '../ip/ethernet-link.ts';
import type { Interface } from '../ip/interface.ts';
import { type PacketSink, RxFlag, type TxPacket } from '../link.ts';
import { SeededRandom } from '../random.ts';
import { Stack } from '../stack.ts';
import { Slab } from '../wire/slab.ts';
import { HeapRings } from './heap-rings.ts';

/** A stack with one Ethernet interface, whose station address is 02:00:00:00:00:`number`. */
export class Station implements PacketSink {
  readonly stack: Stack;
  readonly iface: Interface;
  readonly address: Uint8Array;
  /** How many more frames fit before the device says that it is full. */
  room: number = Infinity;
  readonly #wire: EthernetWire;

  constructor(wire: EthernetWire, number: number, addresses: readonly string[], offload: boolean) {
    this.#wire = wire;
    this.address = Uint8Array.of(2, 0, 0, 0, 0, number);
    const random = new SeededRandom(number);
    this.stack = new Stack({ random, rings: new HeapRings(65_536, 65_536), now: wire.nowMs });
    const capabilities = { mtuBytes: 1500, txChecksum: offload, txSegmentBytes: offload ? 60_000 : 0 };
    this.iface = this.stack.addInterface({
      name: `station${number}`,
      sink: this,
      capabilities: { ...capabilities, ethernet: { address: this.address } },
      addresses,
      gateways: [],
    });
  }

  get link(): EthernetLink {
    return this.iface.link!;
  }

  send(packet: TxPacket): boolean {
    if (this.room <= 0) return false;
    this.room--;
    const bytes = new Uint8Array(packet.lengthBytes);
    packet.gather(bytes, 0);
    const flags = packet.csumStart < 0 ? 0 : RxFlag.ChecksumValid | RxFlag.ChecksumPartial;
    this.#wire.put(this, bytes, flags);
    return true;
  }

  /** Hands a frame to the stack as if it came over the wire. */
  input(frame: Uint8Array, flags = 0): void {
    this.iface.input(new Slab(frame), 0, frame.length, flags, this.#wire.nowMs);
  }

  counters(group: string): Record<string, number> {
    return this.stack.counters.toJSON()[group]!;
  }
}

interface Frame {
  readonly from: Station;
  readonly bytes: Uint8Array;
  readonly flags: number;
}

/** Stations on one Ethernet segment, in virtual time; frames take none. */
export class EthernetWire {
  nowMs = 1000;
  readonly stations: Station[] = [];
  /** Every frame that was on the wire, with its time. */
  readonly trace: { readonly atMs: number; readonly from: Station; readonly bytes: Uint8Array }[] = [];
  /** false: the frame is lost. */
  filter: (frame: Uint8Array, from: Station) => boolean = () => true;
  onEvents: (endpoint: Endpoint, events: number) => void = () => {};
  readonly #frames: Frame[] = [];

  add(number: number, addresses: readonly string[], offload = false): Station {
    const station = new Station(this, number, addresses, offload);
    this.stations.push(station);
    return station;
  }

  put(from: Station, bytes: Uint8Array, flags: number): void {
    this.trace.push({ atMs: this.nowMs, from, bytes });
    if (this.filter(bytes, from)) this.#frames.push({ from, bytes, flags });
  }

  /** Works off everything that happens at this instant. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      for (const { stack } of this.stations) {
        stack.advance(this.nowMs);
        this.#events(stack);
        stack.transmit(this.nowMs);
      }
      const frames = this.#frames.splice(0);
      if (frames.length === 0) return;
      for (const { from, bytes, flags } of frames)
        for (const station of this.stations) if (station !== from) station.input(bytes.slice(), flags);
      for (const { stack } of this.stations) this.#events(stack);
    }
    throw new Error(`no end at ${this.nowMs} ms`);
  }

  #events(stack: Stack): void {
    for (let endpoint = stack.pollEvent(); endpoint !== null; endpoint = stack.pollEvent())
      this.onEvents(endpoint, endpoint.takeEvents());
  }

  runFor(ms: number): void {
    const untilMs = this.nowMs + ms;
    this.settle();
    for (;;) {
      const next = Math.min(...this.stations.map(({ stack }) => stack.nextDeadline()));
      if (next > untilMs) break;
      this.nowMs = Math.max(this.nowMs, next);
      this.settle();
    }
    this.nowMs = untilMs;
  }
}
