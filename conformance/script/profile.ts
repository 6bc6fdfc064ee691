import type { TcpSettings } from '../../stack/tcp/tcp-settings.ts';

/** What a collection of scripts assumes of the system it was written for. */
export interface ScriptProfile {
  readonly name: 'default' | 'freebsd' | 'linux';
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  /** What differs from the stack's own settings. */
  readonly settings: Partial<TcpSettings>;
  /** False: the options of SYN segments are compared as a set, for their order and padding are the system's choice. */
  readonly exactSynOptions: boolean;
  /** FreeBSD makes the receive buffer a multiple of the MSS when the connection is established. */
  readonly roundReceiveBuffer: boolean;
  /** True: what is sent in answer to the last packets of a script is not judged, for packetdrill does not look at it. */
  readonly looseEnd: boolean;
  /**
   * BSD sets FIN in every segment until its FIN is acknowledged; RFC 9293 §3.10.7.4 has an ACK at SND.NXT. True: where the script
   * has the first, the second will do.
   */
  readonly repeatsFin: boolean;
  /** Linux sets PSH in every super-segment. True: segments that the script has as one of several need not carry it. */
  readonly pushesSuperSegments: boolean;
  /** Files whose names end in `v6.pkt` are for IPv6, if they say nothing else (run_all.py of packetdrill). */
  readonly familyByName: boolean;
  /** Linux doubles what SO_RCVBUF and SO_SNDBUF ask for. */
  readonly doublesBuffers: boolean;
  /** Fast Open before any sysctl. */
  readonly fastOpen: { readonly client: boolean; readonly server: boolean; readonly allListeners: boolean };
  /** The words of the server's key (Linux's tcp_fastopen_key); null: a random one. */
  readonly fastOpenKey: readonly [number, number, number, number] | null;
  /** Keep-alive of new sockets, before any sysctl: seconds, seconds, probes. */
  readonly keepAlive: { readonly idle: number; readonly interval: number; readonly count: number };
  /** BSD's implied connect: data of a first sendto() waits in the socket, whatever becomes of Fast Open. */
  readonly sendToQueues: boolean;
  /** Defined for `#ifdef`; `NAME=VALUE` replaces a word. */
  readonly symbols: readonly string[];
}

const NO_FAST_OPEN = { client: false, server: false, allListeners: false };

/** The stack as it is. */
const DEFAULT: ScriptProfile = {
  name: 'default',
  receiveBufferBytes: 1 << 18,
  sendBufferBytes: 1 << 18,
  // Scripts are to see the rule and not its exception
  settings: { quickAcks: 0 },
  exactSynOptions: true,
  roundReceiveBuffer: false,
  familyByName: false,
  doublesBuffers: false,
  pushesSuperSegments: false,
  looseEnd: false,
  repeatsFin: false,
  fastOpen: { client: true, server: true, allListeners: false },
  fastOpenKey: null,
  keepAlive: { idle: 7200, interval: 75, count: 9 },
  sendToQueues: false,
  symbols: [],
};

/** freebsd-net/tcp-testsuite: net.inet.tcp.recvspace, sendspace; kern.ipc.maxsockbuf makes the window scale. */
const FREEBSD: ScriptProfile = {
  name: 'freebsd',
  receiveBufferBytes: 65_536,
  sendBufferBytes: 32_768,
  settings: {
    windowShift: 6,
    passiveWindowBytes: 65_535,
    ackSegments: 2,
    windowFollowsBuffer: true,
    reuseTimeWait: false,
    synRetries: 10,
    blackHoleDetection: false,
    maxRtoMs: 64_000,
    quickAcks: 0,
  },
  exactSynOptions: false,
  roundReceiveBuffer: true,
  familyByName: false,
  doublesBuffers: false,
  pushesSuperSegments: false,
  looseEnd: true,
  repeatsFin: true,
  fastOpen: NO_FAST_OPEN,
  fastOpenKey: null,
  keepAlive: { idle: 7200, interval: 75, count: 8 },
  sendToQueues: true,
  symbols: [],
};

/** The packetdrill repository's own scripts: common/defaults.sh. */
const LINUX: ScriptProfile = {
  name: 'linux',
  receiveBufferBytes: 1 << 19,
  sendBufferBytes: 1 << 18,
  settings: {
    windowShift: 8,
    passiveWindowBytes: 65_535,
    nagle: 'short',
    windowValidation: 'decay',
    advertisePathMtu: true,
    synRetries: 5,
    blackHoleDetection: false,
    ecn: 'off',
    tolerateMissingTimestamps: true,
  },
  exactSynOptions: true,
  roundReceiveBuffer: false,
  familyByName: true,
  doublesBuffers: true,
  pushesSuperSegments: true,
  looseEnd: true,
  repeatsFin: false,
  fastOpen: { client: true, server: true, allListeners: true },
  fastOpenKey: [0xa1a1a1a1 | 0, 0xb2b2b2b2 | 0, 0xc3c3c3c3 | 0, 0xd4d4d4d4 | 0],
  keepAlive: { idle: 7200, interval: 75, count: 9 },
  sendToQueues: false,
  // run_all.py: the cookie of that key for packetdrill's addresses, and an ICMP code
  symbols: ['TFO_COOKIE=3021b9d889017eeb', 'CODE=host_unreachable'],
};

/** All profiles by name. */
export const PROFILES: ReadonlyMap<string, ScriptProfile> = new Map([
  [DEFAULT.name, DEFAULT],
  [FREEBSD.name, FREEBSD],
  [LINUX.name, LINUX],
] as [string, ScriptProfile][]);
