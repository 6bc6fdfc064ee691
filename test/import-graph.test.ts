import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import test from 'ava';

const ROOT = resolve(import.meta.dirname, '..');

interface Rule {
  /** The files the rule is for: a path prefix. The longest that fits counts. */
  readonly folder: string;
  /** Prefixes of project files it may import; its own folder always. */
  readonly project: readonly string[];
  /** Packages and `node:` modules it may import; `*` is any. */
  readonly packages: readonly string[];
}

/** Dependencies point one way (ARCHITECTURE.md): cli → inet, net → engine → stack, tls, drivers. */
const RULES: readonly Rule[] = [
  { folder: 'stack/wire/', project: [], packages: [] },
  { folder: 'stack/', project: ['stack/'], packages: ['@noble/hashes', 'dns-packet'] },
  {
    folder: 'tls/',
    project: ['tls/', 'stack/random.ts', 'stack/wire/slab.ts'],
    packages: ['node:crypto', 'node:zlib', 'node:module', '@noble/hashes', '@peculiar/x509', 'node-forge'],
  },
  {
    folder: 'drivers/',
    project: ['stack/link.ts', 'stack/errors.ts', 'stack/random.ts', 'stack/wire/'],
    packages: ['*'],
  },
  // it reads certificates and revocation lists into the stores that tls/ validates with
  {
    folder: 'drivers/system-roots.ts',
    project: ['tls/x509/revocation-lists.ts', 'tls/x509/trust-store.ts', 'stack/errors.ts'],
    packages: ['*'],
  },
  { folder: 'engine/', project: ['stack/', 'tls/', 'drivers/'], packages: ['*'] },
  { folder: 'inet/', project: ['engine/', 'stack/', 'tls/', 'drivers/'], packages: ['*'] },
  { folder: 'net/', project: ['engine/', 'stack/', 'tls/', 'drivers/'], packages: ['*'] },
  {
    folder: 'cli/',
    project: ['inet/', 'net/', 'engine/', 'stack/', 'tls/', 'drivers/', 'conformance/'],
    packages: ['*'],
  },
  { folder: 'conformance/', project: ['stack/', 'tls/', 'drivers/'], packages: ['*'] },
  { folder: 'bench/', project: ['*'], packages: ['*'] },
  { folder: 'pcap-fixtures/', project: ['*'], packages: ['*'] },
  { folder: 'test/', project: ['*'], packages: ['*'] },
];

/** What would make the core depend on when and where it runs: time, chance and the process are injected. */
const AMBIENT =
  /\b(Date\.now|new Date\b|performance\.|Math\.random|setTimeout|setInterval|setImmediate|queueMicrotask|process\.|crypto\.)/;

const SOURCES: readonly string[] = sources(ROOT);

function sources(folder: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name.startsWith('.') || ['node_modules', 'dist', 'coverage'].includes(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...sources(path));
    else if (entry.name.endsWith('.ts')) found.push(relative(ROOT, path).split(sep).join('/'));
  }
  return found;
}

function isTest(file: string): boolean {
  return file.endsWith('.test.ts') || file.includes('/testing/');
}

function ruleOf(file: string): Rule | undefined {
  return RULES.filter((rule) => file.startsWith(rule.folder)).sort(
    (a, b) => b.folder.length - a.folder.length,
  )[0];
}

/** Comments out, strings kept: a mention in a comment is no import. */
function withoutComments(source: string): string {
  const token = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
  return source.replace(token, (found) => (found.startsWith('/') ? ' ' : found));
}

function importsOf(source: string): string[] {
  const statement =
    /(?:\bimport|\bexport)\s(?:[^'"`;]*?\sfrom\s*)?['"]([^'"]+)['"]|\bimport\s*\(\s*['"]([^'"]+)['"]|\bgetBuiltinModule\(\s*['"]([^'"]+)['"]/g;
  return [...withoutComments(source).matchAll(statement)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? '',
  );
}

function isAllowed(file: string, specifier: string, rule: Rule): boolean {
  if (specifier.startsWith('.')) {
    const target = join(dirname(file), specifier).split(sep).join('/');
    return (
      target.startsWith(rule.folder) ||
      rule.project.some((prefix) => prefix === '*' || target.startsWith(prefix))
    );
  }
  return rule.packages.some((name) => name === '*' || specifier === name || specifier.startsWith(`${name}/`));
}

/** What is wrong with a file's imports, one line each. */
function violations(file: string, source: string): string[] {
  const rule = ruleOf(file);
  if (rule === undefined) return [`${file} lies in no folder of the house`];
  return importsOf(source)
    .filter((specifier) => !isAllowed(file, specifier, rule))
    .map((specifier) => `${file} → ${specifier}`);
}

test('no import goes against the direction of the house', (t) => {
  const wrong = SOURCES.filter((file) => !isTest(file)).flatMap((file) =>
    violations(file, readFileSync(join(ROOT, file), 'utf8')),
  );
  t.deepEqual(wrong, []);
  t.true(SOURCES.length > 20, 'the walk finds the sources');
});

test('the core reads no clock, no timer and no random source of its own', (t) => {
  const wrong = SOURCES.filter((file) => file.startsWith('stack/') && !isTest(file)).flatMap((file) => {
    const code = withoutComments(readFileSync(join(ROOT, file), 'utf8'));
    const found = AMBIENT.exec(code);
    return found === null ? [] : [`${file}: ${found[0]}`];
  });
  t.deepEqual(wrong, []);
});

test('system calls are made in one file', (t) => {
  const users = SOURCES.filter((file) =>
    /['"]koffi['"]/.test(withoutComments(readFileSync(join(ROOT, file), 'utf8'))),
  );
  t.deepEqual(
    users.filter((file) => file !== 'test/import-graph.test.ts'),
    ['drivers/syscalls.ts'],
  );
});

test('forbidden edges are found in every form an import can take', (t) => {
  const bad: [string, string][] = [
    ['stack/tcp/a.ts', "import { x } from '../../engine/engine.ts';"],
    ['stack/tcp/a.ts', "import fs from 'node:fs';"],
    ['stack/tcp/a.ts', "export * from '../../tls/client.ts';"],
    ['stack/tcp/a.ts', "import type {\n  A,\n  B,\n} from '../../drivers/device.ts';"],
    ['stack/wire/a.ts', "import { Ring } from '../ring.ts';"],
    ['stack/a.ts', "const m = await import('node:net');"],
    ['stack/a.ts', "import 'node:net';"],
    ['tls/a.ts', "import { Ring } from '../stack/ring.ts';"],
    ['drivers/a.ts', "import { Stack } from '../stack/stack.ts';"],
    ['inet/a.ts', "import { Socket } from '../net/socket.ts';"],
    ['net/a.ts', "import { InetConnect } from '../inet/index.ts';"],
    ['engine/a.ts', "import { Socket } from '../net/socket.ts';"],
    ['conformance/a.ts', "import { Engine } from '../engine/engine.ts';"],
    ['elsewhere/a.ts', ''],
  ];
  for (const [file, source] of bad) t.is(violations(file, source).length, 1, `${file}: ${source}`);
  t.deepEqual(
    violations('stack/tcp/a.ts', "// import x from 'node:fs';\nimport { y } from '../ring.ts';"),
    [],
  );
  t.deepEqual(violations('cli/a.ts', "import { connect } from '../net/index.ts';"), []);
});
