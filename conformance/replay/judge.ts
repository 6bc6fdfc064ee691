import { formatFlags, formatOption, type TcpFields } from '../script/packet.ts';
import type { SentPacket } from './host.ts';
import { optionOf, type Recording, streamOffset } from './recording.ts';
import type { Difference } from './report.ts';
import type { RecordedPacket } from './session.ts';

/** RFC 9293 §3.8.6.3 [MUST-40]: an ACK may be late by less than this. */
const MAX_ACK_DELAY_MS = 500;

/**
 * Judges what our stack sends by its meaning: where segments begin and how many ACKs there are is a stack's own choice. All
 * numbers are offsets in the streams; -1 is the SYN.
 */
export class Judge {
  readonly differences: Difference[] = [];
  /** What our application has read. */
  readonly delivered: number[] = [];
  /** The octets sent so far, as far as they follow each other; one more with the FIN. */
  sentTo = -1;
  finSent = false;
  rstSent = false;
  readonly #recording: Recording;
  /** What of the server's stream has arrived, by octet; the last is its FIN. */
  readonly #arrived: Uint8Array;
  #arrivedTo = -1;
  /** Since when octets wait for an ACK; Infinity: none do. */
  #waitsSince = Infinity;
  #ackedTo = -1;
  /** The octet that the server's window ends before. */
  #windowEdge = 0;
  #finOffset = -1;
  #at = 1;
  /** Both sides have offered timestamps. */
  readonly #hasTimestamps: boolean;
  #synsSent = 0;
  readonly #windowToleranceBytes: number;
  /** The right edge of the window that our stack offers, as an octet of the server's stream. */
  #ownEdge = 0;
  #recordedAck = 0;
  /** What the recorded client has sent so far. */
  #recordedTo = 0;

  /** @param windowTolerance by which part of the largest recorded window ours may be smaller or larger */
  constructor(recording: Recording, windowTolerance: number) {
    this.#recording = recording;
    this.#windowToleranceBytes = windowTolerance * recording.maxWindowBytes;
    const synAck = recording.session.packets.find(
      ({ fromClient, packet }) => !fromClient && packet.tcp?.flags.includes('S'),
    )?.packet.tcp;
    const isAgreed = synAck !== undefined && synAck !== null && optionOf(synAck, 'TS') !== undefined;
    this.#hasTimestamps = isAgreed && optionOf(recording.syn, 'TS') !== undefined;
    this.#arrived = new Uint8Array(recording.serverStream.length + 1);
  }

  /** The packet of the capture that is worked off. */
  set position(packet: number) {
    this.#at = packet;
  }

  differ(field: string, expected: string, got: string, details: readonly string[] = []): void {
    this.differences.push({ packet: this.#at, field, expected, got, details });
  }

  /** A segment of the server, or a part of it, is about to offer a window. */
  opens(tcp: TcpFields): void {
    if (!tcp.flags.includes('.') || tcp.flags.includes('R')) return;
    const { clientIsn, serverShift } = this.#recording;
    const edge =
      ((tcp.ack - clientIsn - 1) | 0) + (tcp.window << (tcp.flags.includes('S') ? 0 : serverShift));
    this.#windowEdge = Math.max(this.#windowEdge, edge);
  }

  /** A packet of the server is about to be given to our stack. */
  arrives(recorded: RecordedPacket): void {
    const tcp = recorded.packet.tcp;
    if (tcp === null || tcp.flags.includes('R')) return;
    const { serverIsn } = this.#recording;
    const isSyn = tcp.flags.includes('S');
    this.opens(tcp);
    const from = streamOffset(tcp, serverIsn);
    for (let i = 0; i < tcp.payload.length; i++) if (from + i >= 0) this.#arrived[from + i] = 1;
    if (tcp.flags.includes('F')) {
      this.#finOffset = from + tcp.payload.length;
      this.#arrived[this.#finOffset] = 1;
    }
    const before = this.#arrivedTo;
    if (this.#arrivedTo < 0 && isSyn) this.#arrivedTo = 0;
    while (this.#arrivedTo >= 0 && this.#arrived[this.#arrivedTo] === 1) this.#arrivedTo++;
    if (this.#arrivedTo > before && this.#waitsSince === Infinity) this.#waitsSince = recorded.timeMs;
  }

  /** What the recorded client sent at this place must be possible for ours, which has got the same. */
  follows(tcp: TcpFields): void {
    const { clientIsn, serverIsn, clientShift } = this.#recording;
    if (/[SR]/.test(tcp.flags) || !tcp.flags.includes('.')) return;
    const from = streamOffset(tcp, clientIsn);
    const ack = (tcp.ack - serverIsn - 1) | 0;
    if (ack > this.#arrivedTo)
      this.differ('ack', `an ACK of octet ${ack}`, `${this.#arrivedTo} octets have arrived`);
    // ours may be behind, for its congestion window is another; but nobody is ahead of what was written
    if (tcp.payload.length === 0 && from > this.#recordedTo)
      this.differ('seq', `octet ${from}`, `at most octet ${this.#recordedTo}`);
    const to = from + tcp.payload.length + (tcp.flags.includes('F') ? 1 : 0);
    this.#recordedTo = Math.max(this.#recordedTo, to);
    const hasTs = optionOf(tcp, 'TS') !== undefined;
    if (hasTs !== this.#hasTimestamps) this.differ('options', hasTs ? 'TS' : 'no TS', hasTs ? 'no TS' : 'TS');
    for (const [left, right] of optionOf(tcp, 'sack')?.blocks ?? []) {
      const at = [(left - serverIsn - 1) | 0, (right - serverIsn - 1) | 0] as const;
      if (at[1] <= ack || this.#hasArrived(...at)) continue;
      this.differ('options', `a SACK block of octets ${at[0]} to ${at[1]}`, 'not all of them have arrived');
    }
    // nothing comes after the server's FIN; and an ACK that others have overtaken tells an old window
    const isDone = this.#finOffset >= 0 && this.#arrivedTo > this.#finOffset;
    if (isDone || this.rstSent || ack < this.#recordedAck) return;
    this.#recordedAck = ack;
    const edge = ack + (tcp.window << clientShift);
    if (Math.abs(this.#ownEdge - edge) > this.#windowToleranceBytes)
      this.differ('window', `one up to octet ${edge}`, `up to ${this.#ownEdge}`);
  }

  #hasArrived(from: number, to: number): boolean {
    return (
      from >= 0 && to <= this.#arrived.length && this.#arrived.subarray(from, to).every((one) => one === 1)
    );
  }

  /** Our stack has sent something. */
  sent(sent: SentPacket): void {
    const { packet, timeMs } = sent;
    const { tcp } = packet;
    this.checkTime(timeMs);
    if (packet.checksumError !== '') this.differ('checksum', 'a right one', packet.checksumError);
    if (tcp === null) return;
    if (tcp.flags.includes('R')) {
      this.rstSent = true;
      if (!this.#recording.ending.rstSent) this.differ('flags', 'no reset', formatFlags(tcp.flags));
      return;
    }
    if (tcp.flags.includes('S')) this.#checkSyn(tcp);
    else this.#checkSegment(tcp);
    if (tcp.flags.includes('.')) this.#checkAck(tcp, timeMs);
  }

  #checkSyn(tcp: TcpFields): void {
    this.sentTo = Math.max(this.sentTo, 0);
    const { syn } = this.#recording;
    // RFC 3168 §6.1.1: what asks for ECN; a repeated SYN no longer does
    const ecn = (flags: string): string => (/E/.test(flags) && /W/.test(flags) ? 'ECN asked for' : 'no ECN');
    if (this.#synsSent++ === 0 && ecn(tcp.flags) !== ecn(syn.flags))
      this.differ('flags', ecn(syn.flags), ecn(tcp.flags));
    // of the options that this stack has; it may be recorded from one that has others
    for (const kind of ['mss', 'wscale', 'sackOK', 'TS'] as const) {
      const wanted = optionOf(syn, kind);
      const got = optionOf(tcp, kind);
      const show = (option: typeof wanted): string =>
        option === undefined ? `no ${kind}` : option.kind === 'TS' ? 'TS' : formatOption(option);
      if (show(wanted) !== show(got)) this.differ('options', show(wanted), show(got));
    }
  }

  #checkSegment(tcp: TcpFields): void {
    const { clientStream, clientIsn } = this.#recording;
    const from = streamOffset(tcp, clientIsn);
    const to = from + tcp.payload.length;
    if (!tcp.flags.includes('.'))
      this.differ('flags', 'an ACK in every segment after the SYN', formatFlags(tcp.flags));
    for (let i = Math.max(0, -from); i < tcp.payload.length; i++) {
      if (clientStream[from + i] === tcp.payload[i]) continue;
      // RFC 9293 §3.8.4 [MAY-6]: the garbage octet of a keep-alive
      if (tcp.payload.length === 1 && to <= this.sentTo) break;
      this.differ('payload', `octet ${from + i} as recorded`, `${tcp.payload[i]}`);
      break;
    }
    // RFC 9293 §3.8.6.1 [MUST-36]: one octet beyond is a probe
    if (to > Math.max(this.#windowEdge, from + 1))
      this.differ(
        'window',
        `nothing beyond the server's window, octet ${this.#windowEdge}`,
        `octets ${from} to ${to}`,
      );
    if (from > this.sentTo) this.differ('seq', `octet ${this.sentTo} or before`, `octet ${from}`);
    const fin = tcp.flags.includes('F');
    if (fin) {
      this.finSent = true;
      if (to !== clientStream.length || !this.#recording.ending.finSent)
        this.differ(
          'flags',
          this.#recording.ending.finSent ? `FIN at octet ${clientStream.length}` : 'no FIN',
          `FIN at octet ${to}`,
        );
    }
    this.sentTo = Math.max(this.sentTo, to + (fin ? 1 : 0));
    const hasTs = optionOf(tcp, 'TS') !== undefined;
    // RFC 7323 §3.2: once agreed on, in every segment
    if (hasTs !== this.#hasTimestamps) this.differ('options', hasTs ? 'no TS' : 'TS', hasTs ? 'TS' : 'no TS');
  }

  #checkAck(tcp: TcpFields, timeMs: number): void {
    const ack = (tcp.ack - this.#recording.serverIsn - 1) | 0;
    if (ack > this.#arrivedTo) this.differ('ack', `at most octet ${this.#arrivedTo}`, `octet ${ack}`);
    if (ack < this.#ackedTo) this.differ('ack', `at least octet ${this.#ackedTo}`, `octet ${ack}`);
    this.#ackedTo = Math.max(this.#ackedTo, ack);
    const shift = tcp.flags.includes('S') ? 0 : this.#recording.clientShift;
    this.#ownEdge = Math.max(this.#ownEdge, ack + (tcp.window << shift));
    if (ack >= this.#arrivedTo) this.#waitsSince = Infinity;
    else this.#waitsSince = Math.min(this.#waitsSince, timeMs);
  }

  /** Called as time goes on: an ACK must not be late. */
  checkTime(nowMs: number): void {
    if (nowMs - this.#waitsSince < MAX_ACK_DELAY_MS || this.rstSent) return;
    this.differ(
      'ack',
      `an ACK of octet ${this.#arrivedTo} within ${MAX_ACK_DELAY_MS} ms`,
      `none after ${Math.round(nowMs - this.#waitsSince)} ms`,
    );
    this.#waitsSince = Infinity;
  }

  /** A reset has arrived: nothing is to be acknowledged any more. */
  isReset(): void {
    this.#waitsSince = Infinity;
  }

  /** The whole session has been replayed. */
  end(): void {
    const { clientStream, serverStream, ending, acknowledged } = this.#recording;
    if (ending.finSent !== this.finSent) this.differ('end', ending.finSent ? 'a FIN' : 'no FIN', 'the other');
    if (ending.rstSent && !this.rstSent) this.differ('end', 'a reset', 'none');
    const wrong = this.delivered.findIndex((octet, i) => octet !== serverStream[i]);
    if (wrong >= 0) this.differ('delivered', `octet ${wrong} as recorded`, String(this.delivered[wrong]));
    if (!ending.rstSent && this.delivered.length < acknowledged)
      this.differ('delivered', `${acknowledged} octets`, String(this.delivered.length));
    if (!ending.rstSent && this.sentTo < clientStream.length && this.sentTo >= 0)
      this.differ('sent', `${clientStream.length} octets`, String(this.sentTo));
  }
}
