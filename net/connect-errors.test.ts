import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type ConnectOptions, createMemoryLink, createStack, NetError, type NetStack } from './index.ts';
import { CLIENT_V4, CLIENT_V6, NOBODY_V4, SERVER_V4, SERVER_V6 } from './testing/pair.ts';
import { makeIdentity } from './testing/tls-identity.ts';
import { serveTls } from './testing/tls-server.ts';

// Every failure of connect(): its code, its phase, the address that failed, and a message that says what and where.

const folder = mkdtempSync(join(tmpdir(), 'tunwire-errors-'));
const NOBODY_V6 = '2001:db8::99';
let client: NetStack;
let server: NetStack;
let securePort: number;
let plainPort: number;

test.before(async () => {
  const hostsFile = join(folder, 'hosts');
  writeFileSync(
    hostsFile,
    `${SERVER_V4} both.test one.test
${SERVER_V6} both.test
${NOBODY_V4} silent.test
${NOBODY_V6} silent.test
${SERVER_V4} mixed.test
${NOBODY_V6} mixed.test
198.51.100.1 far.test
203.0.113.1 far.test
`,
  );
  const [near, far] = createMemoryLink();
  const networks = (v4: string, v6: string): string[] => [`${v4}/24`, `${v6}/64`];
  server = await createStack({
    device: far,
    addresses: networks(SERVER_V4, SERVER_V6),
    resolver: { hostsFile: null },
  });
  client = await createStack({
    device: near,
    addresses: networks(CLIENT_V4, CLIENT_V6),
    resolver: { hostsFile },
  });
  securePort = (await serveTls(server, makeIdentity(), (peer) => peer.resume())).port;
  const plain = await server.listen({ port: 0 });
  plain.on('connection', (peer) => peer.on('error', () => {}).end('220 ready\r\n'));
  plainPort = plain.address()?.port ?? 0;
});
test.after.always(async () => {
  await client.close();
  await server.close();
  rmSync(folder, { recursive: true });
});

interface Expected {
  readonly code: string;
  readonly phase: NetError['phase'];
  readonly address?: string;
  readonly message: RegExp;
  /** Address and code of each, sorted. */
  readonly errors?: readonly string[];
}

const cases: readonly (readonly [string, () => ConnectOptions, Expected])[] = [
  [
    'a port that is none',
    () => ({ host: SERVER_V4, port: 70_000 }),
    { code: 'ERR_SOCKET_BAD_PORT', phase: 'argument', message: /1 … 65535.*70000/ },
  ],
  [
    'a local address that is none of ours',
    () => ({ host: SERVER_V4, port: 80, localAddress: '192.0.2.77' }),
    { code: 'EADDRNOTAVAIL', phase: 'route', message: /192\.0\.2\.77/ },
  ],
  [
    'a name that nobody knows',
    () => ({ host: 'nowhere.test', port: 80 }),
    { code: 'EAI_FAIL', phase: 'resolve', message: /no name server.*nowhere\.test/ },
  ],
  [
    'a network without a route',
    () => ({ host: '198.51.100.1', port: 80 }),
    { code: 'ENETUNREACH', phase: 'route', message: /198\.51\.100\.1/ },
  ],
  [
    'a name whose addresses have no route',
    () => ({ host: 'far.test', port: 80 }),
    {
      code: 'ENETUNREACH',
      phase: 'route',
      message: /far\.test, all 2 addresses failed: .*198\.51\.100\.1.*203\.0\.113\.1/,
      errors: ['198.51.100.1 ENETUNREACH', '203.0.113.1 ENETUNREACH'],
    },
  ],
  [
    'refused',
    () => ({ host: SERVER_V4, port: 9 }),
    { code: 'ECONNREFUSED', phase: 'connect', address: SERVER_V4, message: /192\.0\.2\.2/ },
  ],
  [
    'a name with one address, refused',
    () => ({ host: 'one.test', port: 9 }),
    { code: 'ECONNREFUSED', phase: 'connect', address: SERVER_V4, message: /192\.0\.2\.2/ },
  ],
  [
    'a name with two addresses, both refused',
    () => ({ host: 'both.test', port: 9 }),
    {
      code: 'ECONNREFUSED',
      phase: 'connect',
      address: SERVER_V6,
      message: /both\.test, all 2 addresses failed: .*2001:db8::2.*192\.0\.2\.2/,
      errors: [`${SERVER_V4} ECONNREFUSED`, `${SERVER_V6} ECONNREFUSED`],
    },
  ],
  [
    'one address refuses, the other is silent',
    () => ({ host: 'mixed.test', port: 9, timeoutMs: 600 }),
    {
      code: 'ETIMEDOUT',
      phase: 'connect',
      address: NOBODY_V6,
      message: /no answer to SYN from.*2001:db8::99.*before that: .*refused.*192\.0\.2\.2/,
      errors: [`${NOBODY_V6} ETIMEDOUT`, `${SERVER_V4} ECONNREFUSED`],
    },
  ],
  [
    'two silent addresses',
    () => ({ host: 'silent.test', port: 80, timeoutMs: 600 }),
    {
      code: 'ETIMEDOUT',
      phase: 'connect',
      message: /no answer to SYN from.*2001:db8::99.*192\.0\.2\.99/,
      errors: [`${NOBODY_V4} ETIMEDOUT`, `${NOBODY_V6} ETIMEDOUT`],
    },
  ],
  [
    'a certificate that nobody has issued',
    () => ({ host: SERVER_V4, port: securePort, tls: true }),
    {
      code: 'SELF_SIGNED_CERT_IN_CHAIN',
      phase: 'handshake',
      address: SERVER_V4,
      message: /trusted.*192\.0\.2\.2:/,
    },
  ],
  [
    'no TLS at all',
    () => ({ host: SERVER_V4, port: plainPort, tls: true }),
    { code: 'EPROTO', phase: 'handshake', address: SERVER_V4, message: /not a TLS record.*192\.0\.2\.2:/ },
  ],
  [
    'TLS options that cannot be',
    () => ({ host: SERVER_V4, port: securePort, tls: { ca: 'nothing' } }),
    { code: 'EINVAL', phase: 'argument', message: /tls\.ca/ },
  ],
  [
    'aborted',
    () => ({ host: SERVER_V4, port: 9, signal: AbortSignal.abort(new Error('no more')) }),
    { code: 'ABORT_ERR', phase: 'argument', message: /no more/ },
  ],
];

for (const [title, options, expected] of cases) {
  test(`${title}: ${expected.code} while ${expected.phase}`, async (t: ExecutionContext) => {
    const given = options();
    const error = await t.throwsAsync(client.connect(given), { instanceOf: NetError });
    t.is(error.code, expected.code, error.message);
    t.is(error.phase, expected.phase, error.message);
    t.regex(error.message, expected.message);
    if (expected.address !== undefined) {
      t.is(error.address, expected.address, error.message);
      t.is(error.port, given.port);
    }
    const errors = error.errors?.map(({ address, code }) => `${address} ${code}`).sort();
    t.deepEqual(errors, expected.errors === undefined ? undefined : [...expected.errors].sort());
    for (const each of error.errors ?? []) {
      t.true(each instanceof NetError);
      t.is(each.port, given.port);
    }
  });
}

test('elapsedMs: how long it took until it failed, the whole time limit where there was silence', async (t) => {
  const refused = await t.throwsAsync(client.connect({ host: SERVER_V4, port: 9 }), { instanceOf: NetError });
  t.true(refused!.elapsedMs! >= 0 && refused!.elapsedMs! < 500, `${refused?.elapsedMs}`);
  const silent = await t.throwsAsync(client.connect({ host: 'silent.test', port: 80, timeoutMs: 600 }), {
    instanceOf: NetError,
  });
  t.true(silent!.elapsedMs! >= 599, `${silent?.elapsedMs}`);
});
