import { Worker } from 'node:worker_threads';
import test from 'ava';
import { Arena, ArenaWord } from './arena.ts';
import { SocketBlock, SocketStatus, SocketWord } from './socket-block.ts';

const SIZE = { maxSockets: 64, poolBytes: 1 << 20 };

test('blocks are taken once, and again after they were given back', (t) => {
  const arena = Arena.create(SIZE);
  const taken = Array.from({ length: 64 }, () => arena.takeBlock(SocketWord.NextFree));
  t.deepEqual(
    [...taken].sort((a, b) => a - b),
    [...Array(64).keys()],
  );
  t.is(arena.takeBlock(SocketWord.NextFree), -1);
  arena.giveBlock(7, SocketWord.NextFree);
  arena.giveBlock(9, SocketWord.NextFree);
  t.deepEqual([arena.takeBlock(SocketWord.NextFree), arena.takeBlock(SocketWord.NextFree)], [9, 7]);
  t.is(arena.takeBlock(SocketWord.NextFree), -1);
});

test('a list is taken in the order of its pushes', (t) => {
  const arena = Arena.create(SIZE);
  for (const index of [3, 1, 2]) {
    arena.push(ArenaWord.CommandHead, (arena.blockOffset(index) >> 2) + SocketWord.NextCommand, index);
  }
  const order: number[] = [];
  let next = arena.takeAll(ArenaWord.CommandHead, SocketWord.NextCommand);
  while (next !== 0) {
    order.push(next - 1);
    next = arena.load((arena.blockOffset(next - 1) >> 2) + SocketWord.NextCommand);
  }
  t.deepEqual(order, [3, 1, 2]);
  t.is(arena.takeAll(ArenaWord.CommandHead, SocketWord.NextCommand), 0);
});

test('four threads take and give blocks at once: none is held twice', async (t) => {
  const arena = Arena.create({ maxSockets: 8, poolBytes: 4096 });
  const source = `
    import { workerData } from 'node:worker_threads';
    import { Arena } from ${JSON.stringify(new URL('./arena.ts', import.meta.url).href)};
    import { SocketWord } from ${JSON.stringify(new URL('./socket-block.ts', import.meta.url).href)};
    const arena = new Arena(workerData);
    for (let i = 0; i < 20000; i++) {
      const index = arena.takeBlock(SocketWord.NextFree);
      if (index < 0) continue;
      const at = (arena.blockOffset(index) >> 2) + SocketWord.Status;
      if (Atomics.add(arena.words, at, 1) !== 0) throw new Error('block ' + index + ' was given out twice');
      Atomics.sub(arena.words, at, 1);
      arena.giveBlock(index, SocketWord.NextFree);
    }
  `;
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const codes = await Promise.all(
    Array.from(
      { length: 4 },
      () =>
        new Promise<unknown>((resolve) => {
          const worker = new Worker(url, { workerData: arena.memory });
          worker.once('error', resolve);
          worker.once('exit', resolve);
        }),
    ),
  );
  t.deepEqual(codes, [0, 0, 0, 0]);
});

test('the key log passes lines through, and drops what does not fit', (t) => {
  const arena = Arena.create(SIZE);
  t.is(arena.takeKeyLog(), '');
  for (let round = 0; round < 3; round++) {
    const lines = Array.from({ length: 300 }, (_, i) => `CLIENT_RANDOM ${i} ${'ab'.repeat(40)}`);
    for (const line of lines) t.true(arena.writeKeyLog(line));
    t.is(arena.takeKeyLog(), `${lines.join('\n')}\n`);
  }
  t.false(arena.writeKeyLog('x'.repeat(65536)));
});

test('a block is cleared without leaving the lists it is on', (t) => {
  const arena = Arena.create(SIZE);
  const block = new SocketBlock(arena, arena.takeBlock(SocketWord.NextFree));
  block.set(SocketWord.Status, SocketStatus.Open);
  block.set(SocketWord.Commands, 5);
  block.set(SocketWord.NextCommand, 3);
  block.set(SocketWord.Events, 6);
  block.set(SocketWord.NextReady, 4);
  block.setError('RESET', 6, 'detail');
  block.clear();
  t.is(block.get(SocketWord.Commands), 5);
  t.is(block.get(SocketWord.NextCommand), 3);
  t.is(block.get(SocketWord.Events), 6);
  t.is(block.get(SocketWord.NextReady), 4);
  t.is(block.error, null);
});
