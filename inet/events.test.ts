import test from 'ava';
import {
  INET_ERROR,
  INET_ERRORS,
  INET_EVENT_CANCEL,
  INET_EVENT_CONNECT,
  INET_EVENT_DISCONNECT,
  INET_EVENT_READ,
  INET_EVENT_TIMEOUT,
  INET_EVENT_WRITE,
  INET_OPTION_FREETHREAD,
  INET_OPTION_SECURE,
  InetAbort,
  InetAttachThread,
  InetCancel,
  InetDisableEvents,
  InetDisconnect,
  InetEnableEvents,
  InetFreezeEvents,
  InetGetStatus,
  InetRead,
  InetReadStream,
  InetRegisterEvent,
  InetSetTimeout,
  InetWrite,
} from './index.ts';
import { lastCode, open, send, setUpBench, TIMEOUT_S, text, until } from './testing/bench.ts';
import { PeerPort } from './testing/peer.ts';
import { User } from './testing/user.ts';

setUpBench(test);

const NAMES: Readonly<Record<number, string>> = {
  [INET_EVENT_CONNECT]: 'connect',
  [INET_EVENT_DISCONNECT]: 'disconnect',
  [INET_EVENT_READ]: 'read',
  [INET_EVENT_WRITE]: 'write',
  [INET_EVENT_TIMEOUT]: 'timeout',
  [INET_EVENT_CANCEL]: 'cancel',
};

/** Registers for all events, and keeps what comes. */
function watch(socket: number): { seen: string[]; errors: number[] } {
  const log = { seen: [] as string[], errors: [] as number[] };
  for (const event of Object.keys(NAMES).map(Number)) {
    const result = InetRegisterEvent(
      socket,
      event,
      (handle, what, error, param) => {
        param.seen.push(handle === socket ? (NAMES[what] ?? '?') : `handle ${handle}`);
        if (error !== 0) param.errors.push(error);
      },
      log,
    );
    if (result === INET_ERROR) throw new Error(lastCode());
  }
  return log;
}

/** Enough for everything that was under way, the echo included. */
async function settle(): Promise<void> {
  await new Promise((done) => setTimeout(done, 60));
}

for (const [what, port, options] of [
  ['in clear', PeerPort.Echo, 0],
  ['over TLS', PeerPort.TlsEcho, INET_OPTION_SECURE],
] as const) {
  test.serial(`READ comes again only after something was read, ${what}`, async (t) => {
    const socket = open(port, options);
    // the tickets of TLS
    await settle();
    const { seen } = watch(socket);
    t.deepEqual(seen, [], 'never inside of the call');
    await until(() => seen.length >= 2);
    seen.splice(0, seen.length, ...seen.filter((event) => event !== 'read'));
    t.deepEqual(seen, ['connect', 'write']);
    seen.length = 0;
    if (options !== 0) {
      // records without data count until somebody has looked
      InetDisableEvents(socket);
      send(socket, '-');
      t.is(text(socket), '-');
      InetEnableEvents(socket);
      await settle();
      seen.length = 0;
    }
    send(socket, 'one');
    await until(() => seen.length > 0);
    send(socket, 'two');
    await settle();
    t.deepEqual(seen, ['read']);
    // what is left counts as new
    t.is(text(socket, 1), 'o');
    await until(() => seen.length > 1);
    await settle();
    t.deepEqual(seen, ['read', 'read']);
    const rest = Buffer.alloc(5);
    t.true(InetReadStream(socket, rest, { value: 5 }));
    t.is(rest.toString(), 'netwo');
    await settle();
    t.deepEqual(seen, ['read', 'read']);
    send(socket, 'three');
    await until(() => seen.length === 3);
    t.is(text(socket), 'three');
    t.is(InetDisconnect(socket), 0);
    await settle();
    t.is(seen.length, 3, 'nothing of the own disconnect');
  });
}

test.serial('DISCONNECT comes once, with the data still there; a reset has its reason', async (t) => {
  const socket = open(PeerPort.Greet);
  const { seen, errors } = watch(socket);
  await until(() => seen.includes('disconnect'));
  await settle();
  t.deepEqual([...seen].sort(), ['connect', 'disconnect', 'read', 'write']);
  t.deepEqual(errors, []);
  t.is(text(socket), 'hello');
  t.is(text(socket), '');
  InetDisconnect(socket);
  const reset = open(PeerPort.Reset);
  const log = watch(reset);
  send(reset, 'x');
  await until(() => log.seen.includes('disconnect'));
  t.deepEqual(log.errors, [INET_ERRORS.RESET.number]);
  InetAbort(reset);
});

test.serial('TIMEOUT follows the call that failed so, WRITE the room that comes after it', async (t) => {
  const socket = open(PeerPort.Silent, 0, 0.1);
  const { seen, errors } = watch(socket);
  t.is(InetRead(socket, new Uint8Array(1)), INET_ERROR);
  await until(() => seen.includes('timeout'));
  t.deepEqual(errors, [INET_ERRORS.TIMEOUT.number]);
  InetAbort(socket);

  const echo = open(PeerPort.Echo, 0, 0.2);
  const log = watch(echo);
  await until(() => log.seen.includes('write'));
  const large = new Uint8Array(8 * 1024 * 1024);
  const written = InetWrite(echo, large);
  t.true(written < large.length);
  InetSetTimeout(echo, TIMEOUT_S);
  t.true(InetReadStream(echo, large, { value: written >> 1 }));
  await until(() => log.seen.filter((event) => event === 'write').length >= 2);
  InetAbort(echo);
});

test.serial('CANCEL is told in the thread that has registered it', async (t) => {
  const user = new User();
  const socket = open(PeerPort.Silent, INET_OPTION_FREETHREAD);
  const { seen, errors } = watch(socket);
  const blocked = user.run({ do: 'read', handle: socket });
  await until(() => InetGetStatus(socket) === 3);
  InetCancel(socket);
  t.is((await blocked).error, INET_ERRORS.CANCELLED.number);
  await until(() => seen.includes('cancel'));
  t.deepEqual(errors, [INET_ERRORS.CANCELLED.number]);
  InetDisconnect(socket);
  await user.worker.terminate();
});

test.serial('events can be switched off, held back, and taken back', async (t) => {
  const socket = open(PeerPort.Echo);
  const seen: string[] = [];
  const note = (_handle: number, _event: number, _error: number, param: string): void =>
    void seen.push(param);
  t.is(InetRegisterEvent(socket, INET_EVENT_READ, note, 'first'), 0);
  t.is(InetDisableEvents(socket), 0);
  send(socket, 'x');
  await settle();
  t.deepEqual(seen, []);
  t.is(InetEnableEvents(socket), 0);
  await until(() => seen.length === 1);
  text(socket);

  t.is(InetFreezeEvents(socket, true), 0);
  send(socket, 'y');
  send(socket, 'z');
  await settle();
  t.deepEqual(seen, ['first']);
  t.is(InetFreezeEvents(socket, false), 0);
  await until(() => seen.length === 2);
  text(socket);

  t.is(InetRegisterEvent(socket, INET_EVENT_READ, note, 'second'), 0);
  send(socket, 'x');
  await until(() => seen.length === 3);
  t.is(seen[2], 'second');
  text(socket);
  t.is(InetRegisterEvent(socket, INET_EVENT_READ, null, ''), 0);
  send(socket, 'x');
  await settle();
  t.is(seen.length, 3);

  t.is(InetRegisterEvent(socket, 99, note, ''), INET_ERROR);
  t.is(lastCode(), 'ARGUMENT_INVALID');
  const register = InetRegisterEvent as (...args: unknown[]) => number;
  t.is(register(socket, INET_EVENT_READ, 'no function', null), INET_ERROR);
  t.is(lastCode(), 'ARGUMENT_INVALID');
  InetDisconnect(socket);
  t.is(InetRegisterEvent(socket, INET_EVENT_READ, note, ''), INET_ERROR);
  t.is(lastCode(), 'HANDLE_INVALID');
});

test.serial('a callback may close the handle; a handle that another thread closes is silent', async (t) => {
  const socket = open(PeerPort.Greet);
  let calls = 0;
  const close = (handle: number): void => {
    calls++;
    t.is(InetDisconnect(handle), 0);
  };
  InetRegisterEvent(socket, INET_EVENT_READ, close, null);
  InetRegisterEvent(socket, INET_EVENT_DISCONNECT, close, null);
  await until(() => calls > 0);
  await settle();
  t.is(calls, 1);

  const user = new User();
  const theirs = open(PeerPort.Echo);
  const { seen } = watch(theirs);
  await until(() => seen.length === 2);
  await user.run({ do: 'attach', handle: theirs, thread: 0 });
  t.is(InetRegisterEvent(theirs, INET_EVENT_READ, close, null), INET_ERROR);
  t.is(lastCode(), 'WRONG_THREAD');
  await user.run({ do: 'uninitialize' });
  await settle();
  t.is(seen.length, 2);
  t.is(InetAttachThread(theirs), INET_ERROR);
  await user.worker.terminate();
});
