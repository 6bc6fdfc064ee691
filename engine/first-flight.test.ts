import test from 'ava';
import { makeSpareKeyShares } from '../tls/keys/spare-key-shares.ts';
import { ACCEPTING } from '../tls/testing/client-under-test.ts';
import { ArenaWord } from './arena.ts';
import { WOULD_BLOCK } from './channel.ts';
import type { EngineClient } from './client.ts';
import { SharedSocket } from './shared-socket.ts';
import { SocketStatus, SocketWord } from './socket-block.ts';
import { SystemRandom } from './system-random.ts';
import { ECHO_PORT, echoBench } from './testing/echo-bench.ts';
import { TlsHandshake } from './tls-handshake.ts';

const HELLO: Uint8Array = Uint8Array.from({ length: 1500 }, (_, i) => i * 7);
/** An attempt may be there before anything could be left for it. */
const MOST_TRIES = 200;

function connect(client: EngineClient, host: string, timeoutMs = 30_000): SharedSocket {
  return SharedSocket.connect(client, { host, port: ECHO_PORT, protocol: 'tcp', timeoutMs });
}

function waitOpen(socket: SharedSocket): void {
  for (;;) {
    const { sendSequence } = socket;
    if (socket.status !== SocketStatus.Opening) return;
    if (!socket.sleepSend(sendSequence, 30_000)) throw new Error('no answer from the engine');
  }
}

function readAll(socket: SharedSocket, lengthBytes: number): Uint8Array {
  const into = new Uint8Array(lengthBytes);
  for (let read = 0; read < lengthBytes; ) {
    const { recvSequence } = socket;
    const got = socket.read(into, read, lengthBytes - read);
    if (got === 0) throw new Error(`the stream ended after ${read} bytes`);
    if (got > 0) read += got;
    else if (!socket.sleepRecv(recvSequence, 30_000)) throw new Error('nothing came');
  }
  return into;
}

test('what is left for a connection before it is open arrives without a write, and what is written goes behind it', (t) => {
  const { client } = echoBench(t);
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const socket = connect(client, '192.0.2.2');
    if (!socket.leaveFirstFlight(HELLO)) {
      waitOpen(socket);
      socket.release();
      continue;
    }
    t.deepEqual(readAll(socket, HELLO.length), HELLO);
    t.not(socket.block.get(SocketWord.TlsOffset), 0, 'a TLS region came along');
    const more = Uint8Array.of(1, 2, 3);
    t.is(socket.write(more, 0, more.length), more.length);
    t.deepEqual(readAll(socket, more.length), more);
    socket.shutdown();
    t.is(socket.writtenTo, HELLO.length + more.length);
    socket.release();
    return;
  }
  t.fail('every connection was open at once');
});

test('nothing can be left for a connection that is open, or that is longer than a send ring', (t) => {
  const { client } = echoBench(t);
  const spares = client.arena.load(ArenaWord.SpareCount);
  const open = connect(client, '192.0.2.2');
  waitOpen(open);
  t.false(open.leaveFirstFlight(HELLO));
  const silent = connect(client, '192.0.2.99');
  t.false(silent.leaveFirstFlight(new Uint8Array(client.arena.load(ArenaWord.SpareBytes) + 1)));
  t.is(client.arena.load(ArenaWord.SpareCount), spares);
  t.is(open.read(new Uint8Array(1), 0, 1), WOULD_BLOCK);
  for (const socket of [open, silent]) socket.release();
});

test('the memory of what was left for connections that nobody answered is used again', (t) => {
  const { client } = echoBench(t);
  const spares = client.arena.load(ArenaWord.SpareCount);
  t.true(spares > 3);
  const silent = Array.from({ length: 3 }, () => connect(client, '192.0.2.99', 200));
  for (const socket of silent) t.true(socket.leaveFirstFlight(HELLO));
  t.is(client.arena.load(ArenaWord.SpareCount), spares - 3);
  for (const socket of silent) {
    waitOpen(socket);
    t.is(socket.block.error?.tunwireCode, 'TIMEOUT');
    t.is(socket.block.get(SocketWord.TlsOffset), 0);
    socket.release();
  }
  const until = performance.now() + 10_000;
  while (client.arena.load(ArenaWord.SpareCount) < spares && performance.now() < until) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }
  t.is(client.arena.load(ArenaWord.SpareCount), spares);
});

test('what is held leaves when it is announced, with the next write, or with the end', (t) => {
  const { client } = echoBench(t);
  const socket = connect(client, '192.0.2.2');
  waitOpen(socket);
  const byte = (value: number): Uint8Array => Uint8Array.of(value);
  t.is(socket.writeHeld(byte(1), 0, 1), 1);
  const { recvSequence } = socket;
  t.false(socket.sleepRecv(recvSequence, 200), 'the engine does not know');
  socket.announceHeld();
  t.deepEqual(readAll(socket, 1), byte(1));
  socket.writeHeld(byte(2), 0, 1);
  socket.write(byte(3), 0, 1);
  t.deepEqual(readAll(socket, 2), Uint8Array.of(2, 3));
  socket.writeHeld(byte(4), 0, 1);
  socket.shutdown();
  t.deepEqual(readAll(socket, 1), byte(4));
  t.throws(() => socket.writeHeld(byte(5), 0, 1), { message: /shut down/ });
  socket.release();
});

test('what is held when a socket is released arrives', (t) => {
  const { client } = echoBench(t);
  const sent = client.counters.txPackets;
  const socket = connect(client, '192.0.2.2');
  waitOpen(socket);
  socket.writeHeld(HELLO, 0, HELLO.length);
  const { index } = socket.block;
  socket.release();
  const isFree = (): boolean =>
    client.arena.load((client.arena.blockOffset(index) >> 2) + SocketWord.Status) === SocketStatus.Free;
  const until = performance.now() + 10_000;
  while (!isFree() && performance.now() < until) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }
  t.true(isFree(), 'the peer has acknowledged all of it');
  t.true(client.counters.txPackets - sent >= 3);
});

const random = new SystemRandom();

function handshakeOn(socket: SharedSocket): TlsHandshake {
  return new TlsHandshake(socket, { serverName: 'a.test', verifier: ACCEPTING, unixTimeMs: 0, random });
}

test('a ClientHello is left for the connection, in pieces it is not', (t) => {
  const { client } = echoBench(t);
  const spares = client.arena.load(ArenaWord.SpareCount);
  const silent = [connect(client, '192.0.2.99', 500), connect(client, '192.0.2.99', 500)];
  handshakeOn(silent[0]!);
  t.is(client.arena.load(ArenaWord.SpareCount), spares - 1);
  new TlsHandshake(silent[1]!, {
    serverName: 'a.test',
    verifier: ACCEPTING,
    unixTimeMs: 0,
    random,
    tuning: { testing: { pieces: { sizeBytes: 10, delayMs: 1 } } },
  });
  t.is(client.arena.load(ArenaWord.SpareCount), spares - 1);
  for (const socket of silent) socket.release();
});

test('the keys of the next handshake are made while the server is at work', (t) => {
  const { client } = echoBench(t);
  const silent = connect(client, '192.0.2.99');
  handshakeOn(silent);
  handshakeOn(silent);
  t.true(makeSpareKeyShares(random), 'there were two handshakes');
  const socket = connect(client, '192.0.2.2');
  const handshake = handshakeOn(socket);
  waitOpen(socket);
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    try {
      if (handshake.step() === 'read') break;
    } catch {
      // the echo of a ClientHello came at once
      t.pass();
      return;
    }
  }
  t.false(makeSpareKeyShares(random), 'they lie ready');
  for (const each of [silent, socket]) each.release();
});
