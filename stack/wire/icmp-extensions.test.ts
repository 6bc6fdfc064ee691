import test from 'ava';
import { foldChecksum, sumSlab } from './checksum.ts';
import { MAX_MPLS_LABELS, quoteEnd, readIcmpExtensions } from './icmp-extensions.ts';
import { Slab } from './slab.ts';

const LABEL = [0, 8, 1, 1, 0x03, 0xe8, 0x1b, 0x3f];
/** Outgoing, with everything: index, address, name, MTU. */
const INTERFACE = [
  ...[0, 28, 2, 0x8f],
  ...[0, 0, 0, 3],
  ...[0, 1, 0, 0, 192, 0, 2, 1],
  ...[8, 0x65, 0x74, 0x1b, 0x30, 0, 0, 0],
  ...[0, 0, 5, 0xdc],
];

/** A time exceeded: a quote of `quoted` bytes and objects behind it. @param length the attribute */
function message(
  family: 4 | 6,
  quoted: number,
  length: number,
  objects: readonly number[],
  sum = true,
): Slab {
  const slab = Slab.alloc(8 + quoted + 4 + objects.length);
  slab.view.setUint8(0, family === 4 ? 11 : 3);
  slab.view.setUint8(family === 4 ? 5 : 4, length);
  const at = 8 + quoted;
  slab.view.setUint8(at, 2 << 4);
  slab.bytes.set(objects, at + 4);
  if (sum) slab.view.setUint16(at + 2, foldChecksum(sumSlab(slab, at, slab.lengthBytes - at, 0)));
  return slab;
}

const read = (slab: Slab, family: 4 | 6 = 4): ReturnType<typeof readIcmpExtensions> =>
  readIcmpExtensions(slab, 0, slab.lengthBytes, family);

test('RFC 4884 §4: the quote ends where the length attribute says, in words of 4 bytes, of ICMPv6 of 8', (t) => {
  for (const [family, words] of [
    [4, 32],
    [6, 16],
  ] as const) {
    const { view, lengthBytes } = message(family, 128, words, LABEL);
    t.is(quoteEnd(view, 0, lengthBytes, family), 136);
    // not said; and more than there is
    for (const length of [0, 255]) {
      view.setUint8(family === 4 ? 5 : 4, length);
      t.is(quoteEnd(view, 0, lengthBytes, family), lengthBytes);
    }
    // a packet that is too big has no such attribute: its octets are the MTU
    view.setUint8(0, family === 4 ? 5 : 2);
    view.setUint8(family === 4 ? 5 : 4, words);
    t.is(quoteEnd(view, 0, lengthBytes, family), lengthBytes);
  }
});

test('RFC 4950, RFC 5837: labels and interfaces, of both versions, with and without a checksum', (t) => {
  const label = { label: 0x03e81, trafficClass: 5, ttl: 0x3f };
  for (const [family, words] of [
    [4, 32],
    [6, 16],
  ] as const) {
    for (const sum of [true, false]) {
      const found = read(message(family, 128, words, [...LABEL, ...INTERFACE], sum), family);
      t.deepEqual(found?.mpls, [label]);
      const [only, ...others] = found?.interfaces ?? [];
      t.is(others.length, 0);
      t.deepEqual(
        { ...only, address: String(only?.address) },
        {
          role: 'outgoing',
          index: 3,
          address: '192.0.2.1',
          // no escape of a terminal gets through
          name: 'et?0',
          mtuBytes: 1500,
        },
      );
    }
  }
});

test('RFC 4884 §5.5: of old routers, behind 128 bytes, and only with a checksum', (t) => {
  t.is(read(message(4, 128, 0, LABEL))?.mpls.length, 1);
  t.is(read(message(4, 128, 0, LABEL, false)), null);
  t.is(read(message(4, 132, 0, LABEL)), null);
});

test('what is not right is not told: checksum, version, lengths', (t) => {
  const wrong = message(4, 128, 32, LABEL);
  wrong.view.setUint8(wrong.lengthBytes - 1, 0);
  t.is(read(wrong), null);
  const version = message(4, 128, 32, LABEL, false);
  version.view.setUint8(136, 1 << 4);
  t.is(read(version), null);
  for (const objects of [
    [0, 3, 1, 1, 0, 0, 0, 0],
    [0, 12, 1, 1, 0, 0, 0, 0],
    [0, 8, 2, 0x0c, 0, 0, 0, 1],
    [0, 12, 2, 2, 9, 1, 1, 1, 1, 1, 1, 1],
  ])
    t.deepEqual(read(message(4, 128, 32, objects)), { mpls: [], interfaces: [] });
});

test('however many labels there are, a few are told', (t) => {
  const many = Array.from({ length: 40 }, () => LABEL).flat();
  t.is(read(message(4, 128, 32, many))?.mpls.length, MAX_MPLS_LABELS);
});
