import { WOULD_BLOCK } from '../engine/channel.ts';
import { SocketStatus, SocketWord } from '../engine/socket-block.ts';
import { TlsChannel } from '../engine/tls-channel.ts';
import { wipeTlsRegion } from '../engine/tls-region.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { checkHost, securityFor } from './connect.ts';
import {
  INET_ERROR,
  INET_OPTION_SECURE,
  INET_OPTION_SECURE_FALLBACK,
  INET_OPTION_TRUSTEDSITE,
} from './constants.ts';
import type { SECURITYCREDENTIALS } from './credentials.ts';
import { secure } from './dial.ts';
import { failed } from './error-codes.ts';
import { type OpenHandle, openConnection } from './handles.ts';
import { keepSecurity } from './security.ts';
import { currentSession } from './session.ts';
import { deadlineAfter, throwIfEnded, waitReadable, waitWritable } from './wait.ts';

const TRUST_OPTIONS: number = INET_OPTION_TRUSTEDSITE | INET_OPTION_SECURE_FALLBACK;

/** Where data goes that nobody wants any more. */
const scratch = new Uint8Array(16_384);

/**
 * Explicit TLS: makes a connected socket secure, usually after a command of the protocol (STARTTLS, AUTH TLS), or ends TLS and
 * goes on in clear. It blocks for the handle's timeout at most.
 *
 * Read the whole answer to the command first. What the peer sent in clear before the handshake could be a third party's, and
 * would look as if it had come secured (the STARTTLS injection, CVE-2011-0411): if something is there, it is discarded, nothing
 * is sent, and the call fails with TLS_PROTOCOL. After any failure to enable security the connection is not secure: end it
 * with InetAbort.
 *
 * @param handle a TCP connection of this thread
 * @param enable true: TLS begins with a handshake. false: it ends with a close_notify of both sides; data that the peer sends
 * before its own is discarded, so read everything first. The transport stays open
 * @param credentials as in InetConnect. Without an lpszHostName the certificate has to be for the host that InetConnect was given
 * @param options INET_OPTION_TRUSTEDSITE, INET_OPTION_SECURE_FALLBACK; what the handle was opened with counts too
 * @returns 0, also when nothing was to change; INET_ERROR on failure:
 * - TLS_PROTOCOL: data came in clear before the handshake; TLS_HANDSHAKE, TLS_ALERT, TLS_TRUNCATED, CERT_NAME_MISMATCH,
 *   CERT_EXPIRED, CERT_UNTRUSTED, CERT_INVALID
 * - TIMEOUT (0x8004274C), CANCELLED (0x80042714), RESET (0x80042746), NOT_CONNECTED (0x80042749), SHUT_DOWN (0x8004274A)
 * - OPTION_INVALID (0x8004273A: UDP, unknown options, client certificates), HOST_INVALID, HANDLE_INVALID (0x80042736), WRONG_THREAD,
 *   NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 11 InetConnect names InetEnableSecurity; its signature is not published, and the way back is our choice.
 *
 * @example
 * InetWriteLine(socket, 'STARTTLS');
 * const answer = { value: '' };
 * if (InetReadLine(socket, answer) && InetEnableSecurity(socket) === INET_ERROR) InetAbort(socket);
 */
export function InetEnableSecurity(
  handle: number,
  enable = true,
  credentials: SECURITYCREDENTIALS | null = null,
  options = 0,
): number {
  try {
    const opened = openConnection(handle);
    if (opened.isDatagram) throw badOption('there is no TLS over UDP here');
    if ((options & ~TRUST_OPTIONS) !== 0) {
      throw badOption('only INET_OPTION_TRUSTEDSITE and INET_OPTION_SECURE_FALLBACK have a meaning here');
    }
    if (enable === opened.isSecure) return 0;
    if (enable) begin(opened, credentials, options);
    else end(opened);
    return 0;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

function begin(opened: OpenHandle, credentials: SECURITYCREDENTIALS | null, options: number): void {
  const { socket, block } = opened;
  if (socket.status !== SocketStatus.Open) {
    socket.throwIfFailed();
    throw new NetError('NOT_CONNECTED', { phase: Phase.Handshake, detail: 'the connection has ended' });
  }
  const all = (block.get(SocketWord.FaceOptions) & TRUST_OPTIONS) | options | INET_OPTION_SECURE;
  // an accepted connection has no host name: then the credentials have to name one
  const host = credentials?.lpszHostName || block.text;
  const { caFile } = currentSession().settings;
  const security = securityFor(checkHost(host).name, socket.remotePort, all, credentials, caFile);
  const early = socket.readableBytes;
  if (security === null || early > 0) {
    socket.consume(early);
    throw new NetError('TLS_PROTOCOL', {
      phase: Phase.Handshake,
      detail: `${early} bytes came in clear before the TLS handshake and were discarded; read the whole answer first, or somebody has injected them`,
    });
  }
  const { timeoutMs } = opened;
  const dialed = secure(socket, security, deadlineAfter(timeoutMs), timeoutMs, () => throwIfEnded(opened));
  if (dialed.info !== null) keepSecurity(socket, dialed.info);
  // even to odd: from here on every thread takes the stream as TLS
  Atomics.add(block.words, block.at + SocketWord.FaceSecured, 1);
}

/** RFC 8446 §6.1: close_notify says that no more will come on this TLS connection; the transport may be used further. */
function end(opened: OpenHandle): void {
  const { socket, channel, block } = opened;
  if (!(channel instanceof TlsChannel)) return;
  const deadline = deadlineAfter(opened.timeoutMs);
  for (;;) {
    const { sendSequence } = socket;
    if (channel.closeNotify()) break;
    waitWritable(opened, sendSequence, deadline);
  }
  for (;;) {
    const { recvSequence } = socket;
    const taken = channel.read(scratch, 0, scratch.length);
    if (taken === 0) break;
    if (taken === WOULD_BLOCK) waitReadable(opened, recvSequence, deadline);
  }
  const region = block.get(SocketWord.TlsOffset);
  // secrets do not outlive their use, and a later handshake starts from nothing
  wipeTlsRegion(block.arena.slab, region);
  block.set(SocketWord.TlsFlags, 0);
  Atomics.add(block.words, block.at + SocketWord.FaceSecured, 1);
}

function badOption(detail: string): NetError {
  return new NetError('OPTION_INVALID', { phase: Phase.Argument, detail });
}
