import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import { Direction, LINKTYPE_RAW, PcapngWriter } from '../drivers/pcapng.ts';
import { fc } from '../test/properties.ts';
import { summarizePacket } from './packet-line.ts';
import { temporaryFile } from './testing/temporary-file.ts';

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.ts');
const FIXTURES = resolve(import.meta.dirname, '../pcap-fixtures');

function dump(
  args: readonly string[],
  input?: Uint8Array,
): { code: number | null; lines: string[]; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [TUNWIRE, 'dump', ...args], {
    encoding: 'utf8',
    ...(input === undefined ? {} : { input }),
  });
  return { code: status, lines: stdout.split('\n').slice(0, -1), stderr };
}

/** A SYN from 192.0.2.1 port 1024 to 192.0.2.2 port 80. */
const SYN = Buffer.from(
  '4500002c000040004006b6c6c0000201c0000202040000500000000100000000600210000000000002040 5b4'.replaceAll(
    ' ',
    '',
  ),
  'hex',
);

test('a line for each packet, its comment, its bytes', (t) => {
  const file = temporaryFile(t, 'one.pcapng');
  const writer = new PcapngWriter(file);
  const iface = writer.addInterface('one', LINKTYPE_RAW);
  for (const comment of ['', 'lost: the link is down']) {
    const at = writer.beginPacket(iface, Date.UTC(2026, 0, 2, 3, 4, 5, 678), 901_000, SYN.length);
    writer.slab.bytes.set(SYN, at);
    writer.endPacket(Direction.Outbound, comment);
  }
  writer.close();
  const expected =
    '03:04:05.678901 Out IP 192.0.2.1.1024 > 192.0.2.2.80: Flags [S], seq 1, win 4096, options [mss 1460], length 0';
  t.deepEqual(dump([file]).lines, [expected, expected, '\t# lost: the link is down']);
  t.deepEqual(dump(['-', '-c', '1', '-X'], readFileSync(file)).lines, [
    expected,
    '\t0x0000:  4500 002c 0000 4000 4006 b6c6 c000 0201  E..,..@.@.......',
    '\t0x0010:  c000 0202 0400 0050 0000 0001 0000 0000  .......P........',
    '\t0x0020:  6002 1000 0000 0000 0204 05b4            `...........',
  ]);
  const [line = ''] = dump([file, '--json', 'tcp', 'host', '192.0.2.2', 'port', '80']).lines;
  t.like(JSON.parse(line) as object, {
    time: '2026-01-02T03:04:05.678Z',
    direction: 'out',
    protocol: 'tcp',
    source: '192.0.2.1',
    sourcePort: 1024,
    comment: null,
  });
  t.deepEqual(dump([file, 'udp']).lines, []);
  t.is(dump([file, 'nonsense']).code, 2);
  t.is(dump(['/nowhere/file']).code, 2);
});

test('recorded sessions can be read', (t) => {
  const captures = readdirSync(FIXTURES, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.pcap(ng)?$/.test(name),
  );
  t.true(captures.length > 0);
  const { code, lines, stderr } = dump([join(FIXTURES, captures[0] ?? '')]);
  t.deepEqual([code, stderr], [0, '']);
  t.true(lines.length > 0);
  for (const line of lines) t.regex(line, /^(\t|\d\d:\d\d:\d\d\.\d{6} )/);
});

test('whatever the bytes are, there is a summary or none', (t) => {
  const bytes = fc.uint8Array({ maxLength: 120 });
  const version = fc.constantFrom(0x45, 0x46, 0x60, 0x00);
  fc.assert(
    fc.property(version, bytes, (first, rest) => {
      const packet = Uint8Array.of(first, ...rest);
      for (let len = 0; len <= packet.length; len++) {
        const summary = summarizePacket(new DataView(packet.slice(0, len).buffer), 0, len);
        if (summary !== null && summary.text === '') return false;
      }
      return true;
    }),
    { numRuns: 300 },
  );
  t.pass();
});
