import * as nobleHkdf from '@noble/hashes/hkdf.js';
import { hmac as nobleHmac } from '@noble/hashes/hmac.js';
import * as nobleOld from '@noble/hashes/legacy.js';
import * as nobleSha2 from '@noble/hashes/sha2.js';
import test from 'ava';
import { fc } from '../../test/properties.ts';
import { expand, extract, hmac, md5, sha1, sha256, sha384, sha512 } from './hash.ts';

const PAIRS = [
  [md5, nobleOld.md5],
  [sha1, nobleOld.sha1],
  [sha256, nobleSha2.sha256],
  [sha384, nobleSha2.sha384],
  [sha512, nobleSha2.sha512],
] as const;
const bytes = fc.uint8Array({ maxLength: 300 });

for (const [own, noble] of PAIRS) {
  test(`${own.algorithm}, its HMAC and its HKDF give what another implementation gives`, (t) => {
    t.is(own.outputLen, noble.outputLen);
    fc.assert(
      fc.property(bytes, bytes, fc.integer({ min: 0, max: 400 }), (a, b, length) => {
        t.deepEqual(own(a), noble(a));
        t.deepEqual(hmac(own, a, b), nobleHmac(noble, a, b));
        const secret = nobleHkdf.extract(noble, a, b);
        t.deepEqual(extract(own, a, b), secret);
        if (length > 0)
          t.deepEqual(expand(own, secret, b, length), nobleHkdf.expand(noble, secret, b, length));
      }),
      { numRuns: 50 },
    );
  });

  test(`${own.algorithm}: a clone goes on by itself`, (t) => {
    const [a, b, c] = [new Uint8Array(70).fill(1), new Uint8Array(70).fill(2), new Uint8Array(70).fill(3)];
    const running = own.create().update(a);
    const clone = running.clone().update(b);
    running.update(c);
    t.deepEqual(clone.digest(), noble(Uint8Array.of(...a, ...b)));
    t.deepEqual(running.digest(), noble(Uint8Array.of(...a, ...c)));
  });
}

test('what is given back can be sliced into a copy', (t) => {
  const digest = sha256(new Uint8Array(1));
  const copy = digest.slice();
  digest.fill(0);
  t.not(copy[0], 0);
});

test('HKDF gives no more than 255 digests', (t) => {
  t.throws(() => expand(sha256, new Uint8Array(32), new Uint8Array(0), 255 * 32 + 1), {
    instanceOf: RangeError,
  });
});
