/** A script as read: what the parser makes and the runner works off. Times are microseconds, as in packetdrill. */
export interface Script {
  readonly options: ReadonlyMap<string, string>;
  /** Run before the first event. */
  readonly init: CommandSpec | null;
  readonly events: readonly ScriptEvent[];
}

/** When an event happens; `from` and `to` differ for ranges only. */
export interface EventTime {
  readonly kind: 'absolute' | 'relative' | 'any' | 'absolute-range' | 'relative-range';
  readonly fromUs: number;
  readonly toUs: number;
}

/** One line of a script. */
export interface ScriptEvent {
  readonly line: number;
  readonly time: EventTime;
  readonly action: PacketSpec | CallSpec | CommandSpec | CodeSpec;
}

/** Which ECN codepoint a packet carries, or may carry (`ect01`: either of the two). */
export type EcnSpec = 'noecn' | 'ect0' | 'ect1' | 'ect01' | 'ce';

/** What a packet says of its IP header; null: nothing. */
export interface IpSpec {
  readonly ecn: EcnSpec | null;
  /** The whole octet. */
  readonly trafficClass: number | null;
  readonly ttl: number | null;
  readonly flowLabel: number | null;
}

/** One TCP option as scripts write it. */
export type OptionSpec =
  | { readonly kind: 'nop' | 'eol' | 'sackOK' }
  | { readonly kind: 'mss' | 'wscale'; readonly value: number }
  | { readonly kind: 'TS'; readonly val: number; readonly ecr: number }
  | { readonly kind: 'sack'; readonly blocks: readonly (readonly [number, number])[] }
  /** `hex`: the bytes after kind, length and magic. */
  | { readonly kind: 'FO' | 'FOEXP' | 'md5'; readonly hex: string }
  /** AccECN (RFC 9768): counters in the order of the option. */
  | { readonly kind: 'ECN'; readonly counters: readonly (readonly [EcnCounter, number])[] }
  | { readonly kind: 'unknown'; readonly number: number; readonly hex: string };

/** Bytes that came in with ECT(0), CE, ECT(1). */
export type EcnCounter = 'e0b' | 'ceb' | 'e1b';

/** A TCP segment. */
export interface TcpSpec {
  readonly kind: 'tcp';
  readonly inbound: boolean;
  readonly ip: IpSpec;
  readonly ports: readonly [number, number] | null;
  /** Of `FSRPEWUA` and `.`; sorted as written. */
  readonly flags: string;
  /** The AccECN counter in place of the flags A, W and E; -1: not given. */
  readonly ace: number;
  /** Null: any. */
  readonly seq: number | null;
  /** `!`: the number stands for itself and is not mapped. */
  readonly seqIsAbsolute: boolean;
  readonly payloadBytes: number;
  /** Null: not stated, which counts as 0 as far as the ACK bit is set. */
  readonly ack: number | null;
  readonly window: number | null;
  readonly urgent: number;
  /** Null: `<...>`, any. */
  readonly options: readonly OptionSpec[] | null;
}

/** A UDP datagram. */
export interface UdpSpec {
  readonly kind: 'udp';
  readonly inbound: boolean;
  readonly ip: IpSpec;
  readonly ports: readonly [number, number] | null;
  readonly payloadBytes: number;
}

/** An ICMP message; the names are packetdrill's. */
export interface IcmpSpec {
  readonly kind: 'icmp';
  readonly inbound: boolean;
  readonly ip: IpSpec;
  readonly type: string;
  readonly code: string;
  readonly mtuBytes: number;
  readonly id: number;
  /** What the message quotes: a TCP sequence number, or a UDP payload of this length; null: nothing stated. */
  readonly quoted:
    | { readonly protocol: 'tcp'; readonly seq: number; readonly payloadBytes: number }
    | { readonly protocol: 'udp' | 'raw'; readonly payloadBytes: number }
    | null;
}

/** A packet that the runner does not understand; its script is skipped. */
export interface UnsupportedPacket {
  readonly kind: 'unsupported';
  readonly inbound: boolean;
  readonly reason: string;
}

export type PacketSpec = TcpSpec | UdpSpec | IcmpSpec | UnsupportedPacket;

/** An argument or a result of a system call. */
export type Expression =
  | { readonly kind: 'ellipsis' }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'word'; readonly name: string }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'list'; readonly items: readonly Expression[] }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] }
  | {
      readonly kind: 'struct';
      readonly fields: readonly { readonly name: string; readonly value: Expression }[];
    };

/** A system call with what it returns. */
export interface CallSpec {
  readonly kind: 'call';
  readonly name: string;
  readonly args: readonly Expression[];
  readonly result: Expression;
  /** '' unless it fails. */
  readonly errno: string;
  /** Of a call that blocks: when it returns, on the scale of the event's time; null: at once. */
  readonly endUs: number | null;
}

/** A back-quoted shell command. */
export interface CommandSpec {
  readonly kind: 'command';
  readonly text: string;
  readonly line: number;
}

/** `%{ … }%` */
export interface CodeSpec {
  readonly kind: 'code';
  readonly text: string;
}

/** The script is not written in the language. */
export class ScriptSyntaxError extends Error {
  override readonly name = 'ScriptSyntaxError';
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

/** The script asks for something that does not apply here: it is skipped, and neither passes nor fails. */
export class ScriptUnsupported extends Error {
  override readonly name = 'ScriptUnsupported';
}

/** What the script expects did not happen. */
export class ScriptFailure extends Error {
  override readonly name = 'ScriptFailure';
  readonly line: number;
  /** Further lines: what was expected and what came. */
  readonly details: readonly string[];

  constructor(line: number, message: string, details: readonly string[] = []) {
    super(message);
    this.line = line;
    this.details = details;
  }
}
