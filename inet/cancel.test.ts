import test from 'ava';
import {
  INET_ERROR,
  INET_ERRORS,
  INET_OPTION_FREETHREAD,
  INET_OPTION_RESERVEDPORT,
  INET_PROTOCOL_TCP,
  INET_STATUS_DISCONNECT,
  INET_STATUS_READ,
  INTERNET_ADDRESS,
  INVALID_SOCKET,
  InetAbort,
  InetCancel,
  InetConnectEx,
  InetDisconnect,
  InetFlush,
  InetGetLocalAddress,
  InetGetPeerAddress,
  InetGetStatus,
  InetRead,
  InetSetTimeout,
  InetWrite,
} from './index.ts';
import { lastCode, open, send, setUpBench, TIMEOUT_S, text, until } from './testing/bench.ts';
import { PeerPort } from './testing/peer.ts';
import { User } from './testing/user.ts';

setUpBench(test);

test.serial('a cancellation ends the call that is blocked, and no later one', async (t) => {
  const user = new User();
  const task = { do: 'connect', host: 'peer.test', port: PeerPort.Echo, seconds: 5, options: 0 } as const;
  const { result: socket } = await user.run(task);
  t.is(InetCancel(socket), 0);
  for (let i = 0; i < 3; i++) {
    const blocked = user.run({ do: 'read', handle: socket });
    await until(() => InetGetStatus(socket) === INET_STATUS_READ);
    t.is(InetCancel(socket), 0);
    t.deepEqual(await blocked, { result: INET_ERROR, error: INET_ERRORS.CANCELLED.number, text: '' });
  }
  await user.run({ do: 'write', handle: socket, text: 'still there' });
  t.is((await user.run({ do: 'read', handle: socket })).text, 'still there');
  t.is(InetCancel(12345), INET_ERROR);
  t.is(lastCode(), 'HANDLE_INVALID');
  await user.worker.terminate();
});

test.serial('a blocked write can be cancelled', async (t) => {
  const user = new User();
  const socket = open(PeerPort.Full);
  const cancelled = user.run({ do: 'cancel when writing', handle: socket });
  t.is(InetWrite(socket, new Uint8Array(8 * 1024 * 1024)), INET_ERROR);
  t.is(lastCode(), 'CANCELLED');
  t.is((await cancelled).result, 0);
  await user.worker.terminate();
});

test.serial(
  'a thread that waits for the end is told that another one has aborted the connection',
  async (t) => {
    const user = new User();
    const socket = open(PeerPort.Full, INET_OPTION_FREETHREAD, 0.3);
    t.true(InetWrite(socket, new Uint8Array(8 * 1024 * 1024)) > 0);
    InetSetTimeout(socket, TIMEOUT_S);
    const ended = user.run({ do: 'disconnect', handle: socket });
    await until(() => InetGetStatus(socket) === INET_STATUS_DISCONNECT);
    t.is(InetAbort(socket), 0);
    t.deepEqual(await ended, { result: INET_ERROR, error: INET_ERRORS.ABORTED.number, text: '' });
    await user.worker.terminate();
  },
);

test.serial('an abort ends the calls of other threads as cancelled', async (t) => {
  const user = new User();
  const socket = open(PeerPort.Silent, INET_OPTION_FREETHREAD);
  const blocked = user.run({ do: 'read', handle: socket });
  await until(() => InetGetStatus(socket) === INET_STATUS_READ);
  t.is(InetAbort(socket), 0);
  t.deepEqual(await blocked, { result: INET_ERROR, error: INET_ERRORS.CANCELLED.number, text: '' });
  await user.worker.terminate();
});

test.serial('a flush is done when the peer has acknowledged', (t) => {
  const socket = open(PeerPort.Count);
  send(socket, 'x'.repeat(100_000));
  t.is(InetFlush(socket), 0);
  t.is(InetDisconnect(socket), 0);
  const full = open(PeerPort.Full, 0, 0.3);
  InetWrite(full, new Uint8Array(4 * 1024 * 1024));
  t.is(InetFlush(full), INET_ERROR);
  t.is(lastCode(), 'TIMEOUT');
});

test.serial('InetConnectEx connects from the address and port it is given', (t) => {
  const connect = (address: string | null, port: number, options = 0, host = 'peer.test'): number =>
    InetConnectEx(host, PeerPort.Echo, INET_PROTOCOL_TCP, TIMEOUT_S, options, address, port, null);
  const where = new INTERNET_ADDRESS();
  const first = connect('192.0.2.2', 50_000);
  t.is(InetGetLocalAddress(first, where), 50_000);
  t.is(where.toString(), '192.0.2.2');
  t.is(connect(null, 50_000, 0, '192.0.2.1'), INVALID_SOCKET);
  t.is(lastCode(), 'ADDRESS_IN_USE');
  send(first, 'x');
  t.is(text(first), 'x');
  // the family follows the local address
  const six = connect('2001:db8::2', 0);
  t.true(InetGetPeerAddress(six, where) > 0);
  t.is(where.toString(), '2001:db8::1');
  const reserved = connect(null, 999, INET_OPTION_RESERVEDPORT);
  t.is(InetGetLocalAddress(reserved, where), 999);
  for (const socket of [first, six, reserved]) t.is(InetDisconnect(socket), 0);

  for (const [address, port, options, code] of [
    ['192.0.2.77', 0, 0, 'ADDRESS_NOT_AVAILABLE'],
    ['peer.test', 0, 0, 'ARGUMENT_INVALID'],
    [null, -1, 0, 'ARGUMENT_INVALID'],
    [null, 65_536, 0, 'ARGUMENT_INVALID'],
    [null, 1024, INET_OPTION_RESERVEDPORT, 'OPTION_INVALID'],
  ] as const) {
    t.is(connect(address, port, options), INVALID_SOCKET);
    t.is(lastCode(), code);
  }
  t.is(InetRead(first, new Uint8Array(1)), INET_ERROR);
});
