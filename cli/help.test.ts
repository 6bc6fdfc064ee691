import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import test from 'ava';
import { ExitCode } from './exit-code.ts';
import { generatedFiles } from './generated-files.ts';
import { EXIT_CODES } from './manual.ts';
import { makeProgram } from './program.ts';

const ROOT = resolve(import.meta.dirname, '..');
const COLUMNS = 80;

test('help fits into 80 columns', (t) => {
  const program = makeProgram();
  for (const command of [program, ...program.commands]) {
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) });
    command.outputHelp();
    t.true(help.includes('Usage: tunwire'), command.name());
    const long = help.split('\n').filter((line) => line.length > COLUMNS);
    t.deepEqual(long, [], command.name());
  }
});

test('the start loads definitions only: what works is loaded when it is used', (t) => {
  const loaded = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string): void => {
    if (loaded.has(file)) return;
    loaded.add(file);
    const source = readFileSync(resolve(ROOT, file), 'utf8');
    for (const [, isType, specifier = ''] of source.matchAll(
      /^(?:import|export)( type)? [^;]*?from '([^']+)';$/gms,
    )) {
      if (isType !== undefined) continue;
      if (specifier.startsWith('.')) visit(join(dirname(file), specifier));
      else packages.add(specifier);
    }
  };
  visit('cli/tunwire.ts');
  const outside = [...loaded].filter((file) => !file.startsWith('cli/'));
  // plain tables
  t.deepEqual(outside.sort(), ['conformance/replay/options.ts', 'conformance/script/profile.ts']);
  t.deepEqual([...packages].sort(), ['commander', 'node:fs', 'node:path', 'node:url']);
  t.true(loaded.has('cli/verbs/connect.ts') && !loaded.has('cli/connect.ts'));
});

test('every verb and every option says what it is for', (t) => {
  const program = makeProgram();
  for (const command of program.commands) {
    const name = command.name();
    if (!name.endsWith('-inside')) t.not(command.summary(), '', name);
    for (const option of command.options) t.not(option.description, '', `${name} ${option.flags}`);
    for (const argument of command.registeredArguments)
      t.not(argument.description, '', `${name} ${argument.name()}`);
  }
});

test('manual page and completions are those of the commands; if not: node cli/generate.ts', (t) => {
  for (const [path, content] of generatedFiles())
    t.is(readFileSync(resolve(ROOT, path), 'utf8'), content, path);
});

test('the manual page says what every exit code means', (t) => {
  const said = EXIT_CODES.map(([code]) => code).filter((code) => code < 128);
  t.deepEqual(
    said,
    [...new Set<number>(Object.values(ExitCode))].sort((a, b) => a - b),
  );
});

test('bash completes verbs, options and values', (t) => {
  const complete = (...words: string[]): string[] => {
    const script =
      'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tunwire; ' +
      'IFS=","; echo "' +
      '$' +
      '{COMPREPLY[*]}"';
    const file = resolve(ROOT, 'completion/tunwire.bash');
    const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', file, ...words], {
      encoding: 'utf8',
    });
    t.is(stderr, '');
    return stdout.trim().split(',');
  };
  t.deepEqual(complete('tunwire', 're'), ['resolve', 'replay']);
  t.deepEqual(complete('tunwire', 'get', '--max-'), ['--max-redirs', '--max-time']);
  t.deepEqual(complete('tunwire', 'lab', '--link', ''), ['tun', 'veth']);
});
