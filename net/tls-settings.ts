import { createHash, createPrivateKey, KeyObject, randomUUID, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { loadSystemRoots } from '../drivers/system-roots.ts';
import type { TlsOptions } from '../engine/tls-handshake.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { ClientCredentials, SessionStore, TlsVersion } from '../tls/client.ts';
import { ChainVerifier, TrustedSiteVerifier } from '../tls/x509/chain-verifier.ts';
import { readPem } from '../tls/x509/pem.ts';
import { TrustStore } from '../tls/x509/trust-store.ts';

/** How TLS is to be spoken; the names are those of `tls.connect`. */
export interface TlsConnectOptions {
  /** The name the certificate must be for, and that the server is told. Default: the host. */
  readonly servername?: string | undefined;
  /** Trusted roots in place of the system's: PEM text, PEM or DER bytes, several of them, or a store made once. */
  readonly ca?: string | Uint8Array | TrustStore | readonly (string | Uint8Array)[] | undefined;
  /** false: go on whatever the certificate is worth; `authorized` and `authorizationError` say. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
  /** Application protocols in the order of preference (ALPN). */
  readonly alpnProtocols?: readonly string[] | undefined;
  /** 'TLSv1.2' or 'TLSv1.3'. Default 'TLSv1.2'. */
  readonly minVersion?: TlsVersion | undefined;
  /** 'TLSv1.2' or 'TLSv1.3'. Default 'TLSv1.3'. */
  readonly maxVersion?: TlsVersion | undefined;
  /** What to prove oneself with when the server asks: PEM, the own certificate first, then those of its issuers. */
  readonly cert?: string | Uint8Array | undefined;
  /** The private key of `cert`: PEM without a passphrase, or a key of node:crypto. */
  readonly key?: string | Uint8Array | KeyObject | undefined;
  /**
   * Where sessions are looked for and kept, to be resumed by later connections to the same host and port with the same roots,
   * protocols and certificate. Default: in memory, one store for each stack and thread; false: nowhere, each handshake is a full one.
   */
  readonly sessions?: SessionStore | false | undefined;
  /** Gets the connection's secrets, one line of an NSS key log (RFC 9850) at a time. */
  readonly keylog?: ((line: string) => void) | undefined;
}

/** TLS options that were looked at: what a handshake needs, but the time and the randomness. */
export type TlsSettings = Omit<TlsOptions, 'unixTimeMs' | 'random'>;

/** Where a connection goes, as far as TLS is concerned. */
export interface TlsTarget {
  readonly host: string;
  readonly port: number;
  /** Used unless the options say otherwise. */
  readonly sessions: SessionStore;
}

const VERSIONS: readonly string[] = ['TLSv1.2', 'TLSv1.3'] satisfies TlsVersion[];

/**
 * @throws NetError ARGUMENT_INVALID when `ca` or `cert` hold no certificate, `key` is not theirs, no version is left, or the
 * system's roots cannot be read
 */
export function tlsSettings(options: TlsConnectOptions, target: TlsTarget): TlsSettings {
  const { rejectUnauthorized = true, minVersion = 'TLSv1.2', maxVersion = 'TLSv1.3' } = options;
  const name = options.servername ?? target.host;
  const roots = rootsOf(options.ca);
  const verifier = verifierOf(roots.store);
  checkVersions(minVersion, maxVersion);
  const credentials = credentialsOf(options);
  const { sessions = target.sessions, keylog } = options;
  // what was accepted unseen must never pass for verified
  const policy = rejectUnauthorized ? roots.name : `${roots.name}, not required`;
  return {
    serverName: isIP(name) === 0 ? domainToASCII(name) : name,
    verifier: rejectUnauthorized ? verifier : new TrustedSiteVerifier(verifier),
    alpn: options.alpnProtocols ?? [],
    minVersion,
    maxVersion,
    ...(credentials === null ? {} : { credentials }),
    ...(sessions === false ? {} : { sessions: { store: sessions, port: target.port, policy } }),
    ...(keylog === undefined ? {} : { keyLog: keylog }),
  };
}

/** Trusted roots and what names them in the key of a session. */
interface Roots {
  readonly store: TrustStore;
  readonly name: string;
}

/** Verifiers remember the chains that they accepted: one per set of roots. */
const verifiers = new WeakMap<TrustStore, ChainVerifier>();
const storeNames = new WeakMap<TrustStore, string>();

function verifierOf(roots: TrustStore): ChainVerifier {
  let verifier = verifiers.get(roots);
  if (verifier === undefined) {
    verifier = new ChainVerifier(roots);
    verifiers.set(roots, verifier);
  }
  return verifier;
}

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

function checkVersions(minVersion: TlsVersion, maxVersion: TlsVersion): void {
  // callers without types name versions that Node still knows
  const unknown = [minVersion, maxVersion].find((version) => !VERSIONS.includes(version));
  if (unknown !== undefined) throw invalid(`TLS versions are ${VERSIONS.join(' and ')}, got '${unknown}'`);
  if (minVersion > maxVersion) throw invalid(`no TLS version from ${minVersion} to ${maxVersion}`);
}

function credentialsOf({ cert, key }: TlsConnectOptions): ClientCredentials | null {
  if (cert === undefined && key === undefined) return null;
  if (cert === undefined || key === undefined) throw invalid('tls.cert and tls.key need each other');
  const blocks = readPem(textOf(cert)).filter((block) => block.label === 'CERTIFICATE');
  const broken = blocks.find((block) => block.problem !== '');
  if (broken !== undefined) throw invalid(`tls.cert, line ${broken.line}: ${broken.problem}`);
  const chain = blocks.map((block) => block.bytes);
  const [leaf] = chain;
  if (leaf === undefined) throw invalid('tls.cert holds no certificate');
  const privateKey = readOr('tls.key', () =>
    key instanceof KeyObject ? key : createPrivateKey(textOf(key)),
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
