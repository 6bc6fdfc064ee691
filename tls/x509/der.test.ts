import test from 'ava';
import { fc } from '../../test/properties.ts';
import * as w from '../testing/der-writer.ts';
import { DerError, DerReader, Tag } from './der.ts';

const bytes = (hexText: string): Uint8Array => new Uint8Array(Buffer.from(hexText.replace(/ /g, ''), 'hex'));
const read = (hexText: string): DerReader => new DerReader(bytes(hexText));

test('lengths come in their shortest definite form only', (t) => {
  t.is(new DerReader(w.element(4, new Uint8Array(127))).contents(4).length, 127);
  t.is(new DerReader(w.element(4, new Uint8Array(128))).contents(4).length, 128);
  t.is(new DerReader(w.element(4, new Uint8Array(70_000))).contents(4).length, 70_000);
  for (const [encoding, message] of [
    ['04 80 00 00', /indefinite/],
    ['04 81 01 00', /shortest/],
    ['04 82 00 80', /shortest/],
    ['04 84 00000001 00', /16 MiB/],
    ['04 82 01', /truncated length/],
    ['04 01', /longer than what holds it/],
    ['04', /truncated element/],
    ['1f 81 00 00', /tag number/],
  ] as const) {
    t.throws(() => read(encoding).element(), { instanceOf: DerError, message }, encoding);
  }
});

test('an inner element does not reach beyond its outer one', (t) => {
  const outer = read('30 03 04 05 61 62 63 64 65').enter(Tag.Sequence);
  t.throws(() => outer.element(), { message: /longer/ });
});

test('booleans, integers and bit strings', (t) => {
  t.true(read('01 01 ff').boolean());
  t.false(read('01 01 00').boolean());
  for (const wrong of ['01 01 01', '01 00', '01 02 ff ff'])
    t.throws(() => read(wrong).boolean(), { instanceOf: DerError });
  t.is(read('02 01 7f').smallInteger(), 127);
  t.is(read('02 02 00 80').smallInteger(), 128);
  t.is(read('02 06 01 00 00 00 00 00').smallInteger(), 0x7fffffff);
  for (const wrong of ['02 00', '02 02 00 7f', '02 02 ff 80', '02 01 80']) {
    t.throws(() => read(wrong).smallInteger(), { instanceOf: DerError }, wrong);
  }
  t.is(read('03 02 05 a0').namedBits(), 0b101);
  t.is(read('03 03 07 06 80').namedBits(), 0b1_0110_0000);
  t.is(read('03 01 00').namedBits(), 0);
  for (const wrong of ['03 00', '03 02 05 a1', '03 02 08 00', '03 01 01']) {
    t.throws(() => read(wrong).namedBits(), { instanceOf: DerError }, wrong);
  }
  t.throws(() => read('03 02 01 80').octetsOfBitString(), { message: /whole octets/ });
});

test('object identifiers', (t) => {
  t.is(read('06 03 55 1d 13').oid(), '2.5.29.19');
  t.is(read('06 09 2a864886f70d01010b').oid(), '1.2.840.113549.1.1.11');
  t.is(read('06 01 27').oid(), '0.39');
  t.is(read('06 02 88 37').oid(), '2.999');
  for (const wrong of ['06 00', '06 01 80', '06 02 80 01', '06 03 55 80 01']) {
    t.throws(() => read(wrong).oid(), { instanceOf: DerError }, wrong);
  }
  t.not(read('06 0b 69 ffffffffffffffffff7e').oid(), read('06 0b 69 ffffffffffffffffff7f').oid());
});

test('times', (t) => {
  const utc = (text: string): number => new DerReader(w.element(0x17, w.ascii(text))).time();
  const general = (text: string): number => new DerReader(w.element(0x18, w.ascii(text))).time();
  t.is(utc('260615120000Z'), Date.UTC(2026, 5, 15, 12));
  t.is(utc('500101000000Z'), Date.UTC(1950, 0, 1));
  t.is(utc('491231235959Z'), Date.UTC(2049, 11, 31, 23, 59, 59));
  t.is(general('20500101000000Z'), Date.UTC(2050, 0, 1));
  t.is(general('20240229000000Z'), Date.UTC(2024, 1, 29));
  for (const wrong of [
    '2606151200Z',
    '260615120000',
    '260615120000+0000',
    '261315120000Z',
    '260631120000Z',
    '260229000000Z',
    '260615240000Z',
    '260615126000Z',
    '2606151200 0Z',
    '260015120000Z',
  ]) {
    t.throws(() => utc(wrong), { instanceOf: DerError }, wrong);
  }
  for (const wrong of ['20260615120000.5Z', '21000229000000Z', '00500101000000Z', '2026061512000Z']) {
    t.throws(() => general(wrong), { instanceOf: DerError }, wrong);
  }
});

test('what the writer writes, the reader reads', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(), (payload, number) => {
      const encoding = w.sequence(
        w.octetString(payload),
        w.integer(number),
        w.boolean(true),
        w.bitString(payload),
      );
      const outer = new DerReader(encoding);
      const inner = outer.enter(Tag.Sequence);
      outer.finish();
      t.deepEqual(inner.contents(Tag.OctetString), payload);
      t.is(inner.smallInteger(), number);
      t.true(inner.boolean());
      t.deepEqual(inner.octetsOfBitString(), payload);
      inner.finish();
    }),
    { numRuns: 200 },
  );
});

test('any bytes at all end in a value or a DerError', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (input) => {
      for (const step of ['element', 'oid', 'time', 'boolean', 'smallInteger', 'namedBits'] as const) {
        try {
          new DerReader(input)[step]();
        } catch (error) {
          if (!(error instanceof DerError)) throw error;
        }
      }
    }),
    { numRuns: 2000 },
  );
  t.pass();
});
