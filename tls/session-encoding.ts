import { TlsError } from './errors.ts';
import type { TlsSession } from './session.ts';
import { TLS_VERSIONS } from './wire/codes.ts';
import { Reader } from './wire/reader.ts';
import { Writer } from './wire/writer.ts';

/** What encoded sessions begin with: a name and the version of the format. */
const MAGIC: Uint8Array = new TextEncoder().encode('tunwire session 1\n');

/** A session as bytes, to be kept in a file or handed to another process. They hold its secret. */
export function encodeSession(session: TlsSession): Uint8Array {
  const writer = new Writer();
  writer.bytes(MAGIC);
  writer.u8(TLS_VERSIONS.indexOf(session.version));
  writer.u16(session.cipherSuite);
  const numbers = new DataView(new ArrayBuffer(20));
  numbers.setUint32(0, session.ageAdd);
  numbers.setFloat64(4, session.receivedUnixTimeMs);
  numbers.setUint32(12, session.lifetimeSeconds);
  numbers.setUint32(16, session.maxEarlyDataBytes);
  writer.bytes(new Uint8Array(numbers.buffer));
  for (const bytes of [session.secret, session.ticket, session.sessionId])
    writer.vector16(() => writer.bytes(bytes));
  const { alpn } = session;
  optional(writer, alpn === null ? null : new TextEncoder().encode(alpn));
  optional(writer, session.ocspResponse);
  optional(writer, session.signedCertificateTimestamps);
  writer.vector24(() => {
    for (const certificate of session.chain) writer.vector24(() => writer.bytes(certificate));
  });
  return writer.finish();
}

/** The session that {@link encodeSession} has made bytes of; null: they are something else. */
export function decodeSession(bytes: Uint8Array): TlsSession | null {
  try {
    // a copy, and no Buffer, whose slices would lie in the memory of the caller
    return read(new Uint8Array(bytes));
  } catch (error) {
    if (error instanceof TlsError) return null;
    throw error;
  }
}

function read(bytes: Uint8Array): TlsSession | null {
  const reader = new Reader(bytes, 'a TLS session of tunwire');
  const magic = reader.take(Math.min(MAGIC.length, reader.remaining));
  if (!MAGIC.every((byte, i) => byte === magic[i])) return null;
  const version = TLS_VERSIONS[reader.u8()];
  if (version === undefined) return null;
  const cipherSuite = reader.u16();
  const numbers = reader.take(20).slice();
  const view = new DataView(numbers.buffer);
  const [secret, ticket, sessionId] = ['secret', 'ticket', 'session id'].map((what) =>
    reader.vector16(what).rest().slice(),
  ) as [Uint8Array, Uint8Array, Uint8Array];
  const alpn = optionalOf(reader, 'application protocol');
  const ocspResponse = optionalOf(reader, 'OCSP response');
  const signedCertificateTimestamps = optionalOf(reader, 'certificate timestamps');
  const chain: Uint8Array[] = [];
  const certificates = reader.vector24('certificates');
  while (!certificates.done) chain.push(certificates.vector24('certificate').rest().slice());
  reader.finish();
  return {
    version,
    cipherSuite,
    secret,
    ticket,
    sessionId,
    ageAdd: view.getUint32(0),
    receivedUnixTimeMs: view.getFloat64(4),
    lifetimeSeconds: view.getUint32(12),
    maxEarlyDataBytes: view.getUint32(16),
    alpn: alpn === null ? null : new TextDecoder().decode(alpn),
    ocspResponse,
    signedCertificateTimestamps,
    chain,
  };
}

function optional(writer: Writer, bytes: Uint8Array | null): void {
  writer.u8(bytes === null ? 0 : 1);
  if (bytes !== null) writer.vector24(() => writer.bytes(bytes));
}

function optionalOf(reader: Reader, what: string): Uint8Array | null {
  return reader.u8() === 0 ? null : reader.vector24(what).rest().slice();
}
