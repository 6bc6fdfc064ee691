import { sha256, sha384 } from '@noble/hashes/sha2.js';

/** A hash of @noble/hashes: synchronous, and its running state can be cloned. */
export type Hash = typeof sha256 | typeof sha384;

/** AEADs as node:crypto names them. */
export type AeadName = 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305';

/** A cipher suite of TLS 1.3 (RFC 8446 §B.4). */
export interface CipherSuite {
  readonly id: number;
  readonly name: string;
  /** Key strength. */
  readonly bits: number;
  readonly aead: AeadName;
  readonly keyBytes: number;
  readonly hash: Hash;
  readonly hashBytes: number;
  /** Records after which we change our key. */
  readonly maxRecordsPerKey: number;
}

/** All suites of TLS 1.3 have a tag of 16 and a nonce of 12 bytes (RFC 8446 §5.3). */
export const TAG_BYTES = 16;
export const IV_BYTES = 12;

// RFC 8446 §5.5: up to 2^24.5 full-size records may be encrypted under one AES-GCM key; a rounder number below it
const GCM_RECORDS_PER_KEY = 2 ** 24;
// RFC 8446 §5.5: for ChaCha20-Poly1305 the sequence number would wrap first; far below that, and exact in a double
const CHACHA20_RECORDS_PER_KEY = 2 ** 48;

/** In order of preference. */
export const CIPHER_SUITES: readonly CipherSuite[] = [
  {
    id: 0x1301,
    name: 'TLS_AES_128_GCM_SHA256',
    bits: 128,
    aead: 'aes-128-gcm',
    keyBytes: 16,
    hash: sha256,
    hashBytes: 32,
    maxRecordsPerKey: GCM_RECORDS_PER_KEY,
  },
  {
    id: 0x1302,
    name: 'TLS_AES_256_GCM_SHA384',
    bits: 256,
    aead: 'aes-256-gcm',
    keyBytes: 32,
    hash: sha384,
    hashBytes: 48,
    maxRecordsPerKey: GCM_RECORDS_PER_KEY,
  },
  {
    id: 0x1303,
    name: 'TLS_CHACHA20_POLY1305_SHA256',
    bits: 256,
    aead: 'chacha20-poly1305',
    keyBytes: 32,
    hash: sha256,
    hashBytes: 32,
    maxRecordsPerKey: CHACHA20_RECORDS_PER_KEY,
  },
];

/** The suite with this number, or undefined. */
export function cipherSuiteOf(id: number): CipherSuite | undefined {
  return CIPHER_SUITES.find((suite) => suite.id === id);
}
