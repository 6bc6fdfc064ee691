import * as sys from './syscalls.ts';

/** linux/if.h: IFNAMSIZ, with the final zero. */
const NAME_BYTES = 16;

/** A `struct ifreq`: sixteen bytes of name, then a value; some requests take the address of the value alone. */
export class InterfaceRequest {
  readonly #bytes = new Uint8Array(new ArrayBuffer(40));
  readonly #view = new DataView(this.#bytes.buffer);
  readonly address: number = sys.addressOf(this.#bytes);
  readonly valueAddress: number = this.address + NAME_BYTES;

  constructor(name: string) {
    this.#bytes.set(Buffer.from(name));
  }

  /** As the kernel completed it: `tun%d` becomes `tun0`. */
  get name(): string {
    return Buffer.from(this.#bytes.subarray(0, this.#bytes.indexOf(0))).toString();
  }

  get value(): number {
    return this.#view.getInt32(NAME_BYTES, true);
  }

  /** A part of the answer, `length` bytes from `off` behind the name. */
  slice(off: number, length: number): Uint8Array {
    return this.#bytes.slice(NAME_BYTES + off, NAME_BYTES + off + length);
  }

  set value(value: number) {
    this.#view.setInt32(NAME_BYTES, value, true);
  }
}
