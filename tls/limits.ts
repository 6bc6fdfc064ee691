/** RFC 8446 §5.1: content bytes of one record. */
export const MAX_PLAINTEXT_BYTES = 16384;
/** RFC 8446 §5.2: bytes that protection may add to a record of TLS 1.3. */
export const MAX_PROTECTION_BYTES = 256;
/** RFC 5246 §6.2.3: the same for TLS 1.2. */
export const MAX_PROTECTION_BYTES_TLS12 = 2048;
/** Largest record of any version, header included. */
export const MAX_RECORD_BYTES: number = 5 + MAX_PLAINTEXT_BYTES + MAX_PROTECTION_BYTES_TLS12;
/** Largest handshake message accepted, header included, except Certificate. */
export const MAX_HANDSHAKE_MESSAGE_BYTES: number = 64 * 1024;
/** Largest Certificate message accepted, header included. */
export const MAX_CERTIFICATE_MESSAGE_BYTES: number = 256 * 1024;
/** Most certificates of one chain. */
export const MAX_CHAIN_LENGTH = 32;
/** Largest handshake message accepted after the handshake (tickets, key updates), header included. */
export const MAX_POST_HANDSHAKE_MESSAGE_BYTES = 16384;
/** Empty records of application data in a row; also change_cipher_spec records of one handshake. */
export const MAX_EMPTY_RECORDS = 32;
/** Key updates of the peer without application data between them. */
export const MAX_KEY_UPDATES_IN_ROW = 32;
/** Session tickets without application data between them. */
export const MAX_TICKETS_IN_ROW = 32;
/** TLS 1.2: wishes of the server for a renegotiation without application data between them. */
export const MAX_HELLO_REQUESTS_IN_ROW = 4;
/** Renegotiations of one connection, each of which costs a whole handshake; then they are refused. */
export const MAX_RENEGOTIATIONS = 64;
/** Wishes of the server for a certificate, after the handshake, without application data between them. */
export const MAX_CERTIFICATE_REQUESTS_IN_ROW = 4;
/** Warning alerts without anything else between them. */
export const MAX_WARNINGS_IN_ROW = 4;
/** RFC 8446 §4.6.1: Clients MUST NOT cache tickets for longer than 7 days; the same for TLS 1.2. */
export const MAX_TICKET_LIFETIME_SECONDS = 604800;
/** RFC 5077 §3.3: a lifetime of 0 is left to the client. */
export const UNSTATED_TICKET_LIFETIME_SECONDS = 7200;
/** RFC 5246 §F.1.4: an upper limit of 24 hours is suggested for session ids. */
export const MAX_SESSION_ID_LIFETIME_SECONDS = 86400;
/**
 * Blocks of 64 bits under one key of 3DES, 8 GiB: there repetitions become likely enough to matter (K. Bhargavan and
 * G. Leurent, Sweet32, 2016).
 */
export const MAX_TRIPLE_DES_BLOCKS: number = 2 ** 30;
/** Bits of a server's Diffie-Hellman group: RFC 9325 §4.1. */
export const MIN_DH_BITS = 2048;
/** The same with INET_OPTION_SECURE_FALLBACK: what nobody is known to have broken (D. Adrian et al., Logjam, 2015). */
export const MIN_DH_BITS_FALLBACK = 1024;
/** A larger group takes too long. */
export const MAX_DH_BITS = 8192;
/** Bits of the RSA key of a server, whatever its verifier accepts: below are keys that anybody can break. */
export const MIN_RSA_BITS = 1024;
