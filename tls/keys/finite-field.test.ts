import {
  constants,
  createDiffieHellman,
  generateKeyPairSync,
  getDiffieHellman,
  privateDecrypt,
} from 'node:crypto';
import test from 'ava';
import { type RandomSource, SeededRandom } from '../../stack/random.ts';
import { TlsError } from '../errors.ts';
import { agreeInGroup, type DhParameters } from './finite-field.ts';
import { encryptPremaster } from './rsa-exchange.ts';

const G = Uint8Array.of(2);
const P1024 = new Uint8Array(getDiffieHellman('modp2').getPrime());
const P2048 = new Uint8Array(getDiffieHellman('modp14').getPrime());
const MINUS_ONE = minus(P1024, 1);

function minus(p: Uint8Array, value: number): Uint8Array {
  const copy = p.slice();
  copy[p.length - 1] = copy[p.length - 1]! - value;
  return copy;
}

function memberOf(peer: Partial<DhParameters>, minBits = 1024): string {
  try {
    agreeInGroup({ p: P1024, g: G, publicValue: Uint8Array.of(5), ...peer }, minBits, new SeededRandom(1));
    return 'agreed';
  } catch (error) {
    return error instanceof TlsError ? error.member : String(error);
  }
}

for (const p of [P1024, P2048]) {
  test(`a group of ${p.length * 8} bits: both sides agree, without leading zeros`, (t) => {
    for (let seed = 0; seed < 3; seed++) {
      const server = createDiffieHellman(Buffer.from(p), Buffer.from(G));
      const publicValue = new Uint8Array(server.generateKeys());
      const result = agreeInGroup({ p, g: G, publicValue }, 1024, new SeededRandom(seed));
      const shared = server.computeSecret(result.publicValue);
      t.deepEqual(
        result.sharedSecret,
        new Uint8Array(shared.subarray(shared.findIndex((byte) => byte !== 0))),
      );
      t.is(result.publicValue.length, p.length);
      t.is(result.bits, p.length * 8);
    }
  });
}

test('RFC 5246 §8.1.2: leading zero bytes of the result are stripped', (t) => {
  // a public value of g^a for which the result is short: tried until one comes
  for (let seed = 0; seed < 2000; seed++) {
    const result = agreeInGroup(
      { p: P1024, g: G, publicValue: Uint8Array.of(3) },
      1024,
      new SeededRandom(seed),
    );
    t.not(result.sharedSecret[0], 0);
    if (result.sharedSecret.length < P1024.length) return;
  }
  t.fail('no short result');
});

test('groups that are too small, too large, or none', (t) => {
  const p768 = new Uint8Array(getDiffieHellman('modp1').getPrime());
  const padded = Uint8Array.of(0, 0, ...P1024);
  const p8200 = new Uint8Array(1025).fill(0xff);
  t.is(memberOf({}), 'agreed');
  t.is(memberOf({ p: padded }), 'agreed');
  t.is(memberOf({}, 2048), 'GroupTooWeak');
  t.is(memberOf({ p: p768 }), 'GroupTooWeak');
  // zeros in front make no group larger
  t.is(memberOf({ p: Uint8Array.of(...new Uint8Array(64), ...p768) }), 'GroupTooWeak');
  t.is(memberOf({ p: new Uint8Array(200) }), 'GroupTooWeak');
  t.is(memberOf({ p: p8200 }), 'InvalidGroup');
  t.is(memberOf({ p: minus(P1024, 1) }), 'InvalidGroup');
  for (const g of [Uint8Array.of(0), Uint8Array.of(1), Uint8Array.of(0, 1), MINUS_ONE, P1024]) {
    t.is(memberOf({ g }), 'InvalidGroup');
  }
});

test('public values of small subgroups, and none', (t) => {
  const larger = P2048;
  for (const publicValue of [
    Uint8Array.of(0),
    Uint8Array.of(1),
    Uint8Array.of(0, 0, 1),
    MINUS_ONE,
    P1024,
    larger,
  ]) {
    t.is(memberOf({ publicValue }), 'InvalidKeyShare');
  }
  t.is(memberOf({ publicValue: minus(P1024, 2) }), 'agreed');
  t.is(memberOf({ publicValue: Uint8Array.of(2) }), 'agreed');
});

test('RSA: what the server decrypts is our version and the secret; the padding has no zero byte', (t) => {
  for (const modulusLength of [1024, 1032, 2048]) {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength });
    // many zero bytes, which may not stay in the padding
    let drawn = 0;
    const random: RandomSource = {
      fill: (into) => {
        for (let i = 0; i < into.length; i++) into[i] = drawn++ % 3 === 0 ? 0 : 7;
      },
      uint32: () => 0,
    };
    const { premaster, encrypted } = encryptPremaster(publicKey, 0x0302, random);
    t.is(encrypted.length, modulusLength / 8);
    const padded = privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, encrypted);
    t.deepEqual([...padded.subarray(0, 2)], [0, 2]);
    const end = padded.indexOf(0, 2);
    t.is(end, padded.length - 49);
    t.deepEqual(new Uint8Array(padded.subarray(end + 1)), premaster);
    t.deepEqual([...premaster.subarray(0, 2)], [3, 2]);
    t.is(premaster.length, 48);
  }
});
