import { TlsError } from '../../errors.ts';
import { type CipherSuite, cipherSuiteOf } from '../../keys/suites.ts';
import { Transcript } from '../../keys/transcript.ts';
import { ExtensionType } from '../../wire/codes.ts';
import { checkAnswered, type Extensions } from '../../wire/extensions.ts';
import { equalBytes, type HandshakeMessage, type ServerHello } from '../../wire/messages.ts';
import { answersInServerHello12, type Offer } from '../client-hello.ts';
import { selectedProtocol, sendLimit } from '../expect-encrypted-extensions.ts';
import type { Handshake, HandshakeState } from '../state.ts';
import { ExpectCertificate12 } from './expect-certificate.ts';

/** What both hellos of TLS 1.2 have agreed on. */
export interface Agreed12 {
  readonly offer: Offer;
  readonly suite: CipherSuite;
  readonly transcript: Transcript;
  readonly serverRandom: Uint8Array;
  /** RFC 7627: whether the master secret covers the whole handshake. */
  readonly isMasterSecretExtended: boolean;
  readonly sendLimitBytes: number;
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
  // RFC 8446 §D.4: the session id was made up; an echo would claim a session that does not exist
  if (offer.sessionId.length > 0 && equalBytes(answer.sessionId, offer.sessionId)) {
    throw new TlsError('UnofferedResumption');
  }
  // RFC 6066 §3: the "extension_data" field of this extension SHALL be empty
  extensions.get(ExtensionType.ServerName)?.finish();
  extensions.get(ExtensionType.ExtendedMasterSecret)?.finish();
  checkRenegotiationInfo(extensions);
  checkPointFormats(extensions);
  const transcript = new Transcript(suite.hash);
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
  };
  handshake.info.version = 'TLSv1.2';
  handshake.info.cipherSuite = suite.name;
  handshake.info.cipherBits = suite.bits;
  handshake.info.extendedMasterSecret = agreed.isMasterSecretExtended;
  handshake.info.alpn = selectedProtocol(extensions, offer);
  return new ExpectCertificate12(agreed);
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
