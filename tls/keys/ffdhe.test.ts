import { createDiffieHellman } from 'node:crypto';
import { bytesToHex } from '@noble/hashes/utils.js';
import test from 'ava';
import { SeededRandom } from '../../stack/random.ts';
import { TlsError } from '../errors.ts';
import { FfdheKeyPair, ffdhePrime } from './ffdhe.ts';

test('RFC 7919 appendix A.1: the prime of ffdhe2048', (t) => {
  const hex = bytesToHex(ffdhePrime(0x0100));
  t.true(hex.startsWith('ffffffffffffffffadf85458a2bb4a9aafdc5620273d3cf1'));
  t.true(hex.endsWith('886b423861285c97ffffffffffffffff'));
  t.is(hex.length, 512);
});

test('the prime of ffdhe2048 is a safe one, as OpenSSL sees it', (t) => {
  t.is(createDiffieHellman(ffdhePrime(0x0100), 2).verifyError, 0);
});

test('the primes have their sizes and ends', (t) => {
  for (const [group, bytes, end] of [
    [0x0101, 384, '25e41d2b66c62e37ffffffffffffffff'],
    [0x0102, 512, 'c68a007e5e655f6affffffffffffffff'],
    [0x0103, 768, 'a40e329cd0e40e65ffffffffffffffff'],
    [0x0104, 1024, 'd68c8bb7c5c6424cffffffffffffffff'],
  ] as const) {
    t.is(ffdhePrime(group).length, bytes);
    t.is(bytesToHex(ffdhePrime(group)).slice(-32), end);
  }
});

test('both sides agree, and the same seed gives the same key', (t) => {
  const one = new FfdheKeyPair(0x0100, new SeededRandom(1));
  const other = new FfdheKeyPair(0x0100, new SeededRandom(2));
  t.deepEqual(one.agree(other.publicKey), other.agree(one.publicKey));
  t.is(one.publicKey.length, 256);
  t.deepEqual(new FfdheKeyPair(0x0100, new SeededRandom(1)).publicKey, one.publicKey);
});

test('trivial, too large, short and long public keys are refused', (t) => {
  const pair = new FfdheKeyPair(0x0100, new SeededRandom(1));
  const prime = ffdhePrime(0x0100);
  const small = (value: number): Uint8Array => {
    const key = new Uint8Array(256);
    key[255] = value;
    return key;
  };
  const minusOne = prime.slice();
  minusOne[255] = minusOne[255]! - 1;
  for (const key of [small(0), small(1), minusOne, prime, new Uint8Array(255), new Uint8Array(257)]) {
    const error = t.throws(() => pair.agree(key), { instanceOf: TlsError });
    t.is(error.member, 'InvalidKeyShare');
  }
});
