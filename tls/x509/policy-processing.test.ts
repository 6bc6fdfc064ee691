import test from 'ava';
import * as t from '../testing/certificates.ts';
import * as der from '../testing/der-writer.ts';
import { Certificate } from './certificate.ts';
import { checkPolicies } from './policy-processing.ts';

const GOLD = '1.2.3.1';
const SILVER = '1.2.3.2';
const ANY = '2.5.29.32.0';

const policies = (...oids: string[]): Uint8Array =>
  t.extension('2.5.29.32', der.sequence(...oids.map((oid) => der.sequence(der.oid(oid)))));
const mappings = (...pairs: [string, string][]): Uint8Array =>
  t.extension(
    '2.5.29.33',
    der.sequence(...pairs.map(([from, to]) => der.sequence(der.oid(from), der.oid(to)))),
    true,
  );
const requireExplicit = (skip: number): Uint8Array =>
  t.extension('2.5.29.36', der.sequence(der.implicit(0, Uint8Array.of(skip))), true);
const inhibitMapping = (skip: number): Uint8Array =>
  t.extension(
    '2.5.29.36',
    der.sequence(der.implicit(0, Uint8Array.of(0)), der.implicit(1, Uint8Array.of(skip))),
    true,
  );
const inhibitAny = (skip: number): Uint8Array => t.extension('2.5.29.54', der.integer(skip), true);

/** @param levels extensions of the certificates, from the one below the trust anchor to the server's */
function check(...levels: Uint8Array[][]): string {
  let issuer = t.issueCa('Root');
  const path: Certificate[] = [];
  for (const [i, extensions] of levels.entries()) {
    issuer =
      i === levels.length - 1
        ? t.issueServer(['a.b'], issuer, { extensions })
        : t.issueCa(`Level ${i}`, { issuer, extensions });
    path.unshift(new Certificate(issuer.der));
  }
  return checkPolicies(path);
}

const allowed: Record<string, Uint8Array[][]> = {
  'no policies, none required': [[], []],
  'different policies, none required': [[policies(GOLD)], [policies(SILVER)]],
  'required and the same': [[policies(GOLD), requireExplicit(0)], [policies(GOLD)]],
  'one of several': [[policies(GOLD, SILVER), requireExplicit(0)], [policies(SILVER)]],
  'any policy above': [[policies(ANY), requireExplicit(0)], [policies(GOLD)]],
  'any policy below': [[policies(GOLD), requireExplicit(0)], [policies(ANY)]],
  'required only further down': [[policies(GOLD), requireExplicit(3)], [policies(GOLD)], []],
  mapped: [[policies(GOLD), requireExplicit(0), mappings([GOLD, SILVER])], [policies(SILVER)]],
  'mapped from any policy': [
    [policies(ANY), requireExplicit(0), mappings([GOLD, SILVER])],
    [policies(SILVER)],
  ],
  'any policy inhibited later': [
    [policies(ANY), requireExplicit(0), inhibitAny(1)],
    [policies(ANY)],
    [policies(GOLD)],
  ],
};

const refused: Record<string, Uint8Array[][]> = {
  'required and missing': [[policies(GOLD), requireExplicit(0)], []],
  'required, missing above': [[requireExplicit(0)], [policies(GOLD)]],
  'required and another': [[policies(GOLD), requireExplicit(0)], [policies(SILVER)]],
  'required after one more': [[policies(GOLD), requireExplicit(2)], [policies(GOLD)], []],
  'required by the server itself': [[policies(GOLD)], [policies(SILVER), requireExplicit(0)]],
  'the name before mapping': [
    [policies(GOLD), requireExplicit(0), mappings([GOLD, SILVER])],
    [policies(GOLD)],
  ],
  'mapping inhibited': [
    [policies(GOLD), inhibitMapping(0)],
    [policies(GOLD), mappings([GOLD, SILVER])],
    [policies(SILVER)],
  ],
  'any policy inhibited': [[policies(GOLD), requireExplicit(0), inhibitAny(0)], [policies(ANY)]],
};

for (const [title, levels] of Object.entries(allowed)) {
  test(`allowed: ${title}`, (a) => a.is(check(...levels), ''));
}
for (const [title, levels] of Object.entries(refused)) {
  test(`refused: ${title}`, (a) => a.regex(check(...levels), /no policy that its issuers require/));
}

test('anyPolicy cannot be mapped', (a) => {
  a.regex(check([policies(GOLD), mappings([ANY, GOLD])], [policies(GOLD)]), /maps anyPolicy/);
  a.regex(check([policies(GOLD), mappings([GOLD, ANY])], [policies(GOLD)]), /maps anyPolicy/);
});
