import type { Channel } from '../engine/channel.ts';
import type { EngineClient } from '../engine/client.ts';
import { type ConnectRequest, SharedSocket } from '../engine/shared-socket.ts';
import { SocketStatus } from '../engine/socket-block.ts';
import { SystemRandom } from '../engine/system-random.ts';
import { TlsHandshake } from '../engine/tls-handshake.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { SessionUse, TlsInfo, TlsTuning } from '../tls/client.ts';
import type { CertificateVerifier } from '../tls/x509/verdict.ts';
import type { VersionRange } from './security.ts';
import { deadlineAfter, sleepRecv, sleepSend } from './wait.ts';

/** The engine gives up at the deadline, and knows why; after so much more the caller does not wait for its word. */
const ENGINE_SLACK_MS = 150;

/** How a connection is to be secured. */
export interface DialSecurity extends Partial<VersionRange> {
  /** A DNS name in ASCII, or an IP literal. */
  readonly serverName: string;
  readonly verifier: CertificateVerifier;
  /** INET_OPTION_SECURE_FALLBACK */
  readonly fallback?: boolean;
  readonly tuning?: TlsTuning;
  /** Application protocols in the order of preference. */
  readonly alpn?: readonly string[];
  /** Resumes sessions and keeps new ones. */
  readonly sessions?: SessionUse;
  /** Sent before the server has answered where a session allows it, else right after the handshake. */
  readonly earlyData?: Uint8Array;
  /** Gets the connection's secrets, one line of an NSS key log at a time. */
  readonly keyLog?: (line: string) => void;
}

/** An open connection. */
export interface Dialed {
  readonly socket: SharedSocket;
  /** The byte stream: the socket itself, or TLS over it. */
  readonly channel: Channel;
  /** null without TLS. */
  readonly info: TlsInfo | null;
}

const random = new SystemRandom();
/** Nobody wakes who waits here. */
const PAUSED = new Int32Array(new SharedArrayBuffer(4));

/**
 * Connects and blocks the calling thread until that is done, TLS included. After a failure nothing is left over.
 * @param request its `timeoutMs` is one deadline for the lookup, the connection and the TLS handshake; 0: no limit
 * @param security null: no TLS
 * @param connected is told when the transport is connected, before the first byte of the TLS handshake leaves: it may talk with the peer
 * @throws NetError of the phase resolve, route, connect or handshake
 */
export function dial(
  client: EngineClient,
  request: ConnectRequest,
  security: DialSecurity | null,
  connected?: (socket: SharedSocket) => void,
): Dialed {
  const deadline = deadlineAfter(request.timeoutMs);
  const socket = SharedSocket.connect(client, request);
  try {
    // the keys are made while the network is at work, and the ClientHello leaves by itself as soon as the connection is open
    const early = security === null || connected !== undefined ? null : handshakeOf(socket, security);
    awaitOpen(socket, request, deadline);
    connected?.(socket);
    if (security === null) return { socket, channel: socket, info: null };
    return shakeHands(socket, early ?? handshakeOf(socket, security), deadline, request.timeoutMs);
  } catch (error) {
    // a peer that is silent gets no polite close; one that was refused gets its alert
    if (error instanceof NetError && error.tunwireCode === 'TIMEOUT') socket.abort();
    socket.release();
    throw error;
  }
}

/**
 * Makes a connected socket secure, blocking the calling thread.
 * @param deadline in the time of `performance.now()`
 * @param timeoutMs what the deadline was made of, for messages
 * @param throwIfEnded is asked before and after each wait
 * @throws NetError CERT_*, TLS_*, TIMEOUT, what `throwIfEnded` throws, or why the connection ended
 */
export function secure(
  socket: SharedSocket,
  security: DialSecurity,
  deadline: number,
  timeoutMs: number,
  throwIfEnded?: () => void,
): Dialed {
  return shakeHands(socket, handshakeOf(socket, security), deadline, timeoutMs, throwIfEnded);
}

function handshakeOf(socket: SharedSocket, security: DialSecurity): TlsHandshake {
  return new TlsHandshake(socket, { ...security, unixTimeMs: Date.now(), random });
}

function shakeHands(
  socket: SharedSocket,
  handshake: TlsHandshake,
  deadline: number,
  timeoutMs: number,
  throwIfEnded?: () => void,
): Dialed {
  for (;;) {
    const { recvSequence, sendSequence } = socket;
    const progress = handshake.step();
    if (progress === 'done') return { socket, channel: handshake.channel, info: handshake.info };
    throwIfEnded?.();
    if (progress === 'pause')
      Atomics.wait(PAUSED, 0, 0, Math.min(handshake.pauseMs, deadline - performance.now()));
    const inTime =
      progress === 'pause'
        ? performance.now() < deadline
        : progress === 'read'
          ? sleepRecv(socket, recvSequence, deadline)
          : sleepSend(socket, sendSequence, deadline);
    throwIfEnded?.();
    if (!inTime) {
      const address = String(socket.remoteAddress);
      throw new NetError('TIMEOUT', {
        phase: Phase.Handshake,
        detail: `${address} port ${socket.remotePort} did not finish the TLS handshake in ${timeoutMs / 1000} s; does it speak TLS on this port?`,
        address,
        port: socket.remotePort,
      });
    }
  }
}

function awaitOpen(socket: SharedSocket, request: ConnectRequest, deadline: number): void {
  for (;;) {
    const { sendSequence } = socket;
    if (socket.status === SocketStatus.Open) return;
    if (socket.status === SocketStatus.Closed) {
      socket.throwIfFailed();
      // established and closed by the peer at once: what it sent can still be read
      return;
    }
    if (!sleepSend(socket, sendSequence, deadline + ENGINE_SLACK_MS)) {
      throw new NetError('TIMEOUT', {
        phase: Phase.Connect,
        detail: `connecting to ${request.host} port ${request.port} took more than ${request.timeoutMs / 1000} s`,
      });
    }
  }
}
