import type { MemoryLinkEnd } from '../../net/index.ts';

/** What both sides of the demo know. Addresses and names are those for documentation (RFC 5737, 3849, 2606). */
export const CLIENT_ADDRESSES: readonly string[] = ['192.0.2.1/24', '2001:db8::1/64'];
export const SERVER_ADDRESSES: readonly string[] = ['192.0.2.2/24', '2001:db8::2/64'];
export const NAME_SERVER = '192.0.2.2';
/** A name for each connection, so that each has to be looked up. */
export const NAMES = ['one.lab.test', 'two.lab.test', 'three.lab.test', 'four.lab.test'] as const;
export const HTTP_PORT = 80;
export const HTTPS_PORT = 443;
export const DNS_PORT = 53;
/** The answer to every request. */
export const BODY_BYTES: number = 1024 * 1024;
/** Which address the server saw a plain request come from. */
export const CLIENT_HEADER = 'x-client';
/** What node:tls says of a secure request's connection: version and suite. */
export const TLS_HEADER = 'x-tls';

/** What the server's thread is started with. */
export interface ServerData {
  readonly device: MemoryLinkEnd;
}

/** What it says when everything is up. */
export interface ServerReady {
  /** PEM of the authority that signed its certificate. */
  readonly authority: string;
}

/** What it says at its end. */
export interface ServerCounts {
  /** The names that its DNS server was asked for, in that order. */
  readonly names: readonly string[];
  readonly requests: number;
}

/** A body in which no two neighbouring kilobytes are alike. */
export function makeBody(): Buffer {
  const body = Buffer.allocUnsafe(BODY_BYTES);
  for (let i = 0; i < body.length; i++) body[i] = (i * 31 + (i >> 8) * 7 + (i >> 16)) & 255;
  return body;
}
