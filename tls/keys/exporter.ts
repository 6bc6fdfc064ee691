import { concatBytes } from '@noble/hashes/utils.js';
import type { TlsVersion } from '../wire/codes.ts';
import { expandLabel } from './key-schedule.ts';
import { prfOf } from './prf.ts';
import type { CipherSuite } from './suites.ts';

const NO_CONTEXT = new Uint8Array(0);
// RFC 5246: what the PRF is used for already
const RESERVED_LABELS: readonly string[] = [
  'client finished',
  'server finished',
  'master secret',
  'extended master secret',
  'key expansion',
];

/**
 * Keys for another protocol: RFC 8446 §7.5, RFC 5705.
 *
 * @param secret the exporter secret (TLS 1.3), or the extended master secret (before it), empty when there is none
 * @param randoms before TLS 1.3: the client's and the server's
 * @param context null: none, which before TLS 1.3 is not the same as an empty one
 * @throws RangeError for a label or length that cannot be, Error without extended master secret
 */
export function keyingMaterial(
  version: TlsVersion,
  suite: CipherSuite,
  secret: Uint8Array,
  randoms: Uint8Array,
  label: string,
  context: Uint8Array | null,
  lengthBytes: number,
): Uint8Array {
  // RFC 7627 §5.4: without extended master secret the keys could be those of two connections
  if (secret.length === 0) throw new Error('no keys can be exported without extended master secret');
  // RFC 8446 §7.1: the label of HkdfLabel takes 7 … 255 bytes, "tls13 " among them; an empty one is allowed here as
  // in other implementations
  const labelBytes = new TextEncoder().encode(label).length;
  if (labelBytes > 249) throw new RangeError(`a label of ${labelBytes} bytes`);
  // RFC 5869 §2.3: L <= 255 * HashLen
  if (!(lengthBytes > 0 && lengthBytes <= 255 * suite.hashBytes)) {
    throw new RangeError(`${lengthBytes} bytes of keying material`);
  }
  if (version === 'TLSv1.3') {
    const derived = expandLabel(suite.hash, secret, label, suite.hash(NO_CONTEXT), suite.hashBytes);
    const contextHash = suite.hash(context ?? NO_CONTEXT);
    const material = expandLabel(suite.hash, derived, 'exporter', contextHash, lengthBytes);
    derived.fill(0);
    return material;
  }
  if (RESERVED_LABELS.includes(label)) throw new RangeError(`TLS itself uses the label "${label}"`);
  if (context !== null && context.length > 0xffff) throw new RangeError('a context of more than 65535 bytes');
  const seed =
    context === null
      ? randoms
      : concatBytes(randoms, Uint8Array.of(context.length >>> 8, context.length), context);
  return prfOf(version, suite).expand(secret, label, seed, lengthBytes);
}
