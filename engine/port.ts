import type { CaptureOptions } from '../drivers/capture.ts';
import type { Device, PacketInput } from '../drivers/device.ts';
import type { Interface } from '../stack/ip/interface.ts';
import type { Slab } from '../stack/wire/slab.ts';

/** A device of an engine, and the interface of the stack that it carries packets for. */
export class Port implements PacketInput {
  /** Where packets go and come from now: the device, or a capture around it. */
  device: Device;
  readonly own: Device;
  readonly iface: Interface;
  /** The device below `own` that impairs the link, as captures take it; {}: there is none. */
  readonly impaired: Pick<CaptureOptions, 'impaired'>;
  /** False: poll has said that the device has nothing. */
  readable = true;
  /** It refused a packet in the last turn: wait until it is writable. */
  isFull = false;
  #txFull = 0;
  #now = 0;

  constructor(device: Device, iface: Interface, impaired: Pick<CaptureOptions, 'impaired'>) {
    this.device = device;
    this.own = device;
    this.iface = iface;
    this.impaired = impaired;
  }

  /** Lets packets pass through another device on their way to the own one, or not any more. */
  use(device: Device): void {
    this.device = device;
    this.iface.sink = device;
  }

  /** Hands in what has come. @returns packets; `budget`: there may be more */
  receive(budget: number, now: number): number {
    if (!this.readable) return 0;
    this.#now = now;
    return this.device.receive(this, budget);
  }

  /** PacketInput: the device hands in a packet. */
  input(slab: Slab, off: number, len: number, flags: number): void {
    this.iface.input(slab, off, len, flags, this.#now);
  }

  /** The stack has sent what it could. @param refused some device was full. @returns whether it was this one */
  transmitted(refused: boolean): boolean {
    const { txFull } = this.own.counters;
    this.isFull = refused && txFull !== this.#txFull;
    this.#txFull = txFull;
    return this.isFull;
  }
}
