import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import type { TlsInfo, TlsSession } from '../../tls/client.ts';
import { groupName, type NamedGroup } from '../../tls/keys/groups.ts';
import { signatureSchemeName } from '../../tls/keys/signatures.ts';
import { cipherSuiteOf } from '../../tls/keys/suites.ts';
import { versionOf } from '../../tls/wire/codes.ts';
import { readPem } from '../../tls/x509/pem.ts';
import { ShimFailure } from './failure.ts';
import type { ShimConfig } from './flags.ts';

/**
 * Checks what the handshake came to.
 *
 * @param offered the session that was offered, or null
 * @throws ShimFailure
 */
export function checkHandshake(info: TlsInfo, config: ShimConfig, offered: TlsSession | null): void {
  const expect = (what: string, got: unknown, wanted: unknown): void => {
    if (got !== wanted) throw new ShimFailure(`${what}: got ${String(got)}, wanted ${String(wanted)}`);
  };
  expect('resumption', info.isResumed, offered !== null && !config.has('expect-session-miss'));
  expect('ALPN', info.alpn ?? '', config.text('expect-alpn'));
  if (config.has('expect-version'))
    expect('version', info.version, versionOf(config.number('expect-version')));
  if (config.has('expect-cipher'))
    expect('cipher suite', info.cipherSuite, cipherSuiteOf(config.number('expect-cipher'))?.name);
  // a session before TLS 1.3 has no key exchange of its own
  if (config.has('expect-curve-id') && (!info.isResumed || info.version === 'TLSv1.3'))
    expect('group', info.group, groupName(config.number('expect-curve-id') as NamedGroup));
  // nothing is signed in a resumed session
  if (config.number('expect-peer-signature-algorithm') !== 0 && !info.isResumed) {
    const wanted = signatureSchemeName(config.number('expect-peer-signature-algorithm'));
    expect('signature scheme', info.signatureScheme, wanted);
  }
  if (config.has('expect-selected-credential')) {
    // BoringSSL does not count the one that is not new
    const isDefault = info.credentialsIndex === config.credentials.length;
    expect('credential', isDefault ? -1 : info.credentialsIndex, config.number('expect-selected-credential'));
  }
  if (config.has('expect-extended-master-secret'))
    expect('extended master secret', info.extendedMasterSecret, true);
  if (config.has('expect-secure-renegotiation')) expect('renegotiation_info', info.secureRenegotiation, true);
  if (config.has('expect-no-secure-renegotiation'))
    expect('renegotiation_info', info.secureRenegotiation, false);
  expect('encrypted ClientHello', info.ech === 'accepted', config.has('expect-ech-accept'));
  if (config.has('expect-hrr')) expect('hello_retry_request', info.helloRetryRequest, true);
  if (config.has('expect-no-hrr')) expect('hello_retry_request', info.helloRetryRequest, false);
  if (config.has('expect-accept-early-data')) expect('early data', info.earlyData, 'accepted');
  if (config.has('expect-reject-early-data') && info.earlyData === 'accepted')
    throw new ShimFailure('early data was accepted');
  if (config.has('expect-early-data-reason'))
    expect(
      'early data',
      earlyDataReason(info, config, offered),
      config.text('expect-early-data-reason').replace('accepted', 'accept'),
    );
  const base64 = (bytes: Uint8Array | null): string => Buffer.from(bytes ?? []).toString('base64');
  if (config.has('expect-ocsp-response'))
    expect('OCSP response', base64(info.ocspResponse), base64(config.bytes('expect-ocsp-response')));
  if (config.has('expect-signed-cert-timestamps')) {
    const wanted = base64(config.bytes('expect-signed-cert-timestamps'));
    expect('timestamps', base64(info.signedCertificateTimestamps), wanted);
  }
  if (config.has('expect-peer-cert-file')) {
    const chain = readPem(readFileSync(config.text('expect-peer-cert-file'), 'latin1'));
    const wanted = chain.map(({ bytes }) => Buffer.from(bytes).toString('base64'));
    expect(
      'chain',
      info.peerCertificates.map((der) => Buffer.from(der).toString('base64')).join(),
      wanted.join(),
    );
  }
}

/** What BoringSSL calls SSL_EARLY_DATA_REASON. */
function earlyDataReason(info: TlsInfo, config: ShimConfig, offered: TlsSession | null): string {
  if (info.earlyData === 'accepted') return 'accept';
  if (!config.has('enable-early-data')) return 'disabled';
  if (info.earlyData === 'none') {
    if (info.version !== 'TLSv1.3') return 'protocol_version';
    if (offered === null) return 'no_session_offered';
    return offered.maxEarlyDataBytes === 0 ? 'unsupported_for_session' : 'alpn_mismatch';
  }
  if (info.helloRetryRequest) return 'hello_retry_request';
  return info.isResumed ? 'peer_declined' : 'session_not_resumed';
}
