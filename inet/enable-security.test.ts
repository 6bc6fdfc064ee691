import test from 'ava';
import {
  INET_ERROR,
  INET_OPTION_TRUSTEDSITE,
  INET_PROTOCOL_UDP,
  InetAbort,
  InetAttachThread,
  InetDisconnect,
  InetEnableSecurity,
  InetGetErrorString,
  InetGetLastError,
  InetGetLastFailure,
  InetGetSecurityInformation,
  InetIsReadable,
  SECURITY_CERTIFICATE_VALID,
  SECURITY_PROTOCOL_NONE,
  SECURITY_PROTOCOL_TLS12,
  SECURITY_PROTOCOL_TLS13,
  SECURITYINFO,
} from './index.ts';
import { lastCode, open, send, setUpBench, text, until } from './testing/bench.ts';
import { PeerPort } from './testing/peer.ts';
import { User } from './testing/user.ts';

setUpBench(test);

function protocolOf(socket: number): number {
  const info = new SECURITYINFO();
  return InetGetSecurityInformation(socket, info) ? info.dwProtocol : INET_ERROR;
}

for (const protocol of [SECURITY_PROTOCOL_TLS12, SECURITY_PROTOCOL_TLS13]) {
  test.serial(`explicit TLS and back to clear, 0x${protocol.toString(16)}`, async (t) => {
    const user = new User();
    const socket = open(PeerPort.StartTls);
    t.is(text(socket), 'hello\r\n');
    // the thread knows the handle in clear, and has to see that it is secure later
    await user.run({ do: 'attach', handle: socket, thread: 0 });
    await user.run({ do: 'write', handle: socket, text: 'STARTTLS\r\n' });
    InetAttachThread(socket);
    t.is(text(socket), 'go\r\n');
    const credentials = { dwProtocol: protocol };
    t.is(InetEnableSecurity(socket, true, credentials), 0, InetGetErrorString(InetGetLastError()));
    t.is(InetEnableSecurity(socket), 0);
    const info = new SECURITYINFO();
    t.true(InetGetSecurityInformation(socket, info));
    t.is(info.dwProtocol, protocol);
    t.is(info.dwCertStatus, SECURITY_CERTIFICATE_VALID);
    send(socket, 'se');
    t.is(text(socket), 'se');
    const { result } = await user.run({ do: 'attach', handle: socket, thread: 0 });
    t.is((await user.run({ do: 'write', handle: socket, text: 'cret' })).result, 4);
    await user.run({ do: 'attach', handle: socket, thread: result });
    t.is(text(socket, 2), 'cr');
    t.is(text(socket), 'et');

    t.is(InetEnableSecurity(socket, false), 0, InetGetErrorString(InetGetLastError()));
    t.is(protocolOf(socket), SECURITY_PROTOCOL_NONE);
    t.is(text(socket), 'clear\r\n');
    send(socket, 'plain');
    t.is(text(socket), 'plain');
    t.is(InetEnableSecurity(socket, false), 0);
    t.is(InetDisconnect(socket), 0);
    await user.worker.terminate();
  });
}

test.serial('what came in clear before the handshake is discarded, and the call fails', async (t) => {
  const socket = open(PeerPort.Injected);
  text(socket);
  send(socket, 'STARTTLS\r\n');
  t.is(text(socket, 4), 'go\r\n');
  await until(() => InetIsReadable(socket));
  t.is(InetEnableSecurity(socket), INET_ERROR);
  t.is(lastCode(), 'TLS_PROTOCOL');
  t.is(InetGetLastFailure()?.phase, 'handshake');
  t.regex(InetGetErrorString(InetGetLastError()), /8 bytes came in clear/);
  t.is(protocolOf(socket), SECURITY_PROTOCOL_NONE);
  t.false(InetIsReadable(socket));
  InetAbort(socket);
});

test.serial('the certificate has to be for the host, or what the credentials name', (t) => {
  const begin = (): number => {
    const socket = open(PeerPort.StartTls);
    text(socket);
    send(socket, 'STARTTLS\r\n');
    text(socket);
    return socket;
  };
  const wrong = begin();
  t.is(InetEnableSecurity(wrong, true, { lpszHostName: 'other.test' }), INET_ERROR);
  t.is(lastCode(), 'CERT_NAME_MISMATCH');
  InetAbort(wrong);
  const trusted = begin();
  t.is(
    InetEnableSecurity(trusted, true, { lpszHostName: 'other.test' }, INET_OPTION_TRUSTEDSITE),
    0,
    InetGetErrorString(InetGetLastError()),
  );
  t.is(InetDisconnect(trusted), 0);
});

test.serial('it fails where there can be no TLS, and after its time', (t) => {
  const datagrams = open(PeerPort.Echo, 0, 1, INET_PROTOCOL_UDP);
  t.is(InetEnableSecurity(datagrams), INET_ERROR);
  t.is(lastCode(), 'OPTION_INVALID');
  InetDisconnect(datagrams);
  const silent = open(PeerPort.Silent, 0, 0.3);
  t.is(InetEnableSecurity(silent, true, null, 0x10), INET_ERROR);
  t.is(lastCode(), 'OPTION_INVALID');
  t.is(InetEnableSecurity(silent), INET_ERROR);
  t.is(lastCode(), 'TIMEOUT');
  InetAbort(silent);
  const gone = open(PeerPort.Greet);
  t.is(text(gone), 'hello');
  t.is(InetEnableSecurity(gone), INET_ERROR);
  t.is(lastCode(), 'TLS_TRUNCATED');
  InetAbort(gone);
});
