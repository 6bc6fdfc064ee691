import { createHash, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { TlsError } from '../errors.ts';
import { schemesForKey, signatureSchemeName, signContent } from '../keys/signatures.ts';
import type { TlsVersion } from '../wire/codes.ts';
import { Certificate } from '../x509/certificate.ts';
import { DerError, DerReader, Tag } from '../x509/der.ts';
import { DistinguishedName } from '../x509/distinguished-name.ts';

/**
 * Signs with a key that this process does not have (a card, an agent).
 *
 * @param scheme as RFC 8446 §4.2.3 names it: `ecdsa_secp256r1_sha256`, `rsa_pss_rsae_sha256`, …
 * @param content what is to be hashed and signed
 * @returns the signature as TLS carries it (ECDSA in DER)
 */
export type Signer = (scheme: string, content: Uint8Array) => Uint8Array;

/** What a client proves itself with when a server asks. */
export interface ClientCredentials {
  /** DER, its own certificate first. */
  readonly chain: readonly Uint8Array[];
  readonly key: KeyObject | Signer;
}

/** What a CertificateRequest of either version asks for. */
export interface CertificateWish {
  readonly signatureSchemes: readonly number[];
  /** Names in DER; empty: any authority. */
  readonly authorities: readonly Uint8Array[];
  /** TLS 1.2: 1 rsa_sign, 64 ecdsa_sign; null in TLS 1.3. */
  readonly certificateTypes: readonly number[] | null;
}

/** Credentials that were looked at once. */
export class ClientIdentity {
  readonly chain: readonly Uint8Array[];
  /** Differs for each certificate. */
  readonly id: string;
  readonly #publicKey: KeyObject;
  readonly #key: KeyObject | Signer;

  /** @throws TypeError when there is no certificate, it cannot be read, or the key is another one's */
  constructor(credentials: ClientCredentials) {
    const leaf = credentials.chain[0];
    if (leaf === undefined) throw new TypeError('credentials without a certificate');
    this.#publicKey = publicKeyOf(leaf);
    this.#key = credentials.key;
    if (typeof credentials.key !== 'function') {
      if (credentials.key.type !== 'private')
        throw new TypeError('the key of credentials is not a private key');
      if (!createPublicKey(credentials.key).equals(this.#publicKey)) {
        throw new TypeError('the key of credentials does not belong to their certificate');
      }
    }
    this.chain = credentials.chain;
    this.id = createHash('sha256').update(leaf).digest('hex');
  }

  /** The scheme with which to sign, or null when the server would not take this certificate. */
  schemeFor(wish: CertificateWish, version: TlsVersion, fallback: boolean): number | null {
    // RFC 8422 §5.5: ecdsa_sign is for EdDSA keys too
    const certificateType = this.#publicKey.asymmetricKeyType?.startsWith('rsa') === true ? 1 : 64;
    if (wish.certificateTypes !== null && !wish.certificateTypes.includes(certificateType)) return null;
    if (wish.authorities.length > 0 && !this.#isIssuedByOneOf(wish.authorities)) return null;
    const scheme = schemesForKey(this.#publicKey, version, fallback).find((each) =>
      wish.signatureSchemes.includes(each),
    );
    return scheme ?? null;
  }

  /** @throws TlsError SigningFailed */
  sign(scheme: number, content: Uint8Array): Uint8Array {
    try {
      return typeof this.#key === 'function'
        ? this.#key(signatureSchemeName(scheme), content)
        : signContent(scheme, this.#key, content);
    } catch (cause) {
      throw new TlsError('SigningFailed', cause instanceof Error ? cause.message : String(cause));
    }
  }

  /** RFC 8446 §4.2.4: one certificate of the chain should be issued by one of the authorities. */
  #isIssuedByOneOf(authorities: readonly Uint8Array[]): boolean {
    const wanted = new Set(authorities.map(nameKey));
    return this.chain.some((der) => {
      try {
        return wanted.has(new Certificate(der).issuer.key);
      } catch (error) {
        if (!(error instanceof DerError)) throw error;
        return false;
      }
    });
  }
}

function publicKeyOf(certificate: Uint8Array): KeyObject {
  try {
    return new X509Certificate(certificate).publicKey;
  } catch (cause) {
    throw new TypeError('the certificate of credentials cannot be read', { cause });
  }
}

/** A name in the form in which names are compared, or null when it is no name. */
function nameKey(der: Uint8Array): string | null {
  try {
    const reader = new DerReader(der);
    const name = new DistinguishedName(reader.elementOf(Tag.Sequence));
    reader.finish();
    return name.key;
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    return null;
  }
}
