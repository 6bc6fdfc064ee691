import { ERRORS, type ErrorCode, NetError } from '../stack/errors.ts';

/**
 * Severity 1 and FACILITY_ITF, under which SocketWrench numbers its errors; a Winsock code follows in the low half.
 */
const INET_FACILITY = 0x80040000;
/** Own: where there is no Winsock code, 0xF000 and the number of stack/errors.ts stand in its place. */
const OWN = 0xf000;

/** One way to fail, as users of the InetConnect family see it. */
export interface InetErrorRow {
  /** Symbolic name; the names are our own, none is published. */
  readonly name: string;
  /** Unsigned 32-bit value that InetGetLastError returns. */
  readonly number: number;
  /** What InetGetErrorString says. */
  readonly text: string;
}

/** Success: what a thread's last error is at first. */
export const ST_ERROR_NONE = 0;

/** Names, and Winsock codes or null for numbers of our own. */
const CODES = {
  HOST_INVALID: ['ST_ERROR_INVALID_HOST_NAME', null],
  PORT_INVALID: ['ST_ERROR_INVALID_PORT', null],
  PROTOCOL_INVALID: ['ST_ERROR_INVALID_PROTOCOL', 10043],
  OPTION_INVALID: ['ST_ERROR_INVALID_OPTION', 10042],
  ARGUMENT_INVALID: ['ST_ERROR_INVALID_PARAMETER', 10022],
  HOST_NOT_FOUND: ['ST_ERROR_HOST_NOT_FOUND', 11001],
  HOST_NO_ADDRESS: ['ST_ERROR_HOST_NO_DATA', 11004],
  DNS_TIMEOUT: ['ST_ERROR_HOST_TRY_AGAIN', 11002],
  DNS_FAILURE: ['ST_ERROR_HOST_NO_RECOVERY', 11003],
  DNS_NO_SERVER: ['ST_ERROR_NO_NAME_SERVER', null],
  NETWORK_UNREACHABLE: ['ST_ERROR_NETWORK_UNREACHABLE', 10051],
  HOST_UNREACHABLE: ['ST_ERROR_HOST_UNREACHABLE', 10065],
  ADDRESS_NOT_AVAILABLE: ['ST_ERROR_ADDRESS_NOT_AVAILABLE', 10049],
  ADDRESS_IN_USE: ['ST_ERROR_ADDRESS_IN_USE', 10048],
  ACCESS_DENIED: ['ST_ERROR_ACCESS_DENIED', 10013],
  CONNECT_REFUSED: ['ST_ERROR_CONNECTION_REFUSED', 10061],
  TIMEOUT: ['ST_ERROR_OPERATION_TIMEOUT', 10060],
  RESET: ['ST_ERROR_CONNECTION_RESET', 10054],
  ABORTED: ['ST_ERROR_CONNECTION_ABORTED', 10053],
  NOT_CONNECTED: ['ST_ERROR_NOT_CONNECTED', 10057],
  SHUT_DOWN: ['ST_ERROR_SHUT_DOWN', 10058],
  WOULD_BLOCK: ['ST_ERROR_WOULD_BLOCK', 10035],
  // WSAEINTR: what a cancelled blocking call ends with in Winsock
  CANCELLED: ['ST_ERROR_OPERATION_CANCELLED', 10004],
  MESSAGE_TOO_LONG: ['ST_ERROR_MESSAGE_TOO_LONG', 10040],
  NO_BUFFERS: ['ST_ERROR_NO_BUFFERS', 10055],
  HANDLE_INVALID: ['ST_ERROR_INVALID_HANDLE', 10038],
  WRONG_THREAD: ['ST_ERROR_WRONG_THREAD', null],
  NOT_INITIALIZED: ['ST_ERROR_NOT_INITIALIZED', 10093],
  // WSASYSNOTREADY: the network subsystem cannot be used
  DEVICE_FAILED: ['ST_ERROR_DEVICE_FAILED', 10091],
  DEVICE_LOST: ['ST_ERROR_NETWORK_DOWN', 10050],
  ENGINE_STOPPED: ['ST_ERROR_ENGINE_STOPPED', null],
  TLS_HANDSHAKE: ['ST_ERROR_TLS_HANDSHAKE', null],
  TLS_ALERT: ['ST_ERROR_TLS_ALERT', null],
  TLS_PROTOCOL: ['ST_ERROR_TLS_PROTOCOL', null],
  TLS_TRUNCATED: ['ST_ERROR_TLS_TRUNCATED', null],
  CERT_NAME_MISMATCH: ['ST_ERROR_CERTIFICATE_NOMATCH', null],
  CERT_EXPIRED: ['ST_ERROR_CERTIFICATE_EXPIRED', null],
  CERT_REVOKED: ['ST_ERROR_CERTIFICATE_REVOKED', null],
  CERT_UNTRUSTED: ['ST_ERROR_CERTIFICATE_UNTRUSTED', null],
  CERT_INVALID: ['ST_ERROR_CERTIFICATE_INVALID', null],
  CREDENTIALS_NOT_FOUND: ['ST_ERROR_CREDENTIALS_NOT_FOUND', null],
  CREDENTIALS_PASSWORD: ['ST_ERROR_CREDENTIALS_PASSWORD', null],
  CREDENTIALS_INVALID: ['ST_ERROR_CREDENTIALS_INVALID', null],
  INTERNAL: ['ST_ERROR_INTERNAL', null],
} as const satisfies Readonly<Record<ErrorCode, readonly [name: string, winsock: number | null]>>;

/** All errors by the stable code of the stack: name, number and sentence. */
export const INET_ERRORS: Readonly<Record<ErrorCode, InetErrorRow>> = buildTable();

const BY_NUMBER: ReadonlyMap<number, InetErrorRow> = new Map(
  Object.values(INET_ERRORS).map((row) => [row.number, row]),
);

/** Module state is per thread: so is the last error. */
let lastCode = ST_ERROR_NONE;
let lastFailure: NetError | null = null;

/**
 * The reason of this thread's last failure, as an unsigned 32-bit value: `0x80040000 |` a Winsock code, or one of our own
 * ({@link INET_ERRORS}); 0 when nothing has failed yet. Calls that succeed leave it as it is.
 *
 * Source: SocketWrench InetGetLastError, and its guide to error handling.
 *
 * @example
 * if (InetConnect('dut.lab.test', 80, INET_PROTOCOL_TCP, 10, 0, null) === INVALID_SOCKET) {
 *   console.error(InetGetErrorString(InetGetLastError()));
 * }
 */
export function InetGetLastError(): number {
  return lastCode;
}

/**
 * Sets this thread's last error; `InetSetLastError(0)` clears it.
 * @param code unsigned 32-bit value
 *
 * @example
 * InetSetLastError(0);
 */
export function InetSetLastError(code: number): void {
  lastCode = code >>> 0;
  lastFailure = null;
}

/**
 * The sentence for an error code. For the calling thread's last error it goes on with the details: which host, which
 * address, what came instead.
 * @param code what InetGetLastError gave
 * @returns one line of text; '' for 0; a line with the number for codes that are none of ours
 *
 * @example
 * if (InetWrite(socket, bytes) === INET_ERROR) console.error(InetGetErrorString(InetGetLastError()));
 */
export function InetGetErrorString(code: number): string {
  const unsigned = code >>> 0;
  if (unsigned === ST_ERROR_NONE) return '';
  if (lastFailure !== null && unsigned === lastCode) return lastFailure.message;
  return BY_NUMBER.get(unsigned)?.text ?? `unknown error 0x${unsigned.toString(16).toUpperCase()}`;
}

/**
 * The calling thread's last failure with everything that is known of it (phase, address, port, detail); null when there
 * was none or the last error was set by hand. An extension: SocketWrench has only the number.
 *
 * @example
 * if (InetRead(socket, buffer) === INET_ERROR) console.error(InetGetLastFailure()?.phase);
 */
export function InetGetLastFailure(): NetError | null {
  return lastFailure;
}

/**
 * Notes why a call failed. @returns `result`, so that a function can end with `return failed(error, INET_ERROR)`
 * @throws whatever is not a failure of the network or of an argument: a defect must not look like one
 */
export function failed<Result>(error: unknown, result: Result): Result {
  if (!(error instanceof NetError)) throw error;
  lastCode = INET_ERRORS[error.tunwireCode].number;
  lastFailure = error;
  return result;
}

function buildTable(): Record<ErrorCode, InetErrorRow> {
  const table = {} as Record<ErrorCode, InetErrorRow>;
  for (const code of Object.keys(CODES) as ErrorCode[]) {
    const [name, winsock] = CODES[code];
    const { number, text } = ERRORS[code];
    table[code] = { name, number: (INET_FACILITY | (winsock ?? OWN + number)) >>> 0, text };
  }
  return table;
}
