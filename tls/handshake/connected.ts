import type { TrafficSecrets } from '../keys/key-schedule.ts';
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
  readonly exporterSecret: Uint8Array;
  readonly resumptionSecret: Uint8Array;
  isWiped = false;

  constructor(
    suite: CipherSuite,
    sendLimitBytes: number,
    secrets: TrafficSecrets & { readonly exporter: Uint8Array },
    resumptionSecret: Uint8Array,
  ) {
    this.suite = suite;
    this.sendLimitBytes = sendLimitBytes;
    this.clientSecret = secrets.client;
    this.serverSecret = secrets.server;
    this.exporterSecret = secrets.exporter;
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
    this.exporterSecret.fill(0);
    this.resumptionSecret.fill(0);
  }
}
