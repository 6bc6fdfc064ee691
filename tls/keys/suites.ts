import { sha256, sha384 } from '@noble/hashes/sha2.js';
import type { TlsVersion } from '../wire/codes.ts';

/** A hash of @noble/hashes: synchronous, and its running state can be cloned. */
export type Hash = typeof sha256 | typeof sha384;

/** AEADs as node:crypto names them. */
export type AeadName = 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305';

/** How a server proves who it is: with any key (TLS 1.3), or one that the suite names (TLS 1.2). */
export type SuiteAuthentication = 'any' | 'ecdsa' | 'rsa';

/** A cipher suite of TLS 1.3 (RFC 8446 §B.4), or of TLS 1.2 with an AEAD and ECDHE (RFC 5289, RFC 7905). */
export interface CipherSuite {
  readonly id: number;
  /** As IANA writes it. */
  readonly name: string;
  readonly version: TlsVersion;
  readonly authentication: SuiteAuthentication;
  /** Key strength. */
  readonly bits: number;
  readonly aead: AeadName;
  readonly keyBytes: number;
  /** The part of the nonce that is agreed on; the rest stands in each record (RFC 5288 §3: AES-GCM in TLS 1.2). */
  readonly fixedIvBytes: number;
  /** Of the transcript, HKDF (TLS 1.3) and PRF (TLS 1.2). */
  readonly hash: Hash;
  readonly hashBytes: number;
  /** Records after which we change our key; TLS 1.2 cannot. */
  readonly maxRecordsPerKey: number;
}

/** All suites have a tag of 16 and a nonce of 12 bytes (RFC 8446 §5.3, RFC 5116 §5). */
export const TAG_BYTES = 16;
export const IV_BYTES = 12;

// RFC 8446 §5.5: up to 2^24.5 full-size records may be encrypted under one AES-GCM key; a rounder number below it
const GCM_RECORDS_PER_KEY = 2 ** 24;
// RFC 8446 §5.5: for ChaCha20-Poly1305 the sequence number would wrap first; far below that, and exact in a double
const CHACHA20_RECORDS_PER_KEY = 2 ** 48;

/** What an AEAD brings to a suite of either version. */
const AES_128 = { bits: 128, aead: 'aes-128-gcm', keyBytes: 16, hash: sha256, hashBytes: 32 } as const;
const AES_256 = { bits: 256, aead: 'aes-256-gcm', keyBytes: 32, hash: sha384, hashBytes: 48 } as const;
const CHACHA20 = { bits: 256, aead: 'chacha20-poly1305', keyBytes: 32, hash: sha256, hashBytes: 32 } as const;

/** In order of preference, the strongest first. */
export const TLS13_SUITES: readonly CipherSuite[] = [
  tls13(0x1302, 'TLS_AES_256_GCM_SHA384', AES_256),
  tls13(0x1303, 'TLS_CHACHA20_POLY1305_SHA256', CHACHA20),
  tls13(0x1301, 'TLS_AES_128_GCM_SHA256', AES_128),
];

/** In order of preference, the strongest first. */
export const TLS12_SUITES: readonly CipherSuite[] = [
  tls12(0xc02c, 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ecdsa', AES_256),
  tls12(0xc030, 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'rsa', AES_256),
  tls12(0xcca9, 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256', 'ecdsa', CHACHA20),
  tls12(0xcca8, 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'rsa', CHACHA20),
  tls12(0xc02b, 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', 'ecdsa', AES_128),
  tls12(0xc02f, 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'rsa', AES_128),
];

/** All suites that this client knows. */
export const CIPHER_SUITES: readonly CipherSuite[] = [...TLS13_SUITES, ...TLS12_SUITES];

/** The suite with this number, or undefined. */
export function cipherSuiteOf(id: number): CipherSuite | undefined {
  return CIPHER_SUITES.find((suite) => suite.id === id);
}

type AeadPart = typeof AES_128 | typeof AES_256 | typeof CHACHA20;

function tls13(id: number, name: string, aead: AeadPart): CipherSuite {
  const maxRecordsPerKey = aead === CHACHA20 ? CHACHA20_RECORDS_PER_KEY : GCM_RECORDS_PER_KEY;
  return {
    ...{ id, name, version: 'TLSv1.3', authentication: 'any' },
    ...aead,
    ...{ fixedIvBytes: IV_BYTES, maxRecordsPerKey },
  };
}

function tls12(id: number, name: string, authentication: 'ecdsa' | 'rsa', aead: AeadPart): CipherSuite {
  return {
    ...{ id, name, version: 'TLSv1.2', authentication },
    ...aead,
    // RFC 7905 §2: ChaCha20-Poly1305 has no explicit part
    ...{ fixedIvBytes: aead === CHACHA20 ? IV_BYTES : 4, maxRecordsPerKey: Number.POSITIVE_INFINITY },
  };
}
