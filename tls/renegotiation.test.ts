import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { Slab } from '../stack/wire/slab.ts';
import { AlertDescription } from './alerts.ts';
import { type TlsClient, type TlsVersion, TRAFFIC_STATE_BYTES } from './client.ts';
import { MAX_HELLO_REQUESTS_IN_ROW, MAX_RENEGOTIATIONS } from './limits.ts';
import { issueCa, issueServer } from './testing/certificates.ts';
import { shakeHands12, testClient, testServer12 } from './testing/client-under-test.ts';
import { InnerRecords } from './testing/inner-records.ts';
import { clientHelloOf } from './testing/scripted-server.ts';
import type { ScriptedServer12, ServerScript12 } from './testing/scripted-server12.ts';
import { open, seal } from './testing/sealed-records.ts';
import { TrafficOpener } from './traffic/opener.ts';
import { TrafficSealer } from './traffic/sealer.ts';
import { ContentType, ExtensionType, HandshakeType } from './wire/codes.ts';
import { handshakeMessage } from './wire/messages.ts';

const Alert = AlertDescription;
const HELLO_REQUEST = handshakeMessage(HandshakeType.HelloRequest, new Uint8Array(0));
const EMPTY = new Uint8Array(0);

/** A connection on both sides, and the first flight of the client's renegotiation. */
class Scene {
  readonly state: Slab = new Slab(new Uint8Array(new SharedArrayBuffer(TRAFFIC_STATE_BYTES)));
  readonly server: ScriptedServer12;
  readonly records: InnerRecords;
  readonly client: TlsClient;
  readonly data: string[] = [];
  readonly hello: Uint8Array;
  /** Of another thread, which has used them before. */
  readonly sealer: TrafficSealer;
  readonly opener: TrafficOpener;

  constructor(script: Partial<ServerScript12> = {}, first: TlsClient = fallbackClient(script.version)) {
    this.server = testServer12(script);
    shakeHands12(first, this.server);
    first.exportTraffic(this.state, 0);
    this.records = new InnerRecords(this.server.traffic());
    this.sealer = new TrafficSealer(this.state, 0);
    this.opener = new TrafficOpener(this.state, 0);
    this.records.unwrap(seal(this.sealer, ContentType.ApplicationData, Uint8Array.of(0)));
    open(this.opener, this.records.seal(ContentType.ApplicationData, Uint8Array.of(0)));
    this.client = first.renegotiate(this.state, 0, 0, (content) =>
      this.data.push(Buffer.from(content).toString()),
    );
    this.hello = this.records.unwrap(this.client.takeOutgoing()!);
  }

  give(records: Uint8Array): void {
    this.client.receive(records, 0, records.length);
  }

  /** @param info content of renegotiation_info; null: none */
  second(script: Partial<ServerScript12> = {}, info: Uint8Array | null = this.info): ScriptedServer12 {
    return testServer12({
      ...script,
      renegotiationInfo: false,
      extensions: info === null ? [] : [[ExtensionType.RenegotiationInfo, info]],
    });
  }

  /** RFC 5746 §3.7: both. */
  get info(): Uint8Array {
    const both = concatBytes(...this.server.verifyData);
    return Uint8Array.of(both.length, ...both);
  }

  /** The whole handshake, as far as it goes. @returns [member, alert] of the failure, or [] */
  run(second: ScriptedServer12): readonly (string | number)[] {
    this.give(this.records.wrap(second.answer(this.hello)));
    const flight = this.client.takeOutgoing();
    if (this.client.error === null && flight !== null) {
      this.give(this.records.wrap(second.finish(this.records.unwrap(flight))));
    }
    const { error } = this.client;
    return error === null ? [] : [error.member, error.alert];
  }
}

function fallbackClient(version: TlsVersion = 'TLSv1.2'): TlsClient {
  return testClient({ fallback: true, maxVersion: version, alpn: ['lab/1'] });
}

for (const [version, suite] of [
  ['TLSv1.2', 0xc02b],
  ['TLSv1.2', 0xc00a],
  ['TLSv1.1', 0xc00a],
  ['TLSv1', 0xc009],
] as const) {
  test(`${version}, suite 0x${suite.toString(16)}: the whole of it, data before and after`, (t) => {
    const scene = new Scene({ version, suite });
    const hello = clientHelloOf(scene.hello);
    const [client = EMPTY] = scene.server.verifyData;
    t.deepEqual(
      hello.extensions.get(ExtensionType.RenegotiationInfo),
      Uint8Array.of(client.length, ...client),
    );
    t.false(hello.extensions.has(ExtensionType.ApplicationLayerProtocolNegotiation));
    scene.give(scene.records.seal(ContentType.ApplicationData, utf8ToBytes('still the first')));
    // of before it had our hello
    scene.give(scene.records.seal(ContentType.Handshake, HELLO_REQUEST));
    t.deepEqual(scene.data, ['still the first']);
    const second = scene.second({ version, suite: 0xc00a === suite ? 0xc009 : suite });
    t.deepEqual(scene.run(second), []);
    t.is(scene.client.state, 'connected');
    scene.client.exportTraffic(scene.state, 0);
    const theirs = second.traffic();
    const sent = seal(scene.sealer, ContentType.ApplicationData, Uint8Array.of(1, 2, 3));
    t.is(open(new TrafficOpener(theirs, 0), sent).data.length > 0, true);
    t.is(
      open(scene.opener, seal(new TrafficSealer(theirs, 0), ContentType.ApplicationData, Uint8Array.of(9)))
        .result,
      1,
    );
    t.true(scene.client.allowsRenegotiation);
  });
}

test('RFC 5746 §3.5, §4.2: a renegotiation_info that does not belong to the connection → handshake_failure', (t) => {
  const wrong = (change: (info: Uint8Array) => Uint8Array | null): readonly (string | number)[] => {
    const scene = new Scene();
    return scene.run(scene.second({}, change(scene.info)));
  };
  const invalid = ['InvalidRenegotiationInfo', Alert.HandshakeFailure];
  for (const at of [1, 12, 13, 24]) {
    t.deepEqual(
      wrong((info) => info.with(at, info[at]! ^ 1)),
      invalid,
      `byte ${at}`,
    );
  }
  t.deepEqual(
    wrong((info) => Uint8Array.of(12, ...info.subarray(1, 13))),
    invalid,
  );
  t.deepEqual(
    wrong(() => Uint8Array.of(0)),
    invalid,
  );
  t.deepEqual(
    wrong(() => null),
    ['RenegotiationInfoMissing', Alert.HandshakeFailure],
  );
});

test('a server that did not know renegotiation_info is told all the same, and may not begin to know it', (t) => {
  const scene = new Scene({ renegotiationInfo: false });
  // RFC 5746 §4.2: a server for which this is the first handshake knows by it that somebody is between
  const [client = EMPTY] = scene.server.verifyData;
  t.deepEqual(
    clientHelloOf(scene.hello).extensions.get(ExtensionType.RenegotiationInfo),
    Uint8Array.of(client.length, ...client),
  );
  t.deepEqual(scene.run(scene.second({}, null)), []);
  const other = new Scene({ renegotiationInfo: false });
  t.deepEqual(other.run(other.second()), ['InvalidRenegotiationInfo', Alert.HandshakeFailure]);
});

test('another certificate, another version, another kind of master secret are refused', (t) => {
  const times = { notBefore: 0, notAfter: 4e12 };
  const { der, privateKey } = issueServer(['server.test'], issueCa('another', times), times);
  const scene = new Scene();
  t.deepEqual(scene.run(scene.second({ chain: [der], privateKey })), [
    'ServerCertificateChanged',
    Alert.IllegalParameter,
  ]);
  const secret = new Scene();
  t.deepEqual(secret.run(secret.second({ extendedMasterSecret: false })), [
    'MasterSecretChanged',
    Alert.HandshakeFailure,
  ]);
  const version = new Scene({ suite: 0xc009 });
  t.is(version.run(version.second({ version: 'TLSv1.1', suite: 0xc009 }))[1], Alert.ProtocolVersion);
});

test('data after the server has begun, and records without the protection of the connection, end it', (t) => {
  const scene = new Scene();
  const flight = scene.second().answer(scene.hello);
  scene.give(scene.records.wrap(flight));
  scene.give(scene.records.seal(ContentType.ApplicationData, Uint8Array.of(1)));
  t.like(scene.client.error, { member: 'UnexpectedApplicationData', alert: Alert.UnexpectedMessage });
  const plain = new Scene();
  plain.give(plain.second().answer(plain.hello));
  t.is(plain.client.error?.member, 'BadRecordMac');
  const early = new Scene();
  early.give(early.records.seal(ContentType.ChangeCipherSpec, Uint8Array.of(1)));
  t.is(early.client.error?.member, 'UnexpectedChangeCipherSpec');
});

test('how often: HelloRequests during one, renegotiations of a connection', (t) => {
  const scene = new Scene();
  for (let i = 0; i <= MAX_HELLO_REQUESTS_IN_ROW; i++) {
    t.is(scene.client.error, null);
    scene.give(scene.records.seal(ContentType.Handshake, HELLO_REQUEST));
  }
  t.is(scene.client.error?.member, 'TooManyHelloRequests');
  const again = new Scene();
  let { client, records, server } = again;
  let hello = again.hello;
  for (let i = 1; i < MAX_RENEGOTIATIONS; i++) {
    const both = concatBytes(...server.verifyData);
    server = again.second({}, Uint8Array.of(both.length, ...both));
    const answer = records.wrap(server.answer(hello));
    client.receive(answer, 0, answer.length);
    const end = records.wrap(server.finish(records.unwrap(client.takeOutgoing()!)));
    client.receive(end, 0, end.length);
    t.is(client.state, 'connected');
    client.exportTraffic(again.state, 0);
    t.true(client.allowsRenegotiation);
    records = new InnerRecords(server.traffic());
    client = client.renegotiate(again.state, 0, 0, () => {});
    hello = records.unwrap(client.takeOutgoing()!);
  }
  const both = concatBytes(...server.verifyData);
  const last = again.second({}, Uint8Array.of(both.length, ...both));
  const answer = records.wrap(last.answer(hello));
  client.receive(answer, 0, answer.length);
  const end = records.wrap(last.finish(records.unwrap(client.takeOutgoing()!)));
  client.receive(end, 0, end.length);
  client.exportTraffic(again.state, 0);
  t.false(client.allowsRenegotiation);
});

test('none without fallback', (t) => {
  const client = testClient();
  shakeHands12(client, testServer12());
  client.exportTraffic(Slab.alloc(TRAFFIC_STATE_BYTES), 0);
  t.false(client.allowsRenegotiation);
});
