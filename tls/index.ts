/**
 * A TLS client without I/O: bytes in, bytes out, with injected time and randomness; certificates and credentials.
 * @module
 */

export { AlertDescription, AlertLevel } from './alerts.ts';
export * from './client.ts';
export { CredentialsError, type CredentialsFault } from './credentials/errors.ts';
export { readPrivateKey } from './credentials/private-key.ts';
export { readCredentials, type StoreOptions } from './credentials/store.ts';
export { OPENED_CLOSE_NOTIFY, OPENED_NOTHING, type SessionTicket, TrafficOpener } from './traffic/opener.ts';
export { MAX_SEALED_BYTES, TrafficSealer } from './traffic/sealer.ts';
export { ContentType, RECORD_HEADER_BYTES } from './wire/codes.ts';
export { Certificate } from './x509/certificate.ts';
export { ChainVerifier, TrustedSiteVerifier } from './x509/chain-verifier.ts';
export { TrustStore } from './x509/trust-store.ts';
export { CertificateAlert, CertificateStatus } from './x509/verdict.ts';
