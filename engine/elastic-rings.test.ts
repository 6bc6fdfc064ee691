import test from 'ava';
import { ArenaWord } from './arena.ts';
import { WOULD_BLOCK } from './channel.ts';
import type { EngineClient } from './client.ts';
import { SharedSocket } from './shared-socket.ts';
import { ringCapacity, SocketStatus, SocketWord } from './socket-block.ts';
import { ECHO_PORT, echoBench } from './testing/echo-bench.ts';

/** The keeper's hand has been round twice. */
const GONE_MS = 2800;

function connect(client: EngineClient): SharedSocket {
  const socket = SharedSocket.connect(client, {
    host: '192.0.2.2',
    port: ECHO_PORT,
    protocol: 'tcp',
    timeoutMs: 30_000,
  });
  for (;;) {
    const sequence = socket.sendSequence;
    if (socket.status !== SocketStatus.Opening) break;
    if (!socket.sleepSend(sequence, 30_000)) throw new Error('no answer from the engine');
  }
  socket.throwIfFailed();
  return socket;
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function rings(socket: SharedSocket): number[] {
  return [SocketWord.SendRing, SocketWord.RecvRing].map((word) => ringCapacity(socket.block.get(word)));
}

/** One end of an echo: byte `i` is known, so that nothing has to be kept. */
class Echo {
  readonly socket: SharedSocket;
  written = 0;
  read = 0;
  readonly #buffer: Uint8Array = new Uint8Array(100_000);

  constructor(socket: SharedSocket) {
    this.socket = socket;
  }

  /** @returns false: nothing could be written */
  write(lengthBytes: number): boolean {
    const length = Math.min(lengthBytes, this.#buffer.length);
    for (let i = 0; i < length; i++) this.#buffer[i] = byteAt(this.written + i);
    const taken = this.socket.write(this.#buffer, 0, length);
    if (taken === WOULD_BLOCK) return false;
    this.written += taken;
    return true;
  }

  readAll(): void {
    for (;;) {
      const length = this.socket.read(this.#buffer, 0, this.#buffer.length);
      if (length === WOULD_BLOCK) return;
      if (length === 0) throw new Error('the stream ended');
      for (let i = 0; i < length; i++) {
        if (this.#buffer[i] !== byteAt(this.read + i)) throw new Error(`byte ${this.read + i} is wrong`);
      }
      this.read += length;
    }
  }

  /** Reads until everything has come back. */
  drain(): void {
    while (this.read < this.written) {
      const { recvSequence } = this.socket;
      const before = this.read;
      this.readAll();
      if (this.read === before && !this.socket.sleepRecv(recvSequence, 20_000)) {
        throw new Error(`${this.read} of ${this.written} bytes came back`);
      }
    }
  }
}

function byteAt(i: number): number {
  return (i * 7 + (i >> 9)) & 0xff;
}

test('rings grow, shrink, go and come under the hands of a thread that reads and writes', (t) => {
  const { client } = echoBench(t);
  const echo = new Echo(connect(client));
  t.deepEqual(rings(echo.socket), [0, 0]);
  let largest = 0;
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
  for (let round = 0; round < 3; round++) {
    for (const until = echo.written + 6_000_000; echo.written < until; ) {
      const { sendSequence } = echo.socket;
      const full = !echo.write(1 + random(100_000));
      // sometimes the reader lags, so that the receive ring has to grow
      if (random(8) !== 0) echo.readAll();
      else if (full) echo.socket.sleepSend(sendSequence, 5);
      largest = Math.max(largest, ...rings(echo.socket));
    }
    echo.drain();
    pause(GONE_MS);
    t.deepEqual(rings(echo.socket), [0, 0], `round ${round}`);
    t.is(echo.socket.readableBytes, 0);
    t.is(echo.socket.status, SocketStatus.Open);
  }
  t.true(largest > 65_536, `${largest}`);
  t.is(echo.read, echo.written);
});

test('the first write after an idle time waits for nobody', (t) => {
  const { client } = echoBench(t);
  const echo = new Echo(connect(client));
  t.is(echo.socket.writableBytes, 65_536);
  t.true(echo.write(100));
  echo.drain();
  pause(GONE_MS);
  t.deepEqual(rings(echo.socket), [0, 0]);
  t.true(echo.write(100));
  echo.drain();
  t.is(echo.read, 200);
});

test('sizes that were set are kept', (t) => {
  const { client } = echoBench(t, { sendBufferBytes: 131_072, receiveBufferBytes: 131_072 });
  const echo = new Echo(connect(client));
  for (let i = 0; i < 50; i++) {
    while (echo.write(100_000)) t.is(rings(echo.socket)[0], 131_072);
    t.true(rings(echo.socket)[1]! <= 131_072);
    echo.readAll();
  }
  echo.drain();
  t.is(echo.read, echo.written);
});

test('a writer who asks for a ring gets it while it still holds the lock', (t) => {
  // so little that there are no spare ones
  const { client } = echoBench(t, { memoryBytes: 1_048_576, maxSockets: 4 });
  const socket = connect(client);
  const bytes = new Uint8Array(1000);
  socket.lockSend();
  const { sendSequence } = socket;
  let taken = socket.writeLocked(bytes, 0, bytes.length);
  // the engine may give it even before the writer looks again
  if (taken === WOULD_BLOCK) {
    t.true(socket.sleepSend(sendSequence, 30_000));
    taken = socket.writeLocked(bytes, 0, bytes.length);
  }
  t.is(taken, bytes.length);
  socket.unlockSend();
  socket.release();
});

test('40 connections want more than all memory: writers wait, windows close, and every byte arrives', (t) => {
  const { client } = echoBench(t, { memoryBytes: 1_048_576, maxSockets: 41 });
  const echoes = Array.from({ length: 40 }, () => new Echo(connect(client)));
  const target = 150_000;
  // nobody reads until nobody can write any more, or the far end has taken everything: it has memory enough
  let [waits, scarce] = [0, 0];
  for (let quiet = 0; quiet < 20; ) {
    let moved = false;
    for (const echo of echoes) {
      if (echo.written === target) continue;
      if (echo.write(target - echo.written)) moved = true;
      else waits++;
    }
    scarce |= client.arena.load(ArenaWord.MemoryScarce);
    quiet = moved ? 0 : quiet + 1;
    if (!moved) pause(10);
  }
  t.true(waits > 0);
  t.is(scarce, 1);
  // the one block that is left, then none
  const last = connect(client);
  t.throws(() => connect(client), { message: /all 41 sockets of the engine are in use/ });
  const deadline = performance.now() + 40_000;
  while (echoes.some((echo) => echo.read < target) && performance.now() < deadline) {
    for (const echo of echoes) {
      echo.readAll();
      if (echo.written < target) echo.write(target - echo.written);
    }
    pause(1);
  }
  t.deepEqual(
    echoes.map((echo) => echo.read),
    echoes.map(() => target),
  );
  pause(GONE_MS);
  t.is(client.arena.load(ArenaWord.MemoryScarce), 0);
  last.release();
});
