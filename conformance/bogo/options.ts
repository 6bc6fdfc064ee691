import {
  type CertificateDecompressor,
  NamedGroup,
  type TlsClientOptions,
  type TlsVersion,
} from '../../tls/client.ts';
import { GROUP_NUMBERS, GROUPS } from '../../tls/keys/groups.ts';
import { signatureSchemeName, signatureSchemeNumber } from '../../tls/keys/signatures.ts';
import { CIPHER_SUITES, type CipherSuite, TLS13_SUITES } from '../../tls/keys/suites.ts';
import { versionNumber, versionOf } from '../../tls/wire/codes.ts';
import { ShimFailure, Unimplemented } from './failure.ts';
import type { ShimConfig } from './flags.ts';

/** The part of a client's options that the command line says. */
export function clientOptions(
  config: ShimConfig,
): Omit<TlsClientOptions, 'random' | 'unixTimeMs' | 'verifier' | 'credentials' | 'sessions'> {
  const { minVersion, maxVersion } = versions(config);
  const groups = config.numbers('curves').map(groupOf);
  const keyShares = config.numbers('key-shares').map(groupOf);
  const schemes = config.numbers('verify-prefs').map(schemeOf);
  return {
    serverName: config.text('host-name'),
    minVersion,
    maxVersion,
    // TLS 1.0 and 1.1 and RSA key exchange, which BoringSSL has by default
    fallback: !config.has('no-legacy-server-connect'),
    cipherSuites: suites(config.text('cipher'))
      .filter(({ offered }) => offered !== 'fallback' || !config.has('no-legacy-server-connect'))
      .map(({ name }) => name),
    groups: groups.length > 0 ? groups : GROUPS,
    ...((keyShares.length > 0 || config.has('no-key-shares')) && { keyShares }),
    signatureSchemes: schemes.length > 0 ? schemes : DEFAULT_SCHEMES,
    tickets: !config.has('no-ticket'),
    fallbackScsv: config.has('fallback-scsv'),
    earlyData: config.has('enable-early-data'),
    certificateStatus: config.has('enable-ocsp-stapling'),
    signedCertificateTimestamps: config.has('enable-signed-cert-timestamps'),
    certificateCompression: compressions(config),
    grease: config.has('enable-grease'),
    ...encryptedHello(config),
    permuteExtensions: config.has('permute-extensions'),
    ...policyOf(config),
    alpn: lengthPrefixed(config.text('advertise-alpn')),
  };
}

type Policy = Required<
  Pick<TlsClientOptions, 'minVersion' | 'maxVersion' | 'cipherSuites' | 'groups' | 'signatureSchemes'>
>;

const TLS13_NAMES: readonly string[] = TLS13_SUITES.map(({ name }) => name);
const AES_256: readonly string[] = [
  'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
];
const SHA_384: readonly string[] = ['ecdsa_secp384r1_sha384', 'rsa_pss_rsae_sha384', 'rsa_pkcs1_sha384'];
const SHA_512: readonly string[] = ['rsa_pss_rsae_sha512', 'rsa_pkcs1_sha512'];
const SINCE_TLS12 = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' } as const;

/** What BoringSSL's compliance policies leave. */
const POLICIES: Readonly<Record<string, Policy>> = {
  // NIST SP 800-52 revision 2
  'fips-202205': {
    ...SINCE_TLS12,
    cipherSuites: [
      ...TLS13_NAMES.filter((name) => name.includes('AES')),
      ...AES_256,
      'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
      'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
    ],
    groups: [NamedGroup.Secp256r1, NamedGroup.Secp384r1],
    signatureSchemes: [
      ...['ecdsa_secp256r1_sha256', 'rsa_pss_rsae_sha256', 'rsa_pkcs1_sha256'],
      ...SHA_384,
      ...SHA_512,
    ],
  },
  // WPA version 3.1, section 3.5
  'wpa-202304': {
    ...SINCE_TLS12,
    cipherSuites: ['TLS_AES_256_GCM_SHA384', ...AES_256],
    groups: [NamedGroup.Secp384r1],
    signatureSchemes: [...SHA_384, ...SHA_512],
  },
  // RFC 9151
  'cnsa1-202603': {
    ...SINCE_TLS12,
    cipherSuites: ['TLS_AES_256_GCM_SHA384', ...AES_256, 'TLS_RSA_WITH_AES_256_GCM_SHA384'],
    groups: [NamedGroup.Secp384r1],
    signatureSchemes: SHA_384,
  },
};

/** The policy that is asked for, or undefined. */
export function policyOf(config: ShimConfig): Policy | undefined {
  return Object.entries(POLICIES).find(([name]) => config.has(name))?.[1];
}

/** What BoringSSL offers. */
const DEFAULT_SCHEMES: readonly string[] = [
  'ecdsa_secp256r1_sha256',
  'rsa_pss_rsae_sha256',
  'rsa_pkcs1_sha256',
  'ecdsa_secp384r1_sha384',
  'rsa_pss_rsae_sha384',
  'rsa_pkcs1_sha384',
  'rsa_pss_rsae_sha512',
  'rsa_pkcs1_sha512',
  'rsa_pkcs1_sha1',
];

function versions(config: ShimConfig): { minVersion: TlsVersion; maxVersion: TlsVersion } {
  const excluded: Record<TlsVersion, boolean> = {
    TLSv1: config.has('no-tls1'),
    'TLSv1.1': config.has('no-tls11'),
    'TLSv1.2': config.has('no-tls12'),
    'TLSv1.3': config.has('no-tls13'),
  };
  // a server without renegotiation_info is only spoken to with what speaks the old versions too
  const oldest = config.has('no-legacy-server-connect') ? 'TLSv1.2' : 'TLSv1';
  const min = config.number('min-version') || versionNumber(oldest);
  const max = config.number('max-version') || versionNumber('TLSv1.3');
  const offered: TlsVersion[] = [];
  for (let number = min; number <= max; number++) {
    const version = versionOf(number);
    if (version !== undefined && !excluded[version]) offered.push(version);
  }
  const [minVersion, maxVersion] = [offered[0], offered.at(-1)];
  if (minVersion === undefined || maxVersion === undefined) throw new ShimFailure('no version is left');
  if (offered.length !== versionNumber(maxVersion) - versionNumber(minVersion) + 1) {
    throw new Unimplemented('a range of versions with a gap');
  }
  return { minVersion, maxVersion };
}

/** The name of a scheme that this client can check or make. */
export function schemeOf(number: number): string {
  const name = signatureSchemeName(number);
  if (signatureSchemeNumber(name) === undefined) throw new Unimplemented(`signature scheme ${number}`);
  return name;
}

function groupOf(number: number): NamedGroup {
  const group = GROUP_NUMBERS.find((each) => each === number);
  if (group === undefined) throw new Unimplemented(`group ${number}`);
  return group;
}

/** What BoringSSL knows; its list has no DHE, CCM, RC4 or SHA-384 with CBC. */
function isOfBoringSsl({ name, keyExchange, cipher }: CipherSuite): boolean {
  if (keyExchange === 'dhe' || cipher.kind === 'stream' || name.includes('CCM')) return false;
  if (name.includes('3DES')) return false;
  return (
    cipher.kind !== 'block' ||
    cipher.mac === 'sha1' ||
    (keyExchange === 'ecdhe' && name.endsWith('128_CBC_SHA256'))
  );
}

/** The few forms of OpenSSL's cipher strings that the tests have: names, ALL, DEFAULT, AES128, 3DES, without AES. */
function suites(text: string): readonly CipherSuite[] {
  const of13 = CIPHER_SUITES.filter((suite) => suite.version === 'TLSv1.3');
  const older = CIPHER_SUITES.filter((suite) => suite.version !== 'TLSv1.3' && isOfBoringSsl(suite));
  const tripleDes = CIPHER_SUITES.filter((suite) => suite.name === 'TLS_RSA_WITH_3DES_EDE_CBC_SHA');
  const chosen: CipherSuite[] = [];
  for (const word of text === ''
    ? ['ALL']
    : text
        .replace(/[[\]|]/g, ':')
        .split(':')
        .filter(Boolean)) {
    if (word === 'ALL' || word === 'DEFAULT') chosen.push(...older);
    else if (word === '3DES') chosen.push(...tripleDes);
    else if (word === 'AES128') chosen.push(...older.filter((suite) => suite.name.includes('AES_128')));
    else if (word === '!AES')
      chosen.splice(0, chosen.length, ...chosen.filter((suite) => !suite.name.includes('AES')));
    else
      chosen.push(
        ...CIPHER_SUITES.filter((suite) => suite.name === word || openSslName(suite.name) === word),
      );
  }
  return [...of13, ...chosen];
}

/** `ECDHE-RSA-AES128-GCM-SHA256`, as OpenSSL writes TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256. */
function openSslName(name: string): string {
  return name
    .replace(/^TLS_(RSA_WITH_)?/, '')
    .replace('_WITH', '')
    .replace(/AES_(128|256)(_CBC)?/, 'AES$1')
    .replace(/_POLY1305_SHA256$/, '-POLY1305')
    .replaceAll('_', '-');
}

function lengthPrefixed(list: string): readonly string[] {
  const names: string[] = [];
  for (let off = 0; off < list.length; ) {
    const end = off + 1 + list.charCodeAt(off);
    names.push(list.slice(off + 1, end));
    off = end;
  }
  return names;
}

/** The algorithms that the runner makes up: one grows, one shrinks, one is random. */
const COMPRESSIONS: readonly CertificateDecompressor[] = [
  {
    id: 0xff02,
    decompress: (bytes) => {
      if (!bytes.subarray(0, 4).every((byte, i) => byte === i + 1)) throw new ShimFailure('no prefix');
      return bytes.subarray(4);
    },
  },
  { id: 0xff01, decompress: (bytes) => Buffer.concat([Uint8Array.of(0, 0), bytes]) },
  { id: 0xff03, decompress: (bytes) => bytes.subarray(1) },
];

function compressions(config: ShimConfig): readonly CertificateDecompressor[] {
  if (config.has('install-cert-compression-algs')) return COMPRESSIONS;
  return COMPRESSIONS.filter(({ id }) => id === config.number('install-one-cert-compression-alg'));
}

function encryptedHello(config: ShimConfig): Pick<TlsClientOptions, 'ech' | 'echUnusable'> {
  const isRequired = config.has('reject-unusable-ech-config');
  const otherwise = config.has('enable-ech-grease') ? 'grease' : 'ignore';
  if (config.has('ech-config-list')) {
    return { ech: config.bytes('ech-config-list'), echUnusable: isRequired ? 'fail' : otherwise };
  }
  if (isRequired) throw new RangeError('no configuration of ech can be used');
  return config.has('enable-ech-grease') ? { ech: 'grease' } : {};
}
