import { on, once } from 'node:events';
import { duplexPair } from 'node:stream';
import * as tls from 'node:tls';
import test from 'ava';
import { fc } from '../test/properties.ts';
import { type ObservedMessage, ObservedSecrets, TlsObserver, type TlsSender } from './observer.ts';
import { issueCa, issueServer } from './testing/certificates.ts';

// What it opens is shown with captures of two OpenSSLs and of our own: cli/dump.peer.test.ts, cli/dump-tls.test.ts.

const RANDOM = new Uint8Array(32).fill(0xab);
/** RFC 8446 §4.1.2, with nothing in it. */
const CLIENT_HELLO = Uint8Array.of(1, 0, 0, 41, 3, 3, ...RANDOM, 0, 0, 2, 0x13, 1, 1, 0);
const HELLO_RECORD = Uint8Array.of(22, 3, 1, 0, CLIENT_HELLO.length, ...CLIENT_HELLO);

function secrets(): ObservedSecrets {
  const known = new ObservedSecrets();
  for (const label of ['CLIENT_RANDOM', 'CLIENT_EARLY_TRAFFIC_SECRET', 'SERVER_HANDSHAKE_TRAFFIC_SECRET'])
    known.add(`# a comment\n${label} ${'ab'.repeat(32)} ${'cd'.repeat(32)}\r\nnonsense\n`);
  return known;
}

test('a message is told when it is whole, wherever it was cut', (t) => {
  for (let cut = 0; cut <= HELLO_RECORD.length; cut++) {
    const observer = new TlsObserver(secrets());
    const found = [
      ...observer.receive('client', HELLO_RECORD.subarray(0, cut)),
      ...observer.receive('client', HELLO_RECORD.subarray(cut)),
    ];
    t.like(found, { length: 1, 0: { sender: 'client', type: 'handshake', name: 'client_hello' } });
    t.deepEqual(found[0]?.bytes, CLIENT_HELLO);
  }
});

test('what is no TLS is not followed any further', (t) => {
  const observer = new TlsObserver(secrets());
  t.deepEqual(observer.receive('client', Buffer.from('GET / HTTP/1.1\r\n')), []);
  t.false(observer.isFollowing);
  t.deepEqual(observer.receive('client', HELLO_RECORD), []);
});

test('whatever the bytes are, nothing is thrown', (t) => {
  const record = fc
    .tuple(fc.integer({ min: 20, max: 24 }), fc.uint8Array({ maxLength: 200 }))
    .map(([type, content]) => Uint8Array.of(type, 3, 3, 0, content.length, ...content));
  const hello = fc.constantFrom(1, 2, 11, 20).chain((type) =>
    fc.uint8Array({ maxLength: 120 }).map((body) => {
      const message = Uint8Array.of(type, 0, 0, body.length, ...body);
      return Uint8Array.of(22, 3, 3, 0, message.length, ...message);
    }),
  );
  const sender = fc.constantFrom('client' as const, 'server' as const);
  fc.assert(
    fc.property(fc.array(fc.tuple(sender, fc.oneof(record, hello)), { maxLength: 12 }), (said) => {
      const observer = new TlsObserver(secrets());
      observer.receive('client', HELLO_RECORD);
      for (const [who, bytes] of said) observer.receive(who, bytes);
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

for (const [version, ciphers] of [
  ['TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  ['TLSv1.2', 'ECDHE-ECDSA-AES256-SHA'],
  ['TLSv1.1', 'ECDHE-ECDSA-AES128-SHA'],
  ['TLSv1', 'ECDHE-ECDSA-AES256-SHA'],
] as const) {
  test(`a renegotiation of node:tls is followed: ${version} ${ciphers}`, async (t) => {
    const known = new ObservedSecrets();
    const observer = new TlsObserver(known);
    const found: ObservedMessage[] = [];
    const valid = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
    const root = issueCa('observed', valid);
    const { pem: cert, privateKey } = issueServer(['server.test'], root, valid);
    const only = { minVersion: version, maxVersion: version, ciphers: `${ciphers}:@SECLEVEL=0` } as const;
    const [near, far] = duplexPair();
    const [inside, outside] = duplexPair();
    // the secrets are known when the records come
    far.on('data', (bytes: Buffer) => outside.write(bytes));
    outside.on('data', (bytes: Buffer) => far.write(bytes));
    const records: [TlsSender, Buffer][] = [];
    far.on('data', (bytes: Buffer) => records.push(['client', bytes]));
    outside.on('data', (bytes: Buffer) => records.push(['server', bytes]));
    const server = new tls.TLSSocket(inside, {
      isServer: true,
      ...only,
      cert,
      key: privateKey.export({ format: 'pem', type: 'pkcs8' }),
    });
    server.pipe(server);
    const client = tls.connect({ socket: near, ca: root.pem, servername: 'server.test', ...only });
    client.on('keylog', (line: Buffer) => known.add(line.toString()));
    const said = async (text: string): Promise<void> => {
      client.write(text);
      for await (const [chunk] of on(client, 'data')) if (String(chunk).endsWith(text.at(-1)!)) break;
    };
    await once(client, 'secureConnect');
    for (const text of ['first', 'second', 'third']) {
      await said(text);
      await new Promise<void>((resolve, reject) => {
        client.renegotiate({ rejectUnauthorized: true }, (error) => (error ? reject(error) : resolve()));
      });
    }
    await said('last');
    for (const [sender, bytes] of records) found.push(...observer.receive(sender, bytes));
    for (const sender of ['client', 'server'] as const) {
      const from = found.filter((each) => each.sender === sender);
      const data = from.filter(({ type }) => type === 'application data').map(({ bytes }) => bytes);
      t.is(Buffer.concat(data).toString(), 'firstsecondthirdlast');
      t.is(from.filter(({ name }) => name === `${sender}_hello`).length, 4);
      t.is(from.filter(({ name }) => name === 'finished').length, 4);
      const changes = from.filter(({ type }) => type === 'change cipher spec');
      t.deepEqual(
        changes.map(({ bytes }) => [...bytes]),
        [[1], [1], [1], [1]],
      );
    }
    t.true(observer.isFollowing);
  });
}
