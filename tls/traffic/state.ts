import type { Slab } from '../../stack/wire/slab.ts';
import { type TrafficKey, trafficKeyOf } from '../keys/key-schedule.ts';
import { type CipherSuite, cipherSuiteOf, IV_BYTES } from '../keys/suites.ts';
import { MAX_POST_HANDSHAKE_MESSAGE_BYTES } from '../limits.ts';
import { ProtocolVersion } from '../wire/codes.ts';

/**
 * A connection after its handshake, as a flat region that may lie in shared memory. Words are little-endian. The first
 * 128 bytes belong to whoever holds the writing side's lock, the others to the reading side's, with two exceptions:
 * `KeyUpdateOwed` and `RefusalOwed` are set by the reader and taken by the writer, atomically. TLS 1.2 has keys and no
 * secrets.
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
  /** u16: 0x0303 or 0x0304. */
  Version: 112,
  /** u8, atomic: 1 when the peer asked for a renegotiation and was not yet told no. Set by the reader. */
  RefusalOwed: 114,

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
  HelloRequests: 145,
  /** u32: bytes of a handshake message whose rest has not come. */
  PartialBytes: 148,
  ReadSecret: 152,
  ReadKey: 200,
  ReadIv: 232,
  ResumptionSecret: 244,

  /** 48 bytes: the exporter secret, in TLS 1.2 the master secret. Written once, read by anyone, like the next two. */
  ExporterSecret: 304,
  /** TLS 1.2: the randoms of both hellos. */
  Randoms: 352,
  /** u8: 1 when keys may be exported. */
  ExporterAvailable: 115,

  /** MAX_POST_HANDSHAKE_MESSAGE_BYTES bytes, of the reading side. */
  Partial: 416,
} as const;

/** Of `Randoms`. */
export const RANDOMS_BYTES = 64;

/** Size of the region. */
export const TRAFFIC_STATE_BYTES: number = TrafficOffset.Partial + MAX_POST_HANDSHAKE_MESSAGE_BYTES;

/** Whether the peer may still send. */
export const ReadSide = { Open: 0, CloseNotify: 1, Failed: 2 } as const;
export type ReadSide = (typeof ReadSide)[keyof typeof ReadSide];

/** What a finished handshake of TLS 1.2 leaves: its Finished messages were the first records of both keys. */
export interface TrafficStart12 {
  readonly suite: CipherSuite;
  readonly sendLimitBytes: number;
  readonly clientKey: TrafficKey;
  readonly serverKey: TrafficKey;
  /** The extended master secret, or empty. */
  readonly exporterSecret: Uint8Array;
  /** RANDOMS_BYTES bytes. */
  readonly randoms: Uint8Array;
}

/** What a finished handshake of TLS 1.3 leaves. */
export interface TrafficStart {
  readonly suite: CipherSuite;
  readonly sendLimitBytes: number;
  readonly clientSecret: Uint8Array;
  readonly serverSecret: Uint8Array;
  readonly exporterSecret: Uint8Array;
  readonly resumptionSecret: Uint8Array;
}

/** Fills a region for a new connection. */
export function writeTrafficState(state: Slab, off: number, start: TrafficStart | TrafficStart12): void {
  state.bytes.fill(0, off, off + TRAFFIC_STATE_BYTES);
  state.view.setUint32(off + TrafficOffset.Suite, start.suite.id, true);
  state.view.setUint16(off + TrafficOffset.SendLimit, start.sendLimitBytes, true);
  state.bytes[off + TrafficOffset.ExporterAvailable] = start.exporterSecret.length > 0 ? 1 : 0;
  state.bytes.set(start.exporterSecret, off + TrafficOffset.ExporterSecret);
  const hasKeys = 'clientKey' in start;
  state.view.setUint16(
    off + TrafficOffset.Version,
    hasKeys ? ProtocolVersion.Tls12 : ProtocolVersion.Tls13,
    true,
  );
  if (hasKeys) {
    state.bytes.set(start.randoms, off + TrafficOffset.Randoms);
    writeWriteKey(state, off, start.clientKey);
    writeReadKey(state, off, start.serverKey);
    state.view.setUint32(off + TrafficOffset.WriteSeqLow, 1, true);
    state.view.setUint32(off + TrafficOffset.ReadSeqLow, 1, true);
    return;
  }
  writeWriteSecret(state, off, start.suite, start.clientSecret);
  writeReadSecret(state, off, start.suite, start.serverSecret);
  state.bytes.set(start.resumptionSecret, off + TrafficOffset.ResumptionSecret);
}

/** Replaces the secret of the writing side and the key that follows from it. */
export function writeWriteSecret(state: Slab, off: number, suite: CipherSuite, secret: Uint8Array): void {
  const key = trafficKeyOf(suite, secret);
  state.bytes.set(secret, off + TrafficOffset.WriteSecret);
  writeWriteKey(state, off, key);
  key.key.fill(0);
}

/** Replaces the secret of the reading side and the key that follows from it. */
export function writeReadSecret(state: Slab, off: number, suite: CipherSuite, secret: Uint8Array): void {
  const key = trafficKeyOf(suite, secret);
  state.bytes.set(secret, off + TrafficOffset.ReadSecret);
  writeReadKey(state, off, key);
  key.key.fill(0);
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

/** Whether the region is a connection of TLS 1.2. */
export function isTls12(state: Slab, off: number): boolean {
  return state.view.getUint16(off + TrafficOffset.Version, true) === ProtocolVersion.Tls12;
}

/** Overwrites the secrets of the writing side. */
export function wipeWriteSide(state: Slab, off: number): void {
  state.bytes.fill(0, off + TrafficOffset.WriteSecret, off + TrafficOffset.WriteIv + IV_BYTES);
}

/** Overwrites the secrets of the reading side. */
export function wipeReadSide(state: Slab, off: number): void {
  state.bytes.fill(0, off + TrafficOffset.ReadSecret, off + TrafficOffset.ExporterSecret);
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

function writeWriteKey(state: Slab, off: number, key: TrafficKey): void {
  state.bytes.set(key.key, off + TrafficOffset.WriteKey);
  state.bytes.set(key.iv, off + TrafficOffset.WriteIv);
}

function writeReadKey(state: Slab, off: number, key: TrafficKey): void {
  state.bytes.set(key.key, off + TrafficOffset.ReadKey);
  state.bytes.set(key.iv, off + TrafficOffset.ReadIv);
}
