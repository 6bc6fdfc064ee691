import { TlsError } from '../errors.ts';
import { type CipherSuite, IV_BYTES, TAG_BYTES } from '../keys/suites.ts';
import { MAX_PLAINTEXT_BYTES, MAX_PROTECTION_BYTES } from '../limits.ts';
import { ContentType, ProtocolVersion, RECORD_HEADER_BYTES } from '../wire/codes.ts';
import { type Aead, aeadOf } from './aead.ts';
import type { RecordProtection } from './record-protection.ts';

/** Bytes that protection adds to the content of a record: header, content type, tag. */
export const RECORD_OVERHEAD_BYTES: number = RECORD_HEADER_BYTES + 1 + TAG_BYTES;

/** One record key of TLS 1.3 with its IV (RFC 8446 §5.2, §5.3). */
export class RecordKey implements RecordProtection {
  readonly overheadBytes: number = RECORD_OVERHEAD_BYTES;
  /** RFC 8446 §5.2: the length MUST NOT exceed 2^14 + 256 bytes. */
  readonly maxSealedBytes: number = MAX_PLAINTEXT_BYTES + MAX_PROTECTION_BYTES;
  readonly #aead: Aead;
  readonly #iv: Uint8Array;
  readonly #nonce = new Uint8Array(IV_BYTES);
  readonly #header: Uint8Array;
  readonly #openedHeader = new Uint8Array(RECORD_HEADER_BYTES);
  #opened: Uint8Array = new Uint8Array(0);
  #openedType = 0;
  #openedBytes = 0;

  constructor(suite: CipherSuite, key: Uint8Array, iv: Uint8Array) {
    this.#aead = aeadOf(suite.cipher.name, key);
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
    const sealedBytes = lengthBytes + 1 + TAG_BYTES;
    const header = this.#header;
    header[3] = sealedBytes >>> 8;
    header[4] = sealedBytes;
    into.set(header, intoOff);
    this.#setNonce(seqHigh, seqLow);
    const at = intoOff + RECORD_HEADER_BYTES;
    this.#aead.seal(this.#nonce, header, from, off, lengthBytes, type, into, at);
    return RECORD_HEADER_BYTES + sealedBytes;
  }

  /** @throws TlsError RecordOverflow, BadRecordMac, NoContentType */
  open(seqHigh: number, seqLow: number, record: Uint8Array, off: number, lengthBytes: number): void {
    const sealedBytes = lengthBytes - RECORD_HEADER_BYTES;
    if (sealedBytes > this.maxSealedBytes) {
      throw new TlsError('RecordOverflow', `${sealedBytes} protected bytes`);
    }
    if (sealedBytes < TAG_BYTES) throw new TlsError('BadRecordMac', `only ${sealedBytes} bytes`);
    const innerBytes = sealedBytes - TAG_BYTES;
    const header = this.#openedHeader;
    for (let i = 0; i < RECORD_HEADER_BYTES; i++) header[i] = record[off + i]!;
    this.#setNonce(seqHigh, seqLow);
    const inner = this.#aead.open(this.#nonce, header, record, off + RECORD_HEADER_BYTES, innerBytes);
    if (inner === null) throw new TlsError('BadRecordMac');
    // RFC 8446 §5.4: the full encoded TLSInnerPlaintext MUST NOT exceed 2^14 + 1 octets
    if (innerBytes > MAX_PLAINTEXT_BYTES + 1) {
      throw new TlsError('RecordOverflow', `${innerBytes} bytes inside`);
    }
    let end = innerBytes - 1;
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
