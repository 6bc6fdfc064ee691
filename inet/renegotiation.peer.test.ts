// needs: openssl
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { issueCa, issueServer } from '../tls/testing/certificates.ts';
import {
  INET_OPTION_SECURE,
  INET_OPTION_SECURE_FALLBACK,
  INET_PROTOCOL_TCP,
  INVALID_SOCKET,
  InetConnect,
  InetDisconnect,
  InetGetErrorString,
  InetGetLastError,
  InetInitialize,
  InetRead,
  InetUninitialize,
  InetWrite,
  SECURITY_PROTOCOL_TLS10,
  SECURITY_PROTOCOL_TLS12,
} from './index.ts';
import { type Peer, PeerPort, startPeer } from './testing/peer.ts';

const TIMEOUT_S = 8;
/** Only a server that hangs takes so long. */
const WAIT_MS = 30_000;
const folder: string = mkdtempSync(join(tmpdir(), 'tunwire-renegotiation-'));
let peer: Peer;
let server: ChildProcess;
let output = '';

// openssl s_server on the kernel's loopback, to which the peer's stack passes connections on; `r` on its input asks for a renegotiation
test.before(async () => {
  const times = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
  const ca = issueCa('renegotiation', times);
  const leaf = issueServer(['peer.test'], ca, times);
  const [caFile, serverFile] = [join(folder, 'ca.pem'), join(folder, 'server.pem')];
  writeFileSync(caFile, ca.pem);
  writeFileSync(serverFile, `${leaf.pem}${leaf.privateKey.export({ type: 'pkcs8', format: 'pem' })}`);
  server = spawn('openssl', [
    ...['s_server', '-accept', '127.0.0.1:0', '-msg', '-cipher', 'ALL:@SECLEVEL=0'],
    ...['-cert', serverFile, '-key', serverFile],
  ]);
  server.stderr?.resume();
  server.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString('latin1');
  });
  await until(() => /ACCEPT \S+:\d+/.test(output));
  peer = await startPeer(undefined, Number(/ACCEPT \S+:(\d+)/.exec(output)?.[1]));
  const started = InetInitialize({
    device: peer.end,
    addresses: ['192.0.2.2/24'],
    resolver: { servers: ['192.0.2.1'], hostsFile: null },
    caFile,
  });
  if (!started) throw new Error(InetGetErrorString(InetGetLastError()));
});

test.after.always(async () => {
  InetUninitialize();
  server?.kill();
  await peer?.stop();
  rmSync(folder, { recursive: true });
});

async function until(condition: () => boolean): Promise<void> {
  for (const end = performance.now() + WAIT_MS; !condition(); ) {
    if (performance.now() > end) throw new Error(`the server says: ${output.slice(-2000)}`);
    await sleep(5);
  }
}

function connect(protocol: number, options: number): number {
  output = '';
  const socket = InetConnect('peer.test', PeerPort.Bridge, INET_PROTOCOL_TCP, TIMEOUT_S, options, {
    dwProtocol: protocol,
  });
  if (socket === INVALID_SOCKET) throw new Error(InetGetErrorString(InetGetLastError()));
  return socket;
}

function say(socket: number, text: string): void {
  const bytes = Buffer.from(text);
  if (InetWrite(socket, bytes) !== bytes.length) throw new Error(InetGetErrorString(InetGetLastError()));
}

function hear(t: ExecutionContext, socket: number, expected: string): void {
  const buffer = new Uint8Array(expected.length);
  let heard = 0;
  while (heard < expected.length) {
    const taken = InetRead(socket, buffer.subarray(heard));
    if (taken <= 0) throw new Error(InetGetErrorString(InetGetLastError()));
    heard += taken;
  }
  t.is(Buffer.from(buffer).toString(), expected);
}

/** The server wishes for a renegotiation. @param times it has by then */
async function ask(times: number): Promise<void> {
  server.stdin?.write('r\n');
  await until(() => output.split('HelloRequest').length > times);
}

/** The first byte of a record of TLS 1.0 comes in one of its own. */
const said = (text: string): boolean => output.includes(text.slice(1));
const hellos = (): number => output.split(/ClientHello/).length - 1;
const FALLBACK = INET_OPTION_SECURE | INET_OPTION_SECURE_FALLBACK;

for (const [name, protocol] of [
  ['TLS 1.2', SECURITY_PROTOCOL_TLS12],
  ['TLS 1.0', SECURITY_PROTOCOL_TLS10],
] as const) {
  test.serial(
    `${name}: with fallback a server renegotiates, again and again, while a reader waits`,
    async (t) => {
      const socket = connect(protocol, FALLBACK);
      say(socket, 'first\n');
      await until(() => said('first'));
      for (let round = 1; round <= 3; round++) {
        await ask(round);
        server.stdin?.write(`turn ${round}\n`);
        hear(t, socket, `turn ${round}\n`);
        say(socket, `answer ${round}\n`);
        await until(() => said(`answer ${round}`));
        t.is(hellos(), 1 + round);
      }
      InetDisconnect(socket);
      await until(() => output.includes('DONE'));
    },
  );
}

test.serial('a writer that nobody reads for makes the renegotiation by itself', async (t) => {
  const socket = connect(SECURITY_PROTOCOL_TLS12, FALLBACK);
  say(socket, 'first\n');
  await until(() => said('first'));
  await ask(1);
  // the reader hears of the wish with what comes behind it, and is not called again
  server.stdin?.write('now\n');
  hear(t, socket, 'now\n');
  say(socket, `${'written '.repeat(20_000)}end\n`);
  await until(() => output.includes('end\n'));
  t.is(hellos(), 2);
  InetDisconnect(socket);
  await until(() => output.includes('DONE'));
});

test.serial('without fallback it is refused by a warning, and the connection goes on', async (t) => {
  const socket = connect(SECURITY_PROTOCOL_TLS12, INET_OPTION_SECURE);
  say(socket, 'first\n');
  await until(() => said('first'));
  await ask(1);
  server.stdin?.write('now\n');
  hear(t, socket, 'now\n');
  // OpenSSL takes the refusal for the end
  await until(() => /no_renegotiation|DONE|ERROR/.test(output));
  t.is(hellos(), 1);
  InetDisconnect(socket);
});
