import {
  type CongestionControlName,
  isCongestionControl,
} from '../../stack/tcp/congestion/congestion-control-names.ts';
import type { ScriptSocket, SocketOptions } from './sockets.ts';

/** Of which Linux doubles the value. */
export function isBuffer(name: string): boolean {
  return name === 'SO_RCVBUF' || name === 'SO_SNDBUF';
}

/** What a system calls a congestion control; null: the stack has none of that name. */
export function congestionControlOf(name: string): CongestionControlName | null {
  if (name === 'reno') return 'newreno';
  return isCongestionControl(name) ? name : null;
}

/** Sets an option. @returns false: it is not known */
export function setNumber(options: SocketOptions, name: string, value: number): boolean {
  const on = value !== 0;
  switch (name) {
    case 'TCP_NODELAY':
      options.noDelay = on;
      return true;
    case 'TCP_CORK':
      options.corked = on;
      return true;
    case 'SO_KEEPALIVE':
      options.keepAlive = on;
      return true;
    case 'TCP_KEEPIDLE':
      options.keepIdleMs = value * 1000;
      return true;
    case 'TCP_KEEPINTVL':
      options.keepIntervalMs = value * 1000;
      return true;
    case 'TCP_KEEPCNT':
      options.keepCount = value;
      return true;
    case 'TCP_KEEPINIT':
      options.userTimeoutMs = value * 1000;
      return true;
    case 'TCP_SYNCNT':
      options.synRetries = value;
      return true;
    case 'TCP_USER_TIMEOUT':
      options.userTimeoutMs = value;
      return true;
    case 'TCP_MAXSEG':
      options.maxSegmentBytes = value;
      return true;
    case 'TCP_NOOPT':
      options.noOptions = on;
      return true;
    case 'TCP_FASTOPEN':
      options.fastOpen = value;
      return true;
    case 'TCP_FASTOPEN_CONNECT':
      options.fastOpenConnect = on;
      return true;
    case 'SO_OOBINLINE':
      options.urgentInline = on;
      return true;
    case 'IP_TTL':
    case 'IPV6_UNICAST_HOPS':
      options.ttl = value;
      return true;
    case 'IP_TOS':
    case 'IPV6_TCLASS':
      options.trafficClass = value;
      return true;
    case 'SO_RCVBUF':
      options.receiveBufferBytes = value;
      return true;
    case 'SO_SNDBUF':
      options.sendBufferBytes = value;
      return true;
    // Told with every recvmsg()
    case 'TCP_INQ':
    // The ports of a script are always free
    case 'SO_REUSEADDR':
    case 'SO_REUSEPORT':
    case 'SO_MARK':
    case 'IP_FREEBIND':
      return true;
    default:
      return false;
  }
}

/** The value of an option; undefined: it is not known. */
export function getNumber(socket: ScriptSocket, name: string): number | undefined {
  const { options, connection } = socket;
  switch (name) {
    case 'SO_RCVBUF':
      return connection?.recvLimitBytes ?? options.receiveBufferBytes;
    case 'SO_SNDBUF':
      return options.sendBufferBytes;
    case 'TCP_MAXSEG':
      return connection?.mss ?? options.maxSegmentBytes;
    case 'TCP_NODELAY':
      return options.noDelay ? 1 : 0;
    case 'TCP_CORK':
      return options.corked ? 1 : 0;
    case 'SO_KEEPALIVE':
      return options.keepAlive ? 1 : 0;
    case 'TCP_KEEPIDLE':
      return options.keepIdleMs / 1000;
    case 'TCP_KEEPINTVL':
      return options.keepIntervalMs / 1000;
    case 'TCP_KEEPCNT':
      return options.keepCount;
    case 'TCP_KEEPINIT':
    case 'TCP_USER_TIMEOUT':
      return name === 'TCP_KEEPINIT' ? options.userTimeoutMs / 1000 : options.userTimeoutMs;
    case 'TCP_SYNCNT':
      return options.synRetries;
    default:
      return undefined;
  }
}
