import { type CapturedDevice, capture } from '../drivers/capture.ts';
import type { Device } from '../drivers/device.ts';
import type { ImpairedDevice } from '../drivers/impair.ts';
import { PcapngWriter } from '../drivers/pcapng.ts';
import type { DropWatch } from '../stack/drop-watch.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { Interface } from '../stack/ip/interface.ts';

/**
 * A capture that is switched on and off while the engine runs. Off, it costs nothing: packets go to the device itself. Several users
 * share it, and it ends with the last of them.
 */
export class Trace {
  /** Where packets go and come from now. */
  device: Device;
  readonly #own: Device;
  readonly #iface: Interface;
  readonly #clock: () => number;
  readonly #drops: DropWatch;
  readonly #impaired: ImpairedDevice | undefined;
  #capture: CapturedDevice | null = null;
  #writer: PcapngWriter | null = null;
  #users = 0;

  /** @param impaired the one below `device`, if the link is disturbed */
  constructor(
    device: Device,
    iface: Interface,
    clock: () => number,
    drops: DropWatch,
    impaired: ImpairedDevice | undefined,
  ) {
    this.device = device;
    this.#own = device;
    this.#iface = iface;
    this.#clock = clock;
    this.#drops = drops;
    this.#impaired = impaired;
  }

  /**
   * One more user. A file that exists is gone on with: pcapng files can be joined (draft-ietf-opsawg-pcapng §3.1).
   * @param path '': the file of the others
   * @throws NetError ARGUMENT_INVALID when it cannot be written, or another one is being written
   */
  begin(path: string): void {
    if (this.#writer !== null && path !== '' && path !== this.#writer.path) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `the trace goes to ${this.#writer.path} until everybody has ended it; got ${path}`,
      });
    }
    if (this.#writer === null) {
      if (path === '') {
        throw new NetError('ARGUMENT_INVALID', {
          phase: Phase.Argument,
          detail: 'give a file: nothing is being traced',
        });
      }
      this.#writer = new PcapngWriter(path, { appends: true });
      // what was dropped before has nothing to do with it
      this.#drops.why();
      this.#capture = capture(this.#own, this.#writer, {
        clock: this.#clock,
        dropped: () => this.#drops.why(),
        ...(this.#impaired && { impaired: this.#impaired }),
      });
      this.#use(this.#capture);
    }
    this.#users++;
  }

  /** One user less; the last one closes the file. */
  end(): void {
    this.#users--;
    if (this.#users === 0) this.close();
  }

  /** Ends it whoever uses it. */
  close(): void {
    this.#users = 0;
    this.#use(this.#own);
    this.#capture?.detach();
    this.#capture = null;
    this.#writer?.close();
    this.#writer = null;
  }

  /** Secrets of TLS connections, lines of an NSS key log. */
  secrets(lines: string): void {
    this.#writer?.secrets(lines);
  }

  advance(now: number): void {
    this.#writer?.advance(now);
  }

  nextDeadline(): number {
    return this.#writer?.nextDeadline() ?? Infinity;
  }

  #use(device: Device): void {
    this.device = device;
    this.#iface.sink = device;
  }
}
