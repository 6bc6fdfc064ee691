import test from 'ava';
import * as w from '../testing/der-writer.ts';
import { inspectKey, LEGACY_STRENGTH, MODERN_STRENGTH } from './public-key.ts';
import { readSignatureAlgorithm } from './signature.ts';

const SHA256 = w.sequence(w.oid('2.16.840.1.101.3.4.2.1'), w.nothing());
const SHA384 = w.sequence(w.oid('2.16.840.1.101.3.4.2.2'));
const SHA1 = w.sequence(w.oid('1.3.14.3.2.26'), w.nothing());
const mgf1 = (hash: Uint8Array): Uint8Array => w.explicit(1, w.sequence(w.oid('1.2.840.113549.1.1.8'), hash));
const salt = (octets: number): Uint8Array => w.explicit(2, w.integer(octets));

function pss(...params: Uint8Array[]): ReturnType<typeof readSignatureAlgorithm> {
  return readSignatureAlgorithm(w.sequence(w.oid('1.2.840.113549.1.1.10'), w.sequence(...params)));
}

test('RSASSA-PSS with one hash and a salt of its length or more', (t) => {
  t.is(pss(w.explicit(0, SHA256), mgf1(SHA256), salt(32))?.saltLength, 32);
  t.is(pss(w.explicit(0, SHA384), mgf1(SHA384), salt(64))?.hash, 'sha384');
  t.is(pss(w.explicit(0, SHA256), mgf1(SHA256), salt(32), w.explicit(3, w.integer(1)))?.hash, 'sha256');
});

test('RSASSA-PSS otherwise is not supported', (t) => {
  t.is(pss(), null);
  t.is(pss(w.explicit(0, SHA256), mgf1(SHA256)), null, 'a salt of 20');
  t.is(pss(w.explicit(0, SHA256), mgf1(SHA384), salt(48)), null);
  t.is(pss(w.explicit(0, SHA1), mgf1(SHA1), salt(20)), null);
  t.is(pss(w.explicit(0, SHA256), mgf1(SHA256), salt(32), w.explicit(3, w.integer(2))), null);
});

test('parameters are those of the algorithm', (t) => {
  const algorithm = (oid: string, ...params: Uint8Array[]): string | undefined =>
    readSignatureAlgorithm(w.sequence(w.oid(oid), ...params))?.name;
  const [rsa, ecdsa, ed25519] = ['1.2.840.113549.1.1.11', '1.2.840.10045.4.3.2', '1.3.101.112'];
  t.is(algorithm(rsa, w.nothing()), 'sha256WithRSAEncryption');
  t.is(algorithm(rsa), 'sha256WithRSAEncryption');
  t.is(algorithm(ecdsa), 'ecdsa-with-SHA256');
  t.is(algorithm(ed25519), 'Ed25519');
  t.is(algorithm('1.2.3.4', w.nothing()), undefined);
  t.throws(() => algorithm(rsa, w.boolean(true)), { name: 'DerError' });
  t.throws(() => algorithm(rsa, w.element(5, Uint8Array.of(0))), { message: /malformed NULL/ });
  t.throws(() => algorithm(ecdsa, w.nothing()), { message: /trailing/ });
  t.throws(() => algorithm(ed25519, w.nothing()), { message: /trailing/ });
});

/** A SubjectPublicKeyInfo with an RSA key of these octets. */
function rsa(modulus: readonly number[], exponent: readonly number[]): Uint8Array {
  const number = (octets: readonly number[]): Uint8Array => w.element(2, Uint8Array.from(octets));
  const key = w.sequence(number(modulus), number(exponent));
  return w.sequence(w.sequence(w.oid('1.2.840.113549.1.1.1'), w.nothing()), w.bitString(key));
}

test('RSA keys', (t) => {
  const odd = (octets: number, first = 0xff): number[] => [
    ...(first > 127 ? [0] : []),
    first,
    ...new Array<number>(octets - 1).fill(1),
  ];
  const problem = (modulus: number[], exponent = [3], policy = MODERN_STRENGTH): string =>
    inspectKey(rsa(modulus, exponent), policy).problem;
  t.is(problem(odd(256)), '');
  t.is(problem(odd(256), [1, 0, 1]), '');
  t.regex(problem(odd(256, 0x7f)), /2047 bits is shorter than 2048/);
  t.regex(problem(odd(257, 0x01)), /2049 bits is not whole octets/);
  t.regex(problem(odd(128)), /1024 bits is shorter than 2048/);
  t.is(problem(odd(128), [3], LEGACY_STRENGTH), '');
  t.regex(problem(odd(127), [3], LEGACY_STRENGTH), /1016 bits is shorter than 1024/);
  t.regex(problem(odd(2049)), /longer than 16384/);
  t.regex(problem([...odd(256).slice(0, -1), 2]), /modulus is even/);
  t.regex(problem(odd(256), [1]), /exponent is even or below 3/);
  t.regex(problem(odd(256), [4]), /exponent is even/);
  t.regex(problem(odd(256), [1, 0, 0, 0, 1]), /longer than 31 bits/);
  t.regex(problem([0]), /0 bits/);
  t.throws(() => problem([0xff, 1]), { message: /negative/ });
});

test('other keys', (t) => {
  const spki = (algorithm: Uint8Array[], key: Uint8Array): Uint8Array =>
    w.sequence(w.sequence(...algorithm), w.bitString(key));
  const ec = w.oid('1.2.840.10045.2.1');
  const p256 = w.oid('1.2.840.10045.3.1.7');
  const point = (octets: number, form: number): Uint8Array => new Uint8Array(octets).fill(form, 0, 1);
  t.is(inspectKey(spki([ec, p256], point(65, 4)), MODERN_STRENGTH).problem, '');
  t.regex(inspectKey(spki([ec, p256], point(33, 2)), MODERN_STRENGTH).problem, /not uncompressed/);
  t.regex(inspectKey(spki([ec, w.sequence()], point(65, 4)), MODERN_STRENGTH).problem, /no name/);
  t.throws(() => inspectKey(spki([w.oid('1.3.101.112')], point(31, 1)), MODERN_STRENGTH), {
    message: /31 octets/,
  });
  t.throws(() => inspectKey(spki([w.oid('1.3.101.113'), w.nothing()], point(57, 1)), MODERN_STRENGTH), {
    message: /trailing/,
  });
});
