import type { Slab } from '../stack/wire/slab.ts';
import { clearTrafficState, wipeTrafficState } from '../tls/traffic/state.ts';

/**
 * What a TLS connection keeps in shared memory after its handshake, so that any thread can go on with it: the traffic
 * state of tls/ (secrets, keys, sequence numbers, partial messages), and what was decrypted but not yet read.
 */
export const TlsRegion = {
  /** Words: plaintext waiting for the reader, from `Plain`. */
  PlainOff: 0,
  PlainLen: 4,
  /** The peer's close_notify was read: 1. */
  Closed: 8,
  /** Our close_notify was sent: 1. */
  Finished: 12,
  /** Bytes of what stands at `Certificates`, 0: nothing is kept. */
  CertificatesLen: 16,
  /** What is known of a revocation of that certificate: a RevocationStatus of tls/. */
  Revocation: 20,
  /** Number of timestamps of certificate logs that came with it or inside of it. */
  Timestamps: 24,
  /** Whether a session was resumed, and early data taken: 0, 1, 2. */
  Resumption: 28,
  /** The thread that made the handshake makes another one on the connection: 1. Nobody else can read or write meanwhile. */
  Renegotiating: 32,
  /** How the keys were agreed on, as who made the handshake writes it; the suites of TLS 1.3 do not say it. */
  KeyExchange: 36,
  /** Offset of the traffic state of tls/. */
  Traffic: 64,
  /** Offset of the plaintext of one record (RFC 8446 §5.1: at most 2^14 bytes). */
  Plain: 0x6000,
  /** Offset of the application protocol and the peer's certificates (each behind its length in a word), for whoever asks; up to the end of the region. */
  Certificates: 0xc000,
} as const;

/** Makes a region ready for a connection. Its memory may have been a ring's: what its words do not speak of is not looked at. */
export function clearTlsRegion(slab: Slab, region: number): void {
  slab.bytes.fill(0, region, region + TlsRegion.Traffic);
  clearTrafficState(slab, region + TlsRegion.Traffic);
}

/** Overwrites the secrets of a connection, and what nobody has read of it, in a region that was cleared. perf: 1 of 64 KB, as a rule */
export function wipeTlsRegion(slab: Slab, region: number): void {
  const plain = region + TlsRegion.Plain + slab.view.getInt32(region + TlsRegion.PlainOff);
  slab.bytes.fill(0, plain, plain + slab.view.getInt32(region + TlsRegion.PlainLen));
  wipeTrafficState(slab, region + TlsRegion.Traffic);
  slab.bytes.fill(0, region, region + TlsRegion.Traffic);
}

/** A power of two that holds the above. */
export const TLS_REGION_BYTES: number = 64 * 1024;
