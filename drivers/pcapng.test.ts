import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { NetError } from '../stack/errors.ts';
import { fc } from '../test/properties.ts';
import { Direction, LINKTYPE_RAW, PcapngWriter } from './pcapng.ts';
import { readBlocks, readOptions, readPackets } from './testing/pcapng-reader.ts';

/** 2026-11-22T00:00:00Z */
const EPOCH_MS = 1_795_305_600_000;

function temporary(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-pcapng-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return join(folder, 'test.pcapng');
}

function add(writer: PcapngWriter, now: number, data: Uint8Array, comment = ''): void {
  writer.advance(now);
  const at = writer.beginPacket(0, EPOCH_MS + Math.floor(now), 0, data.length);
  if (at < 0) return;
  writer.slab.bytes.set(data, at);
  writer.endPacket(Direction.Inbound, comment);
}

test('packets, times, directions and comments read back as written', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          data: fc.uint8Array({ maxLength: 2000 }),
          comment: fc.string({ unit: 'grapheme', maxLength: 100 }),
          direction: fc.constantFrom(Direction.Unknown, Direction.Inbound, Direction.Outbound),
          ms: fc.integer({ min: 0, max: 1e10 }),
          ns: fc.integer({ min: 0, max: 999_999 }),
        }),
        { maxLength: 20 },
      ),
      (packets) => {
        const path = temporary(t);
        const writer = new PcapngWriter(path);
        writer.addInterface('lab0', LINKTYPE_RAW, 'a description');
        for (const packet of packets) {
          const at = writer.beginPacket(0, EPOCH_MS + packet.ms, packet.ns, packet.data.length);
          writer.slab.bytes.set(packet.data, at);
          writer.endPacket(packet.direction, packet.comment);
        }
        writer.close();
        t.deepEqual(
          readPackets(path),
          packets.map((packet) => ({
            iface: 0,
            nanoseconds: BigInt(EPOCH_MS + packet.ms) * 1_000_000n + BigInt(packet.ns),
            data: Buffer.from(packet.data),
            direction: packet.direction,
            comment: packet.comment,
          })),
        );
      },
    ),
    { numRuns: 30 },
  );
});

test('the section and the interfaces say who wrote, what and in which unit', (t) => {
  const path = temporary(t);
  const writer = new PcapngWriter(path, { application: 'tunwire test', comment: 'why' });
  t.is(writer.addInterface('one', LINKTYPE_RAW), 0);
  t.is(writer.addInterface('two', 1, 'second'), 1);
  writer.close();
  const [section, one, two] = readBlocks(path);
  t.is(section?.type, 0x0a0d0d0a);
  t.is(section?.body.readUInt32LE(0), 0x1a2b3c4d);
  t.is(readOptions(section!.body, 16).get(4)?.toString(), 'tunwire test');
  t.is(readOptions(section!.body, 16).get(1)?.toString(), 'why');
  t.is(one?.body.readUInt16LE(0), 101);
  t.is(readOptions(one!.body, 8).get(2)?.toString(), 'one');
  t.deepEqual([...readOptions(one!.body, 8).get(9)!], [9]);
  t.is(readOptions(two!.body, 8).get(3)?.toString(), 'second');
});

test('secrets stand before the packets that came up to holdMs earlier', (t) => {
  const path = temporary(t);
  const writer = new PcapngWriter(path, { holdMs: 500 });
  writer.addInterface('lab0', LINKTYPE_RAW);
  add(writer, 0, Uint8Array.of(1));
  add(writer, 700, Uint8Array.of(2));
  writer.secrets('CLIENT_RANDOM aa bb');
  add(writer, 1300, Uint8Array.of(3));
  writer.secrets('CLIENT_RANDOM cc dd\nCLIENT_RANDOM ee ff\n');
  writer.close();
  const order = readBlocks(path).map((block) => {
    if (block.type === 6) return block.body[20];
    return block.type === 10 ? block.body.subarray(8).toString().trim() : block.type;
  });
  // section, interface, …; after 700 ms packet 1 is still held; at 1300 ms it is written, and packet 2 stays
  t.deepEqual(order, [
    0x0a0d0d0a,
    1,
    'CLIENT_RANDOM aa bb',
    1,
    'CLIENT_RANDOM cc dd\nCLIENT_RANDOM ee ff',
    2,
    3,
  ]);
});

test('what waits is written in time without further packets', (t) => {
  const path = temporary(t);
  const writer = new PcapngWriter(path, { holdMs: 500 });
  writer.flush();
  t.is(writer.nextDeadline(), Number.POSITIVE_INFINITY);
  const before = statSync(path).size;
  add(writer, 1000, new Uint8Array(100));
  let now = 1000;
  for (let i = 0; i < 5 && writer.nextDeadline() < Number.POSITIVE_INFINITY; i++) {
    t.true(writer.nextDeadline() > now);
    now = writer.nextDeadline();
    writer.advance(now);
  }
  t.is(now, 2000);
  t.true(statSync(path).size > before + 100);
  writer.close();
});

test('more packets than the buffer holds are written early, none is lost', (t) => {
  const path = temporary(t);
  const writer = new PcapngWriter(path, { bufferBytes: 0 });
  writer.addInterface('lab0', LINKTYPE_RAW);
  for (let i = 0; i < 50; i++) add(writer, 0, new Uint8Array(65_535).fill(i), `packet ${i}`);
  writer.close();
  const packets = readPackets(path);
  t.deepEqual(
    packets.map((packet) => packet.data[65_534]),
    Array.from({ length: 50 }, (_, i) => i),
  );
});

test('a comment that is too long is cut, the packet stays', (t) => {
  const path = temporary(t);
  const writer = new PcapngWriter(path);
  writer.addInterface('lab0', LINKTYPE_RAW);
  add(writer, 0, Uint8Array.of(1), 'é'.repeat(5000));
  writer.close();
  t.regex(readPackets(path)[0]!.comment, /^é{2000,}$/);
});

test('a full disk stops the capture with one clear error', (t) => {
  const errors: NetError[] = [];
  const writer = new PcapngWriter('/dev/full', { onError: (error) => errors.push(error) });
  t.false(writer.isOpen);
  writer.addInterface('lab0', LINKTYPE_RAW);
  add(writer, 0, Uint8Array.of(1));
  writer.secrets('CLIENT_RANDOM aa bb');
  writer.flush();
  t.is(writer.nextDeadline(), Number.POSITIVE_INFINITY);
  writer.close();
  writer.close();
  t.is(writer.dropped, 1);
  t.is(errors.length, 1);
  t.regex(errors[0]!.message, /the capture \/dev\/full ends here, connections go on: .*ENOSPC/);
});

test('a file that cannot be made is an error at once', (t) => {
  const error = t.throws(() => new PcapngWriter('/nonexistent/x.pcapng'), { instanceOf: NetError });
  t.is(error.tunwireCode, 'ARGUMENT_INVALID');
  t.regex(error.message, /ENOENT/);
});
