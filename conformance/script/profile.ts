/** What a collection of scripts assumes of the system it was written for. */
export interface ScriptProfile {
  readonly name: 'default' | 'freebsd' | 'linux';
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  /** Window scale offered; -1: the stack's own. */
  readonly windowShift: number;
  /** Order and padding of the options in SYN segments. */
  readonly synOptions: 'linux' | 'freebsd';
  /** FreeBSD makes the receive buffer a multiple of the MSS when the connection is established. */
  readonly roundReceiveBuffer: boolean;
  /** Defined for `#ifdef`. */
  readonly symbols: readonly string[];
}

/** The stack as it is. */
const DEFAULT: ScriptProfile = {
  name: 'default',
  receiveBufferBytes: 1 << 18,
  sendBufferBytes: 1 << 18,
  windowShift: -1,
  synOptions: 'linux',
  roundReceiveBuffer: false,
  symbols: [],
};

/** freebsd-net/tcp-testsuite: net.inet.tcp.recvspace, sendspace; kern.ipc.maxsockbuf makes the window scale. */
const FREEBSD: ScriptProfile = {
  name: 'freebsd',
  receiveBufferBytes: 65_536,
  sendBufferBytes: 32_768,
  windowShift: 6,
  synOptions: 'freebsd',
  roundReceiveBuffer: true,
  symbols: [],
};

/** The packetdrill repository's own scripts: common/defaults.sh. */
const LINUX: ScriptProfile = {
  name: 'linux',
  receiveBufferBytes: 1 << 19,
  sendBufferBytes: 1 << 18,
  windowShift: 8,
  synOptions: 'linux',
  roundReceiveBuffer: false,
  symbols: [],
};

/** All profiles by name. */
export const PROFILES: ReadonlyMap<string, ScriptProfile> = new Map([
  [DEFAULT.name, DEFAULT],
  [FREEBSD.name, FREEBSD],
  [LINUX.name, LINUX],
] as [string, ScriptProfile][]);
