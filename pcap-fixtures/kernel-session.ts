import type { Socket } from 'node:net';
import type { ReplayOptions } from '../conformance/replay/options.ts';
import type { ImpairSettings } from '../drivers/impair-options.ts';

/** Where the two sides of a recorded session are. */
export const CLIENT = { v4: '198.18.0.1', v6: '2001:2:0:1::1' } as const;
export const SERVER = { v4: '198.18.0.2', v6: '2001:2:0:1::2' } as const;
export const PORT = 7000;

/** A session that the kernel's own client is recorded in. */
export interface KernelSession {
  readonly name: string;
  readonly what: string;
  readonly shows: string;
  /** sysctl settings of the client's side, below net.ipv4. */
  readonly sysctl?: Readonly<Record<string, string>>;
  /** The server's. */
  readonly serverSysctl?: Readonly<Record<string, string>>;
  readonly family?: 6;
  /** What the server does with a connection; absent: nobody listens. */
  readonly server?: (socket: Socket) => Promise<void> | void;
  /** What the client does once it is connected. */
  readonly client?: (socket: Socket) => Promise<void> | void;
  readonly kind?: 'udp' | 'dns' | 'dns-truncated' | 'tls' | 'tls1.2';
  /** The two sides are joined by a disturbed link instead of a cable. `in` is what the client sends. */
  readonly wire?: ImpairSettings;
  /** The client gives up after so long, whatever state it is in. */
  readonly killAfterMs?: number;
  /** In place of the interface and what tcpdump writes by itself. */
  readonly tcpdump?: readonly string[];
  /** The device may carry segments together. */
  readonly offload?: true;
  /** What the replay needs to know. */
  readonly replay?: Partial<ReplayOptions>;
}

/** Octets that differ from their neighbours. */
export function pattern(lengthBytes: number, start = 0): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let i = 0; i < lengthBytes; i++) bytes[i] = ((i + start) * 7 + ((i + start) >> 8)) & 255;
  return bytes;
}

/** Buffers of 8 KiB. */
export const SMALL_BUFFERS: Readonly<Record<string, string>> = { tcp_rmem: '4096 8192 8192' };

/** Sends back what comes, and ends when the peer ends. */
export function echo(socket: Socket): void {
  socket.on('data', (data) => socket.write(data));
  socket.on('end', () => socket.end());
}

/** Reads all and tells at the end how much it was. */
export function echoLength(socket: Socket): void {
  let total = 0;
  socket.on('data', (data) => {
    total += data.length;
  });
  socket.on('end', () => socket.end(`${total}\n`));
}
