import { sign } from 'node:crypto';
import test from 'ava';
import {
  CREDENTIAL_STORE_CURRENT_USER,
  CREDENTIAL_STORE_FILENAME,
  INET_ERROR,
  INET_ERRORS,
  INET_OPTION_SECURE,
  INET_PROTOCOL_TCP,
  INVALID_SOCKET,
  InetConnect,
  InetCreateSecurityCredentials,
  InetDeleteSecurityCredentials,
  InetDisconnect,
  InetGetErrorString,
  InetGetLastError,
  InetInitialize,
  InetRead,
  InetUninitialize,
  InetValidateSecurityCredentials,
  type OutValue,
  SECURITY_PROTOCOL_DEFAULT,
  SECURITY_PROTOCOL_TLS12,
  SECURITY_PROTOCOL_TLS13,
  type SECURITYCREDENTIALS,
  SECURITYCREDENTIALS_SIZE,
} from './index.ts';
import { type Peer, PeerPort, startPeer } from './testing/peer.ts';

let peer: Peer;

test.before(async () => {
  peer = await startPeer();
  InetInitialize({
    device: peer.end,
    addresses: ['192.0.2.2/24'],
    resolver: { servers: ['192.0.2.1'], hostsFile: null },
    caFile: peer.caFile,
  });
});

test.after.always(async () => {
  InetUninitialize();
  await peer?.stop();
});

function lastCode(): string {
  const number = InetGetLastError();
  return Object.entries(INET_ERRORS).find(([, row]) => row.number === number)?.[0] ?? String(number);
}

function greeting(credentials: SECURITYCREDENTIALS | null): string {
  const socket = InetConnect(
    'peer.test',
    PeerPort.TlsClient,
    INET_PROTOCOL_TCP,
    10,
    INET_OPTION_SECURE,
    credentials,
  );
  if (socket === INVALID_SOCKET) return lastCode();
  const bytes = new Uint8Array(100);
  let text = '';
  for (let got = InetRead(socket, bytes); got !== 0; got = InetRead(socket, bytes)) {
    if (got === INET_ERROR) {
      text = lastCode();
      break;
    }
    text += new TextDecoder().decode(bytes.subarray(0, got));
  }
  InetDisconnect(socket);
  return text;
}

const full = (): SECURITYCREDENTIALS => ({
  dwSize: SECURITYCREDENTIALS_SIZE,
  lpszCertStore: peer.clientStore,
  lpszCertName: 'bench 7',
  lpszPassword: 'secret',
});

test.serial('a client certificate is given when the server asks, in both versions of TLS', (t) => {
  t.is(greeting(full()), 'hello Bench 7', InetGetErrorString(InetGetLastError()));
  t.is(greeting({ ...full(), dwProtocol: SECURITY_PROTOCOL_TLS12 }), 'hello Bench 7');
  t.is(greeting({ ...full(), dwProtocol: SECURITY_PROTOCOL_TLS13 }), 'hello Bench 7');
  t.true(['TLS_ALERT', 'RESET'].includes(greeting(null)), 'without one the server ends it');
});

test.serial('what is wrong with credentials has a code of its own, and nothing is sent', (t) => {
  t.is(greeting({ ...full(), lpszPassword: 'wrong' }), 'CREDENTIALS_PASSWORD');
  t.is(greeting({ ...full(), lpszPassword: null }), 'CREDENTIALS_PASSWORD');
  t.is(greeting({ ...full(), lpszCertName: 'Bench 8' }), 'CREDENTIALS_NOT_FOUND');
  t.is(greeting({ ...full(), lpszCertStore: '/no/such/file' }), 'CREDENTIALS_NOT_FOUND');
  t.is(greeting({ ...full(), lpszCertName: 'other.test' }), 'CREDENTIALS_INVALID', 'no key of its own');
  t.is(greeting({ ...full(), lpszKeyFile: peer.caFile }), 'CREDENTIALS_INVALID', 'no key in it');
  for (const field of ['dwSize', 'lpszCertStore', 'lpszCertName'] as const) {
    const { [field]: _left, ...rest } = full();
    t.is(greeting(rest), 'ARGUMENT_INVALID', field);
  }
  t.is(greeting({ ...full(), dwSize: 12 }), 'ARGUMENT_INVALID');
  t.is(greeting({ ...full(), dwOptions: CREDENTIAL_STORE_CURRENT_USER }), 'OPTION_INVALID');
});

test.serial('a signer signs with a key that the store has not', (t) => {
  const asked: string[] = [];
  const signer = (scheme: string, content: Uint8Array): Uint8Array => {
    asked.push(scheme);
    return sign('sha256', content, peer.clientKey);
  };
  const { lpszPassword: _secret, ...withoutPassword } = full();
  for (const dwProtocol of [SECURITY_PROTOCOL_TLS12, SECURITY_PROTOCOL_TLS13])
    t.is(greeting({ ...withoutPassword, dwProtocol, signer }), 'hello Bench 7');
  t.deepEqual(asked, ['ecdsa_secp256r1_sha256', 'ecdsa_secp256r1_sha256']);
  const removed = (): Uint8Array => {
    throw new Error('the card was removed');
  };
  t.is(greeting({ ...withoutPassword, signer: removed }), 'TLS_HANDSHAKE');
});

test.serial('credentials are made, looked at, and let go', (t) => {
  const made: OutValue<SECURITYCREDENTIALS | null> = { value: null };
  const make = (password: string, protocol: number, options: number): boolean =>
    InetCreateSecurityCredentials(protocol, options, null, password, peer.clientStore, 'Bench 7', made);
  t.true(make('secret', SECURITY_PROTOCOL_TLS13, CREDENTIAL_STORE_FILENAME));
  t.true(made.value !== null && InetValidateSecurityCredentials(made.value));
  t.is(greeting(made.value), 'hello Bench 7');
  InetDeleteSecurityCredentials(made);
  t.is(made.value, null);
  t.true(make('wrong', SECURITY_PROTOCOL_DEFAULT, CREDENTIAL_STORE_FILENAME));
  t.false(made.value !== null && InetValidateSecurityCredentials(made.value));
  t.is(lastCode(), 'CREDENTIALS_PASSWORD');
  t.false(make('secret', 0x8000, CREDENTIAL_STORE_FILENAME));
  t.is(lastCode(), 'OPTION_INVALID');
  t.false(make('secret', SECURITY_PROTOCOL_TLS13, CREDENTIAL_STORE_CURRENT_USER));
  t.is(lastCode(), 'OPTION_INVALID');
});
