import test from 'ava';
import { CommanderError } from 'commander';
import { INSTEAD } from './foreign-flags.ts';
import { makeProgram } from './program.ts';

/** What a command line that is wrong is answered with. */
function complaint(...args: readonly string[]): string {
  const program = makeProgram();
  let text = '';
  for (const command of [program, ...program.commands]) {
    command.action(() => {});
    const { outputError } = command.configureOutput();
    command.exitOverride().configureOutput({
      writeErr: (part) => (text += part),
      outputError: (part, write) => outputError?.(part, write),
    });
  }
  try {
    program.parse(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return text;
    throw error;
  }
  throw new Error(`${args.join(' ')} is a command line`);
}

const STACK = ['--addr', '10.9.0.2/24', '--tun', 'none'];

test('flags of the commands that people know are answered with what to do instead', (t) => {
  for (const [verb, flags] of Object.entries(INSTEAD)) {
    for (const [flag, hint] of Object.entries(flags)) {
      const name = verb === '' ? 'connect' : verb;
      const stack = name === 'dump' ? [] : STACK;
      const text = complaint(name, ...stack, 'host', ...(name === 'connect' ? ['80'] : []), flag);
      t.regex(text, /^tunwire: unknown option/, `${name} ${flag}: ${text}`);
      t.true(text.includes(`(${hint})\n`), `${name} ${flag}`);
    }
  }
});

test("nc's -w is a time limit, ours a file", (t) => {
  t.regex(
    complaint('connect', ...STACK, '-w', '5', 'host', '80'),
    /For a time limit: --timeout 5; .* -w \.\/5/,
  );
});

test("curl's --insecure, and --secrets-in-pcapng", (t) => {
  const program = makeProgram();
  const get = program.commands.find((verb) => verb.name() === 'get');
  let options: object = {};
  get?.action((_url: string, given: object) => {
    options = given;
  });
  program.parse(['get', ...STACK, '--insecure', '--capture', 'x', '--secrets-in-pcapng', 'https://host/'], {
    from: 'user',
  });
  t.like(options, { trustedSite: true, capture: 'x', captureSecrets: true });
});
