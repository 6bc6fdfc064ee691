import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import * as der from './der-writer.ts';

/** Certificates for tests: issued here and now, with any field one likes to be wrong. */
export interface TestCertificate {
  readonly der: Uint8Array;
  readonly pem: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** The subject as a Name. */
  readonly subject: Uint8Array;
}

/** The moment at which all test certificates are valid unless they say otherwise. */
export const TEST_TIME: number = Date.UTC(2026, 5, 15, 12, 0, 0);
const DAY = 86_400_000;

export type KeyType =
  | 'p256'
  | 'p384'
  | 'p521'
  | 'ed25519'
  | 'ed448'
  | 'rsa1024'
  | 'rsa2048'
  | 'rsa2044'
  | 'k256';
/** Default: what suits the issuer's key, with SHA-256. `unknown` is an algorithm that nobody knows. */
export type SignatureType = 'default' | 'rsa-pss' | 'sha1' | 'md5' | 'sha384' | 'sha512' | 'unknown';

export interface IssueOptions {
  /** Common name, or a Name made by {@link nameOf}. */
  readonly subject: string | Uint8Array;
  /** Who signs; the certificate itself when absent. */
  readonly issuer?: TestCertificate;
  readonly key?: KeyType | TestCertificate;
  readonly extensions?: readonly Uint8Array[];
  readonly notBefore?: number;
  readonly notAfter?: number;
  /** 1, 2 or 3; default 3. */
  readonly version?: number;
  /** A whole INTEGER. */
  readonly serial?: Uint8Array;
  readonly signature?: SignatureType;
  /** An AlgorithmIdentifier that stands in the signed part in place of the true one. */
  readonly innerAlgorithm?: Uint8Array;
  /** In place of the SubjectPublicKeyInfo of the key. */
  readonly spki?: Uint8Array;
  /** Adds subjectKeyIdentifier and authorityKeyIdentifier. Default true. */
  readonly keyIds?: boolean;
}

/** Issues one certificate. */
export function issue(options: IssueOptions): TestCertificate {
  const { privateKey, publicKey } =
    typeof options.key === 'object' ? options.key : keyPair(options.key ?? 'p256');
  const subject = typeof options.subject === 'string' ? nameOf({ CN: options.subject }) : options.subject;
  const signer = options.issuer ?? { privateKey, publicKey, subject };
  const { algorithm, make } = signatureScheme(signer.privateKey, options.signature ?? 'default');
  const spki = options.spki ?? spkiOf(publicKey);
  const extensions = [...(options.extensions ?? [])];
  if (options.keyIds ?? true) {
    extensions.push(extension('2.5.29.14', der.octetString(keyId(spki))));
    extensions.push(extension('2.5.29.35', der.sequence(der.implicit(0, keyId(spkiOf(signer.publicKey))))));
  }
  const version = options.version ?? 3;
  const tbs = der.sequence(
    ...(version === 1 ? [] : [der.explicit(0, der.integer(version - 1))]),
    options.serial ?? der.integer(nextSerial++),
    options.innerAlgorithm ?? algorithm,
    signer.subject,
    der.sequence(
      der.time(options.notBefore ?? TEST_TIME - DAY),
      der.time(options.notAfter ?? TEST_TIME + DAY),
    ),
    subject,
    spki,
    ...(extensions.length === 0 ? [] : [der.explicit(3, der.sequence(...extensions))]),
  );
  const bytes = der.sequence(tbs, algorithm, der.bitString(make(tbs)));
  return { der: bytes, pem: toPem(bytes), privateKey, publicKey, subject };
}

/** A certificate authority: self-signed unless an issuer is given. */
export function issueCa(
  subject: string | Uint8Array,
  options: Partial<IssueOptions> & { pathLength?: number } = {},
): TestCertificate {
  const { pathLength, extensions = [], ...rest } = options;
  const own = [basicConstraints(true, pathLength), keyUsage(KEY_CERT_SIGN | CRL_SIGN)];
  return issue({ subject, extensions: [...own, ...extensions], ...rest });
}

/** The certificate of a TLS server for the given DNS names. */
export function issueServer(
  names: readonly string[],
  issuer: TestCertificate,
  options: Partial<IssueOptions> = {},
): TestCertificate {
  const { extensions = [], ...rest } = options;
  const own = [
    subjectAltName(...names.map(dnsName)),
    keyUsage(DIGITAL_SIGNATURE),
    extendedKeyUsage(SERVER_AUTH),
  ];
  return issue({ subject: names[0] ?? 'server', issuer, extensions: [...own, ...extensions], ...rest });
}

export const DIGITAL_SIGNATURE = 0x01;
export const KEY_CERT_SIGN = 0x20;
export const CRL_SIGN = 0x40;
export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
export const ANY_PURPOSE = '2.5.29.37.0';

const ATTRIBUTES: Readonly<Record<string, string>> = {
  CN: '2.5.4.3',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  C: '2.5.4.6',
  emailAddress: '1.2.840.113549.1.9.1',
};

/** A Name of UTF8String attributes, in the order given. */
export function nameOf(attributes: Readonly<Record<string, string>>): Uint8Array {
  return der.sequence(
    ...Object.entries(attributes).map(([type, value]) =>
      der.set(der.sequence(der.oid(ATTRIBUTES[type] ?? type), der.utf8String(value))),
    ),
  );
}

export function extension(oid: string, value: Uint8Array, critical = false): Uint8Array {
  return der.sequence(der.oid(oid), ...(critical ? [der.boolean(true)] : []), der.octetString(value));
}

export function basicConstraints(ca: boolean, pathLength?: number): Uint8Array {
  const fields = [
    ...(ca ? [der.boolean(true)] : []),
    ...(pathLength === undefined ? [] : [der.integer(pathLength)]),
  ];
  return extension('2.5.29.19', der.sequence(...fields), true);
}

export const keyUsage = (bits: number): Uint8Array => extension('2.5.29.15', der.namedBits(bits), true);
export const extendedKeyUsage = (...purposes: readonly string[]): Uint8Array =>
  extension('2.5.29.37', der.sequence(...purposes.map(der.oid)));
export const subjectAltName = (...names: readonly Uint8Array[]): Uint8Array =>
  extension('2.5.29.17', der.sequence(...names));

/** @param permitted GeneralNames, made by {@link dnsName} and the like */
export function nameConstraints(
  permitted: readonly Uint8Array[],
  excluded: readonly Uint8Array[] = [],
): Uint8Array {
  const subtrees = (number: number, names: readonly Uint8Array[]): Uint8Array[] =>
    names.length === 0 ? [] : [der.explicit(number, ...names.map((name) => der.sequence(name)))];
  return extension('2.5.29.30', der.sequence(...subtrees(0, permitted), ...subtrees(1, excluded)), true);
}

export const otherName = (oid: string, value: Uint8Array): Uint8Array =>
  der.explicit(0, der.oid(oid), der.explicit(0, value));
export const emailName = (text: string): Uint8Array => der.implicit(1, der.ascii(text));
export const dnsName = (text: string): Uint8Array => der.implicit(2, der.ascii(text));
export const directoryName = (name: Uint8Array): Uint8Array => der.explicit(4, name);
export const uriName = (text: string): Uint8Array => der.implicit(6, der.ascii(text));
/** An address, or in a constraint an address and its mask. */
export const ipName = (...octets: readonly number[]): Uint8Array => der.implicit(7, Uint8Array.from(octets));

export function toPem(bytes: Uint8Array, label = 'CERTIFICATE'): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

export const spkiOf = (key: KeyObject): Uint8Array =>
  new Uint8Array(key.export({ type: 'spki', format: 'der' }));

let nextSerial = 1;
const pairs = new Map<KeyType, { privateKey: KeyObject; publicKey: KeyObject }>();

/** Elliptic curve keys are made afresh; the slow ones once for each process. */
export function keyPair(type: KeyType): { privateKey: KeyObject; publicKey: KeyObject } {
  switch (type) {
    case 'p256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' });
    case 'p384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' });
    case 'p521':
      return generateKeyPairSync('ec', { namedCurve: 'P-521' });
    case 'k256':
      return generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    case 'ed25519':
      return generateKeyPairSync('ed25519');
    case 'ed448':
      return generateKeyPairSync('ed448');
    default: {
      let pair = pairs.get(type);
      if (pair === undefined) {
        pair = generateKeyPairSync('rsa', { modulusLength: Number(type.slice(3)) });
        pairs.set(type, pair);
      }
      return pair;
    }
  }
}

function keyId(spki: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(spki).digest().subarray(0, 20));
}

/** Object identifiers of hash with RSA (PKCS #1 v1.5) and with ECDSA. */
const SIGNATURE_OIDS: Readonly<Record<string, readonly [string, string]>> = {
  md5: ['1.2.840.113549.1.1.4', ''],
  sha1: ['1.2.840.113549.1.1.5', '1.2.840.10045.4.1'],
  sha256: ['1.2.840.113549.1.1.11', '1.2.840.10045.4.3.2'],
  sha384: ['1.2.840.113549.1.1.12', '1.2.840.10045.4.3.3'],
  sha512: ['1.2.840.113549.1.1.13', '1.2.840.10045.4.3.4'],
};

/** How a key signs: the AlgorithmIdentifier, and what makes the signature. */
export function signatureScheme(
  key: KeyObject,
  type: SignatureType,
): { algorithm: Uint8Array; make: (tbs: Uint8Array) => Uint8Array } {
  const kind = key.asymmetricKeyType;
  if (kind === 'ed25519' || kind === 'ed448') {
    const algorithm = der.sequence(der.oid(kind === 'ed25519' ? '1.3.101.112' : '1.3.101.113'));
    return { algorithm, make: (tbs) => sign(null, tbs, key) };
  }
  if (type === 'rsa-pss') {
    const sha256 = der.sequence(der.oid('2.16.840.1.101.3.4.2.1'), der.nothing());
    const algorithm = der.sequence(
      der.oid('1.2.840.113549.1.1.10'),
      der.sequence(
        der.explicit(0, sha256),
        der.explicit(1, der.sequence(der.oid('1.2.840.113549.1.1.8'), sha256)),
        der.explicit(2, der.integer(32)),
      ),
    );
    return { algorithm, make: (tbs) => sign('sha256', tbs, { key, padding: 6, saltLength: 32 }) };
  }
  if (type === 'unknown')
    return { algorithm: der.sequence(der.oid('1.2.3.4')), make: (tbs) => tbs.subarray(0, 64) };
  const hash = type === 'default' ? 'sha256' : type;
  const [rsa, ecdsa] = SIGNATURE_OIDS[hash]!;
  const algorithm = kind === 'rsa' ? der.sequence(der.oid(rsa), der.nothing()) : der.sequence(der.oid(ecdsa));
  return { algorithm, make: (tbs) => sign(hash, tbs, key) };
}
