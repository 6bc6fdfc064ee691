import test from 'ava';
import {
  INET_ERROR,
  INET_OPTION_BROADCAST,
  INET_OPTION_KEEPALIVE,
  INET_OPTION_NODELAY,
  INET_OPTION_SECURE,
  INET_PROTOCOL_UDP,
  INTERNET_ADDRESS,
  InetAbort,
  InetConnect,
  InetDisconnect,
  InetGetOption,
  InetGetPeerAddress,
  InetGetTimeout,
  InetIsBlocking,
  InetIsClosed,
  InetIsConnected,
  InetIsReadable,
  InetIsWritable,
  InetPeek,
  InetRead,
  InetReadEx,
  InetReadLine,
  InetReadStream,
  InetSetLastError,
  InetSetOption,
  InetSetTimeout,
  InetShutdown,
  InetWrite,
  InetWriteEx,
  InetWriteLine,
  InetWriteStream,
} from './index.ts';
import { lastCode, open, send, setUpBench, text, until } from './testing/bench.ts';
import { PeerPort } from './testing/peer.ts';
import { User } from './testing/user.ts';

setUpBench(test);

const STREAMS = [
  ['in clear', PeerPort.Echo, 0],
  ['over TLS', PeerPort.TlsEcho, INET_OPTION_SECURE],
] as const;

for (const [what, port, options] of STREAMS) {
  test.serial(`peeking takes nothing away, ${what}`, async (t) => {
    const socket = open(port, options);
    const buffer = Buffer.alloc(100);
    t.is(InetPeek(socket, null), 0);
    t.is(InetPeek(socket, buffer), 0);
    send(socket, 'peek-a-boo');
    await until(() => InetPeek(socket, null) === 10);
    t.is(InetPeek(socket, buffer, 4), 4);
    t.is(buffer.toString('latin1', 0, 4), 'peek');
    t.is(InetPeek(socket, buffer), 10);
    t.is(text(socket, 5), 'peek-');
    t.is(InetPeek(socket, buffer), 5);
    t.is(buffer.toString('latin1', 0, 5), 'a-boo');
    t.is(text(socket), 'a-boo');
    t.is(InetPeek(socket, buffer), 0);
    t.is(InetPeek(socket, buffer, 0), INET_ERROR);
    t.is(lastCode(), 'ARGUMENT_INVALID');
    t.is(InetDisconnect(socket), 0);
  });

  test.serial(`lines and bytes may be mixed, ${what}`, (t) => {
    const socket = open(port, options, 0.5);
    const length = { value: 0 };
    const cases: [string | null, string, number][] = [
      ['plain', 'plain', 7],
      ['ends in LF\n', 'ends in LF', 12],
      ['ends in CR\r', 'ends in CR', 12],
      ['ends in CRLF\r\n', 'ends in CRLF', 14],
      ['N\0U\0L', 'NUL', 5],
      ['\uFEFFgrüße 🌍', '\uFEFFgrüße 🌍', 17],
      ['', '', 2],
      [null, '', 2],
    ];
    for (const [written, , bytes] of cases) {
      t.true(InetWriteLine(socket, written, length));
      t.is(length.value, bytes, String(written));
    }
    send(socket, 'no end');
    const line = { value: 'old' };
    for (const [, read] of cases) {
      t.true(InetReadLine(socket, line));
      t.is(line.value, read);
    }
    t.is(text(socket, 3), 'no ');
    // a timeout in the middle of a line: what there is, is given
    t.false(InetReadLine(socket, line));
    t.is(lastCode(), 'TIMEOUT');
    t.is(line.value, 'end');
    t.true(InetWriteLine(socket, 'next'));
    t.true(InetReadLine(socket, line));
    t.is(line.value, 'next');
    t.is(InetDisconnect(socket), 0);
  });

  test.serial(`a line that is too long comes in parts, never in half characters, ${what}`, (t) => {
    const socket = open(port, options);
    send(socket, 'abc🌍🌍äöü\r\nexact\r\n');
    const line = { value: '' };
    const parts: string[] = [];
    while (!InetReadLine(socket, line, 5)) {
      t.is(lastCode(), 'MESSAGE_TOO_LONG');
      parts.push(line.value);
    }
    t.deepEqual([...parts, line.value], ['abc', '🌍🌍', 'äöü']);
    t.true(InetReadLine(socket, line, 6));
    t.is(line.value, 'exact');
    // continuation bytes without a beginning count too
    InetWrite(socket, new Uint8Array(100).fill(0x80));
    t.false(InetReadLine(socket, line, 5));
    t.is(line.value.length, 12);
    for (const room of [0, 1, 1.5, 2 ** 21]) {
      t.false(InetReadLine(socket, line, room));
      t.is(lastCode(), 'ARGUMENT_INVALID');
    }
    InetDisconnect(socket);
  });

  test.serial(`streams end at the marker, at the length, or at the end, ${what}`, (t) => {
    const socket = open(port, options, 0.5);
    const found = { value: null as Uint8Array | null };
    const length = { value: 0 };
    const readTo = (marker: string): string => {
      length.value = 0;
      t.true(InetReadStream(socket, found, length, 0, Buffer.from(marker)));
      t.is(length.value, found.value?.length ?? -1);
      return Buffer.from(found.value ?? []).toString();
    };
    const large = Buffer.alloc(50_000, 'abcdefg');
    t.true(InetWriteStream(socket, Buffer.from('head\r\n\r\nbody..end'), length));
    t.is(length.value, 0);
    t.true(InetWriteStream(socket, Buffer.from('head\r\n\r\nbody..end')));
    t.is(readTo('\r\n\r\n'), 'head\r\n\r\n');
    t.is(readTo('.end'), 'body..end');

    length.value = large.length;
    t.true(InetWriteStream(socket, large, length));
    t.is(length.value, large.length);
    const copy = Buffer.alloc(large.length + 10);
    t.true(InetReadStream(socket, copy, length));
    t.true(copy.subarray(0, length.value).equals(large));

    send(socket, 'a marker that comes in two par');
    InetWriteStream(socket, Buffer.from('ts!rest'));
    t.is(readTo('parts!'), 'a marker that comes in two parts!');
    // no marker, and nothing more comes
    length.value = 10;
    t.false(InetReadStream(socket, copy, length));
    t.is(lastCode(), 'TIMEOUT');
    t.is(length.value, 4);
    t.is(copy.toString('latin1', 0, 4), 'rest');
    t.true(InetWriteStream(socket, Buffer.from('last')));
    t.is(InetShutdown(socket), 0);
    t.is(readTo('never'), 'last');

    for (const value of [0, copy.length + 1, -1]) {
      t.false(InetReadStream(socket, copy, { value }));
      t.is(lastCode(), 'ARGUMENT_INVALID');
    }
    t.false(InetReadStream(socket, copy, { value: 1 }, 1));
    t.is(lastCode(), 'OPTION_INVALID');
    InetDisconnect(socket);
  });
}

test.serial('a line may come byte by byte; an unfinished one at the end is given but no line', async (t) => {
  const socket = open(PeerPort.Lines);
  const line = { value: '' };
  for (const expected of ['grüße, 🌍!', 'nulls', '']) {
    t.true(InetReadLine(socket, line));
    t.is(line.value, expected);
  }
  await until(() => InetPeek(socket, null) === 10);
  send(socket, 'end');
  t.false(InetReadLine(socket, line));
  t.is(lastCode(), 'NOT_CONNECTED');
  t.is(line.value, 'unfinished');
  t.false(InetReadLine(socket, line));
  t.is(line.value, '');
  t.is(InetPeek(socket, null), 0);
  t.true(InetIsClosed(socket));
  t.is(InetDisconnect(socket), 0);
});

test.serial('a write that the peer does not take says how much of it was taken', (t) => {
  const socket = open(PeerPort.Full, 0, 0.3);
  const length = { value: 4 * 1024 * 1024 };
  t.true(InetIsWritable(socket));
  t.false(InetWriteStream(socket, new Uint8Array(length.value), length));
  t.is(lastCode(), 'TIMEOUT');
  t.true(length.value > 0 && length.value < 4 * 1024 * 1024);
  t.false(InetIsWritable(socket));
  t.true(InetIsConnected(socket));
  InetAbort(socket);
});

test.serial('UDP: the sender is known, and a datagram may go elsewhere', (t) => {
  const socket = open(PeerPort.Silent, 0, 1, INET_PROTOCOL_UDP);
  const to = new INTERNET_ADDRESS();
  InetGetPeerAddress(socket, to);
  t.true(InetIsWritable(socket));
  t.is(InetWriteEx(socket, Buffer.from('x'), null, new INTERNET_ADDRESS(), 7), INET_ERROR);
  t.is(lastCode(), 'ARGUMENT_INVALID');
  t.is(InetWriteEx(socket, Buffer.from('x'), null, to, 0), INET_ERROR);
  t.is(lastCode(), 'PORT_INVALID');
  InetDisconnect(socket);

  const echo = open(PeerPort.Echo, 0, 1, INET_PROTOCOL_UDP);
  t.is(InetWriteEx(echo, Buffer.from('three'), 3, to, PeerPort.Echo), 3);
  const from = new INTERNET_ADDRESS();
  const port = { value: 0 };
  const buffer = Buffer.alloc(10);
  t.is(InetReadEx(echo, buffer, null, from, port), 3);
  t.is(buffer.toString('latin1', 0, 3), 'thr');
  t.is(from.toString(), '192.0.2.1');
  t.is(port.value, PeerPort.Echo);
  t.is(InetWriteEx(echo, Buffer.from('peek')), 4);
  while (InetPeek(echo, null) === 0);
  t.is(InetPeek(echo, buffer, 2), 2);
  t.is(InetPeek(echo, null), 4);
  t.is(InetReadEx(echo, buffer), 4);
  const line = { value: '' };
  t.false(InetReadLine(echo, line));
  t.is(lastCode(), 'OPTION_INVALID');
  t.false(InetIsClosed(echo));
  InetDisconnect(echo);

  const stream = open(PeerPort.Greet);
  t.is(InetReadEx(stream, buffer, 5, from, port), 5);
  t.is(port.value, PeerPort.Greet);
  t.is(InetWriteEx(stream, buffer, null, to, 7), INET_ERROR);
  t.is(lastCode(), 'ARGUMENT_INVALID');
  InetDisconnect(stream);
});

test.serial('options change one at a time; broadcast works from then on', (t) => {
  const stream = open(PeerPort.Echo, INET_OPTION_NODELAY);
  const on = { value: false };
  const get = (socket: number, option: number): boolean => {
    t.is(InetGetOption(socket, option, on), 0);
    return on.value;
  };
  t.true(get(stream, INET_OPTION_NODELAY));
  t.false(get(stream, INET_OPTION_SECURE));
  t.is(InetSetOption(stream, INET_OPTION_NODELAY, false), 0);
  t.is(InetSetOption(stream, INET_OPTION_KEEPALIVE, true), 0);
  t.false(get(stream, INET_OPTION_NODELAY));
  t.true(get(stream, INET_OPTION_KEEPALIVE));
  for (const option of [
    0,
    INET_OPTION_NODELAY | INET_OPTION_KEEPALIVE,
    INET_OPTION_BROADCAST,
    INET_OPTION_SECURE,
  ]) {
    t.is(InetSetOption(stream, option, true), INET_ERROR);
    t.is(lastCode(), 'OPTION_INVALID');
  }
  t.is(InetGetOption(stream, INET_OPTION_NODELAY | INET_OPTION_KEEPALIVE, on), INET_ERROR);
  t.is(lastCode(), 'OPTION_INVALID');
  InetDisconnect(stream);

  const socket = InetConnect('192.0.2.1', PeerPort.Silent, INET_PROTOCOL_UDP, 0.2);
  const broadcast = new INTERNET_ADDRESS();
  InetGetPeerAddress(socket, broadcast);
  broadcast.ipNumber[3] = 255;
  t.is(broadcast.toString(), '192.0.2.255');
  const buffer = new Uint8Array(1);
  InetWriteEx(socket, buffer, 1, broadcast, PeerPort.Echo);
  t.is(InetRead(socket, buffer), INET_ERROR);
  t.is(lastCode(), 'ACCESS_DENIED');
  t.is(InetSetOption(socket, INET_OPTION_BROADCAST, true), 0);
  InetWriteEx(socket, buffer, 1, broadcast, PeerPort.Echo);
  InetSetLastError(0);
  t.is(InetRead(socket, buffer), INET_ERROR);
  t.is(lastCode(), 'TIMEOUT');
  t.is(InetSetOption(socket, INET_OPTION_KEEPALIVE, true), INET_ERROR);
  InetDisconnect(socket);
});

test.serial('the timeout of a handle can be changed; whoever blocks can be seen', async (t) => {
  const socket = open(PeerPort.Silent, 0, 60.5);
  t.is(InetGetTimeout(socket), 60.5);
  t.is(InetSetTimeout(socket, 0.2), 0);
  const startedAt = performance.now();
  t.is(InetRead(socket, new Uint8Array(1)), INET_ERROR);
  t.is(lastCode(), 'TIMEOUT');
  t.true(performance.now() - startedAt < 30_000);
  t.is(InetSetTimeout(socket, -1), INET_ERROR);
  t.is(lastCode(), 'ARGUMENT_INVALID');
  t.false(InetIsBlocking(socket));
  const user = new User();
  await user.run({ do: 'attach', handle: socket, thread: 0 });
  InetSetLastError(0);
  t.is(InetGetTimeout(socket), INET_ERROR);
  t.is(lastCode(), 'WRONG_THREAD');
  const reading = user.run({ do: 'read', handle: socket });
  await until(() => InetIsBlocking(socket));
  t.is((await reading).result, INET_ERROR);
  t.false(InetIsBlocking(socket));
  t.false(InetIsReadable(socket));
  t.false(InetIsClosed(socket));
  t.true(InetIsClosed(12_345));
  t.false(InetIsWritable(12_345));
  t.false(InetIsBlocking(12_345));
  await user.worker.terminate();
});
