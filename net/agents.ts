import http from 'node:http';
import https from 'node:https';
import { NetError, Phase } from '../stack/errors.ts';
import type { Socket } from './socket.ts';
import type { NetStack } from './stack.ts';
import type { TlsConnectOptions } from './tls-settings.ts';

/** What undici asks its option `connect` for; the part of `buildConnector.Options` that is of use here. */
export interface UndiciRequest {
  readonly hostname: string;
  /** Empty: the default port of the protocol. */
  readonly port: string;
  readonly protocol: string;
  readonly servername?: string | undefined;
  readonly localAddress?: string | null | undefined;
  /** A connection to a proxy that TLS is to be spoken over. */
  readonly httpSocket?: unknown;
}

export interface UndiciOptions {
  /** For https: URLs. `alpnProtocols` is ['http/1.1'] by default; undici speaks HTTP/2 when that is what was agreed on. */
  readonly tls?: TlsConnectOptions | undefined;
  /** For resolving, connecting and the TLS handshake together, in milliseconds; 0: no limit. Default 10 000, as undici has it. */
  readonly timeoutMs?: number | undefined;
}

export type UndiciConnector = (
  request: UndiciRequest,
  callback: (...result: [null, Socket] | [Error, null]) => void,
) => void;

/**
 * The option `connect` of undici's Client, Pool and Agent, versions 7 and 8.
 * @example
 * const dispatcher = new undici.Agent({ connect: undiciConnector(stack) });
 * const response = await undici.fetch('http://device.test/', { dispatcher });
 */
export function undiciConnector(stack: NetStack, options: UndiciOptions = {}): UndiciConnector {
  return (request, callback) => {
    const { hostname, protocol } = request;
    const secure = protocol === 'https:';
    if (request.httpSocket) {
      callback(unsupported('TLS inside of a proxy connection', hostname), null);
      return;
    }
    const connection = stack.connect({
      host: hostname,
      port: request.port === '' ? (secure ? 443 : 80) : Number(request.port),
      localAddress: request.localAddress ?? undefined,
      timeoutMs: options.timeoutMs ?? 10_000,
      noDelay: true,
      tls: secure && {
        servername: request.servername || undefined,
        alpnProtocols: ['http/1.1'],
        ...options.tls,
      },
    });
    connection.then(
      (socket) => callback(null, socket),
      (error: Error) => callback(error, null),
    );
  };
}

/** An agent for `http:` whose connections go through a stack. @param options default: Node's own, with `keepAlive` */
export function httpAgent(stack: NetStack, options: http.AgentOptions = { keepAlive: true }): http.Agent {
  const agent = new http.Agent(options);
  agent.createConnection = (request) => stack.createConnection(target(request));
  return agent;
}

/**
 * An agent for `https:` whose connections and TLS are those of a stack. TLS is set up here for all of its requests; only
 * `servername` can come from a request.
 * @param options default: Node's own, with `keepAlive`
 */
export function httpsAgent(
  stack: NetStack,
  tls: TlsConnectOptions = {},
  options: https.AgentOptions = { keepAlive: true },
): https.Agent {
  const agent = new https.Agent(options);
  agent.createConnection = (request) => {
    const { servername } = request as https.RequestOptions;
    return stack.createConnection({
      ...target(request),
      tls: { servername: servername || undefined, alpnProtocols: ['http/1.1'], ...tls },
    });
  };
  return agent;
}

/** What of a request decides about its connection. */
function target(request: http.ClientRequestArgs): Parameters<NetStack['createConnection']>[0] {
  if (request.socketPath) throw unsupported('socketPath', request.socketPath);
  return {
    host: request.host ?? request.hostname ?? 'localhost',
    port: Number(request.port ?? request.defaultPort),
    localAddress: request.localAddress,
    timeout: request.timeout,
    noDelay: true,
  };
}

function unsupported(what: string, where: string): NetError {
  return new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `${what} is not supported (${where})`,
  });
}
