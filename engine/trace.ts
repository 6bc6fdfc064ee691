import { type CapturedDevice, capture } from '../drivers/capture.ts';
import { PcapngWriter } from '../drivers/pcapng.ts';
import type { DropWatch } from '../stack/drop-watch.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { Port } from './port.ts';

/**
 * A capture that is switched on and off while the engine runs, of all its devices. Off, it costs nothing: packets go to the devices
 * themselves. Several users share it, and it ends with the last of them.
 */
export class Trace {
  readonly #ports: readonly Port[];
  readonly #clock: () => number;
  readonly #drops: DropWatch;
  readonly #captures: CapturedDevice[] = [];
  #writer: PcapngWriter | null = null;
  #users = 0;

  constructor(ports: readonly Port[], clock: () => number, drops: DropWatch) {
    this.#ports = ports;
    this.#clock = clock;
    this.#drops = drops;
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
      for (const port of this.#ports) {
        const captured = capture(port.own, this.#writer, {
          clock: this.#clock,
          dropped: () => this.#drops.why(),
          ...port.impaired,
        });
        this.#captures.push(captured);
        port.use(captured);
      }
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
    for (const port of this.#ports) port.use(port.own);
    for (const captured of this.#captures.splice(0)) captured.detach();
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
}
