import { timingSafeEqual } from 'node:crypto';
import { TlsError } from '../../errors.ts';
import { VERIFY_DATA_BYTES, verifyDataOf } from '../../keys/prf.ts';
import { HandshakeType } from '../../wire/codes.ts';
import { type HandshakeMessage, readFinished } from '../../wire/messages.ts';
import { expectType, type Handshake, type HandshakeState } from '../state.ts';
import { Connected12 } from './connected.ts';
import type { Keys12 } from './expect-change-cipher-spec.ts';
import type { Agreed12 } from './server-hello.ts';

/** The last message of the server, the first one under its keys. */
export class ExpectFinished12 implements HandshakeState {
  readonly agreed: Agreed12;
  readonly master: Uint8Array;
  readonly keys: Keys12;

  constructor(agreed: Agreed12, master: Uint8Array, keys: Keys12) {
    this.agreed = agreed;
    this.master = master;
    this.keys = keys;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    expectType(message, HandshakeType.Finished);
    const { suite, transcript, sendLimitBytes } = this.agreed;
    const verifyData = readFinished(message, VERIFY_DATA_BYTES);
    const expected = verifyDataOf(suite, this.master, 'server', transcript.hash());
    // RFC 5246 §7.4.9: incorrect → decrypt_error; compared in constant time
    if (!timingSafeEqual(expected, verifyData)) throw new TlsError('BadFinished');
    handshake.records.endOfKey();
    this.master.fill(0);
    return new Connected12(suite, sendLimitBytes, this.keys.client, this.keys.server);
  }
}
