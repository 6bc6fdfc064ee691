import test from 'ava';
import { fc } from '../../test/properties.ts';
import {
  fold16,
  foldChecksum,
  sumOddPiece,
  sumPseudoHeader,
  sumPseudoHeaderV4,
  sumPseudoHeaderV6,
  sumSlab,
} from './checksum.ts';
import { IpAddress } from './ip-address.ts';
import { Slab } from './slab.ts';

/** RFC 1071 §4.1, byte pair by byte pair. */
function naive(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum = (sum & 0xffff) + 1;
  }
  return ~sum & 0xffff;
}

test('RFC 1071 §3: the example', (t) => {
  const slab = new Slab(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7));
  t.is(fold16(sumSlab(slab, 0, 8, 0)), 0xddf2);
  t.is(foldChecksum(sumSlab(slab, 0, 8, 0)), 0x220d);
});

test('any bytes at any offset sum as the naive implementation says', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(9), fc.nat(9), (bytes, before, after) => {
      const all = new Uint8Array(before + bytes.length + after).fill(0xa5);
      all.set(bytes, before);
      return foldChecksum(sumSlab(new Slab(all), before, bytes.length, 0)) === naive(bytes);
    }),
  );
  t.pass();
});

test('two pieces sum as one, also when the first is odd', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (bytes, at) => {
      const cut = Math.min(at, bytes.length);
      const slab = new Slab(bytes);
      const first = sumSlab(slab, 0, cut, 0);
      const rest = bytes.length - cut;
      const both = cut % 2 === 0 ? sumSlab(slab, cut, rest, first) : sumOddPiece(slab, cut, rest, first);
      return foldChecksum(both) === naive(bytes);
    }),
  );
  t.pass();
});

test('64 KB of ones do not overflow', (t) => {
  const slab = new Slab(new Uint8Array(65_536).fill(0xff));
  t.is(foldChecksum(sumSlab(slab, 0, 65_535, 0xffffffff)), naive(new Uint8Array(65_535).fill(0xff)));
});

test('pseudo-headers', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.nat(255),
      fc.nat(65_535),
      (bytes, protocol, length) => {
        const view = new Slab(bytes).view;
        const tail = Uint8Array.of(0, 0, length >> 8, length & 255, 0, 0, 0, protocol);
        const w = (i: number): number => view.getInt32(i * 4);
        t.is(
          foldChecksum(sumPseudoHeaderV6(w(0), w(1), w(2), w(3), w(4), w(5), w(6), w(7), protocol, length)),
          naive(Uint8Array.from([...bytes, ...tail])),
        );
        t.is(
          foldChecksum(sumPseudoHeaderV4(w(0), w(1), protocol, length)),
          naive(Uint8Array.from([...bytes.slice(0, 8), ...tail])),
        );
        const a = IpAddress.read(view, 0, 6);
        const b = IpAddress.read(view, 16, 6);
        t.is(
          fold16(sumPseudoHeader(a, b, protocol, length)),
          fold16(sumPseudoHeaderV6(w(0), w(1), w(2), w(3), w(4), w(5), w(6), w(7), protocol, length)),
        );
      },
    ),
  );
});
