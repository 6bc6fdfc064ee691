import type { Slab } from '../../stack/wire/slab.ts';
import { TlsError } from '../errors.ts';
import { nextTrafficSecret, ticketPsk } from '../keys/key-schedule.ts';
import { type CipherSuite, TAG_BYTES } from '../keys/suites.ts';
import {
  MAX_CERTIFICATE_REQUESTS_IN_ROW,
  MAX_EMPTY_RECORDS,
  MAX_HELLO_REQUESTS_IN_ROW,
  MAX_KEY_UPDATES_IN_ROW,
  MAX_POST_HANDSHAKE_MESSAGE_BYTES,
  MAX_TICKET_LIFETIME_SECONDS,
  MAX_TICKETS_IN_ROW,
  MAX_WARNINGS_IN_ROW,
} from '../limits.ts';
import { AlertOutcome, judgeAlert } from '../record/alert-reader.ts';
import { checkRecordVersion } from '../record/handshake-records.ts';
import type { RecordParameters, RecordProtection } from '../record/record-protection.ts';
import {
  ContentType,
  HANDSHAKE_HEADER_BYTES,
  HandshakeType,
  handshakeTypeName,
  RECORD_HEADER_BYTES,
  versionNumber,
} from '../wire/codes.ts';
import {
  bodyOf,
  type HandshakeMessage,
  type NewSessionTicket,
  readKeyUpdate,
  readNewSessionTicket,
} from '../wire/messages.ts';
import {
  copySecret,
  parametersOf,
  protectionOf,
  READING,
  ReadSide,
  TrafficOffset,
  wipePartial,
  wipeReadSide,
  writeReadSecret,
} from './state.ts';

/** {@link TrafficOpener.open}: the record had nothing for the application. */
export const OPENED_NOTHING = -1;
/** {@link TrafficOpener.open}: the peer will send nothing more. */
export const OPENED_CLOSE_NOTIFY = -2;

/** A ticket with which a later connection can resume this one. */
export interface SessionTicket extends NewSessionTicket {
  /** RFC 8446 §4.6.1: the PSK that belongs to it. A secret. */
  readonly psk: Uint8Array;
  /** IANA number of the cipher suite whose hash the PSK is bound to. */
  readonly cipherSuite: number;
}

/**
 * The reading side of a connection, over a traffic state that other threads may use too: the caller holds the reading
 * side's lock during each call.
 */
export class TrafficOpener {
  /** Takes the tickets of the server. */
  onTicket: ((ticket: SessionTicket) => void) | null = null;
  /** Takes the server's wishes for a renegotiation, and says whether one follows; null: it may have none. */
  onHelloRequest: (() => boolean) | null = null;
  /** Takes the server's wishes for a certificate (RFC 8446 §4.6.2); null: it may have none. */
  onCertificateRequest: ((request: HandshakeMessage) => void) | null = null;
  readonly #state: Slab;
  readonly #off: number;
  #parameters: RecordParameters;
  #suite: CipherSuite;
  /** Or an older one. */
  readonly #isTls12: boolean;
  #key: RecordProtection | null = null;
  #keyEpoch = 0;

  /** @param off of the region in `state` */
  constructor(state: Slab, off: number) {
    this.#state = state;
    this.#off = off;
    this.#parameters = parametersOf(state, off);
    this.#suite = this.#parameters.suite;
    this.#isTls12 = this.#parameters.version !== 'TLSv1.3';
  }

  /** Whether the peer sent close_notify. */
  get closed(): boolean {
    return this.#state.bytes[this.#off + TrafficOffset.ReadSide] === ReadSide.CloseNotify;
  }

  /**
   * Opens one record.
   *
   * @param record holds one whole record at `off`, in memory that no other thread changes
   * @param len of the record with its header
   * @param into takes up to 16384 bytes of application data; may be shared memory
   * @returns bytes of application data (1 … 16384), OPENED_NOTHING or OPENED_CLOSE_NOTIFY
   * @throws TlsError; the side has failed then, and `alert` of the error is to be sent. RangeError when `len` is not the
   * length of the record.
   */
  open(record: Uint8Array, off: number, len: number, into: Uint8Array, intoOff: number): number {
    if (
      len < RECORD_HEADER_BYTES ||
      len !== RECORD_HEADER_BYTES + ((record[off + 3]! << 8) | record[off + 4]!)
    ) {
      throw new RangeError(`${len} bytes are not one record`);
    }
    switch (this.#state.bytes[this.#off + TrafficOffset.ReadSide]) {
      case ReadSide.Open:
        break;
      case ReadSide.CloseNotify:
        // RFC 8446 §6.1: Any data received after a closure alert has been received MUST be ignored.
        return OPENED_CLOSE_NOTIFY;
      default:
        throw new TlsError('ReadAfterFailure');
    }
    try {
      return this.#open(record, off, len, into, intoOff);
    } catch (error) {
      this.#end(ReadSide.Failed);
      throw error;
    }
  }

  #open(record: Uint8Array, off: number, len: number, into: Uint8Array, intoOff: number): number {
    const outerType = record[off]!;
    // in TLS 1.2 the type stands outside, and the key checks it
    const isOpenType = this.#isTls12 && outerType !== ContentType.ChangeCipherSpec;
    if (outerType !== ContentType.ApplicationData && !isOpenType) throw wrongOuterType(outerType);
    if (this.#isTls12) checkRecordVersion(record, off, versionNumber(this.#parameters.version));
    const { bytes, view } = this.#state;
    const high = view.getUint32(this.#off + TrafficOffset.ReadSeqHigh, true);
    const low = view.getUint32(this.#off + TrafficOffset.ReadSeqLow, true);
    // RFC 5246 §6.1: sequence numbers do not wrap
    if (high === 0xffffffff && low === 0xffffffff) throw new TlsError('SequenceExhausted');
    const key = this.#currentKey();
    key.open(high, low, record, off, len);
    if (low === 0xffffffff) view.setUint32(this.#off + TrafficOffset.ReadSeqHigh, high + 1, true);
    view.setUint32(this.#off + TrafficOffset.ReadSeqLow, low + 1, true);

    const contentBytes = key.openedBytes;
    this.#checkLimit(this.#isTls12 ? contentBytes : len - RECORD_HEADER_BYTES - TAG_BYTES);
    switch (key.openedType) {
      case ContentType.ApplicationData:
        this.#refuseInterleaving();
        if (contentBytes === 0) {
          this.#count(TrafficOffset.EmptyRecords, MAX_EMPTY_RECORDS, 'TooManyEmptyRecords');
          return OPENED_NOTHING;
        }
        bytes.fill(
          0,
          this.#off + TrafficOffset.EmptyRecords,
          this.#off + TrafficOffset.CertificateRequests + 1,
        );
        // perf: into memory that is shared, set takes four times as long
        Buffer.prototype.copy.call(key.opened, into, intoOff, 0, contentBytes);
        return contentBytes;
      case ContentType.Handshake:
        // RFC 8446 §5.4: zero-length content of handshake and alert records → unexpected_message
        if (contentBytes === 0) throw new TlsError('EmptyHandshakeRecord', 'handshake');
        // by copy: whoever takes a ticket may open records of other connections, into the same memory
        this.#receiveHandshake(Uint8Array.from(key.opened.subarray(0, contentBytes)));
        return OPENED_NOTHING;
      case ContentType.Alert:
        return this.#receiveAlert(key.opened, contentBytes);
      case ContentType.ChangeCipherSpec:
        throw new TlsError('UnexpectedChangeCipherSpec', 'after the handshake');
      default:
        throw new TlsError('InvalidContentType', `inner type ${key.openedType}`);
    }
  }

  #receiveAlert(content: Uint8Array, contentBytes: number): number {
    if (contentBytes === 0) throw new TlsError('EmptyHandshakeRecord', 'alert');
    if (judgeAlert(content, contentBytes, !this.#isTls12) === AlertOutcome.CloseNotify) {
      this.#end(ReadSide.CloseNotify);
      return OPENED_CLOSE_NOTIFY;
    }
    this.#refuseInterleaving();
    this.#count(TrafficOffset.Warnings, MAX_WARNINGS_IN_ROW, 'TooManyWarnings');
    return OPENED_NOTHING;
  }

  /** Handles the messages of one record; the beginning of a message waits in the region for its rest. */
  #receiveHandshake(content: Uint8Array): void {
    const { bytes, view } = this.#state;
    const contentBytes = content.length;
    const partialAt = this.#off + TrafficOffset.Partial;
    let off = 0;
    while (off < contentBytes) {
      let have = view.getUint32(this.#off + TrafficOffset.PartialBytes, true);
      if (have === 0) this.#checkType(content[off]!);
      const wanted = have < HANDSHAKE_HEADER_BYTES ? HANDSHAKE_HEADER_BYTES : messageLength(bytes, partialAt);
      const taken = Math.min(wanted - have, contentBytes - off);
      bytes.set(content.subarray(off, off + taken), partialAt + have);
      have += taken;
      off += taken;
      view.setUint32(this.#off + TrafficOffset.PartialBytes, have, true);
      if (have < HANDSHAKE_HEADER_BYTES || have < messageLength(bytes, partialAt)) continue;
      const raw = Uint8Array.from(bytes.subarray(partialAt, partialAt + have));
      wipePartial(this.#state, this.#off);
      this.#handle({ type: raw[0]!, raw }, off === contentBytes);
    }
  }

  #handle(message: HandshakeMessage, isRecordEnd: boolean): void {
    if (message.type === HandshakeType.KeyUpdate) {
      this.#receiveKeyUpdate(message, isRecordEnd);
    } else if (message.type === HandshakeType.HelloRequest) {
      this.#receiveHelloRequest(message);
    } else if (message.type === HandshakeType.CertificateRequest) {
      this.#count(
        TrafficOffset.CertificateRequests,
        MAX_CERTIFICATE_REQUESTS_IN_ROW,
        'TooManyCertificateRequests',
      );
      this.onCertificateRequest?.(message);
    } else {
      this.#receiveTicket(message);
    }
  }

  #receiveKeyUpdate(message: HandshakeMessage, isRecordEnd: boolean): void {
    const isRequest = readKeyUpdate(message);
    // RFC 8446 §5.1: Handshake messages MUST NOT span key changes
    if (!isRecordEnd) throw new TlsError('DataAcrossKeyChange', 'after key_update');
    this.#count(TrafficOffset.KeyUpdates, MAX_KEY_UPDATES_IN_ROW, 'TooManyKeyUpdates');
    const { bytes, view } = this.#state;
    const old = copySecret(this.#state, this.#off + TrafficOffset.ReadSecret, this.#suite);
    const next = nextTrafficSecret(this.#suite, old);
    writeReadSecret(this.#state, this.#off, this.#suite, next);
    old.fill(0);
    next.fill(0);
    const epoch = view.getUint32(this.#off + TrafficOffset.ReadEpoch, true);
    view.setUint32(this.#off + TrafficOffset.ReadEpoch, epoch + 1, true);
    view.setUint32(this.#off + TrafficOffset.ReadSeqHigh, 0, true);
    view.setUint32(this.#off + TrafficOffset.ReadSeqLow, 0, true);
    // RFC 8446 §4.6.3: answered before the next application data; one answer may serve several requests
    if (isRequest) Atomics.store(bytes, this.#off + TrafficOffset.KeyUpdateOwed, 1);
  }

  /** RFC 5246 §7.4.1.1: may be ignored, or answered with no_renegotiation, or with a ClientHello. */
  #receiveHelloRequest(message: HandshakeMessage): void {
    bodyOf(message, 'hello_request').finish();
    this.#count(TrafficOffset.HelloRequests, MAX_HELLO_REQUESTS_IN_ROW, 'TooManyHelloRequests');
    if (this.onHelloRequest?.() === true) return;
    Atomics.store(this.#state.bytes, this.#off + TrafficOffset.RefusalOwed, 1);
  }

  /** The beginning of a handshake message has come, and not its end. */
  get isInsideMessage(): boolean {
    return this.#state.view.getUint32(this.#off + TrafficOffset.PartialBytes, true) !== 0;
  }

  #receiveTicket(message: HandshakeMessage): void {
    this.#count(TrafficOffset.Tickets, MAX_TICKETS_IN_ROW, 'TooManyTickets');
    const ticket = readNewSessionTicket(message);
    // RFC 8446 §4.6.1: a lifetime of zero means that the ticket should be discarded immediately
    if (ticket.lifetimeSeconds === 0 || this.onTicket === null) return;
    const secret = copySecret(this.#state, this.#off + TrafficOffset.ResumptionSecret, this.#suite);
    const psk = ticketPsk(this.#suite, secret, ticket.nonce);
    secret.fill(0);
    this.onTicket({
      ...ticket,
      lifetimeSeconds: Math.min(ticket.lifetimeSeconds, MAX_TICKET_LIFETIME_SECONDS),
      psk,
      cipherSuite: this.#suite.id,
    });
  }

  /** RFC 8449 §4: a record that is longer than what we said → record_overflow. */
  #checkLimit(bytes: number): void {
    const limit = this.#state.view.getUint16(this.#off + TrafficOffset.ReadLimit, true);
    if (bytes > limit) throw new TlsError('RecordOverflow', `${bytes} bytes, the limit is ${limit}`);
  }

  #checkType(type: number): void {
    if (type === HandshakeType.CertificateRequest && this.onCertificateRequest !== null && !this.#isTls12)
      return;
    checkPostHandshakeType(type, this.#isTls12);
  }

  #refuseInterleaving(): void {
    // RFC 8446 §5.1: Handshake messages MUST NOT be interleaved with other record types
    if (this.isInsideMessage) throw new TlsError('InterleavedRecord');
  }

  #count(
    offset: number,
    limit: number,
    member:
      | 'TooManyCertificateRequests'
      | 'TooManyEmptyRecords'
      | 'TooManyHelloRequests'
      | 'TooManyKeyUpdates'
      | 'TooManyTickets'
      | 'TooManyWarnings',
  ): void {
    const count = this.#state.bytes[this.#off + offset]! + 1;
    if (count > limit) throw new TlsError(member, `limit ${limit}`);
    this.#state.bytes[this.#off + offset] = count;
  }

  #end(side: ReadSide): void {
    this.#state.bytes[this.#off + TrafficOffset.ReadSide] = side;
    this.#key = null;
    wipeReadSide(this.#state, this.#off);
  }

  /** The key of the region's epoch, which another thread may have moved. */
  #currentKey(): RecordProtection {
    const epoch = this.#state.view.getUint32(this.#off + TrafficOffset.ReadEpoch, true);
    if (this.#key === null || this.#keyEpoch !== epoch) {
      // a renegotiation may have changed the suite
      this.#parameters = parametersOf(this.#state, this.#off);
      this.#suite = this.#parameters.suite;
      this.#key = protectionOf(this.#state, this.#off, this.#parameters, READING);
      this.#keyEpoch = epoch;
    }
    return this.#key;
  }
}

/** RFC 8446 §4.6: of the messages after the handshake a client accepts two; in TLS 1.2 there is only one. */
function checkPostHandshakeType(type: number, isTls12: boolean): void {
  if (isTls12) {
    if (type === HandshakeType.HelloRequest) return;
    throw new TlsError('UnexpectedMessage', `${handshakeTypeName(type)} after the handshake`);
  }
  if (type === HandshakeType.NewSessionTicket || type === HandshakeType.KeyUpdate) return;
  // RFC 8446 §4.6.2: without post_handshake_auth a CertificateRequest → unexpected_message
  if (type === HandshakeType.CertificateRequest) throw new TlsError('PostHandshakeAuthentication');
  throw new TlsError('UnexpectedMessage', `${handshakeTypeName(type)} after the handshake`);
}

function messageLength(bytes: Uint8Array, at: number): number {
  const length = HANDSHAKE_HEADER_BYTES + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
  if (length > MAX_POST_HANDSHAKE_MESSAGE_BYTES) {
    throw new TlsError('MessageTooLong', `${length} bytes, limit ${MAX_POST_HANDSHAKE_MESSAGE_BYTES}`);
  }
  return length;
}

function wrongOuterType(type: number): TlsError {
  if (type === ContentType.ChangeCipherSpec)
    return new TlsError('UnexpectedChangeCipherSpec', 'after the handshake');
  if (type === ContentType.Alert || type === ContentType.Handshake) {
    return new TlsError('UnprotectedRecord', `type ${type}`);
  }
  return new TlsError('InvalidContentType', `type ${type}`);
}
