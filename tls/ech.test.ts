import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { AlertDescription as Alert } from './alerts.ts';
import { MemorySessionStore, type TlsClient, type TlsClientOptions } from './client.ts';
import { readEchConfigList } from './handshake/ech/config.ts';
import { ACCEPTING, testClient, testServer } from './testing/client-under-test.ts';
import { confirmed, EchServer, echConfig, echConfigList } from './testing/ech-server.ts';
import { clientHelloOf, u16 } from './testing/scripted-server.ts';
import { ExtensionType } from './wire/codes.ts';

const ECH = ExtensionType.EncryptedClientHello;
const SERVER = new EchServer('public.test', new Uint8Array(32).fill(5));

interface Attempt {
  readonly client: TlsClient;
  readonly names: readonly string[];
  readonly outgoing: Uint8Array;
}

function start(options: Partial<TlsClientOptions> = {}): Attempt {
  const names: string[] = [];
  const verifier: typeof ACCEPTING = {
    verify: (chain, name, time) => {
      names.push(name);
      return ACCEPTING.verify(chain, name, time);
    },
  };
  const client = testClient({ serverName: 'secret.test', ech: SERVER.configList, verifier, ...options });
  client.start();
  return { client, names, outgoing: client.takeOutgoing()! };
}

test('nobody sees the name of the server; it decrypts, and confirms', (t) => {
  const { client, names, outgoing } = start({ alpn: ['h2'] });
  const outer = clientHelloOf(outgoing);
  const text = Buffer.from(outgoing).toString('latin1');
  t.false(text.includes('secret.test'));
  t.true(text.includes('public.test'));
  const { inner, hello } = SERVER.open(outgoing);
  t.true(
    Buffer.from(hello.extensions.get(ExtensionType.ServerName)!).toString('latin1').endsWith('secret.test'),
  );
  t.deepEqual(hello.extensions.get(ECH), Uint8Array.of(1));
  t.deepEqual(hello.sessionId, outer.sessionId);
  t.notDeepEqual(hello.random, outer.random);
  const server = testServer({
    extensions: [
      [
        ExtensionType.ApplicationLayerProtocolNegotiation,
        concatBytes(u16(3), Uint8Array.of(2), utf8ToBytes('h2')),
      ],
    ],
    edit: (part, message) => (part === 'server_hello' ? confirmed(message, hello) : message),
  });
  const flight = server.answer(inner);
  client.receive(flight, 0, flight.length);
  t.is(client.error, null);
  t.is(client.state, 'connected');
  t.is(client.info.ech, 'accepted');
  t.deepEqual(names, ['secret.test']);
});

test('names of all lengths make hellos of one length', (t) => {
  const lengths = new Set<number>();
  for (const name of ['a.test', 'longer-name.test', 'as-long-as-the-list-allows.a.test'.slice(0, 32)]) {
    const { outgoing } = start({ serverName: name });
    lengths.add(outgoing.length);
    t.true(SERVER.open(outgoing).paddingBytes < 64);
  }
  t.is(lengths.size, 1);
});

test('a server that cannot decrypt is only believed under the public name, and gets no certificate of ours', (t) => {
  const { client, names, outgoing } = start();
  const retry = echConfigList(echConfig({}));
  const flight = testServer({ requestsCertificate: true, extensions: [[ECH, retry]] }).answer(outgoing);
  client.receive(flight, 0, flight.length);
  t.is(client.error?.member, 'EchRejected');
  t.is(client.error?.alert, Alert.EchRequired);
  t.is(client.info.ech, 'rejected');
  t.is(client.info.clientCertificate, 'requested');
  t.deepEqual(client.info.echRetryConfigs, retry);
  t.deepEqual(names, ['public.test']);
});

test('an outer hello has no session; its PSK proves nothing', (t) => {
  const store = new MemorySessionStore();
  const sessions = { store, port: 1, policy: 'test' };
  const fresh = start({ sessions });
  const { inner, hello } = SERVER.open(fresh.outgoing);
  const edit = (part: string, message: Uint8Array): Uint8Array =>
    part === 'server_hello' ? confirmed(message, hello) : message;
  const flight = testServer({ edit }).answer(inner);
  fresh.client.receive(flight, 0, flight.length);
  fresh.client.keepTicket(
    {
      lifetimeSeconds: 100,
      ageAdd: 1,
      nonce: new Uint8Array(0),
      ticket: utf8ToBytes('the ticket'),
      maxEarlyDataBytes: 0,
      psk: new Uint8Array(32).fill(3),
      cipherSuite: 0x1301,
    },
    0,
  );
  const { client, outgoing } = start({ sessions, unixTimeMs: 10 });
  t.false(Buffer.from(outgoing).toString('latin1').includes('the ticket'));
  const outer = clientHelloOf(outgoing);
  const psk = SERVER.open(outgoing).hello.extensions.get(ExtensionType.PreSharedKey)!;
  t.true(Buffer.from(psk).toString('latin1').includes('the ticket'));
  t.is(outer.extensions.get(ExtensionType.PreSharedKey)?.length, psk.length);
  const bad = testServer({ resumes: new Uint8Array(32) }).answer(outgoing);
  client.receive(bad, 0, bad.length);
  t.deepEqual(
    [client.error?.member, client.error?.alert],
    ['UnsolicitedExtension', Alert.UnsupportedExtension],
  );
});

test('configurations that were not asked for are refused', (t) => {
  for (const options of [{}, { ech: null }] as const) {
    const client = testClient(options);
    client.start();
    const flight = testServer({ extensions: [[ECH, SERVER.configList]] }).answer(client.takeOutgoing()!);
    client.receive(flight, 0, flight.length);
    t.is(client.error?.member, 'UnsolicitedExtension');
  }
});

test('GREASE looks like it, and its answer means nothing but has to be well-formed', (t) => {
  const run = (content: Uint8Array): TlsClient => {
    const client = testClient({ ech: 'grease' });
    client.start();
    const outgoing = client.takeOutgoing()!;
    const looks = clientHelloOf(outgoing).extensions.get(ECH)!;
    t.is(looks[0], 0);
    t.true(looks.length > 150);
    const flight = testServer({ extensions: [[ECH, content]] }).answer(outgoing);
    client.receive(flight, 0, flight.length);
    return client;
  };
  const client = run(SERVER.configList);
  t.is(client.state, 'connected');
  t.is(client.info.ech, 'grease');
  t.is(client.info.echRetryConfigs, null);
  t.is(run(SERVER.configList.slice(0, -1)).error?.alert, Alert.DecodeError);
});

for (const [name, config] of [
  ['another key encapsulation', echConfig({ kem: 0x10 })],
  ['no suite that is known', echConfig({ suites: [9, 9] })],
  ['a key of another length', echConfig({ publicKey: new Uint8Array(31) })],
  ['another version', echConfig({ version: 0xfe0c })],
  ['an extension that must be understood', echConfig({ extensions: Uint8Array.of(0x80, 1, 0, 0) })],
  ['a public name that is an address', echConfig({ publicName: '192.0.2.1' })],
  ['a public name that ends like an address', echConfig({ publicName: 'a.0x1f' })],
  ['a public name with an empty label', echConfig({ publicName: 'a..test' })],
  ['a public name with a hyphen in front', echConfig({ publicName: '-a.test' })],
] as const) {
  test(`a configuration is passed over: ${name}`, (t) => {
    t.is(readEchConfigList(echConfigList(config)), null);
    t.is(readEchConfigList(echConfigList(config, echConfig({})))?.publicName, 'public.test');
    t.throws(() => testClient({ ech: echConfigList(config) }), { instanceOf: RangeError });
    const ignored = testClient({ ech: echConfigList(config), echUnusable: 'ignore' });
    ignored.start();
    t.false(clientHelloOf(ignored.takeOutgoing()!).extensions.has(ECH));
  });
}

test('a list of configurations truncated at every byte is refused', (t) => {
  const list = echConfigList(echConfig({ extensions: Uint8Array.of(0, 1, 0, 1, 1) }));
  t.is(readEchConfigList(list)?.configId, 7);
  for (let cut = 0; cut < list.length; cut++)
    t.throws(() => readEchConfigList(list.subarray(0, cut)), undefined, `${cut}`);
});
