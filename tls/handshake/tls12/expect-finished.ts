import { timingSafeEqual } from 'node:crypto';
import { TlsError } from '../../errors.ts';
import { VERIFY_DATA_BYTES, verifyDataOf } from '../../keys/prf.ts';
import {
  MAX_SESSION_ID_LIFETIME_SECONDS,
  MAX_TICKET_LIFETIME_SECONDS,
  UNSTATED_TICKET_LIFETIME_SECONDS,
} from '../../limits.ts';
import type { TlsSession } from '../../session.ts';
import { HandshakeType } from '../../wire/codes.ts';
import { type HandshakeMessage, type NewSessionTicket12, readFinished } from '../../wire/messages.ts';
import { expectType, type Handshake, type HandshakeState } from '../state.ts';
import { Connected12 } from './connected.ts';
import { type Keys12, sendFinished } from './keys.ts';
import type { Agreed12 } from './server-hello.ts';

/** The last message of the server, the first one under its keys. */
export class ExpectFinished12 implements HandshakeState {
  readonly agreed: Agreed12;
  readonly keys: Keys12;
  /** The session that is resumed: then our Finished comes second. */
  readonly resumed: TlsSession | null;
  readonly ticket: NewSessionTicket12 | null;

  constructor(agreed: Agreed12, keys: Keys12, resumed: TlsSession | null, ticket: NewSessionTicket12 | null) {
    this.agreed = agreed;
    this.keys = keys;
    this.resumed = resumed;
    this.ticket = ticket;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    expectType(message, HandshakeType.Finished);
    const { agreed, keys } = this;
    const { prf, transcript } = agreed;
    const verifyData = readFinished(message, VERIFY_DATA_BYTES);
    const expected = verifyDataOf(prf, keys.master, 'server', transcript.hash());
    // RFC 5246 §7.4.9: incorrect → decrypt_error; compared in constant time
    if (!timingSafeEqual(expected, verifyData)) throw new TlsError('BadFinished');
    handshake.finished.server = expected;
    handshake.records.endOfKey();
    transcript.add(message.raw);
    if (this.resumed !== null) sendFinished(agreed, keys, handshake);
    // RFC 9849 §6.1.6
    if (handshake.info.ech === 'rejected') throw new TlsError('EchRejected');
    const session = this.#session(handshake);
    if (session !== null && handshake.keepSession !== null) handshake.keepSession(session);
    return new Connected12(agreed, keys, handshake.records);
  }

  /** What a later connection can resume, or null. */
  #session(handshake: Handshake): TlsSession | null {
    const { version, suite, sessionId, isMasterSecretExtended } = this.agreed;
    // RFC 7627 §5.3: clients SHOULD NOT resume a session without extended master secret
    if (!isMasterSecretExtended) return null;
    const ticket = this.ticket?.ticket ?? new Uint8Array(0);
    if (ticket.length === 0) {
      // RFC 5077 §3.4: a ticket may serve again, until its time is over
      if (this.resumed !== null) return this.resumed;
      if (sessionId.length === 0) return null;
    }
    return {
      version,
      cipherSuite: suite.id,
      secret: this.keys.master.slice(),
      ticket,
      sessionId: ticket.length === 0 ? sessionId : new Uint8Array(0),
      ageAdd: 0,
      receivedUnixTimeMs: handshake.unixTimeMs,
      lifetimeSeconds:
        ticket.length === 0 ? MAX_SESSION_ID_LIFETIME_SECONDS : ticketLifetime(this.ticket!.lifetimeSeconds),
      maxEarlyDataBytes: 0,
      alpn: handshake.info.alpn,
      ocspResponse: handshake.info.ocspResponse,
      signedCertificateTimestamps: handshake.info.signedCertificateTimestamps,
      chain: handshake.info.peerCertificates,
    };
  }
}

function ticketLifetime(hintSeconds: number): number {
  if (hintSeconds === 0) return UNSTATED_TICKET_LIFETIME_SECONDS;
  return Math.min(hintSeconds, MAX_TICKET_LIFETIME_SECONDS);
}
