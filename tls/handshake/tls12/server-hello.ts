import { TlsError } from '../../errors.ts';
import { type Prf, prfOf } from '../../keys/prf.ts';
import { cipherSuiteOf, isSuiteOf } from '../../keys/suites.ts';
import { Transcript } from '../../keys/transcript.ts';
import type { RecordParameters } from '../../record/record-protection.ts';
import { ExtensionType, type TlsVersion } from '../../wire/codes.ts';
import { checkAnswered, type Extensions } from '../../wire/extensions.ts';
import { equalBytes, type HandshakeMessage, readTimestamps, type ServerHello } from '../../wire/messages.ts';
import { answersInServerHello12 } from '../answers.ts';
import { type RecordLimits, recordLimits, selectedProtocol } from '../expect-encrypted-extensions.ts';
import type { Offer } from '../offer.ts';
import { checkRenegotiationInfo } from '../renegotiation.ts';
import { acceptResumption } from '../resumption.ts';
import type { Handshake, HandshakeState } from '../state.ts';
import { ExpectCertificate12 } from './expect-certificate.ts';
import { expectEndOfFlight } from './expect-change-cipher-spec.ts';
import { makeKeys } from './keys.ts';

/** What both hellos of a version before TLS 1.3 have agreed on. */
export interface Agreed12 extends RecordParameters {
  readonly offer: Offer;
  readonly prf: Prf;
  readonly transcript: Transcript;
  readonly serverRandom: Uint8Array;
  /** RFC 7627: whether the master secret covers the whole handshake. */
  readonly isMasterSecretExtended: boolean;
  readonly limits: RecordLimits;
  /** The id that the server gave to the session; may be empty. */
  readonly sessionId: Uint8Array;
  /** RFC 5077 §3.2: a NewSessionTicket will come. */
  readonly isTicketPromised: boolean;
  /** RFC 6066 §8: a CertificateStatus may come. */
  readonly isStatusPromised: boolean;
}

/**
 * Takes a ServerHello of a version before TLS 1.3 (RFC 5246 §7.4.1.3).
 *
 * @param version one that was offered
 * @param hello the ClientHello as it was sent
 * @throws TlsError
 */
export function agreeOnTls12(
  message: HandshakeMessage,
  answer: ServerHello,
  version: TlsVersion,
  offer: Offer,
  hello: Uint8Array,
  handshake: Handshake,
): HandshakeState {
  handshake.records.useOldVersion(version);
  if (answer.compression !== 0) throw new TlsError('UnofferedCompression', `method ${answer.compression}`);
  const suite = offer.cipherSuites.includes(answer.cipherSuite)
    ? cipherSuiteOf(answer.cipherSuite)
    : undefined;
  if (suite === undefined || !isSuiteOf(suite, version))
    throw new TlsError('UnofferedCipherSuite', `0x${answer.cipherSuite.toString(16)}`);
  const { extensions } = answer;
  checkAnswered(extensions, 'server_hello', answersInServerHello12(offer));
  // RFC 6066 §3: the "extension_data" field of this extension SHALL be empty
  extensions.get(ExtensionType.ServerName)?.finish();
  extensions.get(ExtensionType.ExtendedMasterSecret)?.finish();
  extensions.get(ExtensionType.SessionTicket)?.finish();
  extensions.get(ExtensionType.StatusRequest)?.finish();
  extensions.get(ExtensionType.EncryptThenMac)?.finish();
  checkRenegotiationInfo(extensions, offer.former, !offer.fallback);
  checkPointFormats(extensions);
  const encryptThenMac = extensions.has(ExtensionType.EncryptThenMac);
  const isBlock = suite.cipher.kind === 'block';
  // RFC 7366 §3: only for CBC, but some servers answer it always
  if (isBlock && !encryptThenMac && !offer.fallback) throw new TlsError('EncryptThenMacMissing', suite.name);
  const prf = prfOf(version, suite);
  const transcript = new Transcript(prf.hash, null, !handshake.identities.isEmpty);
  transcript.add(hello);
  transcript.add(message.raw);
  const agreed: Agreed12 = {
    offer,
    version,
    suite,
    encryptThenMac: encryptThenMac && isBlock,
    prf,
    transcript,
    serverRandom: answer.random.slice(),
    isMasterSecretExtended: extensions.has(ExtensionType.ExtendedMasterSecret),
    // RFC 8449 §4: before TLS 1.3 the limit is that of the content
    limits: recordLimits(extensions, offer, version),
    sessionId: answer.sessionId.slice(),
    isTicketPromised: extensions.has(ExtensionType.SessionTicket),
    isStatusPromised: extensions.has(ExtensionType.StatusRequest),
  };
  // RFC 7627 §5.4, §6.4: without it whoever is between can make both sides have the same keys
  if (offer.former !== null && offer.former.isMasterSecretExtended !== agreed.isMasterSecretExtended)
    throw new TlsError('MasterSecretChanged');
  handshake.info.version = version;
  handshake.info.encryptThenMac = agreed.encryptThenMac;
  handshake.info.cipherSuite = suite.name;
  handshake.info.cipherBits = suite.bits;
  handshake.info.extendedMasterSecret = agreed.isMasterSecretExtended;
  // a renegotiation offers none, and the connection keeps what it has
  if (offer.former === null) handshake.info.alpn = selectedProtocol(extensions, offer, handshake);
  handshake.info.secureRenegotiation = extensions.has(ExtensionType.RenegotiationInfo);
  const timestamps = extensions.get(ExtensionType.SignedCertificateTimestamp);
  if (timestamps !== undefined) handshake.info.signedCertificateTimestamps = readTimestamps(timestamps);
  // RFC 5246 §7.4.1.3, RFC 5077 §3.4: the echo of our session id means that the session is resumed
  const isEcho = answer.sessionId.length > 0 && equalBytes(answer.sessionId, offer.sessionId);
  return isEcho ? resume(agreed, handshake) : new ExpectCertificate12(agreed);
}

function resume(agreed: Agreed12, handshake: Handshake): HandshakeState {
  const session = agreed.offer.session?.session;
  // RFC 8446 §D.4: a made-up session id belongs to no session
  if (session === undefined || session.version === 'TLSv1.3') throw new TlsError('UnofferedResumption');
  // RFC 5246 §E.1, RFC 8446 §4.6.1: and its version
  if (session.version !== agreed.version) {
    throw new TlsError('UnofferedResumption', `${agreed.version} is not the version of the session`);
  }
  // RFC 5246 §7.4.1.3: a resumed session has its cipher suite
  if (session.cipherSuite !== agreed.suite.id) {
    throw new TlsError('UnofferedResumption', `${agreed.suite.name} is not the suite of the session`);
  }
  // RFC 7627 §5.3: a session with extended master secret is not resumed without it; others are not kept
  if (!agreed.isMasterSecretExtended) throw new TlsError('MasterSecretNotExtended');
  acceptResumption(session, handshake);
  return expectEndOfFlight(agreed, makeKeys(agreed, session.secret.slice(), handshake), session);
}

/** RFC 8422 §5.2: without the uncompressed format → illegal_parameter. */
function checkPointFormats(extensions: Extensions): void {
  const content = extensions.get(ExtensionType.EcPointFormats);
  if (content === undefined) return;
  const formats = content.vector8('ec_point_format_list').rest();
  content.finish();
  if (!formats.includes(0)) throw new TlsError('MissingPointFormat');
}
