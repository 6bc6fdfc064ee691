import { constants, PerformanceObserver } from 'node:perf_hooks';
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
  for (let i = 0; i < 40 * 128; i++) youngBytes(64 * 1024);
  for (let i = 0; i < 1000 && kinds.filter(isMinor).length < 40; i++) await new Promise(setImmediate);
  t.true(kinds.filter(isMinor).length >= 40, `${kinds}`);
});

test('the function that does it stays out of the program', (t) => {
  youngBytes(64 * 1024 * 1024);
  t.false('gc' in globalThis);
});
