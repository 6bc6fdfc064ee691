import type { CaptureOptions } from '../drivers/capture.ts';
import type { Device, PacketInput } from '../drivers/device.ts';
import { NetError } from '../stack/errors.ts';
import type { Interface } from '../stack/ip/interface.ts';
import type { PacketSink, TxPacket } from '../stack/link.ts';
import type { Slab } from '../stack/wire/slab.ts';

/** A device of an engine, and the interface of the stack that it carries packets for. */
export class Port implements PacketInput, PacketSink {
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
  /** Why the device is gone, when the engine goes on without it; null: it is there. */
  lost: NetError | null = null;
  readonly #survives: boolean;
  #txFull = 0;
  #now = 0;

  /** @param survives the engine has others: a device that is gone is noted, not thrown */
  constructor(
    device: Device,
    iface: Interface,
    impaired: Pick<CaptureOptions, 'impaired'>,
    survives: boolean,
  ) {
    this.device = device;
    this.own = device;
    this.iface = iface;
    this.impaired = impaired;
    this.#survives = survives;
    this.use(device);
  }

  /** Lets packets pass through another device on their way to the own one, or not any more. */
  use(device: Device): void {
    this.device = device;
    this.iface.sink = this.#survives ? this : device;
  }

  /** Hands in what has come. @returns packets; `budget`: there may be more. @throws NetError DEVICE_LOST */
  receive(budget: number, now: number): number {
    if (!this.readable || budget === 0 || this.lost !== null) return 0;
    this.#now = now;
    if (!this.#survives) return this.device.receive(this, budget);
    try {
      return this.device.receive(this, budget);
    } catch (error) {
      this.#lose(error);
      return 0;
    }
  }

  /** PacketInput: the device hands in a packet. */
  input(slab: Slab, off: number, len: number, flags: number): void {
    this.iface.input(slab, off, len, flags, this.#now);
  }

  /** PacketSink, of an engine that has other devices. */
  send(packet: TxPacket): boolean {
    if (this.lost === null) {
      try {
        return this.device.send(packet);
      } catch (error) {
        this.#lose(error);
      }
    }
    this.own.counters.txDroppedDown++;
    return true;
  }

  /** The stack has sent what it could. @param refused some device was full */
  transmitted(refused: boolean): void {
    const { txFull } = this.own.counters;
    this.isFull = refused && txFull !== this.#txFull;
    this.#txFull = txFull;
    if (this.lost !== null) return;
    try {
      this.device.flush();
    } catch (error) {
      this.#lose(error);
    }
  }

  /** Does what is due in the device. @throws NetError DEVICE_LOST */
  advance(now: number): void {
    if (this.lost !== null) return;
    try {
      this.own.advance(now);
    } catch (error) {
      this.#lose(error);
    }
  }

  /** See {@link Device.prepareSleep}. */
  prepareSleep(): boolean {
    return this.lost !== null || this.own.prepareSleep();
  }

  awake(): void {
    if (this.lost === null) this.own.awake();
  }

  nextDeadline(): number {
    return this.lost === null ? this.own.nextDeadline() : Infinity;
  }

  /** Descriptor to poll; -1: there is none. */
  get pollFd(): number {
    return this.lost === null ? this.own.pollFd : -1;
  }

  /** It has to be looked at, because no descriptor tells of it. */
  get isSilent(): boolean {
    return this.lost === null && this.own.pollFd < 0;
  }

  #lose(error: unknown): void {
    if (!this.#survives || !(error instanceof NetError) || error.tunwireCode !== 'DEVICE_LOST') throw error;
    this.lost = error;
  }
}
