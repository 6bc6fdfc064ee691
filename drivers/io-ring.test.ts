import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import test from 'ava';
import { IO_RING_ENTRIES, IoRing } from './io-ring.ts';
import * as sys from './syscalls.ts';

const ring = IoRing.open();
/** A kernel before 6.6, or one that forbids it, has none: there is nothing to test. */
const testWithRing = ring === null ? test.skip : test;

testWithRing('calls are made in their order, and none waits', (t) => {
  const fd = sys.eventfd();
  t.teardown(() => sys.close(fd));
  const words = new BigUint64Array(new ArrayBuffer(4 * 8));
  const address = sys.addressOf(words);
  words[0] = 5n;
  words[1] = 2n;
  const before = sys.systemCalls.count;
  ring!.write(fd, address, 8);
  ring!.write(fd, address + 8, 8);
  ring!.read(fd, address + 16, 8);
  ring!.read(fd, address + 24, 8);
  t.is(ring!.submit(), 4);
  t.is(sys.systemCalls.count - before, 1);
  t.deepEqual([...ring!.results.subarray(0, 4)], [8, 8, 8, -sys.Errno.EAGAIN]);
  t.deepEqual([...words], [5n, 2n, 7n, 0n]);
  ring!.read(-1, address, 8);
  t.is(ring!.submit(), 1);
  t.is(ring!.results[0], -sys.Errno.EBADF);
});

testWithRing('it is used over and over, full and not', (t) => {
  const fd = sys.eventfd();
  t.teardown(() => sys.close(fd));
  const words = new BigUint64Array(new ArrayBuffer(2 * 8));
  const address = sys.addressOf(words);
  let written = 0n;
  for (let round = 0; round < 1000; round++) {
    const calls = 1 + (round % IO_RING_ENTRIES);
    words[0] = BigInt(round + 1);
    for (let i = 0; i < calls; i++) ring!.write(fd, address, 8);
    t.is(ring!.submit(), calls);
    written += words[0] * BigInt(calls);
    if (ring!.results.subarray(0, calls).some((result) => result !== 8)) t.fail(`round ${round}`);
  }
  ring!.read(fd, address + 8, 8);
  ring!.submit();
  t.is(words[1], written);
});

testWithRing('it has no descriptor, and ends with its thread, terminated or not', async (t) => {
  // in a process of its own: Node's event loops have such descriptors, too
  const script = `
    import { once } from 'node:events';
    import { readdirSync } from 'node:fs';
    import { Worker } from 'node:worker_threads';
    const url = ${JSON.stringify(new URL('./io-ring.ts', import.meta.url).href)};
    const descriptors = () => readdirSync('/proc/self/fd').length;
    let before = 0;
    for (let round = 0; round < 40; round++) {
      const isTerminated = round % 2 === 0;
      const worker = new Worker(\`
        const { IoRing } = await import('\${url}');
        const { parentPort } = await import('node:worker_threads');
        parentPort.postMessage(IoRing.open() !== null);
        \${isTerminated ? 'setInterval(() => {}, 1000);' : ''}\`, { eval: true, execArgv: ['--input-type=module'] });
      const [has] = await once(worker, 'message');
      if (!has) throw new Error('no ring in round ' + round);
      if (isTerminated) await worker.terminate();
      else await once(worker, 'exit');
      if (round === 0) before = descriptors();
    }
    console.log(descriptors() - before);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  t.is(stdout.trim(), '0');
});

testWithRing('it is given back: more can be had one after another than a thread may have at once', (t) => {
  const open = Array.from({ length: 40 }, () => IoRing.open());
  const got = open.filter((each) => each !== null);
  t.true(got.length >= 8 && got.length < 40, `${got.length}`);
  for (const each of got) each.close();
  for (let i = 0; i < 100; i++) {
    const each = IoRing.open();
    t.true(each !== null);
    each?.close();
    each?.close();
  }
});
