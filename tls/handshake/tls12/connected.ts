import { concatBytes } from '@noble/hashes/utils.js';
import type { TrafficKey } from '../../keys/key-schedule.ts';
import type { CipherSuite } from '../../keys/suites.ts';
import type { HandshakeMessage } from '../../wire/messages.ts';
import { type HandshakeState, unexpectedMessage } from '../state.ts';
import type { Keys12 } from './keys.ts';
import type { Agreed12 } from './server-hello.ts';

/** The end of a handshake of TLS 1.2: what the traffic phase starts from. */
export class Connected12 implements HandshakeState {
  readonly suite: CipherSuite;
  /** Most content bytes of one record that we send. */
  readonly sendLimitBytes: number;
  readonly clientKey: TrafficKey;
  readonly serverKey: TrafficKey;
  /** The master secret when it is extended, else empty: RFC 7627 §5.4 leaves nothing to export then. */
  readonly exporterSecret: Uint8Array;
  /** RFC 5705 §4: the client's and the server's. */
  readonly randoms: Uint8Array;
  isWiped = false;

  /** @param keys whose master secret is wiped */
  constructor(agreed: Agreed12, keys: Keys12) {
    this.suite = agreed.suite;
    this.sendLimitBytes = agreed.sendLimitBytes;
    this.clientKey = keys.client;
    this.serverKey = keys.server;
    this.exporterSecret = agreed.isMasterSecretExtended ? keys.master.slice() : new Uint8Array(0);
    this.randoms = concatBytes(agreed.offer.random, agreed.serverRandom);
    keys.master.fill(0);
  }

  /** Messages after the handshake belong to the traffic phase. */
  handle(message: HandshakeMessage): HandshakeState {
    throw unexpectedMessage(message, 'none');
  }

  wipe(): void {
    this.isWiped = true;
    this.exporterSecret.fill(0);
    for (const { key, iv } of [this.clientKey, this.serverKey]) {
      key.fill(0);
      iv.fill(0);
    }
  }
}
