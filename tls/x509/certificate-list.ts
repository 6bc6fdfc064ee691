import { contextTag, DerError, DerReader, equalBytes, hex, Tag } from './der.ts';
import { DistinguishedName } from './distinguished-name.ts';
import { type GeneralName, NameForm, readGeneralName } from './general-name.ts';

/** Entries of one list that are kept; a longer list is refused. The largest of the web's CAs have about 100,000. */
export const MAX_REVOKED_CERTIFICATES = 1_000_000;

/** CRLReason (RFC 5280 §5.3.1), of which these make a difference. */
export const CrlReason = { Unspecified: 0, CertificateHold: 6, RemoveFromCrl: 8 } as const;

/** ReasonFlags of a list that is for every reason (RFC 5280 §6.3.3): bits 1 to 8; bit 0 is unused. */
export const ALL_REASONS = 0x1fe;

/** Which certificates of its issuer a list is about (RFC 5280 §5.2.5). */
export interface CrlScope {
  /** URIs of the distribution point that the list is published at; null: it is for all of them. */
  readonly uris: readonly string[] | null;
  readonly userCertificatesOnly: boolean;
  readonly caCertificatesOnly: boolean;
  readonly attributeCertificatesOnly: boolean;
  /** Bits of ReasonFlags: certificates revoked for other reasons are not on it. */
  readonly reasons: number;
  /** The extension as it came: a delta list belongs to a list with the same one. */
  readonly encoded: Uint8Array;
}

/** A certificate revocation list (RFC 5280 §5), complete or delta, read whole and strictly. */
export class CertificateList {
  readonly issuer: DistinguishedName;
  /** Unix time in milliseconds. */
  readonly thisUpdate: number;
  /** Likewise; Infinity when the list names none, as RFC 5280 §5.1.2.5 does not allow. */
  readonly nextUpdate: number;
  /** The reason of each revocation, by the serial number in hexadecimal digits. */
  readonly revoked: ReadonlyMap<string, number>;
  readonly scope: CrlScope;
  /** Number of the list, -1 when it has none. Beyond 2^31 - 1 all are the same. */
  readonly number: number;
  /** Number of the complete list that a delta list adds to; -1: this is a complete list. */
  readonly baseNumber: number;
  /** The bytes that are signed. */
  readonly tbs: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;

  /** @throws DerError when it is malformed, or not a list that is understood whole */
  constructor(der: Uint8Array) {
    const outer = new DerReader(der);
    const list = outer.enter(Tag.Sequence);
    outer.finish();
    this.tbs = list.elementOf(Tag.Sequence);
    this.signatureAlgorithm = list.elementOf(Tag.Sequence);
    this.signature = list.octetsOfBitString();
    list.finish();

    const tbs = new DerReader(this.tbs).enter(Tag.Sequence);
    // RFC 5280 §5.1.2.1: version 2 is 1; version 1 is not encoded.
    const isVersion2 = tbs.peek() === Tag.Integer;
    if (isVersion2 && tbs.smallInteger() !== 1) throw new DerError('unknown version of a CRL');
    // RFC 5280 §5.1.1.2
    if (!equalBytes(tbs.elementOf(Tag.Sequence), this.signatureAlgorithm)) {
      throw new DerError('signed and unsigned signature algorithm differ');
    }
    this.issuer = new DistinguishedName(tbs.elementOf(Tag.Sequence));
    if (this.issuer.isEmpty) throw new DerError('empty issuer name'); // RFC 5280 §5.1.2.3
    this.thisUpdate = tbs.time();
    const next = tbs.peek();
    this.nextUpdate =
      next === Tag.UtcTime || next === Tag.GeneralizedTime ? tbs.time() : Number.POSITIVE_INFINITY;
    this.revoked = readRevoked(tbs.enterOptional(Tag.Sequence), isVersion2);
    const extensions = readListExtensions(tbs.enterOptional(contextTag(0, true)), isVersion2);
    tbs.finish();
    this.scope = extensions.scope;
    this.number = extensions.number;
    this.baseNumber = extensions.baseNumber;
  }

  get isDelta(): boolean {
    return this.baseNumber >= 0;
  }
}

/**
 * The URIs at which a certificate says its issuer publishes lists. Points of other issuers, or for some reasons only, are
 * passed over, as is what is malformed: then no partial list is for this certificate.
 */
export function distributionUris(encoded: Uint8Array | null): readonly string[] {
  const uris: string[] = [];
  if (encoded === null) return uris;
  try {
    const points = new DerReader(encoded).enter(Tag.Sequence);
    while (!points.atEnd) {
      const point = points.enter(Tag.Sequence);
      const name = point.enterOptional(contextTag(0, true));
      if (name !== null && point.atEnd) uris.push(...urisOf(name));
    }
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
  }
  return uris;
}

const Oid = {
  CrlNumber: '2.5.29.20',
  ReasonCode: '2.5.29.21',
  DeltaCrlIndicator: '2.5.29.27',
  IssuingDistributionPoint: '2.5.29.28',
  AuthorityKeyId: '2.5.29.35',
} as const;

const WHOLE_SCOPE: CrlScope = {
  uris: null,
  userCertificatesOnly: false,
  caCertificatesOnly: false,
  attributeCertificatesOnly: false,
  reasons: ALL_REASONS,
  encoded: new Uint8Array(0),
};

function readRevoked(entries: DerReader | null, isVersion2: boolean): Map<string, number> {
  const revoked = new Map<string, number>();
  if (entries === null) return revoked;
  while (!entries.atEnd) {
    if (revoked.size === MAX_REVOKED_CERTIFICATES) {
      throw new DerError(`more than ${MAX_REVOKED_CERTIFICATES} revoked certificates`);
    }
    const entry = entries.enter(Tag.Sequence);
    const serial = hex(entry.integerBytes());
    entry.time();
    let reason: number = CrlReason.Unspecified;
    if (!entry.atEnd) {
      if (!isVersion2) throw new DerError('entry extension in a CRL of version 1'); // RFC 5280 §5.1.2.1
      forEachExtension(entry, (oid, critical, value) => {
        // RFC 5280 §5.3: a list with a critical extension that is not processed must not be used at all. One of them is
        // certificateIssuer (§5.3.3), of indirect lists.
        if (oid === Oid.ReasonCode) reason = value.smallInteger(Tag.Enumerated);
        else if (critical) throw new DerError(`entry with the unknown critical extension ${oid}`);
        else return;
        value.finish();
      });
    }
    entry.finish();
    revoked.set(serial, reason);
  }
  return revoked;
}

function readListExtensions(
  wrapped: DerReader | null,
  isVersion2: boolean,
): { scope: CrlScope; number: number; baseNumber: number } {
  const found = { scope: WHOLE_SCOPE, number: -1, baseNumber: -1 };
  if (wrapped === null) return found;
  if (!isVersion2) throw new DerError('extensions in a CRL of version 1');
  forEachExtension(wrapped, (oid, critical, value) => {
    switch (oid) {
      case Oid.CrlNumber:
        if (critical) throw new DerError('cRLNumber is critical'); // RFC 5280 §5.2.3
        found.number = value.smallInteger();
        break;
      case Oid.DeltaCrlIndicator:
        found.baseNumber = value.smallInteger();
        break;
      case Oid.IssuingDistributionPoint:
        found.scope = readScope(value);
        break;
      case Oid.AuthorityKeyId:
        // The signature tells which key it was.
        return;
      default:
        // RFC 5280 §5.2
        if (critical) throw new DerError(`unknown critical extension ${oid}`);
        return;
    }
    value.finish();
  });
  wrapped.finish();
  return found;
}

function forEachExtension(
  holder: DerReader,
  visit: (oid: string, critical: boolean, value: DerReader) => void,
): void {
  const list = holder.enter(Tag.Sequence);
  let seen = '';
  while (!list.atEnd) {
    const entry = list.enter(Tag.Sequence);
    const oid = entry.oid();
    const critical = entry.peek() === Tag.Boolean ? entry.boolean() : false;
    const value = new DerReader(entry.contents(Tag.OctetString));
    entry.finish();
    if (seen.includes(` ${oid} `)) throw new DerError(`extension ${oid} occurs twice`);
    seen += ` ${oid} `;
    visit(oid, critical, value);
  }
}

/** IssuingDistributionPoint, RFC 5280 §5.2.5. */
function readScope(value: DerReader): CrlScope {
  const encoded = value.bytes;
  const fields = value.enter(Tag.Sequence);
  const name = fields.enterOptional(contextTag(0, true));
  const uris = name === null ? null : urisOf(name);
  const userCertificatesOnly = optionalFlag(fields, 1);
  const caCertificatesOnly = optionalFlag(fields, 2);
  const reasonsTag = contextTag(3, false);
  const reasons = fields.peek() === reasonsTag ? fields.namedBits(reasonsTag) & ALL_REASONS : ALL_REASONS;
  if (optionalFlag(fields, 4)) throw new DerError('indirect CRLs are not supported');
  const attributeCertificatesOnly = optionalFlag(fields, 5);
  fields.finish();
  return {
    uris,
    userCertificatesOnly,
    caCertificatesOnly,
    attributeCertificatesOnly,
    reasons,
    encoded,
  };
}

function optionalFlag(fields: DerReader, number: number): boolean {
  const tag = contextTag(number, false);
  return fields.peek() === tag ? fields.boolean(tag) : false;
}

/** The URIs of a DistributionPointName, whose other choice (a name relative to the issuer) nobody uses. */
function urisOf(name: DerReader): string[] {
  const names = name.enterOptional(contextTag(0, true));
  const uris: string[] = [];
  while (names !== null && !names.atEnd) {
    const one: GeneralName = readGeneralName(names);
    if (one.form === NameForm.Uri) uris.push(one.text);
  }
  return uris;
}
