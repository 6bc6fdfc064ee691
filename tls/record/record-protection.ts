import type { CipherSuite } from '../keys/suites.ts';
import { RECORD_OVERHEAD_BYTES, RecordKey } from './record-key.ts';
import { MAX_RECORD_OVERHEAD_BYTES_TLS12, RecordKey12 } from './record-key12.ts';

/**
 * Protects and opens the records of one direction. It keeps no sequence number: the caller passes it, because it may lie
 * in memory that threads share.
 */
export interface RecordProtection {
  /** What {@link seal} adds to the content, header included. */
  readonly overheadBytes: number;
  /** The longest record body that a peer may send. */
  readonly maxSealedBytes: number;

  /**
   * Writes one protected record.
   *
   * @param type content type, 20 … 23
   * @param lengthBytes content at `from[off]`, 0 … 16384
   * @param into takes the content and {@link overheadBytes} more
   * @returns the length of the record
   */
  seal(
    seqHigh: number,
    seqLow: number,
    type: number,
    from: Uint8Array,
    off: number,
    lengthBytes: number,
    into: Uint8Array,
    intoOff: number,
  ): number;

  /**
   * Decrypts one record; the result is read from {@link opened}, {@link openedBytes} and {@link openedType}.
   *
   * @param record one whole record at `off`, header included
   * @param lengthBytes of the record with its header
   * @throws TlsError
   */
  open(seqHigh: number, seqLow: number, record: Uint8Array, off: number, lengthBytes: number): void;

  /** The content of the record that was opened last stands at its start. */
  readonly opened: Uint8Array;
  readonly openedBytes: number;
  readonly openedType: number;
}

/** The most that protection adds to the content of a record in any version. */
export const MAX_RECORD_OVERHEAD_BYTES: number = Math.max(
  RECORD_OVERHEAD_BYTES,
  MAX_RECORD_OVERHEAD_BYTES_TLS12,
);

/** The protection of a suite's version. */
export function recordProtectionOf(suite: CipherSuite, key: Uint8Array, iv: Uint8Array): RecordProtection {
  return suite.version === 'TLSv1.3' ? new RecordKey(suite, key, iv) : new RecordKey12(suite, key, iv);
}
