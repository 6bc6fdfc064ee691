import { concatBytes } from '@noble/hashes/utils.js';
import { AlertLevel } from '../alerts.ts';
import { TlsError } from '../errors.ts';
import { trafficKeyOf } from '../keys/key-schedule.ts';
import type { RecordSecrets } from '../keys/prf.ts';
import { type CipherSuite, TAG_BYTES } from '../keys/suites.ts';
import { MAX_EMPTY_RECORDS, MAX_PLAINTEXT_BYTES, MAX_RECORD_BYTES, MAX_WARNINGS_IN_ROW } from '../limits.ts';
import {
  ContentType,
  ProtocolVersion,
  RECORD_HEADER_BYTES,
  type TlsVersion,
  versionNumber,
} from '../wire/codes.ts';
import type { HandshakeMessage } from '../wire/messages.ts';
import { AlertOutcome, judgeAlert } from './alert-reader.ts';
import { MessageJoiner } from './message-joiner.ts';
import {
  type RecordParameters,
  type RecordProtection,
  recordProtectionOf,
  startCipherState,
} from './record-protection.ts';

const CHANGE_CIPHER_SPEC_MESSAGE = 1;

/**
 * The length of the record at `off` with its header, or 0 when its header is not yet complete.
 *
 * @param maxSealedBytes the longest body that may come now; whoever opens the record checks what its own key allows
 * @throws TlsError as soon as the header can be no record of this connection
 */
export function recordLength(
  bytes: Uint8Array,
  off: number,
  lengthBytes: number,
  maxSealedBytes: number = MAX_RECORD_BYTES - RECORD_HEADER_BYTES,
): number {
  if (lengthBytes === 0) return 0;
  const type = bytes[off]!;
  // RFC 8446 §5: an unexpected record type → unexpected_message. Checked at its first byte, so that a server that does
  // not speak TLS is recognised although it may never send the five bytes of a header.
  if (type < ContentType.ChangeCipherSpec || type > ContentType.ApplicationData) {
    throw new TlsError('InvalidContentType', `first byte ${type}`);
  }
  if (lengthBytes < RECORD_HEADER_BYTES) return 0;
  // RFC 8446 §5.1: legacy_record_version MUST be ignored for all purposes
  const bodyBytes = (bytes[off + 3]! << 8) | bytes[off + 4]!;
  if (bodyBytes > maxSealedBytes) throw new TlsError('RecordOverflow', `${bodyBytes} bytes of type ${type}`);
  return RECORD_HEADER_BYTES + bodyBytes;
}

/** One direction at the end of a handshake: what protects it from there on. */
export interface RecordSide {
  readonly secrets: RecordSecrets;
  /** See startCipherState. */
  readonly cipherState: Uint8Array;
  /** Number of the next record. */
  readonly nextSeq: number;
}

/** One direction of a connection that a handshake begins inside of. */
export interface RunningSide {
  readonly protection: RecordProtection;
  /** Number of the next record. */
  readonly nextSeq: number;
}

const NOTHING = new Uint8Array(0);

/** The record layer while the handshake lasts. */
export class HandshakeRecords {
  /** Sees each handshake message, header and body, borrowed; null: nobody. */
  onMessage: ((sender: 'client' | 'server', raw: Uint8Array) => void) | null = null;
  /** Takes application data, borrowed, that comes during a handshake inside of a connection. */
  onApplicationData: ((content: Uint8Array) => void) | null = null;
  /** RFC 8449: most bytes of one protected record of the peer, in TLS 1.3 content type and padding included. */
  receiveLimitBytes: number = MAX_PLAINTEXT_BYTES + 1;
  readonly #joiner = new MessageJoiner();
  readonly #outgoing: Uint8Array[] = [];
  #readKey: RecordProtection | null = null;
  #readSeq = 0;
  #readSide: Omit<RecordSide, 'nextSeq'> | null = null;
  #writeKey: RecordProtection | null = null;
  #writeSeq = 0;
  #writeSide: Omit<RecordSide, 'nextSeq'> | null = null;
  #firstRecordSent = false;
  #changeCipherSpecSent = false;
  #changeCipherSpecsReceived = 0;
  /** Before TLS 1.3, once it is agreed on. */
  #oldVersion: TlsVersion | null = null;
  #changeCipherSpecWaits = false;
  /** The records are protected from the first one on, change_cipher_spec too, until it changes the keys. */
  #isInside = false;
  #warnings = 0;
  readonly #isMiddleboxCompatible: boolean;

  readonly #fragmentBytes: number;

  /**
   * @param isMiddleboxCompatible whether to send the change_cipher_spec of RFC 8446 §D.4
   * @param fragmentBytes most content bytes of a handshake record that is sent
   */
  constructor(isMiddleboxCompatible: boolean, fragmentBytes: number = MAX_PLAINTEXT_BYTES) {
    this.#isMiddleboxCompatible = isMiddleboxCompatible;
    this.#fragmentBytes = fragmentBytes;
  }

  /** See {@link recordLength}, with the limit of the moment. */
  lengthOf(bytes: Uint8Array, off: number, lengthBytes: number): number {
    return recordLength(bytes, off, lengthBytes, this.#readKey?.maxSealedBytes ?? MAX_PLAINTEXT_BYTES);
  }

  /**
   * The server has chosen a version before TLS 1.3: a change_cipher_spec now means a change of keys, warnings mean no
   * failure, and all records bear its number.
   *
   * @throws TlsError UnexpectedChangeCipherSpec when one came before the choice
   */
  useOldVersion(version: TlsVersion): void {
    if (this.#changeCipherSpecsReceived > 0) {
      throw new TlsError('UnexpectedChangeCipherSpec', 'before server_hello');
    }
    this.#oldVersion = version;
  }

  /** Before TLS 1.3: this handshake is one inside of a connection (RFC 5246 §7.4.1.1). */
  goOn(version: TlsVersion, reading: RunningSide, writing: RunningSide): void {
    this.#oldVersion = version;
    this.#isInside = true;
    this.#readKey = reading.protection;
    this.#readSeq = reading.nextSeq;
    this.#writeKey = writing.protection;
    this.#writeSeq = writing.nextSeq;
  }

  /** TLS 1.2: whether a change_cipher_spec came in the last record; to be asked once for each record. */
  takeChangeCipherSpec(): boolean {
    const waits = this.#changeCipherSpecWaits;
    this.#changeCipherSpecWaits = false;
    return waits;
  }

  /** Takes one whole record; its messages then come from {@link nextMessage}. */
  receive(record: Uint8Array, off: number, lengthBytes: number): void {
    const type = record[off]!;
    if (this.#oldVersion !== null) checkRecordVersion(record, off, versionNumber(this.#oldVersion));
    if (type === ContentType.ChangeCipherSpec && !this.#isInside) {
      const content = record.subarray(off + RECORD_HEADER_BYTES, off + lengthBytes);
      this.#receiveChangeCipherSpec(content, content.length);
    } else if (this.#readKey === null) {
      const content = record.subarray(off + RECORD_HEADER_BYTES, off + lengthBytes);
      this.#receiveContent(type, content, content.length);
    } else {
      if (this.#oldVersion === null && type !== ContentType.ApplicationData) {
        throw new TlsError('UnprotectedRecord', `type ${type}`);
      }
      const seq = this.#readSeq++;
      this.#readKey.open(Math.floor(seq / 2 ** 32), seq >>> 0, record, off, lengthBytes);
      if (this.#oldVersion === null) this.#checkLimit(lengthBytes - RECORD_HEADER_BYTES - TAG_BYTES);
      this.#receiveContent(this.#readKey.openedType, this.#readKey.opened, this.#readKey.openedBytes);
    }
  }

  /** The next whole handshake message, or null. */
  nextMessage(): HandshakeMessage | null {
    const message = this.#joiner.next();
    if (message !== null) this.onMessage?.('server', message.raw);
    return message;
  }

  /**
   * TLS 1.3: from here on records of the peer are protected by this secret.
   *
   * @throws TlsError DataAcrossKeyChange
   */
  protectReading(suite: CipherSuite, secret: Uint8Array): void {
    const secrets = recordSecretsOf(suite, secret);
    this.changeReadKey({ version: 'TLSv1.3', suite, encryptThenMac: false }, secrets);
    secrets.key.fill(0);
  }

  /**
   * From here on records of the peer are protected by these secrets.
   *
   * @throws TlsError DataAcrossKeyChange
   */
  changeReadKey(parameters: RecordParameters, secrets: RecordSecrets): void {
    this.endOfKey();
    const cipherState = startCipherState(parameters, secrets);
    this.#readKey = recordProtectionOf(parameters, secrets, cipherState);
    this.#readSide = { secrets, cipherState };
    this.#readSeq = 0;
  }

  /** Throws when handshake bytes are left over where the peer changes its key. */
  endOfKey(): void {
    // RFC 8446 §5.1: Handshake messages MUST NOT span key changes … unexpected_message
    if (!this.#joiner.isEmpty) throw new TlsError('DataAcrossKeyChange');
  }

  /** TLS 1.3: from here on our records are protected by this secret. */
  protectWriting(suite: CipherSuite, secret: Uint8Array): void {
    const secrets = recordSecretsOf(suite, secret);
    this.changeWriteKey({ version: 'TLSv1.3', suite, encryptThenMac: false }, secrets);
    secrets.key.fill(0);
  }

  /** From here on our records are protected by these secrets. */
  changeWriteKey(parameters: RecordParameters, secrets: RecordSecrets): void {
    const cipherState = startCipherState(parameters, secrets);
    this.#writeKey = recordProtectionOf(parameters, secrets, cipherState);
    this.#writeSide = { secrets, cipherState };
    this.#writeSeq = 0;
  }

  /** Where both directions stand, for the traffic phase; null before they are protected. */
  sides(): { readonly reading: RecordSide; readonly writing: RecordSide } | null {
    if (this.#readSide === null || this.#writeSide === null) return null;
    return {
      reading: { ...this.#readSide, nextSeq: this.#readSeq },
      writing: { ...this.#writeSide, nextSeq: this.#writeSeq },
    };
  }

  /** The handshake has failed, and its alert is queued: no record is opened or sealed any more. */
  wipe(): void {
    for (const side of [this.#readSide, this.#writeSide]) {
      if (side === null) continue;
      const { key, iv, macKey } = side.secrets;
      for (const secret of [key, iv, macKey, side.cipherState]) secret.fill(0);
    }
    this.#readKey = null;
    this.#writeKey = null;
  }

  /** Queues a handshake message, in as many records as it needs. */
  send(message: Uint8Array): void {
    this.onMessage?.('client', message);
    for (let off = 0; off < message.length; off += this.#fragmentBytes) {
      this.#sendRecord(ContentType.Handshake, message.subarray(off, off + this.#fragmentBytes));
    }
  }

  /** Queues one record of content that is no handshake message: early data. */
  sendContent(type: ContentType, content: Uint8Array): void {
    this.#sendRecord(type, content);
  }

  /** From here on our records are not protected: after early data that a HelloRetryRequest rejected. */
  writeUnprotected(): void {
    this.#writeKey = null;
  }

  /** Queues a fatal alert. */
  sendAlert(description: number): void {
    if (this.#writeKey !== null && !this.#isInside) this.sendChangeCipherSpec();
    this.#sendRecord(ContentType.Alert, Uint8Array.of(AlertLevel.Fatal, description));
  }

  /**
   * RFC 8446 §D.4, middlebox compatibility mode: a dummy change_cipher_spec immediately before the second flight; in
   * TLS 1.2 the true one. Only the first call sends one.
   */
  sendChangeCipherSpec(): void {
    if (this.#changeCipherSpecSent || !(this.#isMiddleboxCompatible || this.#oldVersion !== null)) return;
    this.#changeCipherSpecSent = true;
    if (this.#isInside) {
      this.#sendRecord(ContentType.ChangeCipherSpec, Uint8Array.of(CHANGE_CIPHER_SPEC_MESSAGE));
      return;
    }
    this.#outgoing.push(
      plainRecord(ContentType.ChangeCipherSpec, this.#versionNumber, [CHANGE_CIPHER_SPEC_MESSAGE]),
    );
  }

  /** What is to be sent, once. */
  takeOutgoing(): Uint8Array | null {
    if (this.#outgoing.length === 0) return null;
    const [first] = this.#outgoing;
    const bytes = this.#outgoing.length === 1 && first !== undefined ? first : concatBytes(...this.#outgoing);
    this.#outgoing.length = 0;
    return bytes;
  }

  #receiveChangeCipherSpec(content: Uint8Array, lengthBytes: number): void {
    // before TLS 1.3 there is one in a handshake
    if (this.#oldVersion !== null && this.#readSide !== null)
      throw new TlsError('UnexpectedChangeCipherSpec', 'a second');
    // RFC 8446 §5: a single byte 0x01 between the first ClientHello and the peer's Finished MUST simply be dropped,
    // everything else → unexpected_message
    if (lengthBytes !== 1 || content[0] !== CHANGE_CIPHER_SPEC_MESSAGE) {
      const member = this.#oldVersion !== null ? 'InvalidChangeCipherSpec' : 'UnexpectedChangeCipherSpec';
      throw new TlsError(member, 'its content is not one byte 1');
    }
    this.#refuseInterleaving(ContentType.ChangeCipherSpec);
    this.#changeCipherSpecWaits = this.#oldVersion !== null;
    if (++this.#changeCipherSpecsReceived > MAX_EMPTY_RECORDS) throw new TlsError('TooManyChangeCipherSpecs');
  }

  #receiveContent(type: number, content: Uint8Array, lengthBytes: number): void {
    if (type === ContentType.Handshake) {
      // RFC 8446 §5.1, §5.4: zero-length fragments of handshake messages are forbidden → unexpected_message
      if (lengthBytes === 0) throw new TlsError('EmptyHandshakeRecord', 'handshake');
      this.#warnings = 0;
      this.#joiner.add(content, 0, lengthBytes);
      return;
    }
    if (type === ContentType.Alert) {
      this.#receiveAlert(content, lengthBytes);
      return;
    }
    if (type === ContentType.ChangeCipherSpec && this.#isInside) {
      this.#receiveChangeCipherSpec(content, lengthBytes);
      return;
    }
    this.#refuseInterleaving(type);
    if (type === ContentType.ApplicationData) {
      if (this.onApplicationData === null) throw new TlsError('UnexpectedApplicationData');
      this.onApplicationData(content.subarray(0, lengthBytes));
      return;
    }
    if (type === ContentType.ChangeCipherSpec)
      throw new TlsError('UnexpectedChangeCipherSpec', 'it is protected');
    throw new TlsError('InvalidContentType', `inner type ${type}`);
  }

  #checkLimit(bytes: number): void {
    if (bytes <= this.receiveLimitBytes) return;
    throw new TlsError('RecordOverflow', `${bytes} bytes, the limit is ${this.receiveLimitBytes}`);
  }

  #receiveAlert(content: Uint8Array, lengthBytes: number): void {
    if (lengthBytes === 0) throw new TlsError('EmptyHandshakeRecord', 'alert');
    const isTls13 = this.#readKey !== null && this.#oldVersion === null;
    if (judgeAlert(content, lengthBytes, isTls13) === AlertOutcome.CloseNotify) {
      throw new TlsError('ClosedEarly');
    }
    this.#refuseInterleaving(ContentType.Alert);
    if (++this.#warnings > MAX_WARNINGS_IN_ROW) throw new TlsError('TooManyWarnings');
  }

  #refuseInterleaving(type: number): void {
    // RFC 8446 §5.1: Handshake messages MUST NOT be interleaved with other record types
    if (!this.#joiner.isEmpty) throw new TlsError('InterleavedRecord', `type ${type}`);
  }

  #sendRecord(type: ContentType, content: Uint8Array): void {
    if (this.#writeKey === null) {
      // RFC 8446 §5.1: an initial ClientHello … MAY also be 0x0301 for compatibility purposes
      const version = this.#firstRecordSent ? this.#versionNumber : ProtocolVersion.Tls10;
      this.#firstRecordSent = true;
      this.#outgoing.push(plainRecord(type, version, content));
      return;
    }
    const record = new Uint8Array(content.length + this.#writeKey.overheadBytes);
    const seq = this.#writeSeq++;
    const high = Math.floor(seq / 2 ** 32);
    const length = this.#writeKey.seal(high, seq >>> 0, type, content, 0, content.length, record, 0);
    this.#outgoing.push(record.subarray(0, length));
  }

  /** RFC 8446 §5.1: records of TLS 1.3 bear the number of TLS 1.2. */
  get #versionNumber(): number {
    return this.#oldVersion === null ? ProtocolVersion.Tls12 : versionNumber(this.#oldVersion);
  }
}

/**
 * RFC 5246 §6.2.1: the version being employed.
 *
 * @throws TlsError WrongRecordVersion
 */
export function checkRecordVersion(record: Uint8Array, off: number, expected: number): void {
  const version = (record[off + 1]! << 8) | record[off + 2]!;
  if (version !== expected) {
    throw new TlsError('WrongRecordVersion', `0x${version.toString(16)}, not 0x${expected.toString(16)}`);
  }
}

function recordSecretsOf(suite: CipherSuite, secret: Uint8Array): RecordSecrets {
  return { ...trafficKeyOf(suite, secret), macKey: NOTHING };
}

function plainRecord(
  type: ContentType,
  version: number,
  content: Uint8Array | readonly number[],
): Uint8Array {
  const record = new Uint8Array(RECORD_HEADER_BYTES + content.length);
  record[0] = type;
  record[1] = version >>> 8;
  record[2] = version;
  record[3] = content.length >>> 8;
  record[4] = content.length;
  record.set(content, RECORD_HEADER_BYTES);
  return record;
}
