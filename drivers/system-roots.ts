import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { RevocationLists } from '../tls/x509/revocation-lists.ts';
import { TrustStore } from '../tls/x509/trust-store.ts';

/** Where distributions keep all their roots in one file; the first that exists counts. */
const BUNDLES: readonly string[] = [
  '/etc/ssl/certs/ca-certificates.crt', // Debian, Ubuntu, Arch, Alpine
  '/etc/pki/tls/certs/ca-bundle.crt', // Fedora, RHEL
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', // CentOS, RHEL 7 and later
  '/etc/ssl/ca-bundle.pem', // openSUSE
  '/etc/ssl/cert.pem', // Alpine, macOS, BSD
];

/** A store that was read, as long as the files are what they were. */
interface CachedStore {
  readonly stamp: string;
  readonly store: TrustStore;
}

const cache = new Map<string, CachedStore>();
/** Different files and directories kept; a process uses one or two. */
const MAX_CACHED = 16;

/** Read once: Node's roots do not change. */
let bundled: TrustStore | null = null;

/**
 * The roots that this machine trusts. `SSL_CERT_FILE` and `SSL_CERT_DIR` (a list separated by colons), where set, take
 * the place of the system's, as in OpenSSL. Without any, the roots that come with Node are used. The result is cached until
 * one of the files changes; do not add to it.
 * @throws Error when a path that the environment names cannot be read or holds no certificate
 */
export function loadSystemRoots(env: Readonly<Record<string, string | undefined>> = process.env): TrustStore {
  const file = env['SSL_CERT_FILE'] ?? '';
  const directories = (env['SSL_CERT_DIR'] ?? '').split(':').filter((path) => path !== '');
  const named = [...(file === '' ? [] : [file]), ...directories];
  if (named.length > 0) return loadAll(named);
  const bundle = systemBundle('/');
  if (bundle !== null) return loadAll([bundle]);
  bundled ??= TrustStore.fromPem(rootCertificates.join('\n'));
  return bundled;
}

/** The file with all the roots of the system below a directory, or null. */
export function systemBundle(root: string): string | null {
  const paths = BUNDLES.map((path) => join(root, path));
  return paths.find((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true) ?? null;
}

/**
 * The certificates of a PEM file, of one DER file, or of all files of a directory (of which those without certificates are
 * passed over). The result is cached until a file changes; do not add to it.
 * @throws Error when the path cannot be read or holds no certificate
 */
export function loadRoots(path: string): TrustStore {
  return loadAll([path]);
}

let lists: { readonly path: string; readonly stamp: string; readonly lists: RevocationLists } | null = null;

/**
 * The certificate revocation lists of a file, in PEM or DER. The last file's are cached until it changes.
 * @throws Error when it cannot be read, holds no list or one that cannot be used
 */
export function loadRevocationLists(path: string): RevocationLists {
  const { mtimeMs, size, ino } = statSync(path);
  const stamp = `${mtimeMs} ${size} ${ino}`;
  if (lists?.path !== path || lists.stamp !== stamp) {
    lists = { path, stamp, lists: RevocationLists.fromFiles([new Uint8Array(readFileSync(path))]) };
  }
  return lists.lists;
}

function loadAll(paths: readonly string[]): TrustStore {
  const files = paths.flatMap(filesOf);
  const stamp = files.map((file) => `${file.path} ${file.stamp}`).join('\n');
  const key = paths.join('\n');
  const known = cache.get(key);
  if (known !== undefined && known.stamp === stamp) return known.store;
  const store = new TrustStore();
  for (const file of files) addFile(store, file.path);
  if (store.size === 0) {
    const [problem] = store.problems;
    const detail = problem === undefined ? '' : `: the first one given is broken (${problem.reason})`;
    throw new Error(`no certificate in ${paths.join(', ')}${detail}`);
  }
  cache.delete(key);
  if (cache.size === MAX_CACHED) cache.clear();
  cache.set(key, { stamp, store });
  return store;
}

interface RootFile {
  readonly path: string;
  /** Changes with the contents. */
  readonly stamp: string;
}

function filesOf(path: string): RootFile[] {
  try {
    const stat = statSync(path);
    if (!stat.isDirectory()) return [{ path, stamp: `${stat.mtimeMs} ${stat.size} ${stat.ino}` }];
  } catch (error) {
    throw cannotRead(path, error);
  }
  try {
    // Directories of OpenSSL hold every certificate twice, under its name and its hash: the store keeps one. Links whose
    // target is gone are passed over, as are the directories below.
    return readdirSync(path)
      .sort()
      .map((name) => join(path, name))
      .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile() === true)
      .flatMap(filesOf);
  } catch (error) {
    throw cannotRead(path, error);
  }
}

function addFile(store: TrustStore, path: string): void {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw cannotRead(path, error);
  }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  // A DER certificate starts with a SEQUENCE of more than 255 octets; no PEM file starts with these two characters.
  if (text.startsWith('0\x82')) store.add(new Uint8Array(bytes));
  else store.addPem(text);
}

function cannotRead(path: string, error: unknown): Error {
  const code = (error as NodeJS.ErrnoException).code;
  const why =
    code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'no permission' : String(code ?? error);
  return new Error(`cannot read the trusted certificates of ${path}: ${why}`, { cause: error });
}
