import test from 'ava';
import { fc } from '../test/properties.ts';
import { ObservedSecrets, TlsObserver } from './observer.ts';

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
