import type { RandomSource } from '../stack/random.ts';
import type { Slab } from '../stack/wire/slab.ts';
import { NO_ALERT, TlsError } from './errors.ts';
import { evidenceOf } from './handshake/accept-chain.ts';
import { type ClientCredentials, ClientIdentities } from './handshake/client-credentials.ts';
import { type ClientHelloEdit, writeClientHello } from './handshake/client-hello.ts';
import {
  CERTIFICATE_DECOMPRESSORS,
  type CertificateDecompressor,
} from './handshake/compressed-certificate.ts';
import { Connected } from './handshake/connected.ts';
import { EarlyData } from './handshake/early-data.ts';
import { type EchConfig, readEchConfigList } from './handshake/ech/config.ts';
import { EchSender, greaseContent, outerOfferOf } from './handshake/ech/hello.ts';
import { ExpectServerHello } from './handshake/expect-server-hello.ts';
import { makeOffer, type Offer, pskOf, type Wish } from './handshake/offer.ts';
import { PostHandshakeAuth } from './handshake/post-handshake-auth.ts';
import { type Handshake, type HandshakeState, logSecret, newInfo, type TlsInfo } from './handshake/state.ts';
import { Connected12 } from './handshake/tls12/connected.ts';
import { keyingMaterial } from './keys/exporter.ts';
import { GROUPS, isTls12Group, type NamedGroup } from './keys/groups.ts';
import { FALLBACK_SIGNATURE_SCHEMES, SIGNATURE_SCHEMES, signatureSchemeNumber } from './keys/signatures.ts';
import { CIPHER_SUITES, type CipherSuite } from './keys/suites.ts';
import { MAX_PLAINTEXT_BYTES } from './limits.ts';
import { HandshakeRecords } from './record/handshake-records.ts';
import { type SessionUse, sessionKey, type TlsSession } from './session.ts';
import { type TracedMessage, traceMessage } from './trace.ts';
import type { SessionTicket, TrafficOpener } from './traffic/opener.ts';
import { writeTrafficState } from './traffic/state.ts';
import type { TlsVersion } from './wire/codes.ts';
import type { HandshakeMessage } from './wire/messages.ts';
import type { CertificateVerifier } from './x509/verdict.ts';

export { TlsError } from './errors.ts';
export type { ChosenCredentials, ClientCredentials, Signer } from './handshake/client-credentials.ts';
export type { ClientHelloDraft, ClientHelloEdit, HelloExtension } from './handshake/client-hello.ts';
export type { CertificateDecompressor } from './handshake/compressed-certificate.ts';
export type { EarlyDataStatus } from './handshake/early-data.ts';
export type { TlsInfo } from './handshake/state.ts';
export { NamedGroup } from './keys/groups.ts';
export { MemorySessionStore, type SessionStore, type SessionUse, type TlsSession } from './session.ts';
export { decodeSession, encodeSession } from './session-encoding.ts';
export type { TracedHello, TracedMessage } from './trace.ts';
export { exportKeyingMaterial } from './traffic/exporter.ts';
export { TRAFFIC_STATE_BYTES } from './traffic/state.ts';
export type { TlsVersion } from './wire/codes.ts';
export type { CertificateVerdict, CertificateVerifier, PeerEvidence } from './x509/verdict.ts';

/** What a TLS client needs from outside. */
export interface TlsClientOptions {
  /** A DNS name in A-label form, or an IP address literal. */
  readonly serverName: string;
  /** All randomness, private keys too: the same seed gives the same ClientHello and the same keys. */
  readonly random: RandomSource;
  /** Time of day in milliseconds since 1970, for the validity of certificates. */
  readonly unixTimeMs: number;
  readonly verifier: CertificateVerifier;
  /** Default 'TLSv1.2', with `fallback` 'TLSv1'. */
  readonly minVersion?: TlsVersion;
  /** Default 'TLSv1.3'. */
  readonly maxVersion?: TlsVersion;
  /**
   * INET_OPTION_SECURE_FALLBACK, for devices that nobody can update: offers and accepts TLS 1.0 and 1.1, RSA key exchange,
   * DHE with groups from 1024 bits, CBC with any order of MAC and encryption, 3DES, RC4, signatures with SHA-1 and MD5, and
   * servers without renegotiation_info (RFC 5746). Default false.
   */
  readonly fallback?: boolean;
  /**
   * Cipher suites in order of preference, by their IANA names. Default: those with forward secrecy, an AEAD and a named
   * group; with `fallback` all. Those with finite-field groups, CBC or CCM are offered when they are named here.
   */
  readonly cipherSuites?: readonly string[];
  /**
   * Groups for the key exchange in order of preference, numbers of {@link NamedGroup}. Default: X25519MLKEM768, X25519,
   * P-256, P-384, P-521; with `fallback` without the first, whose share makes a ClientHello larger than old devices take.
   */
  readonly groups?: readonly NamedGroup[];
  /**
   * Those of `groups` whose shares go into the first ClientHello; empty: none, so that the server chooses one by a
   * HelloRetryRequest. Default: the first group, and X25519 beside X25519MLKEM768.
   */
  readonly keyShares?: readonly NamedGroup[];
  /**
   * Signature schemes in order of preference, as RFC 8446 §4.2.3 names them. Default: all that are not weak; with `fallback`
   * those too.
   */
  readonly signatureSchemes?: readonly string[];
  /** Application protocols in order of preference, each 1 … 255 bytes. */
  readonly alpn?: readonly string[];
  /** Takes lines of the key log format (RFC 9850). Whoever has them can read the connection. */
  readonly keyLog?: ((line: string) => void) | null;
  /** What the client proves itself with when a server asks: the first that the server would take. */
  readonly credentials?: ClientCredentials | readonly ClientCredentials[] | null;
  /**
   * Fails when a server asks for a certificate and would take none of `credentials`. Default false: then it is told that there is
   * none (RFC 8446 §4.4.2), and decides.
   */
  readonly mustAuthenticate?: boolean;
  /**
   * The server has to select one of `alpn`, else the handshake ends with no_application_protocol (as RFC 9001 §8.1 has it for QUIC).
   * RFC 7301 leaves the choice to the server; default false: what it selected is told.
   */
  readonly mustSelectProtocol?: boolean;
  /** Resumes sessions, and keeps those of this connection. Default: none. */
  readonly sessions?: SessionUse | null;
  /** RFC 5077: asks for tickets before TLS 1.3; without them a session is known by its id. Default: with `sessions`. */
  readonly tickets?: boolean;
  /**
   * RFC 7507: says that this is another try with an older `maxVersion`; a server that knows a newer one refuses it with
   * inappropriate_fallback. Default false.
   */
  readonly fallbackScsv?: boolean;
  /**
   * RFC 8449: how long the records of the server may be, 64 … 16385 bytes of content (in TLS 1.3 with its type and padding), and lets
   * the server limit ours. true: as long as TLS allows. Default false: no limits are told.
   */
  readonly recordSizeLimit?: boolean | number;
  /** RFC 8446 §5.4: records of TLS 1.3 with data are padded to a multiple of so many bytes, 1 … 16384. Default: not at all. */
  readonly recordPaddingBytes?: number;
  /**
   * RFC 8446 §4.6.2: lets the server ask for a certificate after the handshake, too; it is answered with `credentials` that fit, or with
   * none. Default false: then it may not ask, and the connection ends if it does.
   */
  readonly postHandshakeAuth?: boolean;
  /**
   * RFC 8446 §2.3: when a session allows it, data may be sent with {@link TlsClient.sendEarlyData} before the server has answered.
   * Such data can be replayed by whoever is between: only what may be done twice should be sent. Default false.
   */
  readonly earlyData?: boolean;
  /** RFC 6066 §8: asks for a stapled OCSP response; the verifier gets it. Default true. */
  readonly certificateStatus?: boolean;
  /** RFC 6962 §3.3.1: asks for signed certificate timestamps; the verifier gets them. Default false. */
  readonly signedCertificateTimestamps?: boolean;
  /** RFC 8879: how the server may compress its certificates, in order of preference. Default: not at all. */
  readonly certificateCompression?: readonly (CertificateCompression | CertificateDecompressor)[];
  /**
   * RFC 8701: offers values that no server knows, so that servers stay tolerant. Default false: old devices are what a
   * test bench has, and hellos of one seed stay the same.
   */
  readonly grease?: boolean;
  /**
   * RFC 9849: encrypts the ClientHello, so that nobody on the way sees the name of the server. An ECHConfigList, as DNS has it in
   * HTTPS records; `'grease'`: only looks so. A server that cannot read it fails the handshake with EchRejected, and may say in
   * {@link TlsInfo.echRetryConfigs} how to encrypt for it. Default: neither.
   */
  readonly ech?: Uint8Array | 'grease' | null;
  /** What to do when no configuration of `ech` can be used. Default 'fail': the constructor throws. */
  readonly echUnusable?: 'fail' | 'grease' | 'ignore';
  /** Sends the extensions of the ClientHello in an order made by chance. Default false. */
  readonly permuteExtensions?: boolean;
  /** What a tester wants to be different. */
  readonly testing?: TlsTesting;
}

/** The three ways to compress certificates that RFC 8879 §3 names. */
export type CertificateCompression = 'zlib' | 'brotli' | 'zstd';

/** For testers: what the client does otherwise than it would. The server's answers are still judged by the usual offer. */
export interface TlsTesting {
  /**
   * Makes another ClientHello of the one that would be sent: other values, another order, additional or broken extensions. It
   * is called again after a HelloRetryRequest. Binders are computed over the result.
   */
  readonly clientHello?: ClientHelloEdit;
  /** Most content bytes of a handshake record that is sent. Default 16384. */
  readonly fragmentBytes?: number;
  /** How what the client sends during the handshake is cut for the transport, whatever its records are. Default: not at all. */
  readonly pieces?: TlsPieces;
  /** Sees each handshake message that is sent or received until the handshake ends. */
  readonly trace?: (message: TracedMessage) => void;
}

/** Pieces that are sent one after the other. With a pause between them each goes out in segments of its own. */
export interface TlsPieces {
  /** At least 1. */
  readonly sizeBytes: number;
  /** Between two pieces. */
  readonly delayMs: number;
}

/** What few connections need to be different; see {@link TlsClientOptions} for each. */
export type TlsTuning = Pick<
  TlsClientOptions,
  | 'certificateCompression'
  | 'certificateStatus'
  | 'ech'
  | 'echUnusable'
  | 'grease'
  | 'groups'
  | 'keyShares'
  | 'mustAuthenticate'
  | 'mustSelectProtocol'
  | 'permuteExtensions'
  | 'postHandshakeAuth'
  | 'recordPaddingBytes'
  | 'recordSizeLimit'
  | 'signatureSchemes'
  | 'signedCertificateTimestamps'
  | 'testing'
>;

/**
 * The handshake of a TLS client (RFC 8446, RFC 5246), without any I/O: bytes in, bytes out. After it the connection lives on
 * in a traffic state ({@link TlsClient.exportTraffic}).
 */
export class TlsClient {
  readonly #handshake: Handshake;
  readonly #wish: Wish;
  readonly #sessions: SessionUse | null;
  readonly #sessionKey: string;
  readonly #echConfig: EchConfig | null;
  readonly #looksEncrypted: boolean;
  readonly #paddingBytes: number;
  #authentication: PostHandshakeAuth | null = null;
  #current: HandshakeState | null = null;
  #error: TlsError | null = null;
  /** What this connection has left in the store, before TLS 1.3. */
  #oldSession: TlsSession | null = null;

  /** @throws TypeError when the credentials are of no use, RangeError for the name of a suite or signature scheme that nobody knows */
  constructor(options: TlsClientOptions) {
    const identities = new ClientIdentities(listOf(options.credentials ?? []), options.mustAuthenticate);
    const alpn = options.alpn ?? [];
    this.#sessions = options.sessions ?? null;
    const fallback = options.fallback ?? false;
    this.#sessionKey =
      this.#sessions === null
        ? ''
        : sessionKey(options.serverName, this.#sessions, alpn, identities.id, fallback);
    this.#wish = {
      serverName: options.serverName,
      minVersion: options.minVersion ?? (fallback ? 'TLSv1' : 'TLSv1.2'),
      maxVersion: options.maxVersion ?? 'TLSv1.3',
      cipherSuites: suitesWished(options.cipherSuites, fallback),
      fallback,
      groups: options.groups ?? (fallback ? GROUPS.filter(isTls12Group) : GROUPS),
      keyShares: options.keyShares ?? null,
      signatureSchemes: schemesWished(options.signatureSchemes, fallback),
      alpn,
      mustSelectProtocol: options.mustSelectProtocol ?? false,
      recordSizeLimit: recordSizeLimitOf(options.recordSizeLimit ?? false),
      wantsTicket: (options.tickets ?? true) && this.#sessions !== null,
      fallbackScsv: options.fallbackScsv ?? false,
      earlyData: options.earlyData ?? false,
      certificateStatus: options.certificateStatus ?? true,
      signedCertificateTimestamps: options.signedCertificateTimestamps ?? false,
      certificateCompression: (options.certificateCompression ?? []).map(decompressorOf),
      postHandshakeAuth: options.postHandshakeAuth ?? false,
      grease: options.grease ?? false,
      permuteExtensions: options.permuteExtensions ?? false,
    };
    this.#paddingBytes = checkPadding(options.recordPaddingBytes ?? 0);
    const ech = echOf(options);
    this.#echConfig = ech.config;
    this.#looksEncrypted = ech.looksEncrypted;
    this.#handshake = {
      serverName: options.serverName,
      echPublicName: ech.config?.publicName ?? '',
      unixTimeMs: options.unixTimeMs,
      random: options.random,
      verifier: options.verifier,
      isStatusAsked: this.#wish.certificateStatus,
      keyLog: options.keyLog ?? null,
      identities,
      keepSession: this.#sessions === null ? null : (session) => this.#keepSession(session),
      records: new HandshakeRecords(true, options.testing?.fragmentBytes),
      earlyData: new EarlyData(),
      editHello: options.testing?.clientHello ?? null,
      info: newInfo(options.serverName),
      wipes: [],
    };
    const trace = options.testing?.trace;
    if (trace !== undefined) {
      this.#handshake.records.onMessage = (sender, raw) => trace(traceMessage(sender, raw));
    }
  }

  get state(): 'handshaking' | 'connected' | 'failed' {
    if (this.#error !== null) return 'failed';
    return isConnected(this.#current) ? 'connected' : 'handshaking';
  }

  /** Why the handshake failed. */
  get error(): TlsError | null {
    return this.#error;
  }

  /** What is known so far; complete when connected. */
  get info(): TlsInfo {
    return this.#handshake.info;
  }

  /**
   * Produces the ClientHello.
   *
   * @throws RangeError when an ALPN name is not 1 … 255 bytes, minVersion is above maxVersion, no suite or group is
   * left, or something takes `fallback`
   */
  start(): void {
    const { earlyData, editHello, info, random, records } = this.#handshake;
    const config = this.#echConfig;
    const wish: Wish = config === null ? this.#wish : { ...this.#wish, minVersion: 'TLSv1.3' };
    const offer = this.#makeOffer(wish);
    let hello: Uint8Array;
    if (config !== null) {
      const sender = new EchSender(config, random);
      // what a server may choose that cannot read the inner hello
      const { versions, cipherSuites } = makeOffer({ ...this.#wish, keyShares: [] }, random, 0);
      const outer = outerOfferOf(offer, { ...offer, versions, cipherSuites }, config, random);
      const hellos = sender.write(offer, outer, null, editHello);
      const { inner, innerMessage } = hellos;
      records.send(hellos.outerMessage);
      info.ech = 'offered';
      hello = innerMessage;
      this.#current = new ExpectServerHello(hellos.outer, hellos.outerMessage, {
        sender,
        inner,
        innerMessage,
      });
    } else {
      hello = writeClientHello(offer, null, editHello);
      records.send(hello);
      if (offer.encryptedClientHello !== null) info.ech = 'grease';
      this.#current = new ExpectServerHello(offer, hello);
    }
    const psk = pskOf(offer);
    if (!offer.earlyData || psk === null) return;
    const secret = earlyData.offer(psk, hello, records);
    logSecret(this.#handshake, 'CLIENT_EARLY_TRAFFIC_SECRET', offer.random, secret);
    const { exporter } = earlyData;
    if (exporter !== null) {
      logSecret(this.#handshake, 'EARLY_EXPORTER_SECRET', offer.random, exporter.secret);
    }
    secret.fill(0);
    info.earlyData = 'offered';
  }

  #makeOffer(wish: Wish): Offer {
    const { random, unixTimeMs } = this.#handshake;
    const use = this.#sessions;
    const sessions = (): TlsSession | null => use?.store.take(this.#sessionKey) ?? null;
    const offer = makeOffer(wish, random, unixTimeMs, sessions, (session) => this.#isTrusted(session));
    const isGrease = this.#looksEncrypted && offer.versions.includes('TLSv1.3');
    return isGrease ? { ...offer, encryptedClientHello: greaseContent(random) } : offer;
  }

  /**
   * The certificates of a session are looked at again before it is offered: early data goes out before anything is heard of the server,
   * and where a stapled answer has run out meanwhile, a full handshake brings a new one.
   */
  #isTrusted(session: TlsSession): boolean {
    const { verifier, serverName, unixTimeMs } = this.#handshake;
    const evidence = evidenceOf(session, this.#handshake);
    return verifier.verify(session.chain, serverName, unixTimeMs, evidence).accepted;
  }

  /**
   * Sends data before the server has answered, when `earlyData` was asked for and a session allows it. Whether the server took it
   * is in {@link TlsInfo.earlyData} after the handshake; what it rejected has to be sent again.
   *
   * @returns the bytes taken, 0 when none may be sent
   */
  sendEarlyData(from: Uint8Array, off: number, len: number): number {
    if (this.state !== 'handshaking' || !this.#handshake.earlyData.isWriting) return 0;
    return this.#handshake.earlyData.send(this.#handshake.records, from, off, len);
  }

  /**
   * Keys for another protocol from the early secret (RFC 8446 §7.5), while early data can be sent.
   *
   * @throws Error when no early data was offered, or the handshake is over
   */
  exportEarlyKeyingMaterial(label: string, context: Uint8Array | null, lengthBytes: number): Uint8Array {
    const { exporter } = this.#handshake.earlyData;
    if (exporter === null) throw new Error('there is no early data');
    return keyingMaterial(
      'TLSv1.3',
      exporter.suite,
      exporter.secret,
      new Uint8Array(0),
      label,
      context,
      lengthBytes,
    );
  }

  /**
   * Takes bytes of the server, whole records only. It stops after the record that ends the handshake or makes it fail:
   * bytes after the server's Finished belong to the traffic phase.
   *
   * @returns the bytes consumed; the caller keeps the rest and gives it again with more
   */
  receive(bytes: Uint8Array, off: number, len: number): number {
    let consumed = 0;
    try {
      while (this.state === 'handshaking' && this.#current !== null) {
        const recordBytes = this.#handshake.records.lengthOf(bytes, off + consumed, len - consumed);
        if (recordBytes === 0 || recordBytes > len - consumed) break;
        const at = off + consumed;
        consumed += recordBytes;
        this.#handshake.records.receive(bytes, at, recordBytes);
        if (this.#handshake.records.takeChangeCipherSpec()) this.#changeCipherSpec();
        this.#handleMessages();
      }
    } catch (error) {
      if (!(error instanceof TlsError)) throw error;
      this.#error = error;
      this.#current = null;
      const { records, wipes } = this.#handshake;
      if (error.alert !== NO_ALERT) records.sendAlert(error.alert);
      for (const wipe of wipes) wipe();
      records.wipe();
    }
    return consumed;
  }

  /** Bytes to send now, or null; after a failure the alert. */
  takeOutgoing(): Uint8Array | null {
    return this.#handshake.records.takeOutgoing();
  }

  /**
   * Keys for another protocol, from the secrets of this connection: RFC 8446 §7.5, RFC 5705. After
   * {@link exportTraffic} the function of the same name does it.
   *
   * @param context null: none (the same as empty in TLS 1.3)
   * @throws Error before the end of the handshake, after the export, or without extended master secret
   */
  exportKeyingMaterial(label: string, context: Uint8Array | null, lengthBytes: number): Uint8Array {
    const connected = this.#current;
    if (!isConnected(connected) || connected.isWiped) throw new Error('keys are exported while connected');
    const { suite, exporterSecret } = connected;
    const isOld = connected instanceof Connected12;
    const version = isOld ? connected.version : 'TLSv1.3';
    const randoms = isOld ? connected.randoms : new Uint8Array(0);
    return keyingMaterial(version, suite, exporterSecret, randoms, label, context, lengthBytes);
  }

  /**
   * Writes what the connection needs from now on, once, and forgets it.
   *
   * @param into memory that may be shared between threads; TRAFFIC_STATE_BYTES bytes from `off` are written
   * @throws Error when the handshake is not complete, or was exported before
   */
  exportTraffic(into: Slab, off: number): void {
    const connected = this.#current;
    if (!isConnected(connected) || connected.isWiped) {
      throw new Error('the traffic state can be exported once, after the handshake');
    }
    writeTrafficState(into, off, connected, this.#paddingBytes);
    if (connected instanceof Connected && this.#wish.postHandshakeAuth) {
      const { identities } = this.#handshake;
      this.#authentication = new PostHandshakeAuth(connected.suite, connected.transcript, identities);
    }
    connected.wipe();
  }

  /**
   * Keeps a ticket that came after the handshake (see {@link TrafficOpener.onTicket}) for later connections, when there
   * is a session store.
   *
   * @param unixTimeMs now, in milliseconds since 1970
   */
  keepTicket(ticket: SessionTicket, unixTimeMs: number): void {
    this.#keepSession({
      version: 'TLSv1.3',
      cipherSuite: ticket.cipherSuite,
      secret: ticket.psk,
      ticket: ticket.ticket,
      sessionId: new Uint8Array(0),
      ageAdd: ticket.ageAdd,
      receivedUnixTimeMs: unixTimeMs,
      lifetimeSeconds: ticket.lifetimeSeconds,
      maxEarlyDataBytes: ticket.maxEarlyDataBytes,
      alpn: this.info.alpn,
      ocspResponse: this.info.ocspResponse,
      signedCertificateTimestamps: this.info.signedCertificateTimestamps,
      chain: this.info.peerCertificates,
    });
  }

  /** Whether the server may ask for a certificate after the handshake; after {@link exportTraffic}. */
  get answersCertificateRequests(): boolean {
    return this.#authentication !== null;
  }

  /**
   * Answers a CertificateRequest that came after the handshake (see {@link TrafficOpener.onCertificateRequest}).
   *
   * @param secret of our records at the moment, which the answer is bound to
   * @returns handshake messages, to be sealed one after the other with nothing between them
   * @throws TlsError for a malformed request, and when the answer cannot be signed
   */
  answerCertificateRequest(request: HandshakeMessage, secret: Uint8Array): Uint8Array {
    if (this.#authentication === null) throw new TlsError('PostHandshakeAuthentication');
    const { messages, index } = this.#authentication.answer(request, secret);
    const { info } = this.#handshake;
    info.clientCertificate = index >= 0 ? 'sent' : 'requested';
    info.credentialsIndex = index;
    return messages;
  }

  /**
   * To be called when the connection ends with a fatal alert, sent or received: its session is not resumed (RFC 5246 §7.2.2).
   * Tickets of TLS 1.3 stand for themselves, and stay.
   */
  forgetSession(): void {
    if (this.#oldSession !== null) this.#sessions?.store.remove?.(this.#sessionKey, this.#oldSession);
    this.#oldSession = null;
  }

  #keepSession(session: TlsSession): void {
    if (session.version !== 'TLSv1.3') this.#oldSession = session;
    this.#sessions?.store.put(this.#sessionKey, session);
  }

  #changeCipherSpec(): void {
    const current = this.#current;
    // RFC 5246 §7.1: an unexpected change_cipher_spec → unexpected_message. Keys that are not agreed on, or that an
    // attacker could know, are never changed to.
    if (current?.changeCipherSpec === undefined)
      throw new TlsError('UnexpectedChangeCipherSpec', 'too early');
    this.#current = current.changeCipherSpec(this.#handshake);
  }

  #handleMessages(): void {
    for (;;) {
      const message = this.#handshake.records.nextMessage();
      if (message === null || this.#current === null) return;
      this.#current = this.#current.handle(message, this.#handshake);
    }
  }
}

const MIN_RECORD_SIZE_LIMIT = 64;

/** @throws RangeError */
function recordSizeLimitOf(wished: boolean | number): number {
  if (typeof wished === 'boolean') return wished ? MAX_PLAINTEXT_BYTES + 1 : 0;
  // RFC 8449 §4
  if (wished >= MIN_RECORD_SIZE_LIMIT && wished <= MAX_PLAINTEXT_BYTES + 1) return wished;
  throw new RangeError(
    `recordSizeLimit is ${MIN_RECORD_SIZE_LIMIT} … ${MAX_PLAINTEXT_BYTES + 1}, got ${wished}`,
  );
}

/** @throws RangeError */
function checkPadding(bytes: number): number {
  if (bytes >= 0 && bytes <= MAX_PLAINTEXT_BYTES) return bytes;
  throw new RangeError(`recordPaddingBytes is 0 … ${MAX_PLAINTEXT_BYTES}, got ${bytes}`);
}

function suitesWished(names: readonly string[] | undefined, fallback: boolean): readonly CipherSuite[] {
  if (names === undefined) return CIPHER_SUITES.filter(({ offered }) => fallback || offered === 'default');
  return names.map((name) => {
    const suite = CIPHER_SUITES.find((each) => each.name === name);
    if (suite === undefined) throw new RangeError(`no cipher suite ${name}`);
    return suite;
  });
}

/** @throws RangeError when configurations are none, or none can be used and that is a failure */
function echOf(options: TlsClientOptions): { config: EchConfig | null; looksEncrypted: boolean } {
  const { ech = null, echUnusable = 'fail', maxVersion = 'TLSv1.3' } = options;
  if (ech === null || ech === 'grease') return { config: null, looksEncrypted: ech === 'grease' };
  let config: EchConfig | null;
  try {
    config = readEchConfigList(ech);
  } catch (cause) {
    throw new RangeError('ech is no ECHConfigList', { cause });
  }
  // RFC 9849 §6.1: the inner hello is for TLS 1.3 or later
  if (maxVersion !== 'TLSv1.3') config = null;
  if (config === null && echUnusable === 'fail') throw new RangeError('no configuration of ech can be used');
  return { config, looksEncrypted: config === null && echUnusable === 'grease' };
}

function listOf(credentials: ClientCredentials | readonly ClientCredentials[]): readonly ClientCredentials[] {
  return 'chain' in credentials ? [credentials] : credentials;
}

const COMPRESSION_IDS: Readonly<Record<CertificateCompression, number>> = { zlib: 1, brotli: 2, zstd: 3 };

function decompressorOf(wished: CertificateCompression | CertificateDecompressor): CertificateDecompressor {
  if (typeof wished !== 'string') return wished;
  const decompressor = CERTIFICATE_DECOMPRESSORS.find(({ id }) => id === COMPRESSION_IDS[wished]);
  if (decompressor === undefined) throw new RangeError(`no certificate compression ${wished}`);
  return decompressor;
}

function schemesWished(names: readonly string[] | undefined, fallback: boolean): readonly number[] {
  if (names === undefined) return fallback ? FALLBACK_SIGNATURE_SCHEMES : SIGNATURE_SCHEMES;
  return names.map((name) => {
    const scheme = signatureSchemeNumber(name);
    if (scheme === undefined) throw new RangeError(`no signature scheme ${name}`);
    return scheme;
  });
}

function isConnected(state: HandshakeState | null): state is Connected | Connected12 {
  return state instanceof Connected || state instanceof Connected12;
}
