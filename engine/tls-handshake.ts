import { NetError, Phase } from '../stack/errors.ts';
import type { RandomSource } from '../stack/random.ts';
import {
  type ClientCredentials,
  type SessionUse,
  TlsClient,
  type TlsInfo,
  type TlsPieces,
  type TlsTuning,
} from '../tls/client.ts';
import { makeSpareKeyShares } from '../tls/keys/spare-key-shares.ts';
import type { SessionTicket } from '../tls/traffic/opener.ts';
import type { TlsVersion } from '../tls/wire/codes.ts';
import type { CertificateVerifier } from '../tls/x509/verdict.ts';
import { ArenaWord } from './arena.ts';
import { WOULD_BLOCK } from './channel.ts';
import type { SharedSocket } from './shared-socket.ts';
import { Command, SocketStatus, SocketWord } from './socket-block.ts';
import { type Renegotiator, TlsChannel } from './tls-channel.ts';
import { tlsNetError } from './tls-error.ts';
import { TlsRegion } from './tls-region.ts';
import { wakeEngine } from './wake.ts';

export interface TlsOptions {
  /** The name the certificate must be for: a DNS name or an IP literal. */
  readonly serverName: string;
  readonly verifier: CertificateVerifier;
  /** Application protocols in the order of preference. */
  readonly alpn?: readonly string[];
  /** INET_OPTION_SECURE_FALLBACK: TLS from 1.0, and suites, groups and signatures that are weak. Default false. */
  readonly fallback?: boolean;
  /** Cipher suites in order of preference, by their IANA names. Default: the strong ones, with `fallback` all. */
  readonly cipherSuites?: readonly string[];
  /** Default TLS 1.2, with `fallback` TLS 1.0. */
  readonly minVersion?: TlsVersion;
  /** Default TLS 1.3. */
  readonly maxVersion?: TlsVersion;
  /** What the client proves itself with when the server asks. Default: nothing. */
  readonly credentials?: ClientCredentials;
  /** Resumes sessions and keeps new ones. Default: none. */
  readonly sessions?: SessionUse;
  /**
   * RFC 8446 §2.3: sent before the server has answered where a session allows it, else right after the handshake. It can be replayed
   * by whoever is between.
   */
  readonly earlyData?: Uint8Array;
  /** What few connections need to be different. */
  readonly tuning?: TlsTuning;
  /** Time of day, for the validity of certificates. */
  readonly unixTimeMs: number;
  readonly random: RandomSource;
  /** Gets the connection's secrets in the NSS key log format (RFC 9850). Only ever on explicit request. */
  readonly keyLog?: (line: string) => void;
}

/**
 * What a handshake waits for: `'read'` data from the peer, `'write'` room towards it, `'pause'` {@link TlsHandshake.pauseMs} to go by, `'done'`
 * nothing.
 */
export type TlsProgress = 'done' | 'read' | 'write' | 'pause';

const NOTHING = new Uint8Array(0);

/** Enough for what one flight of a server brings at once; the rest stays in the ring. */
const scratch = new Uint8Array(64 * 1024);

/**
 * A TLS handshake over a socket, in the calling thread. It may be made before the socket is connected, so that its keys are there by
 * then; {@link step} is called when it is, and again whenever the socket has become readable or writable, until it says `'done'`.
 */
export class TlsHandshake {
  readonly #socket: SharedSocket;
  readonly #tls: TlsClient;
  readonly #keepsTickets: boolean;
  readonly #random: RandomSource;
  /** The ClientHello has left. */
  #isWaiting = false;
  /** The renegotiation that came last; null: there was none. */
  #latest: TlsClient | null = null;
  #outgoing: Uint8Array | null = null;
  #sentBytes = 0;
  readonly #early: Uint8Array;
  /** Of the early data, what needs no sending any more. */
  #earlyBytes = 0;
  readonly #pieces: TlsPieces | null;
  #isPaused = false;
  #holdsLast = false;
  /** The engine knows that a TLS region is wanted. */
  #hasRegion = false;
  #channel: TlsChannel | null = null;

  constructor(socket: SharedSocket, options: TlsOptions) {
    this.#socket = socket;
    const { arena } = socket.client;
    this.#keepsTickets = options.sessions !== undefined;
    this.#random = options.random;
    const captured = arena.load(ArenaWord.KeyLogWanted) !== 0;
    const keyLog = (line: string): void => {
      options.keyLog?.(line);
      if (captured && arena.writeKeyLog(line)) wakeEngine(arena);
    };
    this.#tls = new TlsClient({
      ...options.tuning,
      serverName: options.serverName,
      random: options.random,
      unixTimeMs: options.unixTimeMs,
      verifier: options.verifier,
      alpn: options.alpn ?? [],
      fallback: options.fallback ?? false,
      ...(options.cipherSuites === undefined ? {} : { cipherSuites: options.cipherSuites }),
      ...(options.minVersion === undefined ? {} : { minVersion: options.minVersion }),
      ...(options.maxVersion === undefined ? {} : { maxVersion: options.maxVersion }),
      credentials: options.credentials ?? null,
      sessions: options.sessions ?? null,
      keyLog: captured || options.keyLog !== undefined ? keyLog : null,
      earlyData: options.earlyData !== undefined,
    });
    this.#early = options.earlyData ?? NOTHING;
    this.#pieces = options.tuning?.testing?.pieces ?? null;
    this.#tls.start();
    this.#earlyBytes = this.#tls.sendEarlyData(this.#early, 0, this.#early.length);
    this.#outgoing = this.#tls.takeOutgoing();
    if (this.#outgoing === null || this.#pieces !== null || !socket.leaveFirstFlight(this.#outgoing)) return;
    this.#outgoing = null;
    this.#hasRegion = true;
  }

  /** How long to wait before the next {@link step}, after `'pause'`. */
  get pauseMs(): number {
    return this.#pieces?.delayMs ?? 0;
  }

  /** Of the last handshake that has ended. */
  get info(): TlsInfo {
    return this.#latest?.state === 'connected' ? this.#latest.info : this.#tls.info;
  }

  /** The connection after `'done'`. */
  get channel(): TlsChannel {
    if (this.#channel === null) {
      throw new NetError('INTERNAL', { phase: Phase.Handshake, detail: 'the handshake is not done' });
    }
    return this.#channel;
  }

  /**
   * Goes as far as it can without waiting.
   * @param holdsLast what ends the handshake leaves with what the application writes in a moment: the caller sees to it that
   * {@link SharedSocket.announceHeld} follows `'done'`
   * @throws NetError CERT_*, TLS_*, or why the connection ended; the alert for the peer is on its way then
   */
  step(holdsLast = false): TlsProgress {
    this.#holdsLast = holdsLast && this.#pieces === null;
    try {
      return this.#step();
    } catch (error) {
      // unread data would turn the close into a reset, which could overtake the alert
      while (this.#socket.status === SocketStatus.Open && this.#socket.readableBytes > 0) {
        this.#socket.consume(this.#socket.readableBytes);
      }
      throw error;
    }
  }

  #step(): TlsProgress {
    if (!this.#hasRegion) {
      // perf: together with the ClientHello, so that the engine wakes once for both
      this.#hasRegion = true;
      this.#socket.client.command(this.#socket.block, Command.Tls);
    }
    if (this.#channel !== null) return this.#sendRest(this.#channel);
    for (;;) {
      this.#isPaused = false;
      if (!this.#flush()) return this.#isPaused ? 'pause' : 'write';
      const { error } = this.#tls;
      if (error !== null) throw tlsNetError(error, this.#tls.info.certificate, true);
      if (this.#tls.state === 'connected') return this.#finish();
      const finished = this.#socket.peerFinished || this.#socket.status === SocketStatus.Closed;
      const available = this.#socket.peek(scratch, 0, scratch.length);
      if (available === WOULD_BLOCK) {
        if (this.#isWaiting) return 'read';
        this.#isWaiting = true;
        // perf: the server is at work now. What it may have sent meanwhile is looked for
        if (!makeSpareKeyShares(this.#random)) return 'read';
        continue;
      }
      const consumed = available === 0 ? 0 : this.#tls.receive(scratch, 0, available);
      if (consumed > 0) this.#socket.consume(consumed);
      else if (this.#tls.error === null) {
        if (!finished) return 'read';
        throw new NetError('TLS_TRUNCATED', {
          phase: Phase.Handshake,
          detail:
            'the server closed the connection before the handshake ended; does it speak TLS on this port?',
        });
      }
    }
  }

  /** @returns false while the send ring is full */
  #flush(): boolean {
    for (;;) {
      this.#outgoing ??= this.#tls.takeOutgoing();
      const bytes = this.#outgoing;
      if (bytes === null) return true;
      while (this.#sentBytes < bytes.length) {
        const wanted = Math.min(bytes.length - this.#sentBytes, this.#pieces?.sizeBytes ?? bytes.length);
        const holds = this.#holdsLast && this.#tls.state === 'connected';
        const taken = holds
          ? this.#socket.writeHeld(bytes, this.#sentBytes, wanted)
          : this.#socket.write(bytes, this.#sentBytes, wanted);
        if (taken === WOULD_BLOCK) {
          this.#socket.announceHeld();
          return false;
        }
        this.#sentBytes += taken;
        if (this.#pieces === null || this.#sentBytes === bytes.length) continue;
        this.#isPaused = true;
        return false;
      }
      this.#outgoing = null;
      this.#sentBytes = 0;
    }
  }

  #finish(): TlsProgress {
    const offset = this.#socket.block.get(SocketWord.TlsOffset);
    // the engine is still looking for memory; it tells when it has some, or ends the socket
    if (offset === 0) {
      this.#socket.announceHeld();
      this.#socket.throwIfFailed();
      return 'write';
    }
    this.#tls.exportTraffic(this.#socket.client.arena.slab, offset + TlsRegion.Traffic);
    const tls = this.#tls;
    // a thread that takes the connection over has no store: its tickets are lost, nothing else
    const onTicket = this.#keepsTickets
      ? (ticket: SessionTicket): void => tls.keepTicket(ticket, Date.now())
      : null;
    this.#channel = new TlsChannel(this.#socket, {
      onTicket,
      onFailure: () => tls.forgetSession(),
      authenticate: tls.answersCertificateRequests
        ? (request, secret) => tls.answerCertificateRequest(request, secret)
        : null,
      renegotiation: tls.allowsRenegotiation ? this.#renegotiator() : null,
    });
    // RFC 8446 §4.2.10: what the server rejected has to be sent again
    if (tls.info.earlyData !== 'accepted') this.#earlyBytes = 0;
    return this.#sendRest(this.#channel);
  }

  #renegotiator(): Renegotiator {
    const latest = (): TlsClient => this.#latest ?? this.#tls;
    return {
      get isAllowed(): boolean {
        return latest().allowsRenegotiation;
      },
      begin: (state, off, onApplicationData) => {
        this.#latest = latest().renegotiate(state, off, Date.now(), onApplicationData);
        return this.#latest;
      },
    };
  }

  /** Sends of the early data what could not be early. */
  #sendRest(channel: TlsChannel): TlsProgress {
    while (this.#earlyBytes < this.#early.length) {
      const taken = channel.write(this.#early, this.#earlyBytes, this.#early.length - this.#earlyBytes);
      if (taken === WOULD_BLOCK) return 'write';
      this.#earlyBytes += taken;
    }
    return 'done';
  }
}
