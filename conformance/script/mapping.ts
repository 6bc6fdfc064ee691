import type { IpAddress } from '../../stack/wire/ip-address.ts';
import type { TcpFields } from './packet.ts';
import type { OptionSpec, TcpSpec } from './syntax.ts';

/** How far the handshake has come, as the script sees it. */
export type MapStage = 'listening' | 'connecting' | 'syn-sent' | 'syn-received' | 'synack-sent' | 'done';

/**
 * Translates between the numbers of a script and those on the wire: addresses, ports, sequence numbers, timestamps. In
 * segments with SYN, a script's sequence numbers are absolute, in all others they count from the initial one.
 */
export class ConnectionMap {
  readonly local: IpAddress;
  readonly remote: IpAddress;
  readonly localPort: number;
  readonly remotePort: number;
  stage: MapStage;
  /** What is added to all sequence numbers of the peer, so that scripts run across the wrap of the numbers. */
  readonly #remoteShift: number;
  /** The initial sequence numbers as the script has them, and ours as it is. */
  #scriptRemoteIsn = 0;
  #scriptLocalIsn = 0;
  #localIsn = 0;
  /** Script TS val → live TS val of what was sent. */
  readonly #timestamps: Map<number, number> = new Map();
  #firstScriptTs = -1;
  #firstLiveTs = 0;

  constructor(
    ends: { local: IpAddress; remote: IpAddress; localPort: number; remotePort: number },
    stage: MapStage,
    remoteShift: number,
  ) {
    this.local = ends.local;
    this.remote = ends.remote;
    this.localPort = ends.localPort;
    this.remotePort = ends.remotePort;
    this.stage = stage;
    this.#remoteShift = remoteShift;
  }

  /** An inbound segment of the script, with what it says about the handshake. @returns it in live numbers */
  inbound(spec: TcpSpec): Pick<TcpFields, 'seq' | 'ack' | 'options'> {
    const syn = spec.flags.includes('S');
    const seq = spec.seq ?? 0;
    if (syn && this.stage !== 'synack-sent' && this.stage !== 'done') this.#scriptRemoteIsn = seq;
    const hasAck = spec.flags.includes('.');
    if (hasAck && this.stage === 'synack-sent') this.stage = 'done';
    if (syn && hasAck && this.stage === 'syn-sent') this.stage = 'done';
    const ackShift = syn ? this.#localIsn - this.#scriptLocalIsn : this.#localIsn;
    return {
      seq: spec.seqIsAbsolute ? seq : (seq + this.#remoteShift + (syn ? 0 : this.#scriptRemoteIsn)) >>> 0,
      ack: spec.ack === null ? 0 : (spec.ack + ackShift) >>> 0,
      options: (spec.options ?? []).map((option) => this.#inboundOption(option, ackShift, hasAck)),
    };
  }

  #inboundOption(option: OptionSpec, ackShift: number, hasAck: boolean): OptionSpec {
    if (option.kind === 'sack') {
      return {
        kind: 'sack',
        blocks: option.blocks.map(([l, r]) => [(l + ackShift) >>> 0, (r + ackShift) >>> 0]),
      };
    }
    if (option.kind !== 'TS' || !hasAck) return option;
    const known = this.#timestamps.get(option.ecr);
    if (known !== undefined) return { ...option, ecr: known };
    if (this.#firstScriptTs < 0) return option;
    return { ...option, ecr: (option.ecr - this.#firstScriptTs + this.#firstLiveTs) >>> 0 };
  }

  /** The script expects `spec`, and `live` was sent: notes our initial sequence number and timestamps. */
  learn(spec: TcpSpec, live: TcpFields): void {
    const syn = spec.flags.includes('S') && live.flags.includes('S');
    if (syn && this.stage === 'connecting' && !spec.flags.includes('.')) {
      this.#learnIsn(spec, live);
      this.stage = 'syn-sent';
    } else if (syn && this.stage === 'syn-received' && spec.flags.includes('.')) {
      this.#learnIsn(spec, live);
      this.stage = 'synack-sent';
    }
    const expected = spec.options?.find((option) => option.kind === 'TS');
    const got = live.options.find((option) => option.kind === 'TS');
    if (expected?.kind !== 'TS' || got?.kind !== 'TS') return;
    this.#timestamps.set(expected.val, got.val);
    if (this.#firstScriptTs >= 0) return;
    this.#firstScriptTs = expected.val;
    this.#firstLiveTs = got.val;
  }

  #learnIsn(spec: TcpSpec, live: TcpFields): void {
    this.#scriptLocalIsn = spec.seq ?? 0;
    this.#localIsn = live.seq;
  }

  /** A segment that was sent, in the numbers of the script. */
  outbound(live: TcpFields): Pick<TcpFields, 'seq' | 'ack' | 'options'> {
    const syn = live.flags.includes('S');
    const ackShift = -this.#remoteShift - (syn ? 0 : this.#scriptRemoteIsn);
    return {
      seq: (live.seq - this.#localIsn + (syn ? this.#scriptLocalIsn : 0)) >>> 0,
      ack: live.flags.includes('.') ? (live.ack + ackShift) >>> 0 : live.ack,
      options: live.options.map((option) => this.#outboundOption(option, ackShift)),
    };
  }

  #outboundOption(option: OptionSpec, ackShift: number): OptionSpec {
    if (option.kind === 'sack') {
      return {
        kind: 'sack',
        blocks: option.blocks.map(([l, r]) => [(l + ackShift) >>> 0, (r + ackShift) >>> 0]),
      };
    }
    if (option.kind !== 'TS' || this.#firstScriptTs < 0) return option;
    return { ...option, val: (option.val - this.#firstLiveTs + this.#firstScriptTs) >>> 0 };
  }

  /** The sequence number that an ICMP error quotes. */
  quotedSeq(scriptSeq: number): number {
    return (scriptSeq + this.#localIsn) >>> 0;
  }
}
