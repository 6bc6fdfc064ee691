import { KeySchedule } from '../keys/key-schedule.ts';
import type { CipherSuite } from '../keys/suites.ts';
import { MAX_PLAINTEXT_BYTES } from '../limits.ts';
import type { HandshakeRecords } from '../record/handshake-records.ts';
import { ContentType } from '../wire/codes.ts';
import type { OfferedSession } from './offer.ts';

/** What became of data that was sent before the server's answer (RFC 8446 §2.3). */
export type EarlyDataStatus = 'none' | 'offered' | 'accepted' | 'rejected';

/** The client's side of early data, while the handshake lasts. */
export class EarlyData {
  status: EarlyDataStatus = 'none';
  /** How much more the server takes. */
  remainingBytes = 0;
  #exporterSecret: Uint8Array = new Uint8Array(0);
  #suite: CipherSuite | null = null;

  /**
   * Offers it: from here on records are written with the early key.
   *
   * @param hello the ClientHello as it was sent
   * @returns the secret, for the key log; the caller wipes it
   */
  offer({ session, suite }: OfferedSession, hello: Uint8Array, records: HandshakeRecords): Uint8Array {
    const schedule = new KeySchedule(suite, session.secret);
    const { client, exporter } = schedule.early(suite.hash(hello));
    // RFC 8446 §D.4: the dummy change_cipher_spec comes immediately after the first ClientHello
    records.sendChangeCipherSpec();
    records.protectWriting(suite, client);
    this.status = 'offered';
    this.remainingBytes = session.maxEarlyDataBytes;
    this.#suite = suite;
    this.#exporterSecret = exporter;
    return client;
  }

  /** Queues as much as fits. @returns the bytes taken */
  send(records: HandshakeRecords, from: Uint8Array, off: number, len: number): number {
    const taken = Math.min(len, this.remainingBytes);
    for (let done = 0; done < taken; ) {
      const n = Math.min(MAX_PLAINTEXT_BYTES, taken - done);
      records.sendContent(ContentType.ApplicationData, from.subarray(off + done, off + done + n));
      done += n;
    }
    this.remainingBytes -= taken;
    return taken;
  }

  /** Whether our records still have the early key. */
  get isWriting(): boolean {
    return this.status === 'offered' || this.status === 'accepted';
  }

  reject(): void {
    if (this.status === 'offered') this.status = 'rejected';
    this.#end();
  }

  accept(): void {
    this.status = 'accepted';
  }

  /** No more can be sent: the handshake is over. */
  finish(): void {
    this.#end();
  }

  /** RFC 8446 §7.5: the suite and secret of early exporters, or null when no early data was offered. */
  get exporter(): { readonly suite: CipherSuite; readonly secret: Uint8Array } | null {
    return this.#suite === null || this.#exporterSecret.length === 0
      ? null
      : { suite: this.#suite, secret: this.#exporterSecret };
  }

  #end(): void {
    this.remainingBytes = 0;
    this.#exporterSecret.fill(0);
    this.#exporterSecret = new Uint8Array(0);
  }
}
