import test from 'ava';
import { fc } from '../../test/properties.ts';
import { Slab } from './slab.ts';
import { parseTcpOptions, synOptionBytes, TcpOptions, writeSynOptions, writeTimestamps } from './tcp.ts';

function parse(bytes: readonly number[], options: TcpOptions = new TcpOptions()): [boolean, TcpOptions] {
  const slab = new Slab(Uint8Array.from(bytes));
  return [parseTcpOptions(slab, 0, bytes.length, options), options];
}

test('options of a SYN are read back as written, and fill their words without an end [MUST-4] [MUST-69]', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 65_535 }),
      fc.integer({ min: -1, max: 14 }),
      fc.boolean(),
      fc.boolean(),
      fc.integer(),
      fc.integer(),
      (mss, shift, sack, timestamps, tsVal, tsEcr) => {
        const slab = Slab.alloc(40);
        const length = writeSynOptions(slab.view, 0, mss, shift, sack, timestamps, tsVal, tsEcr);
        t.is(length, synOptionBytes(shift >= 0, sack, timestamps));
        t.is(length % 4, 0);
        const options = new TcpOptions();
        t.true(parseTcpOptions(slab, 0, length, options));
        t.is(options.mssBytes, mss);
        t.is(options.windowShift, shift);
        t.is(options.sackPermitted, sack);
        t.is(options.hasTimestamps, timestamps);
        if (timestamps) t.deepEqual([options.tsVal, options.tsEcr], [tsVal, tsEcr]);
      },
    ),
  );
});

test('unknown options are skipped by their length [MUST-6], nothing needs alignment [MUST-64]', (t) => {
  const [legal, options] = parse([253, 5, 1, 2, 3, 1, 2, 4, 5, 180, 34, 2, 3, 3, 9]);
  t.true(legal);
  t.is(options.mssBytes, 1460);
  t.is(options.windowShift, 9);
});

test('all but two kinds have a length [MUST-68]; illegal ones end the list, and what came before counts [MUST-7]', (t) => {
  for (const bad of [[8, 0], [8, 1], [8, 11, 0, 0], [8]]) {
    const [legal, options] = parse([2, 4, 5, 180, ...bad]);
    t.false(legal);
    t.is(options.mssBytes, 1460);
    t.false(options.hasTimestamps);
  }
});

test('known kinds with another length say nothing', (t) => {
  const [legal, options] = parse([
    2, 3, 5, 3, 4, 1, 1, 4, 3, 0, 8, 9, 0, 0, 0, 0, 0, 0, 0, 5, 9, 0, 0, 0, 0, 0, 0, 0,
  ]);
  t.true(legal);
  t.deepEqual([options.mssBytes, options.windowShift, options.sackPermitted], [-1, -1, false]);
  t.deepEqual([options.hasTimestamps, options.sackBlocks], [false, 0]);
});

test('what follows the end of the list is not read [MUST-4] [MUST-69]', (t) => {
  const [legal, options] = parse([0, 2, 4, 5, 180]);
  t.true(legal);
  t.is(options.mssBytes, -1);
});

test('SACK blocks, truncated at every byte', (t) => {
  const whole = [5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 255, 255, 255, 255];
  const [, options] = parse(whole);
  t.is(options.sackBlocks, 2);
  t.deepEqual([...options.sackLeft.slice(0, 2)], [1, 3]);
  t.deepEqual([...options.sackRight.slice(0, 2)], [2, -1]);
  for (let length = 1; length < whole.length; length++) {
    const [legal, cut] = parse(whole.slice(0, length));
    t.false(legal);
    t.is(cut.sackBlocks, 0);
  }
});

test('no bytes make the parser throw or leave its range', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const guarded = new Slab(Uint8Array.from([...bytes]));
      const options = new TcpOptions();
      t.notThrows(() => parseTcpOptions(guarded, 0, bytes.length, options));
    }),
  );
});

test('timestamps are laid out as everybody expects', (t) => {
  const slab = Slab.alloc(12);
  t.is(writeTimestamps(slab.view, 0, 0x01020304, -1), 12);
  t.deepEqual([...slab.bytes], [1, 1, 8, 10, 1, 2, 3, 4, 255, 255, 255, 255]);
});
