// needs: openssl certtool
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { issue, issueCa, type KeyType, type TestCertificate } from '../testing/certificates.ts';
import { CredentialsError } from './errors.ts';
import { readCredentials, type StoreOptions } from './store.ts';

const root = issueCa('Root of the tests');
const middle = issueCa('Issuer of the tests', { issuer: root });

interface Files {
  readonly folder: string;
  readonly leaf: TestCertificate;
  path(name: string): string;
  read(name: string): Buffer;
  openssl(...args: string[]): void;
}

/** A folder with leaf.pem, leaf.key and chain.pem. */
function setup(t: ExecutionContext, key: KeyType): Files {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-store-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const leaf = issue({ subject: 'Client 7', issuer: middle, key });
  const path = (name: string): string => join(folder, name);
  writeFileSync(path('leaf.pem'), leaf.pem);
  writeFileSync(path('leaf.key'), leaf.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(path('chain.pem'), middle.pem + root.pem);
  return {
    folder,
    leaf,
    path,
    read: (name) => readFileSync(path(name)),
    openssl: (...args) => void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' }),
  };
}

function isOurs(
  t: ExecutionContext,
  { leaf }: Files,
  data: Uint8Array,
  options: StoreOptions,
  chain = 2,
): void {
  const credentials = readCredentials(data, options);
  t.deepEqual(
    credentials.chain.map((der) => Buffer.from(der).toString('hex')),
    [leaf.der, middle.der].slice(0, chain).map((der) => Buffer.from(der).toString('hex')),
  );
  t.true(typeof credentials.key !== 'function' && credentials.key.equals(leaf.privateKey));
}

function fault(t: ExecutionContext, data: Uint8Array, options: StoreOptions = {}): string {
  return t.throws(() => readCredentials(data, options), { instanceOf: CredentialsError })?.fault ?? '';
}

const exportPfx = [
  'pkcs12',
  '-export',
  '-in',
  'leaf.pem',
  '-inkey',
  'leaf.key',
  '-certfile',
  'chain.pem',
  '-name',
  'My client',
];

/** What PKCS#12 files were protected with until OpenSSL 3. */
const OLD_CIPHERS = [
  ...['-legacy', '-keypbe', 'PBE-SHA1-3DES'],
  ...['-certpbe', 'PBE-SHA1-RC2-40', '-macalg', 'sha1'],
];

for (const key of ['rsa2048', 'p256', 'p384', 'ed25519'] as const) {
  test(`PKCS#12 of OpenSSL with a key of type ${key}: as it comes, and in the old ciphers`, (t) => {
    const files = setup(t, key);
    files.openssl(...exportPfx, '-out', 'new.p12', '-passout', 'pass:geheim é');
    isOurs(t, files, files.read('new.p12'), { password: 'geheim é' });
    isOurs(t, files, files.read('new.p12'), { password: 'geheim é', name: 'my CLIENT' });
    isOurs(t, files, files.read('new.p12'), { password: 'geheim é', name: 'Client 7' });
    t.is(fault(t, files.read('new.p12'), { password: 'falsch' }), 'password');
    t.is(fault(t, files.read('new.p12')), 'password');
    t.is(fault(t, files.read('new.p12'), { password: 'geheim é', name: 'Client 8' }), 'missing');
    t.is(fault(t, files.read('new.p12').subarray(0, 300), { password: 'geheim é' }), 'broken');
    files.openssl(...exportPfx, ...OLD_CIPHERS, '-out', 'old.p12', '-passout', 'pass:geheim');
    isOurs(t, files, files.read('old.p12'), { password: 'geheim' });
    t.is(fault(t, files.read('old.p12'), { password: 'falsch' }), 'password');
    t.is(fault(t, files.read('old.p12').subarray(0, 300), { password: 'geheim' }), 'broken');
    files.openssl(...exportPfx, '-out', 'empty.p12', '-passout', 'pass:');
    isOurs(t, files, files.read('empty.p12'), { password: '' });
    isOurs(t, files, files.read('empty.p12'), {});
  });

  test(`PEM and DER with a key of type ${key}, plain and encrypted, in the file or apart`, (t) => {
    const files = setup(t, key);
    const certificates = Buffer.concat([files.read('chain.pem'), files.read('leaf.pem')]);
    isOurs(t, files, certificates, { key: files.read('leaf.key') });
    isOurs(t, files, Buffer.concat([files.read('leaf.key'), certificates]), {});
    isOurs(t, files, Buffer.from(files.leaf.der), { key: files.read('leaf.key') }, 1);
    t.is(fault(t, certificates), 'missing', 'no key');
    for (const [name, cipher] of Object.entries({
      today: ['-v2', 'aes-256-cbc'],
      old: ['-v1', 'PBE-SHA1-3DES'],
      older: ['-v1', 'PBE-SHA1-RC2-40', '-provider', 'legacy', '-provider', 'default'],
      oldest: ['-v1', 'PBE-MD5-DES', '-provider', 'legacy', '-provider', 'default'],
    })) {
      for (const form of ['PEM', 'DER']) {
        const out = `${name}.${form}`;
        files.openssl(
          'pkcs8',
          '-topk8',
          '-in',
          'leaf.key',
          '-outform',
          form,
          '-out',
          out,
          '-passout',
          'pass:geheim',
          ...cipher,
        );
        if (name === 'oldest') {
          t.is(fault(t, certificates, { key: files.read(out), password: 'geheim' }), 'broken', out);
          continue;
        }
        isOurs(t, files, certificates, { key: files.read(out), password: 'geheim' });
        t.is(fault(t, certificates, { key: files.read(out), password: 'falsch' }), 'password', out);
        t.is(fault(t, certificates, { key: files.read(out) }), 'password', out);
      }
    }
  });
}

test('PKCS#12 of GnuTLS', (t) => {
  const files = setup(t, 'rsa2048');
  for (const cipher of ['aes-256']) {
    const store = [
      '--load-certificate',
      'leaf.pem',
      '--load-privkey',
      'leaf.key',
      '--load-ca-certificate',
      'chain.pem',
    ];
    const secret = ['--password', 'geheim', '--p12-name', 'client', '--pkcs-cipher', cipher];
    execFileSync('certtool', ['--to-p12', '--outder', '--outfile', `${cipher}.p12`, ...store, ...secret], {
      cwd: files.folder,
      stdio: 'pipe',
    });
    isOurs(t, files, files.read(`${cipher}.p12`), { password: 'geheim', name: 'client' });
  }
});

test('keys in their older forms, with the headers of RFC 1421', (t) => {
  const files = setup(t, 'rsa2048');
  files.openssl(
    'rsa',
    '-in',
    'leaf.key',
    '-traditional',
    '-aes128',
    '-out',
    'aes.key',
    '-passout',
    'pass:geheim',
  );
  files.openssl(
    'rsa',
    '-in',
    'leaf.key',
    '-traditional',
    '-des3',
    '-out',
    'des3.key',
    '-passout',
    'pass:geheim',
  );
  files.openssl('rsa', '-in', 'leaf.key', '-traditional', '-outform', 'DER', '-out', 'plain.der');
  for (const key of ['aes.key', 'des3.key']) {
    isOurs(t, files, files.read('leaf.pem'), { key: files.read(key), password: 'geheim' }, 1);
    t.is(fault(t, files.read('leaf.pem'), { key: files.read(key), password: 'falsch' }), 'password');
    t.is(fault(t, files.read('leaf.pem'), { key: files.read(key) }), 'password');
  }
  isOurs(t, files, files.read('leaf.pem'), { key: files.read('plain.der') }, 1);
});

test("another one's key, and what is no store at all", (t) => {
  const files = setup(t, 'p256');
  const other = issue({ subject: 'other', issuer: middle });
  const key = other.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  t.is(fault(t, files.read('leaf.pem'), { key }), 'broken');
  t.is(fault(t, Buffer.from('hello'), { key }), 'broken');
  t.is(fault(t, Buffer.alloc(0), { key }), 'broken');
  t.is(fault(t, Buffer.from('-----BEGIN CERTIFICATE-----\nAAAA\n'), { key }), 'broken');
});

for (const [kind, ciphers] of [
  ['today', []],
  ['RC2 and 3DES', OLD_CIPHERS],
] as const) {
  test(`a PKCS#12 file (${kind}) cut at each byte, or with any byte changed: an error of ours, or what was in it`, (t) => {
    const files = setup(t, 'p256');
    files.openssl(...exportPfx, ...ciphers, '-out', 'a.p12', '-passout', 'pass:geheim', '-iter', '1');
    const whole = files.read('a.p12');
    for (let end = 0; end < whole.length; end++)
      t.is(fault(t, whole.subarray(0, end), { password: 'geheim' }), 'broken', `cut at ${end}`);
    for (let at = 0; at < whole.length; at++) {
      const changed = Uint8Array.from(whole);
      changed[at] = (changed[at] ?? 0) ^ 0x40;
      try {
        readCredentials(changed, { password: 'geheim' });
      } catch (error) {
        if (!(error instanceof CredentialsError)) t.fail(`byte ${at}: ${error}`);
      }
    }
  });
}
