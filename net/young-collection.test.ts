import { constants, PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import test from 'ava';
import { youngBytes } from './young-collection.ts';

test('many bytes received make V8 look through its young generation', async (t) => {
  const kinds: unknown[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      kinds.push((entry as unknown as { detail: { kind: number } }).detail.kind);
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  t.teardown(() => observer.disconnect());
  const isMinor = (kind: unknown): boolean => kind === constants.NODE_PERFORMANCE_GC_MINOR;
  // enough for forty of them; V8's own come now and then
  for (let i = 0; i < 40 * 64; i++) youngBytes(64 * 1024);
  for (let i = 0; i < 1000 && kinds.filter(isMinor).length < 40; i++) await new Promise(setImmediate);
  t.true(kinds.filter(isMinor).length >= 40, `${kinds}`);
});

test('what has been received and let go is freed at once, not when another thread gets to it', (t) => {
  const outsideBytes = (): number => getHeapStatistics().external_memory;
  youngBytes(64 * 1024 * 1024);
  const before = outsideBytes();
  let most = before;
  for (let i = 0; i < 4000; i++) {
    Buffer.allocUnsafeSlow(64 * 1024);
    youngBytes(64 * 1024);
    most = Math.max(most, outsideBytes());
  }
  // V8 may have no more than 9 MB left until it marks the whole heap
  const leastBytes = 2 * 1024 * 1024;
  const mostBytes = 6 * 1024 * 1024;
  t.true(most - before > leastBytes && most - before < mostBytes, `${most - before} bytes`);
});

test('the function that does it stays out of the program', (t) => {
  youngBytes(64 * 1024 * 1024);
  t.false('gc' in globalThis);
});
