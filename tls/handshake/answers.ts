import { ExtensionType } from '../wire/codes.ts';
import { type Offer, offersBlockCiphers, pskOf } from './offer.ts';

/** The extensions with which EncryptedExtensions may answer an offer (RFC 8446 §4.2). */
export function answersInEncryptedExtensions(offer: Offer): ReadonlySet<number> {
  const types = answersOfAnyVersion(offer);
  if (offer.earlyData) types.add(ExtensionType.EarlyData);
  if (isEchAnswered(offer)) types.add(ExtensionType.EncryptedClientHello);
  return types;
}

/** The extensions with which a ServerHello before TLS 1.3 may answer an offer. */
export function answersInServerHello12(offer: Offer): ReadonlySet<number> {
  // RFC 8422 §4: a server does not send supported_groups; some do, and it means nothing
  return new Set([
    ...answersOfAnyVersion(offer),
    ...(offer.wantsTicket ? [ExtensionType.SessionTicket] : []),
    ...(offersBlockCiphers(offer) ? [ExtensionType.EncryptThenMac] : []),
    ...answersInCertificate(offer),
    ExtensionType.EcPointFormats,
    ExtensionType.ExtendedMasterSecret,
    ExtensionType.RenegotiationInfo,
  ]);
}

/** RFC 8446 §4.2: the extensions of a ServerHello. */
export function answersInServerHello(offer: Offer): ReadonlySet<number> {
  return new Set([
    ExtensionType.SupportedVersions,
    ExtensionType.KeyShare,
    ...(pskOf(offer) === null ? [] : [ExtensionType.PreSharedKey]),
  ]);
}

/** RFC 8446 §4.1.4: the extensions of a HelloRetryRequest. */
export function answersInHelloRetryRequest(offer: Offer): ReadonlySet<number> {
  return new Set([
    ExtensionType.SupportedVersions,
    ExtensionType.KeyShare,
    ExtensionType.Cookie,
    ...(isEchAnswered(offer) ? [ExtensionType.EncryptedClientHello] : []),
  ]);
}

/** RFC 9849 §5: only the outer hello is answered (its type is 0), whether it encrypts something or only looks so. */
function isEchAnswered(offer: Offer): boolean {
  return offer.encryptedClientHello?.[0] === 0;
}

/** The extensions of a certificate entry (RFC 8446 §4.4.2.1); before TLS 1.3 they stand in the ServerHello. */
export function answersInCertificate(offer: Offer): ReadonlySet<number> {
  return new Set([
    ...(offer.certificateStatus ? [ExtensionType.StatusRequest] : []),
    ...(offer.signedCertificateTimestamps ? [ExtensionType.SignedCertificateTimestamp] : []),
  ]);
}

function answersOfAnyVersion(offer: Offer): Set<number> {
  const types = new Set<number>([ExtensionType.SupportedGroups]);
  if (offer.hostName !== null) types.add(ExtensionType.ServerName);
  if (offer.alpn.length > 0) types.add(ExtensionType.ApplicationLayerProtocolNegotiation);
  if (offer.recordSizeLimit > 0) types.add(ExtensionType.RecordSizeLimit);
  return types;
}
