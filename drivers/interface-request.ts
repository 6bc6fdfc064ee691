import { NetError, Phase } from '../stack/errors.ts';
import * as sys from './syscalls.ts';

/** RFC 791 §3.2: every link carries packets of this size. */
const MIN_MTU_BYTES = 68;
/** linux/if.h: IFNAMSIZ, with the final zero. */
const NAME_BYTES = 16;

// linux/sockios.h, linux/if.h, linux/if_arp.h
export const SIOCGIFFLAGS = 0x8913;
export const SIOCGIFMTU = 0x8921;
export const SIOCGIFHWADDR = 0x8927;
export const SIOCGIFINDEX = 0x8933;
export const IFF_UP = 0x0001;
export const IFF_RUNNING = 0x0040;
export const ARPHRD_ETHER = 1;

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

  /** The station address that SIOCGIFHWADDR answers, a `struct sockaddr`; null: this is no Ethernet interface. */
  get stationAddress(): Uint8Array | null {
    return (this.value & 0xffff) === ARPHRD_ETHER ? this.slice(2, 6) : null;
  }

  set value(value: number) {
    this.#view.setInt32(NAME_BYTES, value, true);
  }
}

/** @throws NetError ARGUMENT_INVALID when no interface can have the name */
export function checkInterfaceName(what: string, name: string): void {
  if (/^[^\s/]+$/.test(name) && Buffer.byteLength(name) < NAME_BYTES) return;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `${what} name has 1 … ${NAME_BYTES - 1} characters without blanks and slashes, got '${name}'`,
  });
}

/** @param mostBytes what the link takes. @returns the MTU. @throws NetError ARGUMENT_INVALID */
export function checkMtu(mtuBytes: number, mostBytes: number): number {
  if (Number.isInteger(mtuBytes) && mtuBytes >= MIN_MTU_BYTES && mtuBytes <= mostBytes) return mtuBytes;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `an MTU on this interface is ${MIN_MTU_BYTES} … ${mostBytes} bytes, got ${mtuBytes}`,
  });
}
