import { utf8ToBytes } from '@noble/hashes/utils.js';
import { TlsError } from '../errors.ts';
import type { KeySchedule, TrafficSecrets } from '../keys/key-schedule.ts';
import type { Transcript } from '../keys/transcript.ts';
import { MAX_PLAINTEXT_BYTES } from '../limits.ts';
import type { TlsSession } from '../session.ts';
import { ExtensionType, HandshakeType, type TlsVersion } from '../wire/codes.ts';
import type { Extensions } from '../wire/extensions.ts';
import {
  equalBytes,
  type HandshakeMessage,
  readEncryptedExtensions,
  readSelectedProtocol,
} from '../wire/messages.ts';
import type { Reader } from '../wire/reader.ts';
import { answersInEncryptedExtensions } from './answers.ts';
import { readEchConfigList } from './ech/config.ts';
import { ExpectCertificateOrRequest } from './expect-certificate.ts';
import { ExpectFinished } from './expect-finished.ts';
import { type Offer, pskOf } from './offer.ts';
import { acceptResumption } from './resumption.ts';
import { expectType, type Handshake, type HandshakeState } from './state.ts';

/** What is known once both hellos are exchanged. */
export interface Agreed {
  readonly offer: Offer;
  readonly transcript: Transcript;
  readonly schedule: KeySchedule;
  /** Of the handshake. */
  readonly secrets: TrafficSecrets;
  /** The session that is resumed, or null. */
  readonly session: TlsSession | null;
}

/** After ServerHello. */
export class ExpectEncryptedExtensions implements HandshakeState {
  readonly agreed: Agreed;

  constructor(agreed: Agreed) {
    this.agreed = agreed;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    expectType(message, HandshakeType.EncryptedExtensions);
    const { offer, transcript } = this.agreed;
    const extensions = readEncryptedExtensions(message, answersInEncryptedExtensions(offer));
    // RFC 6066 §3: the "extension_data" field of this extension SHALL be empty
    extensions.get(ExtensionType.ServerName)?.finish();
    // RFC 8446 §4.2.7: the groups of the server must not be acted upon before the handshake ends: for later connections
    readGroups(extensions.get(ExtensionType.SupportedGroups));
    handshake.info.alpn = selectedProtocol(extensions, offer, handshake);
    const limits = recordLimits(extensions, offer, 'TLSv1.3');
    handshake.records.receiveLimitBytes = limits.receiveBytes;
    readRetryConfigs(extensions, handshake);
    this.#settleEarlyData(extensions, handshake);
    transcript.add(message.raw);
    const { session } = this.agreed;
    if (session === null) return new ExpectCertificateOrRequest(this.agreed, limits);
    // RFC 8446 §4.2.11, Appendix A.1: a PSK authenticates the server in place of its certificate
    acceptResumption(session, handshake);
    return new ExpectFinished(this.agreed, limits, null);
  }

  #settleEarlyData(extensions: Extensions, handshake: Handshake): void {
    const { earlyData, info, records } = handshake;
    const { offer, schedule, secrets, session } = this.agreed;
    const answer = extensions.get(ExtensionType.EarlyData);
    if (answer === undefined) {
      if (!earlyData.isWriting) return;
      earlyData.reject();
      info.earlyData = earlyData.status;
      records.protectWriting(schedule.suite, secrets.client);
      return;
    }
    answer.finish();
    // RFC 8446 §4.2.10: with the PSK, the suite and the application protocol of the session, or not at all
    if (session === null) throw new TlsError('UnofferedEarlyData', 'without its session');
    if (schedule.suite !== pskOf(offer)?.suite)
      throw new TlsError('UnofferedEarlyData', 'with another suite');
    if (info.alpn !== session.alpn) throw new TlsError('UnofferedEarlyData', 'for another protocol');
    earlyData.accept();
    info.earlyData = earlyData.status;
  }
}

/** RFC 8446 §4.2.7: named_group_list<2..2^16-1>, of no use to one connection. */
function readGroups(content: Reader | undefined): void {
  if (content === undefined) return;
  const list = content.vector16('named_group_list');
  content.finish();
  do list.u16();
  while (!list.done);
}

/** RFC 9849 §6.1.6, §6.2: new configurations for who was rejected; of no meaning to who only looked so. */
function readRetryConfigs(extensions: Extensions, { info }: Handshake): void {
  const content = extensions.get(ExtensionType.EncryptedClientHello);
  if (content === undefined) return;
  const list = content.rest().slice();
  readEchConfigList(list, 'retry configurations');
  if (info.ech === 'rejected') info.echRetryConfigs = list;
}

/** RFC 7301 §3.1: the one protocol that the server selected of those offered, or null. @throws TlsError when there has to be one */
export function selectedProtocol(extensions: Extensions, offer: Offer, { info }: Handshake): string | null {
  const content = extensions.get(ExtensionType.ApplicationLayerProtocolNegotiation);
  if (content === undefined) {
    // RFC 9849 §6.1.6: a rejected ECH is what ends the handshake, with the new configurations
    if (offer.mustSelectProtocol && offer.alpn.length > 0 && info.ech !== 'rejected')
      throw new TlsError('NoApplicationProtocol', offer.alpn.join(', '));
    return null;
  }
  const bytes = readSelectedProtocol(content);
  const selected = offer.alpn.find((name) => equalBytes(utf8ToBytes(name), bytes));
  if (selected === undefined) {
    throw new TlsError('UnofferedApplicationProtocol', JSON.stringify(Buffer.from(bytes).toString('latin1')));
  }
  return selected;
}

/** How long records may be. */
export interface RecordLimits {
  /** Most content bytes of one record that we send. */
  readonly sendBytes: number;
  /** The same of the server's; in TLS 1.3 content type and padding count too. */
  readonly receiveBytes: number;
}

/** RFC 8449 §4: what both sides want; without an answer of the server nothing changes. */
export function recordLimits(extensions: Extensions, offer: Offer, version: TlsVersion): RecordLimits {
  // in TLS 1.3 the limit includes the content type
  const besidesContentBytes = version === 'TLSv1.3' ? 1 : 0;
  const largestBytes = MAX_PLAINTEXT_BYTES + besidesContentBytes;
  const content = extensions.get(ExtensionType.RecordSizeLimit);
  if (content === undefined) return { sendBytes: MAX_PLAINTEXT_BYTES, receiveBytes: largestBytes };
  const limit = content.u16();
  content.finish();
  // RFC 8449 §4: a value smaller than 64 → illegal_parameter
  if (limit < 64) throw new TlsError('InvalidRecordSizeLimit', String(limit));
  return {
    sendBytes: Math.min(limit - besidesContentBytes, MAX_PLAINTEXT_BYTES),
    receiveBytes: Math.min(offer.recordSizeLimit, largestBytes),
  };
}
