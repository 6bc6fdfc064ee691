import type { RecordSecrets } from '../keys/prf.ts';
import type { CipherSuite } from '../keys/suites.ts';
import type { TlsVersion } from '../wire/codes.ts';
import {
  BLOCK_STATE_BYTES,
  BlockRecordKey,
  MAX_BLOCK_OVERHEAD_BYTES,
  startBlocks,
} from './block-record-key.ts';
import { RC4_STATE_BYTES, startRc4 } from './rc4.ts';
import { RECORD_OVERHEAD_BYTES, RecordKey } from './record-key.ts';
import { MAX_RECORD_OVERHEAD_BYTES_TLS12, RecordKey12 } from './record-key12.ts';
import { StreamRecordKey } from './stream-record-key.ts';

/** What both sides have agreed on about records. */
export interface RecordParameters {
  readonly version: TlsVersion;
  readonly suite: CipherSuite;
  /** RFC 7366; of meaning to CBC only. */
  readonly encryptThenMac: boolean;
}

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
  MAX_BLOCK_OVERHEAD_BYTES,
);

/** Room for what changes with each record, besides its number: the state of RC4, or what CBC is chained to. */
export const CIPHER_STATE_BYTES: number = Math.max(RC4_STATE_BYTES, BLOCK_STATE_BYTES);

/** The cipher state at the first record of a key. */
export function startCipherState({ suite }: RecordParameters, { key, iv }: RecordSecrets): Uint8Array {
  const state = new Uint8Array(CIPHER_STATE_BYTES);
  if (suite.cipher.kind === 'stream') startRc4(state, key);
  if (suite.cipher.kind === 'block') startBlocks(state, iv);
  return state;
}

/**
 * The protection of a version and a suite.
 *
 * @param state CIPHER_STATE_BYTES bytes that go on from {@link startCipherState}; used, not copied
 */
export function recordProtectionOf(
  parameters: RecordParameters,
  secrets: RecordSecrets,
  state: Uint8Array,
): RecordProtection {
  const { version, suite } = parameters;
  if (version === 'TLSv1.3') return new RecordKey(suite, secrets.key, secrets.iv);
  switch (suite.cipher.kind) {
    case 'aead':
      return new RecordKey12(suite.cipher, secrets.key, secrets.iv);
    case 'block':
      return new BlockRecordKey(parameters, secrets, state);
    case 'stream':
      return new StreamRecordKey(parameters, secrets, state);
  }
}
