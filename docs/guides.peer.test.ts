// needs: ip unshare openssl tshark
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { systemEnvironment } from '../test/requirements.ts';

const ROOT = resolve(import.meta.dirname, '..');
const GUIDES = join(ROOT, 'docs/guides');

/** A fenced block of a guide. */
interface Block {
  /** `sh`: is run; `text`: what has to come of the one before; others with a title: a file. */
  readonly language: string;
  readonly title: string;
  readonly content: string;
}

function blocksOf(path: string): Block[] {
  const fence = /^```(\w+)(?: title="([^"]+)")?\n([\s\S]*?)^```$/gm;
  const text = readFileSync(path, 'utf8');
  return [...text.matchAll(fence)].map(([, language = '', title = '', content = '']) => ({
    language,
    title,
    content,
  }));
}

/** What the package's names mean in a checkout. */
function fromSources(source: string): string {
  return source
    .replaceAll("'tunwire'", `'${ROOT}/net/index.ts'`)
    .replace(/'tunwire\/(\w+)'/g, `'${ROOT}/$1/index.ts'`);
}

/** Runs a block as a shell would. @returns what it has written, and its exit code */
async function run(script: string, folder: string): Promise<{ code: number; output: string }> {
  const bin = join(ROOT, 'node_modules/.bin');
  const env = systemEnvironment();
  const child = spawn('bash', ['-e', '-o', 'pipefail', '-c', script], {
    cwd: folder,
    env: { ...env, PATH: [join(folder, 'bin'), bin, env['PATH']].join(delimiter), SHELL: '/bin/sh' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk;
    });
  const [code] = (await once(child, 'close')) as [number];
  return { code, output };
}

/** `…` stands for anything within a line. */
function patternOf(line: string): RegExp {
  const parts = line.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(parts.join('.*'));
}

async function folderFor(t: ExecutionContext): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-guide-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  // npx finds the command of the project that it is called in
  await run(
    `mkdir bin; printf '#!/bin/sh\nshift\nexec "%s" "%s" "$@"\n' '${process.execPath}' '${ROOT}/cli/tunwire.js' > bin/npx; chmod +x bin/npx`,
    folder,
  );
  return folder;
}

for (const guide of readdirSync(GUIDES).filter((name) => name.endsWith('.md'))) {
  const blocks = blocksOf(join(GUIDES, guide));
  if (blocks.length === 0) continue;
  test.serial(`${guide} is true`, async (t) => {
    const folder = await folderFor(t);
    let output = '';
    for (const { language, title, content } of blocks) {
      if (title !== '') writeFileSync(join(folder, title), fromSources(content));
      else if (language === 'sh') {
        const result = await run(content, folder);
        output = result.output;
        t.is(result.code, 0, `${content}\n${output}`);
      } else if (language === 'text') {
        for (const line of content.trimEnd().split('\n')) t.regex(output, patternOf(line));
      } else t.fail(`a block that is neither run nor a file: ${content}`);
    }
  });
}

test.serial('the two commands that README.md begins with', async (t) => {
  const [install, command, ...more] =
    blocksOf(join(ROOT, 'README.md'))[0]?.content.trimEnd().split('\n') ?? [];
  t.is(install, 'npm ci');
  t.deepEqual(more, []);
  const folder = await folderFor(t);
  const { code, output } = await run(command ?? '', folder);
  t.is(code, 0, output);
  t.regex(output, /^Hello from the kernel's side/);
  t.true(readdirSync(folder).includes('out.pcapng'));
});

test('the guides are listed', (t) => {
  const index = readFileSync(join(GUIDES, 'README.md'), 'utf8');
  for (const name of readdirSync(GUIDES)) if (name !== 'README.md') t.true(index.includes(`(${name})`), name);
});
