import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'ava';
import { NetError } from '../stack/errors.ts';
import { SeededRandom } from '../stack/random.ts';
import { Stack } from '../stack/stack.ts';
import { HeapRings } from '../stack/testing/heap-rings.ts';
import { openPcapInput } from './pcap-input.ts';

const FIXTURES = resolve(import.meta.dirname, '../pcap-fixtures');
const ROUNDS = 300;
/** More packets than any fixture has; a device that gives more never ends. */
const MAX_PACKETS = 100_000;

/** Files recorded from real connections. */
function fixtures(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.pcap(ng)?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Plays a file into a stack that has all its addresses. @returns packets; -1: the file was refused */
function play(path: string, seed: number): number {
  let now = 0;
  const stack = new Stack({ random: new SeededRandom(seed), rings: new HeapRings(65_536, 65_536), now });
  let device: ReturnType<typeof openPcapInput>;
  try {
    device = openPcapInput(path, { clock: () => now, speed: Infinity });
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    return -1;
  }
  const { capabilities, name } = device;
  const addresses = [
    '10.77.0.1/24',
    '10.77.0.2/24',
    '192.0.2.1/24',
    '192.0.2.2/24',
    'fd77::1/64',
    'fd77::2/64',
  ];
  const iface = stack.addInterface({ name, sink: device, capabilities, addresses, gateways: [] });
  stack.tcp.listen({ local: null, port: 443, backlog: 8 });
  const input = { input: iface.input.bind(iface) };
  let packets = 0;
  for (;;) {
    const got = device.receive(
      { input: (slab, off, len, flags) => input.input(slab, off, len, flags, now) },
      64,
    );
    packets += got;
    if (packets > MAX_PACKETS) throw new Error('packets without end');
    now += 10;
    stack.advance(now);
    for (let endpoint = stack.pollEvent(); endpoint !== null; endpoint = stack.pollEvent())
      endpoint.takeEvents();
    stack.transmit(now);
    if (got === 0) break;
  }
  device.close();
  return packets;
}

test('captures with damage anywhere, fed to a stack, do no harm', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const originals = fixtures(FIXTURES)
    .map((path) => readFileSync(path))
    .filter((bytes) => bytes.length < 200_000);
  t.true(originals.length > 3);
  const random = new SeededRandom(11);
  const below = (limit: number): number => random.uint32() % limit;
  const path = join(folder, 'damaged');
  let played = 0;
  for (let round = 0; round < ROUNDS; round++) {
    let bytes = Buffer.from(originals[below(originals.length)]!);
    // some bytes changed, mostly early, where headers are; some cut off, or doubled
    for (let i = 1 + below(20); i > 0; i--)
      bytes[below(below(2) === 0 ? Math.min(bytes.length, 400) : bytes.length)] = random.uint32();
    const what = below(4);
    const at = below(bytes.length);
    if (what === 0) bytes = bytes.subarray(0, at);
    if (what === 1) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(below(bytes.length))]);
    writeFileSync(path, bytes);
    let packets = -1;
    t.notThrows(() => {
      packets = play(path, round);
    }, `round ${round}`);
    if (packets !== -1) played++;
  }
  t.true(played > ROUNDS / 4, `${played} of ${ROUNDS} could be played`);
});
