import { openPcap, type PcapFrame } from '../../drivers/pcap-reader.ts';
import { Direction } from '../../drivers/pcapng.ts';
import { NetError, Phase } from '../../stack/errors.ts';
import type { IpAddress } from '../../stack/wire/ip-address.ts';
import { IpProtocol } from '../../stack/wire/ipv4.ts';
import { decodePacket, type LivePacket } from '../script/packet.ts';
import { commentedOptions } from './comment.ts';
import type { ReplayOptions } from './options.ts';

/** Packets of one capture that are kept in memory; a longer capture is to be cut first. */
export const MAX_REPLAY_PACKETS = 200_000;

/** A packet of a session. */
export interface RecordedPacket {
  /** Its number in the capture, from 1, as other tools count. */
  readonly number: number;
  /** Milliseconds since the first packet of the capture. */
  readonly timeMs: number;
  readonly packet: LivePacket;
  readonly fromClient: boolean;
}

export interface SessionEnd {
  readonly address: IpAddress;
  readonly port: number;
}

/** A recorded TCP connection, or the datagrams between two UDP ports. */
export interface Session {
  readonly protocol: 'tcp' | 'udp';
  readonly client: SessionEnd;
  readonly server: SessionEnd;
  readonly packets: RecordedPacket[];
  /** Packets that were cut off behind their headers when they were recorded: what is missing counts as zeros. */
  cutPackets: number;
  /** Why it cannot be replayed; '' when it can. */
  unfit: string;
}

/** What a capture holds. */
export interface CaptureSessions {
  readonly sessions: readonly Session[];
  /** Packets that belong to no session: other protocols, fragments, frames without IP. */
  readonly ignored: number;
  /** What the capture says of how it is to be replayed; see `replayComment`. */
  readonly options: Partial<ReplayOptions>;
}

/**
 * Reads a capture and sorts its packets into sessions. The client of a connection is who sent the first SYN, that of a UDP
 * session who sent first.
 * @throws NetError ARGUMENT_INVALID when the file is no capture, or is damaged
 */
export function readSessions(path: string): CaptureSessions {
  const reader = openPcap(path);
  const found = new SessionCollector();
  try {
    while (reader.next()) found.add(reader.frame);
  } finally {
    reader.close();
  }
  if (reader.error !== null) throw reader.error;
  if (found.count > MAX_REPLAY_PACKETS)
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `capture ${path}: ${found.count} packets; at most ${MAX_REPLAY_PACKETS} are replayed`,
    });
  return { sessions: found.sessions, ignored: found.ignored, options: commentedOptions(reader.comment) };
}

class SessionCollector {
  readonly sessions: Session[] = [];
  readonly #open: Map<string, Session> = new Map();
  ignored = 0;
  count = 0;
  #firstMs = 0;

  add(frame: PcapFrame): void {
    this.count++;
    const fraction = frame.nanoseconds / 1e6;
    // the first packet counts from its whole millisecond, so that nothing is rounded
    if (this.count === 1) this.#firstMs = frame.epochMs;
    if (this.count > MAX_REPLAY_PACKETS) return;
    if (frame.isLost && frame.direction !== Direction.Outbound) {
      this.ignored++;
      return;
    }
    const bytes = packetOf(frame);
    if (bytes === null) {
      this.ignored++;
      return;
    }
    const packet = decodePacket(bytes, 0);
    const timeMs = frame.epochMs - this.#firstMs + fraction;
    if (!this.#file(packet, this.count, timeMs, frame.originalLen > frame.len)) this.ignored++;
  }

  #file(packet: LivePacket, number: number, timeMs: number, isCut: boolean): boolean {
    const { tcp, udp, ip } = packet;
    const ports = tcp ?? udp;
    if (ports === null) return this.#fileIcmp(packet, number, timeMs);
    const from: SessionEnd = { address: ip.source, port: ports.sourcePort };
    const to: SessionEnd = { address: ip.destination, port: ports.destinationPort };
    const key = keyOf(packet.protocol, from, to);
    let session = this.#open.get(key);
    const opens = tcp?.flags.includes('S') === true && !tcp.flags.includes('.');
    if (session === undefined || (opens && isNewConnection(session, packet))) {
      const isAnswer = tcp?.flags.includes('S') === true && !opens;
      session = {
        protocol: tcp === null ? 'udp' : 'tcp',
        client: isAnswer ? to : from,
        server: isAnswer ? from : to,
        packets: [],
        cutPackets: 0,
        unfit: tcp === null || tcp.flags.includes('S') ? '' : 'the capture begins in the middle of it',
      };
      this.sessions.push(session);
      this.#open.set(key, session);
    }
    const fromClient = from.port === session.client.port && from.address.equals(session.client.address);
    session.packets.push({ number, timeMs, packet, fromClient });
    if (isCut) session.cutPackets++;
    return true;
  }

  /** An ICMP error belongs to the session whose packet it quotes. */
  #fileIcmp(packet: LivePacket, number: number, timeMs: number): boolean {
    const v6 = packet.ip.source.family === 6;
    const { bytes } = packet;
    const quoteAt = (v6 ? 40 : (bytes[0]! & 15) * 4) + 8;
    if (bytes.length < quoteAt + (v6 ? 40 : 20) + 8) return false;
    // what is quoted may be cut off anywhere behind the ports
    const quoted = new Uint8Array(bytes.length - quoteAt + 20);
    quoted.set(bytes.subarray(quoteAt));
    if (quoted[0]! >> 4 !== (v6 ? 6 : 4)) return false;
    const { ip, tcp, udp, protocol } = decodePacket(quoted, 0);
    const ports = tcp ?? udp;
    if (ports === null) return false;
    const session = this.#open.get(
      keyOf(
        protocol,
        { address: ip.source, port: ports.sourcePort },
        { address: ip.destination, port: ports.destinationPort },
      ),
    );
    if (session === undefined) return false;
    const fromClient = packet.ip.source.equals(session.client.address);
    session.packets.push({ number, timeMs, packet, fromClient });
    return true;
  }
}

/** A SYN with another sequence number than the first, after the old connection had ended. */
function isNewConnection(session: Session, packet: LivePacket): boolean {
  const first = session.packets.find((other) => other.packet.tcp?.flags.includes('S') && other.fromClient);
  if (first === undefined || first.packet.tcp?.seq === packet.tcp?.seq) return false;
  return session.packets.some((other) => /[FR]/.test(other.packet.tcp?.flags ?? ''));
}

function keyOf(protocol: number, a: SessionEnd, b: SessionEnd): string {
  return [`${a.address} ${a.port}`, `${b.address} ${b.port}`].sort().join(' ') + protocol;
}

/** A copy of the frame's IP packet without padding, what was cut off filled with zeros; null when there is none that can be decoded. */
function packetOf(frame: PcapFrame): Uint8Array | null {
  const { slab, ipOff, ipLen } = frame;
  if (ipOff < 0 || ipLen < 20) return null;
  const { view } = slab;
  const version = view.getUint8(ipOff) >> 4;
  const v6 = version === 6;
  if ((!v6 && version !== 4) || (v6 && ipLen < 40)) return null;
  const headerBytes = v6 ? 40 : (view.getUint8(ipOff) & 15) * 4;
  // RFC 791 §3.1; 0: left to the device by a sender that segments there
  const total = v6 ? 40 + view.getUint16(ipOff + 4) : view.getUint16(ipOff + 2);
  const length = total === 0 || (v6 && total === 40) ? ipLen : Math.min(total, ipLen);
  if (headerBytes < 20 || length < headerBytes + 8) return null;
  if (!v6 && (view.getUint16(ipOff + 6) & 0x3fff) !== 0) return null;
  const protocol = view.getUint8(ipOff + (v6 ? 6 : 9));
  if (protocol === IpProtocol.Tcp) {
    if (length < headerBytes + 20) return null;
    const tcpBytes = (view.getUint8(ipOff + headerBytes + 12) >> 4) * 4;
    if (tcpBytes < 20 || length < headerBytes + tcpBytes) return null;
  } else if (protocol !== IpProtocol.Udp && protocol !== (v6 ? IpProtocol.Icmpv6 : IpProtocol.Icmp)) {
    return null;
  }
  const bytes = new Uint8Array(frame.originalLen > frame.len ? Math.max(length, total) : length);
  bytes.set(slab.bytes.subarray(ipOff, ipOff + length));
  return bytes;
}
