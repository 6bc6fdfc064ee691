import { concatBytes } from '@noble/hashes/utils.js';
import { AlertLevel } from '../alerts.ts';
import { TlsError } from '../errors.ts';
import { trafficKeyOf } from '../keys/key-schedule.ts';
import type { CipherSuite } from '../keys/suites.ts';
import {
  MAX_EMPTY_RECORDS,
  MAX_PLAINTEXT_BYTES,
  MAX_PROTECTION_BYTES,
  MAX_WARNINGS_IN_ROW,
} from '../limits.ts';
import { ContentType, ProtocolVersion, RECORD_HEADER_BYTES } from '../wire/codes.ts';
import type { HandshakeMessage } from '../wire/messages.ts';
import { AlertOutcome, judgeAlert } from './alert-reader.ts';
import { MessageJoiner } from './message-joiner.ts';
import { RECORD_OVERHEAD_BYTES, RecordKey } from './record-key.ts';

const CHANGE_CIPHER_SPEC_MESSAGE = 1;

/**
 * The length of the record at `off` with its header, or 0 when its header is not yet complete.
 *
 * @throws TlsError as soon as the header can be no record of this connection
 */
export function recordLength(bytes: Uint8Array, off: number, lengthBytes: number): number {
  if (lengthBytes === 0) return 0;
  const type = bytes[off]!;
  // RFC 8446 §5: an unexpected record type → unexpected_message. Checked at its first byte, so that a server that does
  // not speak TLS is recognised although it may never send the five bytes of a header.
  if (type < ContentType.ChangeCipherSpec || type > ContentType.ApplicationData) {
    throw new TlsError('InvalidContentType', `first byte ${type}`);
  }
  if (lengthBytes < RECORD_HEADER_BYTES) return 0;
  // RFC 8446 §5.1: legacy_record_version MUST be ignored for all purposes
  const contentBytes = (bytes[off + 3]! << 8) | bytes[off + 4]!;
  const limit =
    type === ContentType.ApplicationData ? MAX_PLAINTEXT_BYTES + MAX_PROTECTION_BYTES : MAX_PLAINTEXT_BYTES;
  if (contentBytes > limit) throw new TlsError('RecordOverflow', `${contentBytes} bytes of type ${type}`);
  return RECORD_HEADER_BYTES + contentBytes;
}

/** The record layer while the handshake lasts. */
export class HandshakeRecords {
  readonly #joiner = new MessageJoiner();
  readonly #outgoing: Uint8Array[] = [];
  #readKey: RecordKey | null = null;
  #readSeq = 0;
  #writeKey: RecordKey | null = null;
  #writeSeq = 0;
  #firstRecordSent = false;
  #changeCipherSpecSent = false;
  #changeCipherSpecsReceived = 0;
  #warnings = 0;
  readonly #isMiddleboxCompatible: boolean;

  /** @param isMiddleboxCompatible whether to send the change_cipher_spec of RFC 8446 §D.4 */
  constructor(isMiddleboxCompatible: boolean) {
    this.#isMiddleboxCompatible = isMiddleboxCompatible;
  }

  /** Takes one whole record; its messages then come from {@link nextMessage}. */
  receive(record: Uint8Array, off: number, lengthBytes: number): void {
    const type = record[off]!;
    if (type === ContentType.ChangeCipherSpec) {
      this.#receiveChangeCipherSpec(record, off, lengthBytes);
    } else if (this.#readKey === null) {
      const content = record.subarray(off + RECORD_HEADER_BYTES, off + lengthBytes);
      this.#receiveContent(type, content, content.length);
    } else {
      if (type !== ContentType.ApplicationData) throw new TlsError('UnprotectedRecord', `type ${type}`);
      this.#readKey.open(0, this.#readSeq++, record, off, lengthBytes);
      this.#receiveContent(this.#readKey.openedType, this.#readKey.opened, this.#readKey.openedBytes);
    }
  }

  /** The next whole handshake message, or null. */
  nextMessage(): HandshakeMessage | null {
    return this.#joiner.next();
  }

  /**
   * From here on records of the peer are protected by this secret.
   *
   * @throws TlsError DataAcrossKeyChange
   */
  protectReading(suite: CipherSuite, secret: Uint8Array): void {
    this.endOfKey();
    this.#readKey = recordKeyOf(suite, secret);
    this.#readSeq = 0;
  }

  /** Throws when handshake bytes are left over where the peer changes its key. */
  endOfKey(): void {
    // RFC 8446 §5.1: Handshake messages MUST NOT span key changes … unexpected_message
    if (!this.#joiner.isEmpty) throw new TlsError('DataAcrossKeyChange');
  }

  /** From here on our records are protected by this secret. */
  protectWriting(suite: CipherSuite, secret: Uint8Array): void {
    this.#writeKey = recordKeyOf(suite, secret);
    this.#writeSeq = 0;
  }

  /** Queues a handshake message, in as many records as it needs. */
  send(message: Uint8Array): void {
    for (let off = 0; off < message.length; off += MAX_PLAINTEXT_BYTES) {
      this.#sendRecord(ContentType.Handshake, message.subarray(off, off + MAX_PLAINTEXT_BYTES));
    }
  }

  /** Queues a fatal alert. */
  sendAlert(description: number): void {
    if (this.#writeKey !== null) this.sendChangeCipherSpec();
    this.#sendRecord(ContentType.Alert, Uint8Array.of(AlertLevel.Fatal, description));
  }

  /**
   * RFC 8446 §D.4, middlebox compatibility mode: a dummy change_cipher_spec immediately before the second flight. Only
   * the first call sends one.
   */
  sendChangeCipherSpec(): void {
    if (this.#changeCipherSpecSent || !this.#isMiddleboxCompatible) return;
    this.#changeCipherSpecSent = true;
    this.#outgoing.push(
      plainRecord(ContentType.ChangeCipherSpec, ProtocolVersion.Tls12, [CHANGE_CIPHER_SPEC_MESSAGE]),
    );
  }

  /** What is to be sent, once. */
  takeOutgoing(): Uint8Array | null {
    if (this.#outgoing.length === 0) return null;
    const bytes = concatBytes(...this.#outgoing);
    this.#outgoing.length = 0;
    return bytes;
  }

  #receiveChangeCipherSpec(record: Uint8Array, off: number, lengthBytes: number): void {
    // RFC 8446 §5: a single byte 0x01 between the first ClientHello and the peer's Finished MUST simply be dropped,
    // everything else → unexpected_message
    if (
      lengthBytes !== RECORD_HEADER_BYTES + 1 ||
      record[off + RECORD_HEADER_BYTES] !== CHANGE_CIPHER_SPEC_MESSAGE
    ) {
      throw new TlsError('UnexpectedChangeCipherSpec', 'its content is not one byte 1');
    }
    this.#refuseInterleaving(ContentType.ChangeCipherSpec);
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
    this.#refuseInterleaving(type);
    if (type === ContentType.ApplicationData) throw new TlsError('UnexpectedApplicationData');
    if (type === ContentType.ChangeCipherSpec)
      throw new TlsError('UnexpectedChangeCipherSpec', 'it is protected');
    throw new TlsError('InvalidContentType', `inner type ${type}`);
  }

  #receiveAlert(content: Uint8Array, lengthBytes: number): void {
    if (lengthBytes === 0) throw new TlsError('EmptyHandshakeRecord', 'alert');
    if (judgeAlert(content, lengthBytes, this.#readKey !== null) === AlertOutcome.CloseNotify) {
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
      const version = this.#firstRecordSent ? ProtocolVersion.Tls12 : ProtocolVersion.Tls10;
      this.#firstRecordSent = true;
      this.#outgoing.push(plainRecord(type, version, content));
      return;
    }
    const record = new Uint8Array(content.length + RECORD_OVERHEAD_BYTES);
    this.#writeKey.seal(0, this.#writeSeq++, type, content, 0, content.length, record, 0);
    this.#outgoing.push(record);
  }
}

function recordKeyOf(suite: CipherSuite, secret: Uint8Array): RecordKey {
  const { key, iv } = trafficKeyOf(suite, secret);
  const recordKey = new RecordKey(suite, key, iv);
  key.fill(0);
  return recordKey;
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
