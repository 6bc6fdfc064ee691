import { createHash, KeyObject, randomUUID, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { loadSystemRoots } from '../drivers/system-roots.ts';
import type { TlsOptions } from '../engine/tls-handshake.ts';
import { NetError, Phase } from '../stack/errors.ts';
import {
  type ClientCredentials,
  decodeSession,
  type SessionStore,
  type Signer,
  type TlsSession,
  type TlsTuning,
  type TlsVersion,
} from '../tls/client.ts';
import { CredentialsError } from '../tls/credentials/errors.ts';
import { readPrivateKey } from '../tls/credentials/private-key.ts';
import { readCredentials } from '../tls/credentials/store.ts';
import { CIPHER_SUITES } from '../tls/keys/suites.ts';
import { TLS_VERSIONS } from '../tls/wire/codes.ts';
import { type TimestampRules, timestampRules } from '../tls/x509/certificate-transparency.ts';
import { TrustedSiteVerifier } from '../tls/x509/chain-verifier.ts';
import { readPem } from '../tls/x509/pem.ts';
import { RevocationLists } from '../tls/x509/revocation-lists.ts';
import { sharedVerifier } from '../tls/x509/shared-verifiers.ts';
import { TrustStore } from '../tls/x509/trust-store.ts';
import { checkMs } from './options.ts';
import { type CheckServerIdentity, IdentityVerifier } from './server-identity.ts';

/** How TLS is to be spoken; the names are those of `tls.connect`. */
export interface TlsConnectOptions {
  /** The name the certificate must be for, and that the server is told. Default: the host. */
  readonly servername?: string | undefined;
  /** Trusted roots in place of the system's: PEM text, PEM or DER bytes, several of them, or a store made once. */
  readonly ca?: string | Uint8Array | TrustStore | readonly (string | Uint8Array)[] | undefined;
  /**
   * Certificate revocation lists: PEM text, PEM or DER bytes, several of them. As in Node there must be a current one of every issuer of
   * the path then; what is revoked is refused with CERT_REVOKED, what nobody has a list for with CERT_INVALID. Default: none.
   */
  readonly crl?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /**
   * Certificate Transparency (RFC 6962): the public keys of the logs whose timestamps count, PEM text or DER bytes (SubjectPublicKeyInfo).
   * Default: none.
   */
  readonly timestampLogs?: readonly (string | Uint8Array)[] | undefined;
  /**
   * So many different logs of `timestampLogs` must have promised to publish the server's certificate, in it, in the handshake or in the
   * stapled answer of OCSP; CERT_INVALID says how many have. 0 … the number of logs; default 0, or 1 when there are logs.
   */
  readonly minTimestamps?: number | undefined;
  /** false: go on whatever the certificate is worth; `authorized` and `authorizationError` say. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
  /**
   * Says whose certificate it is, in place of the names in it (RFC 9525), as in Node: undefined when it is that server's, else an error. For
   * certificates that name no server, or to want a certain key. The chain is verified before. Also asked of a session that is resumed.
   */
  readonly checkServerIdentity?: CheckServerIdentity | undefined;
  /** Application protocols in the order of preference (ALPN). */
  readonly alpnProtocols?: readonly string[] | undefined;
  /**
   * For devices that nobody can update: TLS 1.0 and 1.1 too; RSA key exchange, DHE from 1024 bits, CBC, 3DES, RC4; signatures with
   * MD5 and SHA-1, RSA keys from 1024 bits; servers without secure renegotiation. The best that both have is used. Default false.
   */
  readonly fallback?: boolean | undefined;
  /**
   * Cipher suites in the order of preference, by their IANA names. Default: those with forward secrecy, an AEAD and a named
   * group; with `fallback` all. Those with finite-field groups, CBC (then the server has to know RFC 7366) or CCM are offered when
   * they are named here.
   */
  readonly cipherSuites?: readonly string[] | undefined;
  /** 'TLSv1' … 'TLSv1.3'. Default 'TLSv1.2', with `fallback`, which lower ones take, 'TLSv1'. */
  readonly minVersion?: TlsVersion | undefined;
  /** 'TLSv1' … 'TLSv1.3'. Default 'TLSv1.3'. */
  readonly maxVersion?: TlsVersion | undefined;
  /** What to prove oneself with when the server asks: PEM, the own certificate first, then those of its issuers. */
  readonly cert?: string | Uint8Array | undefined;
  /**
   * The private key of `cert`: PEM or DER, encrypted or not, a key of node:crypto, or a function that signs with a key that is elsewhere
   * (a card, an agent).
   */
  readonly key?: string | Uint8Array | KeyObject | Signer | undefined;
  /** Certificate and key in one PKCS#12 file, in place of `cert` and `key`. */
  readonly pfx?: Uint8Array | undefined;
  /** Of `pfx`, or of an encrypted `key`. */
  readonly passphrase?: string | undefined;
  /**
   * Where sessions are looked for and kept, to be resumed by later connections to the same host and port with the same roots,
   * protocols and certificate. Default: in memory, one store for each stack and thread; false: nowhere, each handshake is a full one.
   */
  readonly sessions?: SessionStore | false | undefined;
  /** The session to resume before those of `sessions`: of the event 'session' or `getSession()`, of this process or another one. */
  readonly session?: Uint8Array | undefined;
  /**
   * What few need to be different: groups and their key shares, signature schemes, Encrypted ClientHello, certificate compression,
   * GREASE, authentication after the handshake, padding and size limits of records; for testers, another ClientHello, how it is cut
   * into records and segments, and a trace of the handshake's messages.
   */
  readonly tuning?: TlsTuning | undefined;
  /** Emits 'OCSPResponse' with the stapled answer of OCSP, or null, before 'secureConnect'. It is asked for and verified anyway. */
  readonly requestOCSP?: boolean | undefined;
  /**
   * RFC 8446 §2.3: sent before the server has answered where a session of before allows it, else first thing after the handshake. Whoever is
   * between can send it to the server again: only for what may be done twice.
   */
  readonly earlyData?: Uint8Array | undefined;
  /** How long the handshake may take, beside what `timeoutMs` leaves. Default 120000; 0: any time. */
  readonly handshakeTimeoutMs?: number | undefined;
  /** Gets the connection's secrets, one line of an NSS key log (RFC 9850) at a time. */
  readonly keylog?: ((line: string) => void) | undefined;
}

/** TLS options that were looked at: what a handshake needs, but the time and the randomness. */
export interface TlsSettings extends Omit<TlsOptions, 'unixTimeMs' | 'random'> {
  readonly requestOCSP: boolean;
  /** 0: any time. */
  readonly handshakeTimeoutMs: number;
  /** To be resumed first; null: none was given. */
  readonly session: TlsSession | null;
  readonly trusted: TrustStore;
  /** null: the names of the certificate decide. */
  readonly identity: IdentityVerifier | null;
}

/** As long as Node lets its servers take for a handshake. */
const HANDSHAKE_TIMEOUT_MS = 120_000;

/** Where a connection goes, as far as TLS is concerned. */
export interface TlsTarget {
  readonly host: string;
  readonly port: number;
  /** Used unless the options say otherwise. */
  readonly sessions: SessionStore;
}

/**
 * @throws NetError ARGUMENT_INVALID when `ca` or `cert` hold no certificate, `key` is not theirs, no version or suite is left, or the
 * system's roots cannot be read
 */
export function tlsSettings(options: TlsConnectOptions, target: TlsTarget): TlsSettings {
  const { rejectUnauthorized = true, fallback = false, cipherSuites, maxVersion = 'TLSv1.3' } = options;
  const { minVersion = fallback ? 'TLSv1' : 'TLSv1.2' } = options;
  // '' is what agents of node:https give for an address
  const name = options.servername || target.host;
  const roots = rootsOf(options.ca);
  const lists = listsOf(options.crl);
  // '' is also what domainToASCII gives for what is no name in URLs, as host.0
  const serverName = isIP(name) === 0 ? domainToASCII(name) || name : name;
  const chainVerifier = sharedVerifier(roots.store, lists, {
    legacy: fallback,
    requireRevocationLists: lists !== null,
    ...transparencyOf(options),
  });
  const { checkServerIdentity } = options;
  const identity =
    checkServerIdentity === undefined
      ? null
      : new IdentityVerifier(chainVerifier, roots.store, serverName, checkServerIdentity);
  const verifier = identity ?? chainVerifier;
  checkVersions(minVersion, maxVersion, fallback);
  checkSuites(cipherSuites ?? [], fallback);
  const credentials = credentialsOf(options);
  const { sessions = target.sessions, keylog } = options;
  // what was accepted unseen must never pass for verified
  const policy = rejectUnauthorized ? roots.name : `${roots.name}, not required`;
  return {
    requestOCSP: options.requestOCSP ?? false,
    session: options.session === undefined ? null : readSession(options.session),
    handshakeTimeoutMs: checkMs('tls.handshakeTimeoutMs', options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS),
    serverName,
    trusted: roots.store,
    identity,
    verifier: rejectUnauthorized ? verifier : new TrustedSiteVerifier(verifier),
    alpn: options.alpnProtocols ?? [],
    minVersion,
    maxVersion,
    fallback,
    ...(cipherSuites === undefined ? {} : { cipherSuites }),
    ...(credentials === null ? {} : { credentials }),
    ...(sessions === false ? {} : { sessions: { store: sessions, port: target.port, policy } }),
    ...(options.tuning === undefined ? {} : { tuning: options.tuning }),
    ...(keylog === undefined ? {} : { keyLog: keylog }),
    ...(options.earlyData === undefined ? {} : { earlyData: options.earlyData }),
  };
}

/** @throws NetError ARGUMENT_INVALID when the bytes are no session of ours */
export function readSession(bytes: Uint8Array): TlsSession {
  const session = decodeSession(bytes);
  if (session === null) throw invalid('tls.session is no session that tunwire has given');
  return session;
}

/** Trusted roots and what names them in the key of a session. */
interface Roots {
  readonly store: TrustStore;
  readonly name: string;
}

const storeNames = new WeakMap<TrustStore, string>();

function rootsOf(ca: TlsConnectOptions['ca']): Roots {
  if (ca === undefined) return { store: systemRoots(), name: 'system' };
  if (ca instanceof TrustStore) return { store: ca, name: nameOf(ca) };
  const store = new TrustStore();
  const hash = createHash('sha256');
  for (const one of typeof ca === 'string' || ca instanceof Uint8Array ? [ca] : ca) {
    addTo(store, one);
    hash.update(`${one.length} `).update(one);
  }
  if (store.size > 0) return { store, name: `sha256 ${hash.digest('hex')}` };
  throw invalid(`tls.ca holds no certificate${store.problems[0] ? `: ${store.problems[0].reason}` : ''}`);
}

/** By the digest of what they were made of, so that connections share the chains that were accepted. */
const knownLists = new Map<string, RevocationLists>();
/** Different sets of lists kept; a process uses one or two. */
const MAX_KNOWN_LISTS = 16;

function listsOf(crl: TlsConnectOptions['crl']): RevocationLists | null {
  if (crl === undefined) return null;
  const files = typeof crl === 'string' || crl instanceof Uint8Array ? [crl] : crl;
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file.length} `).update(file);
  const key = hash.digest('hex');
  let lists = knownLists.get(key);
  if (lists === undefined) {
    lists = readOr('tls.crl', () => RevocationLists.fromFiles(files));
    if (knownLists.size === MAX_KNOWN_LISTS) knownLists.clear();
    knownLists.set(key, lists);
  }
  return lists;
}

function transparencyOf({ timestampLogs = [], minTimestamps }: TlsConnectOptions): TimestampRules {
  try {
    return timestampRules(timestampLogs, minTimestamps);
  } catch (error) {
    if (error instanceof RangeError) throw invalid(`tls.minTimestamps: ${error.message}`, error);
    throw invalid(`tls.timestampLogs cannot be read: ${messageOf(error)}`, error);
  }
}

function nameOf(store: TrustStore): string {
  let name = storeNames.get(store);
  if (name === undefined) {
    name = `store ${randomUUID()}`;
    storeNames.set(store, name);
  }
  return name;
}

function systemRoots(): TrustStore {
  try {
    return loadSystemRoots();
  } catch (error) {
    throw invalid(messageOf(error), error);
  }
}

function addTo(store: TrustStore, ca: string | Uint8Array): void {
  if (typeof ca === 'string') store.addPem(ca);
  // a DER certificate is a SEQUENCE of more than 255 octets (X.690 §8.1.3.5); PEM is text
  else if (ca[0] === 0x30 && ca[1] === 0x82) store.add(new Uint8Array(ca));
  else store.addPem(textOf(ca));
}

function checkVersions(minVersion: TlsVersion, maxVersion: TlsVersion, fallback: boolean): void {
  // callers without types name versions that nobody knows
  const unknown = [minVersion, maxVersion].find((version) => !TLS_VERSIONS.includes(version));
  if (unknown !== undefined) throw invalid(`TLS versions are ${TLS_VERSIONS.join(', ')}, got '${unknown}'`);
  if (minVersion > maxVersion) throw invalid(`no TLS version from ${minVersion} to ${maxVersion}`);
  if (minVersion < 'TLSv1.2' && !fallback) throw invalid(`'${minVersion}' takes tls.fallback: true`);
}

function checkSuites(names: readonly string[], fallback: boolean): void {
  for (const name of names) {
    const suite = CIPHER_SUITES.find((each) => each.name === name);
    if (suite === undefined) throw invalid(`tls.cipherSuites: no cipher suite '${name}'`);
    if (suite.offered === 'fallback' && !fallback) throw invalid(`'${name}' takes tls.fallback: true`);
  }
}

function credentialsOf({ cert, key, pfx, passphrase }: TlsConnectOptions): ClientCredentials | null {
  const password = passphrase ?? null;
  if (pfx !== undefined) return readOr('tls.pfx', () => readCredentials(pfx, { password }));
  if (cert === undefined && key === undefined) return null;
  if (cert === undefined || key === undefined) throw invalid('tls.cert and tls.key need each other');
  const blocks = readPem(textOf(cert)).filter((block) => block.label === 'CERTIFICATE');
  const broken = blocks.find((block) => block.problem !== '');
  if (broken !== undefined) throw invalid(`tls.cert, line ${broken.line}: ${broken.problem}`);
  const chain = blocks.map((block) => block.bytes);
  const [leaf] = chain;
  if (leaf === undefined) throw invalid('tls.cert holds no certificate');
  if (typeof key === 'function') return { chain, key };
  const privateKey = readOr('tls.key', () =>
    key instanceof KeyObject ? key : readPrivateKey(key, password),
  );
  const certificate = readOr('tls.cert', () => new X509Certificate(leaf));
  if (privateKey.type !== 'private') throw invalid(`tls.key is a ${privateKey.type} key`);
  if (!certificate.checkPrivateKey(privateKey)) {
    throw invalid("tls.key is not the key of tls.cert's first certificate");
  }
  return { chain, key: privateKey };
}

function readOr<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof CredentialsError && error.fault === 'password') {
      const detail = `${name}: ${error.message}`;
      throw new NetError('CREDENTIALS_PASSWORD', { phase: Phase.Argument, detail, cause: error });
    }
    throw invalid(`${name} cannot be read: ${messageOf(error)}`, error);
  }
}

function textOf(pem: string | Uint8Array): string {
  return typeof pem === 'string' ? pem : new TextDecoder('latin1').decode(pem);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function invalid(detail: string, cause?: unknown): NetError {
  return new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail,
    ...(cause === undefined ? {} : { cause }),
  });
}
