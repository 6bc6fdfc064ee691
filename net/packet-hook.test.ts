import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { createMemoryLink, createStack } from './index.ts';

const ROOT = resolve(import.meta.dirname, '..');

function folderOf(t: { teardown(clean: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** The pieces of a page that begin with `// NAME`. */
function piecesOf(page: string): Map<string, string> {
  const text = readFileSync(join(ROOT, page), 'utf8');
  const pieces = new Map<string, string>();
  for (const [, name = '', code = ''] of text.matchAll(/```js\n\/\/ ([\w-]+\.mjs)([\s\S]*?)```/g))
    pieces.set(name, `//${code}`);
  return pieces;
}

test('the example of docs/packet-hook.md runs, and loses nothing', async (t) => {
  const folder = folderOf(t);
  const pieces = piecesOf('docs/packet-hook.md');
  t.deepEqual([...pieces.keys()], ['drop-third.mjs', 'talk.mjs']);
  for (const [name, code] of pieces) writeFileSync(join(folder, name), code);
  // the package, as a checkout has it
  const home = join(folder, 'node_modules/tunwire');
  mkdirSync(home, { recursive: true });
  const entry = pathToFileURL(join(ROOT, 'net/index.ts')).href;
  writeFileSync(join(home, 'package.json'), '{ "type": "module", "exports": "./index.js" }');
  writeFileSync(join(home, 'index.js'), `export * from '${entry}';\n`);
  const { stdout } = await promisify(execFile)(process.execPath, ['talk.mjs'], { cwd: folder });
  const [, bytes, segments] = /^(\d+) bytes, (\d+) segments/.exec(stdout) ?? [];
  t.is(bytes, '100000');
  // 69 segments of 1448 bytes, a third of them lost, and sent again
  t.true(Number(segments) > 90, stdout);
});

test('a hook that cannot be loaded, and one that throws, are told', async (t) => {
  const folder = folderOf(t);
  const start = (module: string): Promise<unknown> => {
    const [device] = createMemoryLink();
    return createStack({ device, addresses: ['192.0.2.1/24'], packetHook: { module } });
  };
  await t.throwsAsync(start('/none.mjs'), { message: /the packet hook \/none.mjs cannot be loaded/ });
  const empty = join(folder, 'empty.mjs');
  writeFileSync(empty, 'export const x = 1;');
  await t.throwsAsync(start(empty), { message: /exports no function createPacketHook/ });
  const bad = join(folder, 'bad.mjs');
  writeFileSync(bad, 'export const createPacketHook = () => () => { throw new Error("no more of this"); };');
  const [device, far] = createMemoryLink();
  const peer = await createStack({ device: far, addresses: ['192.0.2.2/24'] });
  t.teardown(() => peer.close());
  const stack = await createStack({ device, addresses: ['192.0.2.1/24'], packetHook: { module: bad } });
  t.teardown(() => stack.close());
  await t.throwsAsync(stack.connect({ host: '192.0.2.2', port: 1 }), { message: /no more of this/ });
});
