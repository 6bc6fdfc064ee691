import test from 'ava';
import { Arena } from '../engine/arena.ts';
import { engineSizes } from '../engine/options.ts';
import { publishEngine } from '../engine/start.ts';
import { InetInitialize } from './index.ts';
import { lastCode } from './testing/bench.ts';

const OPTIONS = { device: 'tun:none', addresses: ['192.0.2.2/24'] };

test.serial('several engines are not for the blocking calls, and say so', (t) => {
  t.false(Boolean(InetInitialize({ ...OPTIONS, engines: 2 })));
  t.is(lastCode(), 'ARGUMENT_INVALID');
});

test.serial('a shared stack with several engines is refused rather than half used', (t) => {
  const arenas = [0, 1].map(() => Arena.create(engineSizes({ ...OPTIONS, memoryBytes: 2 ** 20 })));
  publishEngine(arenas[0]!, arenas.slice(1));
  t.false(Boolean(InetInitialize()));
  t.is(lastCode(), 'ARGUMENT_INVALID');
});
