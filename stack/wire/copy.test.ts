import test from 'ava';
import { fc } from '../../test/properties.ts';
import { copyBytes } from './copy.ts';

test('copies between private and shared memory, overlapping too, as Uint8Array.set does', (t) => {
  const place = fc.record({ from: fc.nat(50), into: fc.nat(50), length: fc.nat(50), shared: fc.boolean() });
  const property = fc.property(fc.uint8Array({ minLength: 100, maxLength: 100 }), place, (content, where) => {
    const Memory = where.shared ? SharedArrayBuffer : ArrayBuffer;
    const [one, two] = [new Uint8Array(new Memory(100)), new Uint8Array(new Memory(100))];
    one.set(content);
    copyBytes(one, where.from, two, where.into, where.length);
    const expected = new Uint8Array(100);
    expected.set(content.subarray(where.from, where.from + where.length), where.into);
    t.deepEqual([...two], [...expected]);
    copyBytes(one, where.from, one, where.into, where.length);
    content.copyWithin(where.into, where.from, where.from + where.length);
    t.deepEqual([...one], [...content]);
  });
  fc.assert(property);
  t.pass();
});

test('copies whole arrays, onto themselves too', (t) => {
  const content = Uint8Array.from({ length: 100 }, (_, i) => i);
  const into = new Uint8Array(new SharedArrayBuffer(110));
  copyBytes(content, 0, into, 10, 100);
  t.deepEqual([...into.subarray(10)], [...content]);
  copyBytes(into.subarray(5), 0, into, 4, 105);
  t.deepEqual([...into.subarray(9, 109)], [...content]);
  copyBytes(into, 0, into, 0, 110);
  copyBytes(content, 0, into, 0, 0);
  t.deepEqual([...into.subarray(9, 109)], [...content]);
});
