import { Worker } from 'node:worker_threads';
import test from 'ava';
import { InetGetStatus } from './index.ts';
import { setUpBench } from './testing/bench.ts';
import type { StressAnswer, StressHandle, StressTask } from './testing/stress-thread.ts';

// 1,000 connections with the default buffers want 1.5 GB
setUpBench(test, 65_536);

const THREADS = 16;
const CONNECTIONS = 1000;
const ROUNDS = 3;

function ask(worker: Worker, task: StressTask): Promise<StressAnswer> {
  return new Promise((done, fail) => {
    worker.once('message', done);
    worker.once('error', fail);
    worker.postMessage(task);
  });
}

test.serial('16 threads with 1,000 connections at the same time pass them around', async (t) => {
  const script = new URL('./testing/stress-thread.ts', import.meta.url);
  const workers = Array.from({ length: THREADS }, () => new Worker(script).setMaxListeners(0));
  t.teardown(async () => {
    await Promise.all(workers.map((worker) => worker.terminate()));
  });
  const problems: string[] = [];
  const all = async (task: (thread: number) => StressTask): Promise<(readonly StressHandle[])[]> => {
    const answers = await Promise.all(workers.map((worker, i) => ask(worker, task(i))));
    t.is(new Set(answers.map(({ thread }) => thread)).size, THREADS);
    for (const answer of answers) problems.push(...answer.problems);
    return answers.map(({ handles }) => handles);
  };
  const share = (i: number): number => Math.floor((CONNECTIONS * i) / THREADS);
  let held = await all((i) => ({ do: 'open', from: share(i), count: share(i + 1) - share(i) }));
  t.deepEqual(problems, []);
  t.is(new Set(held.flat().map(({ handle }) => handle)).size, CONNECTIONS);
  for (let round = 1; round <= ROUNDS; round++) {
    const before = held;
    // each thread gets some from all others, and nothing of its own
    held = await all((i) => ({
      do: 'use',
      last: round === ROUNDS,
      handles: before.flatMap((handles, from) =>
        handles.filter((_, n) => (from + 1 + ((n + round) % (THREADS - 1))) % THREADS === i),
      ),
    }));
    t.deepEqual(problems, []);
    t.is(held.flat().length, round === ROUNDS ? 0 : CONNECTIONS);
  }
  t.is(InetGetStatus(1), -1);
  await all(() => ({ do: 'uninitialize' }));
});
