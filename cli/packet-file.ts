import { STANDARD_OUTPUT } from '../drivers/capture-files.ts';
import { type Direction, PcapngWriter } from '../drivers/pcapng.ts';

/** A frame as it was captured. */
export interface CapturedFrame {
  readonly linkType: number;
  readonly timeMs: number;
  readonly nanoseconds: number;
  readonly direction: Direction;
  readonly comment: string;
  readonly bytes: Uint8Array;
  /** On the wire. */
  readonly frameBytes: number;
}

/** A pcapng file that packets of any link type go to. */
export class PacketFile {
  readonly #writer: PcapngWriter;
  readonly #snapBytes: number;
  /** By link type. */
  readonly #interfaces: Map<number, number> = new Map();

  /** @param path - is standard output. @param snapBytes kept of each packet; 0: all. @throws NetError ARGUMENT_INVALID */
  constructor(path: string, snapBytes: number) {
    this.#writer = new PcapngWriter(path === '-' ? STANDARD_OUTPUT : path);
    this.#snapBytes = snapBytes === 0 ? Infinity : snapBytes;
  }

  /** @param lines of a key log, that open the packets */
  secrets(lines: string): void {
    this.#writer.secrets(lines);
  }

  add({ linkType, timeMs, nanoseconds, direction, comment, bytes, frameBytes }: CapturedFrame): void {
    let iface = this.#interfaces.get(linkType);
    if (iface === undefined) {
      iface = this.#writer.addInterface('dump', linkType);
      this.#interfaces.set(linkType, iface);
    }
    const kept = bytes.subarray(0, this.#snapBytes);
    const at = this.#writer.beginPacket(iface, timeMs, nanoseconds, kept.length, frameBytes);
    if (at < 0) return;
    this.#writer.slab.bytes.set(kept, at);
    this.#writer.endPacket(direction, comment);
  }

  flush(): void {
    this.#writer.flush();
  }

  close(): void {
    this.#writer.close();
  }
}
