import { bytesToHex } from '@noble/hashes/utils.js';

/** RFC 9850 §2.1: the labels of TLS 1.3, §2.2: CLIENT_RANDOM, the master secret of TLS 1.2. */
export type KeyLogLabel =
  | 'CLIENT_RANDOM'
  | 'CLIENT_EARLY_TRAFFIC_SECRET'
  | 'EARLY_EXPORTER_SECRET'
  | 'CLIENT_HANDSHAKE_TRAFFIC_SECRET'
  | 'SERVER_HANDSHAKE_TRAFFIC_SECRET'
  | 'CLIENT_TRAFFIC_SECRET_0'
  | 'SERVER_TRAFFIC_SECRET_0'
  | 'EXPORTER_SECRET';

/** One line of a key log file, without the line end. RFC 9850 §2 */
export function keyLogLine(label: KeyLogLabel, clientRandom: Uint8Array, secret: Uint8Array): string {
  return `${label} ${bytesToHex(clientRandom)} ${bytesToHex(secret)}`;
}
