/** In which part of its life a connection failed. */
export const Phase = {
  None: 0,
  Argument: 1,
  Resolve: 2,
  Route: 3,
  Connect: 4,
  Handshake: 5,
  Transfer: 6,
  Close: 7,
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/** The name of a phase as users see it (`error.phase`). */
export const PHASE_NAMES = [
  'none',
  'argument',
  'resolve',
  'route',
  'connect',
  'handshake',
  'transfer',
  'close',
] as const;

interface ErrorRow {
  /** Travels through shared memory; never changes once published. */
  readonly number: number;
  /** The code that Node programs know, or the same stable name when there is none. */
  readonly errno: string;
  /** One sentence; the message adds what was expected, what came and from where. */
  readonly text: string;
}

/** The closed set of errors. The keys are the stable codes. */
export const ERRORS = {
  HOST_INVALID: { number: 1, errno: 'EINVAL', text: 'the host name is not valid' },
  PORT_INVALID: { number: 2, errno: 'ERR_SOCKET_BAD_PORT', text: 'the port is not in 1 … 65535' },
  PROTOCOL_INVALID: { number: 3, errno: 'EPROTONOSUPPORT', text: 'the protocol is neither TCP nor UDP' },
  OPTION_INVALID: { number: 4, errno: 'EINVAL', text: 'the options do not fit together' },
  ARGUMENT_INVALID: { number: 5, errno: 'EINVAL', text: 'an argument is not valid' },
  HOST_NOT_FOUND: { number: 10, errno: 'ENOTFOUND', text: 'no such host' },
  HOST_NO_ADDRESS: { number: 11, errno: 'ENODATA', text: 'the host name exists but has no usable address' },
  DNS_TIMEOUT: { number: 12, errno: 'ETIMEOUT', text: 'no name server answered in time' },
  DNS_FAILURE: { number: 13, errno: 'EAI_AGAIN', text: 'the name server could not answer' },
  DNS_NO_SERVER: { number: 14, errno: 'EAI_FAIL', text: 'no name server is configured' },
  NETWORK_UNREACHABLE: { number: 20, errno: 'ENETUNREACH', text: 'no route to the network' },
  HOST_UNREACHABLE: { number: 21, errno: 'EHOSTUNREACH', text: 'the host cannot be reached' },
  ADDRESS_NOT_AVAILABLE: {
    number: 22,
    errno: 'EADDRNOTAVAIL',
    text: 'no such local address or no free port',
  },
  ADDRESS_IN_USE: { number: 23, errno: 'EADDRINUSE', text: 'the local address and port are in use' },
  ACCESS_DENIED: { number: 24, errno: 'EACCES', text: 'not permitted without the matching option' },
  CONNECT_REFUSED: { number: 30, errno: 'ECONNREFUSED', text: 'the host refused the connection' },
  TIMEOUT: { number: 31, errno: 'ETIMEDOUT', text: 'the operation did not finish in time' },
  RESET: { number: 32, errno: 'ECONNRESET', text: 'the peer reset the connection' },
  ABORTED: { number: 33, errno: 'ECONNABORTED', text: 'the connection was aborted on this side' },
  NOT_CONNECTED: { number: 34, errno: 'ENOTCONN', text: 'the socket is not connected' },
  SHUT_DOWN: { number: 35, errno: 'EPIPE', text: 'the socket was shut down for writing' },
  WOULD_BLOCK: { number: 36, errno: 'EAGAIN', text: 'the operation would have to wait' },
  CANCELLED: { number: 37, errno: 'ABORT_ERR', text: 'the operation was cancelled' },
  MESSAGE_TOO_LONG: { number: 38, errno: 'EMSGSIZE', text: 'the datagram is too long' },
  NO_BUFFERS: { number: 39, errno: 'ENOBUFS', text: 'a memory or table limit is reached' },
  HANDLE_INVALID: { number: 50, errno: 'EBADF', text: 'not a socket handle' },
  WRONG_THREAD: { number: 51, errno: 'EPERM', text: 'the handle belongs to another thread' },
  NOT_INITIALIZED: { number: 52, errno: 'ENODEV', text: 'no engine is running' },
  DEVICE_FAILED: { number: 53, errno: 'ENODEV', text: 'the device could not be opened' },
  DEVICE_LOST: { number: 54, errno: 'ENETDOWN', text: 'the device is gone' },
  ENGINE_STOPPED: { number: 55, errno: 'ENETDOWN', text: 'the engine has stopped' },
  TLS_HANDSHAKE: { number: 60, errno: 'EPROTO', text: 'the TLS handshake failed' },
  TLS_ALERT: { number: 61, errno: 'EPROTO', text: 'the peer ended TLS with an alert' },
  TLS_PROTOCOL: { number: 62, errno: 'EPROTO', text: 'the peer broke the TLS protocol' },
  TLS_TRUNCATED: { number: 63, errno: 'ECONNRESET', text: 'the connection ended without TLS close_notify' },
  CERT_NAME_MISMATCH: {
    number: 70,
    errno: 'ERR_TLS_CERT_ALTNAME_INVALID',
    text: 'the certificate is for another name',
  },
  CERT_EXPIRED: { number: 71, errno: 'CERT_HAS_EXPIRED', text: 'the certificate is not valid at this time' },
  CERT_REVOKED: { number: 72, errno: 'CERT_REVOKED', text: 'the certificate was revoked' },
  CERT_UNTRUSTED: {
    number: 73,
    errno: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    text: 'the certificate does not lead to a trusted root',
  },
  CERT_INVALID: {
    number: 74,
    errno: 'ERR_TLS_CERT_INVALID',
    text: 'the certificate is damaged or not allowed',
  },
  CREDENTIALS_NOT_FOUND: {
    number: 80,
    errno: 'ERR_TLS_CREDENTIALS_NOT_FOUND',
    text: 'there is no such certificate store, certificate or private key',
  },
  CREDENTIALS_PASSWORD: {
    number: 81,
    errno: 'ERR_TLS_CREDENTIALS_PASSWORD',
    text: 'the password of the credentials is wrong or missing',
  },
  CREDENTIALS_INVALID: {
    number: 82,
    errno: 'ERR_TLS_CREDENTIALS_INVALID',
    text: 'the credentials are damaged or do not belong together',
  },
  INTERNAL: { number: 99, errno: 'ERR_INTERNAL_ASSERTION', text: 'a defect in tunwire' },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** The code of a number of the table; unknown numbers are INTERNAL. */
export function errorCodeOf(number: number): ErrorCode {
  const rows: Readonly<Record<ErrorCode, ErrorRow>> = ERRORS;
  for (const code of Object.keys(rows) as ErrorCode[]) if (rows[code].number === number) return code;
  return 'INTERNAL';
}

/** What is known of a failure beside its code. */
export interface ErrorDetail {
  readonly phase: Phase;
  /** What was expected, what came, from where, what to do. Follows the code's own sentence. */
  readonly detail?: string;
  readonly address?: string;
  readonly port?: number;
  readonly cause?: unknown;
  /** What Node programs know this very failure by, where it is more exact than that of the table. */
  readonly code?: string;
  /** What has failed one by one, when it is several: addresses of a name. */
  readonly errors?: readonly NetError[];
}

/**
 * Every failure that users see. `code` is what Node programs test for (ECONNREFUSED …), `name` stays 'NetError',
 * `tunwireCode` is the stable code of {@link ERRORS}.
 */
export class NetError extends Error {
  override readonly name = 'NetError';
  readonly tunwireCode: ErrorCode;
  readonly code: string;
  readonly phase: (typeof PHASE_NAMES)[number];
  /** What the message says after the code's own sentence; '' when there is nothing to add. */
  readonly detail: string;
  readonly address: string | undefined;
  readonly port: number | undefined;
  /** The failures of each address, in their order, when there was more than one; undefined otherwise. */
  readonly errors: readonly NetError[] | undefined;
  /** Milliseconds from the beginning of the connection to its failure, where somebody has measured them. */
  elapsedMs: number | undefined = undefined;

  constructor(tunwireCode: ErrorCode, where: ErrorDetail) {
    const row = ERRORS[tunwireCode];
    super(
      where.detail ? `${row.text}: ${where.detail}` : row.text,
      where.cause === undefined ? undefined : { cause: where.cause },
    );
    this.tunwireCode = tunwireCode;
    this.code = where.code ?? row.errno;
    this.phase = PHASE_NAMES[where.phase] ?? 'none';
    this.detail = where.detail ?? '';
    this.address = where.address;
    this.port = where.port;
    this.errors = where.errors;
  }
}
