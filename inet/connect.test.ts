import test from 'ava';
import { type ClientHelloDraft, NamedGroup, type TracedMessage } from '../tls/client.ts';
import {
  INET_ERROR,
  INET_ERRORS,
  INET_OPTION_BROADCAST,
  INET_OPTION_DONTROUTE,
  INET_OPTION_FREETHREAD,
  INET_OPTION_KEEPALIVE,
  INET_OPTION_NODELAY,
  INET_OPTION_PREFER_IPV6,
  INET_OPTION_RESERVEDPORT,
  INET_OPTION_SECURE,
  INET_OPTION_TRUSTEDSITE,
  INET_PROTOCOL_TCP,
  INET_PROTOCOL_UDP,
  INET_STATUS_IDLE,
  INTERNET_ADDRESS,
  INVALID_SOCKET,
  InetAbort,
  InetAttachThread,
  InetConnect,
  InetConnectUrl,
  InetDisconnect,
  InetGetErrorString,
  InetGetLastError,
  InetGetLastFailure,
  InetGetLocalAddress,
  InetGetPeerAddress,
  InetGetSecurityInformation,
  InetGetStatus,
  InetInitialize,
  InetIsConnected,
  InetIsReadable,
  InetRead,
  InetSetLastError,
  InetShutdown,
  InetUninitialize,
  InetWrite,
  SECURITY_CERTIFICATE_NOMATCH,
  SECURITY_CERTIFICATE_VALID,
  SECURITY_CIPHER_AES,
  SECURITY_HASH_SHA384,
  SECURITY_KEYEX_DH,
  SECURITY_KEYEX_ECDHE,
  SECURITY_PROTOCOL_NONE,
  SECURITY_PROTOCOL_TLS11,
  SECURITY_PROTOCOL_TLS12,
  SECURITY_PROTOCOL_TLS13,
  SECURITY_REVOCATION_GOOD,
  SECURITYINFO,
} from './index.ts';
import { NOBODY, type Peer, PeerPort, startPeer } from './testing/peer.ts';
import { User } from './testing/user.ts';
import type { UserTask } from './testing/user-thread.ts';

/** A thread blocks: tests run one after the other. */
const SECURE: number = INET_OPTION_SECURE;
const TIMEOUT_S = 30;

let peer: Peer;

test.before(async (t) => {
  t.is(InetConnect('peer.test', 80, INET_PROTOCOL_TCP, 1), INVALID_SOCKET);
  t.is(InetGetLastError(), INET_ERRORS.NOT_INITIALIZED.number);
  t.false(InetInitialize());
  t.is(InetGetLastError(), INET_ERRORS.NOT_INITIALIZED.number);
  peer = await startPeer();
  const started = InetInitialize({
    device: peer.end,
    addresses: ['192.0.2.2/24', '2001:db8::2/64'],
    gateways: ['192.0.2.254'],
    resolver: { servers: ['192.0.2.1'], hostsFile: null },
    caFile: peer.caFile,
    crlFile: peer.crlFile,
  });
  t.true(started, InetGetErrorString(InetGetLastError()));
});

test.after.always(async () => {
  InetUninitialize();
  await peer?.stop();
});

function open(host: string, port: number, options = 0): number {
  const socket = InetConnect(host, port, INET_PROTOCOL_TCP, TIMEOUT_S, options);
  if (socket === INVALID_SOCKET) throw new Error(InetGetErrorString(InetGetLastError()));
  return socket;
}

function text(socket: number, length = 1024): string {
  const buffer = new Uint8Array(length);
  const taken = InetRead(socket, buffer);
  if (taken === INET_ERROR) throw new Error(InetGetErrorString(InetGetLastError()));
  return Buffer.from(buffer.subarray(0, taken)).toString();
}

function send(socket: number, message: string): number {
  return InetWrite(socket, Buffer.from(message));
}

for (const [what, host, address, options] of [
  ['by name', 'peer.test', '192.0.2.1', 0],
  ['by name, IPv6 preferred', 'peer.test', '2001:db8::1', INET_OPTION_PREFER_IPV6],
  ['to a host with IPv6 only', 'six.test', '2001:db8::1', 0],
  ['to a host with IPv4 only, IPv6 preferred', 'four.test', '192.0.2.1', INET_OPTION_PREFER_IPV6],
  ['to an IPv4 address', '192.0.2.1', '192.0.2.1', 0],
  ['to an IPv6 address', '2001:db8::1', '2001:db8::1', 0],
  ['without Nagle, with keep-alive', 'peer.test', '192.0.2.1', INET_OPTION_NODELAY | INET_OPTION_KEEPALIVE],
] as const) {
  test.serial(`connects ${what}, writes, reads, disconnects`, (t) => {
    const socket = open(host, PeerPort.Echo, options);
    const where = new INTERNET_ADDRESS();
    t.is(InetGetPeerAddress(socket, where), PeerPort.Echo);
    t.is(where.toString(), address);
    t.true(InetGetLocalAddress(socket, where) > 1023);
    t.is(InetGetStatus(socket), INET_STATUS_IDLE);
    t.is(send(socket, 'ping'), 4);
    t.is(text(socket, 2), 'pi');
    t.true(InetIsReadable(socket));
    t.is(text(socket), 'ng');
    t.false(InetIsReadable(socket));
    t.true(InetIsConnected(socket));
    t.is(InetDisconnect(socket), 0);
    t.is(InetDisconnect(socket), INET_ERROR);
    t.is(InetGetLastError(), INET_ERRORS.HANDLE_INVALID.number);
  });
}

test.serial('implicit TLS: the certificate and the suite are known', (t) => {
  const socket = open('peer.test', PeerPort.TlsEcho, SECURE);
  t.is(send(socket, 'secret'), 6);
  t.is(text(socket, 3), 'sec');
  // the rest of the record is kept
  t.true(InetIsReadable(socket));
  t.is(text(socket), 'ret');
  const info = new SECURITYINFO();
  t.true(InetGetSecurityInformation(socket, info));
  t.is(info.dwProtocol, SECURITY_PROTOCOL_TLS13);
  t.is(info.dwCertStatus, SECURITY_CERTIFICATE_VALID);
  t.is(info.lpszCertSubject, 'CN=peer.test');
  t.true(info.dwCipherStrength >= 128);
  t.regex(info.lpszFingerprint, /^[0-9a-f]{64}$/);
  t.true((info.stCertExpires?.getTime() ?? 0) > Date.now());
  info.dwSize = 0;
  t.false(InetGetSecurityInformation(socket, info));
  t.is(InetGetLastError(), INET_ERRORS.ARGUMENT_INVALID.number);
  t.is(InetDisconnect(socket), 0);

  const plain = open('peer.test', PeerPort.Echo);
  const none = new SECURITYINFO();
  t.true(InetGetSecurityInformation(plain, none));
  t.is(none.dwProtocol, SECURITY_PROTOCOL_NONE);
  t.is(InetDisconnect(plain), 0);
});

test.serial(
  'tuning: another ClientHello, cut into records and pieces, and a trace; what is known of a revocation',
  (t) => {
    const messages: TracedMessage[] = [];
    const credentials = {
      tuning: {
        signedCertificateTimestamps: true,
        testing: {
          fragmentBytes: 200,
          pieces: { sizeBytes: 400, delayMs: 2 },
          clientHello: (draft: ClientHelloDraft): ClientHelloDraft => ({
            ...draft,
            extensions: [...draft.extensions, { type: 0xfafa, content: new Uint8Array(3) }],
          }),
          trace: (message: TracedMessage): unknown => messages.push(message),
        },
      },
    };
    const socket = InetConnect(
      ...(['peer.test', PeerPort.TlsEcho, INET_PROTOCOL_TCP, TIMEOUT_S, SECURE] as const),
      credentials,
    );
    t.not(socket, INVALID_SOCKET, InetGetErrorString(InetGetLastError()));
    t.true(JSON.stringify(messages[0]).includes('000000'));
    t.is(messages.at(-1)?.type, 'finished');
    const info = new SECURITYINFO();
    t.true(InetGetSecurityInformation(socket, info));
    // a list of its issuer was given, and does not name it
    t.is(info.dwRevocation, SECURITY_REVOCATION_GOOD);
    t.is(info.dwTimestamps, 0);
    t.is(send(socket, 'ping'), 4);
    t.is(text(socket), 'ping');
    t.is(InetDisconnect(socket), 0);
  },
);

test.serial(
  'timestampLogs, minTimestamps: so many logs have signed for the certificate, or CERT_INVALID',
  (t) => {
    const [one, two] = peer.logs;
    const attempt = (port: number, timestampLogs: readonly Uint8Array[], minTimestamps?: number): string => {
      const credentials = { timestampLogs, ...(minTimestamps === undefined ? {} : { minTimestamps }) };
      const where = ['peer.test', port, INET_PROTOCOL_TCP, TIMEOUT_S, SECURE] as const;
      const socket = InetConnect(...where, credentials);
      if (socket === INVALID_SOCKET) return InetGetLastFailure()?.tunwireCode ?? '';
      const info = new SECURITYINFO();
      InetGetSecurityInformation(socket, info);
      InetDisconnect(socket);
      return `${info.dwTimestamps} timestamps`;
    };
    t.is(attempt(PeerPort.TlsLogged, [one!, two!], 2), '2 timestamps');
    t.is(attempt(PeerPort.TlsLogged, [two!]), '2 timestamps');
    t.is(attempt(PeerPort.TlsEcho, [one!, two!], 0), '0 timestamps');
    t.is(attempt(PeerPort.TlsEcho, [one!]), 'CERT_INVALID');
    t.is(attempt(PeerPort.TlsEcho, [one!], 2), 'ARGUMENT_INVALID');
    t.is(attempt(PeerPort.TlsEcho, [new Uint8Array(9)]), 'ARGUMENT_INVALID');
  },
);

test.serial('alpnProtocols: what the server selects is told', (t) => {
  const protocol = (port: number, alpnProtocols: readonly string[] | null): string => {
    const where = ['peer.test', port, INET_PROTOCOL_TCP, TIMEOUT_S, SECURE] as const;
    const socket = InetConnect(...where, { alpnProtocols });
    if (socket === INVALID_SOCKET) return InetGetLastFailure()?.tunwireCode ?? '';
    const info = new SECURITYINFO();
    InetGetSecurityInformation(socket, info);
    t.is(info.certificates.length, 1);
    InetDisconnect(socket);
    return info.lpszProtocol;
  };
  t.is(protocol(PeerPort.TlsExample, ['lab/2', 'lab/1']), 'lab/1');
  t.is(protocol(PeerPort.TlsExample, null), '');
  t.is(protocol(PeerPort.TlsEcho, ['lab/1']), '');
  t.is(protocol(PeerPort.TlsExample, ['']), 'ARGUMENT_INVALID');
  t.is(protocol(PeerPort.TlsExample, ['x'.repeat(256)]), 'ARGUMENT_INVALID');
});

test.serial('the key exchange, the cipher and the hash, with their strengths, of TLS 1.3 and 1.2', (t) => {
  for (const [dwProtocol, groups, expected] of [
    [SECURITY_PROTOCOL_TLS13, [NamedGroup.X25519], SECURITY_KEYEX_ECDHE],
    [SECURITY_PROTOCOL_TLS13, [NamedGroup.Ffdhe2048], SECURITY_KEYEX_DH],
    [SECURITY_PROTOCOL_TLS12, [NamedGroup.Secp256r1], SECURITY_KEYEX_ECDHE],
  ] as const) {
    const credentials = { dwProtocol, tuning: { groups } };
    const [host, protocol] = ['peer.test', INET_PROTOCOL_TCP] as const;
    const socket = InetConnect(host, PeerPort.TlsEcho, protocol, TIMEOUT_S, SECURE, credentials);
    const info = new SECURITYINFO();
    t.true(InetGetSecurityInformation(socket, info), InetGetErrorString(InetGetLastError()));
    t.like(info, {
      dwProtocol,
      dwKeyExchange: expected,
      dwCipher: SECURITY_CIPHER_AES,
      dwCipherStrength: 256,
      dwHash: SECURITY_HASH_SHA384,
      dwHashStrength: 384,
    });
    t.is(InetDisconnect(socket), 0);
  }
});

test.serial('credentials choose the version of TLS; its state survives a change of threads', async (t) => {
  const user = new User();
  for (const protocol of [SECURITY_PROTOCOL_TLS12, SECURITY_PROTOCOL_TLS13]) {
    const credentials = { dwProtocol: protocol };
    const socket = InetConnect(
      'peer.test',
      PeerPort.TlsEcho,
      INET_PROTOCOL_TCP,
      TIMEOUT_S,
      SECURE,
      credentials,
    );
    t.not(socket, INVALID_SOCKET, InetGetErrorString(InetGetLastError()));
    const info = new SECURITYINFO();
    t.true(InetGetSecurityInformation(socket, info));
    t.is(info.dwProtocol, protocol);
    t.is(info.dwCertStatus, SECURITY_CERTIFICATE_VALID);
    t.is(send(socket, 'one'), 3);
    t.is(text(socket), 'one');
    await user.run({ do: 'attach', handle: socket, thread: 0 });
    t.is((await user.run({ do: 'write', handle: socket, text: 'two' })).result, 3);
    InetAttachThread(socket);
    t.is(text(socket), 'two');
    t.is(InetDisconnect(socket), 0);
  }
  await user.worker.terminate();
});

test.serial('a certificate that is not good enough fails the call, unless the site is trusted', (t) => {
  t.is(InetConnect('peer.test', PeerPort.TlsOther, INET_PROTOCOL_TCP, TIMEOUT_S, SECURE), INVALID_SOCKET);
  t.is(InetGetLastError(), INET_ERRORS.CERT_NAME_MISMATCH.number);
  t.is(InetGetLastFailure()?.phase, 'handshake');
  const socket = open('peer.test', PeerPort.TlsOther, SECURE | INET_OPTION_TRUSTEDSITE);
  const info = new SECURITYINFO();
  t.true(InetGetSecurityInformation(socket, info));
  t.is(info.dwCertStatus, SECURITY_CERTIFICATE_NOMATCH);
  t.is(InetDisconnect(socket), 0);
  const named = InetConnect('peer.test', PeerPort.TlsOther, INET_PROTOCOL_TCP, TIMEOUT_S, SECURE, {
    lpszHostName: 'other.test',
  });
  t.not(named, INVALID_SOCKET, InetGetErrorString(InetGetLastError()));
  t.is(InetDisconnect(named), 0);
  t.is(InetConnect('peer.test', PeerPort.Greet, INET_PROTOCOL_TCP, TIMEOUT_S, SECURE), INVALID_SOCKET);
  t.true([INET_ERRORS.TLS_PROTOCOL.number, INET_ERRORS.TLS_HANDSHAKE.number].includes(InetGetLastError()));
});

test.serial('without SECURE neither credentials nor what concerns certificates counts', (t) => {
  const credentials = { lpszCertStore: 'own.p12', lpszCertName: 'me', dwProtocol: SECURITY_PROTOCOL_TLS11 };
  const socket = InetConnect(
    'peer.test',
    PeerPort.Greet,
    INET_PROTOCOL_TCP,
    TIMEOUT_S,
    INET_OPTION_TRUSTEDSITE,
    credentials,
  );
  t.is(text(socket), 'hello');
  t.is(InetDisconnect(socket), 0);
});

test.serial('the end of the stream is 0, again and again; without close_notify it is an error', (t) => {
  const socket = open('peer.test', PeerPort.Greet);
  t.is(text(socket), 'hello');
  t.is(text(socket), '');
  t.is(text(socket), '');
  t.true(InetIsReadable(socket));
  t.false(InetIsConnected(socket));
  t.is(InetDisconnect(socket), 0);
  const cut = open('peer.test', PeerPort.TlsTruncated, SECURE);
  send(cut, 'x');
  t.is(InetRead(cut, new Uint8Array(10)), INET_ERROR);
  // the peer's FIN may be overtaken by the reset of its close: either way it is not the end of the stream
  t.true([INET_ERRORS.TLS_TRUNCATED.number, INET_ERRORS.RESET.number].includes(InetGetLastError()));
  InetDisconnect(cut);
});

test.serial('a reset is an error for reading and for writing', (t) => {
  const socket = open('peer.test', PeerPort.Reset);
  send(socket, 'x');
  t.is(InetRead(socket, new Uint8Array(10)), INET_ERROR);
  t.is(InetGetLastError(), INET_ERRORS.RESET.number);
  t.is(send(socket, 'y'), INET_ERROR);
  t.is(InetGetLastError(), INET_ERRORS.RESET.number);
  t.false(InetIsConnected(socket));
  InetAbort(socket);
  t.is(InetConnect('peer.test', 9999, INET_PROTOCOL_TCP, TIMEOUT_S), INVALID_SOCKET);
  t.is(InetGetLastError(), INET_ERRORS.CONNECT_REFUSED.number);
});

test.serial(
  'DONTROUTE: hosts on the link are reached, those behind a gateway are an error that says so',
  (t) => {
    const socket = open('192.0.2.1', PeerPort.Echo, INET_OPTION_DONTROUTE);
    send(socket, 'near');
    t.is(text(socket), 'near');
    InetDisconnect(socket);
    const far = (options: number): string => {
      t.is(InetConnect('198.51.100.1', 80, INET_PROTOCOL_TCP, 0.5, options), INVALID_SOCKET);
      return InetGetErrorString(InetGetLastError());
    };
    far(INET_OPTION_DONTROUTE);
    t.is(InetGetLastError(), INET_ERRORS.NETWORK_UNREACHABLE.number);
    t.regex(InetGetLastFailure()?.message ?? '', /198\.51\.100\.1 is behind the gateway 192\.0\.2\.254/);
    // nobody is there either, but it is tried
    far(0);
    t.not(InetGetLastError(), INET_ERRORS.NETWORK_UNREACHABLE.number);
  },
);

test.serial('wrong arguments fail at once, each with its own error', (t) => {
  const { Tcp, Udp } = { Tcp: INET_PROTOCOL_TCP, Udp: INET_PROTOCOL_UDP };
  const cases: readonly [unknown, unknown, unknown, unknown, unknown, keyof typeof INET_ERRORS, RegExp][] = [
    [null, 80, Tcp, 1, 0, 'HOST_INVALID', /null/],
    [undefined, 80, Tcp, 1, 0, 'HOST_INVALID', /undefined/],
    ['', 80, Tcp, 1, 0, 'HOST_INVALID', /empty/],
    ['http://peer.test/', 80, Tcp, 1, 0, 'HOST_INVALID', /URL.*"peer.test"/],
    ['peer.test:80', 80, Tcp, 1, 0, 'HOST_INVALID', /port/],
    ['peer test', 80, Tcp, 1, 0, 'HOST_INVALID', /not allowed/],
    ['peer.test', 0, Tcp, 1, 0, 'PORT_INVALID', /got 0/],
    ['peer.test', 65536, Tcp, 1, 0, 'PORT_INVALID', /65536/],
    ['peer.test', -1, Tcp, 1, 0, 'PORT_INVALID', /-1/],
    ['peer.test', 80.5, Tcp, 1, 0, 'PORT_INVALID', /80\.5/],
    ['peer.test', '80', Tcp, 1, 0, 'PORT_INVALID', /80/],
    ['peer.test', 80, 1, 1, 0, 'PROTOCOL_INVALID', /got 1/],
    ['peer.test', 80, Tcp, -1, 0, 'ARGUMENT_INVALID', /seconds/],
    ['peer.test', 80, Tcp, Number.NaN, 0, 'ARGUMENT_INVALID', /seconds/],
    ['peer.test', 80, Udp, 1, SECURE, 'OPTION_INVALID', /SECURE/],
    ['peer.test', 80, Udp, 1, INET_OPTION_KEEPALIVE, 'OPTION_INVALID', /KEEPALIVE/],
    ['peer.test', 80, Tcp, 1, INET_OPTION_BROADCAST, 'OPTION_INVALID', /BROADCAST/],
    ['peer.test', 80, Tcp, 1, 0x40, 'OPTION_INVALID', /0x40/],
    ['peer.test', 80, Tcp, 1, -1, 'OPTION_INVALID', /-1/],
  ];
  const connect = InetConnect as (...args: unknown[]) => number;
  for (const [host, port, protocol, timeout, options, code, message] of cases) {
    InetSetLastError(0);
    const startedAt = performance.now();
    t.is(connect(host, port, protocol, timeout, options, null), INVALID_SOCKET);
    t.true(performance.now() - startedAt < 1000);
    t.is(InetGetLastError(), INET_ERRORS[code].number, `${String(host)} ${String(port)}`);
    t.regex(InetGetErrorString(InetGetLastError()), message);
    t.is(InetGetLastFailure()?.phase, 'argument');
  }
  const outdated = { dwProtocol: SECURITY_PROTOCOL_TLS11 };
  t.is(InetConnect('peer.test', 443, Tcp, 1, SECURE, outdated), INVALID_SOCKET);
  t.is(InetGetLastError(), INET_ERRORS.OPTION_INVALID.number);
  t.is(
    InetConnect('peer.test', 443, Tcp, 1, SECURE, { lpszCertStore: 'own.p12', lpszCertName: 'me' }),
    INVALID_SOCKET,
  );
  t.is(InetGetLastError(), INET_ERRORS.ARGUMENT_INVALID.number, 'dwSize is missing');

  const socket = open('peer.test', PeerPort.Echo);
  const read = InetRead as (...args: unknown[]) => number;
  for (const args of [[null], [new Uint8Array(0)], [new Uint8Array(4), 0], [new Uint8Array(4), 5]]) {
    t.is(read(socket, ...args), INET_ERROR);
    t.is(InetGetLastError(), INET_ERRORS.ARGUMENT_INVALID.number);
  }
  t.is(InetWrite(socket, new Uint8Array(0)), 0);
  InetDisconnect(socket);
  for (const handle of [0, -1, 1.5, INVALID_SOCKET, 0x7fffffff, Number.NaN]) {
    t.is(InetRead(handle, new Uint8Array(1)), INET_ERROR);
    t.is(InetGetLastError(), INET_ERRORS.HANDLE_INVALID.number);
  }
});

test.serial('the last error stays until the next failure', (t) => {
  InetSetLastError(0xffffffff + 1);
  t.is(InetGetLastError(), 0);
  t.is(InetGetErrorString(0), '');
  t.is(InetConnect('', 80), INVALID_SOCKET);
  const code = InetGetLastError();
  InetDisconnect(open('peer.test', PeerPort.Echo));
  t.is(InetGetLastError(), code);
  t.is(InetGetErrorString(INET_ERRORS.TIMEOUT.number), INET_ERRORS.TIMEOUT.text);
  t.regex(InetGetErrorString(0x80041234), /unknown error 0x80041234/);
});

test('every error has a name and a number of its own; Winsock codes are where they belong', (t) => {
  const rows = Object.values(INET_ERRORS);
  t.is(new Set(rows.map((row) => row.number)).size, rows.length);
  t.is(new Set(rows.map((row) => row.name)).size, rows.length);
  t.is(INET_ERRORS.TIMEOUT.number, 0x8004274c);
  t.is(INET_ERRORS.CONNECT_REFUSED.number, 0x8004274d);
  t.is(INET_ERRORS.HOST_NOT_FOUND.number, 0x80042af9);
  t.is(INET_ERRORS.NOT_INITIALIZED.number, 0x8004276d);
});

/** Not how exact the timers are, but that the right one runs: a machine may be busy. */
function isTimely(elapsedMs: number, seconds: number): boolean {
  return elapsedMs >= seconds * 1000 - 5 && elapsedMs < seconds * 1000 + 20_000;
}

test.serial('a silent peer is a timeout after the asked seconds, in every phase', (t) => {
  for (const [phase, host, port, options, seconds] of [
    ['resolve', 'silent.test', 80, 0, 1],
    ['resolve', 'silent.test', 80, 0, 2.5],
    ['connect', NOBODY, 80, 0, 1],
    ['connect', NOBODY, 80, 0, 1.5],
    ['connect', '2001:db8::99', 80, 0, 1],
    ['handshake', 'peer.test', PeerPort.Silent, SECURE, 1],
    ['handshake', 'peer.test', PeerPort.Silent, SECURE, 1.5],
  ] as const) {
    const startedAt = performance.now();
    t.is(InetConnect(host, port, INET_PROTOCOL_TCP, seconds, options), INVALID_SOCKET);
    const elapsedMs = performance.now() - startedAt;
    t.is(InetGetLastError(), INET_ERRORS.TIMEOUT.number, InetGetErrorString(InetGetLastError()));
    t.is(InetGetLastFailure()?.phase, phase);
    t.true(isTimely(elapsedMs, seconds), `${phase}: ${elapsedMs} ms of ${seconds} s`);
  }
});

test.serial(
  'a read and a write time out after the seconds of the handle, and the connection lives on',
  (t) => {
    const socket = InetConnect('peer.test', PeerPort.Full, INET_PROTOCOL_TCP, 0.5);
    let startedAt = performance.now();
    t.is(InetRead(socket, new Uint8Array(1)), INET_ERROR);
    t.is(InetGetLastError(), INET_ERRORS.TIMEOUT.number);
    t.true(isTimely(performance.now() - startedAt, 0.5));
    // more than all buffers on the way hold: a short count first, then nothing
    const large = new Uint8Array(8 * 1024 * 1024);
    const written = InetWrite(socket, large);
    t.true(written > 0 && written < large.length, String(written));
    // window probes may still carry a byte each
    startedAt = performance.now();
    t.true(InetWrite(socket, large) < 16);
    t.true(isTimely(performance.now() - startedAt, 0.5));
    t.true(InetIsConnected(socket));
    // not everything can be acknowledged
    t.is(InetDisconnect(socket), INET_ERROR);
    t.is(InetGetLastError(), INET_ERRORS.TIMEOUT.number);
    t.is(InetGetStatus(socket), INET_ERROR);
  },
);

test.serial('what was written arrives before the end', (t) => {
  const socket = open('peer.test', PeerPort.Count);
  const bytes = 3_000_001;
  t.is(InetWrite(socket, new Uint8Array(bytes)), bytes);
  t.is(InetShutdown(socket), 0);
  t.is(send(socket, 'x'), INET_ERROR);
  t.is(InetGetLastError(), INET_ERRORS.SHUT_DOWN.number);
  t.is(text(socket), String(bytes));
  t.is(InetDisconnect(socket), 0);
});

test.serial('UDP keeps datagrams apart', (t) => {
  const socket = InetConnect('peer.test', PeerPort.Echo, INET_PROTOCOL_UDP, 1);
  t.not(socket, INVALID_SOCKET);
  t.is(send(socket, 'one'), 3);
  t.is(send(socket, 'three'), 5);
  t.is(text(socket), 'one');
  t.is(text(socket), 'three');
  t.is(send(socket, 'too long'), 8);
  const small = new Uint8Array(3);
  t.is(InetRead(socket, small), INET_ERROR);
  t.is(InetGetLastError(), INET_ERRORS.MESSAGE_TOO_LONG.number);
  t.is(Buffer.from(small).toString(), 'too');
  t.is(InetWrite(socket, new Uint8Array(65_508)), INET_ERROR);
  t.is(InetGetLastError(), INET_ERRORS.MESSAGE_TOO_LONG.number);
  t.is(InetRead(socket, small), INET_ERROR);
  t.is(InetGetLastError(), INET_ERRORS.TIMEOUT.number);
  t.true(InetIsConnected(socket));
  t.is(InetDisconnect(socket), 0);

  // nothing listens there: the port unreachable shows with a later call
  const closed = InetConnect('peer.test', 9999, INET_PROTOCOL_UDP, 1);
  t.is(send(closed, 'x'), 1);
  t.is(InetRead(closed, small), INET_ERROR);
  t.is(InetGetLastError(), INET_ERRORS.CONNECT_REFUSED.number);
  t.is(send(closed, 'x'), 1);
  InetDisconnect(closed);
});

test.serial('a reserved port is below 1024', (t) => {
  const socket = open('peer.test', PeerPort.Echo, INET_OPTION_RESERVEDPORT);
  const port = InetGetLocalAddress(socket, new INTERNET_ADDRESS());
  t.true(port > 0 && port < 1024, String(port));
  InetDisconnect(socket);
});

test.serial('a URL gives port, protocol and TLS', (t) => {
  const socket = InetConnectUrl('https://peer.test/path', TIMEOUT_S);
  t.not(socket, INVALID_SOCKET, InetGetErrorString(InetGetLastError()));
  const info = new SECURITYINFO();
  InetGetSecurityInformation(socket, info);
  t.is(info.dwProtocol, SECURITY_PROTOCOL_TLS13);
  InetDisconnect(socket);
  const plain = InetConnectUrl(`tcp://[2001:db8::1]:${PeerPort.Greet}`, TIMEOUT_S);
  t.is(text(plain), 'hello');
  InetDisconnect(plain);
  for (const url of ['peer.test', 'gopher://peer.test', 'tcp://peer.test']) {
    t.is(InetConnectUrl(url, 1), INVALID_SOCKET);
    t.is(InetGetLastError(), INET_ERRORS.ARGUMENT_INVALID.number);
  }
});

test.serial('two workers connect and block at the same time; each has its own last error', async (t) => {
  const users = [new User(), new User()];
  // threads take long to start on a busy machine
  await Promise.all(users.map((user) => user.run({ do: 'attach', handle: 0, thread: 0 })));
  const startedAt = performance.now();
  const answers = await Promise.all(
    users.map((user, i) =>
      user.run({
        do: 'connect',
        host: i === 0 ? 'peer.test' : NOBODY,
        port: PeerPort.TlsEcho,
        seconds: 1,
        options: SECURE,
      }),
    ),
  );
  t.not(answers[0]?.result, INVALID_SOCKET);
  t.is(answers[0]?.error, 0);
  t.is(answers[1]?.result, INVALID_SOCKET);
  t.is(answers[1]?.error, INET_ERRORS.TIMEOUT.number);
  t.true(isTimely(performance.now() - startedAt, 1));
  for (const user of users) await user.worker.terminate();
});

test.serial('a handle belongs to its thread, and can be passed on, TLS and all', async (t) => {
  const user = new User();
  InetSetLastError(0);
  const socket = open('peer.test', PeerPort.TlsEcho, SECURE);
  send(socket, 'first second');
  t.is(text(socket, 6), 'first ');
  // the rest of the record is in shared memory
  t.deepEqual(await user.run({ do: 'read', handle: socket }), {
    result: INET_ERROR,
    error: INET_ERRORS.WRONG_THREAD.number,
    text: '',
  });
  const attached = await user.run({ do: 'attach', handle: socket, thread: 0 });
  t.true(attached.result > 0);
  t.is((await user.run({ do: 'read', handle: socket })).text, 'second');
  t.is(InetRead(socket, new Uint8Array(1)), INET_ERROR);
  t.is(InetGetLastError(), INET_ERRORS.WRONG_THREAD.number);
  t.is(InetGetStatus(socket), INET_STATUS_IDLE);
  t.is((await user.run({ do: 'write', handle: socket, text: 'third' })).result, 5);
  // given back to the thread that the attachment named as the previous owner
  t.true((await user.run({ do: 'attach', handle: socket, thread: attached.result })).result > 0);
  t.is(text(socket), 'third');
  t.is(InetDisconnect(socket), 0);
  t.is(
    (await user.run({ do: 'attach', handle: socket, thread: 0 })).error,
    INET_ERRORS.HANDLE_INVALID.number,
  );
  await user.worker.terminate();
});

test.serial('FREETHREAD: any thread, at once; a disconnect ends the calls that are blocked', async (t) => {
  const user = new User();
  const socket = open('peer.test', PeerPort.Echo, INET_OPTION_FREETHREAD);
  user.start({ do: 'read', handle: socket });
  send(socket, 'for the other one');
  t.is((await user.answer()).text, 'for the other one');
  t.is(InetAttachThread(socket), INET_ERROR);
  t.is(InetGetLastError(), INET_ERRORS.OPTION_INVALID.number);
  const blocked = user.run({ do: 'read', handle: socket });
  while (InetGetStatus(socket) === INET_STATUS_IDLE) await new Promise((done) => setImmediate(done));
  t.is(InetDisconnect(socket), 0);
  t.deepEqual(await blocked, { result: INET_ERROR, error: INET_ERRORS.CANCELLED.number, text: '' });
  await user.worker.terminate();
});

test.serial('what a thread owns ends with its InetUninitialize, and only that', async (t) => {
  const user = new User();
  const own = open('peer.test', PeerPort.Echo);
  const theirs = await user.run({
    do: 'connect',
    host: 'peer.test',
    port: PeerPort.Echo,
    seconds: 5,
    options: 0,
  });
  t.is(InetGetStatus(theirs.result), INET_STATUS_IDLE);
  await user.run({ do: 'uninitialize' });
  t.is(InetGetStatus(theirs.result), INET_ERROR);
  t.is(InetGetLastError(), INET_ERRORS.HANDLE_INVALID.number);
  t.is((await user.run({ do: 'read', handle: own })).error, INET_ERRORS.NOT_INITIALIZED.number);
  t.is(send(own, 'x'), 1);
  t.is(InetDisconnect(own), 0);
  await user.worker.terminate();
});

test.serial('a thread that ends without InetUninitialize lets go of its connections too', async (t) => {
  const user = new User();
  const task: UserTask = { do: 'connect', host: 'peer.test', port: PeerPort.Echo, seconds: 5, options: 0 };
  const { result } = await user.run(task);
  t.is(InetGetStatus(result), INET_STATUS_IDLE);
  const gone = new Promise((done) => user.worker.once('exit', done));
  user.start({ do: 'end' });
  await gone;
  t.is(InetGetStatus(result), INET_ERROR);
  t.is(InetGetLastError(), INET_ERRORS.HANDLE_INVALID.number);
});

test.serial('InetInitialize counts, and takes options once', (t) => {
  t.true(InetInitialize());
  t.false(InetInitialize({ device: 'tun:none', addresses: [] }));
  t.is(InetGetLastError(), INET_ERRORS.ARGUMENT_INVALID.number);
  InetUninitialize();
  const socket = open('peer.test', PeerPort.Echo);
  t.is(InetDisconnect(socket), 0);
});

test.serial('handles of many connections one after the other are all different', (t) => {
  const seen = new Set<number>();
  for (let i = 0; i < 200; i++) {
    const socket = open('192.0.2.1', PeerPort.Greet);
    seen.add(socket);
    t.is(text(socket), 'hello');
    InetAbort(socket);
  }
  t.is(seen.size, 200);
});
