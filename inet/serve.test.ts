import { hostname } from 'node:os';
import test from 'ava';
import {
  INET_ADDRESS_DEFAULT,
  INET_ADDRESS_IPV4,
  INET_ADDRESS_IPV6,
  INET_ADDRESS_UNKNOWN,
  INET_ERROR,
  INET_ERRORS,
  INET_EVENT_READ,
  INET_OPTION_FREETHREAD,
  INET_OPTION_NODELAY,
  INET_OPTION_REUSEADDRESS,
  INET_OPTION_SECURE,
  INET_PROTOCOL_TCP,
  INET_PROTOCOL_UDP,
  INET_STATUS_ACCEPT,
  INTERNET_ADDRESS,
  INVALID_SOCKET,
  InetAccept,
  InetCancel,
  InetConnect,
  InetDisconnect,
  InetGetHostAddress,
  InetGetHostName,
  InetGetLocalAddress,
  InetGetLocalName,
  InetGetPeerAddress,
  InetGetStatus,
  InetHostNameToUnicode,
  InetIsConnected,
  InetIsProtocolAvailable,
  InetIsReadable,
  InetListen,
  InetNormalizeHostName,
  InetRead,
  InetRegisterEvent,
  InetReject,
  InetShutdown,
  InetWrite,
} from './index.ts';
import { lastCode, open, send, setUpBench, text, until } from './testing/bench.ts';
import { PeerPort } from './testing/peer.ts';
import { User } from './testing/user.ts';

setUpBench(test);

test.serial('accepts who connects, and exchanges data', (t) => {
  const listener = InetListen(null, 8080);
  t.not(listener, INVALID_SOCKET);
  const where = new INTERNET_ADDRESS();
  const control = open(PeerPort.Callback);
  send(control, '8080');
  const client = InetAccept(listener, 5, INET_OPTION_NODELAY);
  t.not(client, INVALID_SOCKET, lastCode());
  t.is(InetGetLocalAddress(client, where), 8080);
  t.true(InetGetPeerAddress(client, where) > 0);
  t.is(where.toString(), '192.0.2.1');
  send(control, 'question');
  t.is(text(client), 'question');
  send(client, 'answer');
  t.is(InetShutdown(client), 0);
  t.is(text(control), 'answer');
  t.is(text(control), '');
  for (const socket of [control, client]) t.is(InetDisconnect(socket), 0);

  t.is(InetListen(null, 8080), INVALID_SOCKET);
  t.is(lastCode(), 'ADDRESS_IN_USE');
  t.is(InetDisconnect(listener), 0);
  // our side has closed first: the connection is in TIME-WAIT
  t.is(InetListen('192.0.2.2', 8080, 1), INVALID_SOCKET);
  t.is(lastCode(), 'ADDRESS_IN_USE');
  const again = InetListen('192.0.2.2', 8080, 1, INET_OPTION_REUSEADDRESS);
  t.not(again, INVALID_SOCKET, lastCode());
  InetDisconnect(again);
});

test.serial('a listener waits for its time, can be cancelled, rejects, and carries no data', async (t) => {
  const listener = InetListen(null, 8081, 5, INET_OPTION_FREETHREAD);
  t.is(InetAccept(listener, 0.1), INVALID_SOCKET);
  t.is(lastCode(), 'TIMEOUT');
  t.is(InetReject(listener), INET_ERROR);
  t.is(lastCode(), 'WOULD_BLOCK');
  const user = new User();
  const blocked = user.run({ do: 'accept', handle: listener });
  await until(() => InetGetStatus(listener) === INET_STATUS_ACCEPT);
  t.is(InetCancel(listener), 0);
  t.is((await blocked).error, INET_ERRORS.CANCELLED.number);
  await user.worker.terminate();

  let told = 0;
  InetRegisterEvent(listener, INET_EVENT_READ, () => told++, null);
  const control = open(PeerPort.Callback);
  send(control, '8081');
  await until(() => told === 1);
  t.true(InetIsReadable(listener));
  t.is(InetReject(listener), 0);
  t.is(InetRead(control, new Uint8Array(1)), INET_ERROR);
  t.is(lastCode(), 'RESET');
  InetDisconnect(control);

  t.false(InetIsConnected(listener));
  for (const call of [
    () => InetRead(listener, new Uint8Array(4)),
    () => InetWrite(listener, new Uint8Array(4)),
    () => InetShutdown(listener),
  ]) {
    t.is(call(), INET_ERROR);
    t.is(lastCode(), 'NOT_CONNECTED');
  }
  t.is(InetDisconnect(listener), 0);
  const stream = open(PeerPort.Echo);
  t.is(InetAccept(stream, 1), INVALID_SOCKET);
  t.is(lastCode(), 'OPTION_INVALID');
  InetDisconnect(stream);
});

test.serial('wrong arguments of a listener', (t) => {
  for (const [address, port, backlog, options, code] of [
    [null, 0, 5, 0, 'PORT_INVALID'],
    [null, 65_536, 5, 0, 'PORT_INVALID'],
    [null, 8082, 0, 0, 'ARGUMENT_INVALID'],
    ['peer.test', 8082, 5, 0, 'ARGUMENT_INVALID'],
    ['192.0.2.77', 8082, 5, 0, 'ADDRESS_NOT_AVAILABLE'],
    [null, 8082, 5, INET_OPTION_SECURE, 'OPTION_INVALID'],
  ] as const) {
    t.is(InetListen(address, port, backlog, options), INVALID_SOCKET);
    t.is(lastCode(), code);
  }
});

test.serial('a host name has the address of the family that is asked for', (t) => {
  const address = new INTERNET_ADDRESS();
  for (const [host, family, expected] of [
    ['peer.test', INET_ADDRESS_UNKNOWN, '192.0.2.1'],
    ['peer.test', INET_ADDRESS_DEFAULT, '192.0.2.1'],
    ['peer.test', INET_ADDRESS_IPV6, '2001:db8::1'],
    ['six.test', INET_ADDRESS_UNKNOWN, '2001:db8::1'],
    ['198.51.100.7', INET_ADDRESS_IPV4, '198.51.100.7'],
    ['2001:DB8:0::7', INET_ADDRESS_UNKNOWN, '2001:db8::7'],
  ] as const) {
    t.is(InetGetHostAddress(host, family, address), 0, host);
    t.is(address.toString(), expected);
  }
  for (const [host, family, code] of [
    ['six.test', INET_ADDRESS_IPV4, 'HOST_NO_ADDRESS'],
    ['four.test', INET_ADDRESS_IPV6, 'HOST_NO_ADDRESS'],
    ['198.51.100.7', INET_ADDRESS_IPV6, 'HOST_NO_ADDRESS'],
    ['nowhere.test', INET_ADDRESS_UNKNOWN, 'HOST_NOT_FOUND'],
    ['http://peer.test', INET_ADDRESS_UNKNOWN, 'HOST_INVALID'],
    ['peer.test', 9, 'ARGUMENT_INVALID'],
  ] as const) {
    t.is(InetGetHostAddress(host, family, address), INET_ERROR, host);
    t.is(lastCode(), code, host);
  }
});

test.serial('an address has the name of its PTR record', (t) => {
  const address = new INTERNET_ADDRESS();
  const name = { value: '' };
  t.is(InetGetHostName(address, name), INET_ERROR, 'an empty address');
  t.is(lastCode(), 'ARGUMENT_INVALID');
  t.is(InetGetHostAddress('192.0.2.1', INET_ADDRESS_UNKNOWN, address), 0);
  t.is(InetGetHostName(address, name), name.value.length);
  t.is(name.value, 'peer.test');
  t.is(InetGetHostAddress('198.51.100.7', INET_ADDRESS_IPV4, address), 0);
  t.is(InetGetHostName(address, name), INET_ERROR);
  t.is(lastCode(), 'HOST_NOT_FOUND');
});

test.serial('a name outside ASCII is asked for in its ASCII form', (t) => {
  const socket = InetConnect('Bücher.test', PeerPort.Greet, INET_PROTOCOL_TCP, 5);
  t.is(text(socket), 'hello');
  InetDisconnect(socket);
});

test.serial('names are normalized, and made readable again', (t) => {
  const name = { value: '' };
  for (const [host, ascii, unicode] of [
    ['Bücher.Example.', 'xn--bcher-kva.example', 'bücher.example'],
    ['peer.test', 'peer.test', 'peer.test'],
    ['[2001:DB8::0:1]', '2001:db8::1', '2001:db8::1'],
  ] as const) {
    t.is(InetNormalizeHostName(host, name), ascii.length);
    t.is(name.value, ascii);
    t.is(InetHostNameToUnicode(ascii, name), unicode.length);
    t.is(name.value, unicode);
  }
  t.is(InetNormalizeHostName('a b', name), INET_ERROR);
  t.is(lastCode(), 'HOST_INVALID');
  t.is(InetHostNameToUnicode('', name), INET_ERROR);
  t.is(lastCode(), 'HOST_INVALID');
  t.is(InetGetLocalName(name), hostname().length);
  t.is(name.value, hostname());
  t.true(InetIsProtocolAvailable(INET_ADDRESS_IPV4));
  t.true(InetIsProtocolAvailable(INET_ADDRESS_IPV6, INET_PROTOCOL_UDP));
  t.false(InetIsProtocolAvailable(INET_ADDRESS_IPV4, 1));
  t.false(InetIsProtocolAvailable(9));
});
