import type { Slab } from '../../stack/wire/slab.ts';
import { trafficKeyOf } from '../keys/key-schedule.ts';
import { type CipherSuite, cipherSuiteOf, IV_BYTES } from '../keys/suites.ts';
import { MAX_POST_HANDSHAKE_MESSAGE_BYTES } from '../limits.ts';

/**
 * A connection after its handshake, as a flat region that may lie in shared memory. Words are little-endian. The first
 * 128 bytes belong to whoever holds the writing side's lock, the others to the reading side's, with one exception:
 * `KeyUpdateOwed` is set by the reader and taken by the writer, atomically.
 */
export const TrafficOffset = {
  /** u32: IANA number of the cipher suite. */
  Suite: 0,
  /** u32: key updates sent; a sealer that remembers another number reads the key again. */
  WriteEpoch: 4,
  /** two u32: number of the next record. */
  WriteSeqHigh: 8,
  WriteSeqLow: 12,
  /** u8: 1 after an alert was sent that ends the writing side. */
  WriteClosed: 16,
  /** u8, atomic: 1 when the peer asked for a key update that was not yet sent. */
  KeyUpdateOwed: 17,
  /** u16: most content bytes of one record. */
  SendLimit: 18,
  WriteSecret: 20,
  WriteKey: 68,
  WriteIv: 100,

  /** u32: key updates received. */
  ReadEpoch: 128,
  ReadSeqHigh: 132,
  ReadSeqLow: 136,
  /** u8: one of {@link ReadSide}. */
  ReadSide: 140,
  /** u8 each: how many in a row, for the limits on floods. */
  EmptyRecords: 141,
  KeyUpdates: 142,
  Tickets: 143,
  Warnings: 144,
  /** u32: bytes of a handshake message whose rest has not come. */
  PartialBytes: 148,
  ReadSecret: 152,
  ReadKey: 200,
  ReadIv: 232,
  ResumptionSecret: 244,
  /** MAX_POST_HANDSHAKE_MESSAGE_BYTES bytes. */
  Partial: 304,
} as const;

/** Size of the region. */
export const TRAFFIC_STATE_BYTES: number = TrafficOffset.Partial + MAX_POST_HANDSHAKE_MESSAGE_BYTES;

/** Whether the peer may still send. */
export const ReadSide = { Open: 0, CloseNotify: 1, Failed: 2 } as const;
export type ReadSide = (typeof ReadSide)[keyof typeof ReadSide];

/** What a finished handshake leaves. */
export interface TrafficStart {
  readonly suite: CipherSuite;
  readonly sendLimitBytes: number;
  readonly clientSecret: Uint8Array;
  readonly serverSecret: Uint8Array;
  readonly resumptionSecret: Uint8Array;
}

/** Fills a region for a new connection. */
export function writeTrafficState(state: Slab, off: number, start: TrafficStart): void {
  state.bytes.fill(0, off, off + TRAFFIC_STATE_BYTES);
  state.view.setUint32(off + TrafficOffset.Suite, start.suite.id, true);
  state.view.setUint16(off + TrafficOffset.SendLimit, start.sendLimitBytes, true);
  writeWriteSecret(state, off, start.suite, start.clientSecret);
  writeReadSecret(state, off, start.suite, start.serverSecret);
  state.bytes.set(start.resumptionSecret, off + TrafficOffset.ResumptionSecret);
}

/** Replaces the secret of the writing side and the key that follows from it. */
export function writeWriteSecret(state: Slab, off: number, suite: CipherSuite, secret: Uint8Array): void {
  const { key, iv } = trafficKeyOf(suite, secret);
  state.bytes.set(secret, off + TrafficOffset.WriteSecret);
  state.bytes.set(key, off + TrafficOffset.WriteKey);
  state.bytes.set(iv, off + TrafficOffset.WriteIv);
  key.fill(0);
}

/** Replaces the secret of the reading side and the key that follows from it. */
export function writeReadSecret(state: Slab, off: number, suite: CipherSuite, secret: Uint8Array): void {
  const { key, iv } = trafficKeyOf(suite, secret);
  state.bytes.set(secret, off + TrafficOffset.ReadSecret);
  state.bytes.set(key, off + TrafficOffset.ReadKey);
  state.bytes.set(iv, off + TrafficOffset.ReadIv);
  key.fill(0);
}

/**
 * The cipher suite of a region.
 *
 * @throws RangeError when the region holds no connection
 */
export function suiteOf(state: Slab, off: number): CipherSuite {
  const id = state.view.getUint32(off + TrafficOffset.Suite, true);
  const suite = cipherSuiteOf(id);
  if (suite === undefined) throw new RangeError(`no traffic state here: cipher suite ${id}`);
  return suite;
}

/** Overwrites the secrets of the writing side. */
export function wipeWriteSide(state: Slab, off: number): void {
  state.bytes.fill(0, off + TrafficOffset.WriteSecret, off + TrafficOffset.WriteIv + IV_BYTES);
}

/** Overwrites the secrets of the reading side. */
export function wipeReadSide(state: Slab, off: number): void {
  state.bytes.fill(0, off + TrafficOffset.ReadSecret, off + TrafficOffset.Partial);
  state.bytes.fill(0, off + TrafficOffset.Partial, off + TRAFFIC_STATE_BYTES);
}

/** A private copy of a secret in the region. */
export function copySecret(state: Slab, at: number, suite: CipherSuite): Uint8Array {
  return Uint8Array.from(state.bytes.subarray(at, at + suite.hashBytes));
}

/** A private copy of a key in the region. */
export function copyKey(state: Slab, at: number, suite: CipherSuite): Uint8Array {
  return Uint8Array.from(state.bytes.subarray(at, at + suite.keyBytes));
}
