import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import * as sys from './syscalls.ts';

test('failures are negative error numbers with names', (t) => {
  t.is(sys.open('/nonexistent/file', sys.O_RDWR), -sys.Errno.ENOENT);
  t.is(sys.read(-1, 0, 0), -sys.Errno.EBADF);
  t.is(sys.errnoName(-sys.Errno.ENOENT), 'ENOENT');
  t.is(sys.errnoName(sys.Errno.EBADFD), 'EBADFD');
});

test('scattered memory, shared and not, is written and read in place', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-syscalls-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'file');
  writeFileSync(path, '');
  const fd = sys.open(path, sys.O_RDWR);
  t.true(fd > 2);
  const own = new TextEncoder().encode('xxhello ');
  const shared = new Uint8Array(new SharedArrayBuffer(16));
  shared.set(new TextEncoder().encode('world'), 3);
  const pieces = new sys.IoVector(2);
  pieces.set(0, sys.addressOf(own) + 2, 6);
  pieces.set(1, sys.addressOf(shared.subarray(3)), 5);
  t.is(sys.writev(fd, pieces.address, 2), 11);
  t.is(readFileSync(path, 'utf8'), 'hello world');
  sys.closeFile(fd);
  const again = sys.open(path, sys.O_RDWR);
  const target = new Uint8Array(11);
  pieces.set(0, sys.addressOf(target) + 6, 5);
  pieces.set(1, sys.addressOf(target), 6);
  t.is(sys.readv(again, pieces.address, 2), 11);
  t.is(new TextDecoder().decode(target), ' worldhello');
  t.is(sys.read(again, sys.addressOf(target), 1), 0);
  sys.closeFile(again);
});

test('poll reports what happened, and ends at its timeout with fractions of a millisecond', (t) => {
  const fd = sys.eventfd();
  t.teardown(() => sys.close(fd));
  const poll = new sys.PollSet(2);
  poll.set(1, fd, sys.POLLIN);
  const before = performance.now();
  t.is(poll.wait(2.5), 0);
  const took = performance.now() - before;
  t.true(took >= 2.5, `${took}`);
  t.is(sys.signalEvent(fd), 0);
  t.is(sys.signalEvent(fd), 0);
  t.is(poll.wait(Number.POSITIVE_INFINITY), 1);
  t.is(poll.happened(1), sys.POLLIN);
  t.is(poll.happened(0), 0);
  sys.clearEvent(fd);
  t.is(poll.wait(0), 0);
  t.is(poll.wait(-5), 0);
  poll.set(0, 1_000_000, sys.POLLIN);
  t.is(poll.wait(1e9), 1);
  t.is(poll.happened(0), sys.POLLNVAL);
});

test('a thread that sleeps without end is woken by another', async (t) => {
  const fd = sys.eventfd();
  t.teardown(() => sys.close(fd));
  const source = `
    import { parentPort, workerData } from 'node:worker_threads';
    const sys = await import(workerData.module);
    const poll = new sys.PollSet(1);
    poll.set(0, workerData.fd, sys.POLLIN);
    parentPort.postMessage('sleeps');
    parentPort.postMessage(poll.wait(Infinity));`;
  const module = new URL('./syscalls.ts', import.meta.url).href;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: { module, fd },
  });
  const messages: unknown[] = [];
  await new Promise<void>((done, fail) => {
    worker.on('error', fail);
    worker.on('message', (message) => {
      messages.push(message);
      if (message === 'sleeps') sys.signalEvent(fd);
      else done();
    });
  });
  t.deepEqual(messages, ['sleeps', 1]);
});
