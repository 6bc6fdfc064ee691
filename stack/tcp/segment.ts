import { Slab } from '../wire/slab.ts';
import {
  parseTcpOptions,
  TCP_FLAG_BITS,
  TCP_HEADER_BYTES,
  Tcp,
  TcpFlag,
  TcpOptions,
  TIMESTAMP_OPTION_BYTES,
  TIMESTAMP_PREFIX,
} from '../wire/tcp.ts';

/** A received segment with the names of RFC 9293 §3.3.1. One per layer, filled anew; valid during one call only. */
export class Segment {
  slab: Slab = new Slab(new Uint8Array(0));
  sourcePort = 0;
  destinationPort = 0;
  /** SEG.SEQ */
  seq = 0;
  /** SEG.ACK */
  ack = 0;
  flags = 0;
  /** SEG.WND before scaling; unsigned [MUST-1]. */
  windowField = 0;
  /** It had a SYN, which was taken off: the window field has no scale (RFC 7323 §2.2). */
  unscaled = false;
  /** SEG.UP */
  urgentPointer = 0;
  /** The ECN field of the IP header; set by the layer. */
  ecn = 0;
  payloadOff = 0;
  payloadLen = 0;
  readonly options: TcpOptions = new TcpOptions();
  /** False: an option had an illegal length. */
  optionsLegal = true;

  /** Reads the header at `off`. @returns false when the data offset is impossible */
  read(slab: Slab, off: number, len: number): boolean {
    const view = slab.view;
    const bits = view.getUint16(off + Tcp.DataOffset);
    const headerBytes = (bits >> 12) << 2;
    if (headerBytes < TCP_HEADER_BYTES || headerBytes > len) return false;
    this.slab = slab;
    this.sourcePort = view.getUint16(off + Tcp.SourcePort);
    this.destinationPort = view.getUint16(off + Tcp.DestinationPort);
    this.seq = view.getInt32(off + Tcp.Sequence);
    this.ack = view.getInt32(off + Tcp.Acknowledgment);
    this.flags = bits & TCP_FLAG_BITS;
    this.windowField = view.getUint16(off + Tcp.Window);
    this.unscaled = false;
    this.urgentPointer = view.getUint16(off + Tcp.Urgent);
    this.payloadOff = off + headerBytes;
    this.payloadLen = len - headerBytes;
    this.#readOptions(slab, off + TCP_HEADER_BYTES, headerBytes - TCP_HEADER_BYTES);
    return true;
  }

  #readOptions(slab: Slab, off: number, length: number): void {
    const options = this.options;
    this.optionsLegal = true;
    if (length === TIMESTAMP_OPTION_BYTES && slab.view.getInt32(off) === TIMESTAMP_PREFIX) {
      options.reset();
      options.hasTimestamps = true;
      options.tsVal = slab.view.getInt32(off + 4);
      options.tsEcr = slab.view.getInt32(off + 8);
    } else if (length === 0) {
      options.reset();
    } else {
      this.optionsLegal = parseTcpOptions(slab, off, length, options);
    }
  }

  /** SEG.LEN: payload, SYN and FIN. */
  get lengthSeq(): number {
    const flags = this.flags;
    return this.payloadLen + (flags & TcpFlag.Syn ? 1 : 0) + (flags & TcpFlag.Fin ? 1 : 0);
  }
}
