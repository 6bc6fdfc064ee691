// needs: tun socat
import test from 'ava';
import { createLab, type Lab, type LabProcess, OWN_V4, OWN_V6 } from '../test/netns.ts';
import { startTunwire } from './testing/command.ts';

async function listening(lab: Lab, args: readonly string[]): Promise<LabProcess> {
  const process = startTunwire(lab, 'listen', args);
  await lab.until('it listens', () => process.stderr.includes('listening') || process.ended);
  return process;
}

test('one connection to standard input and output, and then the end', async (t) => {
  const lab = await createLab(t);
  const server = await listening(lab, ['7000']);
  server.child.stdin.end('from the stack\n');
  const client = await lab.run('socat', ['-t', '10', '-', `TCP:${OWN_V4}:7000`], {
    input: 'from the kernel\n',
  });
  t.is(client.stdout, 'from the stack\n', client.stderr);
  t.is(await server.exited, 0, server.stderr);
  t.is(server.stdout, 'from the kernel\n');
});

test('services for any number of connections, until they are interrupted', async (t) => {
  const lab = await createLab(t);
  const server = await listening(lab, [OWN_V6, '7', '--echo', '-v']);
  for (const input of ['one', 'two'.repeat(100_000)]) {
    const client = await lab.run('socat', ['-t', '10', '-', `TCP:[${OWN_V6}]:7`], { input });
    t.is(client.stdout, input, client.stderr);
  }
  server.kill('SIGINT');
  t.is(await server.exited, 130, server.stderr);
  t.regex(server.stderr, /300000 bytes received, 300000 sent/);
});

test('characters without an end', async (t) => {
  const lab = await createLab(t);
  const server = await listening(lab, ['19', '--chargen']);
  const client = await lab.run('sh', ['-c', `socat -u TCP:${OWN_V4}:19 - | head -n 2`]);
  const line = String.fromCharCode(...Array.from({ length: 73 }, (_, i) => 0x20 + i));
  t.is(client.stdout, `${line.slice(0, 72)}\r\n${line.slice(1)}\r\n`, client.stderr);
  await server.stop('SIGTERM');
  t.is(await server.exited, 143, server.stderr);
});

test('datagrams', async (t) => {
  const lab = await createLab(t);
  const server = await listening(lab, ['-u', '7', '--echo']);
  const client = await lab
    .run('socat', ['-t', '10', '-', `UDP:${OWN_V4}:7,shut-none`], { input: 'ping\n' })
    .catch((error: unknown) => String(error));
  t.true(JSON.stringify(client).includes('ping'));
  server.kill('SIGINT');
  t.is(await server.exited, 130, server.stderr);
});
