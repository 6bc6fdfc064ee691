import { readSync } from 'node:fs';
import { ipOffset, LinkType } from '../drivers/pcap-link.ts';
import { openPcap, type PcapFrame, PcapReader } from '../drivers/pcap-reader.ts';
import { Direction } from '../drivers/pcapng.ts';
import { openRaw } from '../drivers/raw.ts';
import { POLLIN, PollSet } from '../drivers/syscalls.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { Ethernet } from '../stack/wire/ethernet.ts';
import { type ObservedMessage, ObservedSecrets } from '../tls/observer.ts';
import { ExitCode } from './exit-code.ts';
import { PacketFile } from './packet-file.ts';
import { type PacketFilter, parseFilter } from './packet-filter.ts';
import {
  arpOffset,
  hexLines,
  type PacketSummary,
  summarizeArp,
  summarizePacket,
  tcpSegmentOf,
} from './packet-line.ts';
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
  /** Where the frame lies, and how many bytes it had on the wire. */
  readonly frameOff: number;
  readonly frameLen: number;
  readonly frameBytes: number;
  readonly linkType: number;
}

/** @returns the exit code */
export async function dump(
  file: string | undefined,
  words: readonly string[],
  flags: DumpFlags,
): Promise<ExitCode> {
  const startedAt = performance.now();
  try {
    const all = file === undefined ? [] : [file, ...words];
    if (flags.interface !== undefined)
      return await dumpInterface(flags.interface, new Printer(parseFilter(all), flags));
    if (flags.read !== undefined) return await dumpFile(flags.read, new Printer(parseFilter(all), flags));
    if (file === undefined) throw usage('give a capture, or an interface with -i NAME');
    return await dumpFile(file, new Printer(parseFilter(words), flags));
  } catch (error) {
    return complain(error, startedAt);
  }
}

async function dumpFile(file: string, printer: Printer): Promise<ExitCode> {
  const isLive = file === '-';
  const reader = isLive ? new PcapReader('standard input', readStandardInput) : openPcap(file);
  reader.onSecrets = (keyLog) => printer.addSecrets(keyLog);
  while (!printer.isDone && reader.next()) {
    await printer.print(seenIn(reader.frame));
    if (isLive) await printer.flush();
  }
  await printer.close();
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
    frameOff: frame.off,
    frameLen: frame.len,
    frameBytes: frame.originalLen,
    linkType: frame.linkType,
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
        frameOff: 0,
        frameLen: len,
        frameBytes: len,
        linkType: LinkType.Ethernet,
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
    await printer.close();
  }
  return stopped as ExitCode;
}

/** Writes packets that fit a filter: lines about them, or themselves. */
class Printer {
  readonly #filter: PacketFilter;
  readonly #flags: DumpFlags;
  readonly #tlsFlows: TlsFlows;
  /** That open the TLS of the packets. */
  readonly #secrets: ObservedSecrets = new ObservedSecrets();
  readonly #file: PacketFile | null;
  #text = '';
  #printed = 0;

  constructor(filter: PacketFilter, flags: DumpFlags) {
    this.#filter = filter;
    this.#flags = flags;
    this.#file = flags.write === undefined ? null : new PacketFile(flags.write, flags.snapshotLength ?? 0);
    if (flags.keylog) this.addSecrets(readInput('--keylog', flags.keylog).toString('latin1'));
    this.#tlsFlows = new TlsFlows(this.#secrets);
  }

  /** @param keyLog lines that open the TLS of packets to come */
  addSecrets(keyLog: string): void {
    this.#secrets.add(keyLog);
    this.#file?.secrets(keyLog);
  }

  get isDone(): boolean {
    return this.#flags.count !== undefined && this.#printed >= this.#flags.count;
  }

  async print(seen: Seen): Promise<void> {
    const summary = summaryOf(seen);
    if (this.#file !== null) {
      if (this.#filter(summary)) this.#keep(this.#file, seen);
      return;
    }
    const segment = summary?.protocol === 'tcp' ? tcpSegmentOf(seen.view, seen.off, seen.len) : null;
    const tls = summary === null || segment === null ? [] : this.#tlsFlows.add(summary, segment);
    if (!this.#filter(summary)) return;
    this.#printed++;
    this.#text += this.#flags.json
      ? `${JSON.stringify(jsonOf(seen, summary, tls))}\n`
      : this.#lines(seen, summary) + tls.map(tlsLines).join('');
    if (this.#text.length >= BUFFER_CHARACTERS) await this.flush();
  }

  #keep(file: PacketFile, seen: Seen): void {
    const bytes = new Uint8Array(seen.view.buffer, seen.view.byteOffset + seen.frameOff, seen.frameLen);
    file.add({ ...seen, bytes });
    this.#printed++;
  }

  async close(): Promise<void> {
    await this.flush();
    this.#file?.close();
  }

  async flush(): Promise<void> {
    this.#file?.flush();
    if (this.#text === '') return;
    const text = this.#text;
    this.#text = '';
    await writeAll(STDOUT, Buffer.from(text));
  }

  #lines(seen: Seen, summary: PacketSummary | null): string {
    const link = this.#flags.linkLevel ? linkHeader(seen) : '';
    let lines = `${timeOfDay(seen)} ${arrow(seen.direction)}${link}${lineOf(seen, summary)}\n`;
    if (seen.comment !== '') lines += `\t# ${seen.comment.replaceAll('\n', '\n\t# ')}\n`;
    if (this.#flags.hex && seen.off >= 0) {
      const from = seen.view.byteOffset + seen.off;
      lines += `${hexLines(new Uint8Array(seen.view.buffer, from, seen.len))}\n`;
    }
    return lines;
  }
}

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

/** `02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 0x0800, length 74: `; '' where there is no Ethernet. */
function linkHeader({ view, frameOff, frameLen, frameBytes, linkType }: Seen): string {
  if (linkType !== LinkType.Ethernet || frameLen < Ethernet.Type + 2) return '';
  const bytes = Buffer.from(view.buffer as ArrayBuffer, view.byteOffset + frameOff, Ethernet.Type + 2);
  const hex = bytes.toString('hex');
  const station = (at: number): string => hex.slice(at, at + 12).replace(/..\B/g, '$&:');
  return `${station(12)} > ${station(0)}, ethertype 0x${hex.slice(24)}, length ${frameBytes}: `;
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

function usage(detail: string): NetError {
  return new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}
