import { TlsError } from '../../errors.ts';
import { type CipherSuite, cipherSuiteOf } from '../../keys/suites.ts';
import { Transcript } from '../../keys/transcript.ts';
import { ExtensionType } from '../../wire/codes.ts';
import { checkAnswered, type Extensions } from '../../wire/extensions.ts';
import { equalBytes, type HandshakeMessage, type ServerHello } from '../../wire/messages.ts';
import { answersInServerHello12, type Offer } from '../client-hello.ts';
import { selectedProtocol, sendLimit } from '../expect-encrypted-extensions.ts';
import { acceptResumption } from '../resumption.ts';
import type { Handshake, HandshakeState } from '../state.ts';
import { ExpectCertificate12 } from './expect-certificate.ts';
import { expectEndOfFlight } from './expect-change-cipher-spec.ts';
import { makeKeys } from './keys.ts';

/** What both hellos of TLS 1.2 have agreed on. */
export interface Agreed12 {
  readonly offer: Offer;
  readonly suite: CipherSuite;
  readonly transcript: Transcript;
  readonly serverRandom: Uint8Array;
  /** RFC 7627: whether the master secret covers the whole handshake. */
  readonly isMasterSecretExtended: boolean;
  readonly sendLimitBytes: number;
  /** The id that the server gave to the session; may be empty. */
  readonly sessionId: Uint8Array;
  /** RFC 5077 §3.2: a NewSessionTicket will come. */
  readonly isTicketPromised: boolean;
}

/**
 * Takes a ServerHello of TLS 1.2 (RFC 5246 §7.4.1.3).
 *
 * @param hello the ClientHello as it was sent
 * @throws TlsError
 */
export function agreeOnTls12(
  message: HandshakeMessage,
  answer: ServerHello,
  offer: Offer,
  hello: Uint8Array,
  handshake: Handshake,
): HandshakeState {
  handshake.records.useTls12();
  if (answer.compression !== 0) throw new TlsError('UnofferedCompression', `method ${answer.compression}`);
  const suite = offer.cipherSuites.includes(answer.cipherSuite)
    ? cipherSuiteOf(answer.cipherSuite)
    : undefined;
  // RFC 8446 §B.4: the suites of TLS 1.3 cannot be used here
  if (suite?.version !== 'TLSv1.2')
    throw new TlsError('UnofferedCipherSuite', `0x${answer.cipherSuite.toString(16)}`);
  const { extensions } = answer;
  checkAnswered(extensions, 'server_hello', answersInServerHello12(offer));
  // RFC 6066 §3: the "extension_data" field of this extension SHALL be empty
  extensions.get(ExtensionType.ServerName)?.finish();
  extensions.get(ExtensionType.ExtendedMasterSecret)?.finish();
  extensions.get(ExtensionType.SessionTicket)?.finish();
  checkRenegotiationInfo(extensions);
  checkPointFormats(extensions);
  const transcript = new Transcript(suite.hash, null, handshake.identity !== null);
  transcript.add(hello);
  transcript.add(message.raw);
  const agreed: Agreed12 = {
    offer,
    suite,
    transcript,
    serverRandom: answer.random.slice(),
    isMasterSecretExtended: extensions.has(ExtensionType.ExtendedMasterSecret),
    // RFC 8449 §4: before TLS 1.3 the limit is that of the content
    sendLimitBytes: sendLimit(extensions, 0),
    sessionId: answer.sessionId.slice(),
    isTicketPromised: extensions.has(ExtensionType.SessionTicket),
  };
  handshake.info.version = 'TLSv1.2';
  handshake.info.cipherSuite = suite.name;
  handshake.info.cipherBits = suite.bits;
  handshake.info.extendedMasterSecret = agreed.isMasterSecretExtended;
  handshake.info.alpn = selectedProtocol(extensions, offer);
  // RFC 5246 §7.4.1.3, RFC 5077 §3.4: the echo of our session id means that the session is resumed
  const isEcho = answer.sessionId.length > 0 && equalBytes(answer.sessionId, offer.sessionId);
  return isEcho ? resume(agreed, handshake) : new ExpectCertificate12(agreed);
}

function resume(agreed: Agreed12, handshake: Handshake): HandshakeState {
  const session = agreed.offer.session?.session;
  // RFC 8446 §D.4: a made-up session id belongs to no session
  if (session?.version !== 'TLSv1.2') throw new TlsError('UnofferedResumption');
  // RFC 5246 §7.4.1.3: a resumed session has its cipher suite
  if (session.cipherSuite !== agreed.suite.id) {
    throw new TlsError('UnofferedResumption', `${agreed.suite.name} is not the suite of the session`);
  }
  // RFC 7627 §5.3: a session with extended master secret is not resumed without it; others are not kept
  if (!agreed.isMasterSecretExtended) throw new TlsError('MasterSecretNotExtended');
  acceptResumption(session, handshake);
  return expectEndOfFlight(agreed, makeKeys(agreed, session.secret.slice(), handshake), session);
}

/** RFC 5746 §3.4: its absence means that the server cannot renegotiate safely; nobody will. */
function checkRenegotiationInfo(extensions: Extensions): void {
  const content = extensions.get(ExtensionType.RenegotiationInfo);
  if (content === undefined) return;
  // RFC 5746 §3.4: the length of renegotiated_connection MUST be zero, if not → handshake_failure
  if (!content.vector8('renegotiated_connection').done) throw new TlsError('InvalidRenegotiationInfo');
  content.finish();
}

/** RFC 8422 §5.2: without the uncompressed format → illegal_parameter. */
function checkPointFormats(extensions: Extensions): void {
  const content = extensions.get(ExtensionType.EcPointFormats);
  if (content === undefined) return;
  const formats = content.vector8('ec_point_format_list').rest();
  content.finish();
  if (!formats.includes(0)) throw new TlsError('MissingPointFormat');
}
