import { createPublicKey, type KeyObject } from 'node:crypto';
import { contextTag, DerError, DerReader, equalBytes, hex, Tag } from './der.ts';
import { DistinguishedName, printable } from './distinguished-name.ts';
import { type Extensions, NO_EXTENSIONS, readExtensions } from './extensions.ts';

/**
 * An X.509 certificate (RFC 5280 §4.1), read whole and strictly: what the constructor accepts is well-formed DER with
 * well-formed extensions. Whether it is current, strong, or fit for anything is for {@link ChainVerifier} to say.
 */
export class Certificate {
  /** The encoding it was read from. Not copied: the caller must not change it. */
  readonly der: Uint8Array;
  /** 1, 2 or 3. */
  readonly version: number;
  /** Contents of the INTEGER. */
  readonly serial: Uint8Array;
  readonly issuer: DistinguishedName;
  readonly subject: DistinguishedName;
  /** Unix time in milliseconds; both ends belong to the period (RFC 5280 §4.1.2.5). */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, whole. */
  readonly spki: Uint8Array;
  readonly extensions: Extensions;
  /** TBSCertificate, whole: the bytes that are signed. */
  readonly tbs: Uint8Array;
  /** AlgorithmIdentifier, whole. */
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  private key: KeyObject | null | undefined = undefined;

  /** @throws DerError when it is not a well-formed certificate */
  constructor(der: Uint8Array) {
    this.der = der;
    const outer = new DerReader(der);
    const certificate = outer.enter(Tag.Sequence);
    outer.finish();
    this.tbs = certificate.elementOf(Tag.Sequence);
    this.signatureAlgorithm = certificate.elementOf(Tag.Sequence);
    this.signature = certificate.octetsOfBitString();
    certificate.finish();

    const tbs = new DerReader(this.tbs).enter(Tag.Sequence);
    this.version = readVersion(tbs);
    this.serial = tbs.integerBytes();
    // RFC 5280 §4.1.2.2: at most 20 octets (21 with the sign), and not negative. Zero is found on many small devices.
    if (this.serial.length > 21 || (this.serial.length === 21 && this.serial[0] !== 0)) {
      throw new DerError('serial number of more than 20 octets');
    }
    if ((this.serial[0]! & 0x80) !== 0) throw new DerError('negative serial number');
    // RFC 5280 §4.1.1.2: both fields hold the same algorithm.
    if (!equalBytes(tbs.elementOf(Tag.Sequence), this.signatureAlgorithm)) {
      throw new DerError('signed and unsigned signature algorithm differ');
    }
    this.issuer = new DistinguishedName(tbs.elementOf(Tag.Sequence));
    // RFC 5280 §4.1.2.4: the issuer is not empty.
    if (this.issuer.isEmpty) throw new DerError('empty issuer name');
    const validity = tbs.enter(Tag.Sequence);
    this.notBefore = validity.time();
    this.notAfter = validity.time();
    validity.finish();
    this.subject = new DistinguishedName(tbs.elementOf(Tag.Sequence));
    this.spki = tbs.elementOf(Tag.Sequence);
    skipUniqueIds(tbs, this.version);
    const wrapped = tbs.enterOptional(contextTag(3, true));
    if (wrapped === null) this.extensions = NO_EXTENSIONS;
    else {
      if (this.version !== 3) throw new DerError('extensions in a certificate that is not of version 3');
      this.extensions = readExtensions(wrapped);
      wrapped.finish();
    }
    tbs.finish();
  }

  /** The key for node:crypto, or null when OpenSSL does not take it (unknown algorithm, point not on the curve). */
  get publicKey(): KeyObject | null {
    if (this.key === undefined) {
      try {
        this.key = createPublicKey({ key: Buffer.from(this.spki), format: 'der', type: 'spki' });
      } catch {
        this.key = null;
      }
    }
    return this.key;
  }

  /** Subject and issuer are the same (RFC 5280 §3.2): it says nothing about who signed. */
  get isSelfIssued(): boolean {
    return this.subject.key === this.issuer.key;
  }

  get isCa(): boolean {
    return this.extensions.basicConstraints?.ca === true;
  }

  /** For people. A subject says little when it is empty, so the serial number stands in for it. */
  toString(): string {
    return this.subject.isEmpty
      ? `certificate ${hex(this.serial)}`
      : `"${printable(this.subject.toString())}"`;
  }
}

function readVersion(tbs: DerReader): number {
  const wrapped = tbs.enterOptional(contextTag(0, true));
  if (wrapped === null) return 1;
  const version = wrapped.smallInteger() + 1;
  wrapped.finish();
  // X.690 §11.5: version 1 is the default and so not encoded.
  if (version !== 2 && version !== 3) throw new DerError(`certificate version ${version}`);
  return version;
}

/** issuerUniqueID and subjectUniqueID (RFC 5280 §4.1.2.8): allowed, of no use. */
function skipUniqueIds(tbs: DerReader, version: number): void {
  for (const number of [1, 2]) {
    if (tbs.peek() !== contextTag(number, false)) continue;
    if (version === 1) throw new DerError('unique identifier in a certificate of version 1');
    tbs.contents(contextTag(number, false));
  }
}
