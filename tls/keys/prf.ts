import { hmac } from '@noble/hashes/hmac.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import type { TrafficKey } from './key-schedule.ts';
import type { CipherSuite, Hash } from './suites.ts';

/** RFC 5246 §8.1 */
export const MASTER_SECRET_BYTES = 48;
/** RFC 5246 §7.4.9 */
export const VERIFY_DATA_BYTES = 12;

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
  let a = labelAndSeed;
  for (let off = 0; off < lengthBytes; off += hash.outputLen) {
    a = hmac(hash, secret, a);
    const block = hmac(hash, secret, concatBytes(a, labelAndSeed));
    out.set(block.subarray(0, lengthBytes - off), off);
    block.fill(0);
  }
  return out;
}

/** RFC 5246 §8.1; wipes the premaster secret. */
export function masterSecret(
  suite: CipherSuite,
  premaster: Uint8Array,
  clientRandom: Uint8Array,
  serverRandom: Uint8Array,
): Uint8Array {
  const seed = concatBytes(clientRandom, serverRandom);
  const master = prf(suite.hash, premaster, 'master secret', seed, MASTER_SECRET_BYTES);
  premaster.fill(0);
  return master;
}

/**
 * RFC 7627 §4; wipes the premaster secret.
 *
 * @param sessionHash over ClientHello … ClientKeyExchange
 */
export function extendedMasterSecret(
  suite: CipherSuite,
  premaster: Uint8Array,
  sessionHash: Uint8Array,
): Uint8Array {
  const master = prf(suite.hash, premaster, 'extended master secret', sessionHash, MASTER_SECRET_BYTES);
  premaster.fill(0);
  return master;
}

/** RFC 5246 §6.3: keys and IVs of both directions. An AEAD needs no MAC keys. */
export function keyBlock(
  suite: CipherSuite,
  master: Uint8Array,
  clientRandom: Uint8Array,
  serverRandom: Uint8Array,
): { readonly client: TrafficKey; readonly server: TrafficKey } {
  const { keyBytes, fixedIvBytes } = suite;
  const seed = concatBytes(serverRandom, clientRandom);
  const block = prf(suite.hash, master, 'key expansion', seed, 2 * (keyBytes + fixedIvBytes));
  let off = 0;
  const next = (lengthBytes: number): Uint8Array => {
    off += lengthBytes;
    return block.slice(off - lengthBytes, off);
  };
  const [clientKey, serverKey] = [next(keyBytes), next(keyBytes)];
  const [clientIv, serverIv] = [next(fixedIvBytes), next(fixedIvBytes)];
  block.fill(0);
  return { client: { key: clientKey, iv: clientIv }, server: { key: serverKey, iv: serverIv } };
}

/** RFC 5246 §7.4.9: the content of a Finished message. */
export function verifyDataOf(
  suite: CipherSuite,
  master: Uint8Array,
  sender: 'client' | 'server',
  transcriptHash: Uint8Array,
): Uint8Array {
  return prf(suite.hash, master, `${sender} finished`, transcriptHash, VERIFY_DATA_BYTES);
}
