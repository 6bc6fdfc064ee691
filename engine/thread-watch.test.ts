import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import type { NetError } from '../stack/errors.ts';
import { Arena, ArenaWord, EngineState, lockWord, SlotWord, tryLockWord, unlockWord } from './arena.ts';
import { EngineClient } from './client.ts';
import { buryEngine, endSocket } from './dead-engine.ts';
import { collectGarbage } from './garbage.ts';
import { SharedSocket } from './shared-socket.ts';
import { Command, SocketBlock, SocketEvent, SocketStatus, SocketWord } from './socket-block.ts';
import { ECHO_PORT, echoBench } from './testing/echo-bench.ts';
import type { EndedThreadData } from './testing/ended-thread.ts';
import { OWN_THREAD } from './thread-id.ts';
import { giveThreadSlot } from './thread-slot.ts';
import { Loss, ThreadWatch } from './thread-watch.ts';

const HOST = '192.0.2.2';

function connect(client: EngineClient): SharedSocket {
  const socket = SharedSocket.connect(client, {
    host: HOST,
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

/** Runs testing/ended-thread.ts and ends it as soon as it has what it wants. @returns the index of its socket */
async function endThread(client: EngineClient, data: Partial<EndedThreadData>): Promise<number> {
  const workerData: EndedThreadData = {
    memory: client.arena.memory,
    host: null,
    port: ECHO_PORT,
    index: -1,
    locks: [],
    ...data,
  };
  const worker = new Worker(new URL('./testing/ended-thread.ts', import.meta.url), { workerData });
  const [index] = (await once(worker, 'message')) as [number];
  await worker.terminate();
  return index;
}

async function until(condition: () => boolean, timeoutMs = 30_000): Promise<boolean> {
  for (const end = performance.now() + timeoutMs; performance.now() < end; await sleep(10)) {
    if (condition()) return true;
  }
  return condition();
}

for (const lock of ['recv', 'send'] as const) {
  test(`a connection whose ${lock} lock a thread took to its grave fails with a clear error`, async (t) => {
    const { client } = echoBench(t);
    const socket = connect(client);
    await endThread(client, { index: socket.block.index, locks: [lock] });
    const bytes = new Uint8Array(10);
    const error = { message: /a thread was ended in the middle of a read or a write/ };
    // whoever waits for the lock, and whoever comes when the engine has taken care
    const use = (): number => (lock === 'recv' ? socket.read(bytes, 0, 10) : socket.write(bytes, 0, 10));
    t.throws(use, { ...error, code: 'ECONNABORTED' });
    t.throws(use, error);
    t.true(
      await until(() => socket.block.get(SocketWord.RecvLock) + socket.block.get(SocketWord.SendLock) === 0),
    );
    socket.release();
    t.true(await until(() => !socket.isCurrent));
    t.is(client.arena.load(ArenaWord.State), 1);
  });
}

test('a lock that the engine itself took to its grave: the engine has stopped', (t) => {
  const arena = Arena.create({ maxSockets: 1, poolBytes: 65_536 });
  // no thread has this number (Linux: PID_MAX_LIMIT is 2^22)
  const nobody = 1 << 22;
  arena.store(ArenaWord.State, EngineState.Running);
  arena.store(ArenaWord.EngineThread, nobody);
  const client = EngineClient.of(arena);
  const block = client.take();
  block.set(SocketWord.Status, SocketStatus.Open);
  block.set(SocketWord.RecvLock, nobody);
  const socket = SharedSocket.adopt(client, block.index);
  const error = t.throws(() => socket.read(new Uint8Array(1), 0, 1)) as NetError;
  t.is(error.tunwireCode, 'ENGINE_STOPPED');
  t.is(block.get(SocketWord.RecvLock), 0);
});

test('sockets of an ended thread are closed by the engine, with and without locks', async (t) => {
  const { client } = echoBench(t);
  const mine = connect(client);
  for (const locks of [[], ['recv'], ['send'], ['recv', 'send']] as const) {
    const index = await endThread(client, { host: HOST, locks });
    const theirs = SharedSocket.adopt(client, index);
    t.true(await until(() => theirs.status === SocketStatus.Free), locks.join());
  }
  t.true(await until(() => client.counters.orphanedSockets === 4));
  t.is(mine.status, SocketStatus.Open);
  t.is(mine.write(new Uint8Array(5), 0, 5), 5);
  mine.release();
});

test('a lock goes to whoever waits for it when its owner is gone, and to nobody while that lives', (t) => {
  const arena = Arena.create({ maxSockets: 1, poolBytes: 65_536 });
  const { words } = arena;
  const word = ArenaWord.KeyLogLock;
  t.true(lockWord(words, word));
  t.is(words[word], OWN_THREAD);
  t.false(tryLockWord(words, word));
  unlockWord(words, word);
  t.is(words[word], 0);
  // no thread has this number (Linux: PID_MAX_LIMIT is 2^22)
  words[word] = 1 << 22;
  t.false(lockWord(words, word));
  unlockWord(words, word);
  t.is(words[word], 0);
});

test('the slot of an ended thread can be taken again, and a block that was on its way to a list finds back to it', (t) => {
  const arena = Arena.create({ maxSockets: 4, poolBytes: 65_536 });
  const { words } = arena;
  // no thread has this number (Linux: PID_MAX_LIMIT is 2^22)
  const gone = 1 << 22;
  const slot = arena.takeSlot();
  const slotWord = arena.slotWord(slot);
  words[slotWord + SlotWord.Taken] = gone;
  const [listed, unlisted] = [0, 1].map(() => {
    const block = new SocketBlock(arena, arena.takeBlock(SocketWord.NextFree));
    block.set(SocketWord.Status, SocketStatus.Open);
    block.set(SocketWord.Owner, gone);
    block.set(SocketWord.EventSlot, slot + 1);
    block.set(SocketWord.Events, 2);
    return block;
  }) as [SocketBlock, SocketBlock];
  arena.push(slotWord + SlotWord.ReadyHead, listed.at + SocketWord.NextReady, listed.index);
  unlisted.set(SocketWord.Commands, 1);
  const watch = new ThreadWatch(arena);
  const losses: number[] = [];
  const look = (): void => watch.look(0, (index, loss) => losses.push(index, loss));
  look();
  t.deepEqual(losses, [listed.index, Loss.Owner]);
  t.is(listed.get(SocketWord.Events), 0);
  t.is(arena.load(slotWord + SlotWord.ReadyHead), 0);
  t.is(arena.takeSlot(), slot);
  giveThreadSlot(arena, slot);
  listed.set(SocketWord.Status, SocketStatus.Free);
  look();
  t.deepEqual(losses.slice(2), [unlisted.index, Loss.Owner]);
  t.deepEqual([unlisted.get(SocketWord.Commands), unlisted.get(SocketWord.Events)], [0, 0]);
});

test('events that a thread has not heard before its end do not make the next one deaf', async (t) => {
  const arena = Arena.create({ maxSockets: 1, poolBytes: 65_536 });
  arena.store(ArenaWord.State, EngineState.Running);
  const client = EngineClient.of(arena);
  const block = client.take();
  client.watch(block, () => t.fail('it has ended'));
  client.post(block, SocketEvent.Readable);
  // as at the thread's exit
  client.giveSlot();
  const heard = new Promise((resolve) => client.watch(block, resolve));
  client.post(block, SocketEvent.Writable);
  t.is(await Promise.race([heard, sleep(5000, 'nothing', { ref: false })]), SocketEvent.Writable);
});

test('commands of a thread that ended before it could hand them over are carried out all the same', async (t) => {
  const { client } = echoBench(t);
  const socket = connect(client);
  // as whoever was ended between the bits and the list
  socket.block.or(SocketWord.Commands, Command.Options);
  t.is(socket.write(new Uint8Array(5), 0, 5), 5);
  t.true(await until(() => socket.readableBytes === 5));
  socket.release();
  t.true(await until(() => socket.status === SocketStatus.Free));
});

/** An engine that is dead, and two open sockets that are watched. */
function deadBench(): { client: EngineClient; sockets: SocketBlock[]; heard: Promise<NetError | null>[] } {
  const arena = Arena.create({ maxSockets: 2, poolBytes: 65_536 });
  arena.store(ArenaWord.State, EngineState.Running);
  // no thread has this number (Linux: PID_MAX_LIMIT is 2^22)
  arena.store(ArenaWord.EngineThread, 1 << 22);
  const client = EngineClient.of(arena);
  const sockets = [client.take(), client.take()];
  const heard = sockets.map((block) => {
    block.set(SocketWord.Status, SocketStatus.Open);
    return new Promise<NetError | null>((resolve) => client.watch(block, () => resolve(block.error)));
  });
  return { client, sockets, heard };
}

const PATIENCE_MS = 5000;

test('an event loop that wakes while another thread tells of an engine’s end hears all of it', async (t) => {
  const { client, sockets, heard } = deadBench();
  const { arena } = client;
  // the other thread has come to the first socket
  t.true(lockWord(arena.words, ArenaWord.Burial));
  arena.store(ArenaWord.State, EngineState.Failed);
  t.true(endSocket(sockets[0]!, 'terminated'));
  client.post(sockets[0]!, SocketEvent.Closed);
  await heard[0];
  await sleep(0);
  t.true(endSocket(sockets[1]!, 'terminated'));
  client.post(sockets[1]!, SocketEvent.Closed);
  unlockWord(arena.words, ArenaWord.Burial);
  const error = await Promise.race([heard[1], sleep(PATIENCE_MS, null, { ref: false })]);
  t.is(error?.tunwireCode, 'ENGINE_STOPPED');
});

test('events that a terminated engine had not handed over are heard at its end, and sockets that nobody saw end', async (t) => {
  const { client, sockets, heard } = deadBench();
  // terminated between the bits and the list
  sockets[0]!.set(SocketWord.Events, SocketEvent.Readable);
  buryEngine(client);
  for (const each of heard) {
    const error = await Promise.race([each, sleep(PATIENCE_MS, null, { ref: false })]);
    t.is(error?.tunwireCode, 'ENGINE_STOPPED');
  }
});

test('a socket that is opened in the last moment of an engine hears that it has stopped', async (t) => {
  const { client, heard } = deadBench();
  client.arena.store(ArenaWord.State, EngineState.Stopped);
  client.arena.ringAll();
  for (const each of heard) {
    const error = await Promise.race([each, sleep(PATIENCE_MS, null, { ref: false })]);
    t.is(error?.tunwireCode, 'ENGINE_STOPPED');
  }
});

test.serial('stacks that come and go leave no hooks at the exit of the process', async (t) => {
  const before = process.listenerCount('exit');
  for (let i = 0; i < 3; i++) {
    const { client, heard } = deadBench();
    buryEngine(client);
    await Promise.all(heard);
    await sleep(0);
  }
  t.is(process.listenerCount('exit'), before);
});

test.serial(
  'the memory of an engine that has ended is let go by a thread that has waited for it',
  async (t) => {
    const waited = async (): Promise<WeakRef<SharedArrayBuffer>> => {
      const { client, heard } = deadBench();
      client.ref();
      buryEngine(client);
      await Promise.all(heard);
      client.unref();
      return new WeakRef(client.arena.memory);
    };
    const memory = await waited();
    t.true(
      await until(() => {
        collectGarbage({ type: 'major' });
        return memory.deref() === undefined;
      }),
    );
  },
);
