import { createHash } from 'node:crypto';
import { keyBitsOf } from '../x509/public-key.ts';
import {
  extension,
  type SignatureType,
  signatureScheme,
  spkiOf,
  TEST_TIME,
  type TestCertificate,
} from './certificates.ts';
import * as der from './der-writer.ts';

/** Certificate revocation lists and OCSP responses for tests: made here and now, with any field one likes to be wrong. */

const HOUR = 3_600_000;

export interface CrlOptions {
  readonly thisUpdate?: number;
  /** null: none. */
  readonly nextUpdate?: number | null;
  /** Whole entries, made by {@link revokedEntry}. */
  readonly revoked?: readonly Uint8Array[];
  /** Extensions of the list. */
  readonly extensions?: readonly Uint8Array[];
  /** 1 or 2; default 2. */
  readonly version?: number;
  /** In place of the issuer's name. */
  readonly issuerName?: Uint8Array;
  readonly signature?: SignatureType;
}

/** A list of an issuer. @returns DER */
export function issueCrl(issuer: TestCertificate, options: CrlOptions = {}): Uint8Array {
  const { algorithm, make } = signatureScheme(issuer.privateKey, options.signature ?? 'default');
  const { nextUpdate = TEST_TIME + HOUR, revoked = [], extensions = [] } = options;
  const tbs = der.sequence(
    ...(options.version === 1 ? [] : [der.integer(1)]),
    algorithm,
    options.issuerName ?? issuer.subject,
    der.time(options.thisUpdate ?? TEST_TIME - HOUR),
    ...(nextUpdate === null ? [] : [der.time(nextUpdate)]),
    ...(revoked.length === 0 ? [] : [der.sequence(...revoked)]),
    ...(extensions.length === 0 ? [] : [der.explicit(0, der.sequence(...extensions))]),
  );
  return der.sequence(tbs, algorithm, der.bitString(make(tbs)));
}

/** An entry of a list. @param serial a whole INTEGER */
export function revokedEntry(serial: Uint8Array, ...extensions: readonly Uint8Array[]): Uint8Array {
  const own = extensions.length === 0 ? [] : [der.sequence(...extensions)];
  return der.sequence(serial, der.time(TEST_TIME - 2 * HOUR), ...own);
}

export const enumerated = (value: number): Uint8Array => der.element(0x0a, Uint8Array.of(value));
export const reasonCode = (reason: number): Uint8Array => extension('2.5.29.21', enumerated(reason));
export const crlNumber = (number: number): Uint8Array => extension('2.5.29.20', der.integer(number));
export const deltaIndicator = (base: number): Uint8Array => extension('2.5.29.27', der.integer(base), true);
/** @param fields of IssuingDistributionPoint, whole */
export const issuingDistributionPoint = (...fields: readonly Uint8Array[]): Uint8Array =>
  extension('2.5.29.28', der.sequence(...fields), true);

export interface OcspOptions {
  /** Who signs; the issuer when absent. */
  readonly responder?: TestCertificate;
  /** Names the responder by the hash of its key. */
  readonly byKey?: boolean;
  readonly certificates?: readonly TestCertificate[];
  /** Default SHA-1. */
  readonly hash?: 'sha1' | 'sha256';
  /** The CertStatus whole; default good. */
  readonly status?: Uint8Array;
  readonly thisUpdate?: number;
  /** null: none. */
  readonly nextUpdate?: number | null;
  /** Of the answer. */
  readonly singleExtensions?: readonly Uint8Array[];
  /** Of the response. */
  readonly extensions?: readonly Uint8Array[];
  readonly signature?: SignatureType;
}

export const OCSP_GOOD: Uint8Array = der.implicit(0, new Uint8Array(0));
export const OCSP_UNKNOWN: Uint8Array = der.implicit(2, new Uint8Array(0));
export const ocspRevoked = (reason: number): Uint8Array =>
  der.explicit(1, generalized(TEST_TIME - 2 * HOUR), der.explicit(0, enumerated(reason)));

/** An answer about one certificate. @param serial a whole INTEGER @returns OCSPResponse, DER */
export function ocspResponse(
  serial: Uint8Array,
  issuer: TestCertificate,
  options: OcspOptions = {},
): Uint8Array {
  const { responder = issuer, hash = 'sha1', nextUpdate = TEST_TIME + HOUR } = options;
  const { singleExtensions = [], extensions = [], certificates = [] } = options;
  const { algorithm, make } = signatureScheme(responder.privateKey, options.signature ?? 'default');
  const digest = (name: string, bytes: Uint8Array): Uint8Array =>
    der.octetString(new Uint8Array(createHash(name).update(bytes).digest()));
  const bits = (certificate: TestCertificate): Uint8Array => keyBitsOf(spkiOf(certificate.publicKey));
  const hashOid = hash === 'sha1' ? '1.3.14.3.2.26' : '2.16.840.1.101.3.4.2.1';
  const certId = der.sequence(
    der.sequence(der.oid(hashOid), der.nothing()),
    digest(hash, issuer.subject),
    digest(hash, bits(issuer)),
    serial,
  );
  const single = der.sequence(
    certId,
    options.status ?? OCSP_GOOD,
    generalized(options.thisUpdate ?? TEST_TIME - HOUR),
    ...(nextUpdate === null ? [] : [der.explicit(0, generalized(nextUpdate))]),
    ...(singleExtensions.length === 0 ? [] : [der.explicit(1, der.sequence(...singleExtensions))]),
  );
  const tbs = der.sequence(
    options.byKey === true
      ? der.explicit(2, digest('sha1', bits(responder)))
      : der.explicit(1, responder.subject),
    generalized(options.thisUpdate ?? TEST_TIME - HOUR),
    der.sequence(single),
    ...(extensions.length === 0 ? [] : [der.explicit(1, der.sequence(...extensions))]),
  );
  const sent = certificates.map((certificate) => certificate.der);
  const basic = der.sequence(
    tbs,
    algorithm,
    der.bitString(make(tbs)),
    ...(sent.length === 0 ? [] : [der.explicit(0, der.sequence(...sent))]),
  );
  const typed = der.sequence(der.oid('1.3.6.1.5.5.7.48.1.1'), der.octetString(basic));
  return der.sequence(enumerated(0), der.explicit(0, typed));
}

function generalized(unixTimeMs: number): Uint8Array {
  const digits = new Date(unixTimeMs).toISOString().replace(/[-:T]|\.\d+/g, '');
  return der.element(0x18, der.ascii(digits));
}
