import test from 'ava';
import type { TlsClientOptions } from './client.ts';
import { CIPHER_SUITES, cipherSuiteOf, FALLBACK_SUITES, SUITES_ON_REQUEST } from './keys/suites.ts';
import { testClient } from './testing/client-under-test.ts';
import { clientHelloOf } from './testing/scripted-server.ts';
import { ExtensionType } from './wire/codes.ts';
import { Reader } from './wire/reader.ts';

/** What stands in the first ClientHello. */
function helloOf(options: Partial<TlsClientOptions> = {}) {
  const client = testClient(options);
  client.start();
  const records = client.takeOutgoing()!;
  const hello = clientHelloOf(records);
  const numbers = (type: number, isShort = false): number[] => {
    const content = hello.extensions.get(type);
    if (content === undefined) return [];
    const reader = new Reader(content, 'extension');
    const list = isShort ? reader.vector8('list') : reader.vector16('list');
    const all: number[] = [];
    while (!list.done) all.push(list.u16());
    return all;
  };
  return {
    ...hello,
    lengthBytes: records.length,
    versions: numbers(ExtensionType.SupportedVersions, true),
    schemes: numbers(ExtensionType.SignatureAlgorithms),
    groups: numbers(ExtensionType.SupportedGroups),
    names: hello.cipherSuites.map((id) => cipherSuiteOf(id)?.name ?? `unknown ${id}`),
  };
}

// RFC 5246 §7.4.1.4.1: the first byte is the hash, 1 MD5, 2 SHA-1, 3 SHA-224
const isWeakScheme = (scheme: number): boolean => scheme >> 8 < 4;

for (const [title, options] of [
  ['by default', {}],
  ['with TLS 1.2 alone', { maxVersion: 'TLSv1.2' }],
  ['with TLS 1.3 alone', { minVersion: 'TLSv1.3' }],
] as const) {
  test(`${title} nothing that is weak is offered`, (t) => {
    const hello = helloOf(options);
    t.is(hello.version, 0x0303);
    t.true(hello.versions.every((version) => version >= 0x0303));
    t.true(hello.cipherSuites.length > 0);
    for (const id of hello.cipherSuites) {
      const suite = cipherSuiteOf(id);
      t.is(suite?.offered, 'default');
      t.is(suite?.cipher.kind, 'aead');
      t.true(suite?.keyExchange === 'any' || suite?.keyExchange === 'ecdhe');
    }
    t.deepEqual(hello.schemes.filter(isWeakScheme), []);
    t.false(hello.extensions.has(ExtensionType.EncryptThenMac));
    t.deepEqual([...hello.compression], [0]);
  });
}

test('with fallback all is offered, the strongest first and what is broken last', (t) => {
  const hello = helloOf({ fallback: true });
  t.is(hello.version, 0x0303);
  t.deepEqual(hello.versions, [0x0304, 0x0303, 0x0302, 0x0301]);
  t.deepEqual(
    hello.names,
    CIPHER_SUITES.map(({ name }) => name),
  );
  t.regex(hello.names[0]!, /^TLS_AES_256_GCM/);
  t.deepEqual(hello.names.slice(-4), [
    'TLS_ECDHE_ECDSA_WITH_RC4_128_SHA',
    'TLS_ECDHE_RSA_WITH_RC4_128_SHA',
    'TLS_RSA_WITH_RC4_128_SHA',
    'TLS_RSA_WITH_RC4_128_MD5',
  ]);
  t.deepEqual(hello.schemes.filter(isWeakScheme), [0x0203, 0x0201, 0x0101]);
  t.true(hello.extensions.has(ExtensionType.EncryptThenMac));
  t.true(hello.extensions.has(ExtensionType.RenegotiationInfo));
  t.true(hello.extensions.has(ExtensionType.ExtendedMasterSecret));
  t.deepEqual([...hello.compression], [0]);
  // no post-quantum share, which old devices find too long
  t.deepEqual(hello.groups, [0x001d, 0x0017, 0x0018, 0x0019]);
  t.is(hello.lengthBytes, 5 + 512);
});

test('with fallback no ClientHello has 256 to 511 bytes, to which some old servers never answer', (t) => {
  for (let length = 1; length < 400; length += 3) {
    // labels of 50 bytes make a name as long as one likes
    const serverName = 'a'.repeat(length).replace(/.{50}/g, '$&.').replace(/\.$/, '');
    for (const maxVersion of ['TLSv1', 'TLSv1.2', 'TLSv1.3'] as const) {
      const { message, extensions } = helloOf({ fallback: true, maxVersion, serverName });
      t.true(message.length < 256 || message.length >= 512, `${message.length} bytes`);
      t.true(extensions.get(ExtensionType.Padding)?.every((byte) => byte === 0) ?? true);
    }
  }
  t.false(helloOf({ maxVersion: 'TLSv1.2' }).extensions.has(ExtensionType.Padding));
});

test('no suite without encryption or authentication, for export, or with single DES is known at all', (t) => {
  for (const { name } of CIPHER_SUITES) t.notRegex(name, /NULL|EXPORT|anon|_DES_|RC2|IDEA|PSK|DSS/);
  t.is(new Set(CIPHER_SUITES.map(({ id }) => id)).size, CIPHER_SUITES.length);
});

test('TLS 1.0 alone: its number, its suites, and no extension of later versions', (t) => {
  const hello = helloOf({ fallback: true, maxVersion: 'TLSv1' });
  t.is(hello.version, 0x0301);
  t.deepEqual(hello.versions, []);
  t.deepEqual(hello.schemes, []);
  t.is(hello.sessionId.length, 0);
  for (const id of hello.cipherSuites) t.is(cipherSuiteOf(id)?.version, 'TLSv1');
  t.false(hello.extensions.has(ExtensionType.KeyShare));
});

test('suites are offered in the order in which they are named, those on request without fallback', (t) => {
  const names = SUITES_ON_REQUEST.map(({ name }) => name).reverse();
  const hello = helloOf({ maxVersion: 'TLSv1.2', cipherSuites: names });
  t.deepEqual(hello.names, names);
  t.true(hello.extensions.has(ExtensionType.EncryptThenMac));
  t.deepEqual(hello.schemes.filter(isWeakScheme), []);
  // suites that no offered version has are left out
  const both = ['TLS_AES_128_GCM_SHA256', 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'];
  t.deepEqual(helloOf({ minVersion: 'TLSv1.3', cipherSuites: both }).names, both.slice(0, 1));
  t.deepEqual(helloOf({ maxVersion: 'TLSv1.2', cipherSuites: both }).names, both.slice(1));
});

test('a version that no suite is left for is not offered', (t) => {
  const old = helloOf({ fallback: true, cipherSuites: ['TLS_RSA_WITH_RC4_128_SHA'] });
  t.deepEqual([old.version, old.versions], [0x0303, []]);
  t.false(old.extensions.has(ExtensionType.KeyShare));
  const both = ['TLS_AES_128_GCM_SHA256', 'TLS_RSA_WITH_AES_128_GCM_SHA256'];
  t.deepEqual(helloOf({ fallback: true, cipherSuites: both }).versions, [0x0304, 0x0303]);
  t.deepEqual(helloOf({ cipherSuites: both.slice(0, 1) }).versions, [0x0304]);
});

test('what takes fallback cannot be had without it', (t) => {
  for (const { name } of FALLBACK_SUITES) {
    const client = testClient({ maxVersion: 'TLSv1.2', cipherSuites: [name] });
    t.throws(() => client.start(), { instanceOf: RangeError, message: /only offered with fallback/ });
  }
  for (const minVersion of ['TLSv1', 'TLSv1.1'] as const) {
    t.throws(() => testClient({ minVersion }).start(), {
      instanceOf: RangeError,
      message: /only spoken with fallback/,
    });
  }
  t.throws(() => testClient({ cipherSuites: ['TLS_NULL_WITH_NULL_NULL'] }), { message: /no cipher suite/ });
  t.throws(() => testClient({ cipherSuites: [] }).start(), { message: /no cipher suite is left/ });
});
