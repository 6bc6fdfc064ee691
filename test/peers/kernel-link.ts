import { setTimeout as sleep } from 'node:timers/promises';
import type { Device, PacketInput } from '../../drivers/device.ts';
import { openTun } from '../../drivers/tun.ts';
import { SystemRandom } from '../../engine/system-random.ts';
import type { Interface } from '../../stack/ip/interface.ts';
import { Stack } from '../../stack/stack.ts';
import { HeapRings } from '../../stack/testing/heap-rings.ts';
import type { Slab } from '../../stack/wire/slab.ts';
import { type Lab, OWN_ADDRESSES, type Teardown } from '../netns.ts';

const TURN_MS = 2;
const PATIENCE_MS = 10_000;

/** A stack in this thread on a lab's TUN device, for what the faces do not offer. Driven by {@link until}. */
export class KernelLink implements PacketInput {
  readonly stack: Stack;
  readonly #device: Device;
  readonly #iface: Interface;

  constructor(t: Teardown, lab: Lab, { offload = true }: { offload?: boolean } = {}) {
    this.#device = lab.within(() => openTun(lab.tun, { offload }));
    t.teardown(() => this.#device.close());
    this.stack = new Stack({
      random: new SystemRandom(),
      rings: new HeapRings(1 << 17, 1 << 17),
      now: performance.now(),
    });
    this.#iface = this.stack.addInterface({
      name: this.#device.name,
      sink: this.#device,
      capabilities: this.#device.capabilities,
      addresses: OWN_ADDRESSES,
      gateways: [],
    });
  }

  input(slab: Slab, off: number, len: number, flags: number): void {
    this.#iface.input(slab, off, len, flags, performance.now());
  }

  /** Drives the stack until `condition` holds. @throws after ten seconds, naming `what` */
  async until(what: string, condition: () => boolean): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      this.#device.receive(this, 1024);
      const now = performance.now();
      this.stack.advance(now);
      this.stack.transmit(now);
      this.#device.flush();
      for (let endpoint = this.stack.pollEvent(); endpoint !== null; endpoint = this.stack.pollEvent())
        endpoint.takeEvents();
      if (condition()) return;
      if (now > end) throw new Error(`${what}: not so after ${PATIENCE_MS} ms`);
      await sleep(TURN_MS);
    }
  }
}
