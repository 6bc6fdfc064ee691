import { brotliDecompressSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { TlsError } from '../errors.ts';
import { MAX_CERTIFICATE_MESSAGE_BYTES } from '../limits.ts';
import { HANDSHAKE_HEADER_BYTES, HandshakeType } from '../wire/codes.ts';
import { bodyOf, type HandshakeMessage, handshakeMessage } from '../wire/messages.ts';

/** One way to compress certificates (RFC 8879 §7.3). */
export interface CertificateDecompressor {
  /** Of the registry "TLS Certificate Compression Algorithm IDs". */
  readonly id: number;
  /**
   * @param maxBytes of the result; no more memory than for them is taken
   * @throws for what is not compressed in this way, or to more
   */
  readonly decompress: (compressed: Uint8Array, maxBytes: number) => Uint8Array;
}

/** The three that RFC 8879 §3 names. */
export const CERTIFICATE_DECOMPRESSORS: readonly CertificateDecompressor[] = [
  { id: 2, decompress: (bytes, maxOutputLength) => brotliDecompressSync(bytes, { maxOutputLength }) },
  { id: 3, decompress: (bytes, maxOutputLength) => zstdDecompressSync(bytes, { maxOutputLength }) },
  { id: 1, decompress: (bytes, maxOutputLength) => inflateSync(bytes, { maxOutputLength }) },
];

/**
 * RFC 8879 §4: the Certificate message that a CompressedCertificate stands for.
 *
 * @param offered what the ClientHello listed
 * @throws TlsError
 */
export function decompressCertificate(
  message: HandshakeMessage,
  offered: readonly CertificateDecompressor[],
): HandshakeMessage {
  const body = bodyOf(message, 'compressed_certificate');
  const id = body.u16();
  const lengthBytes = body.u24();
  const compressed = body.vector24('compressed_certificate_message').rest();
  body.finish();
  // RFC 8879 §4: not one of those offered → illegal_parameter
  const decompressor = offered.find((each) => each.id === id);
  if (decompressor === undefined) throw new TlsError('UnofferedCertificateCompression', `algorithm ${id}`);
  // RFC 8879 §5: the limits on the size of the Certificate message stay
  if (HANDSHAKE_HEADER_BYTES + lengthBytes > MAX_CERTIFICATE_MESSAGE_BYTES) {
    throw new TlsError('CertificateDecompressionFailed', `${lengthBytes} bytes are announced`);
  }
  let certificate: Uint8Array;
  try {
    // one more than announced shows that there is more
    certificate = decompressor.decompress(compressed, lengthBytes + 1);
  } catch (cause) {
    throw new TlsError(
      'CertificateDecompressionFailed',
      cause instanceof Error ? cause.message : String(cause),
    );
  }
  // RFC 8879 §4: another length → bad_certificate
  if (certificate.length !== lengthBytes) {
    throw new TlsError('CertificateDecompressionFailed', `${certificate.length} of ${lengthBytes} bytes`);
  }
  return { type: HandshakeType.Certificate, raw: handshakeMessage(HandshakeType.Certificate, certificate) };
}
