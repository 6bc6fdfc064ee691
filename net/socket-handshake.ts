import type { EventEmitter } from 'node:events';
import type { SharedSocket } from '../engine/shared-socket.ts';
import { SystemRandom } from '../engine/system-random.ts';
import type { TlsChannel } from '../engine/tls-channel.ts';
import { TlsHandshake, type TlsProgress } from '../engine/tls-handshake.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { TlsInfo } from '../tls/client.ts';
import { CHANNELS } from './channels.ts';
import type { IdentityVerifier } from './server-identity.ts';
import type { ConnectionSessions } from './sessions.ts';
import type { TlsSettings } from './tls-settings.ts';
import { handshakeError } from './tls-view.ts';

/** perf: one for all, so that what it has fetched is used up. */
const random = new SystemRandom();

/** How long a handshake may take. */
export interface HandshakeLimits {
  /** What is left of {@link timeoutMs}; Infinity: no limit. */
  readonly leftMs: number;
  /** For resolving, connecting and the handshake together. */
  readonly timeoutMs: number;
}

/** The TLS handshake of a socket: with its time limit, and the secrets told to those who asked for them. */
export class SocketHandshake {
  readonly #shared: SharedSocket;
  readonly #handshake: TlsHandshake;
  #timer: NodeJS.Timeout | null = null;
  readonly #identity: IdentityVerifier | null;
  readonly #limitMs: number;
  #startedAt = 0;

  /**
   * Makes the keys, for a socket that may not be connected yet.
   * @param socket gets the event 'keylog' if it has listeners now
   * @param sessions null: none are resumed, and none kept
   */
  constructor(
    socket: EventEmitter,
    shared: SharedSocket,
    tls: TlsSettings,
    sessions: ConnectionSessions | null,
  ) {
    this.#shared = shared;
    this.#limitMs = tls.handshakeTimeoutMs > 0 ? tls.handshakeTimeoutMs : Infinity;
    const { sessions: use, identity, trusted: _trusted, ...settings } = tls;
    this.#identity = identity;
    this.#handshake = new TlsHandshake(shared, {
      ...settings,
      ...(sessions === null ? {} : { sessions: { port: 0, policy: '', ...use, store: sessions } }),
      ...keyLogOf(socket, tls),
      unixTimeMs: Date.now(),
      random,
    });
  }

  /** The socket is connected. @param onTimeout is told when it has taken too long */
  begin(limits: HandshakeLimits, onTimeout: (error: NetError) => void): void {
    this.#startedAt = performance.now();
    const limitMs = this.#limitMs;
    const allowedMs = Math.min(limitMs, limits.leftMs);
    const limit =
      limitMs < limits.leftMs ? `${limitMs} ms for a handshake` : `${limits.timeoutMs} ms for everything`;
    this.#timer =
      allowedMs === Infinity ? null : setTimeout(() => onTimeout(this.#timeout(limit)), allowedMs);
  }

  get info(): TlsInfo {
    return this.#handshake.info;
  }

  /** The connection after `'done'`. */
  get channel(): TlsChannel {
    return this.#handshake.channel;
  }

  /** How long to wait before the next {@link step}, after `'pause'`. */
  get pauseMs(): number {
    return this.#handshake.pauseMs;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  /**
   * Goes as far as it can without waiting. After `'done'` {@link SharedSocket.announceHeld} is to follow.
   * @throws NetError with the server's address
   */
  step(): TlsProgress {
    try {
      const progress = this.#handshake.step(true);
      if (progress === 'done') this.end();
      return progress;
    } catch (error) {
      throw handshakeError(error, this.#shared.remoteAddress, this.#shared.remotePort, this.#causeOf(error));
    }
  }

  #causeOf(error: unknown): unknown {
    const isOfName = error instanceof NetError && error.tunwireCode === 'CERT_NAME_MISMATCH';
    return isOfName ? (this.#identity?.refusal ?? error) : error;
  }

  /** Takes the time limit away. */
  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #timeout(limit: string): NetError {
    const address = String(this.#shared.remoteAddress);
    const port = this.#shared.remotePort;
    const detail =
      `connected to ${address} port ${port}, then waited ${Math.round(this.elapsedMs)} ms for the server's part of the TLS ` +
      `handshake (${limit})`;
    return new NetError('TIMEOUT', { phase: Phase.Handshake, detail, address, port });
  }
}

/** Secrets are told to those who asked before the handshake: by option, or by listening as to Node's event 'keylog'. */
function keyLogOf(socket: EventEmitter, tls: TlsSettings): Pick<TlsSettings, 'keyLog'> {
  if (socket.listenerCount('keylog') === 0 && !CHANNELS.keyLog.hasSubscribers) return {};
  return {
    keyLog: (line) => {
      tls.keyLog?.(line);
      CHANNELS.keyLog.publish({ socket, line });
      socket.emit('keylog', Buffer.from(`${line}\n`));
    },
  };
}
