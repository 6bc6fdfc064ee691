import { timingSafeEqual } from 'node:crypto';
import { TlsError } from '../errors.ts';
import type { RecordSecrets } from '../keys/prf.ts';
import { MAX_PLAINTEXT_BYTES, MAX_PROTECTION_BYTES_TLS12 } from '../limits.ts';
import { RECORD_HEADER_BYTES, versionNumber } from '../wire/codes.ts';
import { applyRc4 } from './rc4.ts';
import { RecordMac } from './record-mac.ts';
import type { RecordParameters, RecordProtection } from './record-protection.ts';

const MAX_MAC_BYTES = 20;
// a record on its way out; a thread seals one record at a time
const PLAIN = new Uint8Array(MAX_PLAINTEXT_BYTES + MAX_MAC_BYTES);

/** One record key of RC4 (RFC 5246 §6.2.3.1): one stream of bytes through all records. */
export class StreamRecordKey implements RecordProtection {
  readonly overheadBytes: number;
  readonly maxSealedBytes: number = MAX_PLAINTEXT_BYTES + MAX_PROTECTION_BYTES_TLS12;
  readonly #mac: RecordMac;
  readonly #version: number;
  readonly #state: Uint8Array;
  #opened: Uint8Array = new Uint8Array(0);
  #openedBytes = 0;
  #openedType = 0;

  /** @param state RC4_STATE_BYTES bytes made by startRc4; may be shared memory */
  constructor(parameters: RecordParameters, secrets: RecordSecrets, state: Uint8Array) {
    const { cipher } = parameters.suite;
    if (cipher.kind !== 'stream') throw new TypeError(`${cipher.name} is no stream cipher`);
    this.#version = versionNumber(parameters.version);
    this.#mac = new RecordMac(cipher.mac, cipher.macBytes, secrets.macKey, this.#version);
    this.#state = state;
    this.overheadBytes = RECORD_HEADER_BYTES + cipher.macBytes;
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
    const sealedBytes = lengthBytes + this.#mac.macBytes;
    // the caller's memory may be shared: what is encrypted must be what the MAC is over
    PLAIN.set(from.subarray(off, off + lengthBytes));
    PLAIN.set(this.#mac.of(seqHigh, seqLow, type, PLAIN, 0, lengthBytes), lengthBytes);
    applyRc4(this.#state, PLAIN, 0, sealedBytes);
    into[intoOff] = type;
    into[intoOff + 1] = this.#version >>> 8;
    into[intoOff + 2] = this.#version;
    into[intoOff + 3] = sealedBytes >>> 8;
    into[intoOff + 4] = sealedBytes;
    into.set(PLAIN.subarray(0, sealedBytes), intoOff + RECORD_HEADER_BYTES);
    return RECORD_HEADER_BYTES + sealedBytes;
  }

  /** @throws TlsError RecordOverflow, BadRecordMac */
  open(seqHigh: number, seqLow: number, record: Uint8Array, off: number, lengthBytes: number): void {
    const { macBytes } = this.#mac;
    const sealedBytes = lengthBytes - RECORD_HEADER_BYTES;
    const contentBytes = sealedBytes - macBytes;
    if (contentBytes < 0) throw new TlsError('BadRecordMac', `only ${sealedBytes} bytes`);
    // RFC 5246 §6.2.1: the length MUST NOT exceed 2^14
    if (contentBytes > MAX_PLAINTEXT_BYTES)
      throw new TlsError('RecordOverflow', `${contentBytes} bytes inside`);
    const type = record[off]!;
    const plain = Uint8Array.from(record.subarray(off + RECORD_HEADER_BYTES, off + lengthBytes));
    applyRc4(this.#state, plain, 0, sealedBytes);
    const mac = this.#mac.of(seqHigh, seqLow, type, plain, 0, contentBytes);
    if (!timingSafeEqual(mac, plain.subarray(contentBytes))) throw new TlsError('BadRecordMac');
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
}
