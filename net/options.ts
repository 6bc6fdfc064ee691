import type { BlockList, LookupFunction } from 'node:net';
import type { EngineClient } from '../engine/client.ts';
import type { KeepAlive } from '../engine/shared-socket.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { parseZonedAddress, requireZone } from '../stack/resolver/host-name.ts';
import type { SendOptions } from '../stack/tcp/send-policy.ts';
import type { IpAddress } from '../stack/wire/ip-address.ts';
import type { OnRead } from './own-buffer.ts';
import type { TlsConnectOptions } from './tls-settings.ts';

/** Where to connect to, and how. The names are Node's where Node has the same thing. */
export interface ConnectOptions extends SendOptions {
  /** A name or an IP literal. Default 'localhost'. */
  readonly host?: string | undefined;
  /** 1 … 65535 */
  readonly port: number;
  /** Implicit TLS: the handshake follows the connection. `true`: with the system's trusted roots. */
  readonly tls?: boolean | TlsConnectOptions | undefined;
  /** For resolving, connecting and the TLS handshake together, in milliseconds; 0: no limit. Default 0. */
  readonly timeoutMs?: number | undefined;
  /** Gives the attempt up, or resets the connection that came of it. */
  readonly signal?: AbortSignal | undefined;
  readonly localAddress?: string | undefined;
  /** 0: an ephemeral one; 'reserved': the highest of the stack's `ports.reserved` that is unused. Default 0. */
  readonly localPort?: number | 'reserved' | undefined;
  readonly noDelay?: boolean | undefined;
  /** `true`: with Node's intervals (see {@link Socket.setKeepAlive}). Default false. */
  readonly keepAlive?: boolean | KeepAlive | undefined;
  /** With `keepAlive: true`: quiet time before the first probe, in milliseconds. */
  readonly keepAliveInitialDelay?: number | undefined;
  /**
   * Tries the addresses of a name beside each other, IPv6 and IPv4 in turn, a quarter of a second apart; the first that answers wins
   * (Happy Eyeballs, RFC 8305). false: one after the other. Default true, as in `net.connect`.
   */
  readonly autoSelectFamily?: boolean | undefined;
  /** Without `autoSelectFamily`: tries IPv6 addresses before IPv4 ones. Default false. */
  readonly preferIpv6?: boolean | undefined;
  /** Addresses of this family only. Default 0: both. */
  readonly family?: 0 | 4 | 6 | undefined;
  /** false: the own direction is ended when the peer has ended its own. Default false. */
  readonly allowHalfOpen?: boolean | undefined;
  /** Of the stream, in bytes. Default: Node's. */
  readonly highWaterMark?: number | undefined;
  /** As in `net.connect`: data goes to one buffer and a callback, and not through the stream. */
  readonly onread?: OnRead | undefined;
  /** Finds the addresses of the name in place of the stack's resolver, as in `net.connect`; six are used at most. */
  readonly lookup?: LookupFunction | undefined;
  /** Addresses that are not to be connected to, as in `net.connect`: the error is ACCESS_DENIED when there is no other. */
  readonly blockList?: BlockList | undefined;
  /** See {@link Socket.setTypeOfService}. Default 0. */
  readonly typeOfService?: number | undefined;
  /** Quiet time until the event 'timeout', in milliseconds, as {@link Socket.setTimeout}; 0: none. Default 0. */
  readonly timeout?: number | undefined;
}

/** The object form of `Socket.setKeepAlive`. */
export interface KeepAliveSettings {
  readonly enable?: boolean | undefined;
  readonly initialDelay?: number | undefined;
  readonly interval?: number | undefined;
  readonly count?: number | undefined;
}

/** Linux keeps quiet connections for two hours before it asks (RFC 1122 §4.2.3.6: no less). */
const KEEP_ALIVE_IDLE_MS = 7_200_000;
/** What Node sets beside the idle time (doc of `socket.setKeepAlive`). */
const KEEP_ALIVE_INTERVAL_MS = 1000;
const KEEP_ALIVE_COUNT = 10;
/** The largest number that shared memory and timers hold. */
const MAX_MS = 0x7fffffff;

/** @param initialDelayMs 0: the default @param intervalMs 0: the default @param count 0: the default */
export function keepAliveOf(initialDelayMs: number, intervalMs: number, count: number): KeepAlive {
  return {
    idleMs: initialDelayMs > 0 ? initialDelayMs : KEEP_ALIVE_IDLE_MS,
    intervalMs: intervalMs > 0 ? intervalMs : KEEP_ALIVE_INTERVAL_MS,
    count: count > 0 ? count : KEEP_ALIVE_COUNT,
  };
}

/** @returns null: off. @throws NetError ARGUMENT_INVALID */
export function keepAliveBy(settings: KeepAliveSettings): KeepAlive | null {
  if (settings.enable === false) return null;
  const { initialDelay = 0, interval = 0, count = 0 } = settings;
  return keepAliveOf(checkMs('initialDelay', initialDelay), checkMs('interval', interval), count);
}

/** @param least 0 where the stack may choose. @throws NetError PORT_INVALID */
export function checkPort(port: unknown, least: 0 | 1): number {
  // digits in a string as well, as everywhere in Node
  const value = typeof port === 'string' && port.trim() !== '' ? Number(port) : port;
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= 65535) return value;
  throw new NetError('PORT_INVALID', {
    phase: Phase.Argument,
    detail: `expected ${least} … 65535, got ${String(port)}`,
  });
}

/** Milliseconds for a timer; fractions are rounded up, more than 24 days become 24 days. @throws NetError ARGUMENT_INVALID */
export function checkMs(name: string, ms: unknown): number {
  if (typeof ms === 'number' && ms >= 0) return Math.min(Math.ceil(ms), MAX_MS);
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `${name} is a number of milliseconds from 0, got ${typeof ms === 'string' ? `'${ms}'` : String(ms)}`,
  });
}

/**
 * @param client of the engine, whose interfaces are the zones that an address can be in
 * @returns null for undefined: any address
 * @throws NetError ARGUMENT_INVALID when it is no IP literal, HOST_INVALID for a zone that there is not
 */
export function checkAddress(client: EngineClient, name: string, text: string | undefined): IpAddress | null {
  if (text === undefined) return null;
  const literal = parseZonedAddress(text);
  if (literal !== null) return requireZone(literal, client.arena.interfaces);
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `${name} is an IP address, got '${text}'`,
  });
}
