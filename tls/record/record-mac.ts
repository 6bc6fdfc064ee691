import { createHash, createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import type { MacHashName } from '../keys/suites.ts';

// RFC 5246 §6.2.3.1: sequence number, type, version, length
const PREFIX_BYTES = 13;
const NOTHING = new Uint8Array(0);
// the most padding that the length of a record can hide, in whole blocks of any hash
const DUMMY = new Uint8Array(512);

/** The MAC of records before TLS 1.3 (RFC 5246 §6.2.3.1): HMAC over the record's number, type, version and length. */
export class RecordMac {
  readonly macBytes: number;
  readonly #hash: MacHashName;
  readonly #key: KeyObject;
  readonly #versionNumber: number;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);

  /** @param versionNumber as it stands in records */
  constructor(hash: MacHashName, macBytes: number, key: Uint8Array, versionNumber: number) {
    this.macBytes = macBytes;
    this.#hash = hash;
    this.#key = createSecretKey(key);
    this.#versionNumber = versionNumber;
  }

  /**
   * @param data private memory: it must not change before it is sent
   * @returns the MAC over `lengthBytes` bytes at `off`
   */
  of(
    seqHigh: number,
    seqLow: number,
    type: number,
    data: Uint8Array,
    off: number,
    lengthBytes: number,
  ): Uint8Array {
    const prefix = this.#prefix;
    setSequence(prefix, seqHigh, seqLow);
    prefix[8] = type;
    prefix[9] = this.#versionNumber >>> 8;
    prefix[10] = this.#versionNumber;
    prefix[11] = lengthBytes >>> 8;
    prefix[12] = lengthBytes;
    return createHmac(this.#hash, this.#key)
      .update(prefix)
      .update(data.subarray(off, off + lengthBytes))
      .digest();
  }

  /**
   * Hashes as many blocks as a MAC over `longestBytes` takes more than one over `lengthBytes`, so that how long a MAC
   * takes does not tell how much padding a record had (RFC 5246 §6.2.3.2; N. AlFardan and K. Paterson, Lucky Thirteen,
   * 2013).
   */
  pretendLonger(lengthBytes: number, longestBytes: number): void {
    const isWide = this.#hash === 'sha384';
    const blockBytes = isWide ? 128 : 64;
    // FIPS 180-4 §5.1: behind the message stand one byte and its length
    const tailBytes = isWide ? 17 : 9;
    const blocksOf = (bytes: number): number => Math.ceil((PREFIX_BYTES + bytes + tailBytes) / blockBytes);
    const missing = blocksOf(longestBytes) - blocksOf(lengthBytes);
    createHash(this.#hash).update(missing === 0 ? NOTHING : DUMMY.subarray(0, missing * blockBytes));
  }

  /**
   * The IV of a record: unpredictable to whoever has no key (NIST SP 800-38A appendix C), and different for each record.
   * No MAC has an input as short as this.
   */
  ivOf(seqHigh: number, seqLow: number, ivBytes: number): Uint8Array {
    const number = new Uint8Array(8);
    setSequence(number, seqHigh, seqLow);
    return createHmac(this.#hash, this.#key).update(number).digest().subarray(0, ivBytes);
  }
}

function setSequence(into: Uint8Array, seqHigh: number, seqLow: number): void {
  for (let i = 0; i < 4; i++) {
    const shift = 24 - 8 * i;
    into[i] = seqHigh >>> shift;
    into[4 + i] = seqLow >>> shift;
  }
}
