/**
 * `npm run test:package`: packs the project as npm would publish it, installs the tarball into an empty project, and uses it there:
 * every entry point, from ECMAScript and CommonJS modules, under this Node and under Node 26, with and without TypeScript, and the
 * command.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

/** The newest Node that the package is tried under. */
const NEXT_NODE = 'node@26.10.0';

const ROOT = resolve(import.meta.dirname, '..');
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  devDependencies: Record<string, string>;
};

const folder = mkdtempSync(join(tmpdir(), 'tunwire-package-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

function step(title: string, body: () => void): void {
  const begin = performance.now();
  body();
  console.log(`${title}: ${((performance.now() - begin) / 1000).toFixed(1)} s`);
}

/** Two stacks in one process, joined by a memory link, and a greeting over TCP. */
const USE = `
  const [ours, theirs] = createMemoryLink();
  const client = await createStack({ device: ours, addresses: ['192.0.2.1/24'] });
  const server = await createStack({ device: theirs, addresses: ['192.0.2.2/24'] });
  const listener = await server.listen({ port: 7 });
  listener.on('connection', (socket) => socket.end('hello'));
  const socket = await client.connect({ host: '192.0.2.2', port: 7 });
  let text = '';
  for await (const chunk of socket) text += chunk;
  await client.close();
  await server.close();
  if (text !== 'hello') throw new Error('got ' + text);
  if (typeof inet.InetConnect !== 'function' || inet.INET_PROTOCOL_TCP !== 6) throw new Error('inet');
  if (new stack.SeededRandom(1).uint32() === 0) throw new Error('stack');
  if (typeof tls.TlsClient !== 'function') throw new Error('tls');
  const verdict = conformance.runScript('0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\\n+0 close(3) = 0\\n');
  if (verdict.kind !== 'pass') throw new Error(JSON.stringify(verdict));
  console.log('used');`;

const IMPORTS = `
import { createMemoryLink, createStack } from 'tunwire';
import * as inet from 'tunwire/inet';
import * as stack from 'tunwire/stack';
import * as tls from 'tunwire/tls';
import * as conformance from 'tunwire/conformance';`;

step('pack', () => run('npm', 'pack', ROOT, '--silent', '--pack-destination', folder));
const [tarball = ''] = run('sh', '-c', 'ls *.tgz').trim().split('\n');
writeFileSync(
  join(folder, 'package.json'),
  JSON.stringify({ name: 'consumer', private: true, type: 'module' }),
);
const compiler = `typescript@${manifest.devDependencies['typescript']}`;
const types = `@types/node@${manifest.devDependencies['@types/node']}`;
step('install', () =>
  run('npm', 'install', '--no-audit', '--no-fund', '--silent', `./${tarball}`, NEXT_NODE, compiler, types),
);

const { messages } = await publint({ pkgDir: join(folder, 'node_modules/tunwire'), strict: true });
const complaints = messages.map((message) => formatMessage(message, manifest));
if (complaints.length > 0) throw new Error(`publint:\n${complaints.join('\n')}`);

writeFileSync(join(folder, 'use.mjs'), `${IMPORTS}\n${USE}`);
writeFileSync(
  join(folder, 'use.mts'),
  `${IMPORTS}\nimport type { Socket } from 'node:net';\n${USE}\nconst asNode: Socket = socket;\nvoid asNode;`,
);
writeFileSync(
  join(folder, 'use.cjs'),
  `const { createMemoryLink, createStack } = require('tunwire');
const [inet, stack, tls, conformance] = ['inet', 'stack', 'tls', 'conformance'].map((name) => require('tunwire/' + name));
(async () => {${USE}})().catch((error) => { console.error(error); process.exitCode = 1; });`,
);
writeFileSync(
  join(folder, 'tsconfig.json'),
  JSON.stringify({
    compilerOptions: {
      target: 'es2024',
      lib: ['es2024', 'esnext.disposable'],
      module: 'nodenext',
      strict: true,
      noEmit: true,
      types: ['node'],
    },
    files: ['use.mts'],
  }),
);
step('types', () => run(join(folder, 'node_modules/.bin/tsc'), '-p', folder));
const next = join(folder, 'node_modules/node/bin/node');
for (const node of [process.execPath, next]) {
  const version = run(node, '--version').trim();
  for (const file of ['use.mjs', 'use.cjs']) {
    step(`${file} under ${version}`, () => {
      if (!run(node, file).includes('used')) throw new Error(`${file} has not come to its end`);
    });
  }
  step(`the command under ${version}`, () => {
    const help = run(node, join(folder, 'node_modules/tunwire/cli/tunwire.js'), '--help');
    if (!help.includes('connect')) throw new Error(`unexpected help: ${help}`);
  });
  step(`a lab under ${version}`, () => {
    const inside = ['tunwire', 'get', 'https://server.lab.test/', '--loss', '5%', '-w', 'out.pcapng'];
    const launcher = join(folder, 'node_modules/tunwire/cli/tunwire.js');
    const page = run(node, launcher, 'lab', '--serve', ...inside);
    if (!page.startsWith('Hello from the kernel')) throw new Error(`unexpected page: ${page}`);
    if (!existsSync(join(folder, 'out.pcapng'))) throw new Error('there is no capture');
  });
}
