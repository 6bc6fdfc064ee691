import { readFileSync } from 'node:fs';
import { NetError, Phase } from '../stack/errors.ts';
import type { ClientCredentials, SessionStore, Signer, TlsTuning } from '../tls/client.ts';
import { CredentialsError, type CredentialsFault } from '../tls/credentials/errors.ts';
import { readCredentials } from '../tls/credentials/store.ts';
import {
  CREDENTIAL_STORE_DEFAULT,
  CREDENTIAL_STORE_FILENAME,
  SECURITY_PROTOCOL_DEFAULT,
} from './constants.ts';
import { failed } from './error-codes.ts';
import type { OutValue } from './out.ts';
import { versionsFor } from './security.ts';

/** What `dwSize` of SECURITYCREDENTIALS must be. Own: its fields' bytes in C on a 32-bit system. */
export const SECURITYCREDENTIALS_SIZE = 40;

/**
 * What a secure connection is to be made with, besides the options of InetConnect. Every field may be left out, but for a client
 * certificate dwSize, lpszCertStore and lpszCertName have to be there. The field list is from memory, the structure's page is
 * not published in what we know.
 */
export interface SECURITYCREDENTIALS {
  /** SECURITYCREDENTIALS_SIZE. */
  readonly dwSize?: number;
  /**
   * SECURITY_PROTOCOL_* that may be used, combined by `|`; DEFAULT or nothing: all that are allowed. TLS10 and TLS11 are with
   * INET_OPTION_SECURE_FALLBACK.
   */
  readonly dwProtocol?: number;
  /** CREDENTIAL_STORE_*: where the store is. Only files are. */
  readonly dwOptions?: number;
  readonly dwReserved?: number;
  /** The name the certificate must be for, when it is not the host name. */
  readonly lpszHostName?: string | null;
  readonly lpszUserName?: string | null;
  /** Of the store, or of the key. */
  readonly lpszPassword?: string | null;
  /** The file with the client certificate: PKCS#12, PEM or DER. */
  readonly lpszCertStore?: string | null;
  /** Which certificate of the store: its friendly name, its common name, a DNS name in it or its whole subject. */
  readonly lpszCertName?: string | null;
  /** The file with the private key, PEM or DER, when it is not in the store. */
  readonly lpszKeyFile?: string | null;
  /**
   * Own. Signs with a key that this process does not have (a card, an agent); the store has only the certificate then, and lpszKeyFile is
   * not looked at.
   */
  readonly signer?: Signer | null;
  /**
   * Own, not SocketWrench's: what few connections need to be different, for testers above all (another ClientHello, how it is cut into
   * records and segments, a trace of the handshake's messages).
   */
  readonly tuning?: TlsTuning | null;
  /** Own. Application protocols in the order of preference (ALPN); `lpszProtocol` of SECURITYINFO tells which one the server selected. */
  readonly alpnProtocols?: readonly string[] | null;
  /**
   * Own. Where sessions are looked for and kept, to be resumed by later connections to the same host and port (`new MemorySessionStore()`).
   * Nothing: each handshake is a full one. Only the thread that connects keeps sessions.
   */
  readonly sessions?: SessionStore | null;
  /**
   * Own. RFC 8446 §2.3: sent before the server has answered where a session of before allows it (`dwResumption` of SECURITYINFO tells), else
   * first thing after the handshake. Whoever is between can send it to the server again: only for what may be done twice.
   */
  readonly earlyData?: Uint8Array | null;
  /**
   * Own. Certificate Transparency (RFC 6962): the public keys of the logs whose timestamps count, PEM text or DER bytes
   * (SubjectPublicKeyInfo).
   */
  readonly timestampLogs?: readonly (string | Uint8Array)[] | null;
  /**
   * Own. So many different logs of `timestampLogs` must have promised to publish the server's certificate, else the call fails with
   * CERT_INVALID. 0 … the number of logs; default 1 when there are logs.
   */
  readonly minTimestamps?: number | null;
}

/**
 * Makes credentials for InetConnect and its kin. The store is not looked into: {@link InetValidateSecurityCredentials} does.
 *
 * @param protocol SECURITY_PROTOCOL_*, combined by `|`; DEFAULT: all that are allowed
 * @param options CREDENTIAL_STORE_*
 * @param userName kept, and not used by TLS; null: none
 * @param password of the store, or of its key; null: none
 * @param certStore file with the client certificate; null: none is given
 * @param certName which certificate of the store; null: none
 * @param credentials takes the result
 * @returns false on failure: ARGUMENT_INVALID (0x80042726), OPTION_INVALID (0x80042732)
 *
 * Source: the names are known, the signature is not published.
 *
 * @example
 * const made: OutValue<SECURITYCREDENTIALS | null> = { value: null };
 * InetCreateSecurityCredentials(SECURITY_PROTOCOL_TLS13, CREDENTIAL_STORE_FILENAME, null, 'secret', 'client.p12', 'bench 7', made);
 */
export function InetCreateSecurityCredentials(
  protocol: number,
  options: number,
  userName: string | null,
  password: string | null,
  certStore: string | null,
  certName: string | null,
  credentials: OutValue<SECURITYCREDENTIALS | null>,
): boolean {
  try {
    const made = {
      dwSize: SECURITYCREDENTIALS_SIZE,
      dwProtocol: protocol,
      dwOptions: options,
      lpszUserName: userName,
      lpszPassword: password,
      lpszCertStore: certStore,
      lpszCertName: certName,
    };
    check(made);
    credentials.value = made;
    return true;
  } catch (error) {
    return failed(error, false);
  }
}

/**
 * Looks whether credentials can be used: the store is read, the certificate and its key are found and belong together.
 * @returns false when not: ARGUMENT_INVALID (0x80042726), OPTION_INVALID (0x80042732), CREDENTIALS_NOT_FOUND, CREDENTIALS_PASSWORD,
 * CREDENTIALS_INVALID
 *
 * Source: the name is known, the signature is not published.
 *
 * @example
 * if (!InetValidateSecurityCredentials({ ...credentials, lpszPassword })) console.error(InetGetErrorString(InetGetLastError()));
 */
export function InetValidateSecurityCredentials(credentials: SECURITYCREDENTIALS): boolean {
  try {
    clientCredentialsFor(credentials);
    return true;
  } catch (error) {
    return failed(error, false);
  }
}

/**
 * Lets go of credentials, and of the password in them as far as JavaScript lets one.
 * @param credentials has `null` afterwards
 *
 * Source: the name is known, the signature is not published.
 *
 * @example
 * InetDeleteSecurityCredentials(made);
 */
export function InetDeleteSecurityCredentials(credentials: OutValue<SECURITYCREDENTIALS | null>): void {
  credentials.value = null;
}

/**
 * The client certificate that credentials name, with its key.
 * @returns null when they name none
 * @throws NetError ARGUMENT_INVALID, OPTION_INVALID, CREDENTIALS_*
 */
export function clientCredentialsFor(credentials: SECURITYCREDENTIALS | null): ClientCredentials | null {
  if (credentials !== null) check(credentials);
  const { lpszCertStore, lpszCertName, lpszKeyFile, lpszPassword, signer = null } = credentials ?? {};
  if (!lpszCertStore && !lpszCertName && !lpszKeyFile) return null;
  // the page: "the fields dwSize, lpszCertStore, and lpszCertName must be defined"
  if (!lpszCertStore || !lpszCertName || credentials?.dwSize === undefined) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: 'for a client certificate dwSize, lpszCertStore and lpszCertName have to be given',
    });
  }
  const store = read(lpszCertStore);
  const key = lpszKeyFile && signer === null ? read(lpszKeyFile) : null;
  try {
    return readCredentials(store, { password: lpszPassword ?? null, name: lpszCertName, key, signer });
  } catch (error) {
    if (!(error instanceof CredentialsError)) throw error;
    throw new NetError(CODES[error.fault], {
      phase: Phase.Argument,
      detail: `${lpszCertStore}: ${error.message}`,
      cause: error,
    });
  }
}

const CODES = {
  missing: 'CREDENTIALS_NOT_FOUND',
  password: 'CREDENTIALS_PASSWORD',
  broken: 'CREDENTIALS_INVALID',
} as const satisfies Readonly<Record<CredentialsFault, string>>;

function check(credentials: SECURITYCREDENTIALS): void {
  const { dwSize, dwOptions = CREDENTIAL_STORE_DEFAULT } = credentials;
  if (dwSize !== undefined && dwSize !== SECURITYCREDENTIALS_SIZE) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `dwSize must be SECURITYCREDENTIALS_SIZE (${SECURITYCREDENTIALS_SIZE}), got ${dwSize}`,
    });
  }
  if (dwOptions !== CREDENTIAL_STORE_DEFAULT && dwOptions !== CREDENTIAL_STORE_FILENAME) {
    throw new NetError('OPTION_INVALID', {
      phase: Phase.Argument,
      detail: `dwOptions 0x${dwOptions.toString(16)}: a store is a file here, CREDENTIAL_STORE_FILENAME`,
    });
  }
  const isFallback = (credentials.dwProtocol ?? SECURITY_PROTOCOL_DEFAULT) !== SECURITY_PROTOCOL_DEFAULT;
  versionsFor(credentials, isFallback);
}

function read(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new NetError('CREDENTIALS_NOT_FOUND', {
      phase: Phase.Argument,
      detail: `${path} cannot be read: ${cause instanceof Error ? cause.message : cause}`,
      cause,
    });
  }
}
