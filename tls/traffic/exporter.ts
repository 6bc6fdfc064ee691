import type { Slab } from '../../stack/wire/slab.ts';
import { keyingMaterial } from '../keys/exporter.ts';
import { MASTER_SECRET_BYTES } from '../keys/prf.ts';
import { parametersOf, RANDOMS_BYTES, TrafficOffset } from './state.ts';

/**
 * Keys for another protocol, from the secrets of a connection: RFC 8446 §7.5, RFC 5705. Any thread may ask at any time:
 * what it reads never changes.
 *
 * @param off of the traffic state in `state`
 * @param context null: none (the same as empty in TLS 1.3)
 * @throws RangeError for a label or length that cannot be, Error before TLS 1.3 without extended master secret
 */
export function exportKeyingMaterial(
  state: Slab,
  off: number,
  label: string,
  context: Uint8Array | null,
  lengthBytes: number,
): Uint8Array {
  const { version, suite } = parametersOf(state, off);
  const isAvailable = state.bytes[off + TrafficOffset.ExporterAvailable] !== 0;
  const secretBytes = version === 'TLSv1.3' ? suite.hashBytes : MASTER_SECRET_BYTES;
  const secretAt = off + TrafficOffset.ExporterSecret;
  const randomsAt = off + TrafficOffset.Randoms;
  const secret = state.bytes.slice(secretAt, secretAt + (isAvailable ? secretBytes : 0));
  const randoms = state.bytes.slice(randomsAt, randomsAt + RANDOMS_BYTES);
  const material = keyingMaterial(version, suite, secret, randoms, label, context, lengthBytes);
  secret.fill(0);
  return material;
}
