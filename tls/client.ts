import type { RandomSource } from '../stack/random.ts';
import type { Slab } from '../stack/wire/slab.ts';
import { NO_ALERT, TlsError } from './errors.ts';
import { type ClientCredentials, ClientIdentity } from './handshake/client-credentials.ts';
import { makeOffer, type Wish, writeClientHello } from './handshake/client-hello.ts';
import { Connected } from './handshake/connected.ts';
import { ExpectServerHello } from './handshake/expect-server-hello.ts';
import type { Handshake, HandshakeState, TlsInfo } from './handshake/state.ts';
import { Connected12 } from './handshake/tls12/connected.ts';
import { keyingMaterial } from './keys/exporter.ts';
import { GROUPS, isTls12Group, type NamedGroup } from './keys/groups.ts';
import { CIPHER_SUITES, type CipherSuite } from './keys/suites.ts';
import { HandshakeRecords } from './record/handshake-records.ts';
import { type SessionUse, sessionKey, type TlsSession } from './session.ts';
import type { SessionTicket, TrafficOpener } from './traffic/opener.ts';
import { writeTrafficState } from './traffic/state.ts';
import type { TlsVersion } from './wire/codes.ts';
import type { CertificateVerifier } from './x509/verdict.ts';

export { TlsError } from './errors.ts';
export type { ClientCredentials, Signer } from './handshake/client-credentials.ts';
export type { TlsInfo } from './handshake/state.ts';
export { NamedGroup } from './keys/groups.ts';
export { MemorySessionStore, type SessionStore, type SessionUse, type TlsSession } from './session.ts';
export { exportKeyingMaterial } from './traffic/exporter.ts';
export { TRAFFIC_STATE_BYTES } from './traffic/state.ts';
export type { TlsVersion } from './wire/codes.ts';
export type { CertificateVerdict, CertificateVerifier } from './x509/verdict.ts';

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
  /** Application protocols in order of preference, each 1 … 255 bytes. */
  readonly alpn?: readonly string[];
  /** Takes lines of the key log format (RFC 9850). Whoever has them can read the connection. */
  readonly keyLog?: ((line: string) => void) | null;
  /** What the client proves itself with, when a server asks and would take it. */
  readonly credentials?: ClientCredentials | null;
  /** Resumes sessions, and keeps those of this connection. Default: none. */
  readonly sessions?: SessionUse | null;
  /** RFC 8449: lets the server limit the records that we send; the sealer then says how much fits. Default false. */
  readonly recordSizeLimit?: boolean;
}

/**
 * The handshake of a TLS client (RFC 8446, RFC 5246), without any I/O: bytes in, bytes out. After it the connection lives on
 * in a traffic state ({@link TlsClient.exportTraffic}).
 */
export class TlsClient {
  readonly #handshake: Handshake;
  readonly #wish: Wish;
  readonly #sessions: SessionUse | null;
  readonly #sessionKey: string;
  #current: HandshakeState | null = null;
  #error: TlsError | null = null;
  /** What this connection has left in the store, before TLS 1.3. */
  #oldSession: TlsSession | null = null;

  /** @throws TypeError when the credentials are of no use, RangeError for the name of a suite that nobody knows */
  constructor(options: TlsClientOptions) {
    const credentials = options.credentials ?? null;
    const identity = credentials === null ? null : new ClientIdentity(credentials);
    const alpn = options.alpn ?? [];
    this.#sessions = options.sessions ?? null;
    const fallback = options.fallback ?? false;
    this.#sessionKey =
      this.#sessions === null
        ? ''
        : sessionKey(options.serverName, this.#sessions, alpn, identity?.id ?? '', fallback);
    this.#wish = {
      serverName: options.serverName,
      minVersion: options.minVersion ?? (fallback ? 'TLSv1' : 'TLSv1.2'),
      maxVersion: options.maxVersion ?? 'TLSv1.3',
      cipherSuites: suitesWished(options.cipherSuites, fallback),
      fallback,
      groups: options.groups ?? (fallback ? GROUPS.filter(isTls12Group) : GROUPS),
      alpn,
      recordSizeLimit: options.recordSizeLimit ?? false,
      wantsTicket: this.#sessions !== null,
    };
    this.#handshake = {
      serverName: options.serverName,
      unixTimeMs: options.unixTimeMs,
      random: options.random,
      verifier: options.verifier,
      keyLog: options.keyLog ?? null,
      identity,
      keepSession: this.#sessions === null ? null : (session) => this.#keepSession(session),
      records: new HandshakeRecords(true),
      info: {
        version: '',
        extendedMasterSecret: false,
        isResumed: false,
        clientCertificate: 'not requested',
        cipherSuite: '',
        cipherBits: 0,
        encryptThenMac: false,
        group: '',
        signatureScheme: '',
        alpn: null,
        peerCertificates: [],
        certificate: null,
        serverName: options.serverName,
      },
    };
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
    const { random, records, unixTimeMs } = this.#handshake;
    const use = this.#sessions;
    const sessions = (): TlsSession | null => use?.store.take(this.#sessionKey) ?? null;
    const offer = makeOffer(this.#wish, random, unixTimeMs, sessions);
    const hello = writeClientHello(offer);
    records.send(hello);
    this.#current = new ExpectServerHello(offer, hello);
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
      // drops what is known of the secrets
      this.#current = null;
      if (error.alert !== NO_ALERT) this.#handshake.records.sendAlert(error.alert);
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
    writeTrafficState(into, off, connected);
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
      chain: this.info.peerCertificates,
    });
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

function suitesWished(names: readonly string[] | undefined, fallback: boolean): readonly CipherSuite[] {
  if (names === undefined) return CIPHER_SUITES.filter(({ offered }) => fallback || offered === 'default');
  return names.map((name) => {
    const suite = CIPHER_SUITES.find((each) => each.name === name);
    if (suite === undefined) throw new RangeError(`no cipher suite ${name}`);
    return suite;
  });
}

function isConnected(state: HandshakeState | null): state is Connected | Connected12 {
  return state instanceof Connected || state instanceof Connected12;
}
