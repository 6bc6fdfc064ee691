// needs: tshark
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { createMemoryLink, createStack, type EngineOptions, type NetStack } from './index.ts';
import { pattern, readAll } from './testing/consume.ts';

const PORT = 7;
const FILE_BYTES = 65_536;
const run = promisify(execFile);

function folderOf(t: { teardown(clean: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Two stacks; the first one captures. */
async function createPair(options: Partial<EngineOptions>): Promise<[NetStack, NetStack]> {
  const [near, far] = createMemoryLink();
  const resolver = { hostsFile: null };
  const server = await createStack({ device: far, addresses: ['192.0.2.2/24'], resolver });
  const client = await createStack({ device: near, addresses: ['192.0.2.1/24'], resolver, ...options });
  return [client, server];
}

/** What tshark says, and nothing on standard error but who runs it. */
async function tshark(...args: string[]): Promise<string> {
  const { stdout, stderr } = await run('tshark', args, { maxBuffer: 1 << 26 });
  const complaints = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('Running as user'));
  if (complaints.length > 0) throw new Error(complaints.join('\n'));
  return stdout;
}

test('a ring keeps the last files, each of which tshark reads alone, opened by its secrets', async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'ring.pcapng');
  const ring = { files: 3, fileBytes: FILE_BYTES };
  const [client, server] = await createPair({ capture: { file, ring, secrets: true } });
  const listener = await server.listen({ port: PORT });
  listener.on('connection', (peer) => peer.pipe(peer));
  const socket = await client.connect({ host: '192.0.2.2', port: PORT });
  const data = pattern(300_000);
  socket.end(data);
  t.true((await readAll(socket)).equals(data));
  await client.close();
  await server.close();
  const names = readdirSync(folder).sort();
  t.is(names.length, 3);
  t.notRegex(names[0]!, /00001/, 'the first ones are gone');
  const numbers: number[] = [];
  for (const name of names) {
    t.regex(name, /^ring\.\d{5}\.pcapng$/);
    const path = join(folder, name);
    t.true(statSync(path).size <= FILE_BYTES, name);
    const times = (
      await tshark('-r', path, '-T', 'fields', '-e', 'frame.time_epoch', '-e', 'frame.interface_name')
    )
      .trim()
      .split('\n');
    t.true(times.length > 10, name);
    for (const line of times) {
      const [time, iface] = line.split('\t');
      numbers.push(Number(time));
      t.is(iface, 'memory:0');
    }
  }
  t.deepEqual(
    numbers,
    [...numbers].sort((a, b) => a - b),
    'nothing is missing at the seams, or twice',
  );
  await t.throwsAsync(createPair({ capture: { file, ring: { files: 1, fileBytes: FILE_BYTES } } }), {
    message: /a ring has 2 …/,
  });
});

test('comments say what was sent again, and what was dropped for which reason', async (t) => {
  const file = join(folderOf(t), 'a.pcapng');
  const [client, server] = await createPair({
    capture: { file },
    impairments: { out: { lossPackets: [1] } },
  });
  const listener = await server.listen({ port: PORT });
  listener.on('connection', (peer) => peer.end());
  const socket = await client.connect({ host: '192.0.2.2', port: PORT });
  await readAll(socket.end());
  const words = (await client.udp({ port: 5000 }))[Symbol.asyncIterator]();
  const stray = await server.udp({ port: 4000 });
  await stray.send('nobody listens', 9, '192.0.2.1');
  await stray.send('what comes behind it', 5000, '192.0.2.1');
  await words.next();
  await client.close();
  await server.close();
  const comments = await tshark('-r', file, '-Y', 'frame.comment', '-T', 'fields', '-e', 'frame.comment');
  t.regex(comments, /^retransmission 1 after RTO$/m);
  t.regex(comments, /^dropped: udp.dropNoPort$/m);
  const malformed = await tshark(
    '-r',
    file,
    '-Y',
    '_ws.malformed',
    '-o',
    'udp.check_checksum:TRUE',
    '-o',
    'tcp.check_checksum:TRUE',
  );
  t.is(malformed, '');
});

test('what an impaired link does to each packet is its comment; tshark knows the lost ones by their verdict', async (t) => {
  const file = join(folderOf(t), 'a.pcapng');
  const every = { duplicate: 0.1, corrupt: 0.05, truncate: 0.05, delayMs: 5, jitterMs: 3, reorder: 0.1 };
  const [client, server] = await createPair({
    capture: { file },
    impairments: {
      seed: 3,
      in: { ...every, lossPackets: [5, 9], rateBps: 8_000_000, queuePackets: 20 },
      out: { ...every, loss: 0.05 },
    },
  });
  const listener = await server.listen({ port: PORT });
  listener.on('connection', (peer) => peer.pipe(peer));
  const socket = await client.connect({ host: '192.0.2.2', port: PORT });
  const data = pattern(100_000);
  socket.end(data);
  t.true((await readAll(socket)).equals(data));
  await client.close();
  await server.close();
  const fields = ['frame.comment', 'frame.verdict.hw', 'frame.packet_flags_direction'];
  const lines = (await tshark('-r', file, '-T', 'fields', ...fields.flatMap((name) => ['-e', name]))).split(
    '\n',
  );
  const packets = lines.filter((line) => line !== '').map((line) => line.split('\t'));
  for (const [comment = '', verdict] of packets)
    t.is(verdict === '01', /lost: /.test(comment.replace(/; a duplicate.*/, '')), comment);
  const all = packets.map(([comment]) => comment).join('\n');
  for (const story of [
    /lost: its number is listed/,
    /lost: by chance/,
    /delayed \d/,
    /duplicated/,
    /a bit of byte \d+ turned over/,
    /cut from \d+ to \d+ bytes/,
    /sent ahead/,
  ])
    t.regex(all, story);
  t.is(packets.filter(([comment]) => comment?.includes('its number is listed')).length, 2);
});

test('-w - is piped to tshark live, without a complaint', async (t) => {
  const cli = resolve(import.meta.dirname, '../cli/tunwire.ts');
  const [near, far] = createMemoryLink();
  const folder = folderOf(t);
  const file = join(folder, 'played.pcapng');
  const server = await createStack({ device: far, addresses: ['192.0.2.2/24'] });
  const client = await createStack({ device: near, addresses: ['192.0.2.1/24'], capture: { file } });
  const udp = await server.udp({ port: PORT });
  const words = udp[Symbol.asyncIterator]();
  await (await client.udp()).send('played', PORT, '192.0.2.2');
  await words.next();
  await client.close();
  await server.close();
  // a capture is the device: what it holds comes in, and goes to the pipe
  const flags = [
    '--device',
    `pcap:${file}`,
    '--addr',
    '192.0.2.2/24',
    '--max-time',
    '2',
    '-w',
    '-',
    '-o',
    '/dev/null',
  ];
  const args = [cli, 'get', ...flags, 'http://192.0.2.1:9/'];
  // a pipe of the shell's: those of this process would be sockets
  const script = '"$@" 2>/dev/null | tshark -l -r - -T fields -E separator=/s -e frame.number -e udp.dstport';
  const pipe = spawn('sh', ['-c', script, 'sh', process.execPath, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, complaints] = await Promise.all([readAll(pipe.stdout), readAll(pipe.stderr)]);
  t.regex(String(out), /^1 7$/m, String(complaints));
  t.regex(String(complaints), /^(Running as user.*\n)?$/);
});
