import { performance } from 'node:perf_hooks';
import { capture } from '../drivers/capture.ts';
import type { Device } from '../drivers/device.ts';
import { impair } from '../drivers/impair.ts';
import { PcapngWriter } from '../drivers/pcapng.ts';
import { clearEvent, close, eventfd, POLLIN, POLLOUT, PollSet } from '../drivers/syscalls.ts';
import { DropWatch } from '../stack/drop-watch.ts';
import { ERRORS, NetError, Phase } from '../stack/errors.ts';
import type { FlowShare } from '../stack/flow-share.ts';
import type { PacketHook } from '../stack/packet-hook.ts';
import { useSendOptions } from '../stack/tcp/send-policy.ts';
import { givenAddresses } from './address-configuration.ts';
import { type Arena, ArenaWord, EngineState } from './arena.ts';
import type { EncryptedDns } from './encrypted-dns.ts';
import { Engine, RECEIVE_BUDGET } from './engine.ts';
import { IdleCollection } from './idle-collection.ts';
import { Journal } from './journal.ts';
import { ConflictTeller, tellStarter } from './notices.ts';
import { openDevice } from './open-device.ts';
import {
  CONFIGURATION_TIMEOUT_MS,
  DRAIN_MS,
  type EngineOptions,
  engineSizes,
  optionsOfDevices,
} from './options.ts';
import { PacketTeller } from './packet-teller.ts';
import { Pool } from './pool.ts';
import { Port } from './port.ts';
import { Services } from './services.ts';
import { SocketTable } from './socket-table.ts';
import { type QueuePlace, SteeredDevice } from './steering.ts';
import { OWN_THREAD } from './thread-id.ts';
import { Trace } from './trace.ts';
import { ClockUser } from './virtual-clock.ts';

/**
 * The longest sleep. Whoever has work wakes the engine; this only bounds how long a process can hang on it when it ends
 * without a word (a worker terminated from outside).
 */
const LONGEST_SLEEP_MS = 500;

/** What polling tells of the eventfd is in the first slot, of the devices in those behind. */
const WAKE_SLOT = 0;
const FIRST_DEVICE_SLOT = 1;

/**
 * Runs an engine in the calling thread until it is told to stop. Sets the arena's state to Running, or to Failed with
 * the reason, and wakes everybody at the end.
 * @param place among several engines on one device; null: it is alone
 * @param encryptedDns null: the options ask for none (`needsEncryptedDns`)
 */
export function runEngine(
  arena: Arena,
  options: EngineOptions,
  packetHook: PacketHook | null = null,
  place: QueuePlace | null = null,
  encryptedDns: typeof EncryptedDns | null = null,
): void {
  const wakeFd = eventfd();
  let given: ClockUser | null = null;
  arena.store(ArenaWord.EngineThread, OWN_THREAD);
  arena.store(ArenaWord.EventFd, wakeFd);
  const isLinked = optionsOfDevices(options).some(({ device }) => typeof device !== 'string');
  arena.store(ArenaWord.EventFdLent, isLinked || place !== null || options.clock !== undefined ? 1 : 0);
  const devices: OpenDevice[] = [];
  let writer: PcapngWriter | null = null;
  let engine: Engine | null = null;
  let trace: Trace | null = null;
  let drops: DropWatch | null = null;
  let failure: NetError | null = null;
  try {
    given = options.clock === undefined ? null : new ClockUser(options.clock.memory, wakeFd);
    const clock = given?.clock ?? realTime;
    let share: FlowShare | null = null;
    for (const settings of optionsOfDevices(options)) {
      const opened: OpenDevice = {
        device: openDevice(settings, wakeFd, clock, place !== null),
        impaired: {},
      };
      // closed whatever happens from here on
      devices.push(opened);
      if (place !== null) {
        const steered = new SteeredDevice(opened.device, place, wakeFd);
        opened.device = steered;
        share = steered.share;
      }
      if (settings.impairments !== undefined) {
        const impaired = impair(opened.device, { ...settings.impairments, clock });
        opened.device = impaired;
        opened.impaired = { impaired };
      }
    }
    const epochMs = Math.round(Date.now() - clock());
    if (options.capture !== undefined) {
      const { file, ring } = options.capture;
      writer = new PcapngWriter(file, { onError: captureFailed, ...(ring === undefined ? {} : { ring }) });
      const dropped = (): string => drops?.why() ?? '';
      // the stack's own time: that of its turn
      const now = (): number => engine?.now ?? clock();
      for (const each of devices)
        each.device = capture(each.device, writer, { clock: now, epochMs, dropped, ...each.impaired });
      arena.store(ArenaWord.KeyLogWanted, options.capture.secrets === true ? 1 : 0);
    }
    const parts = buildEngine(arena, options, devices, clock, encryptedDns);
    const teller =
      options.tellPackets === true
        ? new PacketTeller(arena, new DropWatch(parts.services.stack.counters), packetHook, tellStarter)
        : null;
    parts.services.stack.packetHook = teller?.hook ?? packetHook;
    parts.services.stack.tcp.share = share;
    parts.services.stack.icmp.probes.tcpShare = share;
    parts.services.stack.udp.share = share;
    const conflicts = new ConflictTeller(clock, tellStarter);
    parts.services.stack.onAddressConflict = (iface, address, linkAddress) =>
      conflicts.tell(iface.name, String(address), linkAddress);
    drops = parts.drops;
    engine = parts.engine;
    if (writer !== null) keepJournal(parts, writer, options, epochMs);
    trace = parts.trace;
    const loop = new Loop(
      arena,
      parts.ports,
      engine,
      trace,
      options.capture?.secrets === true ? writer : null,
      wakeFd,
      clock,
      given,
      place !== null,
      teller,
    );
    loop.untilConfigured();
    setState(arena, EngineState.Running);
    loop.untilStopped();
    loop.drain();
  } catch (error) {
    failure = error instanceof NetError ? error : internal(error);
    arena.setFailure(ERRORS[failure.tunwireCode].number, failure.detail);
  }
  trace?.close();
  for (const { device } of devices) device.close();
  writer?.close();
  given?.close();
  arena.store(ArenaWord.EventFd, -1);
  close(wakeFd);
  // last: whoever waits for the state may end the process then
  engine?.failAll(failure ?? new NetError('ENGINE_STOPPED', { phase: Phase.Transfer }));
  setState(arena, failure === null ? EngineState.Stopped : EngineState.Failed);
  // who opened a socket in the last moment was not among them, and everybody can stop listening
  arena.ringAll();
}

/** A device with what is around it. */
interface OpenDevice {
  device: Device;
  impaired: Port['impaired'];
}

interface EngineParts {
  readonly engine: Engine;
  readonly ports: readonly Port[];
  readonly trace: Trace;
  readonly services: Services;
  readonly table: SocketTable;
  readonly drops: DropWatch;
}

function buildEngine(
  arena: Arena,
  options: EngineOptions,
  devices: readonly OpenDevice[],
  clock: () => number,
  encryptedDns: typeof EncryptedDns | null,
): EngineParts {
  const sizes = engineSizes(options);
  const pool = new Pool(arena.poolOffset, sizes.poolBytes);
  const table = new SocketTable(arena, pool, sizes);
  const services = new Services(options, table, clock(), encryptedDns);
  const { settings } = services.stack.tcp;
  settings.sendBufferBytes = sizes.sendBytes;
  settings.maxSendBufferBytes = sizes.maxSendBytes;
  settings.receiveBufferBytes = sizes.recvBytes;
  settings.maxReceiveBufferBytes = sizes.maxRecvBytes;
  useSendOptions(settings, options);
  // a capture shows every step by itself, and runs that are done again have none that hang on the time of day
  settings.deferHandshakeAck = options.capture === undefined && options.clock === undefined;
  const all = optionsOfDevices(options);
  const ports = devices.map((opened, i) => addPort(services, opened, all[i]!, devices.length > 1));
  arena.setInterfaces(services.stack.interfaces.map(({ name }) => name));
  const drops = new DropWatch(services.stack.counters);
  const trace = new Trace(ports, clock, new DropWatch(services.stack.counters));
  const engine = new Engine(arena, trace, services, table, ports, clock);
  return { engine, ports, trace, services, table, drops };
}

function addPort(
  services: Services,
  { device, impaired }: OpenDevice,
  options: EngineOptions,
  hasOthers: boolean,
): Port {
  const { stack } = services;
  // as the kernel calls it: zones are given so (fe80::1%eth0)
  const name = device.name.replace(/^(tun|tap|raw):/, '');
  const sameName = stack.interfaces.filter((each) => each.name === name || each.name.startsWith(`${name}-`));
  const iface = stack.addInterface({
    // two memory links have the same
    name: sameName.length === 0 ? name : `${name}-${sameName.length + 1}`,
    sink: device,
    capabilities: device.capabilities,
    addresses: options.checkAddresses === true ? [] : givenAddresses(options.addresses),
    gateways: options.gateways ?? [],
  });
  services.configure(iface, options);
  for (const vlan of options.vlans ?? []) {
    const addresses = options.checkAddresses === true ? [] : givenAddresses(vlan.addresses);
    services.configure(stack.addVlan(iface, { ...vlan, addresses }), { ...options, ...vlan });
  }
  return new Port(device, iface, impaired, hasOthers);
}

/** A run with a seed can be done again, where nothing but the capture's packets and the applications decide what happens. */
function keepJournal(
  { engine, ports, table, services }: EngineParts,
  writer: PcapngWriter,
  options: EngineOptions,
  epochMs: number,
): void {
  const { seed } = options;
  const { ethernet, ...others } = ports[0]!.own.capabilities;
  const isShared = ports.length > 1 || (options.vlans ?? []).length > 0;
  // a replay chooses its ports of the ranges that are usual
  if (seed === undefined || isShared || options.ports !== undefined) return;
  const addresses = options.checkAddresses === true ? [] : givenAddresses(options.addresses);
  const capabilities = { ...others, ...(ethernet && { ethernet: { address: [...ethernet.address] } }) };
  const { gateways = [], congestionControl, pacing, windowValidation, ecn, accurateEcn, nagle } = options;
  const sending = { congestionControl, pacing, windowValidation, ecn, accurateEcn, nagle };
  const sizes = engineSizes(options);
  const startMs = services.stack.now;
  const journal = new Journal(writer, {
    seed,
    epochMs,
    startMs,
    addresses,
    gateways,
    capabilities,
    sizes,
    sending,
  });
  engine.journal = journal;
  services.stack.onConfigured = (iface, source, settings) =>
    journal.configured(source, settings, iface.advertisedHopLimit);
  table.latches = true;
}

function captureFailed(error: Error): void {
  tellStarter({ kind: 'warning', type: 'CaptureWarning', message: error.message });
}

function internal(error: unknown): NetError {
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new NetError('INTERNAL', { phase: Phase.None, detail, cause: error });
}

/**
 * How long the engine looks for something to do before it sleeps, when it was woken soon the last time. perf: on a machine whose idle
 * core takes 90 µs to wake, set-ups one after another go from 0.50 to 0.75 times those of `node:net` against 0.03 ms, with fewer cycles of
 * the cores for each; on a machine that wakes faster 0.06 ms gained nothing over 0.03. A caller that looks as long, too, takes the core from the peer
 */
const WATCH_MS = 0.15;
/** A sleep shorter than this was not worth it. */
const LIVELY_MS = 0.2;

/** One that takes a packet and tells a thread, and one that sends the thread's answer. */
const PROMPT_TURNS = 2;

/** One engine's loop: turns while there is work, sleep in poll(2) between. */
class Loop {
  readonly #arena: Arena;
  readonly #ports: readonly Port[];
  readonly #engine: Engine;
  readonly #trace: Trace;
  /** Takes TLS secrets; null: nobody wants them there. */
  readonly #writer: PcapngWriter | null;
  readonly #wakeFd: number;
  readonly #clock: () => number;
  /** Where `#clock` comes from when it is not the system's. */
  readonly #given: ClockUser | null;
  readonly #poll: PollSet;
  /** What wakes us may be a packet that another engine has handed over. */
  readonly #isSteered: boolean;
  /** Null: nobody wants to hear of packets. */
  readonly #teller: PacketTeller | null;
  #draining = false;
  readonly #garbage: IdleCollection = new IdleCollection();
  /** The last sleep was a short one. */
  #isLively = false;
  /** So many turns do the one thing first that the engine was woken for, see {@link Loop.#budget}. */
  #promptTurns = 0;

  constructor(
    arena: Arena,
    ports: readonly Port[],
    engine: Engine,
    trace: Trace,
    writer: PcapngWriter | null,
    wakeFd: number,
    clock: () => number,
    given: ClockUser | null,
    isSteered: boolean,
    teller: PacketTeller | null,
  ) {
    this.#arena = arena;
    this.#ports = ports;
    this.#poll = new PollSet(FIRST_DEVICE_SLOT + ports.length);
    this.#engine = engine;
    this.#trace = trace;
    this.#writer = writer;
    this.#wakeFd = wakeFd;
    this.#clock = clock;
    this.#given = given;
    this.#isSteered = isSteered;
    this.#teller = teller;
    this.#poll.set(WAKE_SLOT, wakeFd, POLLIN);
  }

  /** Runs until the interface has the addresses that it asks the network for. @throws NetError TIMEOUT */
  untilConfigured(): void {
    const deadline = realTime() + CONFIGURATION_TIMEOUT_MS;
    while (!this.#isStopped && this.#engine.awaited !== '') {
      const leftMs = deadline - realTime();
      if (leftMs <= 0) {
        throw new NetError('TIMEOUT', {
          phase: Phase.None,
          detail: `${this.#engine.awaited} within ${CONFIGURATION_TIMEOUT_MS / 1000} s`,
        });
      }
      if (!this.#turn()) this.#sleep(Math.min(leftMs, LONGEST_SLEEP_MS));
    }
  }

  /** Runs until somebody requests the stop. */
  untilStopped(): void {
    while (!this.#isStopped) {
      if (!this.#turn()) this.#sleep(LONGEST_SLEEP_MS);
    }
  }

  /** Closes what is open as a kernel does at the end of a process: what was written still arrives, if the peer lets it. */
  drain(): void {
    const deadline = realTime() + DRAIN_MS;
    this.#draining = true;
    // what was written just before the stop goes in front of the FIN
    this.#turn();
    this.#engine.closeAll();
    while (this.#engine.hasUndelivered) {
      const leftMs = deadline - realTime();
      if (leftMs <= 0) break;
      if (!this.#turn() && this.#engine.hasUndelivered) this.#sleep(leftMs);
    }
    this.#turn();
    this.#engine.release();
    this.#turn();
    this.#engine.account.publish(this.#clock());
  }

  get #isStopped(): boolean {
    return !this.#draining && this.#arena.load(ArenaWord.StopRequested) !== 0;
  }

  #turn(): boolean {
    if (this.#arena.load(ArenaWord.KeyLogWanted) !== 0) this.#takeSecrets();
    this.#given?.begin();
    const now = this.#clock();
    this.#trace.advance(now);
    for (const port of this.#ports) port.advance(now);
    const more = this.#engine.turn(this.#budget());
    this.#teller?.endTurn();
    for (const port of this.#ports) port.readable = true;
    return more;
  }

  /**
   * Packets to take from each device. perf: who talks in turns waits for the one thing that has woken us, so what a thread asked for is sent
   * before a look for packets, and a thread hears of a packet before the look for the next.
   */
  #budget(): number {
    if (this.#promptTurns === 0) return RECEIVE_BUDGET;
    this.#promptTurns--;
    return this.#arena.load(ArenaWord.CommandHead) !== 0 ? 0 : 1;
  }

  #takeSecrets(): void {
    const lines = this.#arena.takeKeyLog();
    if (lines === '') return;
    this.#writer?.secrets(lines);
    this.#trace.secrets(lines);
  }

  /**
   * Looks for something to do for a moment, after a sleep that was short: whoever talks in turns is answered without the scheduler,
   * whose wake-ups take longer than the moment. Several engines would take the moment from each other.
   * @returns whether there is something
   */
  #watch(): boolean {
    if (!this.#isLively || this.#isSteered || this.#given !== null || this.#engine.deviceFull) return false;
    for (const { isSilent } of this.#ports) if (isSilent) return false;
    const until = this.#clock() + Math.min(WATCH_MS, this.#engine.sleepMs());
    this.#pollDevices();
    while (this.#clock() < until) {
      if (this.#arena.load(ArenaWord.CommandHead) !== 0) return true;
      if (this.#poll.wait(0) === 0) continue;
      // of a thread that saw us sleep just before we woke
      if (this.#poll.happened(WAKE_SLOT) !== 0) clearEvent(this.#wakeFd);
      return true;
    }
    return false;
  }

  #sleep(longestMs: number): void {
    if (this.#watch()) {
      this.#promptTurns = PROMPT_TURNS;
      return;
    }
    if (this.#engine.sendDeferred()) return;
    const { account } = this.#engine;
    // whoever has something for the engine from here on sees that it sleeps, and wakes it
    this.#arena.store(ArenaWord.Sleeping, 1);
    const idle = this.#arena.load(ArenaWord.CommandHead) === 0 && !this.#isStopped;
    if (idle && this.#prepareSleep()) {
      let deadline = this.#trace.nextDeadline();
      for (const port of this.#ports) deadline = Math.min(deadline, port.nextDeadline());
      const dueMs = Math.min(this.#engine.sleepMs(), deadline - this.#clock());
      if (dueMs > 0) {
        this.#pollDevices();
        const sleepsAt = this.#clock();
        account.sleeps++;
        account.publish(sleepsAt);
        this.#given?.done();
        // a clock that somebody moves wakes us when it has moved
        this.#poll.wait(this.#given === null ? Math.min(dueMs, longestMs) : longestMs);
        const asleepMs = this.#clock() - sleepsAt;
        account.asleepMs += asleepMs;
        this.#isLively = asleepMs < LIVELY_MS;
        if (!this.#isLively) this.#garbage.slept(asleepMs, account.rxBatches + account.commandBatches);
        const isWoken = this.#poll.happened(WAKE_SLOT) !== 0;
        for (let i = 0; i < this.#ports.length; i++) {
          const port = this.#ports[i]!;
          // a device without a descriptor has to be looked at
          port.readable =
            port.isSilent || this.#poll.happened(FIRST_DEVICE_SLOT + i) !== 0 || (isWoken && this.#isSteered);
        }
        if (isWoken) {
          account.wokenByThreads++;
          clearEvent(this.#wakeFd);
        }
      }
      for (const port of this.#ports) port.awake();
    }
    this.#arena.store(ArenaWord.Sleeping, 0);
  }

  #pollDevices(): void {
    for (let i = 0; i < this.#ports.length; i++) {
      const { pollFd, isFull } = this.#ports[i]!;
      this.#poll.set(FIRST_DEVICE_SLOT + i, pollFd, isFull ? POLLIN | POLLOUT : POLLIN);
    }
  }

  /** @returns false when some device must not sleep; then none is about to */
  #prepareSleep(): boolean {
    const ports = this.#ports;
    for (let i = 0; i < ports.length; i++) {
      if (ports[i]!.prepareSleep()) continue;
      while (--i >= 0) ports[i]!.awake();
      return false;
    }
    return true;
  }
}

function realTime(): number {
  return performance.now();
}

function setState(arena: Arena, state: number): void {
  arena.store(ArenaWord.State, state);
  Atomics.notify(arena.words, ArenaWord.State);
}
