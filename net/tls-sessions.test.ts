import { once } from 'node:events';
import tls from 'node:tls';
import test from 'ava';
import type { Socket, TlsVersion } from './index.ts';
import { readAll } from './testing/consume.ts';
import { SERVER_V4, type StackPair, stackPair } from './testing/pair.ts';
import { makeIdentity, SERVER_NAME } from './testing/tls-identity.ts';
import { serveTls } from './testing/tls-server.ts';

let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

const identity = makeIdentity();
const known = { ca: identity.ca, servername: SERVER_NAME };

async function greeting(maxVersion: TlsVersion): Promise<number> {
  const { port } = await serveTls(pair.server, { ...identity, maxVersion: maxVersion as 'TLSv1.3' }, (peer) =>
    peer.end('hello'),
  );
  return port;
}

interface Seen {
  readonly events: string[];
  readonly sessions: Buffer[];
  /** Each was what `getSession` gave meanwhile. */
  readonly current: boolean[];
  readonly resumed: boolean;
  readonly atEnd: Buffer | undefined;
  readonly hasTicket: boolean;
}

/** What is told of sessions during a connection, by either of the two classes. */
async function observe(socket: Socket | tls.TLSSocket): Promise<Seen> {
  const events: string[] = [];
  const sessions: Buffer[] = [];
  const current: boolean[] = [];
  let resumed = false;
  let atEnd: Buffer | undefined;
  let hasTicket = false;
  const look = (): void => {
    resumed = socket.isSessionReused();
    atEnd = socket.getSession();
    hasTicket = socket.getTLSTicket() !== undefined;
  };
  socket.on('secureConnect', () => events.push('secureConnect'));
  socket.on('end', look);
  socket.on('session', (session: Buffer) => {
    events.push('session');
    sessions.push(session);
    current.push(socket.getSession()?.equals(session) === true);
  });
  await readAll(socket);
  socket.destroy();
  return { events, sessions, current, resumed, atEnd, hasTicket };
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`'session' and resumption as with tls.connect: ${version}`, async (t) => {
    const port = await greeting(version);
    const ours = (session?: Buffer): Promise<Seen> =>
      observe(
        pair.client.createConnection({
          host: SERVER_V4,
          port,
          tls: { ...known, sessions: false, ...(session && { session }) },
        }),
      );
    const theirs = async (session?: Buffer): Promise<Seen> => {
      const socket = await pair.client.connect({ host: SERVER_V4, port });
      return observe(tls.connect({ socket, ...known, ...(session && { session }) }));
    };
    // sessions come out when one is asked for, and by the default store
    const first = await observe(pair.client.createConnection({ host: SERVER_V4, port, tls: known }));
    const nodeFirst = await theirs();
    t.deepEqual(first.events, nodeFirst.events);
    t.true(first.events.indexOf('secureConnect') < first.events.indexOf('session'));
    t.deepEqual(first.current, nodeFirst.current);
    t.true(first.current.length > 0 && first.current.every(Boolean));
    t.false(first.resumed);
    t.is(first.hasTicket, nodeFirst.hasTicket);
    t.deepEqual(first.atEnd, first.sessions.at(-1));
    const second = await ours(first.sessions[0]);
    const nodeSecond = await theirs(nodeFirst.sessions[0]);
    t.true(second.resumed);
    t.true(nodeSecond.resumed);
    t.deepEqual(second.events, nodeSecond.events);
    t.truthy(second.atEnd);
    t.false((await ours()).resumed);
    t.deepEqual((await ours()).sessions, []);
  });
}

test('setSession before the handshake; what is no session is refused', async (t) => {
  const port = await greeting('TLSv1.3');
  const { atEnd } = await observe(pair.client.createConnection({ host: SERVER_V4, port, tls: known }));
  const socket = pair.client.socket();
  t.is(socket.getSession(), undefined);
  t.throws(() => socket.setSession(Buffer.from('something')), { code: 'EINVAL' });
  socket.setSession(atEnd!);
  socket.connect({ host: SERVER_V4, port, tls: { ...known, sessions: false } });
  await once(socket, 'secureConnect');
  t.true(socket.isSessionReused());
  socket.destroy();
  const bad = { ...known, session: Buffer.from('something') };
  t.throws(() => pair.client.createConnection({ host: SERVER_V4, port, tls: bad }), { code: 'EINVAL' });
});

test('a session of another server is not offered', async (t) => {
  const port = await greeting('TLSv1.3');
  const { atEnd } = await observe(pair.client.createConnection({ host: SERVER_V4, port, tls: known }));
  const other = makeIdentity();
  const { port: otherPort } = await serveTls(pair.server, other, (peer) => peer.end());
  const socket = pair.client.createConnection({
    host: SERVER_V4,
    port: otherPort,
    tls: { ca: other.ca, servername: SERVER_NAME, session: atEnd },
  });
  await once(socket, 'secureConnect');
  t.false(socket.isSessionReused());
  t.true(socket.authorized);
  socket.destroy();
});
