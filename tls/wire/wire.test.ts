import test from 'ava';
import { fc } from '../../test/properties.ts';
import { TlsError } from '../errors.ts';
import { MessageJoiner } from '../record/message-joiner.ts';
import { checkAnswered, extensionName, readExtensions } from './extensions.ts';
import { handshakeMessage } from './messages.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

function memberOf(run: () => unknown): string {
  try {
    run();
    return 'none';
  } catch (error) {
    return error instanceof TlsError ? error.member : String(error);
  }
}

test('integers are big-endian and unsigned', (t) => {
  const reader = new Reader(
    Uint8Array.of(0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8, 0xf7, 0xf6),
    'test',
  );
  t.is(reader.u8(), 0xff);
  t.is(reader.u16(), 0xfefd);
  t.is(reader.u24(), 0xfcfbfa);
  t.is(reader.u32(), 0xf9f8f7f6);
  t.true(reader.done);
});

test('no read passes the end of its reader, whatever the bytes behind it are', (t) => {
  const bytes = Uint8Array.of(9, 2, 7, 8, 5, 5, 5, 5);
  const outer = new Reader(bytes, 'outer', 1, 5);
  const inner = outer.vector8('inner');
  t.is(inner.remaining, 2);
  t.is(
    memberOf(() => inner.u24()),
    'MessageTooShort',
  );
  t.is(inner.u16(), 0x0708);
  t.is(
    memberOf(() => inner.u8()),
    'MessageTooShort',
  );
  t.is(
    memberOf(() => outer.u16()),
    'MessageTooShort',
  );
  t.is(
    memberOf(() => outer.finish()),
    'TrailingData',
  );
  t.is(
    memberOf(() => outer.vector8('too long')),
    'MessageTooShort',
  );
});

test('vectors: what is written is read, and every truncation is refused', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 600 }), (a, b) => {
      const writer = new Writer();
      writer.vector24(() => {
        writer.vector8(() => writer.bytes(a));
        writer.vector16(() => writer.bytes(b));
      });
      const bytes = writer.finish();
      const read = (end: number): [Uint8Array, Uint8Array] => {
        const outer = new Reader(bytes, 'test', 0, end);
        const content = outer.vector24('content');
        const result: [Uint8Array, Uint8Array] = [content.vector8('a').rest(), content.vector16('b').rest()];
        content.finish();
        outer.finish();
        return result;
      };
      t.deepEqual(read(bytes.length), [a, b]);
      for (let end = 0; end < bytes.length; end++) {
        if (memberOf(() => read(end)) !== 'MessageTooShort') return false;
      }
      return true;
    }),
    { numRuns: 30 },
  );
});

test('a vector that does not fit its length is the fault of the caller', (t) => {
  const writer = new Writer();
  t.throws(() => writer.vector8(() => writer.bytes(new Uint8Array(256))), { instanceOf: RangeError });
});

test('extensions: unknown ones are kept, doubles refused, unsolicited ones named', (t) => {
  const block = Uint8Array.of(0, 9, 0x12, 0x34, 0, 1, 7, 0, 16, 0, 0);
  const extensions = readExtensions(new Reader(block, 'test'), 'test');
  t.deepEqual([...extensions.keys()], [0x1234, 16]);
  t.is(extensions.get(0x1234)?.u8(), 7);
  t.is(
    memberOf(() => checkAnswered(extensions, 'test', new Set([16]))),
    'UnsolicitedExtension',
  );
  t.is(
    memberOf(() => checkAnswered(extensions, 'test', new Set([16, 0x1234]))),
    'none',
  );
  t.is(
    memberOf(() => readExtensions(new Reader(Uint8Array.of(0, 8, 0, 1, 0, 0, 0, 1, 0, 0), 'x'), 'x')),
    'DuplicateExtension',
  );
  t.is(extensionName(16), 'application_layer_protocol_negotiation');
});

test('messages are joined from pieces of any size', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 20 }),
      (bodies, sizes) => {
        const messages = bodies.map((body) => handshakeMessage(20, body));
        const stream = Uint8Array.from(messages.flatMap((message) => [...message]));
        const joiner = new MessageJoiner();
        const got: Uint8Array[] = [];
        for (let off = 0, i = 0; off < stream.length; i++) {
          const size = Math.min(sizes[i % sizes.length]!, stream.length - off);
          joiner.add(stream, off, size);
          off += size;
          for (let message = joiner.next(); message !== null; message = joiner.next()) {
            got.push(Uint8Array.from(message.raw));
          }
        }
        t.deepEqual(got, messages);
        return joiner.isEmpty;
      },
    ),
    { numRuns: 60 },
  );
});

test('a writer leaves nothing of what it wrote to the next, however large it has grown, and can begin again', (t) => {
  const long = new Writer();
  for (const lengthBytes of [10, 5000, 12_000]) {
    long.bytes(new Uint8Array(lengthBytes).fill(0xaa));
    t.is(long.finish().length, lengthBytes);
  }
  t.deepEqual(long.finish(), new Uint8Array(0));
  const writers = Array.from({ length: 6 }, () => new Writer());
  for (const [i, writer] of writers.entries()) {
    writer.vector16(() => writer.u8(i));
    t.deepEqual(writer.finish(), Uint8Array.of(0, 1, i));
  }
  const [one, other] = [new Writer(), new Writer()];
  one.u16(1);
  other.u16(2);
  t.deepEqual([one.finish(), other.finish()], [Uint8Array.of(0, 1), Uint8Array.of(0, 2)]);
});
