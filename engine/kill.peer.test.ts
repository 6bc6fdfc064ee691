import { once } from 'node:events';
import { existsSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { createLab, KERNEL_V4, type Lab, type LabProcess, OWN_V4 } from '../test/netns.ts';
import { Arena, ArenaWord, EngineState } from './arena.ts';
import { EngineClient } from './client.ts';
import { SharedSocket } from './shared-socket.ts';
import { SocketStatus } from './socket-block.ts';
import { type EngineHandle, startEngineSync } from './start.ts';
import type { DeviceLoss, DeviceLossData } from './testing/device-loss.ts';
import type { PumpData } from './testing/pump.ts';
import { message, PumpThread } from './testing/pump-thread.ts';

const SINK = 7001;
const SOURCE = 7002;
const PATIENCE_MS = 20_000;

interface Peers {
  readonly lab: Lab;
  readonly peers: readonly LabProcess[];
}

/** Programs on a lab's TUN device that take and give bytes as fast as they can. */
async function peersOf(t: ExecutionContext): Promise<Peers> {
  const lab = await createLab(t);
  const zeros = ['-u', 'OPEN:/dev/zero', `TCP-LISTEN:${SOURCE},reuseaddr`];
  const peers = [
    lab.start('socat', ['-u', '-b65536', `TCP-LISTEN:${SINK},reuseaddr`, 'OPEN:/dev/null']),
    lab.start('socat', ['-b65536', ...zeros]),
  ];
  await lab.listening(peers[0]!, SINK);
  await lab.listening(peers[1]!, SOURCE);
  return { lab, peers };
}

/** The same with an engine on the device. */
async function bench(t: ExecutionContext): Promise<Peers & { readonly engine: EngineHandle }> {
  const { lab, peers } = await peersOf(t);
  const engine = lab.within(() => startEngineSync(options(lab)));
  t.teardown(() => engine.stop());
  return { lab, engine, peers };
}

function options(lab: Lab): Parameters<typeof startEngineSync>[0] {
  return { device: `tun:${lab.tun}`, addresses: [`${OWN_V4}/24`], resolver: { hostsFile: null } };
}

/** A thread that writes to the sink, or reads from the source. */
function pump(
  { arena: { memory } }: Pick<EngineHandle, 'arena'>,
  writes: boolean,
  patienceMs?: number,
): PumpThread {
  return new PumpThread({ memory, ...pumpData(writes, patienceMs) });
}

function pumpData(writes: boolean, patienceMs = PATIENCE_MS): Omit<PumpData, 'memory'> {
  return { port: writes ? SINK : SOURCE, host: KERNEL_V4, writes, patienceMs };
}

/** Everything that the sockets held is the engine's again. */
async function socketsFreed(t: ExecutionContext, engine: EngineHandle): Promise<void> {
  const { arena } = engine;
  const client = EngineClient.of(arena);
  const fresh = arena.load(ArenaWord.Fresh);
  for (const end = performance.now() + 30_000; ; await sleep(20)) {
    const statuses = Array.from({ length: fresh }, (_, at) => SharedSocket.adopt(client, at).status);
    if (statuses.every((status) => status === SocketStatus.Free)) return;
    if (performance.now() > end) {
      t.fail(`sockets are left: ${statuses.join(' ')}`);
      return;
    }
  }
}

test.serial('killing the peer at full speed ends the calls of both threads', async (t) => {
  const { engine, peers } = await bench(t);
  const pumps = [pump(engine, true), pump(engine, false)];
  await Promise.all(pumps.map(({ running }) => running));
  for (const peer of peers) peer.kill('SIGKILL');
  const [writer, reader] = await Promise.all(pumps.map(({ outcome }) => outcome));
  t.is(writer, 'RESET');
  // a kernel ends the stream of a dead program in order unless something was unread
  t.true(reader === 'end' || reader === 'RESET', String(reader));
  await socketsFreed(t, engine);
  t.is(engine.arena.load(ArenaWord.State), EngineState.Running);
});

test.serial(
  'deleting the device at full speed ends everything with DEVICE_LOST, and leaves no descriptor',
  async (t) => {
    const { lab } = await peersOf(t);
    const data: DeviceLossData = { options: options(lab), pumps: [pumpData(true), pumpData(false)] };
    const owner = lab.node('engine/testing/device-loss.ts', [JSON.stringify(data)]);
    await lab.until('data flows', () => owner.stdout.includes('running\n') || owner.ended);
    await lab.ok('ip', ['link', 'del', lab.tun]);
    t.is(await owner.exited, 0, owner.stderr);
    const loss = JSON.parse(owner.stdout.replace('running\n', '')) as DeviceLoss;
    t.is(loss.told, 'DEVICE_LOST');
    t.deepEqual(loss.outcomes, ['DEVICE_LOST', 'DEVICE_LOST']);
    t.is(loss.state, EngineState.Failed);
    t.regex(loss.failure, /tun0.*the interface was deleted/);
    t.regex(loss.refusal, /stopped.*deleted/);
    t.deepEqual(loss.left, []);
  },
);

test.serial(
  'a link that goes down at full speed is a pulled cable: calls wait, and go on when it is up',
  async (t) => {
    const { lab, engine } = await bench(t);
    const thread = pump(engine, true);
    await thread.running;
    await lab.ok('ip', ['link', 'set', lab.tun, 'down']);
    const client = EngineClient.of(engine.arena);
    const { counters } = client;
    await lab.until(
      'something is lost',
      () => client.counters.txDroppedDown > counters.txDroppedDown,
      20_000,
    );
    await lab.ok('ip', ['link', 'set', lab.tun, 'up']);
    await lab.until('data flows again', () => client.counters.txBytes > counters.txBytes + 5_000_000, 20_000);
    await thread.worker.terminate();
    t.is(engine.arena.load(ArenaWord.State), EngineState.Running);
  },
);

test.serial(
  'a call on a link that stays down ends by its own patience, and the engine stops in time',
  async (t) => {
    const { lab, engine } = await bench(t);
    const pumps = [pump(engine, true, 500), pump(engine, false, 500)];
    await Promise.all(pumps.map(({ running }) => running));
    await lab.ok('ip', ['link', 'set', lab.tun, 'down']);
    t.deepEqual(await Promise.all(pumps.map(({ outcome }) => outcome)), ['stuck', 'stuck']);
    const since = performance.now();
    await engine.stop();
    t.true(performance.now() - since < 20_000);
    t.is(engine.arena.load(ArenaWord.State), EngineState.Stopped);
  },
);

test.serial('threads terminated at full speed take nobody with them', async (t) => {
  const { lab, engine } = await bench(t);
  const pumps = [pump(engine, true), pump(engine, false)];
  await Promise.all(pumps.map(({ running }) => running));
  await Promise.all(pumps.map(({ worker }) => worker.terminate()));
  t.is(engine.arena.load(ArenaWord.State), EngineState.Running);
  // what they held the engine takes back by itself
  await socketsFreed(t, engine);
  // and the engine serves others
  const again = lab.start('socat', ['-u', `TCP-LISTEN:${SINK},reuseaddr`, 'OPEN:/dev/null']);
  await lab.listening(again, SINK);
  const next = pump(engine, true);
  await next.running;
  again.kill('SIGKILL');
  t.is(await next.outcome, 'RESET');
});

test.serial(
  'an engine whose parent is terminated at full speed is missed by those who wait, and leaves its device',
  async (t) => {
    const lab = await createLab(t);
    const source = lab.start('socat', ['-u', '-b65536', 'OPEN:/dev/zero', `TCP-LISTEN:${SOURCE},reuseaddr`]);
    await lab.listening(source, SOURCE);
    const owner = lab.within(
      () => new Worker(new URL('./testing/engine-owner.ts', import.meta.url), { workerData: options(lab) }),
    );
    const arena = new Arena((await message(owner)) as SharedArrayBuffer);
    const thread = pump({ arena }, false);
    t.is(await thread.running, 'running');
    const wakeFd = arena.load(ArenaWord.EventFd);
    const path = `/proc/self/fd/${wakeFd}`;
    t.regex(readlinkSync(path), /eventfd/);
    await owner.terminate();
    const ended = once(thread.worker, 'exit');
    t.is(await thread.outcome, 'ENGINE_STOPPED');
    t.is(arena.load(ArenaWord.State), EngineState.Failed);
    t.regex(arena.failure, /ended from outside/);
    // another file may have the number by now
    t.false(existsSync(path) && /eventfd/.test(readlinkSync(path)));
    await ended;
    t.is(thread.said, '');
    const next = lab.within(() => startEngineSync(options(lab)));
    await next.stop();
  },
);
