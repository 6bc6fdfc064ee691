import type { NetError } from '../errors.ts';
import type { Stack } from '../stack.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { DnsCookie } from './cookie.ts';
import type { ResolverCounters } from './counters.ts';
import { DnsStream, type SecureChannel } from './dns-stream.ts';

/** Where a name server listens. */
export interface NameServerAddress {
  readonly address: IpAddress;
  /** 1 … 65,535; 53 is usual. */
  readonly port: number;
  /** It is a group, and whoever knows answers (RFC 6762). Default false. */
  readonly isMulticast?: boolean;
  /** Asked over TLS (RFC 7858); undefined: over UDP and TCP. */
  readonly tls?: NameServerTls;
}

/** How a name server is asked over TLS. */
export interface NameServerTls {
  /** 853 is usual. */
  readonly port: number;
  /** Makes the TLS side of one connection; what it demands of the certificate is its business. */
  readonly channel: () => SecureChannel;
  /**
   * true: never without TLS (RFC 8310 §5, strict). false: over UDP and TCP when TLS fails (opportunistic).
   */
  readonly strict: boolean;
}

/** RFC 7858 §3.1 leaves the time to the client: TLS that failed is not tried again before. */
export const TLS_RETRY_MS = 300_000;

/** An address with its port as people write them: `192.0.2.1:53`, `[2001:db8::1]:53`. */
export function hostPort(address: IpAddress, port: number): string {
  return address.family === 4 ? `${address}:${port}` : `[${address}]:${port}`;
}

/** A configured name server and what has been learned about it. */
export class NameServer {
  readonly address: IpAddress;
  readonly port: number;
  readonly tls: NameServerTls | null;
  readonly isMulticast: boolean;
  readonly cookie: DnsCookie = new DnsCookie();
  /** Tries without a usable reply since the last one with: servers with fewer are asked first. */
  failures = 0;
  /** It takes EDNS (RFC 6891); false after it refused. */
  edns = true;
  /** Opportunistic TLS is not tried before this time, in ms of the stack's clock. */
  tlsRetryAt: number = -Infinity;
  #plain: DnsStream | null = null;
  #secure: DnsStream | null = null;

  constructor(where: NameServerAddress) {
    this.address = where.address;
    this.port = where.port;
    this.tls = where.tls ?? null;
    this.isMulticast = where.isMulticast ?? false;
  }

  /** The one TCP connection to it. */
  plainStream(stack: Stack, counters: ResolverCounters): DnsStream {
    this.#plain ??= new DnsStream(stack, { address: this.address, port: this.port, secure: null }, counters);
    return this.#plain;
  }

  /** The one TLS connection to it; null: it is not to be asked that way now. */
  secureStream(stack: Stack, counters: ResolverCounters): DnsStream | null {
    if (this.tls === null || stack.now < this.tlsRetryAt) return null;
    const { port, channel } = this.tls;
    this.#secure ??= new DnsStream(stack, { address: this.address, port, secure: channel }, counters);
    return this.#secure;
  }

  toString(): string {
    return this.tls?.strict === true
      ? `tls://${hostPort(this.address, this.tls.port)}`
      : hostPort(this.address, this.port);
  }
}

/** What happened between one query and one server. */
export class ServerRecord {
  readonly server: NameServer;
  tries = 0;
  /** Why it is not asked again for this query; null: it may be. */
  refusal: string | null = null;
  /** The local or ICMP error behind the refusal. */
  cause: NetError | null = null;

  constructor(server: NameServer) {
    this.server = server;
  }

  /** Begins anew, for another name. */
  reset(): void {
    this.tries = 0;
    this.refusal = null;
    this.cause = null;
  }
}
