import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
} from 'node:crypto';
import { TlsError } from '../errors.ts';
import { type CipherSuite, IV_BYTES, TAG_BYTES } from '../keys/suites.ts';
import { MAX_PLAINTEXT_BYTES, MAX_PROTECTION_BYTES } from '../limits.ts';
import { ContentType, ProtocolVersion, RECORD_HEADER_BYTES } from '../wire/codes.ts';
import type { RecordProtection } from './record-protection.ts';

/** Bytes that protection adds to the content of a record: header, content type, tag. */
export const RECORD_OVERHEAD_BYTES: number = RECORD_HEADER_BYTES + 1 + TAG_BYTES;

// node:crypto declares ChaCha20-Poly1305 with a type of its own; GCM's methods serve both
type AeadAlgorithm = CipherGCMTypes;
// TLSInnerPlaintext on its way out; a thread seals one record at a time
const INNER_PLAINTEXT = new Uint8Array(MAX_PLAINTEXT_BYTES + 1);
const AEAD_OPTIONS = { authTagLength: TAG_BYTES };

/** One record key of TLS 1.3 with its IV (RFC 8446 §5.2, §5.3). */
export class RecordKey implements RecordProtection {
  readonly overheadBytes: number = RECORD_OVERHEAD_BYTES;
  /** RFC 8446 §5.2: the length MUST NOT exceed 2^14 + 256 bytes. */
  readonly maxSealedBytes: number = MAX_PLAINTEXT_BYTES + MAX_PROTECTION_BYTES;
  readonly #algorithm: AeadAlgorithm;
  // perf: a KeyObject makes createCipheriv take 2.5 µs instead of 19 µs with bytes
  readonly #key: KeyObject;
  readonly #iv: Uint8Array;
  readonly #nonce = new Uint8Array(IV_BYTES);
  readonly #header: Uint8Array;
  #opened: Uint8Array = new Uint8Array(0);
  #openedType = 0;
  #openedBytes = 0;

  constructor(suite: CipherSuite, key: Uint8Array, iv: Uint8Array) {
    this.#algorithm = suite.cipher.name as AeadAlgorithm;
    this.#key = createSecretKey(key);
    this.#iv = Uint8Array.from(iv);
    this.#header = Uint8Array.of(
      ContentType.ApplicationData,
      ProtocolVersion.Tls12 >> 8,
      ProtocolVersion.Tls12 & 0xff,
      0,
      0,
    );
  }

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
    const innerBytes = lengthBytes + 1;
    const sealedBytes = innerBytes + TAG_BYTES;
    const header = this.#header;
    header[3] = sealedBytes >>> 8;
    header[4] = sealedBytes;
    const inner = INNER_PLAINTEXT;
    // perf: one update over a copy with the type appended takes 8 µs less than two updates
    inner.set(from.subarray(off, off + lengthBytes));
    inner[lengthBytes] = type;
    this.#setNonce(seqHigh, seqLow);
    const cipher = createCipheriv(this.#algorithm, this.#key, this.#nonce, AEAD_OPTIONS);
    cipher.setAAD(header);
    const sealed = cipher.update(inner.subarray(0, innerBytes));
    cipher.final();
    into.set(header, intoOff);
    // perf: into memory that is shared Buffer's copy takes a quarter of set's time
    sealed.copy(into, intoOff + RECORD_HEADER_BYTES);
    into.set(cipher.getAuthTag(), intoOff + RECORD_HEADER_BYTES + innerBytes);
    return RECORD_HEADER_BYTES + sealedBytes;
  }

  /** @throws TlsError RecordOverflow, BadRecordMac, NoContentType */
  open(seqHigh: number, seqLow: number, record: Uint8Array, off: number, lengthBytes: number): void {
    const sealedBytes = lengthBytes - RECORD_HEADER_BYTES;
    if (sealedBytes > this.maxSealedBytes) {
      throw new TlsError('RecordOverflow', `${sealedBytes} protected bytes`);
    }
    if (sealedBytes < TAG_BYTES) throw new TlsError('BadRecordMac', `only ${sealedBytes} bytes`);
    const inner = this.#decrypt(seqHigh, seqLow, record, off, sealedBytes - TAG_BYTES);
    // RFC 8446 §5.4: the full encoded TLSInnerPlaintext MUST NOT exceed 2^14 + 1 octets
    if (inner.length > MAX_PLAINTEXT_BYTES + 1)
      throw new TlsError('RecordOverflow', `${inner.length} bytes inside`);
    let end = inner.length - 1;
    while (end >= 0 && inner[end] === 0) end--;
    // RFC 8446 §5.4: no non-zero octet → unexpected_message
    if (end < 0) throw new TlsError('NoContentType');
    this.#opened = inner;
    this.#openedType = inner[end]!;
    this.#openedBytes = end;
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

  #decrypt(seqHigh: number, seqLow: number, record: Uint8Array, off: number, innerBytes: number): Uint8Array {
    const start = off + RECORD_HEADER_BYTES;
    this.#setNonce(seqHigh, seqLow);
    const decipher = createDecipheriv(this.#algorithm, this.#key, this.#nonce, AEAD_OPTIONS);
    decipher.setAAD(record.subarray(off, start));
    decipher.setAuthTag(record.subarray(start + innerBytes, start + innerBytes + TAG_BYTES));
    const inner = decipher.update(record.subarray(start, start + innerBytes));
    try {
      decipher.final();
    } catch {
      throw new TlsError('BadRecordMac');
    }
    return inner;
  }

  /** RFC 8446 §5.3: the 64-bit sequence number, padded to the left, XORed with the IV. */
  #setNonce(seqHigh: number, seqLow: number): void {
    const nonce = this.#nonce;
    nonce.set(this.#iv);
    for (let i = 0; i < 4; i++) {
      const shift = 24 - 8 * i;
      nonce[4 + i] = nonce[4 + i]! ^ (seqHigh >>> shift);
      nonce[8 + i] = nonce[8 + i]! ^ (seqLow >>> shift);
    }
  }
}
