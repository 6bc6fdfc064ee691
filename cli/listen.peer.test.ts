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

test('--all-ports: a connection to any port is taken, and -v says which one', async (t) => {
  const lab = await createLab(t);
  const server = await listening(lab, ['--all-ports', '--echo', '-v']);
  t.regex(server.stderr, /listening on all ports/);
  for (const port of [1, 8080, 65_535]) {
    const client = await lab.run('socat', ['-t', '10', '-', `TCP:${OWN_V4}:${port}`], {
      input: `to ${port}`,
    });
    t.is(client.stdout, `to ${port}`, client.stderr);
    t.true(server.stderr.includes(` to port ${port}\n`), server.stderr);
  }
  server.kill('SIGINT');
  t.is(await server.exited, 130, server.stderr);
  t.is((await startTunwire(lab, 'listen', ['--all-ports', OWN_V4, '80']).exited) ?? 0, 2);
});

test('--discard takes everything and says nothing', async (t) => {
  const lab = await createLab(t);
  const server = await listening(lab, ['9', '--discard', '-v']);
  const client = await lab.run('socat', ['-t', '10', '-', `TCP:${OWN_V4}:9`], { input: 'x'.repeat(100_000) });
  t.deepEqual([client.code, client.stdout], [0, ''], client.stderr);
  await lab.until('the connection is over', () => /100000 bytes received, 0 sent/.test(server.stderr));
  server.kill('SIGINT');
  t.is(await server.exited, 130, server.stderr);
});
