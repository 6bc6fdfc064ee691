import { X509Certificate } from 'node:crypto';
import type {
  CipherNameAndProtocol,
  DetailedPeerCertificate,
  EphemeralKeyInfo,
  PeerCertificate,
} from 'node:tls';
import { TlsChannel } from '../engine/tls-channel.ts';
import { certificateNetError } from '../engine/tls-error.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { hostPort } from '../stack/resolver/name-server.ts';
import type { IpAddress } from '../stack/wire/ip-address.ts';
import { AlertLevel } from '../tls/alerts.ts';
import { type ClientCredentials, encodeSession, type TlsInfo, type TlsSession } from '../tls/client.ts';
import { Certificate } from '../tls/x509/certificate.ts';
import {
  embeddedTimestamps,
  readTimestampList,
  type SignedCertificateTimestamp,
} from '../tls/x509/certificate-transparency.ts';
import { DerError } from '../tls/x509/der.ts';
import type { TrustStore } from '../tls/x509/trust-store.ts';
import { CertificateStatus } from '../tls/x509/verdict.ts';
import { cipherOf } from './cipher-name.ts';
import { DataFlow } from './data-flow.ts';
import { peerCertificateOf } from './server-identity.ts';
import { ConnectionSessions } from './sessions.ts';
import { readSession, type TlsSettings } from './tls-settings.ts';

/** What `tls.TLSSocket` tells of an established TLS connection; without one, as there before the handshake. */
export abstract class TlsView extends DataFlow {
  /** True over TLS. */
  abstract readonly encrypted: boolean;
  /** null: no TLS (yet). */
  protected tlsInfo: TlsInfo | null = null;
  /** The roots that the server's certificate is held against. */
  protected trusted: TrustStore | null = null;
  /** DER, what the server was given for its request, the own one first. */
  protected ownCertificates: readonly Uint8Array[] = [];

  /** Of the last handshake; null: none were wanted. */
  #sessions: ConnectionSessions | null = null;
  /** See {@link setSession}. */
  #givenSession: TlsSession | null = null;

  /** The TLS version as Node names it: 'TLSv1.3'; null without TLS. */
  getProtocol(): string | null {
    return this.tlsInfo?.version ?? null;
  }

  /** The cipher suite agreed on; null without TLS. */
  getCipher(): CipherNameAndProtocol | null {
    return this.tlsInfo === null ? null : cipherOf(this.tlsInfo.cipherSuite);
  }

  /** The peer's certificate as Node shows it; {} without TLS. @param detailed with its issuers, sent by the peer or trusted */
  getPeerCertificate(detailed: true): DetailedPeerCertificate;
  getPeerCertificate(detailed?: boolean): PeerCertificate;
  getPeerCertificate(detailed = false): PeerCertificate | DetailedPeerCertificate {
    return this.tlsInfo === null
      ? ({} as PeerCertificate)
      : peerCertificateOf(this.tlsInfo.peerCertificates, detailed, this.trusted);
  }

  /** The peer's certificate; undefined without TLS, and when Node cannot read it. */
  getPeerX509Certificate(): X509Certificate | undefined {
    return readable(this.tlsInfo?.peerCertificates[0]);
  }

  /** The own certificate, if the server has asked for one and got it; {} otherwise. */
  getCertificate(): PeerCertificate | object {
    return this.getX509Certificate()?.toLegacyObject() ?? {};
  }

  /** {@link getCertificate} as an X509Certificate; undefined: none. */
  getX509Certificate(): X509Certificate | undefined {
    return readable(this.ownCertificates[0]);
  }

  /** The group of the key exchange, `{ type: 'ECDH', name: 'X25519', size: 253 }`; {} without TLS, and with RSA key exchange. */
  getEphemeralKeyInfo(): EphemeralKeyInfo | object {
    return this.tlsInfo === null ? {} : keyInfoOf(this.tlsInfo.group);
  }

  /**
   * For testers: sends an alert of TLS that nobody has called for.
   * @param description its number, 0 … 255
   * @param level default 'fatal'; in TLS 1.3 a formality (RFC 8446 §6). All but user_canceled (90) and no_renegotiation (100) are the last
   * that can be sent
   * @returns false: there is no room yet, try again at 'drain'
   * @throws NetError NOT_CONNECTED unless TLS is established, SHUT_DOWN after the end of the own direction
   */
  sendTlsAlert(description: number, level: 'warning' | 'fatal' = 'fatal'): boolean {
    const { channel } = this;
    if (!(channel instanceof TlsChannel)) {
      throw new NetError('NOT_CONNECTED', { phase: Phase.Argument, detail: 'TLS is not established' });
    }
    return channel.sendAlert(level === 'fatal' ? AlertLevel.Fatal : AlertLevel.Warning, description & 0xff);
  }

  /**
   * Keys for another protocol, from the secrets of this connection (RFC 8446 §7.5, RFC 5705).
   * @param length in bytes, at least 1 @param context default: none, which is the same as an empty one in TLS 1.3 only
   * @throws NetError NOT_CONNECTED unless TLS is established
   * @throws RangeError for a label or length that cannot be
   * @throws Error with a TLS 1.2 server that does not know extended master secrets (RFC 7627)
   */
  exportKeyingMaterial(length: number, label: string, context?: Uint8Array): Buffer {
    const { channel } = this;
    if (channel instanceof TlsChannel) {
      return Buffer.from(channel.exportKeyingMaterial(label, context ?? null, length));
    }
    throw new NetError('NOT_CONNECTED', {
      phase: Phase.Argument,
      detail: this.encrypted ? 'keys are exported while TLS is established' : 'the connection has no TLS',
    });
  }

  /**
   * The promises of logs to publish the server's certificate (RFC 6962): those that came with the handshake, when they were asked for
   * (tuning.signedCertificateTimestamps), and those inside of the certificate. Nobody has verified them.
   */
  getSignedCertificateTimestamps(): readonly SignedCertificateTimestamp[] {
    return this.tlsInfo === null ? [] : timestampsOf(this.tlsInfo);
  }

  /** The TLS handshake resumed a session: the server proved to be the one of an earlier connection. */
  isSessionReused(): boolean {
    return this.tlsInfo?.isResumed ?? false;
  }

  /** What {@link setSession} takes, of the session that came last or that is in use; undefined: none yet. It holds secrets. */
  getSession(): Buffer | undefined {
    const session = this.#currentSession;
    return session === null ? undefined : Buffer.from(encodeSession(session));
  }

  /** The ticket of {@link getSession}; undefined: none. */
  getTLSTicket(): Buffer | undefined {
    const ticket = this.#currentSession?.ticket ?? null;
    return ticket === null || ticket.length === 0 ? undefined : Buffer.from(ticket);
  }

  /**
   * The session that the handshake is to resume; before it begins. The option `tls.session` does the same.
   * @param session of {@link getSession} or the event 'session' @throws NetError ARGUMENT_INVALID
   */
  setSession(session: Uint8Array): void {
    this.#givenSession = readSession(session);
  }

  get #currentSession(): TlsSession | null {
    const sessions = this.#sessions;
    return sessions?.received ?? (this.isSessionReused() ? (sessions?.offered ?? null) : null);
  }

  /** The sessions of a handshake that begins; null: it is a full one, and leaves none. */
  protected sessionsFor(tls: TlsSettings): ConnectionSessions | null {
    const given = this.#givenSession ?? tls.session;
    if (tls.sessions === undefined && given === null) return null;
    this.#sessions = new ConnectionSessions(tls.sessions?.store ?? null, given);
    return this.#sessions;
  }

  /** Emits 'session' for those that have come, and from now on for each that comes, as Node does after 'secureConnect'. */
  protected tellSessions(): void {
    this.#sessions?.tell((session) => {
      // as OpenSSL: before TLS 1.3 a ticket renewed while a session is resumed is no new session
      if (this.isSessionReused() && session.version !== 'TLSv1.3') return;
      if (!this.destroyed && this.listenerCount('session') > 0)
        this.emit('session', Buffer.from(encodeSession(session)));
    });
  }

  /** There is no renegotiation: nothing to do. */
  disableRenegotiation(): void {}

  /** There is no renegotiation (RFC 9325 §3.5 advises against it). @returns false */
  renegotiate(_options: object, callback?: (error: Error | null) => void): false {
    const detail = 'TLS connections are not renegotiated; TLS 1.3 has nothing like it';
    if (callback !== undefined) {
      process.nextTick(callback, new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail }));
    }
    return false;
  }
}

/** Bits of the keys of groups, as OpenSSL counts them. */
const GROUP_BITS: Readonly<Record<string, number>> = {
  X25519: 253,
  X448: 448,
  'P-256': 256,
  'P-384': 384,
  'P-521': 521,
};

function keyInfoOf(group: string): EphemeralKeyInfo | object {
  if (group === '') return {};
  const finite = /^DH of (\d+) bits$/.exec(group);
  if (finite !== null) return { type: 'DH', size: Number(finite[1]) };
  const size = GROUP_BITS[group];
  return { type: 'ECDH', name: group, ...(size === undefined ? {} : { size }) };
}

function readable(der: Uint8Array | undefined): X509Certificate | undefined {
  if (der === undefined) return undefined;
  try {
    return new X509Certificate(der);
  } catch {
    // accepted by request (rejectUnauthorized: false) although it is malformed
    return undefined;
  }
}

/** What the server got of our certificates. */
export function ownCertificatesOf(
  info: TlsInfo,
  credentials: ClientCredentials | readonly ClientCredentials[],
): readonly Uint8Array[] {
  const all = Array.isArray(credentials) ? credentials : [credentials];
  return (all[info.credentialsIndex] as ClientCredentials | undefined)?.chain ?? [];
}

/** A failure of the handshake with the server that it happened with. */
export function handshakeError(
  error: unknown,
  address: IpAddress | null,
  port: number,
  cause: unknown = error,
): unknown {
  if (!(error instanceof NetError) || error.address !== undefined || address === null) return error;
  const where = `with ${hostPort(address, port)}`;
  return new NetError(error.tunwireCode, {
    phase: Phase.Handshake,
    detail: error.detail === '' ? where : `${error.detail}; ${where}`,
    address: address.toString(),
    port,
    cause,
    code: error.code,
  });
}

/** What is wrong with the peer's certificate; null when it is valid. */
export function certificateError(info: TlsInfo): NetError | null {
  if (info.certificate?.status === CertificateStatus.Valid) return null;
  return certificateNetError(info.certificate, Phase.Handshake, 'the server sent no certificate');
}

/** Timestamps of the handshake, then those of the certificate; what is malformed is left out. */
export function timestampsOf(info: TlsInfo): readonly SignedCertificateTimestamp[] {
  const all: SignedCertificateTimestamp[] = [];
  try {
    if (info.signedCertificateTimestamps !== null)
      all.push(...readTimestampList(info.signedCertificateTimestamps));
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
  }
  try {
    const [leaf] = info.peerCertificates;
    if (leaf !== undefined) all.push(...embeddedTimestamps(new Certificate(leaf)));
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
  }
  return all;
}
