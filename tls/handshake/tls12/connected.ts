import type { TrafficKey } from '../../keys/key-schedule.ts';
import type { CipherSuite } from '../../keys/suites.ts';
import type { HandshakeMessage } from '../../wire/messages.ts';
import { type HandshakeState, unexpectedMessage } from '../state.ts';

/** The end of a handshake of TLS 1.2: what the traffic phase starts from. */
export class Connected12 implements HandshakeState {
  readonly suite: CipherSuite;
  /** Most content bytes of one record that we send. */
  readonly sendLimitBytes: number;
  readonly clientKey: TrafficKey;
  readonly serverKey: TrafficKey;
  isWiped = false;

  constructor(suite: CipherSuite, sendLimitBytes: number, clientKey: TrafficKey, serverKey: TrafficKey) {
    this.suite = suite;
    this.sendLimitBytes = sendLimitBytes;
    this.clientKey = clientKey;
    this.serverKey = serverKey;
  }

  /** Messages after the handshake belong to the traffic phase. */
  handle(message: HandshakeMessage): HandshakeState {
    throw unexpectedMessage(message, 'none');
  }

  wipe(): void {
    this.isWiped = true;
    for (const { key, iv } of [this.clientKey, this.serverKey]) {
      key.fill(0);
      iv.fill(0);
    }
  }
}
