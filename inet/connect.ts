import { domainToASCII } from 'node:url';
import type { EngineClient } from '../engine/client.ts';
import type { ConnectRequest, KeepAlive } from '../engine/shared-socket.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { parseHost, parseZonedAddress, requireZone } from '../stack/resolver/host-name.ts';
import type { IpAddress } from '../stack/wire/ip-address.ts';
import {
  INET_OPTION_BROADCAST,
  INET_OPTION_DONTROUTE,
  INET_OPTION_FREETHREAD,
  INET_OPTION_KEEPALIVE,
  INET_OPTION_NODELAY,
  INET_OPTION_NOINHERIT,
  INET_OPTION_PREFER_IPV6,
  INET_OPTION_RESERVEDPORT,
  INET_OPTION_SECURE,
  INET_OPTION_SECURE_FALLBACK,
  INET_OPTION_TRUSTEDSITE,
  INET_PROTOCOL_TCP,
  INET_PROTOCOL_UDP,
  INVALID_SOCKET,
} from './constants.ts';
import { clientCredentialsFor, type SECURITYCREDENTIALS } from './credentials.ts';
import { type DialSecurity, dial } from './dial.ts';
import { failed } from './error-codes.ts';
import { registerHandle } from './handles.ts';
import { keepSecurity, verifierFor, versionsFor } from './security.ts';
import { currentSession } from './session.ts';

/** All options of InetConnect. */
export const KNOWN_OPTIONS: number =
  INET_OPTION_BROADCAST |
  INET_OPTION_DONTROUTE |
  INET_OPTION_KEEPALIVE |
  INET_OPTION_NODELAY |
  INET_OPTION_RESERVEDPORT |
  INET_OPTION_NOINHERIT |
  INET_OPTION_TRUSTEDSITE |
  INET_OPTION_SECURE |
  INET_OPTION_SECURE_FALLBACK |
  INET_OPTION_PREFER_IPV6 |
  INET_OPTION_FREETHREAD;

/** SocketWrench 10, SetOption: probes start after 5 s of silence. Interval and count are Windows' for such connections. */
export const INET_KEEP_ALIVE: KeepAlive = { idleMs: 5000, intervalMs: 1000, count: 10 };

/** What shared memory holds: about 24 days. */
const MAX_TIMEOUT_MS = 0x7fffffff;

/**
 * Establishes a connection, and blocks the calling thread (the main thread too) until it has one or has failed. The host is
 * looked up in the hosts file, then by DNS; its addresses are tried one after the other, IPv4 first unless
 * INET_OPTION_PREFER_IPV6. Wrong arguments fail at once, with nothing sent.
 *
 * @param hostName a host name or an IP address, never a URL; names outside ASCII are converted (UTS 46)
 * @param remotePort 1 … 65535
 * @param protocol INET_PROTOCOL_TCP or INET_PROTOCOL_UDP. UDP sends nothing: the host becomes the default destination
 * @param timeout seconds (fractions allowed) for everything together: lookup, connection and TLS handshake; 0: no limit
 * but that of the protocols. It is also how long InetRead and InetWrite will wait on the handle
 * @param options INET_OPTION_* combined by `|`; 0: none
 * - BROADCAST (UDP only), KEEPALIVE (TCP only: a probe after 5 s of silence, then every second, the connection is lost after
 *   10), NODELAY, DONTROUTE, RESERVEDPORT, PREFER_IPV6
 * - SECURE (TCP only): implicit TLS. The certificate has to be valid for the host, or the call fails
 * - TRUSTEDSITE: it need not be; InetGetSecurityInformation still says what it is worth
 * - SECURE_FALLBACK: for devices that nobody can update. TLS 1.0 and 1.1 too; RSA key exchange, DHE from 1024 bits, CBC, 3DES, RC4;
 *   signatures with MD5 and SHA-1, RSA keys from 1024 bits; servers without secure renegotiation, and renegotiations that a server begins. The best that both have is used
 * - FREETHREAD: any thread may use the handle, otherwise only this one (see InetAttachThread)
 * - NOINHERIT: always so; there is nothing that a child process could inherit
 * @param credentials null: none. Only looked at with SECURE
 * @returns a handle, valid in all threads of the process; INVALID_SOCKET on failure. InetGetLastError has the reason:
 * - wrong arguments: HOST_INVALID, PORT_INVALID, PROTOCOL_INVALID (0x8004273B), OPTION_INVALID (0x8004273A), ARGUMENT_INVALID (0x80042726)
 * - lookup: HOST_NOT_FOUND (0x80042AF9), HOST_NO_ADDRESS (0x80042AFC), DNS_TIMEOUT (0x80042AFA), DNS_FAILURE (0x80042AFB), DNS_NO_SERVER
 * - connection: CONNECT_REFUSED (0x8004274D), TIMEOUT (0x8004274C, in every phase), RESET (0x80042746),
 *   NETWORK_UNREACHABLE (0x80042743), HOST_UNREACHABLE (0x80042751), ACCESS_DENIED, ADDRESS_NOT_AVAILABLE (0x80042741), NO_BUFFERS (0x80042747)
 * - security: TLS_HANDSHAKE, TLS_ALERT, TLS_PROTOCOL, TLS_TRUNCATED, CERT_NAME_MISMATCH, CERT_EXPIRED, CERT_UNTRUSTED, CERT_INVALID
 * - NOT_INITIALIZED (0x8004276D), ENGINE_STOPPED
 *
 * Source: SocketWrench 11 InetConnect. That a bad certificate fails the call, the timeout's zero, and the handle's timeout
 * are our choice.
 *
 * @example
 * const socket = InetConnect('dut.lab.test', 8443, INET_PROTOCOL_TCP, 10, INET_OPTION_SECURE, null);
 * if (socket === INVALID_SOCKET) throw new Error(InetGetErrorString(InetGetLastError()));
 */
export function InetConnect(
  hostName: string | null,
  remotePort: number,
  protocol: number = INET_PROTOCOL_TCP,
  timeout = 0,
  options = 0,
  credentials: SECURITYCREDENTIALS | null = null,
): number {
  return InetConnectEx(hostName, remotePort, protocol, timeout, options, null, 0, credentials);
}

/**
 * {@link InetConnect} from a local address and port of one's choice.
 *
 * @param localAddress an IP address of the stack's; null or '': the stack chooses. The host is reached over its family only
 * @param localPort 1 … 65535; 0: the stack chooses, below 1024 with INET_OPTION_RESERVEDPORT
 * @returns a handle; INVALID_SOCKET on failure, for the reasons of InetConnect and
 * - ARGUMENT_INVALID (0x80042726): the local address is no IP address, the local port none of 0 … 65535
 * - ADDRESS_NOT_AVAILABLE (0x80042741): the address is not the stack's
 * - ADDRESS_IN_USE (0x80042740): another connection to the same peer has the port
 * - OPTION_INVALID (0x8004273A): INET_OPTION_RESERVEDPORT and a port from 1024
 *
 * Source: SocketWrench 11 InetAsyncConnectEx, of which it is the blocking form. Its port 0 for "the default" is refused here
 * as in InetConnect.
 *
 * @example
 * const socket = InetConnectEx('dut.lab.test', 179, INET_PROTOCOL_TCP, 10, 0, '192.0.2.2', 50000, null);
 */
export function InetConnectEx(
  hostName: string | null,
  remotePort: number,
  protocol: number = INET_PROTOCOL_TCP,
  timeout = 0,
  options = 0,
  localAddress: string | null = null,
  localPort = 0,
  credentials: SECURITYCREDENTIALS | null = null,
): number {
  try {
    const { client, settings } = currentSession();
    const plan = planConnection(
      hostName,
      remotePort,
      protocol,
      timeout,
      options,
      credentials,
      settings.caFile,
    );
    const local = checkLocal(client, localAddress, localPort, options);
    const { socket, channel, info } = dial(client, { ...plan.request, ...local }, plan.security);
    if (info !== null) keepSecurity(socket, info);
    return registerHandle(socket, channel, options, plan.request.timeoutMs);
  } catch (error) {
    return failed(error, INVALID_SOCKET);
  }
}

/** What {@link InetConnect} is going to do: arguments that have been checked. */
export interface ConnectionPlan {
  readonly request: ConnectRequest;
  /** null: no TLS. */
  readonly security: DialSecurity | null;
}

/**
 * Checks the arguments of {@link InetConnect} without doing anything.
 * @param caFile trusted certificates; null: the system's
 * @throws NetError HOST_INVALID, PORT_INVALID, PROTOCOL_INVALID, OPTION_INVALID, ARGUMENT_INVALID
 */
export function planConnection(
  hostName: string | null,
  remotePort: number,
  protocol: number,
  timeout: number,
  options: number,
  credentials: SECURITYCREDENTIALS | null,
  caFile: string | null,
): ConnectionPlan {
  const host = checkHost(hostName);
  checkPort(remotePort);
  checkProtocol(protocol);
  const timeoutMs = checkTimeout(timeout);
  checkOptions(options, protocol);
  return {
    request: requestFor(host.text, remotePort, protocol, timeoutMs, options),
    security: securityFor(host.name, remotePort, options, credentials, caFile),
  };
}

/**
 * @returns what the engine is to look up, and the name that a certificate must be for
 * @throws NetError HOST_INVALID
 */
export function checkHost(hostName: unknown): { text: string; name: string } {
  if (typeof hostName !== 'string') {
    throw new NetError('HOST_INVALID', {
      phase: Phase.Argument,
      detail: `it is ${hostName === null ? 'null' : typeof hostName}; give a host name or an IP address`,
    });
  }
  const parsed = parseHost(hostName, domainToASCII);
  if (parsed.kind === 'address') return { text: hostName, name: parsed.address.toString() };
  return { text: parsed.absolute ? `${parsed.name}.` : parsed.name, name: parsed.name };
}

/** @throws NetError PORT_INVALID */
function checkPort(port: unknown): void {
  if (typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65_535) return;
  throw new NetError('PORT_INVALID', { phase: Phase.Argument, detail: `got ${String(port)}` });
}

/** @throws NetError ARGUMENT_INVALID, OPTION_INVALID */
function checkLocal(
  client: EngineClient,
  address: unknown,
  port: unknown,
  options: number,
): { localAddress: IpAddress | null; localPort: number } {
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `a local port is 0 … 65535, got ${String(port)}`,
    });
  }
  if ((options & INET_OPTION_RESERVEDPORT) !== 0 && port >= 1024) {
    throw badOptions(`INET_OPTION_RESERVEDPORT wants a local port below 1024, got ${port}`);
  }
  return { localAddress: localAddressOf(client, address), localPort: port };
}

/** @param address what a caller gave: an IP literal; null or '': none @throws NetError ARGUMENT_INVALID */
export function localAddressOf(client: EngineClient, address: unknown): IpAddress | null {
  if (address === null || address === undefined || address === '') return null;
  const literal = typeof address === 'string' ? parseZonedAddress(address) : null;
  if (literal !== null) return requireZone(literal, client.arena.interfaces);
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `a local address is an IP address, got ${String(address)}`,
  });
}

/** @param seconds what a caller gave @returns milliseconds @throws NetError ARGUMENT_INVALID */
export function checkTimeout(seconds: unknown): number {
  if (typeof seconds === 'number' && seconds >= 0) return Math.min(Math.ceil(seconds * 1000), MAX_TIMEOUT_MS);
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `a timeout is a number of seconds, 0 for no limit; got ${String(seconds)}`,
  });
}

function checkProtocol(protocol: unknown): void {
  if (protocol === INET_PROTOCOL_TCP || protocol === INET_PROTOCOL_UDP) return;
  throw new NetError('PROTOCOL_INVALID', {
    phase: Phase.Argument,
    detail: `expected INET_PROTOCOL_TCP (${INET_PROTOCOL_TCP}) or INET_PROTOCOL_UDP (${INET_PROTOCOL_UDP}), got ${String(protocol)}`,
  });
}

function checkOptions(options: unknown, protocol: number): void {
  if (typeof options !== 'number' || options >>> 0 !== options) {
    throw badOptions(`expected INET_OPTION_* combined by |, got ${String(options)}`);
  }
  const unknown = (options & ~KNOWN_OPTIONS) >>> 0;
  if (unknown !== 0) throw badOptions(`0x${unknown.toString(16)} is no option of InetConnect`);
  if (protocol === INET_PROTOCOL_UDP) {
    if ((options & INET_OPTION_SECURE) !== 0) {
      throw badOptions('INET_OPTION_SECURE needs INET_PROTOCOL_TCP: there is no TLS over UDP here');
    }
    if ((options & INET_OPTION_KEEPALIVE) !== 0) {
      throw badOptions('INET_OPTION_KEEPALIVE needs INET_PROTOCOL_TCP: datagrams have no connection to keep');
    }
  } else if ((options & INET_OPTION_BROADCAST) !== 0) {
    throw badOptions('INET_OPTION_BROADCAST needs INET_PROTOCOL_UDP: a stream has one peer');
  }
}

function badOptions(detail: string): NetError {
  return new NetError('OPTION_INVALID', { phase: Phase.Argument, detail });
}

/** @throws NetError HOST_INVALID, OPTION_INVALID, ARGUMENT_INVALID */
export function securityFor(
  host: string,
  port: number,
  options: number,
  credentials: SECURITYCREDENTIALS | null,
  caFile: string | null,
): DialSecurity | null {
  if ((options & INET_OPTION_SECURE) === 0) return null;
  const fallback = (options & INET_OPTION_SECURE_FALLBACK) !== 0;
  const versions = versionsFor(credentials, fallback);
  const client = clientCredentialsFor(credentials);
  const other = credentials?.lpszHostName;
  // what was accepted unseen must never pass for verified
  const isTrusted = (options & INET_OPTION_TRUSTEDSITE) !== 0;
  const policy = `${caFile === null ? 'system' : `file ${caFile}`}${isTrusted ? ', not required' : ''}`;
  return {
    serverName: other ? checkHost(other).name : host,
    verifier: verifierFor(caFile, options, credentials),
    fallback,
    ...versions,
    ...(client === null ? {} : { credentials: client }),
    ...(credentials?.tuning ? { tuning: credentials.tuning } : {}),
    ...(credentials?.alpnProtocols ? { alpn: checkProtocols(credentials.alpnProtocols) } : {}),
    ...(credentials?.earlyData ? { earlyData: credentials.earlyData } : {}),
    ...(credentials?.sessions ? { sessions: { store: credentials.sessions, port, policy } } : {}),
  };
}

/** RFC 7301 §3.1: a name has 1 … 255 bytes. */
function checkProtocols(names: readonly string[]): readonly string[] {
  for (const name of names) {
    const bytes = Buffer.byteLength(name);
    if (bytes >= 1 && bytes <= 255) continue;
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `alpnProtocols: a name has 1 to 255 bytes, got ${bytes}`,
    });
  }
  return names;
}

function requestFor(
  host: string,
  port: number,
  protocol: number,
  timeoutMs: number,
  options: number,
): ConnectRequest {
  const has = (option: number): boolean => (options & option) !== 0;
  return {
    host,
    port,
    protocol: protocol === INET_PROTOCOL_UDP ? 'udp' : 'tcp',
    timeoutMs,
    noDelay: has(INET_OPTION_NODELAY),
    keepAlive: has(INET_OPTION_KEEPALIVE) ? INET_KEEP_ALIVE : null,
    preferIpv6: has(INET_OPTION_PREFER_IPV6),
    broadcast: has(INET_OPTION_BROADCAST),
    dontRoute: has(INET_OPTION_DONTROUTE),
    reservedPort: has(INET_OPTION_RESERVEDPORT),
  };
}
