import { concatBytes } from '@noble/hashes/utils.js';
import type { CipherSuite } from '../../keys/suites.ts';
import type { HandshakeRecords, RecordSide } from '../../record/handshake-records.ts';
import type { TlsVersion } from '../../wire/codes.ts';
import type { HandshakeMessage } from '../../wire/messages.ts';
import { type HandshakeState, unexpectedMessage } from '../state.ts';
import type { Keys12 } from './keys.ts';
import type { Agreed12 } from './server-hello.ts';

/** The end of a handshake before TLS 1.3: what the traffic phase starts from. */
export class Connected12 implements HandshakeState {
  readonly version: TlsVersion;
  readonly suite: CipherSuite;
  readonly encryptThenMac: boolean;
  /** Most content bytes of one record that we send. */
  readonly sendLimitBytes: number;
  /** The same of the server's. */
  readonly receiveLimitBytes: number;
  readonly writing: RecordSide;
  readonly reading: RecordSide;
  /** The master secret when it is extended, else empty: RFC 7627 §5.4 leaves nothing to export then. */
  readonly exporterSecret: Uint8Array;
  /** RFC 5705 §4: the client's and the server's. */
  readonly randoms: Uint8Array;
  isWiped = false;

  /**
   * @param keys whose master secret is wiped
   * @param records after both Finished messages
   */
  constructor(agreed: Agreed12, keys: Keys12, records: HandshakeRecords) {
    const sides = records.sides();
    if (sides === null) throw new Error('the records are not protected');
    this.version = agreed.version;
    this.suite = agreed.suite;
    this.encryptThenMac = agreed.encryptThenMac;
    this.sendLimitBytes = agreed.limits.sendBytes;
    this.receiveLimitBytes = agreed.limits.receiveBytes;
    this.writing = sides.writing;
    this.reading = sides.reading;
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
    for (const { secrets, cipherState } of [this.writing, this.reading]) {
      secrets.key.fill(0);
      secrets.iv.fill(0);
      secrets.macKey.fill(0);
      cipherState.fill(0);
    }
  }
}
