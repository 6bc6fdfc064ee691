import type { TlsSession } from '../../session.ts';
import { HandshakeType } from '../../wire/codes.ts';
import {
  type HandshakeMessage,
  type NewSessionTicket12,
  readNewSessionTicket12,
} from '../../wire/messages.ts';
import { expectType, type Handshake, type HandshakeState, unexpectedMessage } from '../state.ts';
import { ExpectFinished12 } from './expect-finished.ts';
import type { Keys12 } from './keys.ts';
import type { Agreed12 } from './server-hello.ts';

/** What the server says before its Finished. @param resumed the session that is resumed, or null */
export function expectEndOfFlight(
  agreed: Agreed12,
  keys: Keys12,
  resumed: TlsSession | null,
): HandshakeState {
  return agreed.isTicketPromised
    ? new ExpectNewSessionTicket12(agreed, keys, resumed)
    : new ExpectChangeCipherSpec(agreed, keys, resumed, null);
}

/** RFC 5077 §3.3: a server that promised a ticket sends one. */
export class ExpectNewSessionTicket12 implements HandshakeState {
  readonly agreed: Agreed12;
  readonly keys: Keys12;
  readonly resumed: TlsSession | null;

  constructor(agreed: Agreed12, keys: Keys12, resumed: TlsSession | null) {
    this.agreed = agreed;
    this.keys = keys;
    this.resumed = resumed;
  }

  handle(message: HandshakeMessage): HandshakeState {
    expectType(message, HandshakeType.NewSessionTicket);
    const ticket = readNewSessionTicket12(message);
    this.agreed.transcript.add(message.raw);
    return new ExpectChangeCipherSpec(this.agreed, this.keys, this.resumed, ticket);
  }
}

/** The only place for a change_cipher_spec: the keys are agreed on, and nothing but it may come. */
export class ExpectChangeCipherSpec implements HandshakeState {
  readonly agreed: Agreed12;
  readonly keys: Keys12;
  readonly resumed: TlsSession | null;
  readonly ticket: NewSessionTicket12 | null;

  constructor(agreed: Agreed12, keys: Keys12, resumed: TlsSession | null, ticket: NewSessionTicket12 | null) {
    this.agreed = agreed;
    this.keys = keys;
    this.resumed = resumed;
    this.ticket = ticket;
  }

  handle(message: HandshakeMessage): HandshakeState {
    throw unexpectedMessage(message, 'change_cipher_spec');
  }

  changeCipherSpec(handshake: Handshake): HandshakeState {
    handshake.records.changeReadKey(this.agreed, this.keys.server);
    return new ExpectFinished12(this.agreed, this.keys, this.resumed, this.ticket);
  }
}
