import type { Endpoint } from '../../stack/endpoint.ts';
import type { Interface } from '../../stack/ip/interface.ts';
import { SeededRandom } from '../../stack/random.ts';
import { Stack } from '../../stack/stack.ts';
import { HeapRings } from '../../stack/testing/heap-rings.ts';
import type { Slab } from '../../stack/wire/slab.ts';
import type { Device, PacketInput } from '../device.ts';

/** Beyond these a test is stuck. */
const MAX_ROUNDS = 10_000;
const MAX_STEPS_AT_INSTANT = 1000;
const RECEIVE_BUDGET = 64;

/** One stack on one device, driven as an engine drives it. */
export class LabHost implements PacketInput {
  readonly stack: Stack;
  readonly rings: HeapRings;
  readonly device: Device;
  readonly iface: Interface;
  readonly #lab: Lab;

  constructor(lab: Lab, device: Device, addresses: readonly string[], seed: number, ringBytes: number) {
    this.#lab = lab;
    this.device = device;
    this.rings = new HeapRings(ringBytes, ringBytes);
    this.stack = new Stack({ random: new SeededRandom(seed), rings: this.rings, now: lab.nowMs });
    this.iface = this.stack.addInterface({
      name: device.name,
      sink: device,
      capabilities: device.capabilities,
      addresses,
      gateways: [],
    });
  }

  input(slab: Slab, off: number, len: number, flags: number): void {
    this.#lab.onPacket(slab, off, len);
    this.iface.input(slab, off, len, flags, this.#lab.nowMs);
  }

  nextMs(): number {
    return Math.min(this.stack.nextDeadline(), this.device.nextDeadline());
  }

  /** One turn. @returns true when something happened, or may happen at this instant yet */
  turn(): boolean {
    const { stack, device } = this;
    const { nowMs } = this.#lab;
    device.advance(nowMs);
    stack.advance(nowMs);
    let busy = device.receive(this, RECEIVE_BUDGET) > 0;
    busy = this.#drain() || busy;
    stack.transmit(nowMs);
    device.flush();
    busy = this.#drain() || busy;
    if (!device.prepareSleep()) return true;
    device.awake();
    return busy;
  }

  #drain(): boolean {
    let busy = false;
    for (let endpoint = this.stack.pollEvent(); endpoint !== null; endpoint = this.stack.pollEvent()) {
      busy = true;
      this.#lab.onEvents(this, endpoint, endpoint.takeEvents());
    }
    return busy;
  }
}

/** Any number of stacks on devices, in virtual time. */
export class Lab {
  nowMs = 1000;
  readonly hosts: LabHost[] = [];
  onEvents: (host: LabHost, endpoint: Endpoint, events: number) => void = () => {};
  /** Sees every packet that a stack receives. */
  onPacket: (slab: Slab, off: number, len: number) => void = () => {};
  readonly clock: () => number = () => this.nowMs;

  add(device: Device, addresses: readonly string[], seed: number, ringBytes = 65_536): LabHost {
    const host = new LabHost(this, device, addresses, seed, ringBytes);
    this.hosts.push(host);
    return host;
  }

  /** Turns all hosts until none has anything to do at this instant. */
  settle(): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      let busy = false;
      for (const host of this.hosts) busy = host.turn() || busy;
      if (!busy) return;
    }
    throw new Error(`no end at ${this.nowMs} ms`);
  }

  nextMs(): number {
    let next = Infinity;
    for (const host of this.hosts) next = Math.min(next, host.nextMs());
    return next;
  }

  /** Runs until the clock shows `untilMs`, or nothing can happen any more. */
  run(untilMs: number): void {
    this.settle();
    let steps = 0;
    for (let next = this.nextMs(); next <= untilMs && next !== Infinity; next = this.nextMs()) {
      if (next > this.nowMs) steps = 0;
      else if (++steps > MAX_STEPS_AT_INSTANT)
        throw new Error(`time stands still at ${this.nowMs} ms: a deadline is set to now again and again`);
      this.nowMs = Math.max(next, this.nowMs);
      this.settle();
    }
    if (untilMs !== Infinity) this.nowMs = Math.max(untilMs, this.nowMs);
  }
}
