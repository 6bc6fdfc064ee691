import test from 'ava';
import { kernelIsAtLeast } from './kernel-version.ts';

test('versions are compared by their numbers; what is none is old', (t) => {
  for (const [running, expected] of [
    ['6.1.0-41-amd64', false],
    ['6.2.0', true],
    ['6.10.3-microsoft-standard-WSL2+', true],
    ['7.0-rc1', true],
    ['5.19.17', false],
    ['10.0.1', true],
    ['', false],
    ['sandbox', false],
  ] as const)
    t.is(kernelIsAtLeast(6, 2, running), expected, running);
});
