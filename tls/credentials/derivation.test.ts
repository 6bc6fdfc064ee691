import test from 'ava';
import forge from 'node-forge';
import { fc } from '../../test/properties.ts';
import { deriveWithOpenSsl } from './derivation.ts';

type Derive = (...args: readonly unknown[]) => string | forge.util.ByteStringBuffer;
type Library = { readonly pkcs5: { pbkdf2: Derive }; readonly pkcs12: { generateKey: Derive } };

const library = forge as unknown as Library;
const own: readonly Derive[] = [library.pkcs5.pbkdf2, library.pkcs12.generateKey];
deriveWithOpenSsl(forge);
const ours: readonly Derive[] = [library.pkcs5.pbkdf2, library.pkcs12.generateKey];

const hex = (result: ReturnType<Derive>): string =>
  forge.util.bytesToHex(typeof result === 'string' ? result : result.getBytes());
const hashes = fc.constantFrom('sha1', 'sha256', 'sha512');
const rounds = fc.integer({ min: 1, max: 5 });
const lengths = fc.integer({ min: 1, max: 150 });
const bytes = fc
  .uint8Array({ minLength: 1, maxLength: 140 })
  .map((all) => Buffer.from(all).toString('latin1'));

test('PBKDF2: what forge itself derives', (t) => {
  t.not(own[0], ours[0]);
  fc.assert(
    fc.property(bytes, bytes, rounds, lengths, hashes, (password, salt, count, length, name) => {
      const derive = (by: Derive): string => hex(by(password, salt, count, length, forge.md[name].create()));
      t.is(derive(ours[0]!), derive(own[0]!));
    }),
  );
});

test('PKCS#12: what forge itself derives, without a password too', (t) => {
  t.not(own[1], ours[1]);
  const passwords = fc.option(fc.string({ unit: 'binary', maxLength: 70 }));
  const ids = fc.constantFrom(1, 2, 3);
  fc.assert(
    fc.property(passwords, bytes, ids, rounds, lengths, hashes, (password, salt, id, count, length, name) => {
      const derive = (by: Derive): string =>
        hex(by(password, forge.util.createBuffer(salt), id, count, length, forge.md[name].create()));
      t.is(derive(ours[1]!), derive(own[1]!));
    }),
  );
  t.throws(() => ours[1]!('a', forge.util.createBuffer('b'), 1, 0, 20));
});
