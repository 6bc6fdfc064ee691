import { AlertDescription, AlertLevel } from '../alerts.ts';
import { alertReceived, TlsError } from '../errors.ts';

/** What an alert means to the connection when it is no failure. */
export const AlertOutcome = { CloseNotify: 0, Ignored: 1 } as const;
export type AlertOutcome = (typeof AlertOutcome)[keyof typeof AlertOutcome];

/**
 * Judges the content of an alert record.
 *
 * @param content may be longer than the record's content
 * @param lengthBytes of the record's content
 * @param isTls13 false before ServerHello and in TLS 1.2, which has warnings
 * @throws TlsError when the alert ends the connection or is malformed
 */
export function judgeAlert(content: Uint8Array, lengthBytes: number, isTls13: boolean): AlertOutcome {
  // RFC 8446 §5.1: an Alert record MUST contain exactly one message, and alerts MUST NOT be fragmented
  if (lengthBytes !== 2) throw new TlsError('MalformedAlert', `${lengthBytes} bytes`);
  const level = content[0]!;
  const description = content[1]!;
  if (level !== AlertLevel.Warning && level !== AlertLevel.Fatal) {
    throw new TlsError('UnknownAlertLevel', `level ${level}, description ${description}`);
  }
  // RFC 8446 §6: in TLS 1.3 the level can safely be ignored; close_notify and user_canceled are the only alerts that end nothing
  if (description === AlertDescription.CloseNotify) return AlertOutcome.CloseNotify;
  // differs from RFC 8446 §6.1 (a close_notify should follow) as BoringSSL, NSS and OpenSSL do: JDK 11 sends
  // user_canceled in the middle of a connection
  if (isTls13 && description === AlertDescription.UserCanceled) return AlertOutcome.Ignored;
  // RFC 5246 §7.2: only warnings leave the choice
  if (!isTls13 && level === AlertLevel.Warning) return AlertOutcome.Ignored;
  throw alertReceived(description);
}
