import type { TrafficKey } from '../../keys/key-schedule.ts';
import type { HandshakeMessage } from '../../wire/messages.ts';
import { type Handshake, type HandshakeState, unexpectedMessage } from '../state.ts';
import { ExpectFinished12 } from './expect-finished.ts';
import type { Agreed12 } from './server-hello.ts';

/** Keys of both directions. */
export interface Keys12 {
  readonly client: TrafficKey;
  readonly server: TrafficKey;
}

/** The only place for a change_cipher_spec: the keys are agreed on, and nothing but it may come. */
export class ExpectChangeCipherSpec implements HandshakeState {
  readonly agreed: Agreed12;
  readonly master: Uint8Array;
  readonly keys: Keys12;

  constructor(agreed: Agreed12, master: Uint8Array, keys: Keys12) {
    this.agreed = agreed;
    this.master = master;
    this.keys = keys;
  }

  handle(message: HandshakeMessage): HandshakeState {
    throw unexpectedMessage(message, 'change_cipher_spec');
  }

  changeCipherSpec(handshake: Handshake): HandshakeState {
    handshake.records.changeReadKey(this.agreed.suite, this.keys.server);
    return new ExpectFinished12(this.agreed, this.master, this.keys);
  }
}
