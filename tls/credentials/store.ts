import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { ClientCredentials, Signer } from '../handshake/client-credentials.ts';
import { readPem } from '../x509/pem.ts';
import { CredentialsError } from './errors.ts';
import { looksLikePkcs12, readPkcs12 } from './pkcs12.ts';
import { readPrivateKey } from './private-key.ts';

/** A certificate as a store holds it. */
export interface StoredCertificate {
  readonly der: Uint8Array;
  /** The name that its owner gave it; null: none. */
  readonly friendlyName: string | null;
  /** Ties it to its key (RFC 7292); null: nothing does. */
  readonly localKeyId: string | null;
}

/** A private key as a store holds it. */
export interface StoredKey {
  readonly key: KeyObject;
  readonly friendlyName: string | null;
  readonly localKeyId: string | null;
}

/** How a store is read. */
export interface StoreOptions {
  /** Of the store, and of an encrypted key in it or beside it. Default: none. */
  readonly password?: string | null;
  /**
   * The certificate to use, where there are several: its friendly name, or the common name, a DNS name or the whole subject in it;
   * in any letter case. Default: the first one with a key.
   */
  readonly name?: string | null;
  /** A private key that is kept apart: PEM or DER. Default: it is in the store. */
  readonly key?: string | Uint8Array | null;
  /** Signs with a key that this process does not have: only the certificate is looked for. Default: none. */
  readonly signer?: Signer | null;
}

/**
 * Finds credentials in a store: a PKCS#12 file, a PEM text with certificates and, if it is not kept apart, the key, or one DER
 * certificate. The certificates of the issuers go along when the store has them.
 *
 * @throws CredentialsError password, broken, missing
 *
 * @example
 * const credentials = readCredentials(readFileSync('client.p12'), { password: 'secret' });
 */
export function readCredentials(data: Uint8Array, options: StoreOptions = {}): ClientCredentials {
  const password = options.password ?? null;
  const store = looksLikePkcs12(data)
    ? readPkcs12(data, password)
    : readPlain(data, password, options.key ?? null, options.signer == null);
  const keys =
    options.key && looksLikePkcs12(data)
      ? [readPrivateKey(options.key, password)]
      : store.keys.map((each) => each.key);
  const { certificates } = store;
  if (certificates.length === 0)
    throw new CredentialsError('missing', 'there is no certificate in the store');
  const wanted = options.name
    ? certificates.filter((each) => hasName(each, options.name ?? ''))
    : certificates;
  if (wanted.length === 0) {
    const names = certificates.map((each) => each.friendlyName ?? subjectOf(each)).join('; ');
    throw new CredentialsError(
      'missing',
      `there is no certificate named '${options.name}' in the store; it has: ${names}`,
    );
  }
  const [first] = wanted;
  if (options.signer && first !== undefined)
    return { chain: chainFrom(first, certificates), key: options.signer };
  for (const each of wanted) {
    const key = keys.find((candidate) => belongsTo(candidate, each));
    if (key !== undefined) return { chain: chainFrom(each, certificates), key };
  }
  throw new CredentialsError(
    keys.length === 0 ? 'missing' : 'broken',
    keys.length === 0 ? 'there is no private key in the store' : "the private key is not the certificate's",
  );
}

function readPlain(
  data: Uint8Array,
  password: string | null,
  key: string | Uint8Array | null,
  readsKeys: boolean,
): { certificates: readonly StoredCertificate[]; keys: readonly StoredKey[] } {
  const text = Buffer.from(data).toString('latin1');
  const isPem = text.includes('-----BEGIN ');
  const certificates = isPem ? certificatesIn(text) : [certificate(data)];
  const source = key ?? (isPem && readsKeys && text.includes('PRIVATE KEY-----') ? text : null);
  const keys =
    source === null ? [] : [{ key: readPrivateKey(source, password), friendlyName: null, localKeyId: null }];
  return { certificates, keys };
}

function certificatesIn(pem: string): StoredCertificate[] {
  const blocks = readPem(pem).filter((block) => block.label.endsWith('CERTIFICATE'));
  return blocks.map((block) => {
    if (block.problem !== '')
      throw new CredentialsError('broken', `the certificate in line ${block.line}: ${block.problem}`);
    return certificate(block.bytes);
  });
}

function certificate(der: Uint8Array): StoredCertificate {
  try {
    return { der: new Uint8Array(new X509Certificate(der).raw), friendlyName: null, localKeyId: null };
  } catch (cause) {
    throw new CredentialsError(
      'broken',
      'the store is neither PKCS#12 nor PEM, nor a certificate in DER',
      cause,
    );
  }
}

function hasName(stored: StoredCertificate, name: string): boolean {
  const wanted = name.toLowerCase();
  if (stored.friendlyName?.toLowerCase() === wanted) return true;
  const parsed = new X509Certificate(stored.der);
  const subject = parsed.subject?.split('\n') ?? [];
  const dnsNames = (parsed.subjectAltName ?? '').split(', ').filter((each) => each.startsWith('DNS:'));
  return [
    subject.join(', '),
    ...subject.filter((part) => part.startsWith('CN=')).map((part) => part.slice(3)),
    ...dnsNames.map((each) => each.slice(4)),
  ].some((each) => each.toLowerCase() === wanted);
}

function subjectOf(stored: StoredCertificate): string {
  return (new X509Certificate(stored.der).subject ?? '').split('\n').join(', ');
}

function belongsTo(key: KeyObject, stored: StoredCertificate): boolean {
  return createPublicKey(key).equals(new X509Certificate(stored.der).publicKey);
}

/** The certificate, then its issuers as far as the store has them; a root stays at home (RFC 8446 §4.4.2). */
function chainFrom(first: StoredCertificate, all: readonly StoredCertificate[]): Uint8Array[] {
  const chain = [first.der];
  let last = new X509Certificate(first.der);
  for (;;) {
    const next = all.map((each) => new X509Certificate(each.der)).find((each) => last.checkIssued(each));
    if (next === undefined || last.checkIssued(last) || next.checkIssued(next)) return chain;
    if (chain.some((der) => next.raw.equals(der))) return chain;
    chain.push(new Uint8Array(next.raw));
    last = next;
  }
}
