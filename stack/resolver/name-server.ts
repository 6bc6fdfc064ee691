import type { NetError } from '../errors.ts';
import type { IpAddress } from '../wire/ip-address.ts';

/** Where a name server listens. */
export interface NameServerAddress {
  readonly address: IpAddress;
  /** 1 … 65,535; 53 is usual. */
  readonly port: number;
}

/** An address with its port as people write them: `192.0.2.1:53`, `[2001:db8::1]:53`. */
export function hostPort(address: IpAddress, port: number): string {
  return address.family === 4 ? `${address}:${port}` : `[${address}]:${port}`;
}

/** A configured name server and what has been learned about it. */
export class NameServer {
  readonly address: IpAddress;
  readonly port: number;
  /** Tries without a usable reply since the last one with: servers with fewer are asked first. */
  failures = 0;
  /** It takes EDNS (RFC 6891); false after it refused. */
  edns = true;

  constructor(where: NameServerAddress) {
    this.address = where.address;
    this.port = where.port;
  }

  toString(): string {
    return hostPort(this.address, this.port);
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
