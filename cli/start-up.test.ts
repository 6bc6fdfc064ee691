import { spawnSync } from 'node:child_process';
import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const ROOT = resolve(import.meta.dirname, '..');
/** Tells on standard error of each file that is loaded. */
const TELL = `
import { registerHooks } from 'node:module';
import { writeSync } from 'node:fs';
registerHooks({
  load(url, context, next) {
    if (url.startsWith('file:')) writeSync(2, 'loaded ' + url + '\\n');
    return next(url, context);
  },
});`;

/** The files of the project that a command loads in its first thread. */
function loadedBy(...args: string[]): string[] {
  const tell = `data:text/javascript,${encodeURIComponent(TELL)}`;
  const command = ['--import', tell, resolve(ROOT, 'cli/tunwire.ts'), ...args];
  const { stderr } = spawnSync(process.execPath, command, { input: '', encoding: 'utf8' });
  return stderr
    .split('\n')
    .filter((line) => line.startsWith('loaded '))
    .map((line) => relative(ROOT, fileURLToPath(line.slice('loaded '.length))));
}

/** Those in any of the folders. */
function inFolders(files: readonly string[], ...folders: string[]): string[] {
  return files.filter((file) => folders.some((folder) => file.startsWith(`${folder}/`)));
}

test('--help loads what the flags are made of, and nothing that does the work', (t) => {
  const files = loadedBy('--help');
  t.true(files.includes('cli/program.ts'), files.join(' '));
  t.deepEqual(inFolders(files, 'drivers', 'engine', 'inet', 'net', 'stack', 'tls'), []);
});

test('connect loads neither what other verbs do nor, in its first thread, the stack and the devices', (t) => {
  const files = loadedBy('connect', '--device', 'raw:nosuch0', '--addr', '192.0.2.2/24', '192.0.2.1', '80');
  t.true(files.includes('cli/connect.ts') && files.includes('engine/start.ts'), files.join(' '));
  t.deepEqual(inFolders(files, 'net', 'stack/ip', 'node_modules/koffi'), []);
  const work = [
    'engine/engine.ts',
    'drivers/tun.ts',
    'stack/tcp/connection.ts',
    'stack/tcp/congestion/bbr.ts',
  ];
  t.deepEqual(
    [...work, 'cli/dump.ts', 'cli/get.ts', 'cli/play.ts', 'cli/script.ts'].filter((file) =>
      files.includes(file),
    ),
    [],
  );
});
