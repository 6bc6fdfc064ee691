import type { ErrorCode, NetError } from '../stack/errors.ts';

/** The exit codes of all verbs: curl's, where it has one. */
export const ExitCode = {
  Ok: 0,
  /** A defect, or what no other code says. */
  Failed: 1,
  /** A protocol that we do not speak. */
  Protocol: 1,
  /** The command line is wrong. */
  Usage: 2,
  /** No URL, or none that we can fetch. */
  Url: 3,
  Resolve: 6,
  Connect: 7,
  /** The answer is not in the protocol. */
  WeirdReply: 8,
  /** The body has ended too early. */
  Partial: 18,
  /** The status says failure. */
  Status: 22,
  /** Standard output takes no more. */
  Output: 23,
  /** A file that is to be sent cannot be read. */
  Read: 26,
  /** Not done within --timeout, in whatever phase. */
  Timeout: 28,
  /** The TLS handshake failed. */
  Handshake: 35,
  /** The device cannot be used. */
  Device: 45,
  /** Too many redirections. */
  Redirects: 47,
  /** The server has closed the connection without an answer. */
  NoAnswer: 52,
  Send: 55,
  Receive: 56,
  /** No such cipher suite. */
  Cipher: 59,
  Certificate: 60,
  /** The server does not go over to TLS. */
  StartTls: 64,
  /** The file of trusted certificates cannot be used. */
  Authorities: 77,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** @param transfer what a failure of the transfer phase counts as: the direction in which it showed */
export function exitCodeOf(error: NetError, transfer: ExitCode = ExitCode.Receive): ExitCode {
  const code = error.tunwireCode;
  if ('exitCode' in error) return error.exitCode as ExitCode;
  if (code === 'DEVICE_FAILED' || code === 'DEVICE_LOST') return ExitCode.Device;
  if (code.startsWith('CERT_')) return ExitCode.Certificate;
  switch (error.phase) {
    case 'argument':
      return ExitCode.Usage;
    case 'resolve':
      return isTimeout(code) ? ExitCode.Timeout : ExitCode.Resolve;
    case 'route':
    case 'connect':
      return isTimeout(code) ? ExitCode.Timeout : ExitCode.Connect;
    case 'handshake':
      return isTimeout(code) ? ExitCode.Timeout : ExitCode.Handshake;
    case 'transfer':
    case 'close':
      return transfer;
    default:
      return code === 'ARGUMENT_INVALID' ? ExitCode.Usage : ExitCode.Failed;
  }
}

function isTimeout(code: ErrorCode): boolean {
  return code === 'TIMEOUT' || code === 'DNS_TIMEOUT';
}

/** What to do next about a failure, as one clause; '' when its message says it already. */
export function nextStep(error: NetError): string {
  switch (error.tunwireCode) {
    case 'HOST_NOT_FOUND':
    case 'HOST_NO_ADDRESS':
      return 'check the name, or give it an address in a hosts file (--hosts FILE)';
    case 'DNS_FAILURE':
      return 'ask another name server with --dns IP, or use a hosts file (--hosts FILE)';
    case 'DNS_TIMEOUT':
      return 'check --dns, and that the name server knows a way back to the address of --addr';
    case 'NETWORK_UNREACHABLE':
      return 'name a gateway with --gw IP, or an address in that network with --addr CIDR';
    case 'HOST_UNREACHABLE':
      return 'check the gateway (--gw IP) and its routes';
    case 'ADDRESS_NOT_AVAILABLE':
      return 'give the stack an address of that family with --addr CIDR';
    case 'CONNECT_REFUSED':
      return 'check that the server runs, and its port';
    case 'TIMEOUT':
      return timeoutStep(error);
    case 'RESET':
      return 'see the log of the server; --capture FILE shows the packets';
    case 'TLS_TRUNCATED':
      return 'the data may be incomplete; if the server gave up because standard input had ended, use --no-shutdown';
    case 'TLS_HANDSHAKE':
    case 'TLS_ALERT':
    case 'TLS_PROTOCOL':
      return 'check that the server speaks TLS 1.2 or 1.3 on this port (devices with older ones take --secure-fallback); --capture FILE --capture-secrets shows the handshake';
    case 'CERT_UNTRUSTED':
      return 'name the authority with --cafile FILE, or accept any certificate with --trusted-site';
    case 'CERT_NAME_MISMATCH':
      return 'connect by a name that the certificate has, or accept any with --trusted-site';
    case 'CERT_EXPIRED':
    case 'CERT_REVOKED':
    case 'CERT_INVALID':
      return 'renew the certificate of the server, or accept any with --trusted-site';
    case 'INTERNAL':
      return 'this is a defect in tunwire: please report it';
    default:
      return '';
  }
}

function timeoutStep(error: NetError): string {
  switch (error.phase) {
    case 'resolve':
      return 'check --dns, and that the name server knows a way back to the address of --addr';
    case 'connect':
      return 'check the address, firewalls, and that the host knows a way back to the address of --addr';
    case 'transfer':
    case 'close':
      return 'the peer or the way to it is gone; --capture FILE shows the packets';
    default:
      return '';
  }
}
