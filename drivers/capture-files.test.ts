import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';

const WRITER = `'${process.execPath}' '${join(import.meta.dirname, 'testing/write-standard-output.ts')}'`;

function temporaryFile(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-capture-files-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'out');
}

function shell(t: ExecutionContext, command: string): void {
  const { status, stderr } = spawnSync('sh', ['-c', command], { timeout: 60_000, encoding: 'utf8' });
  t.is(status, 0, stderr);
}

test('a capture on standard output goes behind what stands in the file, and what follows behind it', (t) => {
  const file = temporaryFile(t);
  writeFileSync(file, 'before ');
  shell(t, `${WRITER} 5 >> '${file}'; echo ' after' >> '${file}'`);
  t.is(readFileSync(file, 'utf8'), 'before ..... after\n');
});

test('a capture shares standard output with the commands around it', (t) => {
  const file = temporaryFile(t);
  shell(t, `(printf 'before '; ${WRITER} 5; printf ' after') > '${file}'`);
  t.is(readFileSync(file, 'utf8'), 'before ..... after');
});

test('a capture waits for the reader of a pipe that does not block', (t) => {
  const file = temporaryFile(t);
  shell(t, `${WRITER} 3000000 nonblocking | cat > '${file}'`);
  t.is(readFileSync(file).length, 3_000_000);
});
