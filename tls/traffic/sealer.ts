import type { Slab } from '../../stack/wire/slab.ts';
import { AlertDescription, AlertLevel } from '../alerts.ts';
import { nextTrafficSecret } from '../keys/key-schedule.ts';
import type { CipherSuite } from '../keys/suites.ts';
import { MAX_PLAINTEXT_BYTES } from '../limits.ts';
import { RECORD_OVERHEAD_BYTES } from '../record/record-key.ts';
import {
  MAX_RECORD_OVERHEAD_BYTES,
  type RecordParameters,
  type RecordProtection,
} from '../record/record-protection.ts';
import { ContentType, HANDSHAKE_HEADER_BYTES } from '../wire/codes.ts';
import { writeKeyUpdate } from '../wire/messages.ts';
import {
  copySecret,
  parametersOf,
  protectionOf,
  TrafficOffset,
  WRITING,
  wipeWriteSide,
  writeWriteSecret,
} from './state.ts';

/** Size of the record of a key update. */
export const KEY_UPDATE_RECORD_BYTES: number = HANDSHAKE_HEADER_BYTES + 1 + RECORD_OVERHEAD_BYTES;

const ALERT_BYTES = 2;
/** What {@link TrafficSealer.writeOwed} writes at most: a key update, or an alert. */
export const MAX_OWED_BYTES: number = Math.max(
  KEY_UPDATE_RECORD_BYTES,
  ALERT_BYTES + MAX_RECORD_OVERHEAD_BYTES,
);

/**
 * What {@link TrafficSealer.seal} may write beyond the content: the overhead of its record, which may be split in two, and
 * what is owed before it.
 */
export const MAX_SEAL_OVERHEAD_BYTES: number = 2 * MAX_RECORD_OVERHEAD_BYTES + MAX_OWED_BYTES;

/** Most bytes that one call of {@link TrafficSealer.seal} writes. */
export const MAX_SEALED_BYTES: number = MAX_PLAINTEXT_BYTES + MAX_SEAL_OVERHEAD_BYTES;

/**
 * The writing side of a connection, over a traffic state that other threads may use too: the caller holds the writing
 * side's lock during each call.
 */
export class TrafficSealer {
  readonly #state: Slab;
  readonly #off: number;
  #parameters: RecordParameters;
  #suite: CipherSuite;
  /** Or an older one. */
  readonly #isTls12: boolean;
  /** Data is padded to a multiple of so many bytes; 0: not. */
  readonly #paddingBytes: number;
  #key: RecordProtection | null = null;
  #keyEpoch = 0;

  /** @param off of the region in `state` */
  constructor(state: Slab, off: number) {
    this.#state = state;
    this.#off = off;
    this.#parameters = parametersOf(state, off);
    this.#suite = this.#parameters.suite;
    this.#isTls12 = this.#parameters.version !== 'TLSv1.3';
    this.#paddingBytes = this.#isTls12 ? 0 : state.view.getUint16(off + TrafficOffset.Padding, true);
  }

  /** Whether close_notify or a fatal alert was sent: nothing may follow it. */
  get closed(): boolean {
    return this.#state.bytes[this.#off + TrafficOffset.WriteClosed] !== 0;
  }

  /** Most content bytes of one record: 16384, or less when the server set a limit. */
  get maxContentBytes(): number {
    return this.#state.view.getUint16(this.#off + TrafficOffset.SendLimit, true);
  }

  /** What {@link seal} may write beyond the content: MAX_SEAL_OVERHEAD_BYTES, or more with padding. */
  get maxOverheadBytes(): number {
    return MAX_SEAL_OVERHEAD_BYTES + this.#paddingBytes;
  }

  /** Whether the peer waits for a key update; the next record serves it, or {@link keyUpdate}. */
  get keyUpdateOwed(): boolean {
    return Atomics.load(this.#state.bytes, this.#off + TrafficOffset.KeyUpdateOwed) !== 0;
  }

  /** Whether the peer waits for an answer: a key update, or in TLS 1.2 the refusal of a renegotiation. */
  get answerOwed(): boolean {
    return this.keyUpdateOwed || Atomics.load(this.#state.bytes, this.#off + TrafficOffset.RefusalOwed) !== 0;
  }

  /**
   * Writes what {@link answerOwed} tells of, without waiting for data to send.
   *
   * @param into takes MAX_OWED_BYTES bytes
   * @returns the bytes written, 0 when nothing is owed or the side is closed
   */
  writeOwed(into: Uint8Array, off: number): number {
    if (this.closed) return 0;
    return this.keyUpdateOwed ? this.keyUpdate(false, into, off) : this.#refuseRenegotiation(into, off);
  }

  /**
   * Writes a record, and before it what is owed or due (RFC 8446 §4.6.3, §5.5).
   *
   * @param type content type
   * @param from may be shared memory
   * @param len 0 … {@link maxContentBytes}
   * @param into takes `len` + {@link maxOverheadBytes} bytes
   * @returns the bytes written
   * @throws RangeError for a length out of range, Error after the side was closed
   */
  seal(type: number, from: Uint8Array, off: number, len: number, into: Uint8Array, intoOff: number): number {
    if (len < 0 || len > this.maxContentBytes) {
      throw new RangeError(`a record takes 0 … ${this.maxContentBytes} bytes, got ${len}`);
    }
    const before = this.#isTls12
      ? this.#refuseRenegotiation(into, intoOff)
      : this.#updateKeyIfNeeded(into, intoOff);
    const at = intoOff + before;
    if (this.#paddingBytes > 0 && type === ContentType.ApplicationData) {
      return before + this.#sealPadded(from, off, len, into, at);
    }
    if (!this.#splits() || type !== ContentType.ApplicationData || len < 2) {
      return before + this.#sealRecord(type, from, off, len, into, at);
    }
    // differs from RFC 2246 §6.2.3.2 (one record) as all browsers do: its IV can be known before its content is chosen
    // (T. Duong and J. Rizzo, BEAST, 2011), so that a record with one byte and a MAC goes first
    const first = this.#sealRecord(type, from, off, 1, into, at);
    return before + first + this.#sealRecord(type, from, off + 1, len - 1, into, at + first);
  }

  /** Whether each record goes out in two: 1 byte and the rest. */
  #splits(): boolean {
    // a renegotiation may have changed the suite
    if (this.#isTls12) this.#currentKey();
    return this.#parameters.version === 'TLSv1' && this.#suite.cipher.kind === 'block';
  }

  /** RFC 8446 §5.4: zeros follow the content type. */
  #sealPadded(from: Uint8Array, off: number, len: number, into: Uint8Array, intoOff: number): number {
    const wanted = Math.ceil((len + 1) / this.#paddingBytes) * this.#paddingBytes;
    const innerBytes = Math.min(wanted, this.maxContentBytes + 1);
    if (innerBytes === len + 1)
      return this.#sealRecord(ContentType.ApplicationData, from, off, len, into, intoOff);
    const inner = new Uint8Array(innerBytes - 1);
    inner.set(from.subarray(off, off + len));
    inner[len] = ContentType.ApplicationData;
    // what stands where the type would be is the last of the padding
    return this.#sealRecord(0, inner, 0, inner.length, into, intoOff);
  }

  /** Most bytes that {@link sealMessages} writes. */
  maxMessagesBytes(lengthBytes: number): number {
    const records = Math.ceil(lengthBytes / this.maxContentBytes);
    return lengthBytes + records * MAX_RECORD_OVERHEAD_BYTES;
  }

  /**
   * Writes handshake messages in as many records as they need, and nothing between them.
   *
   * @param into takes {@link maxMessagesBytes} bytes
   * @returns the bytes written
   */
  sealMessages(messages: Uint8Array, into: Uint8Array, off: number): number {
    let written = 0;
    for (let done = 0; done < messages.length; ) {
      const n = Math.min(messages.length - done, this.maxContentBytes);
      written += this.#sealRecord(ContentType.Handshake, messages, done, n, into, off + written);
      done += n;
    }
    return written;
  }

  /** A copy of the secret that our records are protected with at the moment; the caller wipes it. TLS 1.3 */
  copyWriteSecret(): Uint8Array {
    return copySecret(this.#state, this.#off + TrafficOffset.WriteSecret, this.#suite);
  }

  /**
   * Writes a KeyUpdate and changes to the next key (RFC 8446 §4.6.3).
   *
   * @param requestPeer asks the peer to change its key too
   * @returns the bytes written, KEY_UPDATE_RECORD_BYTES
   * @throws Error before TLS 1.3, which has none
   */
  keyUpdate(requestPeer: boolean, into: Uint8Array, off: number): number {
    if (this.#isTls12) throw new Error('only TLS 1.3 has key updates');
    const { bytes, view } = this.#state;
    // taken before the record is made: a request that comes now is served by the next update
    Atomics.store(bytes, this.#off + TrafficOffset.KeyUpdateOwed, 0);
    const message = writeKeyUpdate(requestPeer);
    const written = this.#sealRecord(ContentType.Handshake, message, 0, message.length, into, off);
    const old = copySecret(this.#state, this.#off + TrafficOffset.WriteSecret, this.#suite);
    const next = nextTrafficSecret(this.#suite, old);
    writeWriteSecret(this.#state, this.#off, this.#suite, next);
    old.fill(0);
    next.fill(0);
    const epoch = view.getUint32(this.#off + TrafficOffset.WriteEpoch, true);
    view.setUint32(this.#off + TrafficOffset.WriteEpoch, epoch + 1, true);
    view.setUint32(this.#off + TrafficOffset.WriteSeqHigh, 0, true);
    view.setUint32(this.#off + TrafficOffset.WriteSeqLow, 0, true);
    return written;
  }

  /**
   * Writes an alert. All but user_canceled and no_renegotiation end the writing side and wipe its keys (RFC 8446 §6).
   *
   * @returns the bytes written
   */
  alert(level: AlertLevel, description: number, into: Uint8Array, off: number): number {
    const written = this.#sealRecord(ContentType.Alert, Uint8Array.of(level, description), 0, 2, into, off);
    if (description !== AlertDescription.UserCanceled && description !== AlertDescription.NoRenegotiation) {
      this.#state.bytes[this.#off + TrafficOffset.WriteClosed] = 1;
      this.#key = null;
      wipeWriteSide(this.#state, this.#off);
    }
    return written;
  }

  /** RFC 5246 §7.2.2: no_renegotiation, a warning, when the client does not want one. */
  #refuseRenegotiation(into: Uint8Array, off: number): number {
    // one refusal serves all requests before it
    if (Atomics.exchange(this.#state.bytes, this.#off + TrafficOffset.RefusalOwed, 0) === 0) return 0;
    return this.alert(AlertLevel.Warning, AlertDescription.NoRenegotiation, into, off);
  }

  #updateKeyIfNeeded(into: Uint8Array, off: number): number {
    const { view } = this.#state;
    const sent =
      view.getUint32(this.#off + TrafficOffset.WriteSeqHigh, true) * 2 ** 32 +
      view.getUint32(this.#off + TrafficOffset.WriteSeqLow, true);
    const isDue = sent >= this.#suite.maxRecordsPerKey;
    return isDue || this.keyUpdateOwed ? this.keyUpdate(false, into, off) : 0;
  }

  #sealRecord(
    type: number,
    from: Uint8Array,
    off: number,
    len: number,
    into: Uint8Array,
    intoOff: number,
  ): number {
    if (this.closed) throw new Error('nothing can be sent after the closing alert');
    const { view } = this.#state;
    const high = view.getUint32(this.#off + TrafficOffset.WriteSeqHigh, true);
    const low = view.getUint32(this.#off + TrafficOffset.WriteSeqLow, true);
    // RFC 5246 §6.1: sequence numbers do not wrap. One nonce never protects two records.
    if (high === 0xffffffff && low === 0xffffffff) throw new Error('no sequence number is left');
    const written = this.#currentKey().seal(high, low, type, from, off, len, into, intoOff);
    if (low === 0xffffffff) view.setUint32(this.#off + TrafficOffset.WriteSeqHigh, high + 1, true);
    view.setUint32(this.#off + TrafficOffset.WriteSeqLow, low + 1, true);
    return written;
  }

  /** The key of the region's epoch, which another thread may have moved. */
  #currentKey(): RecordProtection {
    const epoch = this.#state.view.getUint32(this.#off + TrafficOffset.WriteEpoch, true);
    if (this.#key === null || this.#keyEpoch !== epoch) {
      this.#parameters = parametersOf(this.#state, this.#off);
      this.#suite = this.#parameters.suite;
      this.#key = protectionOf(this.#state, this.#off, this.#parameters, WRITING);
      this.#keyEpoch = epoch;
    }
    return this.#key;
  }
}
