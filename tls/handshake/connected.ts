import type { CipherSuite } from '../keys/suites.ts';
import type { HandshakeMessage } from '../wire/messages.ts';
import { type HandshakeState, unexpectedMessage } from './state.ts';

/** The end of the handshake: what the traffic phase starts from. */
export class Connected implements HandshakeState {
  readonly suite: CipherSuite;
  /** Most content bytes of one record that we send. */
  readonly sendLimitBytes: number;
  readonly clientSecret: Uint8Array;
  readonly serverSecret: Uint8Array;
  readonly resumptionSecret: Uint8Array;
  isWiped = false;

  constructor(
    suite: CipherSuite,
    sendLimitBytes: number,
    clientSecret: Uint8Array,
    serverSecret: Uint8Array,
    resumptionSecret: Uint8Array,
  ) {
    this.suite = suite;
    this.sendLimitBytes = sendLimitBytes;
    this.clientSecret = clientSecret;
    this.serverSecret = serverSecret;
    this.resumptionSecret = resumptionSecret;
  }

  /** Messages after the handshake belong to the traffic phase. */
  handle(message: HandshakeMessage): HandshakeState {
    throw unexpectedMessage(message, 'none');
  }

  wipe(): void {
    this.isWiped = true;
    this.clientSecret.fill(0);
    this.serverSecret.fill(0);
    this.resumptionSecret.fill(0);
  }
}
