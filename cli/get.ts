import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import http, { type IncomingMessage, type RequestOptions } from 'node:http';
import { isIP } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { ConnectOptions, NetStack, Socket } from '../net/index.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { AsciiTrace } from './ascii-trace.ts';
import { ExitCode } from './exit-code.ts';
import { ExitError } from './exit-error.ts';
import { withStack } from './own-stack.ts';
import { Progress } from './progress.ts';
import { complain, formatMs, note } from './report.ts';
import { capturesToOutput, readInput, tlsOptionsOf } from './stack-options.ts';
import { OutputError, writeAll } from './standard-io.ts';
import type { GetFlags } from './verbs/get.ts';
import { writeOut } from './write-out.ts';

const STDOUT = 1;
const USER_AGENT = 'tunwire';
const HTTP_PORT = 80;
const HTTPS_PORT = 443;
/** As curl has it. */
const KEEPALIVE_S = 60;

/** With what curl means by `--interface ADDRESS`. */
type CurlFlags = GetFlags & { readonly localAddress?: string };

/** One request and the head of its response. */
interface Exchange {
  readonly url: URL;
  readonly socket: Socket;
  readonly method: string;
  readonly response: IncomingMessage;
  /** In the time of `performance.now()`. */
  readonly startedAt: number;
  readonly firstByteAt: number;
}

/** @returns the exit code, once everything is over */
export async function get(address: string, given: GetFlags): Promise<ExitCode> {
  const flags = asCurl(given);
  let url: URL;
  try {
    url = urlOf(address);
    if (capturesToOutput(flags) && (flags.output === undefined || flags.json))
      throw new ExitError(
        ExitCode.Usage,
        'standard output is for the capture: give the body a file with -o FILE',
      );
  } catch (error) {
    return complain(error, performance.now());
  }
  return withStack(flags, async (stack, interrupted) => {
    const startedAt = performance.now();
    const limit = flags.maxTime > 0 ? AbortSignal.timeout(flags.maxTime * 1000) : null;
    const signal = limit === null ? interrupted : AbortSignal.any([interrupted, limit]);
    try {
      return await fetchAll(stack, url, flags, signal);
    } catch (error) {
      if (limit?.aborted) {
        console.error(`tunwire: not done within ${flags.maxTime} s (--max-time)`);
        return ExitCode.Timeout;
      }
      signal.throwIfAborted();
      return complain(error, startedAt);
    }
  });
}

/** `-w` and `--interface` are the stack's own flags; what only curl's can mean is taken for those. */
function asCurl(flags: CurlFlags): GetFlags & { readonly localAddress?: string } {
  const { write, interface: interfaces = [], ...others } = flags;
  const isFormat = write?.includes('%{') === true;
  const [localAddress] = interfaces.filter((text) => isIP(text) !== 0);
  const devices = interfaces.filter((text) => isIP(text) === 0);
  return {
    ...others,
    ...(write === undefined ? {} : isFormat ? { writeOut: write } : { write }),
    ...(devices.length === 0 ? {} : { interface: devices }),
    ...(localAddress === undefined ? {} : { localAddress }),
  };
}

function urlOf(text: string, base?: URL): URL {
  const full = base === undefined && !/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? `http://${text}` : text;
  const url = URL.parse(full, base?.href);
  if (url === null)
    throw new ExitError(ExitCode.Url, `'${text}' is no URL; give http://HOST/PATH or https://…`);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new ExitError(ExitCode.Protocol, `only http: and https: URLs, not ${url.protocol} ('${text}')`);
  return url;
}

async function fetchAll(
  stack: NetStack,
  first: URL,
  flags: CurlFlags,
  signal: AbortSignal,
): Promise<ExitCode> {
  let method = flags.request ?? (flags.head ? 'HEAD' : flags.data === undefined ? 'GET' : 'POST');
  let body = flags.data === undefined ? null : await bodyOf(flags.data);
  let url = first;
  for (let redirects = 0; ; redirects++) {
    const exchange = await request(stack, url, method, body, flags, signal);
    const { statusCode = 0, headers } = exchange.response;
    const next = flags.location && statusCode >= 300 && statusCode < 400 ? headers.location : undefined;
    if (next === undefined) return finish(exchange, redirects, flags);
    if (redirects >= flags.maxRedirs)
      throw new ExitError(ExitCode.Redirects, `more than ${flags.maxRedirs} redirections (--max-redirs)`);
    exchange.socket.destroy();
    url = urlOf(next, url);
    // RFC 9110 §15.4: what was a POST becomes a GET with 301 and 302, by custom, and with 303, by rule
    if (statusCode === 303 || (statusCode <= 302 && method === 'POST')) {
      method = method === 'HEAD' ? 'HEAD' : 'GET';
      body = null;
    }
    if (flags.verbose > 0) note(`redirected (${statusCode}) to ${url.href}`);
  }
}

async function bodyOf(data: string): Promise<Buffer> {
  if (!data.startsWith('@')) return Buffer.from(data);
  return data === '@-' ? buffer(process.stdin) : readInput('--data', data.slice(1), ExitCode.Read);
}

async function request(
  stack: NetStack,
  url: URL,
  method: string,
  body: Buffer | null,
  flags: CurlFlags,
  signal: AbortSignal,
): Promise<Exchange> {
  const startedAt = performance.now();
  const socket = await connect(stack, url, flags, signal);
  if (flags.traceAscii !== undefined) traceAll(socket, url, flags.traceAscii);
  const options: RequestOptions = {
    createConnection: () => socket,
    host: url.hostname,
    port: url.port,
    defaultPort: url.protocol === 'https:' ? HTTPS_PORT : HTTP_PORT,
    path: `${url.pathname}${url.search}`,
    method,
    headers: headersOf(flags, body),
    ...(url.username === '' ? {} : { auth: decodeURIComponent(`${url.username}:${url.password}`) }),
  };
  const sent = http.request(options);
  // what goes wrong after the head is told by the body, too
  sent.on('error', () => {});
  if (flags.verbose > 0) {
    console.error(`> ${method} ${options.path} HTTP/1.1`);
    for (const name of sent.getRawHeaderNames()) console.error(`> ${name}: ${String(sent.getHeader(name))}`);
  }
  sent.end(body ?? undefined);
  try {
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    if (flags.verbose > 0)
      console.error(headOf(response).replaceAll('\r', '').trimEnd().replace(/^/gm, '< '));
    return { url, socket, method, response, startedAt, firstByteAt: performance.now() };
  } catch (error) {
    throw requestError(error, socket);
  }
}

/** Why there was no response. */
function requestError(error: unknown, socket: Socket): unknown {
  if (socket.errored !== null) return socket.errored;
  const { code = '', message } = error as NodeJS.ErrnoException;
  // curl takes it for HTTP/0.9, which nobody speaks any more
  if (code === 'HPE_INVALID_CONSTANT')
    return new ExitError(ExitCode.Protocol, `that is no HTTP/1: ${message}`);
  if (code.startsWith('HPE_')) return new ExitError(ExitCode.WeirdReply, `that is no HTTP: ${message}`);
  if (code === 'ECONNRESET')
    return new ExitError(ExitCode.NoAnswer, 'the server has closed the connection without an answer');
  return error;
}

async function connect(stack: NetStack, url: URL, flags: CurlFlags, signal: AbortSignal): Promise<Socket> {
  const name = withoutBrackets(url.hostname);
  const secure = url.protocol === 'https:';
  const asked = url.port === '' ? (secure ? HTTPS_PORT : HTTP_PORT) : Number(url.port);
  const { name: reached, port } = redirected(flags.connectTo, name, asked);
  const host = pinned(flags.resolve, reached, port) ?? reached;
  const { localAddress } = flags;
  const options: ConnectOptions = {
    host,
    port,
    noDelay: flags.tcpNodelay,
    keepAlive: flags.keepalive,
    keepAliveInitialDelay: (flags.keepaliveTime ?? KEEPALIVE_S) * 1000,
    timeoutMs: flags.connectTimeout * 1000,
    family: flags.ipv4 ? 4 : flags.ipv6 ? 6 : 0,
    localAddress,
    signal,
    tls: secure && { servername: name, alpnProtocols: ['http/1.1'], ...tlsOptionsOf(flags) },
  };
  const socket = await connectFrom(stack, options, portsOf(flags.localPort));
  if (flags.verbose > 0) noteConnected(socket);
  return socket;
}

/** `5000-5010`. @throws NetError ARGUMENT_INVALID */
function portsOf(text: string | undefined): { readonly first: number; readonly last: number } {
  const [, first = '0', last = first] = /^(\d+)(?:-(\d+))?$/.exec(text ?? '0') ?? ['', '1', '0'];
  const range = { first: Number(first), last: Number(last) };
  if (range.first <= range.last && range.last <= 65_535) return range;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `--local-port is a port or a range of them such as 5000-5010, got '${text}'`,
  });
}

/** From the first port that is free. @throws NetError why it could not, of the last port */
async function connectFrom(
  stack: NetStack,
  options: ConnectOptions,
  { first, last }: { readonly first: number; readonly last: number },
): Promise<Socket> {
  for (let localPort = first; localPort < last; localPort++) {
    try {
      return await stack.connect({ ...options, localPort });
    } catch (error) {
      if (!(error instanceof NetError) || error.tunwireCode !== 'ADDRESS_IN_USE') throw error;
    }
  }
  return stack.connect({ ...options, localPort: last });
}

/** Where `--connect-to` has a name and port go instead; as with curl, what is left empty stands for any, or for the same. */
function redirected(entries: readonly string[], name: string, port: number): { name: string; port: number } {
  const end = '(\\[[^\\]]*\\]|[^:]*):(\\d*)';
  const form = new RegExp(`^${end}:${end}$`);
  for (const entry of entries) {
    const [match, host = '', at = '', otherHost = '', otherPort = ''] = form.exec(entry) ?? [];
    if (match === undefined || Number(otherPort) > 65_535) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `--connect-to is HOST:PORT:HOST:PORT, got '${entry}'`,
      });
    }
    if (host !== '' && withoutBrackets(host).toLowerCase() !== name.toLowerCase()) continue;
    if (at !== '' && Number(at) !== port) continue;
    return {
      name: otherHost === '' ? name : withoutBrackets(otherHost),
      port: otherPort === '' ? port : Number(otherPort),
    };
  }
  return { name, port };
}

function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

/** The address that `--resolve` has for a name and port. */
function pinned(entries: readonly string[], name: string, port: number): string | null {
  for (const entry of entries) {
    const [, host, at, address = ''] = /^([^:]+):(\d+):\[?([^\]]+)\]?$/.exec(entry) ?? [];
    if (host === undefined) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `--resolve is HOST:PORT:ADDRESS, got '${entry}'`,
      });
    }
    if (host.toLowerCase() === name.toLowerCase() && Number(at) === port) return address;
  }
  return null;
}

function headersOf(flags: CurlFlags, body: Buffer | null): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {
    'User-Agent': USER_AGENT,
    Accept: '*/*',
    Connection: 'close',
  };
  if (body !== null) {
    headers['Content-Type'] = 'application/x-www-form-urlencoded';
    headers['Content-Length'] = String(body.length);
  }
  for (const line of flags.header) {
    const [, name = '', value = ''] = /^([^:\s]+)\s*:\s*(.*)$/.exec(line) ?? [];
    if (name === '') {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `--header is 'NAME: VALUE', got '${line}'`,
      });
    }
    for (const known of Object.keys(headers))
      if (known.toLowerCase() === name.toLowerCase()) delete headers[known];
    headers[name] = value;
  }
  return headers;
}

/** Takes the body in. */
async function finish(exchange: Exchange, redirects: number, flags: CurlFlags): Promise<ExitCode> {
  const { response, socket } = exchange;
  const status = response.statusCode ?? 0;
  const failed = flags.fail === true && status >= 400;
  const fd = flags.output === undefined ? STDOUT : openOutput(flags.output);
  const keeps = !failed && (fd !== STDOUT || !flags.json);
  let bodyBytes = 0;
  const total = Number(response.headers['content-length'] ?? 0);
  const progress = new Progress(total, fd !== STDOUT && !flags.silent);
  try {
    if (keeps && (flags.include || flags.head)) await writeAll(fd, Buffer.from(headOf(response), 'latin1'));
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (keeps) await writeAll(fd, chunk);
      bodyBytes += chunk.length;
      progress.add(chunk.length);
    }
  } catch (error) {
    if (error instanceof OutputError || socket.errored !== null) throw socket.errored ?? error;
    throw new ExitError(
      ExitCode.Partial,
      `the server has ended the connection after ${bodyBytes} bytes of the body${total > 0 ? `, of ${total}` : ''}`,
    );
  } finally {
    progress.end();
    if (fd !== STDOUT) closeSync(fd);
  }
  const totalMs = performance.now() - exchange.startedAt;
  if (flags.json)
    await writeAll(
      STDOUT,
      Buffer.from(`${JSON.stringify(reportOf(exchange, redirects, bodyBytes, totalMs, flags))}\n`),
    );
  if (flags.writeOut !== undefined) {
    const { url, response: head, firstByteAt, startedAt } = exchange;
    const { method } = exchange;
    const firstByteMs = firstByteAt - startedAt;
    const told = {
      url: url.href,
      method,
      response: head,
      socket,
      redirects,
      bodyBytes,
      firstByteMs,
      totalMs,
    };
    await writeAll(STDOUT, Buffer.from(writeOut(flags.writeOut, told)));
  }
  if (flags.verbose > 0) note(`${bodyBytes} bytes in ${formatMs(totalMs)}`);
  socket.destroy();
  if (!failed) return ExitCode.Ok;
  throw new ExitError(ExitCode.Status, `the server answers ${status} ${response.statusMessage}`);
}

/** Everything that goes over a connection, within its TLS. @throws ExitError */
function traceAll(socket: Socket, url: URL, file: string): void {
  let trace: AsciiTrace;
  try {
    trace = new AsciiTrace(file);
  } catch (error) {
    throw new ExitError(ExitCode.Output, `--trace-ascii: ${(error as Error).message}`);
  }
  trace.info(`connected to ${url.hostname} (${socket.remoteAddress}) port ${socket.remotePort}`);
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  socket.write = ((chunk: Uint8Array | string, ...rest: unknown[]): boolean => {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk;
    trace.add('=> Send data', bytes);
    return write(chunk, ...rest);
  }) as Socket['write'];
  socket.prependListener('data', (chunk: Buffer) => trace.add('<= Recv data', chunk));
}

function openOutput(file: string): number {
  try {
    return openSync(file, 'w');
  } catch (error) {
    throw new ExitError(ExitCode.Output, `--output: ${(error as Error).message}`);
  }
}

function headOf(response: IncomingMessage): string {
  const { httpVersion, statusCode, statusMessage, rawHeaders } = response;
  const lines = [`HTTP/${httpVersion} ${statusCode} ${statusMessage}`];
  for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function reportOf(
  { url, socket, response, startedAt, firstByteAt }: Exchange,
  redirects: number,
  bodyBytes: number,
  totalMs: number,
  flags: CurlFlags,
): object {
  return {
    url: url.href,
    status: response.statusCode,
    statusMessage: response.statusMessage,
    httpVersion: response.httpVersion,
    headers: response.headersDistinct,
    bodyBytes,
    file: flags.output ?? null,
    redirects,
    local: { address: socket.localAddress, port: socket.localPort },
    remote: { address: socket.remoteAddress, port: socket.remotePort },
    tls: socket.encrypted
      ? {
          version: socket.getProtocol(),
          cipherSuite: socket.getCipher()?.standardName,
          authorized: socket.authorized,
          authorizationError: socket.authorizationError?.message ?? null,
        }
      : null,
    times: { ...socket.times, firstByteMs: firstByteAt - startedAt, totalMs },
  };
}

function noteConnected(socket: Socket): void {
  const { resolveMs, connectMs, handshakeMs } = socket.times;
  note(`resolved to ${socket.remoteAddress} in ${formatMs(resolveMs)}`);
  note(
    `connected to ${socket.remoteAddress} port ${socket.remotePort} from ${socket.localAddress} port ${socket.localPort} in ${formatMs(connectMs)}`,
  );
  if (!socket.encrypted) return;
  note(`${socket.getProtocol()}, ${socket.getCipher()?.standardName} in ${formatMs(handshakeMs)}`);
  note(
    socket.authorized
      ? 'certificate valid'
      : `certificate accepted by --trusted-site: ${socket.authorizationError?.message}`,
  );
}
