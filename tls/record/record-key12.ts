import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
} from 'node:crypto';
import { TlsError } from '../errors.ts';
import { IV_BYTES, type RecordCipher, TAG_BYTES } from '../keys/suites.ts';
import { MAX_PLAINTEXT_BYTES, MAX_PROTECTION_BYTES_TLS12 } from '../limits.ts';
import { ProtocolVersion, RECORD_HEADER_BYTES } from '../wire/codes.ts';
import type { RecordProtection } from './record-protection.ts';

const EXPLICIT_NONCE_BYTES = 8;
/** The most that an AEAD of TLS 1.2 adds to the content of a record: header, explicit nonce, tag. */
export const MAX_RECORD_OVERHEAD_BYTES_TLS12: number = RECORD_HEADER_BYTES + EXPLICIT_NONCE_BYTES + TAG_BYTES;

// node:crypto declares ChaCha20-Poly1305 and CCM with types of their own; GCM's methods serve all
type AeadAlgorithm = CipherGCMTypes;
// RFC 5246 §6.2.3.3: sequence number, type, version, length of the content
const ADDITIONAL_DATA_BYTES = 13;

/** One record key of an AEAD in TLS 1.2 (RFC 5246 §6.2.3.3, RFC 5288, RFC 6655, RFC 7905). */
export class RecordKey12 implements RecordProtection {
  readonly overheadBytes: number;
  readonly maxSealedBytes: number = MAX_PLAINTEXT_BYTES + MAX_PROTECTION_BYTES_TLS12;
  readonly #algorithm: AeadAlgorithm;
  readonly #key: KeyObject;
  /** 4 bytes: the record brings the rest of the nonce; 12 bytes: the sequence number is mixed in. */
  readonly #iv: Uint8Array;
  readonly #explicitBytes: number;
  readonly #tagBytes: number;
  readonly #options: { readonly authTagLength: number };
  /** CCM wants to know the length in advance. */
  readonly #isCcm: boolean;
  readonly #nonce = new Uint8Array(IV_BYTES);
  readonly #additionalData = new Uint8Array(ADDITIONAL_DATA_BYTES);
  #opened: Uint8Array = new Uint8Array(0);
  #openedType = 0;

  constructor(cipher: RecordCipher & { readonly kind: 'aead' }, key: Uint8Array, iv: Uint8Array) {
    this.#algorithm = cipher.name as AeadAlgorithm;
    this.#key = createSecretKey(key);
    this.#iv = Uint8Array.from(iv.subarray(0, cipher.fixedIvBytes));
    this.#explicitBytes = IV_BYTES - cipher.fixedIvBytes;
    this.#tagBytes = cipher.tagBytes;
    this.#options = { authTagLength: cipher.tagBytes };
    this.#isCcm = cipher.name === 'aes-128-ccm' || cipher.name === 'aes-256-ccm';
    this.overheadBytes = RECORD_HEADER_BYTES + this.#explicitBytes + cipher.tagBytes;
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
    const sealedBytes = this.#explicitBytes + lengthBytes + this.#tagBytes;
    const at = intoOff + RECORD_HEADER_BYTES;
    into[intoOff] = type;
    into[intoOff + 1] = ProtocolVersion.Tls12 >> 8;
    into[intoOff + 2] = ProtocolVersion.Tls12 & 0xff;
    into[intoOff + 3] = sealedBytes >>> 8;
    into[intoOff + 4] = sealedBytes;
    this.#setAdditionalData(seqHigh, seqLow, type, lengthBytes);
    this.#setNonce(seqHigh, seqLow);
    // RFC 5288 §3: the explicit part must differ for each record of a key; the sequence number does
    into.set(this.#nonce.subarray(IV_BYTES - this.#explicitBytes), at);
    const cipher = createCipheriv(this.#algorithm, this.#key, this.#nonce, this.#options);
    cipher.setAAD(this.#additionalData, this.#isCcm ? { plaintextLength: lengthBytes } : undefined);
    const sealed = cipher.update(from.subarray(off, off + lengthBytes));
    cipher.final();
    into.set(sealed, at + this.#explicitBytes);
    into.set(cipher.getAuthTag(), at + this.#explicitBytes + lengthBytes);
    return RECORD_HEADER_BYTES + sealedBytes;
  }

  /** @throws TlsError RecordOverflow, BadRecordMac */
  open(seqHigh: number, seqLow: number, record: Uint8Array, off: number, lengthBytes: number): void {
    const sealedBytes = lengthBytes - RECORD_HEADER_BYTES;
    const contentBytes = sealedBytes - this.#explicitBytes - this.#tagBytes;
    if (contentBytes < 0) throw new TlsError('BadRecordMac', `only ${sealedBytes} bytes`);
    // RFC 5246 §6.2.1: the length MUST NOT exceed 2^14
    if (contentBytes > MAX_PLAINTEXT_BYTES) {
      throw new TlsError('RecordOverflow', `${contentBytes} bytes inside`);
    }
    const type = record[off]!;
    const at = off + RECORD_HEADER_BYTES;
    const contentAt = at + this.#explicitBytes;
    this.#setAdditionalData(seqHigh, seqLow, type, contentBytes);
    this.#setNonce(seqHigh, seqLow);
    this.#nonce.set(record.subarray(at, contentAt), IV_BYTES - this.#explicitBytes);
    const decipher = createDecipheriv(this.#algorithm, this.#key, this.#nonce, this.#options);
    decipher.setAuthTag(record.subarray(contentAt + contentBytes, off + lengthBytes));
    decipher.setAAD(this.#additionalData, this.#isCcm ? { plaintextLength: contentBytes } : undefined);
    let content: Uint8Array;
    try {
      content = decipher.update(record.subarray(contentAt, contentAt + contentBytes));
      decipher.final();
    } catch {
      throw new TlsError('BadRecordMac');
    }
    this.#opened = content;
    this.#openedType = type;
  }

  get opened(): Uint8Array {
    return this.#opened;
  }

  get openedBytes(): number {
    return this.#opened.length;
  }

  get openedType(): number {
    return this.#openedType;
  }

  /** RFC 7905 §2: the sequence number XORed with the IV; behind a short IV it stands alone. */
  #setNonce(seqHigh: number, seqLow: number): void {
    const nonce = this.#nonce;
    nonce.fill(0);
    nonce.set(this.#iv);
    for (let i = 0; i < 4; i++) {
      const shift = 24 - 8 * i;
      nonce[4 + i] = nonce[4 + i]! ^ (seqHigh >>> shift);
      nonce[8 + i] = nonce[8 + i]! ^ (seqLow >>> shift);
    }
  }

  #setAdditionalData(seqHigh: number, seqLow: number, type: number, contentBytes: number): void {
    const data = this.#additionalData;
    for (let i = 0; i < 4; i++) {
      const shift = 24 - 8 * i;
      data[i] = seqHigh >>> shift;
      data[4 + i] = seqLow >>> shift;
    }
    data[8] = type;
    data[9] = ProtocolVersion.Tls12 >> 8;
    data[10] = ProtocolVersion.Tls12 & 0xff;
    data[11] = contentBytes >>> 8;
    data[12] = contentBytes;
  }
}
