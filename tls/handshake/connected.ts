import type { TrafficSecrets } from '../keys/key-schedule.ts';
import type { CipherSuite } from '../keys/suites.ts';
import type { Transcript } from '../keys/transcript.ts';
import type { HandshakeMessage } from '../wire/messages.ts';
import type { RecordLimits } from './expect-encrypted-extensions.ts';
import { type HandshakeState, unexpectedMessage } from './state.ts';

/** The end of the handshake: what the traffic phase starts from. */
export class Connected implements HandshakeState {
  readonly suite: CipherSuite;
  /** Most content bytes of one record that we send. */
  readonly sendLimitBytes: number;
  /** The same of the server's, content type and padding included. */
  readonly receiveLimitBytes: number;
  readonly clientSecret: Uint8Array;
  readonly serverSecret: Uint8Array;
  readonly exporterSecret: Uint8Array;
  readonly resumptionSecret: Uint8Array;
  /** Up to our Finished: what later authentication is bound to (RFC 8446 §4.4.1). */
  readonly transcript: Transcript;
  isWiped = false;

  constructor(
    suite: CipherSuite,
    limits: RecordLimits,
    secrets: TrafficSecrets & { readonly exporter: Uint8Array },
    resumptionSecret: Uint8Array,
    transcript: Transcript,
  ) {
    this.suite = suite;
    this.sendLimitBytes = limits.sendBytes;
    this.receiveLimitBytes = limits.receiveBytes;
    this.transcript = transcript;
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
