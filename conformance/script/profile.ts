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
  /** Linux doubles what SO_RCVBUF and SO_SNDBUF ask for. */
  readonly doublesBuffers: boolean;
  /** Defined for `#ifdef`. */
  readonly symbols: readonly string[];
}

/** The stack as it is. */
const DEFAULT: ScriptProfile = {
  name: 'default',
  receiveBufferBytes: 1 << 18,
  sendBufferBytes: 1 << 18,
  // Scripts are to see the rule and not its exception
  settings: { quickAcks: 0 },
  exactSynOptions: true,
  roundReceiveBuffer: false,
  doublesBuffers: false,
  looseEnd: false,
  repeatsFin: false,
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
    quickAcks: 0,
  },
  exactSynOptions: false,
  roundReceiveBuffer: true,
  doublesBuffers: false,
  looseEnd: true,
  repeatsFin: true,
  symbols: [],
};

/** The packetdrill repository's own scripts: common/defaults.sh. */
const LINUX: ScriptProfile = {
  name: 'linux',
  receiveBufferBytes: 1 << 19,
  sendBufferBytes: 1 << 18,
  settings: { windowShift: 8, passiveWindowBytes: 65_535 },
  exactSynOptions: true,
  roundReceiveBuffer: false,
  doublesBuffers: true,
  looseEnd: true,
  repeatsFin: false,
  symbols: [],
};

/** All profiles by name. */
export const PROFILES: ReadonlyMap<string, ScriptProfile> = new Map([
  [DEFAULT.name, DEFAULT],
  [FREEBSD.name, FREEBSD],
  [LINUX.name, LINUX],
] as [string, ScriptProfile][]);
