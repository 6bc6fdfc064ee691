import { TlsError } from '../errors.ts';
import { generateKeyShare, groupName, type KeyShare, wipeKeyShares } from '../keys/groups.ts';
import { KeySchedule } from '../keys/key-schedule.ts';
import { type CipherSuite, cipherSuiteOf } from '../keys/suites.ts';
import { Transcript } from '../keys/transcript.ts';
import type { TlsSession } from '../session.ts';
import { ExtensionType, HandshakeType, ProtocolVersion, type TlsVersion, versionOf } from '../wire/codes.ts';
import { checkAnswered, type Extensions } from '../wire/extensions.ts';
import {
  equalBytes,
  type HandshakeMessage,
  readCookie,
  readServerHello,
  readServerKeyShare,
  type ServerHello,
} from '../wire/messages.ts';
import { answersInHelloRetryRequest, answersInServerHello } from './answers.ts';
import { writeClientHello } from './client-hello.ts';
import { isConfirmed, isRetryConfirmed } from './ech/confirmation.ts';
import type { EchSender } from './ech/hello.ts';
import { ExpectEncryptedExtensions } from './expect-encrypted-extensions.ts';
import { type Offer, pskOf, retryOffer } from './offer.ts';
import { expectType, type Handshake, type HandshakeState, logSecret } from './state.ts';
import { agreeOnTls12 } from './tls12/server-hello.ts';

// RFC 8446 §4.1.3: "DOWNGRD" in the last eight bytes of the random, then 1 for TLS 1.2 and 0 for older versions
const DOWNGRADE_SENTINEL: Uint8Array = Uint8Array.of(0x44, 0x4f, 0x57, 0x4e, 0x47, 0x52, 0x44);

/** RFC 9849: the hello inside of the one that everybody sees. */
export interface EchAttempt {
  readonly sender: EchSender;
  readonly inner: Offer;
  readonly innerMessage: Uint8Array;
}

/** After the first ClientHello: a ServerHello of any version or a HelloRetryRequest. */
export class ExpectServerHello implements HandshakeState {
  readonly offer: Offer;
  /** The ClientHello as it was sent. */
  readonly hello: Uint8Array;
  readonly ech: EchAttempt | null;

  constructor(offer: Offer, hello: Uint8Array, ech: EchAttempt | null = null) {
    this.offer = offer;
    this.hello = hello;
    this.ech = ech;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    expectType(message, HandshakeType.ServerHello);
    const answer = readServerHello(message);
    const older = olderVersion(answer, this.offer);
    if (older !== null) {
      // RFC 8446 §D.3: the server has forgotten what it promised with the ticket
      if (this.offer.earlyData) throw new TlsError('EarlyDataWithOldVersion', older);
      if (this.ech !== null) handshake.info.ech = 'rejected';
      wipeKeyShares(this.offer.keyShares);
      return agreeOnTls12(message, answer, older, this.offer, this.hello, handshake);
    }
    checkVersion(answer);
    const suite = checkSelection(answer, this.offer);
    if (answer.isHelloRetryRequest) return this.#retry(message, answer, suite, handshake);
    const inner = this.#acceptedInner(message, suite, handshake);
    const transcript = new Transcript(suite.hash);
    transcript.add(inner?.innerMessage ?? this.hello);
    return agree(message, answer, suite, inner?.inner ?? this.offer, transcript, handshake);
  }

  /** The inner hello when the server says that it is this one that it answers, else null. */
  #acceptedInner(message: HandshakeMessage, suite: CipherSuite, { info }: Handshake): EchAttempt | null {
    const { ech } = this;
    if (ech === null) return null;
    const before = new Transcript(suite.hash);
    before.add(ech.innerMessage);
    info.ech = isConfirmed(message, suite.hash, ech.inner.random, before) ? 'accepted' : 'rejected';
    return info.ech === 'accepted' ? ech : null;
  }

  #retry(
    message: HandshakeMessage,
    request: ServerHello,
    suite: CipherSuite,
    handshake: Handshake,
  ): HandshakeState {
    checkAnswered(request.extensions, 'hello_retry_request', answersInHelloRetryRequest(this.offer));
    const group = this.#selectedGroup(request.extensions);
    const cookieContent = request.extensions.get(ExtensionType.Cookie);
    const cookie = cookieContent === undefined ? null : readCookie(cookieContent);
    // RFC 8446 §4.1.4: illegal_parameter if the HelloRetryRequest would not result in any change in the ClientHello
    if (group === null && cookie === null) throw new TlsError('RetryWithoutChange');
    const { earlyData, editHello, info, random, records } = handshake;
    records.endOfKey();
    info.helloRetryRequest = true;
    if (earlyData.isWriting) {
      // RFC 8446 §4.2.10: a HelloRetryRequest rejects early data; the second hello is not protected
      earlyData.reject();
      info.earlyData = earlyData.status;
      records.writeUnprotected();
    }
    const share = group === null ? null : generateKeyShare(group, random);
    if (share !== null) wipeKeyShares(this.offer.keyShares);
    const offer = retryOffer(this.offer, suite, share, cookie);
    const transcript = new Transcript(suite.hash, this.hello);
    transcript.add(message.raw);
    // RFC 8446 §D.4: either before its second ClientHello or before its encrypted handshake flight
    records.sendChangeCipherSpec();
    const inner = this.#acceptedRetry(message, request, suite, handshake);
    if (inner === null || this.ech === null) {
      // RFC 9849 §6.1.5, §6.2: what was rejected, or never was one, stays as it is
      const hello = writeClientHello(offer, transcript, editHello);
      transcript.add(hello);
      records.send(hello);
      return new ExpectServerHelloAfterRetry(offer, transcript, suite);
    }
    const innerOffer = retryOffer(this.ech.inner, suite, share, cookie);
    const hellos = this.ech.sender.write(innerOffer, offer, inner, editHello);
    inner.add(hellos.innerMessage);
    records.send(hellos.outerMessage);
    return new ExpectServerHelloAfterRetry(hellos.inner, inner, suite);
  }

  /** The inner transcript when the server says that it is the inner hello that it wants another of, else null. */
  #acceptedRetry(
    message: HandshakeMessage,
    request: ServerHello,
    suite: CipherSuite,
    { info }: Handshake,
  ): Transcript | null {
    const { ech } = this;
    if (ech === null) return null;
    const inner = new Transcript(suite.hash, ech.innerMessage);
    const isAccepted = isRetryConfirmed(message, request, suite.hash, ech.inner.random, inner);
    inner.add(message.raw);
    info.ech = isAccepted ? 'accepted' : 'rejected';
    return isAccepted ? inner : null;
  }

  #selectedGroup(extensions: Extensions): KeyShare['group'] | null {
    const content = extensions.get(ExtensionType.KeyShare);
    if (content === undefined) return null;
    const selected = content.u16();
    content.finish();
    // RFC 8446 §4.2.8: the selected_group MUST be in supported_groups and MUST NOT be in the original key_share
    const group = this.offer.groups.find((each) => each === selected);
    if (group === undefined) throw new TlsError('UnofferedGroup', `group ${selected} in hello_retry_request`);
    if (this.offer.keyShares.some((share) => share.group === group)) {
      throw new TlsError('RetryGroupAlreadyShared', groupName(group));
    }
    return group;
  }
}

/** After the second ClientHello: only a ServerHello that keeps to the HelloRetryRequest. */
export class ExpectServerHelloAfterRetry implements HandshakeState {
  readonly offer: Offer;
  readonly transcript: Transcript;
  /** Of the HelloRetryRequest. */
  readonly suite: CipherSuite;

  constructor(offer: Offer, transcript: Transcript, suite: CipherSuite) {
    this.offer = offer;
    this.transcript = transcript;
    this.suite = suite;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    expectType(message, HandshakeType.ServerHello);
    const answer = readServerHello(message);
    checkVersion(answer);
    // RFC 8446 §4.1.4: a second HelloRetryRequest in the same connection → unexpected_message
    if (answer.isHelloRetryRequest) throw new TlsError('SecondHelloRetryRequest');
    const suite = checkSelection(answer, this.offer);
    // RFC 9849 §6.1.5: the two answers disagree → illegal_parameter
    const isAccepted = handshake.info.ech === 'accepted';
    if (isAccepted && !isConfirmed(message, suite.hash, this.offer.random, this.transcript)) {
      throw new TlsError('EchInconsistent');
    }
    // RFC 8446 §4.1.4: the same cipher suite, otherwise illegal_parameter
    if (suite !== this.suite) {
      throw new TlsError('CipherSuiteChanged', `expected ${this.suite.name}, got ${suite.name}`);
    }
    return agree(message, answer, suite, this.offer, this.transcript, handshake);
  }
}

/**
 * The version before TLS 1.3 that the server has chosen, and may; null when it has chosen none.
 *
 * @throws TlsError DowngradeDetected
 */
function olderVersion(answer: ServerHello, offer: Offer): TlsVersion | null {
  const with13 = offer.versions.includes('TLSv1.3');
  if (with13 && (answer.selectedVersion !== null || answer.isHelloRetryRequest)) return null;
  const version = versionOf(answer.legacyVersion);
  // RFC 8446 §4.1.3: TLS 1.3 clients MUST check for both values, TLS 1.2 clients SHOULD for that of older versions
  const highestMark = with13 ? 1 : version !== undefined && version < 'TLSv1.2' ? 0 : -1;
  const isDowngraded = offer.versions[0]! >= 'TLSv1.2' && downgradeMark(answer.random) <= highestMark;
  if (isDowngraded) throw new TlsError('DowngradeDetected');
  const isOffered = version !== undefined && version < 'TLSv1.3' && offer.versions.includes(version);
  return isOffered ? version : null;
}

function checkVersion(answer: ServerHello): void {
  if (answer.selectedVersion === null) {
    throw new TlsError('VersionNotSupported', `got 0x${hex16(answer.legacyVersion)}`);
  }
  // RFC 8446 §4.2.1: a version not offered, or prior to TLS 1.3 → illegal_parameter
  if (answer.selectedVersion !== ProtocolVersion.Tls13) {
    throw new TlsError('UnofferedVersion', `0x${hex16(answer.selectedVersion)}`);
  }
  if (answer.legacyVersion !== ProtocolVersion.Tls12) {
    throw new TlsError('WrongLegacyVersion', `0x${hex16(answer.legacyVersion)}`);
  }
}

/** What stands behind "DOWNGRD", or infinity. */
function downgradeMark(random: Uint8Array): number {
  const mark = random.subarray(24);
  return equalBytes(mark.subarray(0, 7), DOWNGRADE_SENTINEL) ? mark[7]! : Number.POSITIVE_INFINITY;
}

/** RFC 8446 §4.1.3: what ServerHello and HelloRetryRequest have in common. */
function checkSelection(answer: ServerHello, offer: Offer): CipherSuite {
  if (!equalBytes(answer.sessionId, offer.sessionId)) throw new TlsError('SessionIdMismatch');
  if (answer.compression !== 0) throw new TlsError('UnofferedCompression', `method ${answer.compression}`);
  const suite = offer.cipherSuites.includes(answer.cipherSuite)
    ? cipherSuiteOf(answer.cipherSuite)
    : undefined;
  // RFC 8446 §B.4: the suites of both versions differ
  if (suite?.version !== 'TLSv1.3')
    throw new TlsError('UnofferedCipherSuite', `0x${hex16(answer.cipherSuite)}`);
  return suite;
}

/** Agrees on the handshake secrets and changes to them. */
function agree(
  message: HandshakeMessage,
  answer: ServerHello,
  suite: CipherSuite,
  offer: Offer,
  transcript: Transcript,
  handshake: Handshake,
): HandshakeState {
  checkAnswered(answer.extensions, 'server_hello', answersInServerHello(offer));
  const psk = selectedPsk(answer.extensions, suite, offer);
  const content = answer.extensions.get(ExtensionType.KeyShare);
  // RFC 8446 §9.2: without a PSK key_share is required → missing_extension
  if (content === undefined) throw new TlsError('MissingExtension', 'key_share in server_hello');
  const { group, publicKey } = readServerKeyShare(content);
  // RFC 8446 §4.2.8: the group of a share that was sent; after a HelloRetryRequest that is the selected one
  const share = offer.keyShares.find((each) => each.group === group);
  if (share === undefined) throw new TlsError('UnofferedGroup', `group ${group} in server_hello`);
  const sharedSecret = share.agree(publicKey);
  wipeKeyShares(offer.keyShares);

  transcript.add(message.raw);
  const schedule = new KeySchedule(suite, psk?.secret);
  const secrets = schedule.handshake(sharedSecret, transcript.hash());
  handshake.wipes.push(() => {
    schedule.wipe();
    secrets.client.fill(0);
    secrets.server.fill(0);
  });
  logSecret(handshake, 'CLIENT_HANDSHAKE_TRAFFIC_SECRET', offer.random, secrets.client);
  logSecret(handshake, 'SERVER_HANDSHAKE_TRAFFIC_SECRET', offer.random, secrets.server);
  handshake.records.protectReading(suite, secrets.server);
  if (handshake.earlyData.isWriting && psk === null) {
    handshake.earlyData.reject();
    handshake.info.earlyData = handshake.earlyData.status;
  }
  // our early data goes on until EncryptedExtensions says what becomes of it
  if (!handshake.earlyData.isWriting) handshake.records.protectWriting(suite, secrets.client);
  handshake.info.secureRenegotiation = true;
  handshake.info.version = 'TLSv1.3';
  handshake.info.extendedMasterSecret = true;
  handshake.info.cipherSuite = suite.name;
  handshake.info.cipherBits = suite.bits;
  handshake.info.group = groupName(share.group);
  return new ExpectEncryptedExtensions({ offer, transcript, schedule, secrets, session: psk });
}

/** RFC 8446 §4.2.11: the session that the server resumes, or null. */
function selectedPsk(extensions: Extensions, suite: CipherSuite, offer: Offer): TlsSession | null {
  const content = extensions.get(ExtensionType.PreSharedKey);
  const offered = pskOf(offer);
  if (content === undefined || offered === null) return null;
  const identity = content.u16();
  content.finish();
  // RFC 8446 §4.2.11: an identity out of range, or a suite with another hash → illegal_parameter
  if (identity !== 0) throw new TlsError('UnofferedResumption', `identity ${identity} of 1`);
  if (suite.hash !== offered.suite.hash) {
    throw new TlsError('UnofferedResumption', `${suite.name} with a session of ${offered.suite.name}`);
  }
  return offered.session;
}

function hex16(value: number): string {
  return value.toString(16).padStart(4, '0');
}
