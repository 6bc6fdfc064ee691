import type { Slab } from '../../stack/wire/slab.ts';
import { type TrafficKey, trafficKeyOf } from '../keys/key-schedule.ts';
import type { RecordSecrets } from '../keys/prf.ts';
import { type CipherSuite, cipherSuiteOf, IV_BYTES } from '../keys/suites.ts';
import { MAX_POST_HANDSHAKE_MESSAGE_BYTES } from '../limits.ts';
import type { RecordSide } from '../record/handshake-records.ts';
import {
  CIPHER_STATE_BYTES,
  type RecordParameters,
  type RecordProtection,
  recordProtectionOf,
} from '../record/record-protection.ts';
import { type TlsVersion, versionNumber, versionOf } from '../wire/codes.ts';

/**
 * A connection after its handshake, as a flat region that may lie in shared memory. Words are little-endian. The first
 * 128 bytes belong to whoever holds the writing side's lock, the others to the reading side's, with two exceptions:
 * `KeyUpdateOwed` and `RefusalOwed` are set by the reader and taken by the writer, atomically. Versions before TLS 1.3 have
 * keys and no secrets.
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
  /** u16: 0x0301 … 0x0304. */
  Version: 112,
  /** u8, atomic: 1 when the peer asked for a renegotiation and was not yet told no. Set by the reader. */
  RefusalOwed: 114,
  /** u8: 1 when records have their MAC outside (RFC 7366). Written once. */
  EncryptThenMac: 116,
  /** u16: data of TLS 1.3 is padded to a multiple of it; 0: not. Written once. */
  Padding: 118,

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
  CertificateRequests: 146,
  /** u32: bytes of a handshake message whose rest has not come. */
  PartialBytes: 148,
  ReadSecret: 152,
  ReadKey: 200,
  ReadIv: 232,
  ResumptionSecret: 244,

  /** 48 bytes: the exporter secret, before TLS 1.3 the master secret. Written once, read by anyone, like the next two. */
  ExporterSecret: 304,
  /** Before TLS 1.3: the randoms of both hellos. */
  Randoms: 352,
  /** u8: 1 when keys may be exported. */
  ExporterAvailable: 115,

  /** MAX_POST_HANDSHAKE_MESSAGE_BYTES bytes, of the reading side. */
  Partial: 416,

  /** Before TLS 1.3, of the writing side: the key of the MAC, and the cipher state that moves on with each record. */
  WriteMacKey: 16800,
  WriteCipherState: 16848,
  /** The same of the reading side. */
  ReadMacKey: 17108,
  ReadCipherState: 17156,
  /** u16: most bytes of one record of the peer, in TLS 1.3 content type and padding included. Written once. */
  ReadLimit: 17416,
} as const;

/** Of `Randoms`. */
export const RANDOMS_BYTES = 64;

/** Size of the region. */
export const TRAFFIC_STATE_BYTES: number = TrafficOffset.ReadLimit + 2;

/** Whether the peer may still send. */
export const ReadSide = { Open: 0, CloseNotify: 1, Failed: 2 } as const;
export type ReadSide = (typeof ReadSide)[keyof typeof ReadSide];

/** What a finished handshake before TLS 1.3 leaves: its Finished messages were the first records of both keys. */
export interface TrafficStart12 extends RecordParameters {
  readonly sendLimitBytes: number;
  readonly receiveLimitBytes: number;
  readonly writing: RecordSide;
  readonly reading: RecordSide;
  /** The extended master secret, or empty. */
  readonly exporterSecret: Uint8Array;
  /** RANDOMS_BYTES bytes. */
  readonly randoms: Uint8Array;
}

/** What a finished handshake of TLS 1.3 leaves. */
export interface TrafficStart {
  readonly suite: CipherSuite;
  readonly sendLimitBytes: number;
  readonly receiveLimitBytes: number;
  readonly clientSecret: Uint8Array;
  readonly serverSecret: Uint8Array;
  readonly exporterSecret: Uint8Array;
  readonly resumptionSecret: Uint8Array;
}

/**
 * Fills a region for a new connection.
 *
 * @param paddingBytes data of TLS 1.3 is padded to a multiple of it; 0: not
 */
export function writeTrafficState(
  state: Slab,
  off: number,
  start: TrafficStart | TrafficStart12,
  paddingBytes = 0,
): void {
  clearTrafficState(state, off);
  state.view.setUint32(off + TrafficOffset.Suite, start.suite.id, true);
  state.view.setUint16(off + TrafficOffset.SendLimit, start.sendLimitBytes, true);
  state.view.setUint16(off + TrafficOffset.ReadLimit, start.receiveLimitBytes, true);
  state.view.setUint16(off + TrafficOffset.Padding, paddingBytes, true);
  state.bytes[off + TrafficOffset.ExporterAvailable] = start.exporterSecret.length > 0 ? 1 : 0;
  state.bytes.set(start.exporterSecret, off + TrafficOffset.ExporterSecret);
  if ('writing' in start) {
    writeVersion(state, off, start.version);
    state.bytes[off + TrafficOffset.EncryptThenMac] = start.encryptThenMac ? 1 : 0;
    state.bytes.set(start.randoms, off + TrafficOffset.Randoms);
    writeSide(state, off, WRITING, start.writing);
    writeSide(state, off, READING, start.reading);
    return;
  }
  writeVersion(state, off, 'TLSv1.3');
  writeWriteSecret(state, off, start.suite, start.clientSecret);
  writeReadSecret(state, off, start.suite, start.serverSecret);
  state.bytes.set(start.resumptionSecret, off + TrafficOffset.ResumptionSecret);
}

/** Fills the region of a connection that goes on after a renegotiation. Whoever remembers keys of it sees that they are others now. */
export function replaceTrafficState(state: Slab, off: number, start: TrafficStart | TrafficStart12): void {
  const { view } = state;
  const writeEpoch = view.getUint32(off + TrafficOffset.WriteEpoch, true);
  const readEpoch = view.getUint32(off + TrafficOffset.ReadEpoch, true);
  writeTrafficState(state, off, start);
  view.setUint32(off + TrafficOffset.WriteEpoch, writeEpoch + 1, true);
  view.setUint32(off + TrafficOffset.ReadEpoch, readEpoch + 1, true);
}

/** Number of the next record of a side. */
export function nextSeq(state: Slab, off: number, { SeqLow }: SideOffsets): number {
  const high = state.view.getUint32(off + SeqLow - 4, true);
  return high * 2 ** 32 + state.view.getUint32(off + SeqLow, true);
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

/**
 * What both sides have agreed on about records.
 *
 * @throws RangeError when the region holds no connection
 */
export function parametersOf(state: Slab, off: number): RecordParameters {
  const number = state.view.getUint16(off + TrafficOffset.Version, true);
  const version = versionOf(number);
  if (version === undefined) throw new RangeError(`no traffic state here: version ${number}`);
  const encryptThenMac = state.bytes[off + TrafficOffset.EncryptThenMac] !== 0;
  return { version, suite: suiteOf(state, off), encryptThenMac };
}

/** The fields of one direction. */
export interface SideOffsets {
  readonly SeqLow: number;
  readonly Key: number;
  readonly Iv: number;
  readonly MacKey: number;
  readonly CipherState: number;
}

export const WRITING: SideOffsets = {
  SeqLow: TrafficOffset.WriteSeqLow,
  Key: TrafficOffset.WriteKey,
  Iv: TrafficOffset.WriteIv,
  MacKey: TrafficOffset.WriteMacKey,
  CipherState: TrafficOffset.WriteCipherState,
};
export const READING: SideOffsets = {
  SeqLow: TrafficOffset.ReadSeqLow,
  Key: TrafficOffset.ReadKey,
  Iv: TrafficOffset.ReadIv,
  MacKey: TrafficOffset.ReadMacKey,
  CipherState: TrafficOffset.ReadCipherState,
};

/** The protection of one direction, on its present key; its cipher state stays in the region. */
export function protectionOf(
  state: Slab,
  off: number,
  parameters: RecordParameters,
  side: SideOffsets,
): RecordProtection {
  const { bytes } = state;
  const { suite } = parameters;
  const macBytes = suite.cipher.kind === 'aead' ? 0 : suite.cipher.macBytes;
  const part = (at: number, lengthBytes: number): Uint8Array => bytes.slice(off + at, off + at + lengthBytes);
  const secrets: RecordSecrets = {
    key: part(side.Key, suite.keyBytes),
    iv: part(side.Iv, IV_BYTES),
    macKey: part(side.MacKey, macBytes),
  };
  const at = off + side.CipherState;
  const protection = recordProtectionOf(parameters, secrets, bytes.subarray(at, at + CIPHER_STATE_BYTES));
  secrets.key.fill(0);
  secrets.macKey.fill(0);
  return protection;
}

/** Overwrites the secrets of the writing side. */
export function wipeWriteSide(state: Slab, off: number): void {
  state.bytes.fill(0, off + TrafficOffset.WriteSecret, off + TrafficOffset.WriteIv + IV_BYTES);
  state.bytes.fill(0, off + TrafficOffset.WriteMacKey, off + TrafficOffset.ReadMacKey);
}

/** Makes a region ready for a connection. perf: what `Partial` holds is not looked at, 16 KB that count only as far as `PartialBytes` says */
export function clearTrafficState({ bytes }: Slab, off: number): void {
  bytes.fill(0, off, off + TrafficOffset.Partial);
  bytes.fill(0, off + TrafficOffset.WriteMacKey, off + TRAFFIC_STATE_BYTES);
}

/** Overwrites a state, written or cleared before: the connection is over. */
export function wipeTrafficState(state: Slab, off: number): void {
  wipePartial(state, off);
  clearTrafficState(state, off);
}

/** Overwrites the handshake message of which a part has come. */
export function wipePartial(state: Slab, off: number): void {
  const at = off + TrafficOffset.Partial;
  const lengthBytes = state.view.getUint32(off + TrafficOffset.PartialBytes, true);
  state.bytes.fill(0, at, at + Math.min(lengthBytes, MAX_POST_HANDSHAKE_MESSAGE_BYTES));
  state.view.setUint32(off + TrafficOffset.PartialBytes, 0, true);
}

/** Overwrites the secrets of the reading side. */
export function wipeReadSide(state: Slab, off: number): void {
  state.bytes.fill(0, off + TrafficOffset.ReadSecret, off + TrafficOffset.ExporterSecret);
  wipePartial(state, off);
  state.bytes.fill(0, off + TrafficOffset.ReadMacKey, off + TRAFFIC_STATE_BYTES);
}

/** A private copy of a secret in the region. */
export function copySecret(state: Slab, at: number, suite: CipherSuite): Uint8Array {
  return Uint8Array.from(state.bytes.subarray(at, at + suite.hashBytes));
}

function writeVersion(state: Slab, off: number, version: TlsVersion): void {
  state.view.setUint16(off + TrafficOffset.Version, versionNumber(version), true);
}

function writeSide(
  state: Slab,
  off: number,
  side: SideOffsets,
  { secrets, cipherState, nextSeq }: RecordSide,
): void {
  const { bytes, view } = state;
  bytes.set(secrets.key, off + side.Key);
  // the IV of a CBC record stands in the cipher state
  bytes.set(secrets.iv.subarray(0, IV_BYTES), off + side.Iv);
  bytes.set(secrets.macKey, off + side.MacKey);
  bytes.set(cipherState, off + side.CipherState);
  view.setUint32(off + side.SeqLow, nextSeq, true);
}

function writeWriteKey(state: Slab, off: number, key: TrafficKey): void {
  state.bytes.set(key.key, off + TrafficOffset.WriteKey);
  state.bytes.set(key.iv, off + TrafficOffset.WriteIv);
}

function writeReadKey(state: Slab, off: number, key: TrafficKey): void {
  state.bytes.set(key.key, off + TrafficOffset.ReadKey);
  state.bytes.set(key.iv, off + TrafficOffset.ReadIv);
}
