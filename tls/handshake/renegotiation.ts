import { TlsError } from '../errors.ts';
import type { TlsVersion } from '../wire/codes.ts';
import { ExtensionType } from '../wire/codes.ts';
import type { Extensions } from '../wire/extensions.ts';
import { equalBytes } from '../wire/messages.ts';

/** What a handshake inside of a connection is measured by: the one before it on the same connection. */
export interface FormerHandshake {
  readonly version: TlsVersion;
  /** Of both Finished messages. */
  readonly clientVerifyData: Uint8Array;
  readonly serverVerifyData: Uint8Array;
  /** RFC 5746: the server knows renegotiation_info. */
  readonly isSecure: boolean;
  readonly isMasterSecretExtended: boolean;
  /** The server's own certificate, DER. */
  readonly leaf: Uint8Array;
}

/** The content of our renegotiation_info. @param former null: this is the first handshake of the connection */
export function renegotiationInfo(former: FormerHandshake | null): Uint8Array {
  // RFC 5746 §3.4: empty in the first handshake
  if (former === null) return Uint8Array.of(0);
  // RFC 5746 §3.5: the client's Finished of before. §4.2: also for a server that did not know it then: it passes it over, and one for which
  // this is a first handshake finds who is between
  return Uint8Array.of(former.clientVerifyData.length, ...former.clientVerifyData);
}

/**
 * RFC 5746 §3.4, §3.5, §4.2: whoever is between could have begun the connection that this handshake goes on with.
 *
 * @param isRequired a server that does not know renegotiation_info is refused
 * @throws TlsError RenegotiationInfoMissing, InvalidRenegotiationInfo
 */
export function checkRenegotiationInfo(
  extensions: Extensions,
  former: FormerHandshake | null,
  isRequired: boolean,
): void {
  const content = extensions.get(ExtensionType.RenegotiationInfo);
  if (content === undefined) {
    if (former === null ? !isRequired : !former.isSecure) return;
    throw new TlsError('RenegotiationInfoMissing');
  }
  const got = content.vector8('renegotiated_connection').rest();
  content.finish();
  if (former !== null && !former.isSecure)
    throw new TlsError('InvalidRenegotiationInfo', 'there was none before');
  const expected = former === null ? [] : [...former.clientVerifyData, ...former.serverVerifyData];
  // RFC 5746 §3.4, §3.5: not what it must be → handshake_failure
  if (!equalBytes(got, Uint8Array.from(expected))) throw new TlsError('InvalidRenegotiationInfo');
}

/**
 * The server is still the one that the application talks to: a certificate that is valid, too, could be that of somebody who has
 * passed on the first handshake (K. Bhargavan et al., Triple Handshakes, 2014, §V).
 *
 * @throws TlsError ServerCertificateChanged
 */
export function checkSameServer(leaf: Uint8Array, former: FormerHandshake | null): void {
  if (former !== null && !equalBytes(leaf, former.leaf)) throw new TlsError('ServerCertificateChanged');
}
