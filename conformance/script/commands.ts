import { TcpConnection } from '../../stack/tcp/connection.ts';
import { TimeWait } from '../../stack/tcp/time-wait.ts';
import type { ScriptHost } from './host.ts';
import type { ScriptSocket } from './sockets.ts';
import { ScriptUnsupported } from './syntax.ts';

/** What commands act on. */
export interface CommandContext {
  readonly host: ScriptHost;
  /** The sockets the script has open. */
  readonly sockets: () => Iterable<ScriptSocket>;
}

/** Settings of which the stack has one kind only; the others are told apart in {@link setVariable}. */
type Setter = (host: ScriptHost, value: string) => void;

/** Set up only, or of no consequence here: buffers of the system, caches, offload, logging. */
const IGNORED =
  /^(net\.inet\.tcp\.(hostcache\.purgenow|delacktime|keepinit|rexmit_slop|path_mtu_discovery|tolerate_missing_ts|mssdflt|v6mssdflt)|net\.ipv4\.tcp_(tso_win_divisor|min_tso_segs|fack|frto|dsack|reordering|recovery|pacing_ss_ratio|pacing_ca_ratio|notsent_lowat|no_metrics_save|slow_start_after_idle|min_rtt_wlen|limit_output_bytes|autocorking|congestion_control|fastopen_blackhole_timeout_sec|wmem|rmem|syn_linear_timeouts)|net\.core\.\w+)$/;

/** Variables that must have one value; any other is a behaviour that the stack does not offer. */
const FIXED: Readonly<Record<string, { readonly value: string; readonly reason: string }>> = {
  'net.inet.tcp.insecure_rst': { value: '0', reason: 'resets as before RFC 5961' },
  'net.inet.tcp.insecure_syn': { value: '0', reason: 'SYN handling as before RFC 5961' },
  'net.inet.tcp.blackhole': { value: '0', reason: 'no resets from closed ports' },
  'net.inet.tcp.rexmit_drop_options': { value: '0', reason: 'SYN retransmissions without options' },
  'net.inet.tcp.icmp_may_rst': { value: '1', reason: 'ICMP errors never end an attempt' },
  'net.inet.tcp.rexmit_initial': { value: '1000', reason: 'another initial retransmission timeout' },
  'net.ipv4.tcp_mtu_probing': { value: '0', reason: 'MTU probing' },
};

const SETTERS: Readonly<Record<string, Setter>> = {
  // 0: neither, 1: both, 2: window scale, 3: timestamps
  'net.inet.tcp.rfc1323': (host, value) => {
    host.stack.tcp.settings.windowScale = value === '1' || value === '2';
    host.stack.tcp.settings.timestamps = value === '1' || value === '3';
  },
  'net.inet.tcp.sack.enable': (host, value) => {
    host.stack.tcp.settings.selectiveAcks = value !== '0';
  },
  'net.inet.tcp.recvspace': (host, value) => {
    host.defaults.receiveBufferBytes = Number(value);
  },
  'net.inet.tcp.sendspace': (host, value) => {
    host.defaults.sendBufferBytes = Number(value);
  },
  // The scale is the smallest that lets a window cover the largest buffer
  'kern.ipc.maxsockbuf': (host, value) => {
    let shift = 0;
    while (shift < 14 && 65_535 * 2 ** shift < Number(value)) shift++;
    host.stack.tcp.settings.windowShift = shift;
  },
  'net.inet.tcp.ecn.enable': (host, value) => setEcn(host, value, BSD_ECN),
  'net.inet.tcp.ecn.maxretries': (host, value) => {
    host.stack.tcp.settings.ecnRetries = Number(value);
  },
  'net.ipv4.tcp_ecn': (host, value) => setEcn(host, value, LINUX_ECN),
  'net.ipv4.tcp_ecn_option': (host, value) => {
    host.stack.tcp.settings.accurateEcnOption = value === '0' ? 'off' : value === '1' ? 'needed' : 'always';
  },
  // 3: tail loss probes; the early retransmit that other values meant is gone from Linux, too
  'net.ipv4.tcp_early_retrans': (host, value) => {
    host.stack.tcp.settings.tailLossProbe = value === '3' || value === '4';
  },
  'net.inet.tcp.drop_synfin': (host, value) => {
    host.stack.tcp.settings.dropSynFin = value !== '0';
  },
  'net.inet.tcp.fastopen.client_enable': (host, value) => {
    host.fastOpen.client = value !== '0';
    if (value === '0') host.stack.tcp.fastOpenCache.clear();
  },
  // Bits: 1 client, 2 server, 4 client without cookie, 0x200 server without cookie, 0x400 every listener
  'net.ipv4.tcp_fastopen': (host, value) => {
    const bits = Number(value);
    host.fastOpen.client = (bits & 1) !== 0;
    host.fastOpen.server = (bits & 2) !== 0;
    host.fastOpen.allListeners = (bits & 0x400) !== 0;
    host.stack.tcp.settings.fastOpenWithoutCookie = (bits & 4) !== 0;
    host.stack.tcp.settings.fastOpenServerWithoutCookie = (bits & 0x200) !== 0;
  },
  'net.inet.tcp.keepidle': (host, value) => {
    host.keepAlive.idle = Number(value) / 1000;
  },
  'net.inet.tcp.keepintvl': (host, value) => {
    host.keepAlive.interval = Number(value) / 1000;
  },
  'net.inet.tcp.keepcnt': (host, value) => {
    host.keepAlive.count = Number(value);
  },
  'net.ipv4.tcp_syn_retries': (host, value) => {
    host.stack.tcp.settings.synRetries = Number(value);
  },
  'net.ipv4.tcp_synack_retries': (host, value) => {
    host.stack.tcp.settings.synAckRetries = Number(value);
  },
  'net.inet.tcp.pmtud_blackhole_detection': (host, value) => {
    host.stack.tcp.settings.blackHoleDetection = value !== '0';
  },
  'net.inet.tcp.syncookies': (host, value) => {
    host.stack.tcp.settings.synCookies = value === '0' ? 'never' : 'overflow';
  },
  'net.inet.tcp.syncookies_only': (host, value) => {
    if (value !== '0') host.stack.tcp.settings.synCookies = 'always';
  },
  'net.ipv4.tcp_syncookies': (host, value) => {
    host.stack.tcp.settings.synCookies = value === '0' ? 'never' : value === '2' ? 'always' : 'overflow';
  },
  'net.ipv4.tcp_fastopen_cookies': (host) => host.stack.tcp.fastOpenCache.clear(),
  'net.ipv4.tcp_fastopen_key': (host, value) => {
    const [first] = value.split(',');
    const words = (first ?? '').split('-').map((word) => Number.parseInt(word, 16) | 0);
    host.stack.tcp.fastOpenCookies.setKey(words as [number, number, number, number]);
  },
  // A choice of this stack's own
  'tunwire.tcp.window_validation': (host, value) => {
    if (value !== 'restart' && value !== 'decay' && value !== 'preserve')
      throw new ScriptUnsupported(`window validation ${value}`);
    host.stack.tcp.settings.windowValidation = value;
  },
  'net.ipv4.tcp_timestamps': (host, value) => {
    host.stack.tcp.settings.timestamps = value !== '0';
  },
  'net.ipv4.tcp_window_scaling': (host, value) => {
    host.stack.tcp.settings.windowScale = value !== '0';
  },
  'net.ipv4.tcp_sack': (host, value) => {
    host.stack.tcp.settings.selectiveAcks = value !== '0';
  },
};

type EcnMode = 'off' | 'passive' | 'active';
/** By value: what is done with ECN (RFC 3168), and with AccECN (RFC 9768). Linux, ip-sysctl.rst. */
const LINUX_ECN: readonly (readonly [EcnMode, EcnMode])[] = [
  ['off', 'off'],
  ['active', 'off'],
  ['passive', 'off'],
  ['active', 'active'],
  ['active', 'passive'],
  ['passive', 'passive'],
];
/** FreeBSD, tcp(4); its AccECN has no option. */
const BSD_ECN: readonly (readonly [EcnMode, EcnMode])[] = [
  ['off', 'off'],
  ['active', 'off'],
  ['passive', 'off'],
  ['active', 'active'],
  ['passive', 'passive'],
];

function setEcn(host: ScriptHost, value: string, modes: typeof LINUX_ECN): void {
  const mode = modes[Number(value)];
  if (mode === undefined) throw new ScriptUnsupported(`ECN mode ${value}`);
  const { settings } = host.stack.tcp;
  [settings.ecn, settings.accurateEcn] = mode;
  if (modes === BSD_ECN) settings.accurateEcnOption = 'off';
}

/** Names of states as sockstat shows them, by ours. */
const SOCKSTAT_STATES: Readonly<Record<string, string>> = {
  CLOSED: 'CLOSED',
  SYN_SENT: 'SYN-SENT',
  SYN_RCVD: 'SYN-RECEIVED',
  ESTABLISHED: 'ESTABLISHED',
  CLOSE_WAIT: 'CLOSE-WAIT',
  FIN_WAIT_1: 'FIN-WAIT-1',
  FIN_WAIT_2: 'FIN-WAIT-2',
  CLOSING: 'CLOSING',
  LAST_ACK: 'LAST-ACK',
  TIME_WAIT: 'TIME-WAIT',
};

/**
 * Does what a back-quoted command of a script asks for, as far as it concerns the stack. No command is ever executed.
 * @returns '' or why the command would have failed
 * @throws ScriptUnsupported for a command that is not known
 */
export function runCommand(text: string, context: CommandContext): string {
  for (const part of text.replace(/\\\n/g, ' ').split(/\n|;|&&/)) {
    const command = part.trim();
    if (command === '' || command.startsWith('#')) continue;
    const failure = runOne(command, context);
    if (failure !== '') return failure;
  }
  return '';
}

function runOne(command: string, context: CommandContext): string {
  const name = command.split(/\s+/)[0] ?? '';
  if (name.endsWith('/defaults.sh') || name.includes('sysctl_restore')) return '';
  if (name === 'sysctl' || name.endsWith('set_sysctls.py')) {
    setVariables(command, context.host);
    return '';
  }
  if (name === 'sockstat') return countSockets(command, context);
  if (name === 'tcpdrop') return dropConnections(command, context.host);
  const counted = /^nstat \| grep (\w+)/.exec(command);
  if (counted !== null) return countedByStack(counted[1] ?? '', context.host);
  if (/^(nstat|sleep|echo)\b/.test(command) && !command.includes('grep')) return '';
  // Segments leave one by one here in any case
  if (/^ethtool -K tun0 tso off gso off$/.test(command)) return '';
  if (/^ip tcp_metrics flush/.test(command)) {
    context.host.stack.tcp.fastOpenCache.clear();
    return '';
  }
  throw new ScriptUnsupported(`command: ${command.replace(/\s+/g, ' ').slice(0, 60)}`);
}

/** `sysctl -w a.b=1 c.d="2 3"`, `set_sysctls.py /proc/sys/a/b=1` */
function setVariables(command: string, host: ScriptHost): void {
  for (const match of command.matchAll(/(?:\/proc\/sys\/)?([\w./-]+)=("[^"]*"|'[^']*'|\S+)/g)) {
    const name = (match[1] ?? '').replaceAll('/', '.');
    setVariable(host, name, (match[2] ?? '').replace(/^["']|["']$/g, ''));
  }
}

function setVariable(host: ScriptHost, name: string, value: string): void {
  const fixed = FIXED[name];
  if (fixed !== undefined) {
    if (value !== fixed.value) throw new ScriptUnsupported(`${fixed.reason} (${name}=${value})`);
    return;
  }
  const setter = SETTERS[name];
  if (setter !== undefined) setter(host, value);
  else if (!IGNORED.test(name)) throw new ScriptUnsupported(`sysctl ${name}=${value}`);
}

/** `nstat | grep COUNTER` succeeds when the counter has moved. */
function countedByStack(name: string, host: ScriptHost): string {
  const { counters } = host.stack.tcp;
  const values: Readonly<Record<string, number>> = {
    TcpExtOutOfWindowIcmps: counters.icmpIgnored,
    TcpExtSyncookiesSent: counters.synCookiesSent,
    TcpExtSyncookiesRecv: counters.synCookiesTaken,
    TcpExtListenOverflows: counters.listenOverflows,
  };
  const value = values[name];
  if (value === undefined) throw new ScriptUnsupported(`the counter ${name}`);
  return value > 0 ? '' : `${name} has not moved`;
}

/** `sockstat … | grep -c STATE | grep N`: N connections are in that state. */
function countSockets(command: string, context: CommandContext): string {
  const asked = /grep -c (\w+) \| grep (\d+)/.exec(command);
  const state = SOCKSTAT_STATES[asked?.[1] ?? ''];
  if (asked === null || state === undefined) throw new ScriptUnsupported(`command: ${command.slice(0, 60)}`);
  const count = connectionsIn(state, context);
  const expected = asked[2] ?? '';
  return String(count).includes(expected) ? '' : `${count} connections are in ${state}, expected ${expected}`;
}

function connectionsIn(state: string, context: CommandContext): number {
  const { table } = context.host.stack.tcp;
  let count = 0;
  if (state === 'CLOSED') {
    // A closed connection is in no table; its socket still is
    for (const socket of context.sockets()) if (socket.connection?.info().state === 'CLOSED') count++;
    return count;
  }
  for (const flow of table) {
    const own = flow instanceof TcpConnection ? flow.info().state : 'TIME-WAIT';
    if (own === state) count++;
  }
  return count;
}

function dropConnections(command: string, host: ScriptHost): string {
  if (!/-s TIME_WAIT/.test(command)) throw new ScriptUnsupported(`command: ${command}`);
  for (const flow of [...host.stack.tcp.table]) if (flow instanceof TimeWait) flow.remove();
  return '';
}
