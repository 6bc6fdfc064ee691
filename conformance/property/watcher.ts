import type { Stack } from '../../stack/stack.ts';
import { TcpConnection } from '../../stack/tcp/connection.ts';
import { TcpState } from '../../stack/tcp/tcp-state.ts';
import { IpProtocol } from '../../stack/wire/ipv4.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { parseTcpOptions, Tcp, TcpFlag, TcpOptions } from '../../stack/wire/tcp.ts';

/** RFC 8200 §4.5 */
const FRAGMENT_HEADER = 44;
/** Headers with all options, and the least MSS that is believed. */
const LEAST_MTU_BYTES = 160;

/** Something that must never happen has happened. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** What one end of a connection has put on the wire. Sequence numbers. */
interface Sender {
  readonly isn: number;
  /** Behind the last octet or control bit. */
  sentTo: number;
  /** The largest window of its SYNs, which no scale applies to. */
  synWindow: number;
  /** The right edge of the window it offers; valid once it has sent an ACK. */
  edge: number;
  hasEdge: boolean;
  /** -1: no window scale offered. */
  readonly shift: number;
  /** The connection between these ports before. */
  readonly earlier: Sender | null;
}

/** Watches what two stacks send, and what they hold. */
export class Watcher {
  readonly #senders: Map<string, Sender> = new Map();
  readonly #edges: WeakMap<TcpConnection, number> = new WeakMap();
  readonly #options: TcpOptions = new TcpOptions();
  /** Packets seen. */
  packets = 0;
  readonly #mtuBytes: number;

  /** @param mtuBytes the smallest on the path */
  constructor(mtuBytes: number) {
    this.#mtuBytes = mtuBytes;
  }

  /**
   * A packet that a stack sends.
   * @param closedForMemory windows that the stack has closed because it had no memory for what it had promised
   * @throws Violation
   */
  sent(from: 'a' | 'b', bytes: Uint8Array, closedForMemory: number): void {
    this.packets++;
    const v6 = bytes[0]! >>> 4 === 6;
    const tcp = v6 ? 40 : (bytes[0]! & 15) * 4;
    const slab = new Slab(bytes);
    const { view } = slab;
    const isFragment = v6 ? bytes[6] === FRAGMENT_HEADER : (view.getUint16(6) & 0x3fff) !== 0;
    if (isFragment) {
      // a path that does not take the smallest segment and its headers leaves nothing else
      if (this.#mtuBytes >= LEAST_MTU_BYTES) throw new Violation(`${from} sends a fragment`);
      return;
    }
    if (bytes[v6 ? 6 : 9] !== IpProtocol.Tcp) return;
    const flags = bytes[tcp + Tcp.Flags]!;
    const ports = `${view.getUint16(tcp)}-${view.getUint16(tcp + 2)}`;
    const peerPorts = `${view.getUint16(tcp + 2)}-${view.getUint16(tcp)}`;
    const seq = view.getInt32(tcp + Tcp.Sequence);
    const headerBytes = (bytes[tcp + Tcp.DataOffset]! >>> 4) * 4;
    const payload = bytes.length - tcp - headerBytes;
    const end =
      (seq + payload + ((flags & TcpFlag.Syn) !== 0 ? 1 : 0) + ((flags & TcpFlag.Fin) !== 0 ? 1 : 0)) | 0;
    if ((flags & TcpFlag.Rst) !== 0) return;
    if ((flags & TcpFlag.Syn) !== 0) {
      const known = this.#senders.get(from + ports);
      if (known === undefined || known.isn !== seq) {
        this.#options.reset();
        parseTcpOptions(slab, tcp + Tcp.Options, headerBytes - Tcp.Options, this.#options);
        const { windowShift } = this.#options;
        this.#senders.set(from + ports, {
          isn: seq,
          sentTo: end,
          synWindow: view.getUint16(tcp + Tcp.Window),
          edge: 0,
          hasEdge: false,
          shift: windowShift,
          earlier: known ?? null,
        });
      } else {
        known.synWindow = Math.max(known.synWindow, view.getUint16(tcp + Tcp.Window));
      }
      return;
    }
    const own = this.#senders.get(from + ports);
    const peer = this.#senders.get((from === 'a' ? 'b' : 'a') + peerPorts);
    if (own === undefined || peer === undefined) return;
    const fail = (what: string): never => {
      throw new Violation(`${from} ${ports}: ${what}`);
    };
    if (((end - own.sentTo) | 0) > 0) own.sentTo = end;
    const ack = view.getInt32(tcp + Tcp.Acknowledgment);
    // old connections of the same ports may still be acknowledged
    if (((ack - peer.isn) | 0) <= 0) return;
    for (let old = peer.earlier; old !== null; old = old.earlier)
      if (((ack - old.isn) | 0) > 0 && ((ack - old.sentTo) | 0) <= 0) return;
    if (((ack - peer.sentTo) | 0) > 0)
      fail(`acknowledges ${(ack - peer.sentTo) | 0} octets that were never sent`);
    const scaled = own.shift >= 0 && peer.shift >= 0;
    const shift = scaled ? Math.min(own.shift, 14) : 0;
    const edge = (ack + view.getUint16(tcp + Tcp.Window) * 2 ** shift) | 0;
    // What its SYN has offered begins where the peer's text does
    if (!own.hasEdge) own.edge = (peer.isn + 1 + own.synWindow) | 0;
    own.hasEdge = true;
    const moved = (edge - own.edge) | 0;
    // RFC 9293 §3.8.6 [SHLD-14]; RFC 7323 §2.4: by less than what the scale can say it may look so
    const isClosed = closedForMemory > 0 && view.getUint16(tcp + Tcp.Window) === 0;
    if (moved <= -(2 ** shift) && !isClosed) fail(`takes back ${-moved} octets of its window`);
    if (moved > 0) own.edge = edge;
    // [MUST-36]: a probe of one octet, or a FIN, may lie beyond
    if (peer.hasEdge && payload > 1 && ((end - peer.edge) | 0) > 1)
      fail(`sends ${(end - peer.edge) | 0} octets beyond the window`);
  }

  /** What a stack holds, after every instant. @throws Violation */
  inspect(name: string, stack: Stack): void {
    for (const flow of stack.tcp.table) if (flow instanceof TcpConnection) this.#inspect(name, flow);
  }

  #inspect(name: string, c: TcpConnection): void {
    const fail = (what: string): never => {
      throw new Violation(`${name} ${c.localPort}-${c.remotePort} in state ${c.state}: ${what}`);
    };
    const { cwndBytes } = c.cc;
    if (c.state === TcpState.Closed) fail('is closed and still in the table');
    if (c.state < TcpState.Established) return;
    if (!(cwndBytes > 0)) fail(`cwnd is ${cwndBytes}`);
    if (!(c.cc.ssthreshBytes > 0)) fail(`ssthresh is ${c.cc.ssthreshBytes}`);
    const outstanding = (c.sndNxt - c.sndUna) | 0;
    if (outstanding < 0) fail(`SND.NXT lies ${-outstanding} before SND.UNA`);
    const unsent = (c.queuedTo() + (c.finQueued ? 1 : 0) - c.sndNxt) | 0;
    if (unsent < 0) fail(`SND.NXT lies ${-unsent} behind what was written`);
    if (!(c.inFlightBytes() >= 0)) fail(`${c.inFlightBytes()} octets are in flight`);
    const { sackedBytes, lostBytes, retransmittedBytes } = c.sent;
    if (!(sackedBytes >= 0 && lostBytes >= 0 && retransmittedBytes >= 0))
      fail(`sacked ${sackedBytes}, lost ${lostBytes}, retransmitted ${retransmittedBytes}`);
    if (sackedBytes + lostBytes > outstanding)
      fail(`sacked ${sackedBytes} and lost ${lostBytes} of ${outstanding} outstanding octets`);
    if (((c.rcvAdv - c.rcvNxt) | 0) < 0) fail('RCV.NXT lies behind the window');
    const edge = this.#edges.get(c);
    if (edge !== undefined && ((c.rcvAdv - edge) | 0) < 0)
      fail(`takes back ${(edge - c.rcvAdv) | 0} of its window`);
    this.#edges.set(c, c.rcvAdv);
    const { rtoMs, srttMs } = c.rtt;
    if (!(rtoMs > 0 && rtoMs < Infinity)) fail(`RTO is ${rtoMs}`);
    if (Number.isNaN(srttMs)) fail(`SRTT is ${srttMs}`);
    for (const ring of [c.sendRing, c.recvRing])
      if (ring !== null && (ring.usedBytes < 0 || ring.usedBytes > ring.capacityBytes))
        fail(`${ring.usedBytes} octets in a ring of ${ring.capacityBytes}`);
  }
}
