import test from 'ava';
import * as t from '../testing/certificates.ts';
import { concat, nothing } from '../testing/der-writer.ts';
import { TrustStore } from './trust-store.ts';

const a = t.issueCa('A');
const b = t.issueCa('B');

test('comments, other blocks, duplicates and line ends of any kind', (x) => {
  const text = [
    '# a comment\n=== A ===\n',
    a.pem.replaceAll('\n', '\r\n'),
    '\ufeff text: -----BEGIN nothing\n',
    t.toPem(Uint8Array.of(1, 2, 3), 'PRIVATE KEY'),
    t.toPem(concat(b.der, nothing()), 'TRUSTED CERTIFICATE'),
    a.pem,
    t.toPem(a.der, 'X509 CERTIFICATE'),
  ].join('');
  const store = TrustStore.fromPem(text);
  x.is(store.size, 2);
  x.deepEqual(store.problems, []);
});

test('a broken block is told and does not spoil the others', (x) => {
  const text = [
    t.toPem(a.der.subarray(0, 50)), // 1
    a.pem.replace('MII', 'M*I'), // 2
    a.pem.replace(/-----END.*\n/, ''), // 3
    b.pem, // 4
    a.pem.replace('END CERTIFICATE', 'END KEY'), // 5
    '-----BEGIN CERTIFICATE-----\n', // 6
  ].join('');
  const store = TrustStore.fromPem(text);
  x.is(store.size, 1);
  x.deepEqual(
    store.problems.map(({ index, reason }) => [index, reason]),
    [
      [1, 'element longer than what holds it'],
      [2, 'not base64'],
      [3, 'no END line before the next block'],
      [5, 'ends as "-----END KEY-----"'],
      [6, 'no END line'],
    ],
  );
  x.is(store.problems[0]!.line, 1);
  x.true(text.split('\n')[store.problems[1]!.line - 1]!.includes('BEGIN'));
});

test('DER is added one by one', (x) => {
  const store = new TrustStore();
  x.true(store.add(a.der));
  x.true(store.add(Uint8Array.from(a.der)), 'a duplicate is no problem');
  x.false(store.add(Uint8Array.of(0x30, 0)));
  x.is(store.size, 1);
  x.is(store.problems.length, 1);
});

test('an empty text is an empty store', (x) => {
  x.is(TrustStore.fromPem('').size, 0);
});
