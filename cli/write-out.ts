import type { IncomingMessage } from 'node:http';
import type { Socket } from '../net/index.ts';

/** What `--write-out` can tell of an exchange. */
export interface Transfer {
  readonly url: string;
  readonly method: string;
  readonly response: IncomingMessage;
  readonly socket: Socket;
  readonly redirects: number;
  readonly bodyBytes: number;
  /** Since the start of the request, ms. */
  readonly firstByteMs: number;
  readonly totalMs: number;
}

type Tell = (transfer: Transfer) => string | number;

const seconds = (ms: number): string => (Math.max(0, ms) / 1000).toFixed(6);

/** curl's variables, by their names. */
const VARIABLES: Readonly<Record<string, Tell>> = {
  content_type: ({ response }) => response.headers['content-type'] ?? '',
  http_code: ({ response }) => String(response.statusCode ?? 0).padStart(3, '0'),
  response_code: ({ response }) => String(response.statusCode ?? 0).padStart(3, '0'),
  http_version: ({ response }) => response.httpVersion,
  local_ip: ({ socket }) => socket.localAddress ?? '',
  local_port: ({ socket }) => socket.localPort ?? 0,
  remote_ip: ({ socket }) => socket.remoteAddress ?? '',
  remote_port: ({ socket }) => socket.remotePort ?? 0,
  method: ({ method }) => method,
  num_connects: () => 1,
  num_redirects: ({ redirects }) => redirects,
  scheme: ({ url }) => new URL(url).protocol.slice(0, -1),
  size_download: ({ bodyBytes }) => bodyBytes,
  speed_download: ({ bodyBytes, totalMs }) => Math.round((bodyBytes * 1000) / Math.max(1, totalMs)),
  ssl_verify_result: ({ socket }) => (socket.encrypted && !socket.authorized ? 1 : 0),
  time_namelookup: ({ socket }) => seconds(socket.times.resolveMs),
  time_connect: ({ socket }) => seconds(socket.times.resolveMs + socket.times.connectMs),
  time_appconnect: ({ socket: { times } }) =>
    seconds(times.handshakeMs < 0 ? 0 : times.resolveMs + times.connectMs + times.handshakeMs),
  time_pretransfer: ({ socket: { times } }) =>
    seconds(times.resolveMs + times.connectMs + Math.max(0, times.handshakeMs)),
  time_starttransfer: ({ firstByteMs }) => seconds(firstByteMs),
  time_total: ({ totalMs }) => seconds(totalMs),
  url: ({ url }) => url,
  url_effective: ({ url }) => url,
};

/** The text of `--write-out`; as in curl an unknown variable says nothing, and `\\n`, `\\r`, `\\t`, `%%` are what they look like. */
export function writeOut(format: string, transfer: Transfer): string {
  return format.replace(
    /%\{(\w+)\}|%%|\\([nrt])/g,
    (match, name: string | undefined, escaped: string | undefined) => {
      if (name !== undefined) return String(Object.hasOwn(VARIABLES, name) ? VARIABLES[name]!(transfer) : '');
      if (escaped !== undefined) return { n: '\n', r: '\r', t: '\t' }[escaped] ?? '';
      return match.slice(1);
    },
  );
}
