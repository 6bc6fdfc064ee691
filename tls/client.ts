import type { Slab } from '../stack/wire/slab.ts';
import { AlertDescription, AlertLevel } from './alerts.ts';
import { checkPadding, echOf, listOf, type TlsClientOptions, wishOf } from './client-options.ts';
import { NO_ALERT, TlsError } from './errors.ts';
import { evidenceOf } from './handshake/accept-chain.ts';
import { ClientIdentities } from './handshake/client-credentials.ts';
import { writeClientHello } from './handshake/client-hello.ts';
import { Connected } from './handshake/connected.ts';
import { EarlyData } from './handshake/early-data.ts';
import type { EchConfig } from './handshake/ech/config.ts';
import { EchSender, greaseContent, outerOfferOf } from './handshake/ech/hello.ts';
import { ExpectServerHello } from './handshake/expect-server-hello.ts';
import { makeOffer, type Offer, pskOf, type Wish } from './handshake/offer.ts';
import { PostHandshakeAuth } from './handshake/post-handshake-auth.ts';
import type { FormerHandshake } from './handshake/renegotiation.ts';
import { type Handshake, type HandshakeState, logSecret, newInfo, type TlsInfo } from './handshake/state.ts';
import { Connected12 } from './handshake/tls12/connected.ts';
import { keyingMaterial } from './keys/exporter.ts';
import { wipeKeyShares } from './keys/groups.ts';
import { MAX_EMPTY_RECORDS, MAX_HELLO_REQUESTS_IN_ROW, MAX_RENEGOTIATIONS } from './limits.ts';
import { HandshakeRecords, type RunningSide } from './record/handshake-records.ts';
import { type SessionUse, sessionKey, type TlsSession } from './session.ts';
import { traceMessage } from './trace.ts';
import type { SessionTicket, TrafficOpener } from './traffic/opener.ts';
import {
  nextSeq,
  parametersOf,
  protectionOf,
  READING,
  replaceTrafficState,
  TrafficOffset,
  WRITING,
  writeTrafficState,
} from './traffic/state.ts';
import { ContentType, HandshakeType } from './wire/codes.ts';
import { bodyOf, type HandshakeMessage } from './wire/messages.ts';

export type {
  CertificateCompression,
  TlsClientOptions,
  TlsPieces,
  TlsTesting,
  TlsTuning,
} from './client-options.ts';
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
  readonly #options: TlsClientOptions;
  /** The connection that this is a renegotiation of; null: this begins it. */
  readonly #inside: Inside | null;
  /** What a renegotiation would go by, after {@link exportTraffic}. */
  #former: FormerHandshake | null = null;
  #helloRequests = 0;
  #emptyRecords = 0;
  #authentication: PostHandshakeAuth | null = null;
  #current: HandshakeState | null = null;
  #error: TlsError | null = null;
  /** What this connection has left in the store, before TLS 1.3. */
  #oldSession: TlsSession | null = null;

  /** @throws TypeError when the credentials are of no use, RangeError for the name of a suite or signature scheme that nobody knows */
  constructor(options: TlsClientOptions, inside: Inside | null = null) {
    this.#options = options;
    this.#inside = inside;
    const identities = new ClientIdentities(listOf(options.credentials ?? []), options.mustAuthenticate);
    const alpn = options.alpn ?? [];
    this.#sessions = options.sessions ?? null;
    const fallback = options.fallback ?? false;
    this.#sessionKey =
      this.#sessions === null
        ? ''
        : sessionKey(options.serverName, this.#sessions, alpn, identities.id, fallback);
    this.#wish = wishOf(options, inside?.former ?? null);
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
      records: new HandshakeRecords(true, inside?.fragmentBytes ?? options.testing?.fragmentBytes),
      earlyData: new EarlyData(),
      editHello: options.testing?.clientHello ?? null,
      info: newInfo(options.serverName),
      finished: { client: new Uint8Array(0), server: new Uint8Array(0) },
      wipes: [],
    };
    if (inside !== null) this.#goOn(inside);
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
    this.#handshake.wipes.push(() => wipeKeyShares(offer.keyShares));
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
      this.fail(error);
    }
    return consumed;
  }

  /** The handshake ends with this error, whose alert is to be sent; nothing happens when it has failed before. */
  fail(error: TlsError): void {
    if (this.#error !== null) return;
    this.#error = error;
    this.#current = null;
    const { records, wipes } = this.#handshake;
    if (error.alert !== NO_ALERT) records.sendAlert(error.alert);
    for (const wipe of wipes) wipe();
    records.wipe();
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
    if (this.#inside === null) writeTrafficState(into, off, connected, this.#paddingBytes);
    else replaceTrafficState(into, off, connected);
    if (connected instanceof Connected12) this.#former = this.#asFormer(connected);
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

  /**
   * Whether the server may begin a renegotiation: with `fallback`, before TLS 1.3, MAX_RENEGOTIATIONS times; after
   * {@link exportTraffic}.
   */
  get allowsRenegotiation(): boolean {
    return this.#wish.fallback && this.#former !== null && this.#number < MAX_RENEGOTIATIONS;
  }

  /**
   * Begins another handshake on the same connection, as a HelloRequest asks for (RFC 5246 §7.4.1.1, RFC 5746 §3.5). It goes as the first did,
   * with {@link receive} and {@link takeOutgoing}; until it is connected all records of both sides go through it, and its {@link exportTraffic}
   * writes over the state of before. The version, the server's certificate and the application protocol stay as they are; no session is
   * resumed.
   *
   * @param state with the traffic state of this connection at `off`; both sides are locked meanwhile
   * @param unixTimeMs now, in milliseconds since 1970
   * @param onApplicationData takes data, borrowed, that comes before the server's answer
   */
  renegotiate(
    state: Slab,
    off: number,
    unixTimeMs: number,
    onApplicationData: (content: Uint8Array) => void,
  ): TlsClient {
    const former = this.#former;
    if (former === null || !this.allowsRenegotiation) throw new Error('no renegotiation is allowed');
    const parameters = parametersOf(state, off);
    const next = new TlsClient(
      {
        ...this.#options,
        unixTimeMs,
        minVersion: former.version,
        maxVersion: former.version,
        // the application goes on with the protocol that it has
        alpn: [],
        mustSelectProtocol: false,
        sessions: null,
        fallbackScsv: false,
        ech: null,
      },
      {
        former,
        number: this.#number + 1,
        fragmentBytes: state.view.getUint16(off + TrafficOffset.SendLimit, true),
        reading: {
          protection: protectionOf(state, off, parameters, READING),
          nextSeq: nextSeq(state, off, READING),
        },
        writing: {
          protection: protectionOf(state, off, parameters, WRITING),
          nextSeq: nextSeq(state, off, WRITING),
        },
        onApplicationData,
      },
    );
    next.#handshake.info.alpn = this.info.alpn;
    next.start();
    return next;
  }

  /** Ends the own direction of a connection whose renegotiation has not ended. */
  sendCloseNotify(): void {
    const alert = Uint8Array.of(AlertLevel.Warning, AlertDescription.CloseNotify);
    this.#handshake.records.sendContent(ContentType.Alert, alert);
  }

  get #number(): number {
    return this.#inside?.number ?? 0;
  }

  #goOn({ former, reading, writing, onApplicationData }: Inside): void {
    const { records } = this.#handshake;
    records.goOn(former.version, reading, writing);
    records.onApplicationData = (content): void => {
      // RFC 5246 §7.4.1.1: a server may send data until it begins; what comes between its messages is bound to neither handshake
      if (!(this.#current instanceof ExpectServerHello)) throw new TlsError('UnexpectedApplicationData');
      if (content.length > 0) onApplicationData(content);
      else if (++this.#emptyRecords > MAX_EMPTY_RECORDS) {
        throw new TlsError('TooManyEmptyRecords', `limit ${MAX_EMPTY_RECORDS}`);
      }
    };
  }

  #asFormer({ version }: Connected12): FormerHandshake {
    const { finished, info } = this.#handshake;
    return {
      version,
      clientVerifyData: finished.client,
      serverVerifyData: finished.server,
      isSecure: info.secureRenegotiation,
      isMasterSecretExtended: info.extendedMasterSecret,
      leaf: info.peerCertificates[0]!,
    };
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

  /** RFC 5246 §7.4.1.1: a HelloRequest during a handshake is ignored. */
  #ignores(message: HandshakeMessage): boolean {
    if (this.#inside === null || message.type !== HandshakeType.HelloRequest) return false;
    if (!(this.#current instanceof ExpectServerHello)) return false;
    bodyOf(message, 'hello_request').finish();
    if (++this.#helloRequests > MAX_HELLO_REQUESTS_IN_ROW) throw new TlsError('TooManyHelloRequests');
    return true;
  }

  #handleMessages(): void {
    for (;;) {
      const message = this.#handshake.records.nextMessage();
      if (message === null || this.#current === null) return;
      if (this.#ignores(message)) continue;
      this.#current = this.#current.handle(message, this.#handshake);
    }
  }
}

/** Where a renegotiation begins. */
interface Inside {
  readonly former: FormerHandshake;
  /** The how manieth of its connection, from 1. */
  readonly number: number;
  /** Most content bytes of a record that the server takes. */
  readonly fragmentBytes: number;
  readonly reading: RunningSide;
  readonly writing: RunningSide;
  readonly onApplicationData: (content: Uint8Array) => void;
}

function isConnected(state: HandshakeState | null): state is Connected | Connected12 {
  return state instanceof Connected || state instanceof Connected12;
}
