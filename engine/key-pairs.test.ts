import {
  createPublicKey,
  decapsulate,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { openSslKeyPair } from './key-pairs.ts';

const X25519 = { type: 'x25519' } as const;
const ML_KEM_768 = { type: 'ml-kem-768' } as const;
// RFC 8410 §4, RFC 9935 §4: what stands before a key in SubjectPublicKeyInfo
const X25519_SPKI = hexToBytes('302a300506032b656e032100');
const ML_KEM_768_SPKI = hexToBytes('308204b2300b0609608648016503040402038204a100');

function publicKeyOf(prefix: Uint8Array, bytes: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(concatBytes(prefix, bytes)), format: 'der', type: 'spki' });
}

test('X25519: agrees with node:crypto, with new keys each time', (t) => {
  const seen = new Set<string>();
  for (let i = 0; i < 50; i++) {
    const pair = openSslKeyPair(X25519)!;
    const peer = generateKeyPairSync('x25519');
    const peerBytes = peer.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
    const expected = diffieHellman({
      privateKey: peer.privateKey,
      publicKey: publicKeyOf(X25519_SPKI, pair.publicKey),
    });
    t.deepEqual([...pair.agree(peerBytes)], [...expected]);
    seen.add(Buffer.from(pair.publicKey).toString('hex'));
  }
  t.is(seen.size, 50);
});

test('ML-KEM-768: finds what node:crypto has put inside of a ciphertext, and another secret in a wrong one', (t) => {
  for (let i = 0; i < 20; i++) {
    const pair = openSslKeyPair(ML_KEM_768)!;
    t.is(pair.publicKey.length, 1184);
    const { sharedKey, ciphertext } = encapsulate(publicKeyOf(ML_KEM_768_SPKI, pair.publicKey));
    t.deepEqual([...pair.agree(ciphertext)], [...sharedKey]);
  }
  const pair = openSslKeyPair(ML_KEM_768)!;
  const { sharedKey, ciphertext } = encapsulate(publicKeyOf(ML_KEM_768_SPKI, pair.publicKey));
  ciphertext[100] = ciphertext[100]! ^ 1;
  const other = pair.agree(ciphertext);
  t.is(other.length, 32);
  t.notDeepEqual([...other], [...sharedKey]);
});

test('a pair is used once, and not after it was wiped', (t) => {
  const used = openSslKeyPair(X25519)!;
  const peer = openSslKeyPair(X25519)!;
  used.agree(peer.publicKey);
  t.throws(() => used.agree(peer.publicKey), { message: /not there/ });
  used.wipe();
  peer.wipe();
  peer.wipe();
  t.throws(() => peer.agree(used.publicKey), { message: /not there/ });
});

test('a point of small order is refused, and node:crypto finds no trace of that', (t) => {
  const zero = new Uint8Array(32);
  t.throws(() => openSslKeyPair(X25519)!.agree(zero), { message: /refused/ });
  t.throws(() => openSslKeyPair(X25519)!.agree(new Uint8Array(31)), { instanceOf: RangeError });
  t.throws(() => openSslKeyPair(ML_KEM_768)!.agree(new Uint8Array(1089)), { instanceOf: RangeError });
  const own = generateKeyPairSync('ml-kem-768');
  const { sharedKey, ciphertext } = encapsulate(own.publicKey);
  t.deepEqual(decapsulate(own.privateKey, ciphertext), sharedKey);
});

test('other kinds are left to others', (t) => {
  t.is(openSslKeyPair({ type: 'x448' }), null);
});

test('keys that nobody agrees with are given back: wiped ones at once, others with the garbage', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const rounds = async (): Promise<void> => {
    for (let i = 0; i < 2000; i++) openSslKeyPair(ML_KEM_768)!.wipe();
    for (let i = 0; i < 2000; i++) openSslKeyPair(ML_KEM_768);
    collect();
    await setImmediate();
    await setImmediate();
  };
  await rounds();
  await rounds();
  const before = process.memoryUsage().rss;
  for (let round = 0; round < 8; round++) await rounds();
  // an expanded key takes some 10 KB: 16,000 of each sort would be 160 MB
  const grown = process.memoryUsage().rss - before;
  t.true(grown < 80e6, `${grown} bytes`);
});
