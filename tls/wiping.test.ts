/** What is overwritten of the secrets of a handshake, whether it succeeds or fails. */
import test from 'ava';
import { Slab } from '../stack/wire/slab.ts';
import { type TlsClient, TRAFFIC_STATE_BYTES } from './client.ts';
import { KeySchedule, type TrafficSecrets } from './keys/key-schedule.ts';
import type { RecordSecrets } from './keys/prf.ts';
import { HandshakeRecords } from './record/handshake-records.ts';
import type { RecordParameters } from './record/record-protection.ts';
import { issue } from './testing/certificates.ts';
import { shakeHands12, testClient, testServer, testServer12 } from './testing/client-under-test.ts';
import { poke, replacing, replacing12 } from './testing/hostile-server.ts';
import type { ServerScript } from './testing/scripted-server.ts';
import type { ServerScript12 } from './testing/scripted-server12.ts';

const isWiped = (secret: Uint8Array): boolean => secret.every((byte) => byte === 0);

/** Every secret that the key schedule and the records of TLS 1.3 and before were given while something ran. */
function secretsOf(run: () => void): readonly Uint8Array[] {
  const seen: Uint8Array[] = [];
  const { handshake, master } = KeySchedule.prototype;
  const { changeReadKey, changeWriteKey } = HandshakeRecords.prototype;
  const keep = <T extends TrafficSecrets>(secrets: T): T => {
    seen.push(...Object.values(secrets));
    return secrets;
  };
  KeySchedule.prototype.handshake = function (...given): TrafficSecrets {
    seen.push(given[0]);
    return keep(handshake.apply(this, given));
  };
  KeySchedule.prototype.master = function (...given): ReturnType<typeof master> {
    return keep(master.apply(this, given));
  };
  const keepKeys = (original: typeof changeReadKey): typeof changeReadKey =>
    function (this: HandshakeRecords, parameters: RecordParameters, secrets: RecordSecrets): void {
      seen.push(secrets.key, secrets.macKey);
      original.call(this, parameters, secrets);
    };
  HandshakeRecords.prototype.changeReadKey = keepKeys(changeReadKey);
  HandshakeRecords.prototype.changeWriteKey = keepKeys(changeWriteKey);
  try {
    run();
  } finally {
    Object.assign(KeySchedule.prototype, { handshake, master });
    Object.assign(HandshakeRecords.prototype, { changeReadKey, changeWriteKey });
  }
  return seen;
}

// serial: the prototypes are shared

/** What the client alone was given while it took the flight of a server. */
function clientSecrets(
  client: TlsClient,
  script: Partial<ServerScript>,
  after = (): void => {},
): readonly Uint8Array[] {
  client.start();
  const flight = testServer(script).answer(client.takeOutgoing()!);
  return secretsOf(() => {
    client.receive(flight, 0, flight.length);
    after();
  });
}

test.serial('TLS 1.3: after the handshake and its export nothing is left but the region', (t) => {
  const client = testClient();
  const secrets = clientSecrets(client, {}, () => client.exportTraffic(Slab.alloc(TRAFFIC_STATE_BYTES), 0));
  t.is(client.state, 'connected');
  t.true(secrets.length >= 8);
  for (const secret of secrets) t.true(isWiped(secret));
});

for (const [part, at] of [
  ['encrypted_extensions', 0],
  ['certificate_verify', -1],
  ['finished', -1],
] as const) {
  test.serial(`TLS 1.3: a handshake that fails at ${part} leaves no secret`, (t) => {
    const client = testClient();
    const secrets = clientSecrets(
      client,
      replacing(part, (m) => poke(m, at, m.at(at)! ^ 1)),
    );
    t.is(client.state, 'failed');
    t.not(client.takeOutgoing(), null);
    t.true(secrets.length >= 4);
    for (const secret of secrets) t.true(isWiped(secret));
  });
}

const rsa = issue({ subject: 'server.test', key: 'rsa2048' });
const profiles: Readonly<Record<string, Partial<ServerScript12>>> = {
  'TLS 1.2': {},
  'TLS 1.0, CBC': { version: 'TLSv1', suite: 0x002f, chain: [rsa.der], privateKey: rsa.privateKey },
};
for (const [name, script] of Object.entries(profiles)) {
  test.serial(`${name}: a wrong Finished leaves no key`, (t) => {
    const client = testClient({ fallback: true });
    const wrong = replacing12('finished', (m) => poke(m, -1, m.at(-1)! ^ 1));
    const secrets = secretsOf(() => void shakeHands12(client, testServer12({ ...script, ...wrong })));
    t.is(client.error?.member, 'BadFinished');
    t.true(secrets.length >= 4);
    for (const secret of secrets) t.true(isWiped(secret));
  });
}
