import { contextTag, DerError, DerReader, Tag } from './der.ts';
import { type GeneralName, readGeneralName } from './general-name.ts';

/** Bits of KeyUsage (RFC 5280 §4.2.1.3). */
export const KeyUsage = {
  DigitalSignature: 0x1,
  NonRepudiation: 0x2,
  KeyEncipherment: 0x4,
  DataEncipherment: 0x8,
  KeyAgreement: 0x10,
  KeyCertSign: 0x20,
  CrlSign: 0x40,
} as const;

/** RFC 5280 §4.2.1.10. `null` where the field is absent. */
export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
}

/** What the extensions of a certificate say, as far as a validator cares. `null` where the extension is absent. */
export interface Extensions {
  basicConstraints: { readonly ca: boolean /** -1: no limit */; readonly pathLength: number } | null;
  /** Bits of {@link KeyUsage}, or -1 when absent: every use. */
  keyUsage: number;
  /** Object identifiers. */
  extendedKeyUsage: readonly string[] | null;
  subjectAltName: readonly GeneralName[] | null;
  subjectAltNameIsCritical: boolean;
  nameConstraints: NameConstraints | null;
  subjectKeyId: Uint8Array | null;
  authorityKeyId: Uint8Array | null;
  policies: readonly string[] | null;
  /** Pairs of issuer domain policy and subject domain policy. */
  policyMappings: readonly (readonly [string, string])[] | null;
  /** Certificates that may follow before a policy is needed; -1 when absent. */
  requireExplicitPolicy: number;
  /** Likewise before mapping is no longer allowed. */
  inhibitPolicyMapping: number;
  /** Likewise before anyPolicy is no longer allowed. */
  inhibitAnyPolicy: number;
  /** TLS extensions that a server with this certificate always answers (RFC 7633), by number. */
  tlsFeatures: readonly number[] | null;
  /** CRLDistributionPoints as it came, for who has lists to hold against it (RFC 5280 §4.2.1.13). */
  crlDistributionPoints: Uint8Array | null;
  /** SignedCertificateTimestampList as it came, for who knows logs (RFC 6962 §3.3). */
  embeddedTimestamps: Uint8Array | null;
  /** Critical extensions that are not processed: their presence refuses the certificate (RFC 5280 §4.2). */
  unknownCritical: readonly string[];
}

/** The extensions of a certificate that has none. */
export const NO_EXTENSIONS: Readonly<Extensions> = Object.freeze(emptyExtensions());

/** More extensions than any certificate has, fewer than would make the check for duplicates slow. */
const MAX_EXTENSIONS = 128;

const Oid = {
  SubjectKeyId: '2.5.29.14',
  KeyUsage: '2.5.29.15',
  SubjectAltName: '2.5.29.17',
  BasicConstraints: '2.5.29.19',
  NameConstraints: '2.5.29.30',
  CertificatePolicies: '2.5.29.32',
  PolicyMappings: '2.5.29.33',
  AuthorityKeyId: '2.5.29.35',
  PolicyConstraints: '2.5.29.36',
  ExtendedKeyUsage: '2.5.29.37',
  InhibitAnyPolicy: '2.5.29.54',
  AuthorityInfoAccess: '1.3.6.1.5.5.7.1.1',
  TlsFeature: '1.3.6.1.5.5.7.1.24',
  CrlDistributionPoints: '2.5.29.31',
  EmbeddedTimestamps: '1.3.6.1.4.1.11129.2.4.2',
} as const;

/** Reads Extensions, the contents of the field's explicit tag. @throws DerError */
export function readExtensions(wrapped: DerReader): Extensions {
  const list = wrapped.enter(Tag.Sequence);
  if (list.atEnd) throw new DerError('empty list of extensions');
  const extensions = emptyExtensions();
  const seen = new Set<string>();
  const unknownCritical: string[] = [];
  while (!list.atEnd) {
    const entry = list.enter(Tag.Sequence);
    const oid = entry.oid();
    // Differs from X.690 §11.5 in that an encoded FALSE, the default, is taken: CAs of all kinds have issued it.
    const critical = entry.peek() === Tag.Boolean ? entry.boolean() : false;
    const value = new DerReader(entry.contents(Tag.OctetString));
    entry.finish();
    // RFC 5280 §4.2: at most one instance of an extension.
    if (seen.has(oid)) throw new DerError(`extension ${oid} occurs twice`);
    if (seen.size === MAX_EXTENSIONS) throw new DerError(`more than ${MAX_EXTENSIONS} extensions`);
    seen.add(oid);
    if (readKnown(extensions, oid, critical, value)) value.finish();
    else if (critical) unknownCritical.push(oid);
  }
  extensions.unknownCritical = unknownCritical;
  return extensions;
}

function emptyExtensions(): Extensions {
  return {
    basicConstraints: null,
    keyUsage: -1,
    extendedKeyUsage: null,
    subjectAltName: null,
    subjectAltNameIsCritical: false,
    nameConstraints: null,
    subjectKeyId: null,
    authorityKeyId: null,
    policies: null,
    policyMappings: null,
    requireExplicitPolicy: -1,
    inhibitPolicyMapping: -1,
    inhibitAnyPolicy: -1,
    tlsFeatures: null,
    crlDistributionPoints: null,
    embeddedTimestamps: null,
    unknownCritical: [],
  };
}

/** @returns whether the extension is one that is processed */
function readKnown(extensions: Extensions, oid: string, critical: boolean, value: DerReader): boolean {
  switch (oid) {
    case Oid.BasicConstraints:
      extensions.basicConstraints = readBasicConstraints(value);
      return true;
    case Oid.KeyUsage:
      extensions.keyUsage = value.namedBits();
      // RFC 5280 §4.2.1.3: at least one of the bits MUST be set.
      if (extensions.keyUsage === 0) throw new DerError('keyUsage without a use');
      return true;
    case Oid.ExtendedKeyUsage:
      extensions.extendedKeyUsage = listOf(value, 'extendedKeyUsage', (list) => list.oid());
      return true;
    case Oid.SubjectAltName:
      extensions.subjectAltName = listOf(value, 'subjectAltName', readGeneralName);
      extensions.subjectAltNameIsCritical = critical;
      return true;
    case Oid.NameConstraints:
      extensions.nameConstraints = readNameConstraints(value);
      return true;
    case Oid.SubjectKeyId:
      mustNotBeCritical(critical, 'subjectKeyIdentifier'); // RFC 5280 §4.2.1.2
      extensions.subjectKeyId = value.contents(Tag.OctetString);
      return true;
    case Oid.AuthorityKeyId:
      mustNotBeCritical(critical, 'authorityKeyIdentifier'); // RFC 5280 §4.2.1.1
      extensions.authorityKeyId = readAuthorityKeyId(value);
      return true;
    case Oid.CertificatePolicies:
      extensions.policies = listOf(value, 'certificatePolicies', readPolicyInformation);
      if (new Set(extensions.policies).size !== extensions.policies.length) {
        throw new DerError('certificate policy given twice'); // RFC 5280 §4.2.1.4
      }
      return true;
    case Oid.PolicyMappings:
      extensions.policyMappings = listOf(value, 'policyMappings', (list) => {
        const pair = list.enter(Tag.Sequence);
        const mapping = [pair.oid(), pair.oid()] as const;
        pair.finish();
        return mapping;
      });
      return true;
    case Oid.PolicyConstraints:
      mustBeCritical(critical, 'policyConstraints'); // RFC 5280 §4.2.1.11
      readPolicyConstraints(extensions, value);
      return true;
    case Oid.InhibitAnyPolicy:
      mustBeCritical(critical, 'inhibitAnyPolicy'); // RFC 5280 §4.2.1.14
      extensions.inhibitAnyPolicy = value.smallInteger();
      return true;
    case Oid.TlsFeature:
      extensions.tlsFeatures = listOf(value, 'tlsFeature', (list) => list.smallInteger());
      return true;
    case Oid.CrlDistributionPoints:
      // Told apart by those who have lists; a point that is not understood then names no list.
      extensions.crlDistributionPoints = value.bytes;
      return false;
    case Oid.EmbeddedTimestamps:
      extensions.embeddedTimestamps = value.bytes;
      return false;
    case Oid.AuthorityInfoAccess:
      mustNotBeCritical(critical, 'authorityInfoAccess'); // RFC 5280 §4.2.2.1
      // nothing is fetched from there, so names that are not quite ASCII do no harm
      listOf(value, 'authorityInfoAccess', (list) => {
        const description = list.enter(Tag.Sequence);
        description.oid();
        description.element();
        description.finish();
      });
      return true;
    default:
      return false;
  }
}

function mustBeCritical(critical: boolean, name: string): void {
  if (!critical) throw new DerError(`${name} is not critical`);
}

function mustNotBeCritical(critical: boolean, name: string): void {
  if (critical) throw new DerError(`${name} is critical`);
}

/** A SEQUENCE SIZE (1..MAX). */
function listOf<T>(value: DerReader, name: string, read: (list: DerReader) => T): T[] {
  const list = value.enter(Tag.Sequence);
  const items: T[] = [];
  while (!list.atEnd) items.push(read(list));
  if (items.length === 0) throw new DerError(`empty ${name}`);
  return items;
}

function readBasicConstraints(value: DerReader): NonNullable<Extensions['basicConstraints']> {
  const fields = value.enter(Tag.Sequence);
  // An encoded FALSE is taken here too, for the same reason.
  const ca = fields.peek() === Tag.Boolean ? fields.boolean() : false;
  const pathLength = fields.atEnd ? -1 : fields.smallInteger();
  fields.finish();
  return { ca, pathLength };
}

function readNameConstraints(value: DerReader): NameConstraints {
  const fields = value.enter(Tag.Sequence);
  // RFC 5280 §4.2.1.10: an empty sequence MUST NOT be issued.
  if (fields.atEnd) throw new DerError('empty nameConstraints');
  const permitted = readSubtrees(fields.enterOptional(contextTag(0, true)));
  const excluded = readSubtrees(fields.enterOptional(contextTag(1, true)));
  fields.finish();
  return { permitted, excluded };
}

function readSubtrees(list: DerReader | null): GeneralName[] {
  const subtrees: GeneralName[] = [];
  if (list === null) return subtrees;
  if (list.atEnd) throw new DerError('empty list of subtrees');
  while (!list.atEnd) {
    const subtree = list.enter(Tag.Sequence);
    subtrees.push(readGeneralName(subtree));
    // RFC 5280 §4.2.1.10: minimum is zero, hence not encoded, and maximum absent.
    if (!subtree.atEnd) throw new DerError('subtree with minimum or maximum');
  }
  return subtrees;
}

function readAuthorityKeyId(value: DerReader): Uint8Array | null {
  const fields = value.enter(Tag.Sequence);
  const keyTag = contextTag(0, false);
  const keyId = fields.peek() === keyTag ? fields.contents(keyTag) : null;
  // RFC 5280 §4.2.1.1: issuer and serial number come together; they are hints, and not used.
  const issuer = fields.enterOptional(contextTag(1, true));
  const serialTag = contextTag(2, false);
  const hasSerial = fields.peek() === serialTag;
  if (hasSerial) fields.integerBytes(serialTag);
  if ((issuer !== null) !== hasSerial) throw new DerError('authorityKeyIdentifier with half a reference');
  fields.finish();
  return keyId;
}

function readPolicyInformation(list: DerReader): string {
  const information = list.enter(Tag.Sequence);
  const policy = information.oid();
  // Qualifiers are for people.
  if (!information.atEnd) information.enter(Tag.Sequence);
  information.finish();
  return policy;
}

function readPolicyConstraints(extensions: Extensions, value: DerReader): void {
  const fields = value.enter(Tag.Sequence);
  // RFC 5280 §4.2.1.11: an empty sequence MUST NOT be issued.
  if (fields.atEnd) throw new DerError('empty policyConstraints');
  if (fields.peek() === contextTag(0, false)) {
    extensions.requireExplicitPolicy = fields.smallInteger(contextTag(0, false));
  }
  if (fields.peek() === contextTag(1, false)) {
    extensions.inhibitPolicyMapping = fields.smallInteger(contextTag(1, false));
  }
  fields.finish();
}
