import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto';
import { TlsError } from '../errors.ts';
import type { RecordSecrets } from '../keys/prf.ts';
import type { BlockCipherName } from '../keys/suites.ts';
import { MAX_PLAINTEXT_BYTES, MAX_PROTECTION_BYTES_TLS12, MAX_TRIPLE_DES_BLOCKS } from '../limits.ts';
import { RECORD_HEADER_BYTES, versionNumber } from '../wire/codes.ts';
import { RecordMac } from './record-mac.ts';
import type { RecordParameters, RecordProtection } from './record-protection.ts';

const MAX_BLOCK_BYTES = 16;
const MAX_MAC_BYTES = 48;
/** Most that CBC adds to the content of a record: header, IV, MAC, padding. */
export const MAX_BLOCK_OVERHEAD_BYTES: number =
  RECORD_HEADER_BYTES + MAX_BLOCK_BYTES + MAX_MAC_BYTES + MAX_BLOCK_BYTES;
/** State that changes with each record: the block that the next record is chained to, and the number of blocks. */
export const BLOCK_STATE_BYTES: number = MAX_BLOCK_BYTES + 4;

// RFC 5246 §6.2.3.2: padding_length is one byte
const MAX_PADDING_LENGTH = 255;

// a record on its way out; a thread seals one record at a time
const PLAIN = new Uint8Array(MAX_PLAINTEXT_BYTES + MAX_MAC_BYTES + MAX_BLOCK_BYTES);

/**
 * One record key of a block cipher in CBC mode (RFC 2246 §6.2.3.2, RFC 4346 §6.2.3.2, RFC 5246 §6.2.3.2), with the MAC inside
 * or, by RFC 7366, outside of the encryption.
 */
export class BlockRecordKey implements RecordProtection {
  readonly overheadBytes: number;
  readonly maxSealedBytes: number = MAX_PLAINTEXT_BYTES + MAX_PROTECTION_BYTES_TLS12;
  readonly #algorithm: BlockCipherName;
  readonly #blockBytes: number;
  /** 0 in TLS 1.0, where records are chained. */
  readonly #ivBytes: number;
  readonly #key: KeyObject;
  readonly #mac: RecordMac;
  readonly #macOutside: boolean;
  readonly #version: number;
  readonly #state: Uint8Array;
  #opened: Uint8Array = new Uint8Array(0);
  #openedBytes = 0;
  #openedType = 0;

  /** @param state BLOCK_STATE_BYTES bytes made by {@link startBlocks}; may be shared memory */
  constructor(parameters: RecordParameters, secrets: RecordSecrets, state: Uint8Array) {
    const { cipher } = parameters.suite;
    if (cipher.kind !== 'block') throw new TypeError(`${cipher.name} is no block cipher`);
    this.#algorithm = cipher.name;
    this.#blockBytes = cipher.blockBytes;
    this.#ivBytes = parameters.version === 'TLSv1' ? 0 : cipher.blockBytes;
    this.#key = createSecretKey(secrets.key);
    this.#version = versionNumber(parameters.version);
    this.#mac = new RecordMac(cipher.mac, cipher.macBytes, secrets.macKey, this.#version);
    this.#macOutside = parameters.encryptThenMac;
    this.#state = state;
    this.overheadBytes = RECORD_HEADER_BYTES + this.#ivBytes + cipher.macBytes + cipher.blockBytes;
  }

  /** @throws TlsError SequenceExhausted */
  seal(
    seqHigh: number,
    seqLow: number,
    type: number,
    from: Uint8Array,
    off: number,
    lengthBytes: number,
    into: Uint8Array,
    intoOff: number,
  ): number {
    const { macBytes } = this.#mac;
    const insideBytes = lengthBytes + (this.#macOutside ? 0 : macBytes);
    const paddedBytes = insideBytes + this.#blockBytes - (insideBytes % this.#blockBytes);
    const encryptedBytes = this.#ivBytes + paddedBytes;
    const sealedBytes = encryptedBytes + (this.#macOutside ? macBytes : 0);
    this.#countBlocks(paddedBytes);
    // the caller's memory may be shared: what is encrypted must be what the MAC is over
    PLAIN.set(from.subarray(off, off + lengthBytes));
    if (!this.#macOutside) {
      PLAIN.set(this.#mac.of(seqHigh, seqLow, type, PLAIN, 0, lengthBytes), lengthBytes);
    }
    // RFC 5246 §6.2.3.2: each byte of the padding, and its length behind it, has the value of the length
    PLAIN.fill(paddedBytes - insideBytes - 1, insideBytes, paddedBytes);
    const iv = this.#ivBytes === 0 ? this.#chain() : this.#mac.ivOf(seqHigh, seqLow, this.#ivBytes);
    const cipher = createCipheriv(this.#algorithm, this.#key, iv).setAutoPadding(false);
    const encrypted = cipher.update(PLAIN.subarray(0, paddedBytes));
    this.#chainTo(encrypted, paddedBytes);
    into[intoOff] = type;
    into[intoOff + 1] = this.#version >>> 8;
    into[intoOff + 2] = this.#version;
    into[intoOff + 3] = sealedBytes >>> 8;
    into[intoOff + 4] = sealedBytes;
    const at = intoOff + RECORD_HEADER_BYTES;
    into.set(iv.subarray(0, this.#ivBytes), at);
    into.set(encrypted, at + this.#ivBytes);
    if (this.#macOutside) {
      // RFC 7366 §3: over the IV and what was encrypted
      const mac = this.#mac.of(seqHigh, seqLow, type, into, at, encryptedBytes);
      into.set(mac, at + encryptedBytes);
    }
    return RECORD_HEADER_BYTES + sealedBytes;
  }

  /** @throws TlsError RecordOverflow, BadRecordMac for everything that is wrong inside, SequenceExhausted */
  open(seqHigh: number, seqLow: number, record: Uint8Array, off: number, lengthBytes: number): void {
    const { macBytes } = this.#mac;
    const type = record[off]!;
    const at = off + RECORD_HEADER_BYTES;
    const encryptedBytes = lengthBytes - RECORD_HEADER_BYTES - (this.#macOutside ? macBytes : 0);
    const paddedBytes = encryptedBytes - this.#ivBytes;
    const leastBytes = this.#macOutside ? 1 : macBytes + 1;
    // what the length alone tells is no secret
    if (paddedBytes < leastBytes || paddedBytes % this.#blockBytes !== 0) {
      throw new TlsError('BadRecordMac', `${lengthBytes - RECORD_HEADER_BYTES} bytes are no whole blocks`);
    }
    this.#countBlocks(paddedBytes);
    if (this.#macOutside) {
      const mac = this.#mac.of(seqHigh, seqLow, type, record, at, encryptedBytes);
      const received = record.subarray(at + encryptedBytes, at + encryptedBytes + macBytes);
      if (!timingSafeEqual(mac, received)) throw new TlsError('BadRecordMac');
    }
    const iv = this.#ivBytes === 0 ? this.#chain() : record.subarray(at, at + this.#ivBytes);
    const encrypted = record.subarray(at + this.#ivBytes, at + encryptedBytes);
    const plain = createDecipheriv(this.#algorithm, this.#key, iv).setAutoPadding(false).update(encrypted);
    this.#chainTo(encrypted, paddedBytes);
    const contentBytes = this.#macOutside
      ? contentBefore(plain)
      : this.#contentInside(seqHigh, seqLow, type, plain);
    if (contentBytes < 0) throw new TlsError('BadRecordMac');
    // RFC 5246 §6.2.1: the length MUST NOT exceed 2^14
    if (contentBytes > MAX_PLAINTEXT_BYTES) {
      throw new TlsError('RecordOverflow', `${contentBytes} bytes inside`);
    }
    this.#opened = plain;
    this.#openedBytes = contentBytes;
    this.#openedType = type;
  }

  get opened(): Uint8Array {
    return this.#opened;
  }

  get openedBytes(): number {
    return this.#openedBytes;
  }

  get openedType(): number {
    return this.#openedType;
  }

  /**
   * The content of a record whose MAC is inside, or -1. A wrong padding and a wrong MAC are the same failure after the same
   * work: RFC 5246 §6.2.3.2. (JavaScript cannot promise the same number of cycles.)
   */
  #contentInside(seqHigh: number, seqLow: number, type: number, plain: Uint8Array): number {
    const { macBytes } = this.#mac;
    const longestBytes = plain.length - macBytes - 1;
    const padding = paddingLength(plain, macBytes + 1);
    // RFC 5246 §6.2.3.2: with a wrong padding the MAC is computed as if there were none
    const isPadded = (padding >>> 31) ^ 1;
    const contentBytes = longestBytes - (padding & -isPadded);
    const mac = this.#mac.of(seqHigh, seqLow, type, plain, 0, contentBytes);
    this.#mac.pretendLonger(contentBytes, longestBytes);
    const isGenuine = timingSafeEqual(mac, plain.subarray(contentBytes, contentBytes + macBytes));
    return (isPadded & Number(isGenuine)) === 1 ? contentBytes : -1;
  }

  /** A private copy of the block that the next record is chained to. */
  #chain(): Uint8Array {
    return Uint8Array.from(this.#state.subarray(0, this.#blockBytes));
  }

  #chainTo(encrypted: Uint8Array, paddedBytes: number): void {
    if (this.#ivBytes === 0) {
      this.#state.set(encrypted.subarray(paddedBytes - this.#blockBytes, paddedBytes));
    }
  }

  /** K. Bhargavan and G. Leurent, Sweet32, 2016: blocks of 64 bits begin to repeat. There is no change of keys here. */
  #countBlocks(paddedBytes: number): void {
    if (this.#blockBytes !== 8) return;
    const state = this.#state;
    let count = 0;
    for (let i = 0; i < 4; i++) count = count * 256 + state[MAX_BLOCK_BYTES + i]!;
    count += paddedBytes / this.#blockBytes;
    if (count > MAX_TRIPLE_DES_BLOCKS) {
      throw new TlsError('SequenceExhausted', `limit ${MAX_TRIPLE_DES_BLOCKS} blocks of 3DES`);
    }
    for (let i = 3; i >= 0; i--) {
      state[MAX_BLOCK_BYTES + i] = count;
      count = Math.floor(count / 256);
    }
  }
}

/** Fills the state of a new key. */
export function startBlocks(state: Uint8Array, iv: Uint8Array): void {
  state.fill(0, 0, BLOCK_STATE_BYTES);
  state.set(iv);
}

/** RFC 7366: what stands before the padding, whose MAC was checked; -1 when it is wrong all the same. */
function contentBefore(plain: Uint8Array): number {
  const padding = paddingLength(plain, 1);
  return padding < 0 ? -1 : plain.length - 1 - padding;
}

/**
 * The value of padding_length, or -1 when the padding is wrong; with the same work for every padding.
 *
 * @param besidesBytes what a record has at least besides the padding
 */
function paddingLength(plain: Uint8Array, besidesBytes: number): number {
  const last = plain.length - 1;
  const length = plain[last]!;
  // negative when the padding is longer than the record has room for
  let wrong = (plain.length - besidesBytes - length) >> 31;
  for (let i = 0; i <= MAX_PADDING_LENGTH && i <= last; i++) {
    // all ones while i <= length
    const isPadding = ~((length - i) >> 31);
    wrong |= isPadding & (plain[last - i]! ^ length);
  }
  // -1 when a bit of `wrong` is set
  const mask = (wrong | -wrong) >> 31;
  return length | mask;
}
