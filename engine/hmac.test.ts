import { createHmac } from 'node:crypto';
import { hexToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { fc } from '../test/properties.ts';
import { openSslHmac } from './hmac.ts';

test('RFC 4231 §4.3: test case 2', (t) => {
  const [key, data] = [Buffer.from('Jefe'), Buffer.from('what do ya want for nothing?')];
  t.deepEqual(
    openSslHmac('sha256', key, data),
    hexToBytes('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'),
  );
  t.deepEqual(
    openSslHmac('sha384', key, data),
    hexToBytes(
      'af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649',
    ),
  );
});

for (const [algorithm, blockBytes] of [
  ['sha256', 64],
  ['sha384', 128],
] as const) {
  test(`${algorithm}: as node:crypto, by turns with keys and messages of all lengths`, (t) => {
    const property = fc.property(
      fc.uint8Array({ maxLength: blockBytes, size: 'max' }),
      fc.uint8Array({ maxLength: 640, size: 'max' }),
      (key, message) => {
        const expected = createHmac(algorithm, key).update(message).digest();
        t.deepEqual([...openSslHmac(algorithm, key, message)!], [...expected]);
      },
    );
    fc.assert(property, { numRuns: 200 });
  });

  test(`${algorithm}: longer keys and messages, and other hashes, are left to others`, (t) => {
    t.not(openSslHmac(algorithm, new Uint8Array(blockBytes), new Uint8Array(640)), null);
    t.is(openSslHmac(algorithm, new Uint8Array(blockBytes + 1), new Uint8Array(1)), null);
    t.is(openSslHmac(algorithm, new Uint8Array(1), new Uint8Array(641)), null);
    t.is(openSslHmac('md5', new Uint8Array(1), new Uint8Array(1)), null);
  });
}
