import { isUtf8 } from 'node:buffer';
import { type ObservedMessage, type ObservedSecrets, TlsObserver, type TlsSender } from '../tls/observer.ts';
import type { PacketSummary, TcpSegment } from './packet-line.ts';

/** Connections that are followed; of more the first are forgotten. */
const MAX_FLOWS = 10_000;
/** What waits for bytes that were lost or come later, for each direction. */
const MAX_HELD_BYTES: number = 1024 * 1024;

/** One direction of a TCP connection, put in order. */
interface Stream {
  /** Sequence number of the byte that comes next (int32). */
  next: number;
  readonly held: Map<number, Uint8Array>;
  heldBytes: number;
}

/** A TCP connection that has been seen to speak TLS. */
interface Flow {
  /** Source of the client's segments. */
  readonly client: string;
  readonly observer: TlsObserver;
  readonly streams: Partial<Record<TlsSender, Stream>>;
}

/** Finds TLS in TCP segments as a capture has them, and opens it. */
export class TlsFlows {
  readonly #secrets: ObservedSecrets;
  readonly #flows: Map<string, Flow> = new Map();

  constructor(secrets: ObservedSecrets) {
    this.#secrets = secrets;
  }

  /** Takes a segment. @returns what has become whole by it */
  add(summary: PacketSummary, segment: TcpSegment): ObservedMessage[] {
    const from = `${summary.source} ${summary.sourcePort}`;
    const to = `${summary.destination} ${summary.destinationPort}`;
    const key = from < to ? `${from} ${to}` : `${to} ${from}`;
    if (segment.isSyn) this.#flows.delete(key);
    if (segment.bytes.length === 0) return [];
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      if (!isClientHello(segment.bytes)) return [];
      flow = { client: from, observer: new TlsObserver(this.#secrets), streams: {} };
      this.#flows.set(key, flow);
      if (this.#flows.size > MAX_FLOWS) this.#flows.delete(this.#flows.keys().next().value!);
    }
    if (!flow.observer.isFollowing) return [];
    const sender = flow.client === from ? 'client' : 'server';
    flow.streams[sender] ??= { next: segment.sequence, held: new Map(), heldBytes: 0 };
    return take(flow.observer, sender, flow.streams[sender], segment);
  }
}

function take(
  observer: TlsObserver,
  sender: TlsSender,
  stream: Stream,
  { sequence, bytes }: TcpSegment,
): ObservedMessage[] {
  const ahead = (sequence - stream.next) | 0;
  if (ahead > 0) {
    if (stream.heldBytes + bytes.length <= MAX_HELD_BYTES && !stream.held.has(sequence)) {
      stream.held.set(sequence, bytes.slice());
      stream.heldBytes += bytes.length;
    }
    return [];
  }
  const found: ObservedMessage[] = [];
  const feed = (piece: Uint8Array, behind: number): void => {
    if (behind >= piece.length) return;
    found.push(...observer.receive(sender, piece.subarray(behind)));
    stream.next = (stream.next + piece.length - behind) | 0;
  };
  feed(bytes, -ahead);
  for (let isMore = true; isMore; ) {
    isMore = false;
    for (const [at, piece] of stream.held) {
      const behind = (stream.next - at) | 0;
      if (behind < 0) continue;
      stream.held.delete(at);
      stream.heldBytes -= piece.length;
      feed(piece, behind);
      isMore = true;
    }
  }
  return found;
}

/** A handshake record that begins with a ClientHello (RFC 8446 §5.1). */
function isClientHello(bytes: Uint8Array): boolean {
  return bytes.length >= 6 && bytes[0] === 22 && bytes[1] === 3 && bytes[5] === 1;
}

/** Characters of a line of text. */
const LINE_CHARACTERS = 160;
/** Lines of text shown of each record. */
const MAX_LINES = 100;
/** Of a hundred bytes; with more unprintable ones it is no text. */
const MAX_UNPRINTABLE_PERCENT = 10;

/** `\tTLS server: application data, 26 bytes`, and the text in it. */
export function tlsLines({ sender, type, name, bytes }: ObservedMessage): string {
  const what = name === '' ? type : `${type} ${name}`;
  const head = `\tTLS ${sender}: ${what}, ${bytes.length} bytes\n`;
  if (type !== 'application data') return head;
  const text = Buffer.from(bytes).toString('latin1');
  const unprintable = text.match(/[^\t\r\n\x20-\x7e]/g)?.length ?? 0;
  if (unprintable * 100 > text.length * MAX_UNPRINTABLE_PERCENT) return head;
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  const shown = lines.slice(0, MAX_LINES).map((line) => {
    const printable = line.replace(/[^\x20-\x7e]/g, '.');
    return printable.length > LINE_CHARACTERS ? `${printable.slice(0, LINE_CHARACTERS)}…` : printable;
  });
  if (lines.length > MAX_LINES) shown.push(`… and ${lines.length - MAX_LINES} lines more`);
  return `${head}${shown.map((line) => `\t| ${line}\n`).join('')}`;
}

/** The same for `--json`: data as text, or as base64 when it is not. */
export function tlsJson({ sender, type, name, bytes }: ObservedMessage): object {
  const about = { sender, type, ...(name === '' ? {} : { name }), lengthBytes: bytes.length };
  if (type !== 'application data') return about;
  const buffer = Buffer.from(bytes);
  return isUtf8(buffer)
    ? { ...about, text: buffer.toString() }
    : { ...about, base64: buffer.toString('base64') };
}
