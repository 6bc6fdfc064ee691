import type { TlsVersion } from '../wire/codes.ts';
import { type Hash, sha256, sha384 } from './hash.ts';

/** AEADs as node:crypto names them. */
export type AeadName = 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305' | 'aes-128-ccm' | 'aes-256-ccm';
/** Block ciphers in CBC mode as node:crypto names them. */
export type BlockCipherName = 'aes-128-cbc' | 'aes-256-cbc' | 'des-ede3-cbc';
/** Hashes of HMAC as node:crypto names them. */
export type MacHashName = 'md5' | 'sha1' | 'sha256' | 'sha384';

/** What protects the records of a suite. */
export type RecordCipher =
  | {
      readonly kind: 'aead';
      readonly name: AeadName;
      readonly tagBytes: number;
      /** The part of the nonce that is agreed on; the rest stands in each record (RFC 5288 §3). */
      readonly fixedIvBytes: number;
    }
  | {
      readonly kind: 'block';
      readonly name: BlockCipherName;
      readonly blockBytes: number;
      readonly mac: MacHashName;
      readonly macBytes: number;
    }
  | { readonly kind: 'stream'; readonly name: 'rc4'; readonly mac: MacHashName; readonly macBytes: number };

/** How a server proves who it is: with any key (TLS 1.3), or one that the suite names. */
export type SuiteAuthentication = 'any' | 'ecdsa' | 'rsa';

/**
 * How the premaster secret comes about: `any` is TLS 1.3; `rsa` is encryption with the server's key, without forward
 * secrecy.
 */
export type KeyExchange = 'any' | 'ecdhe' | 'dhe' | 'rsa';

/**
 * When a suite is offered: always, when it is asked for by name, or only to devices that nobody can update
 * (INET_OPTION_SECURE_FALLBACK).
 */
export type SuiteClass = 'default' | 'on request' | 'fallback';

/** A cipher suite of any version. */
export interface CipherSuite {
  readonly id: number;
  /** As IANA writes it. */
  readonly name: string;
  /** The oldest version that has it; those of TLS 1.3 belong to it alone, and it has no others (RFC 8446 §B.4). */
  readonly version: TlsVersion;
  readonly offered: SuiteClass;
  readonly keyExchange: KeyExchange;
  readonly authentication: SuiteAuthentication;
  /** Key strength. */
  readonly bits: number;
  readonly cipher: RecordCipher;
  readonly keyBytes: number;
  /** Of the transcript, HKDF (TLS 1.3) and PRF (TLS 1.2); older versions have MD5 and SHA-1 for all suites. */
  readonly hash: Hash;
  readonly hashBytes: number;
  /** Records after which we change our key; only TLS 1.3 can. */
  readonly maxRecordsPerKey: number;
}

/** The AEADs have a tag of 16 (but for CCM_8) and a nonce of 12 bytes (RFC 8446 §5.3, RFC 5116 §5). */
export const TAG_BYTES = 16;
export const IV_BYTES = 12;
/** RFC 6655 §4 */
const SHORT_TAG_BYTES = 8;

// RFC 8446 §5.5: up to 2^24.5 full-size records may be encrypted under one AES-GCM key; a rounder number below it
const GCM_RECORDS_PER_KEY = 2 ** 24;
// RFC 8446 §5.5: for ChaCha20-Poly1305 the sequence number would wrap first; far below that, and exact in a double
const CHACHA20_RECORDS_PER_KEY = 2 ** 48;

/** RFC 2104: as long as the hash. */
const MAC_BYTES: Readonly<Record<MacHashName, number>> = { md5: 16, sha1: 20, sha256: 32, sha384: 48 };

type CipherPart = Pick<CipherSuite, 'bits' | 'keyBytes' | 'cipher'>;
type HashPart = Pick<CipherSuite, 'hash' | 'hashBytes'>;

const SHA256: HashPart = { hash: sha256, hashBytes: 32 };
const SHA384: HashPart = { hash: sha384, hashBytes: 48 };

// RFC 8446 §5.3
const TLS13_AES_128_GCM = aead('aes-128-gcm', 16, IV_BYTES);
const TLS13_AES_256_GCM = aead('aes-256-gcm', 32, IV_BYTES);
// RFC 5288 §3, RFC 6655 §3: in TLS 1.2 AES brings 8 bytes of its nonce in each record; RFC 7905 §2: ChaCha20 does not
const AES_128_GCM = aead('aes-128-gcm', 16, 4);
const AES_256_GCM = aead('aes-256-gcm', 32, 4);
const CHACHA20 = aead('chacha20-poly1305', 32, IV_BYTES);
const AES_128_CCM = aead('aes-128-ccm', 16, 4);
const AES_256_CCM = aead('aes-256-ccm', 32, 4);
const AES_128_CCM_8 = aead('aes-128-ccm', 16, 4, SHORT_TAG_BYTES);
const AES_256_CCM_8 = aead('aes-256-ccm', 32, 4, SHORT_TAG_BYTES);
const AES_128_SHA = block('aes-128-cbc', 16, 'sha1');
const AES_256_SHA = block('aes-256-cbc', 32, 'sha1');
const AES_128_SHA256 = block('aes-128-cbc', 16, 'sha256');
const AES_256_SHA256 = block('aes-256-cbc', 32, 'sha256');
const AES_256_SHA384 = block('aes-256-cbc', 32, 'sha384');
const TRIPLE_DES_SHA = block('des-ede3-cbc', 24, 'sha1');
const RC4_SHA = rc4('sha1');
const RC4_MD5 = rc4('md5');

/** In order of preference, the strongest first. */
export const TLS13_SUITES: readonly CipherSuite[] = [
  tls13(0x1302, 'TLS_AES_256_GCM_SHA384', TLS13_AES_256_GCM, SHA384),
  tls13(0x1303, 'TLS_CHACHA20_POLY1305_SHA256', CHACHA20, SHA256),
  tls13(0x1301, 'TLS_AES_128_GCM_SHA256', TLS13_AES_128_GCM, SHA256),
];

/** With an AEAD and ECDHE (RFC 5289, RFC 7905), in order of preference, the strongest first. */
export const TLS12_SUITES: readonly CipherSuite[] = [
  ecdhe(0xc02c, 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ecdsa', AES_256_GCM, SHA384, 'default'),
  ecdhe(0xc030, 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'rsa', AES_256_GCM, SHA384, 'default'),
  ecdhe(0xcca9, 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256', 'ecdsa', CHACHA20, SHA256, 'default'),
  ecdhe(0xcca8, 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'rsa', CHACHA20, SHA256, 'default'),
  ecdhe(0xc02b, 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', 'ecdsa', AES_128_GCM, SHA256, 'default'),
  ecdhe(0xc02f, 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'rsa', AES_128_GCM, SHA256, 'default'),
];

/**
 * Without a weakness that is known to matter, but with one that they invite (RFC 9325 §4): other groups than named ones,
 * CBC. RFC 5246 §A.5, RFC 5288, RFC 5289, RFC 6655, RFC 7251, RFC 7905, RFC 8422.
 */
export const SUITES_ON_REQUEST: readonly CipherSuite[] = [
  ecdhe(0xc0ad, 'TLS_ECDHE_ECDSA_WITH_AES_256_CCM', 'ecdsa', AES_256_CCM, SHA256),
  ecdhe(0xc0ac, 'TLS_ECDHE_ECDSA_WITH_AES_128_CCM', 'ecdsa', AES_128_CCM, SHA256),
  dhe(0x009f, 'TLS_DHE_RSA_WITH_AES_256_GCM_SHA384', AES_256_GCM, SHA384),
  dhe(0xccaa, 'TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256', CHACHA20, SHA256),
  dhe(0x009e, 'TLS_DHE_RSA_WITH_AES_128_GCM_SHA256', AES_128_GCM, SHA256),
  dhe(0xc09f, 'TLS_DHE_RSA_WITH_AES_256_CCM', AES_256_CCM, SHA256),
  dhe(0xc09e, 'TLS_DHE_RSA_WITH_AES_128_CCM', AES_128_CCM, SHA256),
  ecdhe(0xc0af, 'TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8', 'ecdsa', AES_256_CCM_8, SHA256),
  ecdhe(0xc0ae, 'TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8', 'ecdsa', AES_128_CCM_8, SHA256),
  ecdhe(0xc024, 'TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384', 'ecdsa', AES_256_SHA384, SHA384),
  ecdhe(0xc028, 'TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384', 'rsa', AES_256_SHA384, SHA384),
  ecdhe(0xc023, 'TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256', 'ecdsa', AES_128_SHA256, SHA256),
  ecdhe(0xc027, 'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256', 'rsa', AES_128_SHA256, SHA256),
  ecdhe(0xc00a, 'TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA', 'ecdsa', AES_256_SHA, SHA256),
  ecdhe(0xc014, 'TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA', 'rsa', AES_256_SHA, SHA256),
  ecdhe(0xc009, 'TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA', 'ecdsa', AES_128_SHA, SHA256),
  ecdhe(0xc013, 'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA', 'rsa', AES_128_SHA, SHA256),
  dhe(0x006b, 'TLS_DHE_RSA_WITH_AES_256_CBC_SHA256', AES_256_SHA256, SHA256),
  dhe(0x0067, 'TLS_DHE_RSA_WITH_AES_128_CBC_SHA256', AES_128_SHA256, SHA256),
  dhe(0x0039, 'TLS_DHE_RSA_WITH_AES_256_CBC_SHA', AES_256_SHA, SHA256),
  dhe(0x0033, 'TLS_DHE_RSA_WITH_AES_128_CBC_SHA', AES_128_SHA, SHA256),
];

/** Without forward secrecy, or with ciphers that are broken in part (RFC 7465: RC4; RFC 9325 §4.1), those last. */
export const FALLBACK_SUITES: readonly CipherSuite[] = [
  rsa(0x009d, 'TLS_RSA_WITH_AES_256_GCM_SHA384', AES_256_GCM, SHA384),
  rsa(0x009c, 'TLS_RSA_WITH_AES_128_GCM_SHA256', AES_128_GCM, SHA256),
  rsa(0xc09d, 'TLS_RSA_WITH_AES_256_CCM', AES_256_CCM, SHA256),
  rsa(0xc09c, 'TLS_RSA_WITH_AES_128_CCM', AES_128_CCM, SHA256),
  rsa(0xc0a1, 'TLS_RSA_WITH_AES_256_CCM_8', AES_256_CCM_8, SHA256),
  rsa(0xc0a0, 'TLS_RSA_WITH_AES_128_CCM_8', AES_128_CCM_8, SHA256),
  rsa(0x003d, 'TLS_RSA_WITH_AES_256_CBC_SHA256', AES_256_SHA256, SHA256),
  rsa(0x003c, 'TLS_RSA_WITH_AES_128_CBC_SHA256', AES_128_SHA256, SHA256),
  rsa(0x0035, 'TLS_RSA_WITH_AES_256_CBC_SHA', AES_256_SHA, SHA256),
  rsa(0x002f, 'TLS_RSA_WITH_AES_128_CBC_SHA', AES_128_SHA, SHA256),
  ecdhe(0xc008, 'TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA', 'ecdsa', TRIPLE_DES_SHA, SHA256, 'fallback'),
  ecdhe(0xc012, 'TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA', 'rsa', TRIPLE_DES_SHA, SHA256, 'fallback'),
  dhe(0x0016, 'TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA', TRIPLE_DES_SHA, SHA256, 'fallback'),
  rsa(0x000a, 'TLS_RSA_WITH_3DES_EDE_CBC_SHA', TRIPLE_DES_SHA, SHA256),
  ecdhe(0xc007, 'TLS_ECDHE_ECDSA_WITH_RC4_128_SHA', 'ecdsa', RC4_SHA, SHA256, 'fallback'),
  ecdhe(0xc011, 'TLS_ECDHE_RSA_WITH_RC4_128_SHA', 'rsa', RC4_SHA, SHA256, 'fallback'),
  rsa(0x0005, 'TLS_RSA_WITH_RC4_128_SHA', RC4_SHA, SHA256),
  rsa(0x0004, 'TLS_RSA_WITH_RC4_128_MD5', RC4_MD5, SHA256),
];

/** All suites that this client knows, in order of preference. */
export const CIPHER_SUITES: readonly CipherSuite[] = [
  ...TLS13_SUITES,
  ...TLS12_SUITES,
  ...SUITES_ON_REQUEST,
  ...FALLBACK_SUITES,
];

/** The suite with this number, or undefined. */
export function cipherSuiteOf(id: number): CipherSuite | undefined {
  return CIPHER_SUITES.find((suite) => suite.id === id);
}

/** Whether a version has a suite. */
export function isSuiteOf(suite: CipherSuite, version: TlsVersion): boolean {
  // RFC 8446 §B.4: neither has a suite of the other
  if (version === 'TLSv1.3' || suite.version === 'TLSv1.3') return suite.version === version;
  return suite.version <= version;
}

function tls13(id: number, name: string, cipher: CipherPart, hash: HashPart): CipherSuite {
  return {
    ...{ id, name, version: 'TLSv1.3', offered: 'default', keyExchange: 'any', authentication: 'any' },
    ...cipher,
    ...hash,
    maxRecordsPerKey:
      cipher.cipher.name === 'chacha20-poly1305' ? CHACHA20_RECORDS_PER_KEY : GCM_RECORDS_PER_KEY,
  };
}

type OlderPart = Pick<CipherSuite, 'id' | 'name' | 'offered' | 'keyExchange' | 'authentication'>;

function older(part: OlderPart, cipher: CipherPart, hash: HashPart): CipherSuite {
  // RFC 5246 §A.5, RFC 5288 §4: AEADs, and MACs with SHA-2, are for TLS 1.2; the others are as old as SSL
  const isOld =
    cipher.cipher.kind !== 'aead' && (cipher.cipher.mac === 'sha1' || cipher.cipher.mac === 'md5');
  const version = isOld ? 'TLSv1' : 'TLSv1.2';
  return { ...part, version, ...cipher, ...hash, maxRecordsPerKey: Number.POSITIVE_INFINITY };
}

function ecdhe(
  id: number,
  name: string,
  authentication: 'ecdsa' | 'rsa',
  cipher: CipherPart,
  hash: HashPart,
  offered: SuiteClass = 'on request',
): CipherSuite {
  return older({ id, name, offered, keyExchange: 'ecdhe', authentication }, cipher, hash);
}

function dhe(
  id: number,
  name: string,
  cipher: CipherPart,
  hash: HashPart,
  offered: SuiteClass = 'on request',
): CipherSuite {
  return older({ id, name, offered, keyExchange: 'dhe', authentication: 'rsa' }, cipher, hash);
}

function rsa(id: number, name: string, cipher: CipherPart, hash: HashPart): CipherSuite {
  return older({ id, name, offered: 'fallback', keyExchange: 'rsa', authentication: 'rsa' }, cipher, hash);
}

function aead(
  name: AeadName,
  keyBytes: number,
  fixedIvBytes: number,
  tagBytes: number = TAG_BYTES,
): CipherPart {
  return { bits: 8 * keyBytes, keyBytes, cipher: { kind: 'aead', name, tagBytes, fixedIvBytes } };
}

function block(name: BlockCipherName, keyBytes: number, mac: MacHashName): CipherPart {
  const isTripleDes = name === 'des-ede3-cbc';
  return {
    // NIST SP 800-57 part 1 §5.6.1.1: three keys of 56 bits, that a meet in the middle reduces to two
    bits: isTripleDes ? 112 : 8 * keyBytes,
    keyBytes,
    cipher: { kind: 'block', name, blockBytes: isTripleDes ? 8 : 16, mac, macBytes: MAC_BYTES[mac] },
  };
}

function rc4(mac: MacHashName): CipherPart {
  return { bits: 128, keyBytes: 16, cipher: { kind: 'stream', name: 'rc4', mac, macBytes: MAC_BYTES[mac] } };
}
