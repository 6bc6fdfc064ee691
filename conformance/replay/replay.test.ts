import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'ava';
import { SeededRandom } from '../../stack/random.ts';
import { decodePacket, encodeTcp, type LivePacket } from '../script/packet.ts';
import type { ReplayOptions } from './options.ts';
import { replay } from './replay.ts';
import { type Difference, replayTap } from './report.ts';
import { type RecordedPacket, readSessions, type Session } from './session.ts';

const FIXTURES = resolve(import.meta.dirname, '../../pcap-fixtures');

function fixture(name: string): Session {
  return readSessions(join(FIXTURES, name)).sessions[0]!;
}

/** A session with some of its packets changed, or taken out with null. */
function changed(
  session: Session,
  change: (packet: LivePacket, at: RecordedPacket) => LivePacket | null,
): Session {
  const packets = session.packets.flatMap((recorded) => {
    const packet = change(recorded.packet, recorded);
    return packet === null ? [] : [{ ...recorded, packet }];
  });
  return { ...session, packets };
}

function withTcp(packet: LivePacket, fields: Partial<NonNullable<LivePacket['tcp']>>): LivePacket {
  return decodePacket(encodeTcp(packet.ip, { ...packet.tcp!, ...fields }), packet.timeUs);
}

function differences(session: Session, options: Partial<ReplayOptions> = {}): readonly Difference[] {
  const [report] = replay([session], options).sessions;
  if (report === undefined || report.skipped !== '') throw new Error(report?.skipped);
  return report.differences;
}

test('a window that is smaller than recorded is not overrun', (t) => {
  const upload = fixture('kernel-upload.pcap');
  t.deepEqual(differences(upload), []);
  // the server never opens its window, and yet acknowledges more: our stack stays within what it was told
  const shut = changed(upload, (packet, { fromClient }) =>
    fromClient || packet.tcp === null
      ? packet
      : withTcp(packet, { window: packet.tcp.flags.includes('S') ? 4000 : 1 }),
  );
  t.true(differences(shut).every(({ field }) => field !== 'window'));
});

test('data that the server does not send is missed', (t) => {
  const session = fixture('kernel-server-closes-first.pcap');
  const without = changed(session, (packet, { fromClient }) =>
    !fromClient && packet.tcp!.flags.includes('F') ? withTcp(packet, { flags: '.' }) : packet,
  );
  t.true(differences(without).some(({ field }) => field === 'ack'));
});

test('a reset that was not recorded is a difference', (t) => {
  const session = fixture('kernel-reset-by-client.pcap');
  t.deepEqual(differences(session), []);
  const without = changed(session, (packet, { fromClient }) =>
    fromClient && packet.tcp!.flags.includes('R') ? null : packet,
  );
  t.deepEqual(differences(without), []);
  const refused = changed(fixture('kernel-client-closes-first.pcap'), (packet, { fromClient }) =>
    !fromClient && packet.tcp!.flags.includes('S')
      ? withTcp(packet, { ack: (packet.tcp!.ack + 5) >>> 0 })
      : packet,
  );
  t.true(differences(refused).some(({ expected }) => expected === 'no reset'));
});

test('options are compared with those of the recorded SYN', (t) => {
  const session = changed(fixture('kernel-client-closes-first.pcap'), (packet, { fromClient }) =>
    fromClient && packet.tcp!.flags.includes('S')
      ? withTcp(packet, {
          options: packet.tcp!.options.map((o) => (o.kind === 'mss' ? { kind: 'mss', value: 20 } : o)),
        })
      : packet,
  );
  const [first] = differences(session);
  t.deepEqual([first?.packet, first?.field, first?.expected], [1, 'options', 'mss 20']);
});

test('exact: the first byte that differs is told, with its packet', (t) => {
  const session = changed(fixture('own-client-closes-first.pcapng'), (packet, { number }) => {
    if (number !== 4) return packet;
    const bytes = packet.bytes.slice();
    bytes[8] = 63;
    return { ...packet, bytes };
  });
  const options = {
    compare: 'exact',
    reads: 'once',
    noDelay: false,
    timeToleranceMs: 1,
    recvRingBytes: 131_072,
  } as const;
  const [first] = differences(session, options);
  t.deepEqual([first?.packet, first?.field, first?.expected, first?.got], [4, 'byte 8', '63', '64']);
});

test('strict: a segment that differs is shown below what was expected', (t) => {
  const session = changed(fixture('own-half-close.pcapng'), (packet, { fromClient }) =>
    fromClient && packet.tcp!.payload.length > 0 ? withTcp(packet, { flags: 'F.' }) : packet,
  );
  const report = replay([session], { compare: 'strict', windowTolerance: 10 });
  const text = replayTap('x.pcap', report.sessions[0]!, 1);
  t.regex(text, /^not ok 1 - x\.pcap: .*\n {2}# packet \d+, flags: expected F\., got FP\./);
  t.regex(text, /\n {2}# +\^/);
});

/** What replay says when one packet of the recorded client was another. */
function fieldsAfter(
  name: string,
  number: number,
  change: (tcp: NonNullable<LivePacket['tcp']>) => Partial<NonNullable<LivePacket['tcp']>>,
): readonly string[] {
  const session = changed(fixture(name), (packet, recorded) =>
    recorded.number === number ? withTcp(packet, change(packet.tcp!)) : packet,
  );
  return differences(session).map(({ packet, field }) => `${packet} ${field}`);
}

test('what the recorded client says must be possible for ours: ACK, sequence number, options, window, reset', (t) => {
  // packet 9 is an ACK in the middle of a download
  const name = 'kernel-download.pcap';
  t.deepEqual(
    fieldsAfter(name, 9, () => ({})),
    [],
  );
  t.deepEqual(
    fieldsAfter(name, 9, (tcp) => ({ ack: (tcp.ack + 100_000) >>> 0 })).filter((one) => one === '9 ack'),
    ['9 ack'],
  );
  t.deepEqual(
    fieldsAfter(name, 9, (tcp) => ({ seq: (tcp.seq + 10) >>> 0 })),
    ['9 seq'],
  );
  t.deepEqual(
    fieldsAfter(name, 9, () => ({ options: [] })),
    ['9 options'],
  );
  t.deepEqual(
    fieldsAfter(name, 9, () => ({ window: 0 })),
    ['9 window'],
  );
  t.true(fieldsAfter(name, 9, () => ({ flags: 'R.' })).length > 0);
  t.deepEqual(
    fieldsAfter(name, 1, () => ({ flags: 'SEW' })),
    [],
    'ours asks for ECN, too',
  );
  t.deepEqual(
    fieldsAfter('kernel-download-loss.pcap', 17, (tcp) => ({
      options: [
        ...tcp.options,
        { kind: 'sack', blocks: [[(tcp.ack + 90_000) >>> 0, (tcp.ack + 91_000) >>> 0]] },
      ],
    })),
    ['17 options'],
  );
});

test('sessions that cannot be replayed say why', (t) => {
  const session = fixture('kernel-upload.pcap');
  const middle = replay([changed(session, (packet) => (packet.tcp!.flags.includes('S') ? null : packet))]);
  t.regex(middle.sessions[0]!.skipped, /lacks/);
  t.false(middle.ok, 'nothing was replayed');
  let dropped = false;
  const gap = changed(session, (packet, { fromClient }) => {
    if (dropped || !fromClient || packet.tcp!.payload.length === 0) return packet;
    dropped = true;
    return null;
  });
  t.regex(replay([gap]).sessions[0]!.skipped, /lacks the octets 0 to \d+/);
  // the last octets, which the FIN behind them tells of
  const last = session.packets.findLast(
    ({ fromClient, packet }) => fromClient && packet.tcp!.payload.length > 0,
  );
  const seqOf = last!.packet.tcp!.seq;
  const tail = changed(session, (packet, { fromClient }) => {
    if (!fromClient || packet.tcp!.seq !== seqOf || packet.tcp!.payload.length === 0) return packet;
    return packet.tcp!.flags.includes('F')
      ? withTcp(packet, { payload: new Uint8Array(0), seq: (seqOf + packet.tcp!.payload.length) >>> 0 })
      : null;
  });
  t.regex(
    replay([tail]).sessions[0]!.skipped,
    /lacks the octets \d+ to 6000[01] of the stream of the client/,
  );
});

test('packets cut off behind their headers: all but the octets is replayed, and not byte for byte', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-replay-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'short.pcap');
  const whole = readFileSync(join(FIXTURES, 'kernel-upload.pcap'));
  const SNAP = 96;
  const parts: Buffer[] = [whole.subarray(0, 24)];
  for (let at = 24; at < whole.length; ) {
    const length = whole.readUInt32LE(at + 8);
    const header = Buffer.from(whole.subarray(at, at + 16));
    header.writeUInt32LE(Math.min(length, SNAP), 8);
    parts.push(header, whole.subarray(at + 16, at + 16 + Math.min(length, SNAP)));
    at += 16 + length;
  }
  writeFileSync(file, Buffer.concat(parts));
  const { sessions } = readSessions(file);
  t.true(sessions[0]!.cutPackets > 30);
  t.true(replay(sessions).ok);
  t.regex(replay(sessions, { compare: 'exact' }).sessions[0]!.skipped, /cut off/);
  const changedAck = changed(sessions[0]!, (packet, { number, fromClient }) =>
    fromClient && number === 30 ? withTcp(packet, { ack: packet.tcp!.ack + 9 }) : packet,
  );
  t.true(differences(changedAck).length > 0);
});

test('a capture that ends anywhere is an error or shorter, never a crash', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-replay-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'cut.pcap');
  const whole = readFileSync(join(FIXTURES, 'kernel-client-closes-first.pcap'));
  let errors = 0;
  for (let length = 0; length < whole.length; length += 7) {
    writeFileSync(file, whole.subarray(0, length));
    try {
      replay(readSessions(file).sessions);
    } catch (error) {
      errors++;
      t.regex((error as Error).message, /capture .*cut\.pcap/);
    }
  }
  t.true(errors > 50);
});

test('captures with damaged packets are read to their end', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-replay-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'bad.pcap');
  const whole = readFileSync(join(FIXTURES, 'kernel-client-closes-first.pcap'));
  const random = new SeededRandom(11);
  for (let run = 0; run < 100; run++) {
    const bytes = Buffer.from(whole);
    // behind the file's header, and not in the lengths of the first record
    for (let i = 0; i < 5; i++) bytes[40 + (random.uint32() % (whole.length - 40))] = random.uint32() & 255;
    writeFileSync(file, bytes);
    try {
      const report = replay(readSessions(file).sessions);
      t.true(report.sessions.length > 0);
    } catch (error) {
      t.regex((error as Error).message, /capture .*bad\.pcap/);
    }
  }
});
