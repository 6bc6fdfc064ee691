import { NetError, Phase } from '../stack/errors.ts';
import { InetConnect } from './connect.ts';
import { INET_OPTION_SECURE, INET_PROTOCOL_TCP, INET_PROTOCOL_UDP, INVALID_SOCKET } from './constants.ts';
import type { SECURITYCREDENTIALS } from './credentials.ts';
import { failed } from './error-codes.ts';

interface Scheme {
  /** 0: the URL has to name one. */
  readonly port: number;
  /** Implicit TLS. */
  readonly secure: boolean;
  readonly protocol: number;
}

/** Ports as registered with IANA; `tcp`, `tls` and `udp` are for whatever has no scheme of its own. */
const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
  ['http:', { port: 80, secure: false, protocol: INET_PROTOCOL_TCP }],
  ['https:', { port: 443, secure: true, protocol: INET_PROTOCOL_TCP }],
  ['ws:', { port: 80, secure: false, protocol: INET_PROTOCOL_TCP }],
  ['wss:', { port: 443, secure: true, protocol: INET_PROTOCOL_TCP }],
  ['ftp:', { port: 21, secure: false, protocol: INET_PROTOCOL_TCP }],
  ['ftps:', { port: 990, secure: true, protocol: INET_PROTOCOL_TCP }],
  ['smtp:', { port: 25, secure: false, protocol: INET_PROTOCOL_TCP }],
  ['smtps:', { port: 465, secure: true, protocol: INET_PROTOCOL_TCP }],
  ['pop3:', { port: 110, secure: false, protocol: INET_PROTOCOL_TCP }],
  ['pop3s:', { port: 995, secure: true, protocol: INET_PROTOCOL_TCP }],
  ['imap:', { port: 143, secure: false, protocol: INET_PROTOCOL_TCP }],
  ['imaps:', { port: 993, secure: true, protocol: INET_PROTOCOL_TCP }],
  ['telnet:', { port: 23, secure: false, protocol: INET_PROTOCOL_TCP }],
  ['tcp:', { port: 0, secure: false, protocol: INET_PROTOCOL_TCP }],
  ['tls:', { port: 0, secure: true, protocol: INET_PROTOCOL_TCP }],
  ['udp:', { port: 0, secure: false, protocol: INET_PROTOCOL_UDP }],
]);

/**
 * {@link InetConnect} with a URL in place of the host: the scheme says which port, which protocol and whether TLS is used. What
 * follows the host and port in the URL is not looked at: nothing is requested from the server.
 *
 * @param url `https://host`, `tcp://host:port`, …; a port in it replaces the scheme's
 * @param timeout seconds, as in InetConnect
 * @param options INET_OPTION_*, to which SECURE is added when the scheme asks for it
 * @param credentials null: none
 * @returns a handle; INVALID_SOCKET on failure, for the reasons of InetConnect; ARGUMENT_INVALID (0x80042726) for what is no
 * URL or has an unknown scheme
 *
 * Source: SocketWrench 11 names InetConnectUrl; its signature is not published.
 *
 * @example
 * const socket = InetConnectUrl('https://dut.lab.test:8443/', 10, 0, null);
 */
export function InetConnectUrl(
  url: string,
  timeout = 0,
  options = 0,
  credentials: SECURITYCREDENTIALS | null = null,
): number {
  try {
    const parsed = URL.parse(url);
    if (parsed === null) throw invalid(`${JSON.stringify(url)} is no URL; expected scheme://host`);
    const scheme = SCHEMES.get(parsed.protocol);
    if (scheme === undefined) {
      throw invalid(`the scheme ${parsed.protocol} is none of ${[...SCHEMES.keys()].join(' ')}`);
    }
    const port = parsed.port === '' ? scheme.port : Number(parsed.port);
    if (port === 0) throw invalid(`${parsed.protocol}//host needs a port: ${parsed.protocol}//host:PORT`);
    const wanted = scheme.secure ? options | INET_OPTION_SECURE : options;
    return InetConnect(parsed.hostname, port, scheme.protocol, timeout, wanted, credentials);
  } catch (error) {
    return failed(error, INVALID_SOCKET);
  }
}

function invalid(detail: string): NetError {
  return new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}
