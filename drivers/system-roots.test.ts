import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import * as t from '../tls/testing/certificates.ts';
import { TrustStore } from '../tls/x509/trust-store.ts';
import { loadRoots, loadSystemRoots, systemBundle } from './system-roots.ts';

const a = t.issueCa('A');
const b = t.issueCa('B');

function directory(x: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'tunwire-roots-'));
  x.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

test('a PEM file, a DER file, a directory of both', (x) => {
  const at = directory(x);
  writeFileSync(join(at, 'two.pem'), `${a.pem}${b.pem}`);
  writeFileSync(join(at, 'a.der'), a.der);
  writeFileSync(join(at, 'README'), 'nothing here');
  mkdirSync(join(at, 'sub'));
  symlinkSync('two.pem', join(at, '0123abcd.0'));
  symlinkSync('gone.pem', join(at, '4567abcd.0'));
  x.is(loadRoots(join(at, 'two.pem')).size, 2);
  x.is(loadRoots(join(at, 'a.der')).size, 1);
  x.is(loadRoots(at).size, 2);
  x.deepEqual(loadRoots(at).problems, []);
});

test('what cannot be used is told', (x) => {
  const at = directory(x);
  writeFileSync(join(at, 'empty.pem'), '# nothing');
  writeFileSync(join(at, 'broken.pem'), t.toPem(a.der.subarray(0, 40)));
  x.throws(() => loadRoots(join(at, 'missing.pem')), {
    message: /cannot read .*missing\.pem: no such file$/,
  });
  x.throws(() => loadRoots(join(at, 'empty.pem')), { message: /^no certificate in .*empty\.pem$/ });
  x.throws(() => loadRoots(join(at, 'broken.pem')), {
    message: /the first one given is broken \(element longer/,
  });
});

test('a file is read once, until it changes', (x) => {
  const path = join(directory(x), 'roots.pem');
  writeFileSync(path, a.pem);
  const first = loadRoots(path);
  x.is(loadRoots(path), first);
  writeFileSync(path, b.pem + a.pem);
  utimesSync(path, 1, 1);
  x.is(loadRoots(path).size, 2);
});

test('the environment takes the place of the system', (x) => {
  const at = directory(x);
  writeFileSync(join(at, 'a.pem'), a.pem);
  mkdirSync(join(at, 'more'));
  writeFileSync(join(at, 'more', 'b.pem'), b.pem);
  x.is(loadSystemRoots({ SSL_CERT_FILE: join(at, 'a.pem') }).size, 1);
  x.is(loadSystemRoots({ SSL_CERT_DIR: `${join(at, 'more')}:${at}` }).size, 2);
  x.is(loadSystemRoots({ SSL_CERT_FILE: join(at, 'a.pem'), SSL_CERT_DIR: join(at, 'more') }).size, 2);
  x.throws(() => loadSystemRoots({ SSL_CERT_FILE: join(at, 'missing') }), { message: /no such file/ });
});

test('the roots of Debian and of Fedora are found where those have them', (x) => {
  const at = directory(x);
  x.is(systemBundle(at), null);
  for (const path of ['etc/pki/tls/certs/ca-bundle.crt', 'etc/ssl/certs/ca-certificates.crt']) {
    const file = join(at, path);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, a.pem);
    x.is(systemBundle(at), file);
    x.is(loadRoots(file).size, 1);
  }
});

test('without the environment there are roots on every machine', (x) => {
  const store = loadSystemRoots({});
  x.true(store.size > 0);
  x.is(loadSystemRoots({}), store);
});

test('the reader is not too strict for any root that Node trusts', (x) => {
  const store = TrustStore.fromPem(rootCertificates.join('\n'));
  x.deepEqual(store.problems, []);
  x.is(store.size, new Set(rootCertificates).size);
});
