import { createHash } from 'node:crypto';
import test from 'ava';
import { openSslKeyPair } from '../../engine/key-pairs.ts';
import { SystemRandom } from '../../engine/system-random.ts';
import { SeededRandom } from '../../stack/random.ts';
import { AlertDescription } from '../alerts.ts';
import { TlsError } from '../errors.ts';
import { shakeHands, testClient, testServer } from '../testing/client-under-test.ts';
import { failureOf } from '../testing/hostile-server.ts';
import { serverHello, u16 } from '../testing/scripted-server.ts';
import { ExtensionType } from '../wire/codes.ts';
import {
  GROUPS,
  generateKeyShare,
  generateKeyShares,
  groupName,
  NamedGroup,
  sharedGroups,
} from './groups.ts';
import { provideKeyPairs, type RawKeyPair } from './raw-key.ts';

for (const group of [...GROUPS, NamedGroup.X448]) {
  test(`${groupName(group)}: the same seed gives the same share`, (t) => {
    const share = (seed: number): Uint8Array => generateKeyShare(group, new SeededRandom(seed)).publicKey;
    t.deepEqual(share(5), share(5));
    t.notDeepEqual(share(5), share(6));
  });
}

test('shares are sent of the first group, and of X25519 beside the hybrid one', (t) => {
  const { Secp256r1, X25519, X25519MlKem768 } = NamedGroup;
  t.deepEqual(sharedGroups([X25519MlKem768, Secp256r1, X25519]), [X25519MlKem768, X25519]);
  t.deepEqual(sharedGroups([X25519MlKem768, Secp256r1]), [X25519MlKem768]);
  t.deepEqual(sharedGroups([Secp256r1, X25519]), [Secp256r1]);
  t.throws(() => testClient({ groups: [] }).start(), { instanceOf: RangeError });
  const hybridAlone = { groups: [X25519MlKem768], maxVersion: 'TLSv1.2' } as const;
  t.throws(() => testClient(hybridAlone).start(), { instanceOf: RangeError });
});

test('X25519 beside the hybrid group is its classical part, and new for every ClientHello', (t) => {
  const groups = [NamedGroup.X25519MlKem768, NamedGroup.X25519];
  const random = new SeededRandom(1);
  const [hybrid, classical] = generateKeyShares(groups, random);
  t.is(hybrid!.publicKey.length, 1184 + 32);
  t.deepEqual(hybrid!.publicKey.subarray(1184), classical!.publicKey);
  t.notDeepEqual(generateKeyShares(groups, random)[1]!.publicKey, classical!.publicKey);
  t.deepEqual(
    generateKeyShares([NamedGroup.X25519, NamedGroup.Secp256r1], random).map(({ group }) => group),
    [NamedGroup.X25519, NamedGroup.Secp256r1],
  );
});

test('X25519MLKEM768: the share is the ML-KEM key, then the X25519 key', (t) => {
  const { publicKey } = generateKeyShare(NamedGroup.X25519MlKem768, new SeededRandom(1));
  t.is(publicKey.length, 1184 + 32);
  // FIPS 203 §6.1: the last 32 bytes of the encapsulation key are rho, the first half of G(d || 3)
  const d = new Uint8Array(32);
  new SeededRandom(1).fill(d);
  const g = createHash('sha3-512').update(d).update(Uint8Array.of(3)).digest();
  t.deepEqual(publicKey.slice(1152, 1184), Uint8Array.from(g.subarray(0, 32)));
});

test('X25519MLKEM768: with the randomness of the system every share is new, and agrees', (t) => {
  const random = new SystemRandom();
  const share = (): Uint8Array => generateKeyShare(NamedGroup.X25519MlKem768, random).publicKey;
  const [one, other] = [share(), share()];
  t.is(one.length, 1184 + 32);
  t.notDeepEqual(one.slice(0, 1184), other.slice(0, 1184));
  t.notDeepEqual(one.slice(1184), other.slice(1184));
  const client = testClient({ random });
  shakeHands(client, testServer({ group: NamedGroup.X25519MlKem768 }));
  t.is(client.state, 'connected');
  t.is(client.info.group, 'X25519MLKEM768');
});

test('X25519MLKEM768: a handshake', (t) => {
  const client = testClient();
  shakeHands(client, testServer({ group: NamedGroup.X25519MlKem768 }));
  t.is(client.state, 'connected');
  t.is(client.info.group, 'X25519MLKEM768');
});

test('X25519MLKEM768: shares of a wrong length, and a zero X25519 key', (t) => {
  for (const length of [0, 32, 1088, 1119, 1120, 1121]) {
    const failure = failureOf({
      edit: (part, message) =>
        part === 'server_hello'
          ? serverHello(new Uint8Array(32), message.subarray(39, 71), 0x1301, [
              [ExtensionType.SupportedVersions, Uint8Array.of(3, 4)],
              [
                ExtensionType.KeyShare,
                Uint8Array.of(...u16(NamedGroup.X25519MlKem768), ...u16(length), ...new Uint8Array(length)),
              ],
            ])
          : message,
    });
    if (length === 0) t.deepEqual(failure, ['InvalidVector', AlertDescription.DecodeError]);
    else t.deepEqual(failure, ['InvalidKeyShare', AlertDescription.IllegalParameter], `${length}`);
  }
});

test('after keys of bytes, good and bad, stack traces are as long as before', (t) => {
  const limit = Error.stackTraceLimit;
  const share = generateKeyShare(NamedGroup.X25519, new SeededRandom(1));
  t.is(Error.stackTraceLimit, limit);
  t.throws(() => share.agree(new Uint8Array(32)), { instanceOf: TlsError });
  t.is(Error.stackTraceLimit, limit);
});

test.serial('the private keys of all shares are given up with the ServerHello, or with the failure', (t) => {
  const kept = new Set<RawKeyPair>();
  provideKeyPairs((kind) => {
    const pair = openSslKeyPair(kind);
    if (pair === null) return null;
    const { wipe } = pair;
    kept.add(pair);
    return Object.assign(pair, {
      wipe: () => {
        kept.delete(pair);
        wipe.call(pair);
      },
    });
  });
  t.teardown(() => provideKeyPairs(() => null));
  const random = new SystemRandom();
  for (const group of [NamedGroup.X25519MlKem768, NamedGroup.X25519]) {
    const client = testClient({ random });
    client.start();
    t.is(kept.size, 2);
    const flight = testServer({ group }).answer(client.takeOutgoing()!);
    client.receive(flight, 0, flight.length);
    t.is(client.state, 'connected');
    t.is(kept.size, 0);
  }
  const failed = testClient({ random });
  failed.start();
  t.is(kept.size, 2);
  failed.fail(new TlsError('ClosedEarly'));
  t.is(kept.size, 0);
});
