// sends any payload: its datagrams have ports by chance, that of multicast DNS among them
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as inet from './index.ts';
import { lastCode, open, send, setUpBench, TIMEOUT_S } from './testing/bench.ts';
import { PeerPort } from './testing/peer.ts';

setUpBench(test);

/** What an example finds around it, and how its last error may be. */
interface Setting {
  readonly names: Readonly<Record<string, unknown>>;
  /** Default '': none. */
  readonly error?: string;
}

/** The example of each exported function, by its name. */
function examples(): Map<string, string> {
  const found = new Map<string, string>();
  const folder = import.meta.dirname;
  for (const file of readdirSync(folder).filter(
    (name) => name.endsWith('.ts') && !name.endsWith('.test.ts'),
  )) {
    const source = readFileSync(join(folder, file), 'utf8');
    for (const [, comment = '', name = ''] of source.matchAll(
      /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\nexport function (Inet\w+)/g,
    )) {
      const [, example] = comment.split('@example');
      if (example !== undefined) found.set(name, example.replace(/^ ?\* ?/gm, '').trim());
    }
  }
  return found;
}

function connected(port: number = PeerPort.Echo, waiting = 'one\r\ntwo\r\n\r\n'): number {
  const socket = open(port);
  if (waiting !== '') send(socket, waiting);
  return socket;
}

const bytes = Buffer.from('some bytes');

/** A datagram socket with an answer under way. */
function datagrams(): number {
  const socket = open(PeerPort.Echo, 0, TIMEOUT_S, inet.INET_PROTOCOL_UDP);
  send(socket, 'datagram');
  return socket;
}

function starttls(): number {
  const socket = open(PeerPort.StartTls);
  inet.InetReadLine(socket, { value: '' });
  return socket;
}

/** Listens, and has the peer connect to it. */
function listening(port: number): number {
  const listener = inet.InetListen(null, port);
  send(open(PeerPort.Callback), String(port));
  return listener;
}

function made(): inet.OutValue<inet.SECURITYCREDENTIALS | null> {
  return { value: { dwSize: inet.SECURITYCREDENTIALS_SIZE } };
}

/** Settings of the examples that need more than a connection with something to read. */
const SETTINGS: Readonly<Record<string, () => Setting>> = {
  InetAttachThread: () => ({
    names: {
      socket: connected(),
      // in this thread it is there already, and counted
      InetInitialize: () => true,
    },
  }),
  InetEnableSecurity: () => ({ names: { socket: starttls() } }),
  // this thread is initialized: the example would have to be the first call
  InetInitialize: () => ({ names: {}, error: 'ARGUMENT_INVALID' }),
  InetReadEx: () => ({ names: { socket: datagrams() } }),
  InetWriteEx: () => {
    const address = new inet.INTERNET_ADDRESS();
    inet.InetGetHostAddress('peer.test', inet.INET_ADDRESS_IPV4, address);
    return { names: { socket: datagrams(), address } };
  },
  // the end of the stream ends the loop
  InetReadLine: () => ({ names: { socket: connected(PeerPort.Greet, '') }, error: 'NOT_CONNECTED' }),
  InetRead: () => ({ names: { socket: connected(PeerPort.Greet, '') } }),
  InetIsConnected: () => ({ names: { socket: connected(PeerPort.Greet, '') } }),
  InetListen: () => ({
    names: {
      InetListen: (...args: Parameters<typeof inet.InetListen>) => {
        const listener = inet.InetListen(...args);
        send(open(PeerPort.Callback), String(args[1]));
        return listener;
      },
    },
  }),
  InetAccept: () => {
    const listener = listening(8082);
    const serve = (client: number): void => {
      inet.InetDisconnect(client);
      inet.InetDisconnect(listener);
    };
    return { names: { listener, serve }, error: 'HANDLE_INVALID' };
  },
  InetReject: () => ({ names: { listener: listening(8083) } }),
  InetValidateSecurityCredentials: () => ({ names: { credentials: made().value, lpszPassword: 'secret' } }),
  InetDeleteSecurityCredentials: () => ({ names: { made: made() } }),
  InetWriteStream: () => ({ names: { socket: connected(), file: bytes } }),
  // a worker cannot change its folder
  InetEnableTrace: () => ({ names: { InetEnableTrace: enableTrace } }),
  InetDisableTrace: () => {
    enableTrace('disabled.pcapng');
    return { names: {} };
  },
};

const folder = mkdtempSync(join(tmpdir(), 'tunwire-example-'));
test.after.always(() => rmSync(folder, { recursive: true }));

function enableTrace(file: string, flags?: number): boolean {
  return inet.InetEnableTrace(join(folder, file), flags);
}

const EXAMPLES = examples();

test('every function of the family has an example', (t) => {
  const functions = Object.keys(inet).filter((name) => name.startsWith('Inet'));
  t.true(functions.length > 50);
  t.deepEqual(
    functions.filter((name) => !EXAMPLES.has(name)),
    [],
  );
});

for (const [name, example] of EXAMPLES) {
  test.serial(`the example of ${name} runs`, (t) => {
    const printed: string[] = [];
    const print = (...words: unknown[]): void => void printed.push(words.join(' '));
    const { names, error = '' } = SETTINGS[name]?.() ?? {
      names: /\bsocket\b/.test(example) && !/const socket/.test(example) ? { socket: connected() } : {},
    };
    const scope: Record<string, unknown> = {
      ...inet,
      bytes,
      buffer: new Uint8Array(1024),
      console: { log: print, error: print },
      process: { stdout: { write: print } },
      Buffer,
      ...names,
    };
    const own = [...example.matchAll(/const (\w+)/g)].map(([, declared]) => declared);
    const given = Object.keys(scope).filter((each) => !own.includes(each));
    const code = stripTypeScriptTypes(`(() => {\n${example}\n})();`);
    inet.InetSetLastError(0);
    new Function(...given, code)(...given.map((each) => scope[each]));
    t.is(lastCode(), error, `${inet.InetGetErrorString(inet.InetGetLastError())}\n${example}`);
  });
}
