import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import test from 'ava';
import type { Finding } from './doctor.ts';

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.ts');

function doctor(
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): {
  code: number | null;
  findings: Finding[];
  stdout: string;
} {
  const { status, stdout } = spawnSync(process.execPath, [TUNWIRE, 'doctor', ...args], {
    encoding: 'utf8',
    env,
  });
  const findings = args.includes('--json')
    ? stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Finding)
    : [];
  return { code: status, findings, stdout };
}

test('every device has a finding; what does not work has a repair', (t) => {
  const { findings } = doctor(['--json']);
  const names = ['node', 'native', 'lab', 'tun', 'tap', 'raw', 'passt', 'unix', 'memory'];
  t.deepEqual(
    findings.map(({ name }) => name),
    names,
  );
  for (const { name, works, detail, repair } of findings) {
    t.not(detail, '', name);
    if (!works) t.not(repair, '', name);
  }
  t.true(findings.find(({ name }) => name === 'node')?.works);
});

test('a missing program is named with what installs it, and is a failure when it was asked for', (t) => {
  // /sbin and its like are always looked at: passt lies in none of them
  const { code, stdout } = doctor(['passt', 'memory'], { ...process.env, PATH: '/nowhere' });
  t.is(code, 45);
  t.regex(
    stdout,
    /^missing passt {3}there is no program passt\n {16}sudo apt-get install passt\nok {5} memory /,
  );
  t.is(doctor(['memory']).code, 0);
  t.is(doctor(['nonsense']).code, 2);
});
