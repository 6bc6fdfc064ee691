import type { Certificate } from './certificate.ts';
import { contextTag, DerError, DerReader, equalBytes, hex, Tag } from './der.ts';
import { DistinguishedName } from './distinguished-name.ts';
import { KeyUsage } from './extensions.ts';
import { readPem } from './pem.ts';
import { readSignatureAlgorithm, verifySignature } from './signature.ts';

/** Entries of one list; a longer one is refused. */
export const MAX_CRL_ENTRIES = 1_000_000;

/** RFC 5280 §5.3.1: reasonCode, and its value for an entry that takes an earlier one back (delta lists only). */
const REASON_CODE = '2.5.29.21';
/** Extensions of a list that change nothing for us: authorityKeyIdentifier, cRLNumber, freshestCRL, authorityInfoAccess. */
const HARMLESS: ReadonlySet<string> = new Set(['2.5.29.35', '2.5.29.20', '2.5.29.46', '1.3.6.1.5.5.7.1.1']);

/** A complete certificate revocation list (RFC 5280 §5). */
export class CertificateList {
  readonly issuer: DistinguishedName;
  readonly thisUpdate: number;
  /** Infinity when the list does not say. */
  readonly nextUpdate: number;
  readonly #tbs: Uint8Array;
  readonly #algorithm: Uint8Array;
  readonly #signature: Uint8Array;
  /** Serial numbers in hexadecimal. */
  readonly #revoked = new Set<string>();

  /** @throws DerError when it is malformed, or of a kind that is not supported: delta, indirect, or for some certificates only */
  constructor(der: Uint8Array) {
    const outer = new DerReader(der);
    const list = outer.enter(Tag.Sequence);
    outer.finish();
    this.#tbs = list.elementOf(Tag.Sequence);
    this.#algorithm = list.elementOf(Tag.Sequence);
    this.#signature = list.octetsOfBitString();
    list.finish();
    const tbs = new DerReader(this.#tbs).enter(Tag.Sequence);
    // RFC 5280 §5.1.2.1: version 2, or absent
    const version = tbs.peek() === Tag.Integer ? tbs.smallInteger() : 0;
    if (version !== 0 && version !== 1) throw new DerError(`revocation list of version ${version + 1}`);
    if (!equalBytes(tbs.elementOf(Tag.Sequence), this.#algorithm)) {
      throw new DerError('signed and unsigned signature algorithm differ');
    }
    this.issuer = new DistinguishedName(tbs.elementOf(Tag.Sequence));
    this.thisUpdate = tbs.time();
    this.nextUpdate = isTime(tbs) ? tbs.time() : Number.POSITIVE_INFINITY;
    if (!tbs.atEnd && tbs.peek() === Tag.Sequence) this.#readEntries(tbs.enter(Tag.Sequence));
    const wrapped = tbs.enterOptional(contextTag(0, true));
    if (wrapped !== null) {
      for (const { oid, critical } of extensionsOf(wrapped.enter(Tag.Sequence))) {
        // RFC 5280 §5.2: a list with an unknown critical extension does not say who is not revoked
        if (critical && !HARMLESS.has(oid))
          throw new DerError(`critical extension ${oid} of a revocation list`);
      }
      wrapped.finish();
    }
    tbs.finish();
  }

  get size(): number {
    return this.#revoked.size;
  }

  has(serial: Uint8Array): boolean {
    return this.#revoked.has(hex(serial));
  }

  /** Whether `issuer` has signed this list, and may (RFC 5280 §6.3.3 (f), (g)). */
  isSignedBy(issuer: Certificate): boolean {
    const { keyUsage } = issuer.extensions;
    if (keyUsage >= 0 && (keyUsage & KeyUsage.CrlSign) === 0) return false;
    const algorithm = readSignatureAlgorithm(this.#algorithm);
    const key = issuer.publicKey;
    return algorithm !== null && key !== null && verifySignature(algorithm, this.#tbs, key, this.#signature);
  }

  #readEntries(entries: DerReader): void {
    while (!entries.atEnd) {
      if (this.#revoked.size === MAX_CRL_ENTRIES) throw new DerError(`more than ${MAX_CRL_ENTRIES} entries`);
      const entry = entries.enter(Tag.Sequence);
      const serial = entry.integerBytes();
      entry.time();
      if (!entry.atEnd) {
        for (const { oid, critical } of extensionsOf(entry.enter(Tag.Sequence))) {
          // RFC 5280 §5.3: unknown critical ones make the list unusable; certificateIssuer is of an indirect list
          if (critical && oid !== REASON_CODE) throw new DerError(`critical extension ${oid} of an entry`);
        }
      }
      entry.finish();
      this.#revoked.add(hex(serial));
    }
  }
}

/**
 * Revocation lists that the caller has. A certificate is revoked when a list of its issuer names it; where there is no list that can be
 * used, nothing is known and nothing refused.
 */
export class CrlStore {
  readonly #byIssuer = new Map<string, CertificateList[]>();
  /** Signatures that were looked at: a list is verified once for each issuer's certificate. */
  readonly #signers = new WeakMap<CertificateList, Map<string, boolean>>();

  /** Adds the lists of a PEM text or one in DER. @returns how many @throws DerError */
  add(data: string | Uint8Array): number {
    const text = typeof data === 'string' ? data : new TextDecoder('latin1').decode(data);
    const isPem = text.includes('-----BEGIN ');
    if (!isPem && typeof data === 'string') throw new DerError('no revocation list in the text');
    const ders = isPem ? listsIn(text) : [data as Uint8Array];
    for (const der of ders) {
      const list = new CertificateList(der);
      const known = this.#byIssuer.get(list.issuer.key);
      if (known === undefined) this.#byIssuer.set(list.issuer.key, [list]);
      else known.push(list);
    }
    return ders.length;
  }

  /** Whether one of the lists that hold at this time says that `certificate` is revoked (RFC 5280 §6.3). */
  isRevoked(certificate: Certificate, issuer: Certificate, unixTimeMs: number): boolean {
    for (const list of this.#byIssuer.get(certificate.issuer.key) ?? []) {
      // Revocation is for good: a list that is too old still tells who was revoked
      if (list.thisUpdate > unixTimeMs || !list.has(certificate.serial)) continue;
      if (this.#isSignedBy(list, issuer)) return true;
    }
    return false;
  }

  #isSignedBy(list: CertificateList, issuer: Certificate): boolean {
    let known = this.#signers.get(list);
    if (known === undefined) {
      known = new Map();
      this.#signers.set(list, known);
    }
    const key = hex(issuer.spki);
    let signed = known.get(key);
    if (signed === undefined) {
      signed = list.isSignedBy(issuer);
      known.set(key, signed);
    }
    return signed;
  }
}

function listsIn(pem: string): Uint8Array[] {
  const blocks = readPem(pem).filter((block) => block.label === 'X509 CRL');
  if (blocks.length === 0) throw new DerError('no revocation list in the text');
  return blocks.map((block) => {
    if (block.problem !== '')
      throw new DerError(`the revocation list in line ${block.line}: ${block.problem}`);
    return block.bytes;
  });
}

function isTime(reader: DerReader): boolean {
  return !reader.atEnd && (reader.peek() === Tag.UtcTime || reader.peek() === Tag.GeneralizedTime);
}

function extensionsOf(list: DerReader): { oid: string; critical: boolean }[] {
  const found: { oid: string; critical: boolean }[] = [];
  while (!list.atEnd) {
    const extension = list.enter(Tag.Sequence);
    const oid = extension.oid();
    const critical = extension.peek() === Tag.Boolean && extension.boolean();
    extension.contents(Tag.OctetString);
    extension.finish();
    found.push({ oid, critical });
  }
  return found;
}
