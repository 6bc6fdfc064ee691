import test from 'ava';
import { SystemRandom } from '../../engine/system-random.ts';
import { SeededRandom } from '../../stack/random.ts';
import { shakeHands, testClient, testServer } from '../testing/client-under-test.ts';
import { NamedGroup } from './groups.ts';
import { keySharesFor, makeSpareKeyShares } from './spare-key-shares.ts';

const random = new SystemRandom();
const GROUPS = [NamedGroup.X25519MlKem768, NamedGroup.X25519];

function publicKeys(groups: readonly NamedGroup[]): string[] {
  return keySharesFor(groups, random).map(({ publicKey }) => Buffer.from(publicKey).toString('hex'));
}

test.serial('shares are made ahead from the second handshake on, once, and used once', (t) => {
  const seen = new Set(publicKeys(GROUPS));
  t.false(makeSpareKeyShares(random), 'after a first handshake');
  for (const key of publicKeys(GROUPS)) seen.add(key);
  t.true(makeSpareKeyShares(random));
  t.false(makeSpareKeyShares(random), 'they lie ready');
  for (let i = 0; i < 3; i++) for (const key of publicKeys(GROUPS)) seen.add(key);
  t.is(seen.size, 5 * GROUPS.length);
});

test.serial('shares of other groups are not given, and give way to those that are asked for', (t) => {
  publicKeys(GROUPS);
  makeSpareKeyShares(random);
  const other = keySharesFor([NamedGroup.Secp256r1], random);
  t.deepEqual(
    other.map(({ group }) => group),
    [NamedGroup.Secp256r1],
  );
  t.true(makeSpareKeyShares(random));
});

test.serial('the same seed gives the same shares, whatever lies ready', (t) => {
  const hello = (): Uint8Array => {
    const client = testClient({ random: new SeededRandom(7) });
    client.start();
    return client.takeOutgoing()!;
  };
  const before = hello();
  for (let i = 0; i < 2; i++) testClient({ random }).start();
  makeSpareKeyShares(random);
  t.deepEqual(hello(), before);
  t.false(makeSpareKeyShares(new SeededRandom(1)));
});

test.serial('a handshake with shares that were made ahead', (t) => {
  for (let i = 0; i < 2; i++) testClient({ random }).start();
  makeSpareKeyShares(random);
  const client = testClient({ random });
  shakeHands(client, testServer({ group: NamedGroup.X25519MlKem768 }));
  t.is(client.state, 'connected');
  t.true(makeSpareKeyShares(random), 'they were taken');
});
