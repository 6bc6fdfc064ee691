import { constants, type KeyObject, publicEncrypt } from 'node:crypto';
import type { RandomSource } from '../../stack/random.ts';
import { MASTER_SECRET_BYTES } from './prf.ts';

/** A premaster secret, and what only the server can read it from. */
export interface EncryptedPremaster {
  readonly premaster: Uint8Array;
  readonly encrypted: Uint8Array;
}

/**
 * RFC 5246 §7.4.7.1: a premaster secret, encrypted with the key of the server.
 *
 * @param clientVersion the version that stands in the ClientHello; the server compares them
 * @param key an RSA key
 */
export function encryptPremaster(
  key: KeyObject,
  clientVersion: number,
  random: RandomSource,
): EncryptedPremaster {
  const premaster = new Uint8Array(MASTER_SECRET_BYTES);
  random.fill(premaster);
  premaster[0] = clientVersion >>> 8;
  premaster[1] = clientVersion;
  const padded = paddedMessage(
    premaster,
    Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8),
    random,
  );
  // the padding is made here because all randomness is given to us
  const encrypted = publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, padded);
  padded.fill(0);
  return { premaster, encrypted: new Uint8Array(encrypted) };
}

/** RFC 8017 §7.2.1: 0, 2, at least eight bytes that are not zero, 0, message. */
function paddedMessage(message: Uint8Array, modulusBytes: number, random: RandomSource): Uint8Array {
  const padded = new Uint8Array(modulusBytes);
  const end = modulusBytes - message.length - 1;
  random.fill(padded.subarray(2, end));
  padded[1] = 2;
  for (let i = 2; i < end; i++) {
    while (padded[i] === 0) random.fill(padded.subarray(i, i + 1));
  }
  padded.set(message, end + 1);
  return padded;
}
