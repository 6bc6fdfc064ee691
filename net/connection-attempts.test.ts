import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Socket } from './index.ts';
import { NOBODY_V4, SERVER_V4, SERVER_V6, type StackPair, stackPair } from './testing/pair.ts';

const folder = mkdtempSync(join(tmpdir(), 'tunwire-attempts-'));
const hostsFile = join(folder, 'hosts');
writeFileSync(
  hostsFile,
  `${SERVER_V4} both.test\n${SERVER_V6} both.test\n${SERVER_V4} one.test\n${NOBODY_V4} silent.test\n2001:db8::99 late.test\n${SERVER_V4} late.test\n`,
);
let pair: StackPair;
test.before(async () => {
  pair = await stackPair({ hostsFile });
});
test.after.always(async () => {
  await pair.close();
  rmSync(folder, { recursive: true });
});

const EVENTS = [
  'connectionAttempt',
  'connectionAttemptFailed',
  'connectionAttemptTimeout',
  'connect',
  'error',
];

/** Names of the events with what they told, until the connection or its failure. Addresses by their place in `names`. */
async function observe(socket: Socket | net.Socket, names: readonly string[]): Promise<string[]> {
  const seen: string[] = [];
  const closed = new Promise<void>((done) => socket.once('close', () => done()));
  for (const event of EVENTS) {
    socket.on(event, (...told: unknown[]) => {
      const words = told.map((each) => {
        if (each instanceof Error) return String((each as NodeJS.ErrnoException).code);
        if (typeof each === 'string') return `address ${names.indexOf(each)}`;
        return typeof each === 'number' && each > 6 ? 'port' : String(each);
      });
      seen.push([event, ...words].join(' '));
    });
  }
  socket.once('connect', () => socket.destroy());
  await closed;
  return seen;
}

/** What Node's own socket tells; its answers come later, so that nothing is told before anybody listens. */
function node(port: number, addresses: readonly string[]): Promise<string[]> {
  const lookup: net.LookupFunction = (_host, _options, done) => {
    setImmediate(
      done,
      null,
      addresses.map((address) => ({ address, family: 4 })),
    );
  };
  const host = addresses.length === 1 ? addresses[0]! : 'both.test';
  const options = addresses.length === 1 ? { host, port } : { host, port, lookup, autoSelectFamily: true };
  return observe(net.connect(options), addresses);
}

test("events of each address, as Node's own", async (t) => {
  const kernel = net.createServer().listen(0, '127.0.0.1');
  t.teardown(() => kernel.close());
  await new Promise((done) => kernel.once('listening', done));
  const kernelPort = (kernel.address() as AddressInfo).port;
  await using server = await pair.server.listen({ port: 0, host: SERVER_V4 });
  server.on('connection', (peer) => peer.on('error', () => {}).resume());
  const port = server.address()?.port ?? 0;
  const ours = (host: string, names: readonly string[]): Promise<string[]> =>
    observe(pair.client.createConnection({ host, port }), names);

  // Node tells the attempt of an address that needs no lookup before connect() returns
  t.deepEqual(await ours(SERVER_V4, [SERVER_V4]), ['connectionAttempt address 0 port 4', 'connect']);
  t.deepEqual(await ours('one.test', [SERVER_V4]), ['connectionAttempt address 0 port 4', 'connect']);
  t.deepEqual(await node(kernelPort, ['127.0.0.2', '127.0.0.1']), [
    'connectionAttempt address 0 port 4',
    'connectionAttemptFailed address 0 port 4 ECONNREFUSED',
    'connectionAttempt address 1 port 4',
    'connect',
  ]);
  t.deepEqual(await ours('both.test', [SERVER_V6, SERVER_V4]), [
    'connectionAttempt address 0 port 6',
    'connectionAttemptFailed address 0 port 6 ECONNREFUSED',
    'connectionAttempt address 1 port 4',
    'connect',
  ]);
  const refused = [
    'connectionAttempt address 0 port 4',
    'connectionAttemptFailed address 0 port 4 ECONNREFUSED',
    'error ECONNREFUSED',
  ];
  t.deepEqual(
    await observe(pair.client.createConnection({ host: SERVER_V4, port: 9 }), [SERVER_V4]),
    refused,
  );
});

test('every address failed: each is told, and listed', async (t) => {
  const socket = pair.client.createConnection({ host: 'both.test', port: 9 });
  t.deepEqual(await observe(socket, [SERVER_V6, SERVER_V4]), [
    'connectionAttempt address 0 port 6',
    'connectionAttemptFailed address 0 port 6 ECONNREFUSED',
    'connectionAttempt address 1 port 4',
    'connectionAttemptFailed address 1 port 4 ECONNREFUSED',
    'error ECONNREFUSED',
  ]);
  t.deepEqual(socket.autoSelectFamilyAttemptedAddresses, [`${SERVER_V6}:9`, `${SERVER_V4}:9`]);
});

test('an address that is silent: its attempt is told at once, its end at the end', async (t) => {
  const socket = pair.client.createConnection({ host: 'silent.test', port: 9, timeoutMs: 300 });
  let wasConnecting = false;
  socket.once('connectionAttempt', () => {
    wasConnecting = socket.connecting;
  });
  t.deepEqual(await observe(socket, [NOBODY_V4]), [
    'connectionAttempt address 0 port 4',
    'connectionAttemptTimeout address 0 port 4',
    'error ETIMEDOUT',
  ]);
  t.true(wasConnecting);
});

test('a silent address beside one that answers', async (t) => {
  await using server = await pair.server.listen({ port: 0 });
  server.on('connection', (peer) => peer.on('error', () => {}).resume());
  const socket = pair.client.createConnection({ host: 'late.test', port: server.address()?.port ?? 0 });
  t.deepEqual(await observe(socket, ['2001:db8::99', SERVER_V4]), [
    'connectionAttempt address 0 port 6',
    'connectionAttempt address 1 port 4',
    'connect',
  ]);
});

test('a socket destroyed by a listener tells nothing more', async (t) => {
  const socket = pair.client.createConnection({ host: 'both.test', port: 9 });
  socket.once('connectionAttempt', () => socket.destroy());
  t.deepEqual(await observe(socket, [SERVER_V6, SERVER_V4]), ['connectionAttempt address 0 port 6']);
});
