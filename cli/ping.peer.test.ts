// needs: tun
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { openPcap } from '../drivers/pcap-reader.ts';
import { createLab, KERNEL_V4, KERNEL_V6 } from '../test/netns.ts';
import { startTunwire, tunwire } from './testing/command.ts';

test('echoes of the kernel over both families, and none from where nobody is', async (t) => {
  const lab = await createLab(t);
  for (const host of [KERNEL_V4, KERNEL_V6]) {
    const { code, stdout } = await tunwire(lab, 'ping', [host, '-c', '2', '-i', '0.05', '-s', '1400']);
    t.is(code, 0, stdout);
    t.regex(stdout, new RegExp(`^1: answer from ${host}, ttl 64, [\\d.]+ ms\\n2: `));
    t.regex(stdout, /: 2 sent, 2 received, 0 % lost\nround trip min\/mean\/max\/deviation [\d./]+ ms\n$/);
  }
  const none = await tunwire(lab, 'ping', ['10.77.0.99', '-c', '1', '-W', '0.2', '--json']);
  t.is(none.code, 1);
  const [reply = '', last = ''] = none.stdout.split('\n');
  t.like(JSON.parse(reply) as object, { number: 1, outcome: 'timeout', from: null });
  t.like(JSON.parse(last) as object, { statistics: { sent: 1, received: 0 } });
  t.is((await tunwire(lab, 'ping', ['192.0.2.1', '-c', '1'])).code, 7, 'there is no route');
});

test('a capture has standard output for itself, which may be a socket; the answers are told beside it', async (t) => {
  const lab = await createLab(t);
  for (const [verb, told] of [
    ['ping', /2: answer from/],
    ['trace', /^ 1 {2}10\./],
  ] as const) {
    const run = startTunwire(lab, verb, [
      KERNEL_V4,
      ...(verb === 'ping' ? ['-c', '2', '-i', '0.05'] : []),
      '-w',
      '-',
    ]);
    const chunks: Buffer[] = [];
    run.child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    t.is(await run.exited, 0, run.stderr);
    t.regex(run.stderr, told);
    const file = lab.file(`${verb}.pcapng`);
    writeFileSync(file, Buffer.concat(chunks));
    const reader = openPcap(file);
    let packets = 0;
    while (reader.next()) packets++;
    t.is(reader.error, null);
    t.true(packets >= 2, `${packets} packets`);
    reader.close();
  }
});

test('an interruption ends an endless ping with its numbers', async (t) => {
  const lab = await createLab(t);
  const run = startTunwire(lab, 'ping', [KERNEL_V4, '-i', '0.02']);
  await lab.until('answers come', () => run.stdout.includes('3: answer'));
  run.kill('SIGINT');
  t.is(await run.exited, 0, run.stderr);
  t.regex(run.stdout, /\d+ sent, \d+ received/);
});

test('SYNs to the kernel: an open port, a closed one, and nothing is left half open', async (t) => {
  const lab = await createLab(t);
  const listener = lab.start(process.execPath, [
    '-e',
    `require('net').createServer().listen(8080, '${KERNEL_V4}')`,
  ]);
  await lab.listening(listener, 8080);
  for (const [port, said] of [
    ['8080', 'open'],
    ['8081', 'closed'],
  ] as const) {
    const { code, stdout, stderr } = await tunwire(lab, 'trace', [KERNEL_V4, '-T', port, '-q', '2']);
    t.deepEqual([code, stderr], [0, '']);
    t.regex(
      stdout,
      new RegExp(`^ 1 {2}${KERNEL_V4} {2}[\\d.]+ ms \\[${said}\\] {2}[\\d.]+ ms \\[${said}\\]\n$`),
    );
  }
  t.is(await lab.ok('ss', ['-Htn', 'state', 'syn-recv']), '');
  t.is((await tunwire(lab, 'trace', [KERNEL_V4, '-T', '80', '-I'])).code, 2);
});

test('the way to the kernel is one hop', async (t) => {
  const lab = await createLab(t);
  for (const args of [[KERNEL_V4], [KERNEL_V6, '--icmp']]) {
    const { code, stdout, stderr } = await tunwire(lab, 'trace', args);
    t.deepEqual([code, stderr], [0, '']);
    t.regex(stdout, new RegExp(`^ 1 {2}${args[0]} {2}[\\d.]+ ms {2}[\\d.]+ ms {2}[\\d.]+ ms\\n$`));
  }
});
