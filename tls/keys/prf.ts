import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import type { TlsVersion } from '../wire/codes.ts';
import { type Hash, hmac, md5, sha1 } from './hash.ts';
import type { CipherSuite } from './suites.ts';
import { MD5_AND_SHA1, type TranscriptHash } from './transcript.ts';

/** RFC 5246 §8.1 */
export const MASTER_SECRET_BYTES = 48;
/** RFC 5246 §7.4.9 */
export const VERIFY_DATA_BYTES = 12;

/** How a version before TLS 1.3 derives secrets and sums up the handshake. */
export interface Prf {
  /** RFC 5246 §7.4.9, RFC 2246 §7.4.9: of the handshake messages. */
  readonly hash: TranscriptHash;
  /** RFC 5246 §5, RFC 2246 §5: the pseudorandom function. */
  readonly expand: (secret: Uint8Array, label: string, seed: Uint8Array, lengthBytes: number) => Uint8Array;
}

const OLD_PRF: Prf = { hash: MD5_AND_SHA1, expand: oldPrf };

/** The pseudorandom function of a connection: before TLS 1.2 all suites have the same. */
export function prfOf(version: TlsVersion, suite: CipherSuite): Prf {
  if (version < 'TLSv1.2') return OLD_PRF;
  return {
    hash: suite.hash,
    expand: (secret, label, seed, lengthBytes) => prf(suite.hash, secret, label, seed, lengthBytes),
  };
}

/** RFC 5246 §5: the pseudorandom function of TLS 1.2. */
export function prf(
  hash: Hash,
  secret: Uint8Array,
  label: string,
  seed: Uint8Array,
  lengthBytes: number,
): Uint8Array {
  const labelAndSeed = concatBytes(utf8ToBytes(label), seed);
  const out = new Uint8Array(lengthBytes);
  // A(0) = seed, A(i) = HMAC(secret, A(i-1)); each block is HMAC(secret, A(i) + seed)
  let a: Uint8Array = labelAndSeed;
  for (let off = 0; off < lengthBytes; off += hash.outputLen) {
    a = hmac(hash, secret, a);
    const block = hmac(hash, secret, concatBytes(a, labelAndSeed));
    out.set(block.subarray(0, lengthBytes - off), off);
    block.fill(0);
  }
  return out;
}

/**
 * RFC 2246 §5, RFC 4346 §5: the pseudorandom function of TLS 1.0 and 1.1, two of them over one half of the secret each;
 * the middle byte of an odd number belongs to both.
 */
export function oldPrf(secret: Uint8Array, label: string, seed: Uint8Array, lengthBytes: number): Uint8Array {
  const halfBytes = Math.ceil(secret.length / 2);
  const out = prf(md5, secret.subarray(0, halfBytes), label, seed, lengthBytes);
  const other = prf(sha1, secret.subarray(secret.length - halfBytes), label, seed, lengthBytes);
  for (let i = 0; i < lengthBytes; i++) out[i] = out[i]! ^ other[i]!;
  other.fill(0);
  return out;
}

/** RFC 5246 §8.1; wipes the premaster secret. */
export function masterSecret(
  { expand }: Prf,
  premaster: Uint8Array,
  clientRandom: Uint8Array,
  serverRandom: Uint8Array,
): Uint8Array {
  const seed = concatBytes(clientRandom, serverRandom);
  const master = expand(premaster, 'master secret', seed, MASTER_SECRET_BYTES);
  premaster.fill(0);
  return master;
}

/**
 * RFC 7627 §4; wipes the premaster secret.
 *
 * @param sessionHash over ClientHello … ClientKeyExchange
 */
export function extendedMasterSecret(
  { expand }: Prf,
  premaster: Uint8Array,
  sessionHash: Uint8Array,
): Uint8Array {
  const master = expand(premaster, 'extended master secret', sessionHash, MASTER_SECRET_BYTES);
  premaster.fill(0);
  return master;
}

/** What protects the records of one direction before TLS 1.3; parts that its suite does not have are empty. */
export interface RecordSecrets {
  readonly macKey: Uint8Array;
  readonly key: Uint8Array;
  /** The agreed part of an AEAD's nonces, or in TLS 1.0 what the first CBC record is chained to. */
  readonly iv: Uint8Array;
}

/** RFC 5246 §6.3: the secrets of both directions. */
export function keyBlock(
  version: TlsVersion,
  suite: CipherSuite,
  master: Uint8Array,
  clientRandom: Uint8Array,
  serverRandom: Uint8Array,
): { readonly client: RecordSecrets; readonly server: RecordSecrets } {
  const { cipher, keyBytes } = suite;
  const macBytes = cipher.kind === 'aead' ? 0 : cipher.macBytes;
  const ivBytes = ivBytesOf(version, suite);
  const seed = concatBytes(serverRandom, clientRandom);
  const lengthBytes = 2 * (macBytes + keyBytes + ivBytes);
  const block = prfOf(version, suite).expand(master, 'key expansion', seed, lengthBytes);
  let off = 0;
  const next = (partBytes: number): Uint8Array => {
    off += partBytes;
    return block.slice(off - partBytes, off);
  };
  const [clientMacKey, serverMacKey] = [next(macBytes), next(macBytes)];
  const [clientKey, serverKey] = [next(keyBytes), next(keyBytes)];
  const [clientIv, serverIv] = [next(ivBytes), next(ivBytes)];
  block.fill(0);
  return {
    client: { macKey: clientMacKey, key: clientKey, iv: clientIv },
    server: { macKey: serverMacKey, key: serverKey, iv: serverIv },
  };
}

/** RFC 2246 §6.3, RFC 4346 §6.3: since TLS 1.1 each CBC record brings its own IV. */
function ivBytesOf(version: TlsVersion, { cipher }: CipherSuite): number {
  if (cipher.kind === 'aead') return cipher.fixedIvBytes;
  return cipher.kind === 'block' && version === 'TLSv1' ? cipher.blockBytes : 0;
}

/** RFC 5246 §7.4.9: the content of a Finished message. */
export function verifyDataOf(
  { expand }: Prf,
  master: Uint8Array,
  sender: 'client' | 'server',
  transcriptHash: Uint8Array,
): Uint8Array {
  return expand(master, `${sender} finished`, transcriptHash, VERIFY_DATA_BYTES);
}
