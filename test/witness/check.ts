import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LinkType } from '../../drivers/pcap-link.ts';
import { Direction, PcapngWriter } from '../../drivers/pcapng.ts';
import { RECORD_HEADER_BYTES, ROOT } from './names.ts';

/** What the layers below the applications consist of; what is inside of them may be anything in a test. */
const PROTOCOLS =
  'frame pkt_comment eth vlan arp raw ip ipv6 ipv6.nxt ipv6.hopopts ipv6.dstopts ipv6.routing ipv6.fraghdr icmp icmpv6 igmp tcp udp dhcp dhcpv6 mdns dns'.split(
    ' ',
  );
const CHECKED = [
  'ip.check_checksum:TRUE',
  'tcp.check_checksum:TRUE',
  'udp.check_checksum:TRUE',
  // frames of many tests lie side by side: nothing of one belongs to another
  'ip.defragment:FALSE',
  'ipv6.defragment:FALSE',
  'tcp.desegment_tcp_streams:FALSE',
  'tcp.analyze_sequence_numbers:FALSE',
];
const WRONG = `_ws.malformed || ${['ip', 'tcp', 'udp', 'icmp', 'icmpv6', 'igmp'].map((name) => `${name}.checksum.status == 0`).join(' || ')}`;
/** How tcpdump says it, below the payloads. */
const COMPLAINT =
  /\b(bad|wrong) (\w+ )?cksum|\(incorrect ->|\bbad-h?len\b|\bbad length\b|\btruncated-(ip|udp|tcp|icmp)|\[\|(ip|udp|tcp|icmp|igmp|arp|frag|hbh|dstopt)/;
const MAX_OUTPUT_BYTES: number = 512 * 1024 * 1024;
/** A test file whose frames are broken on purpose says so, and why; so does one that puts anything into datagrams on the ports of DNS and DHCP. */
const BROKEN = /^\/\/ sends broken frames: (.+)$/m;
const PAYLOADS = /^\/\/ sends any payload: (.+)$/m;
const OF_PAYLOAD = /:(dns|mdns|dhcp|dhcpv6)\b.*malformed/i;
/** tcpdump does not know that a stream may be cut anywhere: payloads are tshark's affair. */
const TCPDUMP_OF_PAYLOAD = /\b(domain|BOOTP\/DHCP|dhcp6)\b|prefix length\(/;
/** What tshark says of itself where it fails, for instance with TLS whose streams it does not see whole. */
const OF_WITNESS = /Dissector bug/;
const OF_CHECKSUM = /(bad|wrong) (\w+ )?(cksum|checksum)/i;

export interface WitnessReport {
  readonly frames: number;
  readonly testFiles: number;
  /** Test files whose frames, or whose payloads, nobody looked at, because they say so. */
  readonly exempt: readonly string[];
  /** One line for each frame with which something is wrong: whose it is, and what the witness says. */
  readonly wrong: readonly string[];
}

interface Frame {
  readonly name: string;
  readonly linkType: number;
  readonly bytes: Uint8Array;
}

/** Asks tshark and tcpdump about all frames that the tests' stacks have sent, those that are the same once. Leaves them in `FOLDER/LINK.pcapng`. */
export function checkFrames(folder: string): WitnessReport {
  const testFiles = new Map<string, Exemption>();
  const kept = new Map<string, Frame>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.frames'))) {
    for (const frame of framesOf(readFileSync(join(folder, file)))) {
      const test = testOf(frame);
      if (!testFiles.has(test)) testFiles.set(test, exemptionOf(test));
      if (testFiles.get(test) !== 'frames')
        kept.set(`${frame.linkType} ${Buffer.from(frame.bytes).toString('latin1')}`, frame);
    }
  }
  const wrong: string[] = [];
  for (const linkType of [LinkType.Ethernet, LinkType.Raw]) {
    const frames = [...kept.values()].filter((frame) => frame.linkType === linkType);
    if (frames.length === 0) continue;
    const path = join(folder, linkType === LinkType.Raw ? 'ip.pcapng' : 'ethernet.pcapng');
    write(path, linkType, frames);
    const say = (number: number, witness: string, what: string): void => {
      const frame = frames[number - 1]!;
      const isExempt =
        testFiles.get(testOf(frame)) === 'payloads' && OF_PAYLOAD.test(what) && !OF_CHECKSUM.test(what);
      if (!isExempt && !OF_WITNESS.test(what))
        wrong.push(`${frame.name}, frame ${number} of ${path}: ${witness}: ${what}`);
    };
    for (const [number, what] of askTshark(path)) say(number, 'tshark', what);
    for (const [number, what] of askTcpdump(path)) say(number, 'tcpdump', what);
  }
  const exempt = [...testFiles].filter(([, exemption]) => exemption !== 'nothing').map(([test]) => test);
  return { frames: kept.size, testFiles: testFiles.size, exempt: exempt.sort(), wrong };
}

type Exemption = 'nothing' | 'payloads' | 'frames';

function testOf(frame: Frame): string {
  return frame.name.replace(/[: ].*/s, '');
}

function exemptionOf(test: string): Exemption {
  // a program that a test has started may not know which
  if (!test.endsWith('.test.ts')) return 'nothing';
  const text = readFileSync(join(ROOT, test), 'utf8');
  if (BROKEN.test(text)) return 'frames';
  return PAYLOADS.test(text) ? 'payloads' : 'nothing';
}

/** The last record may be cut off by the end of its thread. */
function* framesOf(bytes: Uint8Array): Generator<Frame> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + RECORD_HEADER_BYTES <= bytes.length; ) {
    const nameEnd = at + RECORD_HEADER_BYTES + view.getUint32(at);
    const end = nameEnd + view.getUint32(at + 8);
    if (end > bytes.length) return;
    const name = new TextDecoder().decode(bytes.subarray(at + RECORD_HEADER_BYTES, nameEnd));
    yield { name, linkType: view.getUint32(at + 4), bytes: bytes.subarray(nameEnd, end) };
    at = end;
  }
}

function write(path: string, linkType: number, frames: readonly Frame[]): void {
  const writer = new PcapngWriter(path, {
    onError: (error) => {
      throw error;
    },
  });
  const iface = writer.addInterface('tests', linkType);
  for (const [number, { name, bytes }] of frames.entries()) {
    const at = writer.beginPacket(iface, number, 0, bytes.length);
    writer.slab.bytes.set(bytes, at);
    writer.endPacket(Direction.Outbound, name);
  }
  writer.close();
}

function askTshark(path: string): [number, string][] {
  const options = CHECKED.flatMap((each) => ['-o', each]);
  const enabled = PROTOCOLS.flatMap((each) => ['--enable-protocol', each]);
  const output = execFileSync(
    'tshark',
    [
      ...['-n', '-r', path, '-Y', WRONG, '--disable-protocol', 'ALL', ...enabled, ...options],
      ...['-T', 'fields', '-e', 'frame.number', '-e', 'frame.protocols', '-e', '_ws.col.Info'],
      ...['-e', '_ws.expert.message'],
    ],
    { encoding: 'utf8', maxBuffer: MAX_OUTPUT_BYTES, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => [Number.parseInt(line, 10), line.replace(/^\d+\t/, '').replaceAll('\t', ' · ')]);
}

/** With -vv it checks every checksum; a packet's further lines are indented. */
function askTcpdump(path: string): [number, string][] {
  const output = execFileSync('tcpdump', ['-n', '-t', '-vv', '-#', '-r', path], {
    encoding: 'utf8',
    maxBuffer: MAX_OUTPUT_BYTES,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const found: [number, string][] = [];
  let number = 0;
  for (const line of output.split('\n')) {
    const begins = /^ *(\d+) {2}/.exec(line);
    if (begins !== null) number = Number(begins[1]);
    if (COMPLAINT.test(line) && (OF_CHECKSUM.test(line) || !TCPDUMP_OF_PAYLOAD.test(line)))
      found.push([number, line.trim()]);
  }
  return found;
}
