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
  /** The schemes to sign with, in order of preference, as RFC 8446 §4.2.3 names them. Default: all of the key. */
  readonly signatureSchemes?: readonly string[];
  /** Whether they are kept back when the server names authorities and none of them is theirs. Default true. */
  readonly mustMatchAuthorities?: boolean;
}

/** What was chosen for a server. */
export interface ChosenCredentials {
  /** Which of those that were given, from 0. */
  readonly index: number;
  /** DER, its own certificate first. */
  readonly chain: readonly Uint8Array[];
  readonly scheme: number;
  /** @throws TlsError SigningFailed */
  sign(content: Uint8Array): Uint8Array;
}

/** What a CertificateRequest of either version asks for. */
export interface CertificateWish {
  readonly signatureSchemes: readonly number[];
  /** Names in DER; empty: any authority. */
  readonly authorities: readonly Uint8Array[];
  /** TLS 1.2: 1 rsa_sign, 64 ecdsa_sign; null in TLS 1.3. */
  readonly certificateTypes: readonly number[] | null;
}

/** All that a client can prove itself with, looked at once. */
export class ClientIdentities {
  /** Differs for each set of certificates; empty for none. */
  readonly id: string;
  readonly #identities: readonly ClientIdentity[];
  readonly #mustFit: boolean;

  /**
   * @param credentials in order of preference
   * @param mustFit whether it is a failure when there are some and the server would take none
   * @throws TypeError when one has no certificate, it cannot be read, or the key is another one's
   */
  constructor(credentials: readonly ClientCredentials[], mustFit = false) {
    this.#mustFit = mustFit;
    this.#identities = credentials.map((each) => new ClientIdentity(each));
    this.id = this.#identities.map((each) => each.id).join();
  }

  get isEmpty(): boolean {
    return this.#identities.length === 0;
  }

  /**
   * The first that the server would take, or null.
   *
   * @throws TlsError NoFittingCredentials
   */
  choose(wish: CertificateWish, version: TlsVersion, fallback: boolean): ChosenCredentials | null {
    for (const [index, identity] of this.#identities.entries()) {
      const scheme = identity.schemeFor(wish, version, fallback);
      if (scheme === null) continue;
      return { index, chain: identity.chain, scheme, sign: (content) => identity.sign(scheme, content) };
    }
    if (this.#mustFit && !this.isEmpty) throw new TlsError('NoFittingCredentials');
    return null;
  }
}

/** Credentials that were looked at once. */
class ClientIdentity {
  readonly chain: readonly Uint8Array[];
  /** Differs for each certificate. */
  readonly id: string;
  readonly #publicKey: KeyObject;
  readonly #key: KeyObject | Signer;
  readonly #schemes: readonly string[] | null;
  readonly #mustMatchAuthorities: boolean;

  constructor(credentials: ClientCredentials) {
    const leaf = credentials.chain[0];
    if (leaf === undefined) throw new TypeError('credentials without a certificate');
    this.#publicKey = publicKeyOf(leaf);
    this.#key = credentials.key;
    this.#schemes = credentials.signatureSchemes ?? null;
    this.#mustMatchAuthorities = credentials.mustMatchAuthorities ?? true;
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
    const isChoosy = this.#mustMatchAuthorities && wish.authorities.length > 0;
    if (isChoosy && !this.#isIssuedByOneOf(wish.authorities)) return null;
    return this.#schemesFor(version, fallback).find((each) => wish.signatureSchemes.includes(each)) ?? null;
  }

  /** Before TLS 1.2 there is no choice. */
  #schemesFor(version: TlsVersion, fallback: boolean): readonly number[] {
    const possible = schemesForKey(this.#publicKey, version, fallback);
    if (this.#schemes === null || version < 'TLSv1.2') return possible;
    return this.#schemes.flatMap((name) => possible.filter((each) => signatureSchemeName(each) === name));
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
