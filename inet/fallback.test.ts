import test from 'ava';
import {
  INET_OPTION_SECURE,
  INET_OPTION_SECURE_FALLBACK,
  INET_PROTOCOL_TCP,
  INVALID_SOCKET,
  InetAttachThread,
  InetConnect,
  InetDisconnect,
  InetEnableSecurity,
  InetGetErrorString,
  InetGetLastError,
  InetGetSecurityInformation,
  SECURITY_CERTIFICATE_VALID,
  SECURITY_CIPHER_AES,
  SECURITY_HASH_SHA1,
  SECURITY_KEYEX_RSA,
  SECURITY_PROTOCOL_TLS10,
  SECURITY_PROTOCOL_TLS11,
  SECURITYINFO,
} from './index.ts';
import { lastCode, open, send, setUpBench, TIMEOUT_S, text } from './testing/bench.ts';
import { PeerPort } from './testing/peer.ts';
import { User } from './testing/user.ts';

const SECURE: number = INET_OPTION_SECURE;

setUpBench(test);

/** Reads until so many bytes are there: TLS 1.0 sends them in pieces. */
function received(socket: number, length: number): string {
  let all = '';
  while (all.length < length) all += text(socket);
  return all;
}

test.serial(
  'a device of long ago: only with SECURE_FALLBACK; CBC of TLS 1.0 survives a change of threads',
  async (t) => {
    const connect = (options: number, dwProtocol?: number): number => {
      const credentials = dwProtocol === undefined ? null : { dwProtocol };
      return InetConnect('peer.test', PeerPort.TlsOld, INET_PROTOCOL_TCP, TIMEOUT_S, options, credentials);
    };
    t.is(connect(SECURE), INVALID_SOCKET);
    t.is(lastCode(), 'TLS_ALERT');
    t.is(connect(SECURE, SECURITY_PROTOCOL_TLS10), INVALID_SOCKET);
    t.is(lastCode(), 'OPTION_INVALID');
    // the versions in between are not spoken by the device
    t.is(connect(SECURE | INET_OPTION_SECURE_FALLBACK, SECURITY_PROTOCOL_TLS11), INVALID_SOCKET);
    t.is(lastCode(), 'TLS_HANDSHAKE');
    const user = new User();
    for (const protocol of [undefined, SECURITY_PROTOCOL_TLS10]) {
      const socket = connect(SECURE | INET_OPTION_SECURE_FALLBACK, protocol);
      t.not(socket, INVALID_SOCKET, InetGetErrorString(InetGetLastError()));
      const info = new SECURITYINFO();
      t.true(InetGetSecurityInformation(socket, info));
      t.like(info, {
        dwProtocol: SECURITY_PROTOCOL_TLS10,
        dwKeyExchange: SECURITY_KEYEX_RSA,
        dwCipher: SECURITY_CIPHER_AES,
        dwCipherStrength: 128,
        dwHash: SECURITY_HASH_SHA1,
        dwHashStrength: 160,
        dwCertStatus: SECURITY_CERTIFICATE_VALID,
      });
      t.is(send(socket, 'one'), 3);
      t.is(received(socket, 3), 'one');
      await user.run({ do: 'attach', handle: socket, thread: 0 });
      t.is((await user.run({ do: 'write', handle: socket, text: 'two' })).result, 3);
      InetAttachThread(socket);
      t.is(send(socket, 'three'), 5);
      t.is(received(socket, 8), 'twothree');
      t.is(InetDisconnect(socket), 0);
    }
    await user.worker.terminate();
  },
);

test.serial('explicit TLS with such a device', (t) => {
  const socket = open(PeerPort.TlsOld);
  t.is(
    InetEnableSecurity(socket, true, null, INET_OPTION_SECURE_FALLBACK),
    0,
    InetGetErrorString(InetGetLastError()),
  );
  t.is(send(socket, 'old'), 3);
  t.is(received(socket, 3), 'old');
  t.is(InetDisconnect(socket), 0);
});
