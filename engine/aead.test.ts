import { randomBytes } from 'node:crypto';
import test from 'ava';
import { fc } from '../test/properties.ts';
import { NodeAead } from '../tls/record/aead.ts';
import { openSslAead } from './aead.ts';

const TAG_BYTES = 16;
const KEY_BYTES = { 'aes-128-gcm': 16, 'aes-256-gcm': 32, 'chacha20-poly1305': 32 } as const;

for (const [name, keyBytes] of Object.entries(KEY_BYTES)) {
  test(`${name} seals as node:crypto does, and opens what it sealed`, (t) => {
    const key = randomBytes(keyBytes);
    const [ours, theirs] = [openSslAead(name, key)!, new NodeAead(name, key)];
    // uses the same context by turns
    const other = openSslAead(name, randomBytes(keyBytes))!;
    const property = fc.property(
      fc.uint8Array({ maxLength: 2000 }),
      fc.nat(255),
      fc.uint8Array({ minLength: 12, maxLength: 12 }),
      fc.uint8Array({ minLength: 1, maxLength: 13 }),
      fc.nat(40),
      (content, last, nonce, data, off) => {
        const sealedBytes = content.length + 1 + TAG_BYTES;
        const expected = new Uint8Array(sealedBytes);
        theirs.seal(nonce, data, content, 0, content.length, last, expected, 0);
        const sealed = new Uint8Array(new SharedArrayBuffer(off + sealedBytes + 3));
        other.seal(nonce, data, content, 0, content.length, last, new Uint8Array(sealedBytes), 0);
        ours.seal(nonce, data, content, 0, content.length, last, sealed, off);
        t.deepEqual([...sealed], [...new Uint8Array(off), ...expected, 0, 0, 0]);

        const opened = ours.open(nonce, data, sealed, off, content.length + 1);
        t.deepEqual([...opened!.subarray(0, content.length + 1)], [...content, last]);
        t.deepEqual([...theirs.open(nonce, data, expected, 0, content.length + 1)!], [...content, last]);
        t.is(other.open(nonce, data, sealed, off, content.length + 1), null);
      },
    );
    fc.assert(property, { numRuns: 60 });
  });

  test(`${name} opens nothing that was changed, and shows nothing of it`, (t) => {
    const aead = openSslAead(name, randomBytes(keyBytes))!;
    const [nonce, data] = [randomBytes(12), Buffer.from('data')];
    const content = Buffer.alloc(100, 'secret');
    const sealed = new Uint8Array(content.length + 1 + TAG_BYTES);
    aead.seal(nonce, data, content, 0, content.length, 23, sealed, 0);
    const memory = aead.open(nonce, data, sealed, 0, content.length + 1)!;
    for (let at = 0; at < sealed.length; at++) {
      sealed[at] = sealed[at]! ^ 1;
      t.is(aead.open(nonce, data, sealed, 0, content.length + 1), null);
      t.true(memory.subarray(0, content.length).every((byte) => byte === 0));
      sealed[at] = sealed[at]! ^ 1;
    }
    t.is(aead.open(nonce, Buffer.from('datA'), sealed, 0, content.length + 1), null);
    t.not(aead.open(nonce, data, sealed, 0, content.length + 1), null);
  });
}

test('memory that is too short is refused, and other ciphers are left to node:crypto', (t) => {
  const aead = openSslAead('aes-128-gcm', randomBytes(16))!;
  const [nonce, data] = [randomBytes(12), Buffer.alloc(5)];
  const small = new Uint8Array(20);
  t.throws(() => aead.seal(nonce, data, small, 0, 20, 23, small, 0), { instanceOf: RangeError });
  t.throws(() => aead.seal(nonce, data, small, 10, 11, 23, new Uint8Array(100), 0), {
    instanceOf: RangeError,
  });
  t.throws(() => aead.open(nonce, data, small, 0, 5), { instanceOf: RangeError });
  t.throws(() => aead.seal(nonce, Buffer.alloc(33), small, 0, 1, 23, small, 0), { instanceOf: RangeError });
  t.is(openSslAead('aes-128-ccm', randomBytes(16)), null);
});
