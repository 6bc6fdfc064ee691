import { createHash } from 'node:crypto';
import test from 'ava';
import { fc } from '../test/properties.ts';
import { openSslRunningHash } from './running-hash.ts';

for (const algorithm of ['sha256', 'sha384']) {
  test(`${algorithm}: as node:crypto, in pieces, with looks and copies in between, several at once`, (t) => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 300, size: 'max' }), { maxLength: 12 });
    const property = fc.property(pieces, pieces, (one, other) => {
      const [first, second] = [openSslRunningHash(algorithm)!, openSslRunningHash(algorithm)!];
      const expected = [createHash(algorithm), createHash(algorithm)] as const;
      for (let i = 0; i < Math.max(one.length, other.length); i++) {
        for (const [hash, reference, piece] of [
          [first, expected[0], one[i]],
          [second, expected[1], other[i]],
        ] as const) {
          if (piece === undefined) continue;
          hash.update(piece);
          reference.update(piece);
          t.deepEqual([...hash.peek()], [...reference.copy().digest()]);
          const more = hash.clone().update(piece).digest();
          t.deepEqual([...more], [...reference.copy().update(piece).digest()]);
        }
      }
      t.deepEqual([...first.digest()], [...expected[0].digest()]);
      t.deepEqual([...second.digest()], [...expected[1].digest()]);
    });
    fc.assert(property, { numRuns: 50 });
  });

  test(`${algorithm}: messages of any length, in shared memory too`, (t) => {
    const shared = new Uint8Array(new SharedArrayBuffer(30_000)).fill(7);
    for (const lengthBytes of [0, 1, 8191, 8192, 8193, 16_384, 30_000]) {
      const hash = openSslRunningHash(algorithm)!.update(shared.subarray(0, lengthBytes));
      const expected = createHash(algorithm).update(Buffer.alloc(lengthBytes, 7)).digest();
      t.deepEqual([...hash.digest()], [...expected]);
    }
  });
}

test('other hashes are left to others', (t) => {
  t.is(openSslRunningHash('md5'), null);
  t.is(openSslRunningHash('sha512'), null);
});
