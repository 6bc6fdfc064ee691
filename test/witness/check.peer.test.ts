// needs: tshark tcpdump
// sends broken frames: what the witnesses are to find
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { LinkType } from '../../drivers/pcap-link.ts';
import { EthernetWire } from '../../stack/testing/ethernet-wire.ts';
import { addressOf, ipPacket, udpDatagram } from '../../stack/testing/packets.ts';
import { checkFrames, type WitnessReport } from './check.ts';
import { FOLDER, RECORD_HEADER_BYTES } from './names.ts';

const FROM = '192.0.2.1';
const TO = '192.0.2.2';

function packet(payload: Uint8Array, port = 9): Uint8Array {
  return ipPacket({ from: FROM, to: TO, protocol: 17 }, udpDatagram(FROM, TO, 1234, port, payload));
}

/** A frame as a thread writes it down. */
function record(name: string, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(RECORD_HEADER_BYTES + name.length + bytes.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, name.length);
  view.setUint32(4, LinkType.Raw);
  view.setUint32(8, bytes.length);
  out.set(new TextEncoder().encode(name), RECORD_HEADER_BYTES);
  out.set(bytes, RECORD_HEADER_BYTES + name.length);
  return out;
}

function check(t: ExecutionContext, records: readonly Uint8Array[]): WitnessReport {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  for (const each of records) appendFileSync(join(folder, '1-1.frames'), each);
  return checkFrames(folder);
}

test('a right frame passes, once, and what was cut off is passed over', (t) => {
  const right = record('a.ts:1 eth0', packet(Uint8Array.of(1, 2, 3)));
  const { frames, wrong } = check(t, [right, right, right.subarray(0, right.length - 1)]);
  t.is(frames, 1);
  t.deepEqual(wrong, []);
});

for (const [what, at] of [
  ['an IP header', 11],
  ['a UDP datagram', 27],
] as const) {
  test(`both witnesses see a wrong checksum of ${what}, and whose it is`, (t) => {
    const bytes = packet(Uint8Array.of(1, 2, 3));
    bytes[at] = bytes[at]! ^ 1;
    const { wrong } = check(t, [
      record('a.ts:1 eth0', packet(Uint8Array.of(1))),
      record('b.ts:2 eth0', bytes),
    ]);
    t.deepEqual(
      wrong.map((line) => /^b\.ts:2 eth0, frame 2 of .*: (tshark|tcpdump): /.exec(line)?.[1]),
      ['tshark', 'tcpdump'],
    );
  });
}

test('a length that cannot be is seen, and a broken payload, unless the test file says that it sends such', (t) => {
  const short = packet(Uint8Array.of(1, 2, 3));
  short[25] = 200;
  t.true(check(t, [record('a.ts:1 eth0', short)]).wrong.length > 0);
  const dns = packet(Uint8Array.of(0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63, 1), 53);
  t.is(check(t, [record('a.ts:1 eth0', dns)]).wrong.length, 1);
  t.deepEqual(check(t, [record('stack/udp/udp-layer.test.ts:1 eth0', dns)]).wrong, []);
  t.deepEqual(check(t, [record('test/witness/check.peer.test.ts:1 eth0', short)]), {
    frames: 0,
    testFiles: 1,
    exempt: ['test/witness/check.peer.test.ts'],
    wrong: [],
  });
});

test('what a stack in a test sends is written down, with the line that made it', (t) => {
  const folder = process.env[FOLDER];
  t.truthy(folder, 'the test command says where');
  const wire = new EthernetWire();
  const one = wire.add(1, ['10.0.0.1/24']);
  one.stack.icmp.ping({ destination: addressOf('10.0.0.9'), count: 1 });
  wire.settle();
  t.true(wire.trace.length > 0);
  const written = readdirSync(folder!).map((name) => readFileSync(join(folder!, name), 'latin1'));
  t.true(written.some((text) => /test\/witness\/check\.peer\.test\.ts:\d+ station1/.test(text)));
});
