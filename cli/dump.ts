import { readSync } from 'node:fs';
import { ipOffset, LinkType } from '../drivers/pcap-link.ts';
import { openPcap, type PcapFrame, PcapReader } from '../drivers/pcap-reader.ts';
import { Direction } from '../drivers/pcapng.ts';
import { openRaw } from '../drivers/raw.ts';
import { POLLIN, PollSet } from '../drivers/syscalls.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { EtherType, VLAN_TAG_BYTES } from '../stack/wire/ethernet.ts';
import { type ObservedMessage, ObservedSecrets } from '../tls/observer.ts';
import { ExitCode } from './exit-code.ts';
import { hexLines, type PacketSummary, summarizeArp, summarizePacket, tcpSegmentOf } from './packet-line.ts';
import { complain } from './report.ts';
import { readInput } from './stack-options.ts';
import { writeAll } from './standard-io.ts';
import { TlsFlows, tlsJson, tlsLines } from './tls-flows.ts';
import type { DumpFlags } from './verbs/dump.ts';

const STDIN = 0;
const STDOUT = 1;
/** Lines that wait for being written, in characters. */
const BUFFER_CHARACTERS = 65_536;
/** How long live packets wait, so that signals and standard output get their turn. */
const POLL_MS = 50;
const BATCH = 64;
const ETHERTYPE_OFFSET = 12;

/** One packet with what is known of it. */
interface Seen {
  readonly timeMs: number;
  readonly nanoseconds: number;
  readonly direction: Direction;
  readonly comment: string;
  readonly view: DataView;
  /** Of the IP packet; -1: it carries none. */
  readonly off: number;
  readonly len: number;
  /** Of the ARP packet; -1: it carries none. */
  readonly arpOff: number;
  readonly arpLen: number;
  /** The frame's bytes on the wire. */
  readonly frameBytes: number;
}

type Filter = (packet: PacketSummary) => boolean;

/** @returns the exit code */
export async function dump(
  file: string | undefined,
  words: readonly string[],
  flags: DumpFlags,
): Promise<ExitCode> {
  const startedAt = performance.now();
  try {
    if (flags.interface !== undefined) {
      const filter = filterOf(file === undefined ? [] : [file, ...words]);
      return await dumpInterface(flags.interface, new Printer(filter, flags));
    }
    if (file === undefined) throw usage('give a capture, or an interface with -i NAME');
    return await dumpFile(file, new Printer(filterOf(words), flags));
  } catch (error) {
    return complain(error, startedAt);
  }
}

async function dumpFile(file: string, printer: Printer): Promise<ExitCode> {
  const isLive = file === '-';
  const reader = isLive ? new PcapReader('standard input', readStandardInput) : openPcap(file);
  reader.onSecrets = (keyLog) => printer.secrets.add(keyLog);
  while (!printer.isDone && reader.next()) {
    await printer.print(seenIn(reader.frame));
    if (isLive) await printer.flush();
  }
  await printer.flush();
  reader.close();
  if (reader.error === null || printer.isDone) return ExitCode.Ok;
  throw reader.error;
}

/** @returns 0 at the end */
function readStandardInput(into: Uint8Array, off: number, len: number): number {
  for (;;) {
    try {
      return readSync(STDIN, into, off, len, null);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EOF') return 0;
      if (code !== 'EAGAIN') throw usage(`standard input: ${(error as Error).message}`);
      // whoever shares it with us has made it non-blocking
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL_MS);
    }
  }
}

function seenIn(frame: PcapFrame): Seen {
  const isEthernet = frame.linkType === LinkType.Ethernet;
  const arp = isEthernet ? arpOffset(frame.slab.view, frame.off, frame.len) : -1;
  return {
    timeMs: frame.epochMs,
    nanoseconds: frame.nanoseconds,
    direction: frame.direction,
    comment: frame.comment,
    view: frame.slab.view,
    off: frame.ipOff,
    len: frame.ipLen,
    arpOff: arp,
    arpLen: frame.off + frame.len - arp,
    frameBytes: frame.originalLen,
  };
}

async function dumpInterface(name: string, printer: Printer): Promise<ExitCode> {
  const device = openRaw(name);
  let stopped = 0;
  process.on('SIGINT', () => {
    stopped = 130;
  });
  process.on('SIGTERM', () => {
    stopped = 143;
  });
  const poll = new PollSet(1);
  poll.set(0, device.pollFd, POLLIN);
  const seen: Seen[] = [];
  const input = {
    input(slab: { readonly bytes: Uint8Array }, off: number, len: number): void {
      // the slab is used again with the next packet
      const copy = slab.bytes.slice(off, off + len);
      const view = new DataView(copy.buffer);
      const ip = ipOffset(view, 0, len, LinkType.Ethernet);
      const arp = arpOffset(view, 0, len);
      const time = performance.timeOrigin + performance.now();
      seen.push({
        timeMs: Math.floor(time),
        nanoseconds: Math.floor((time % 1) * 1e6),
        direction: Direction.Unknown,
        comment: '',
        view,
        off: ip,
        len: ip < 0 ? 0 : len - ip,
        arpOff: arp,
        arpLen: len - arp,
        frameBytes: len,
      });
    },
  };
  try {
    while (stopped === 0 && !printer.isDone) {
      device.receive(input, BATCH);
      for (const packet of seen.splice(0)) if (!printer.isDone) await printer.print(packet);
      await printer.flush();
      poll.wait(POLL_MS);
      await new Promise((done) => setImmediate(done));
    }
  } finally {
    device.close();
  }
  return stopped as ExitCode;
}

/** Writes lines about packets that fit a filter. */
class Printer {
  readonly #filter: Filter;
  readonly #flags: DumpFlags;
  readonly #tlsFlows: TlsFlows;
  /** That open the TLS of the packets. */
  readonly secrets: ObservedSecrets = new ObservedSecrets();
  #text = '';
  #printed = 0;

  constructor(filter: Filter, flags: DumpFlags) {
    this.#filter = filter;
    this.#flags = flags;
    if (flags.keylog) this.secrets.add(readInput('--keylog', flags.keylog).toString('latin1'));
    this.#tlsFlows = new TlsFlows(this.secrets);
  }

  get isDone(): boolean {
    return this.#flags.count !== undefined && this.#printed >= this.#flags.count;
  }

  async print(seen: Seen): Promise<void> {
    const summary = summaryOf(seen);
    const segment = summary?.protocol === 'tcp' ? tcpSegmentOf(seen.view, seen.off, seen.len) : null;
    const tls = summary === null || segment === null ? [] : this.#tlsFlows.add(summary, segment);
    if (summary === null ? !this.#filter(NO_IP) : !this.#filter(summary)) return;
    this.#printed++;
    this.#text += this.#flags.json
      ? `${JSON.stringify(jsonOf(seen, summary, tls))}\n`
      : this.#lines(seen, summary) + tls.map(tlsLines).join('');
    if (this.#text.length >= BUFFER_CHARACTERS) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#text === '') return;
    const text = this.#text;
    this.#text = '';
    await writeAll(STDOUT, Buffer.from(text));
  }

  #lines(seen: Seen, summary: PacketSummary | null): string {
    let lines = `${timeOfDay(seen)} ${arrow(seen.direction)}${lineOf(seen, summary)}\n`;
    if (seen.comment !== '') lines += `\t# ${seen.comment.replaceAll('\n', '\n\t# ')}\n`;
    if (this.#flags.hex && seen.off >= 0) {
      const from = seen.view.byteOffset + seen.off;
      lines += `${hexLines(new Uint8Array(seen.view.buffer, from, seen.len))}\n`;
    }
    return lines;
  }
}

const NO_IP: PacketSummary = {
  protocol: 'ip',
  source: '',
  destination: '',
  sourcePort: 0,
  destinationPort: 0,
  text: '',
};

function lineOf({ frameBytes }: Seen, summary: PacketSummary | null): string {
  if (summary === null) return `no IP packet, length ${frameBytes}`;
  if (summary.protocol === 'arp') return summary.text;
  const { source, destination, sourcePort, destinationPort, text } = summary;
  const family = source.includes(':') ? 'IP6' : 'IP';
  return `${family} ${end(source, sourcePort)} > ${end(destination, destinationPort)}: ${text}`;
}

function end(address: string, port: number): string {
  return port === 0 ? address : `${address}.${port}`;
}

function arrow(direction: Direction): string {
  if (direction === Direction.Inbound) return 'In  ';
  return direction === Direction.Outbound ? 'Out ' : '';
}

function timeOfDay({ timeMs, nanoseconds }: Seen): string {
  const time = new Date(timeMs).toISOString().slice(11, 23);
  return `${time}${String(Math.floor(nanoseconds / 1000)).padStart(3, '0')}`;
}

/** Where the ARP packet of an Ethernet frame begins, behind VLAN tags; -1: it carries none. */
function arpOffset(view: DataView, off: number, len: number): number {
  let at = ETHERTYPE_OFFSET;
  for (; at + 2 <= len; at += VLAN_TAG_BYTES) {
    const type = view.getUint16(off + at);
    if (type === EtherType.Arp) return off + at + 2;
    if (type !== EtherType.Vlan && type !== EtherType.ServiceVlan) return -1;
  }
  return -1;
}

function summaryOf({ view, off, len, arpOff, arpLen }: Seen): PacketSummary | null {
  if (arpOff >= 0) return summarizeArp(view, arpOff, arpLen);
  return off < 0 ? null : summarizePacket(view, off, len);
}

function jsonOf(seen: Seen, summary: PacketSummary | null, tls: readonly ObservedMessage[]): object {
  const direction = arrow(seen.direction).trim().toLowerCase();
  return {
    time: new Date(seen.timeMs).toISOString(),
    timeMs: seen.timeMs + seen.nanoseconds / 1e6,
    direction: direction === '' ? null : direction,
    lengthBytes: seen.frameBytes,
    ...summary,
    comment: seen.comment === '' ? null : seen.comment,
    ...(tls.length === 0 ? {} : { tls: tls.map(tlsJson) }),
  };
}

/** @throws NetError ARGUMENT_INVALID for a word that means nothing */
function filterOf(words: readonly string[]): Filter {
  const tests: Filter[] = [];
  const left = words.flatMap((word) => word.split(/\s+/)).filter((word) => word !== 'and' && word !== '');
  while (left.length > 0) {
    const word = left.shift();
    if (word === 'tcp' || word === 'udp' || word === 'arp') tests.push(({ protocol }) => protocol === word);
    else if (word === 'icmp') tests.push(({ protocol }) => protocol.startsWith('icmp'));
    else if (word === 'host') {
      const host = left.shift();
      tests.push(({ source, destination }) => source === host || destination === host);
    } else if (word === 'port') {
      const port = Number(left.shift());
      tests.push(({ sourcePort, destinationPort }) => sourcePort === port || destinationPort === port);
    } else throw usage(`a filter is made of host ADDRESS, port NUMBER, tcp, udp, icmp, arp; got '${word}'`);
  }
  return (packet) => tests.every((test) => test(packet));
}

function usage(detail: string): NetError {
  return new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}
