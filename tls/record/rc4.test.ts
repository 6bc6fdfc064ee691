import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { fc } from '../../test/properties.ts';
import { applyRc4, RC4_STATE_BYTES, startRc4 } from './rc4.ts';

/** RFC 6229 §2: key, and 16 bytes of the key stream at an offset. */
const VECTORS: readonly [string, number, string][] = [
  ['0102030405', 0, 'b2396305f03dc027ccc3524a0a1118a8'],
  ['0102030405', 256, '1cfcf62b03eddb641d77dfcf7f8d8c93'],
  ['0102030405', 768, 'eb62638d4f0ba1fe9fca20e05bf8ff2b'],
  ['0102030405060708', 0, '97ab8a1bf0afb96132f2f67258da15a8'],
  ['0102030405060708090a', 1008, 'a64f70af88ae56b6f87581c0e23e6b08'],
  ['0102030405060708090a', 4096, '08b6be45124a43e2eb77953f84dc8553'],
  ['0102030405060708090a0b0c0d0e0f10', 0, '9ac7cc9a609d1ef7b2932899cde41b97'],
  ['0102030405060708090a0b0c0d0e0f10', 16, '5248c4959014126a6e8a84f11d1a9e1c'],
  ['0102030405060708090a0b0c0d0e0f10', 240, '065902e4b620f6cc36c8589f66432f2b'],
  ['0102030405060708090a0b0c0d0e0f10', 1536, 'ffa0b514647ec04f6306b892ae661181'],
  ['0102030405060708090a0b0c0d0e0f10', 3072, 'c05d88abd50357f935a63c59ee537623'],
  ['0102030405060708090a0b0c0d0e0f10', 4096, 'a36a4c301ae8ac13610ccbc12256cacc'],
];
for (const [key, offset, expected] of VECTORS) {
  test(`RFC 6229: a key of ${key.length * 4} bits, offset ${offset}`, (t) => {
    const state = new Uint8Array(RC4_STATE_BYTES);
    startRc4(state, hexToBytes(key));
    const stream = new Uint8Array(offset + 16);
    applyRc4(state, stream, 0, stream.length);
    t.is(bytesToHex(stream.subarray(offset)), expected);
  });
}

test('the state goes on from piece to piece, in shared memory too', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 32 }),
      fc.uint8Array({ maxLength: 600 }),
      fc.array(fc.nat({ max: 90 }), { minLength: 1, maxLength: 8 }),
      (key, data, sizes) => {
        const whole = data.slice();
        const state = new Uint8Array(RC4_STATE_BYTES);
        startRc4(state, key);
        applyRc4(state, whole, 0, whole.length);
        const pieces = data.slice();
        const shared = new Uint8Array(new SharedArrayBuffer(RC4_STATE_BYTES));
        startRc4(shared, key);
        for (let off = 0, i = 0; off < pieces.length; i++) {
          const size = Math.min((sizes[i % sizes.length] ?? 0) + 1, pieces.length - off);
          applyRc4(shared, pieces, off, size);
          off += size;
        }
        t.deepEqual(pieces, whole);
        t.deepEqual([...shared], [...state]);
      },
    ),
    { numRuns: 50 },
  );
});
