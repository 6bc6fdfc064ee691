// needs: tun openssl pg_ctlcluster mariadbd redis-server mosquitto postfix sshd setpriv
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { AbstractConnector, Redis } from 'ioredis';
import { MqttClient } from 'mqtt';
import { createConnection as mysqlConnection } from 'mysql2/promise';
import { createTransport, type TransportOptions } from 'nodemailer';
import pg from 'pg';
import { type SFTPWrapper, Client as SshClient } from 'ssh2';
import { createLab, KERNEL_V4, type Lab, OWN_ADDRESSES, OWN_V4 } from '../test/netns.ts';
import {
  ACCOUNT,
  startMariadb,
  startMosquitto,
  startPostfix,
  startPostgres,
  startRedis,
  startSshd,
} from '../test/peers/application-servers.ts';
import { type Credentials, makeCredentials } from '../test/peers/credentials.ts';
import { createStack, type NetStack, type Socket } from './index.ts';
import { pattern } from './testing/consume.ts';

// Programs that know net.Socket, unchanged, each with the option it has for a socket from elsewhere.

const SERVER_NAME = 'peer.lab.test';

interface Bench {
  readonly lab: Lab;
  readonly stack: NetStack;
  readonly credentials: Credentials;
  readonly ca: string;
}

async function bench(t: ExecutionContext): Promise<Bench> {
  // making a database takes its time on a busy machine
  t.timeout(180_000);
  const lab = await createLab(t);
  const options = { device: `tun:${lab.tun}`, addresses: OWN_ADDRESSES, resolver: { hostsFile: null } };
  const stack = await lab.within(() => createStack(options));
  t.teardown(() => stack.close());
  const credentials = makeCredentials(lab.folder, [SERVER_NAME, KERNEL_V4]);
  return { lab, stack, credentials, ca: readFileSync(credentials.caFile, 'utf8') };
}

test('pg and PostgreSQL: TLS on request, SCRAM, a large result, a cancelled query', async (t) => {
  const { lab, stack, credentials, ca } = await bench(t);
  await startPostgres(lab, credentials);
  const { user, password } = ACCOUNT;
  const options = { host: KERNEL_V4, port: 5432, user, password, database: 'postgres' };
  for (const ssl of [false, { ca, servername: SERVER_NAME }]) {
    const client = new pg.Client({ ...options, ssl, stream: () => stack.socket() });
    await client.connect();
    const { rows } = await client.query('SELECT inet_client_addr() AS address, $1::text AS echo', ['ü']);
    t.deepEqual(rows, [{ address: OWN_V4, echo: 'ü' }]);
    const many = await client.query("SELECT i, repeat('x', 1000) AS x FROM generate_series(1, 3000) AS i");
    t.is(many.rows.length, 3000);
    t.is(many.rows[2999].i, 3000);
    await t.throwsAsync(client.query('SELECT nonsense'), { message: /nonsense/ });
    const secure = await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
    t.is(secure.rows[0].ssl, ssl !== false);
    await client.end();
  }
});

test('mysql2 and MariaDB: TLS on request, prepared statements, a large packet both ways', async (t) => {
  const { lab, stack, credentials, ca } = await bench(t);
  await startMariadb(lab, credentials);
  for (const ssl of [undefined, { ca, verifyIdentity: false }]) {
    const connection = await mysqlConnection({
      ...ACCOUNT,
      host: KERNEL_V4,
      stream: () => stack.createConnection({ host: KERNEL_V4, port: 3306 }),
      ...(ssl === undefined ? {} : { ssl }),
    });
    const [rows] = await connection.execute('SELECT ? + 1 AS sum, USER() AS me', [41]);
    t.like((rows as unknown[])[0], { sum: 42, me: `${ACCOUNT.user}@${OWN_V4}` });
    const large = pattern(2_000_000);
    const [echoed] = await connection.query('SELECT ? AS echo', [large]);
    t.true(Buffer.from((echoed as { echo: Buffer }[])[0]?.echo ?? '').equals(large));
    const [[status]] = (await connection.query("SHOW STATUS LIKE 'Ssl_cipher'")) as unknown as [
      [{ Value: string }],
    ];
    t.is(status.Value !== '', ssl !== undefined);
    await connection.end();
  }
});

test('ioredis and Redis, in clear and over our TLS: pipelines, subscriptions, a server that goes', async (t) => {
  const { lab, stack, credentials, ca } = await bench(t);
  const server = await startRedis(lab, credentials);
  /** Connections of ioredis through the stack. */
  function connector(secure: boolean): typeof AbstractConnector {
    return class extends AbstractConnector {
      constructor() {
        super(10_000);
      }
      async connect(): Promise<Socket> {
        this.connecting = true;
        const tls = { ca, servername: SERVER_NAME };
        const socket = secure
          ? await stack.connect({ host: KERNEL_V4, port: 6380, tls })
          : stack.createConnection({ host: KERNEL_V4, port: 6379 });
        this.stream = socket;
        return socket;
      }
    } as unknown as typeof AbstractConnector;
  }
  for (const secure of [false, true]) {
    const options = { password: ACCOUNT.password, Connector: connector(secure) as never, lazyConnect: true };
    const redis = new Redis(options);
    const listening = new Redis(options);
    for (const each of [redis, listening]) each.on('error', () => {});
    await Promise.all([redis.connect(), listening.connect()]);
    const pipeline = redis.pipeline();
    for (let i = 0; i < 1000; i++) pipeline.set(`key ${i}`, `value ${i}`);
    t.is((await pipeline.exec())?.length, 1000);
    t.is(await redis.get('key 999'), 'value 999');
    const large = pattern(1_000_000);
    await redis.set('large', large);
    t.true((await redis.getBuffer('large'))?.equals(large));
    await listening.subscribe('news');
    const message = once(listening, 'message');
    t.is(await redis.publish('news', 'today'), 1);
    t.deepEqual(await message, ['news', 'today']);
    listening.disconnect();
    if (!secure) {
      redis.disconnect();
      continue;
    }
    const closed = new Promise((resolve) => redis.once('close', resolve));
    await server.stop('SIGKILL');
    await closed;
    redis.disconnect();
  }
  t.pass();
});

function connected(client: MqttClient): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once('connect', () => resolve());
    client.once('error', reject);
  });
}

test('mqtt and mosquitto: all three qualities of service, retained messages', async (t) => {
  const { lab, stack } = await bench(t);
  await startMosquitto(lab);
  const open = (): Socket => stack.createConnection({ host: KERNEL_V4, port: 1883 });
  const client = new MqttClient(open, { protocolVersion: 5, keepalive: 10, reconnectPeriod: 0 });
  await connected(client);
  await client.subscribeAsync('lab/#', { qos: 2 });
  const heard: string[] = [];
  const all = new Promise<void>((resolve) => {
    client.on('message', (topic, payload) => {
      heard.push(`${topic} ${payload.length}`);
      if (heard.length === 3) resolve();
    });
  });
  for (const qos of [0, 1, 2] as const) await client.publishAsync(`lab/${qos}`, pattern(100_000), { qos });
  await all;
  t.deepEqual(heard, ['lab/0 100000', 'lab/1 100000', 'lab/2 100000']);
  await client.publishAsync('kept', 'still here', { retain: true });
  await client.endAsync();
  const late = new MqttClient(open, { reconnectPeriod: 0 });
  await connected(late);
  const kept = new Promise((resolve) => late.once('message', (_topic, payload) => resolve(String(payload))));
  await late.subscribeAsync('kept');
  t.is(await kept, 'still here');
  await late.endAsync();
});

test('nodemailer and Postfix: a message with an attachment, over STARTTLS', async (t) => {
  const { lab, stack, credentials, ca } = await bench(t);
  const held = await startPostfix(lab, credentials);
  const connection = await stack.connect({ host: KERNEL_V4, port: 25 });
  const transport = createTransport({
    connection,
    host: KERNEL_V4,
    requireTLS: true,
    tls: { ca, servername: SERVER_NAME },
  } as TransportOptions);
  const result = await transport.sendMail({
    from: 'lab@lab.test',
    to: 'device@lab.test',
    subject: 'a test',
    text: 'sent through our stack',
    attachments: [{ filename: 'large', content: pattern(300_000) }],
  });
  t.deepEqual(result.accepted, ['device@lab.test']);
  const messages = readdirSync(held).map((name) => readFileSync(`${held}/${name}`, 'latin1'));
  t.is(messages.length, 1);
  t.regex(messages[0] ?? '', /sent through our stack/);
  t.regex(messages[0] ?? '', /using TLSv1\.3/);
  t.true((messages[0] ?? '').length > 400_000);
});

test('ssh2 and OpenSSH: a command with input and output, files both ways', async (t) => {
  const { lab, stack } = await bench(t);
  const privateKey = await startSshd(lab);
  const client = new SshClient();
  const sock = stack.createConnection({ host: KERNEL_V4, port: 22 });
  client.connect({ sock, username: 'root', privateKey });
  await once(client, 'ready');
  const data = pattern(2_000_000);
  const channel = await new Promise<import('ssh2').ClientChannel>((resolve, reject) => {
    client.exec('cat; echo "$SSH_CONNECTION" >&2', (error, opened) =>
      error ? reject(error) : resolve(opened),
    );
  });
  const stderr = buffer(channel.stderr);
  channel.end(data);
  t.true((await buffer(channel)).equals(data));
  t.regex((await stderr).toString(), new RegExp(`^${OWN_V4.replaceAll('.', '\\.')} `));
  const sftp = await new Promise<SFTPWrapper>((resolve, reject) => {
    client.sftp((error, opened) => (error ? reject(error) : resolve(opened)));
  });
  const path = lab.file('copied');
  const written = once(sftp.createWriteStream(path).end(data), 'close');
  await written;
  t.true(readFileSync(path).equals(data));
  const reading = sftp.createReadStream(path);
  const read = once(reading, 'close');
  t.true((await buffer(reading)).equals(data));
  await read;
  const closed = once(client, 'close');
  client.end();
  await closed;
  t.true(sock.destroyed);
});
