import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { NetError } from '../stack/errors.ts';
import { fc } from '../test/properties.ts';
import { isKnownLinkType, LinkType } from './pcap-link.ts';
import { MAX_BLOCK_BYTES, MAX_FRAME_BYTES, MAX_INTERFACES, openPcap, PcapReader } from './pcap-reader.ts';
import type { ReadBytes } from './pcap-source.ts';
import { PcapngWriter } from './pcapng.ts';
import {
  block,
  enhancedBlock,
  type FileFrame,
  interfaceBlock,
  joined,
  pcapFile,
  sectionBlock,
} from './testing/pcap-files.ts';
import { bytesOf, datagram } from './testing/raw-packets.ts';

const EPOCH_MS = 1_795_305_600_123;
const V4 = bytesOf(
  datagram(
    { source: '192.0.2.1', destination: '192.0.2.2', sourcePort: 1, destinationPort: 2 },
    new Uint8Array(21),
  ),
);
const V6 = bytesOf(
  datagram(
    { source: '2001:db8::1', destination: '2001:db8::2', sourcePort: 1, destinationPort: 2 },
    new Uint8Array(8),
  ),
);
const frameOf = (bytes: Uint8Array, nanoseconds = 456_000): FileFrame => ({
  epochMs: EPOCH_MS,
  nanoseconds,
  bytes,
});

/** Gives the bytes in pieces of at most `pieceBytes`. */
function source(bytes: Uint8Array, pieceBytes = Infinity): ReadBytes {
  let at = 0;
  return (into, off, len) => {
    const taken = Math.min(len, pieceBytes, bytes.length - at);
    into.set(bytes.subarray(at, at + taken), off);
    at += taken;
    return taken;
  };
}

interface Seen {
  readonly at: string;
  readonly bytes: Uint8Array;
  readonly ip: Uint8Array | null;
  readonly direction: number;
  readonly linkType: number;
  readonly originalLen: number;
}

function readAll(bytes: Uint8Array, pieceBytes = Infinity): { frames: Seen[]; error: string | null } {
  const reader = new PcapReader('test', source(bytes, pieceBytes));
  const frames: Seen[] = [];
  while (reader.next()) {
    const { slab, off, len, ipOff, ipLen, epochMs, nanoseconds, direction, linkType, originalLen } =
      reader.frame;
    frames.push({
      at: `${epochMs}+${nanoseconds}`,
      bytes: slab.bytes.slice(off, off + len),
      ip: ipOff < 0 ? null : slab.bytes.slice(ipOff, ipOff + ipLen),
      direction,
      linkType,
      originalLen,
    });
  }
  if (reader.next()) throw new Error('went on after its end');
  return { frames, error: reader.error?.message ?? null };
}

for (const little of [true, false]) {
  for (const nanoseconds of [true, false]) {
    test(`pcap, ${little ? 'little' : 'big'} endian, ${nanoseconds ? 'nano' : 'micro'}seconds`, (t) => {
      const file = pcapFile(
        LinkType.Raw,
        [frameOf(V4, 456_789), { ...frameOf(V6), originalLen: 9000 }],
        little,
        nanoseconds,
      );
      for (const piece of [Infinity, 1, 7]) {
        const { frames, error } = readAll(file, piece);
        t.is(error, null);
        t.deepEqual(
          frames.map((frame) => [frame.at, frame.bytes, frame.ip, frame.originalLen]),
          [
            [`${EPOCH_MS}+${nanoseconds ? 456_789 : 456_000}`, V4, V4, V4.length],
            [`${EPOCH_MS}+456000`, V6, V6, 9000],
          ],
        );
      }
    });
  }

  test(`pcapng, ${little ? 'little' : 'big'} endian: resolutions, offsets, sections, directions`, (t) => {
    const seconds = BigInt(Math.floor(EPOCH_MS / 1000));
    const file = joined(
      sectionBlock(little),
      interfaceBlock(LinkType.Raw, little),
      interfaceBlock(LinkType.Ipv6, little, 9),
      interfaceBlock(LinkType.Raw, little, 0x80 | 10, -3600n),
      enhancedBlock(0, seconds * 1_000_000n + 123_456n, V4, little, 1),
      block(0x0bad, little, (out) => out.u32(1).u32(2)),
      enhancedBlock(1, seconds * 1_000_000_000n + 123_456_789n, V6, little, 2),
      enhancedBlock(2, seconds * 1024n + 512n, V4, little),
      // the obsolete packet block: interface and drops in 16 bits each
      block(2, little, (out) =>
        out
          .u16(0)
          .u16(9)
          .u32(Number((seconds * 1_000_000n) >> 32n))
          .u32(Number((seconds * 1_000_000n) & 0xffffffffn))
          .u32(V4.length)
          .u32(V4.length)
          .raw(V4),
      ),
      sectionBlock(!little),
      interfaceBlock(LinkType.Ipv4, !little, 6, 0n, 40),
      block(3, !little, (out) => out.u32(V4.length).raw(V4.subarray(0, 40))),
    );
    for (const piece of [Infinity, 3]) {
      const { frames, error } = readAll(file, piece);
      t.is(error, null);
      const second = Number(seconds) * 1000;
      t.deepEqual(
        frames.map((frame) => [frame.at, frame.linkType, frame.direction, frame.bytes]),
        [
          [`${second + 123}+456000`, LinkType.Raw, 1, V4],
          [`${second + 123}+456789`, LinkType.Ipv6, 2, V6],
          [`${second - 3_600_000 + 500}+0`, LinkType.Raw, 0, V4],
          [`${second}+0`, LinkType.Raw, 0, V4],
          [`${second}+0`, LinkType.Ipv4, 0, V4.slice(0, 40)],
        ],
      );
    }
  });
}

test('times before 1970 and beyond all reason are numbers', (t) => {
  const file = joined(
    sectionBlock(),
    interfaceBlock(LinkType.Raw, true, 9, -1n),
    interfaceBlock(LinkType.Raw, true, 0),
    interfaceBlock(LinkType.Raw, true, 127),
    interfaceBlock(LinkType.Raw, true, 0xff),
    enhancedBlock(0, 1n, V4),
    enhancedBlock(1, 0xffffffffffffffffn, V4),
    enhancedBlock(2, 0xffffffffffffffffn, V4),
    enhancedBlock(3, 0xffffffffffffffffn, V4),
  );
  const { frames, error } = readAll(file);
  t.is(error, null);
  t.deepEqual(
    frames.map((frame) => frame.at),
    ['-1000+1', '1.8446744073709552e+22+0', '0+0', '0+0'],
  );
});

test('the IP packet is found behind every link header', (t) => {
  const ethernet = (...type: number[]): number[] => [...new Array<number>(12).fill(2), ...type];
  const family = (value: number, little: boolean): number[] => (little ? [value, 0, 0, 0] : [0, 0, 0, value]);
  const cases: [string, number, number[], Uint8Array, boolean][] = [
    ['Ethernet', LinkType.Ethernet, ethernet(8, 0), V4, true],
    ['Ethernet', LinkType.Ethernet, ethernet(0x86, 0xdd), V6, true],
    ['VLAN', LinkType.Ethernet, ethernet(0x81, 0, 0, 7, 8, 0), V4, true],
    ['two VLANs', LinkType.Ethernet, ethernet(0x88, 0xa8, 0, 9, 0x81, 0, 0, 7, 0x86, 0xdd), V6, true],
    ['ARP', LinkType.Ethernet, ethernet(8, 6), V4, false],
    ['802.3 length', LinkType.Ethernet, ethernet(0, 60), V4, false],
    ['type and version differ', LinkType.Ethernet, ethernet(8, 0), V6, false],
    [
      'nine VLANs',
      LinkType.Ethernet,
      ethernet(...new Array(9).fill([0x81, 0, 0, 7]).flat(), 8, 0),
      V4,
      false,
    ],
    ['cooked', LinkType.LinuxSll, [0, 0, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0, 8, 0], V4, true],
    [
      'cooked VLAN',
      LinkType.LinuxSll,
      [...new Array<number>(14).fill(0), 0x81, 0, 0, 5, 0x86, 0xdd],
      V6,
      true,
    ],
    ['cooked 2', LinkType.LinuxSll2, [0x86, 0xdd, ...new Array<number>(18).fill(0)], V6, true],
    ['null, host order', LinkType.Null, family(2, true), V4, true],
    ['null, other order', LinkType.Null, family(2, false), V4, true],
    ['null, FreeBSD', LinkType.Null, family(28, true), V6, true],
    ['null, macOS', LinkType.Null, family(30, true), V6, true],
    ['loop', LinkType.Loop, family(24, false), V6, true],
    ['loop, not IP', LinkType.Loop, family(7, false), V4, false],
    ['raw', LinkType.Raw, [], V6, true],
    ['raw, old', LinkType.RawOld, [], V4, true],
    ['raw, OpenBSD', LinkType.RawOpenBsd, [], V4, true],
    ['IPv4', LinkType.Ipv4, [], V4, true],
    ['IPv4 with IPv6', LinkType.Ipv4, [], V6, false],
    ['USB', 189, [], V4, false],
  ];
  for (const [name, linkType, header, packet, found] of cases) {
    const frame = Uint8Array.from([...header, ...packet]);
    const { frames } = readAll(pcapFile(linkType, [frameOf(frame)]));
    t.deepEqual(frames[0]?.ip, found ? packet : null, name);
    t.is(isKnownLinkType(linkType), name !== 'USB');
    // cut off anywhere: no packet, or its beginning
    for (let length = 0; length < frame.length; length++) {
      const cut = readAll(pcapFile(linkType, [frameOf(frame.slice(0, length))]));
      const ip = cut.frames[0]?.ip ?? null;
      t.deepEqual(ip, found && length > header.length ? packet.slice(0, length - header.length) : null);
    }
  }
});

test('what the writer writes is read back', (t) => {
  const path = join(folder(t), 'a.pcapng');
  const writer = new PcapngWriter(path);
  const iface = writer.addInterface('test0', LinkType.Raw);
  writer.secrets('CLIENT_RANDOM 00 11');
  writer.slab.bytes.set(V4, writer.beginPacket(iface, EPOCH_MS, 654_321, V4.length));
  writer.endPacket(2, 'a comment');
  writer.close();
  const reader = openPcap(path);
  t.true(reader.next());
  t.like(reader.frame, { epochMs: EPOCH_MS, nanoseconds: 654_321, direction: 2, len: V4.length });
  t.false(reader.next());
  t.is(reader.error, null);
});

test('notes stand between the packets, and only who wants them sees them', (t) => {
  const file = join(folder(t), 'notes.pcapng');
  const writer = new PcapngWriter(file);
  const iface = writer.addInterface('x', LinkType.Raw);
  const packet = (): void => {
    const at = writer.beginPacket(iface, EPOCH_MS, 0, V4.length);
    writer.slab.bytes.set(V4, at);
    writer.endPacket(0, '');
  };
  writer.note('before');
  packet();
  writer.note('bet\u2026ween');
  writer.note('');
  packet();
  writer.close();
  const reader = openPcap(file);
  const seen: string[] = [];
  reader.onNote = (text) => seen.push(text);
  while (reader.next()) seen.push('packet');
  t.is(reader.error, null);
  t.deepEqual(seen, ['before', 'packet', 'bet\u2026ween', '', 'packet']);
  const blind = openPcap(file);
  let packets = 0;
  while (blind.next()) packets++;
  t.is(packets, 2);
});

test('gzip, whatever the name', (t) => {
  const path = join(folder(t), 'a.pcap');
  const many = Array.from({ length: 3000 }, () => frameOf(V4));
  writeFileSync(path, gzipSync(pcapFile(LinkType.Raw, many)));
  const reader = openPcap(path);
  let count = 0;
  while (reader.next()) count++;
  t.is(count, 3000);
  t.is(reader.error, null);
  writeFileSync(path, gzipSync(pcapFile(LinkType.Raw, many)).subarray(0, 50));
  t.throws(() => openPcap(path), { instanceOf: NetError, code: 'EINVAL', message: /unexpected end of file/ });
});

test('what is no capture is refused with what was found', (t) => {
  const dir = folder(t);
  const path = join(dir, 'a.pcap');
  t.throws(() => openPcap(path), { instanceOf: NetError, message: /ENOENT/ });
  t.throws(() => openPcap(dir), { instanceOf: NetError, message: /EISDIR/ });
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(0), /too short/],
    [Uint8Array.of(1), /too short/],
    [new TextEncoder().encode('hello world, this is text'), /first bytes are 68656c6c/],
    [pcapFile(1, []).slice(0, 23), /within its header/],
  ];
  for (const [bytes, message] of cases) {
    writeFileSync(path, bytes);
    t.throws(() => openPcap(path), { instanceOf: NetError, code: 'EINVAL', message });
  }
});

test('a file that is damaged or cut off ends there, with the place', (t) => {
  const good = pcapFile(LinkType.Raw, [frameOf(V4)]);
  const cases: [Uint8Array, RegExp][] = [
    [joined(good, good.slice(24, 30)), /at byte 89: the file ends within a packet header/],
    [joined(good, good.slice(24, 60)), /the file ends within a packet$/],
    [joined(good, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0, 0, 0, 0, 0)), /262145 bytes; at most/],
  ];
  const start = joined(sectionBlock(), interfaceBlock(LinkType.Raw), enhancedBlock(0, 1n, V4));
  const word = (value: number): number[] => [
    value & 255,
    (value >>> 8) & 255,
    (value >>> 16) & 255,
    value >>> 24,
  ];
  const blockOf = (type: number, length: number, trailer: number, body: number[] = []): Uint8Array =>
    Uint8Array.from([...word(type), ...word(length), ...body, ...word(trailer)]);
  cases.push(
    [joined(start, Uint8Array.of(1, 2, 3)), /ends within a block/],
    [joined(start, enhancedBlock(0, 1n, V4).slice(0, 30)), /ends within a block/],
    [joined(start, blockOf(6, 8, 8)), /a block of 8 bytes/],
    [joined(start, blockOf(6, 13, 13)), /a block of 13 bytes/],
    [joined(start, blockOf(6, 12, 12)), /too short for its fields/],
    [joined(start, blockOf(3, 12, 12)), /too short for its fields/],
    [joined(start, blockOf(1, 12, 12)), /too short for its fields/],
    [joined(start, blockOf(77, 12, 16)), /begins with the length 12 and ends with 16/],
    [joined(start, blockOf(1, 16, 12, word(0))), /begins with the length 16 and ends with 12/],
    [joined(start, blockOf(6, MAX_BLOCK_BYTES + 4, 0)), /at most/],
    [joined(start, blockOf(77, 0xfffffffc, 0)), /ends within a block/],
    [joined(start, enhancedBlock(1, 1n, V4)), /interface 1, of 1 described/],
    [joined(start, blockOf(0x0a0d0d0a, 28, 28)), /byte-order magic/],
    [joined(start, sectionBlock(), enhancedBlock(0, 1n, V4)), /interface 0, of 0 described/],
  );
  const long = enhancedBlock(0, 1n, V4);
  new DataView(long.buffer).setUint32(20, V4.length + 100, true);
  cases.push([joined(start, long), /too short for its fields/]);
  const huge = enhancedBlock(0, 1n, V4);
  new DataView(huge.buffer).setUint32(20, MAX_FRAME_BYTES + 1, true);
  cases.push([joined(start, huge), /at most/]);
  for (const [file, message] of cases) {
    const { frames, error } = readAll(file);
    t.is(frames.length, 1, String(message));
    t.regex(error ?? '', message);
    t.regex(error ?? '', /^an argument is not valid: capture test, at byte \d+: /);
  }
  const interfaces = Array.from({ length: MAX_INTERFACES + 1 }, () => interfaceBlock(LinkType.Raw));
  t.regex(readAll(joined(sectionBlock(), ...interfaces)).error ?? '', /more than 4096 interfaces/);
});

test('blocks that are not looked into may be of any size', (t) => {
  const file = joined(
    sectionBlock(),
    interfaceBlock(LinkType.Raw),
    block(0x0bad, true, (out) => out.raw(new Uint8Array(300_000))),
    enhancedBlock(0, 1n, V4),
  );
  const { frames, error } = readAll(file, 1000);
  t.is(error, null);
  t.is(frames.length, 1);
});

test('no bytes make it throw, hang or take memory', (t) => {
  const files = [
    pcapFile(LinkType.Ethernet, [frameOf(V4), frameOf(V6)]),
    pcapFile(LinkType.LinuxSll2, [frameOf(V4), frameOf(V6)], false, true),
    joined(
      sectionBlock(),
      interfaceBlock(LinkType.Raw, true, 9, 5n),
      enhancedBlock(0, 1n, V4, true, 1),
      block(3, true, (out) => out.u32(V4.length).raw(V4)),
      enhancedBlock(0, 2n, V6),
    ),
  ];
  for (const file of files)
    for (let length = 0; length < file.length; length++) {
      const { frames } = readAll(file.slice(0, length));
      t.true(frames.length <= 3);
    }
  const change = fc.record({ at: fc.nat(400), value: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(
      fc.constantFrom(...files),
      fc.array(change, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 64 }),
      (file, changes, piece) => {
        const bytes = file.slice();
        for (const { at, value } of changes) bytes[at % bytes.length] = value;
        const { frames } = readAll(bytes, piece);
        // every frame takes at least twelve bytes of file
        if (frames.length > bytes.length / 12) throw new Error('frames from nothing');
      },
    ),
    { numRuns: 5000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (tail) => {
      readAll(joined(sectionBlock(), interfaceBlock(1), tail));
      readAll(joined(pcapFile(1, []), tail));
      readAll(tail);
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

test('an error of the source ends the reading', (t) => {
  const good = source(pcapFile(LinkType.Raw, [frameOf(V4)]), 24);
  let closed = 0;
  let reads = 0;
  const reader = new PcapReader(
    'test',
    (into, off, len) => {
      if (++reads > 1) throw new NetError('ARGUMENT_INVALID', { phase: 1, detail: 'cannot read: EIO' });
      return good(into, off, len);
    },
    () => closed++,
  );
  t.is(reader.error, null);
  t.false(reader.next());
  t.regex(reader.error?.message ?? '', /EIO/);
  reader.close();
  t.is(closed, 1);
});

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'tunwire-pcap-'));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}
