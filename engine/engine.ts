import { type AttemptProgress, ConnectAttempt } from '../stack/connector.ts';
import type { DatagramEndpoint } from '../stack/context.ts';
import { type Endpoint, EndpointEvent } from '../stack/endpoint.ts';
import { ERRORS, type ErrorCode, NetError, PHASE_NAMES, Phase } from '../stack/errors.ts';
import { Ping } from '../stack/ip/ping.ts';
import { RawSocket } from '../stack/ip/raw-socket.ts';
import { Trace as RouteTrace } from '../stack/ip/trace.ts';
import { parseZonedAddress, zonedAddress } from '../stack/resolver/host-name.ts';
import { Lookup, RecordLookup } from '../stack/resolver/resolver.ts';
import { TcpConnection } from '../stack/tcp/connection.ts';
import { TcpListener } from '../stack/tcp/listener.ts';
import { ParkedConnection } from '../stack/tcp/parked-connection.ts';
import { UdpSocket } from '../stack/udp/udp-socket.ts';
import { type Arena, ArenaWord } from './arena.ts';
import { noteAttempt } from './attempt-records.ts';
import { EngineAccount } from './engine-counters.ts';
import type { Journal } from './journal.ts';
import { tellStarter } from './notices.ts';
import { addressesIn, familyOf, keepAliveOf, trafficClassOf } from './open-options.ts';
import type { Port } from './port.ts';
import { Questions } from './questions.ts';
import { unpackSendOptions } from './send-options.ts';
import type { Services } from './services.ts';
import {
  ABANDONED,
  ADDRESS_RECORD_BYTES,
  Command,
  OpenOption,
  Operation,
  RAW_WHOLE,
  type SocketBlock,
  SocketEvent,
  SocketStatus,
  SocketWord,
  StreamFlag,
  TEXT_BYTES,
  TEXT_OFF,
} from './socket-block.ts';
import type { SocketTable } from './socket-table.ts';
import { breakLocks, Loss, ThreadWatch } from './thread-watch.ts';
import type { Trace } from './trace.ts';

/** Packets read before the stack answers them: one acknowledgement per batch, not per packet. */
export const RECEIVE_BUDGET = 64;
/** The account is published in every so many rounds at least, a power of two less one. */
const PUBLISH_MASK = 255;

/**
 * Runs one stack on its devices: takes the commands that other threads left in the socket blocks, hands packets in,
 * lets timers run, sends, and tells whoever waits. It never sleeps: {@link runEngine} does, between two turns.
 */
export class Engine {
  readonly #arena: Arena;
  readonly #trace: Trace;
  readonly #services: Services;
  readonly #table: SocketTable;
  readonly #ports: readonly Port[];
  readonly #lost: Set<Port> = new Set();
  readonly #questions: Questions;
  readonly #clock: () => number;
  /** What each socket block stands for. */
  readonly #endpoints: (Endpoint | ParkedConnection | null)[] = [];
  readonly #openedAt: number[] = [];
  readonly #threads: ThreadWatch;
  #now = 0;
  readonly account: EngineAccount;
  /** A device refused a packet: its port says which one. */
  deviceFull = false;
  /** Takes down what the stack is told, for the run to be done again; null: nobody wants that. */
  journal: Journal | null = null;

  constructor(
    arena: Arena,
    trace: Trace,
    services: Services,
    table: SocketTable,
    ports: readonly Port[],
    clock: () => number,
  ) {
    this.#arena = arena;
    this.account = new EngineAccount(
      arena.counters,
      ports.map(({ own }) => own.counters),
      clock(),
    );
    this.#trace = trace;
    this.#services = services;
    this.#table = table;
    this.#ports = ports;
    this.#questions = new Questions(services, table, ports, arena.counters);
    this.#clock = clock;
    this.#threads = new ThreadWatch(arena);
    services.stack.tcp.onReplaced = (owner, by): void => {
      this.#endpoints[owner] = by;
      if (by instanceof ParkedConnection) table.forgetAccessor(owner);
    };
  }

  /**
   * One round; ports that are not `readable` are not read.
   * @param budget packets to take from each port at most; 0: none in this round
   * @returns true when there may be more to do at once
   */
  turn(budget: number = RECEIVE_BUDGET): boolean {
    const { stack } = this.#services;
    const { account } = this;
    const ports = this.#ports;
    account.turns++;
    this.#now = this.#clock();
    this.journal?.begin(
      this.#now,
      this.#connections(),
      ports[0]!.readable || this.deviceFull || stack.nextDeadline() <= this.#now,
    );
    stack.advance(this.#now);
    const commanded = this.#takeCommands();
    if (this.#threads.isDue(this.#now)) this.#threads.look(this.#now, this.#onLoss);
    this.journal?.flush();
    let packets = 0;
    let more = commanded;
    for (let i = 0; i < ports.length; i++) {
      const received = ports[i]!.receive(budget, this.#now);
      packets += received;
      if (received === budget) more = true;
    }
    this.#takeEvents();
    this.deviceFull = !stack.transmit(this.#now);
    for (let i = 0; i < ports.length; i++) ports[i]!.transmitted(this.deviceFull);
    if (ports.length > 1) this.#checkLost();
    this.#takeEvents();
    this.#table.tellAll();
    if (commanded) account.commandBatches++;
    if (packets > 0) account.rxBatches++;
    account.wakeUps = this.#table.wakeUps;
    account.memoryUsedBytes = this.#table.memoryUsedBytes;
    if ((account.turns & PUBLISH_MASK) === 0) account.publish(this.#now);
    return more;
  }

  /** The engine goes on without a device that is gone, as long as there is another. @throws NetError DEVICE_LOST */
  #checkLost(): void {
    for (const port of this.#ports) {
      if (port.lost === null || this.#lost.has(port)) continue;
      this.#lost.add(port);
      if (this.#lost.size === this.#ports.length) throw port.lost;
      this.#services.interfaceLost(port.iface);
      const message = `${port.lost.message}; the other devices go on`;
      tellStarter({ kind: 'warning', type: 'DeviceWarning', message });
    }
  }

  /** When the turn that is under way began. */
  get now(): number {
    return this.#now;
  }

  *#connections(): Iterable<[number, TcpConnection]> {
    for (const [index, endpoint] of this.#endpoints.entries())
      if (endpoint instanceof TcpConnection) yield [index, endpoint];
  }

  /** Milliseconds until the stack wants its next turn; Infinity: not before something happens. */
  sleepMs(): number {
    return this.#services.stack.nextDeadline() - this.#clock();
  }

  /** Has acknowledgments leave in the next turn that waited for data. @returns false when there are none */
  sendDeferred(): boolean {
    return this.#services.stack.tcp.deferredAcks.send();
  }

  /** What an interface still waits for before it can be used, in words; '': nothing. */
  get awaited(): string {
    return this.#services.awaited;
  }

  /** Gives back what the network has lent: the last that is sent. */
  release(): void {
    this.#services.release();
  }

  /** Lets go of every socket, in order: what was written is still sent. */
  closeAll(): void {
    for (let index = 0; index < this.#endpoints.length; index++) {
      const endpoint = this.#awake(index);
      const block = this.#table.block(index);
      if (endpoint === null || (block.get(SocketWord.Flags) & StreamFlag.Released) !== 0) continue;
      this.#finish(block, 'ENGINE_STOPPED', Phase.Transfer, '');
      // the block stays with its thread, which looks there for the reason
      if (this.#close(block, endpoint)) this.#detach(block);
    }
    this.#table.tellAll();
  }

  /** True while a connection has data or a FIN on its way that the peer has not acknowledged. */
  get hasUndelivered(): boolean {
    for (const endpoint of this.#endpoints) {
      if (endpoint instanceof TcpConnection && endpoint.isSynchronized && !endpoint.finAcked) return true;
    }
    return false;
  }

  /** Ends every socket with the same error: the device or the engine is gone. */
  failAll(error: NetError): void {
    const phase = phaseOf(error);
    for (let index = 0; index < this.#arena.maxSockets; index++) {
      if (index >= this.#arena.load(ArenaWord.Fresh)) break;
      const block = this.#table.block(index);
      const status = block.get(SocketWord.Status);
      if (status === SocketStatus.Opening || status === SocketStatus.Open) {
        this.#finish(block, error.tunwireCode, phase, error.detail);
      }
    }
    this.#table.tellAll();
  }

  /** What a block stands for; a connection that was parked is back by that. */
  #awake(index: number): Endpoint | null {
    const endpoint = this.#endpoints[index] ?? null;
    return endpoint instanceof ParkedConnection ? endpoint.wake() : endpoint;
  }

  #takeCommands(): boolean {
    let next = this.#arena.takeAll(ArenaWord.CommandHead, SocketWord.NextCommand);
    const any = next !== 0;
    while (next !== 0) {
      const block = this.#table.block(next - 1);
      // the link first: once its commands are taken the block may be pushed again
      next = block.get(SocketWord.NextCommand);
      this.#threads.taken(block.index);
      this.#obey(block, Atomics.exchange(block.words, block.at + SocketWord.Commands, 0));
    }
    return any;
  }

  #obey(block: SocketBlock, commands: number): void {
    if (block.get(SocketWord.Status) === SocketStatus.Free) return;
    if ((commands & Command.Open) !== 0) this.#open(block);
    if ((commands & Command.Tls) !== 0) this.#openTls(block);
    const endpoint = this.#awake(block.index);
    if (endpoint instanceof TcpConnection) {
      this.#obeyConnection(block, endpoint, commands);
    } else if (endpoint instanceof UdpSocket) {
      if ((commands & Command.Options) !== 0) {
        endpoint.broadcast = (block.get(SocketWord.Options) & OpenOption.Broadcast) !== 0;
      }
      if ((commands & Command.Sent) !== 0) endpoint.appWrote();
      if ((commands & Command.Received) !== 0) endpoint.appRead();
    } else if (endpoint instanceof RawSocket) {
      if ((commands & Command.Sent) !== 0) endpoint.appWrote();
    } else if (endpoint instanceof TcpListener) {
      if ((commands & Command.Received) !== 0) this.#acceptAll(block, endpoint);
    } else if (isProber(endpoint)) {
      if ((commands & Command.Received) !== 0) this.#questions.pushResults(block, endpoint);
    } else if (isSearch(endpoint)) {
      if ((commands & Command.Abort) !== 0) {
        endpoint.cancel();
        this.#finish(block, 'CANCELLED', Phase.Connect, '');
      }
    }
    if ((commands & Command.Abandon) !== 0) this.#abandon(block);
    if ((commands & Command.Release) !== 0) this.#release(block, endpoint);
  }

  /** What is done for threads that could not: others who use their sockets find an error, and then the sockets go. */
  readonly #onLoss = (index: number, loss: number): void => {
    const block = this.#table.block(index);
    const status = block.get(SocketWord.Status);
    if ((loss & Loss.Commands) !== 0)
      this.#obey(block, Atomics.exchange(block.words, block.at + SocketWord.Commands, 0));
    if ((loss & Loss.Lock) !== 0) {
      this.#abandon(block);
      breakLocks(block);
    } else if (
      (loss & Loss.Owner) !== 0 &&
      (status === SocketStatus.Opening || status === SocketStatus.Open)
    ) {
      this.#finish(block, 'ABORTED', Phase.Transfer, 'the thread that it belonged to has ended');
    }
    if ((loss & Loss.Owner) === 0) return;
    this.account.orphanedSockets++;
    // as a kernel closes what a process had: what was written still arrives
    this.#release(block, this.#awake(index));
  };

  #abandon(block: SocketBlock): void {
    const endpoint = this.#awake(block.index);
    const isOver = block.get(SocketWord.Status) === SocketStatus.Closed && block.get(SocketWord.Error) !== 0;
    if (!isOver) this.#finish(block, 'ABORTED', Phase.Transfer, ABANDONED);
    if (!(endpoint instanceof TcpConnection)) return;
    endpoint.abort(ABANDONED);
    this.journal?.call('abort', block.index);
  }

  #obeyConnection(block: SocketBlock, connection: TcpConnection, commands: number): void {
    const { journal } = this;
    const { index } = block;
    journal?.latch(index, connection);
    if ((commands & Command.Options) !== 0) {
      this.#setOptions(block, connection);
      const noDelay = (block.get(SocketWord.Options) & OpenOption.NoDelay) !== 0;
      journal?.call('options', index, noDelay, keepAliveOf(block));
    }
    if ((commands & Command.Sent) !== 0) {
      connection.appWrote();
      // afterwards: the ring may be one that the application has taken by itself
      journal?.call('sent', index, connection.sendRing?.head ?? 0);
    }
    if ((commands & Command.Room) !== 0) {
      connection.appWantsRing();
      journal?.call('room', index, connection.sendRing?.head ?? 0);
    }
    if ((commands & Command.Received) !== 0) {
      connection.appRead();
      journal?.call('read', index);
    }
    if ((commands & Command.Abort) !== 0) {
      connection.abort();
      journal?.call('abort', index);
    } else if ((commands & Command.Shutdown) !== 0) {
      connection.shutdown();
      journal?.call('shutdown', index);
    }
  }

  #open(block: SocketBlock): void {
    this.#openedAt[block.index] = this.#now;
    try {
      switch (block.get(SocketWord.Operation)) {
        case Operation.Connect:
          this.#endpoints[block.index] = this.#connect(block);
          return;
        case Operation.Lookup:
          this.#services.reloadHosts(this.#now);
          this.#endpoints[block.index] = this.#lookup(block);
          return;
        case Operation.Records:
          this.#services.reloadHosts(this.#now);
          this.#endpoints[block.index] = this.#records(block);
          return;
        case Operation.Trace:
          this.#trace.begin(block.text);
          this.#wantSecrets(block, 1);
          break;
        case Operation.Ask:
          this.account.publish(this.#now);
          this.#questions.answer(block, this.#endpoints, (index) => this.#awake(index));
          break;
        case Operation.Probe:
          this.#endpoints[block.index] = this.#questions.startProbe(block);
          break;
        case Operation.Listen: {
          const listener = this.#services.stack.tcp.listen({
            local: block.address(SocketWord.LocalFamily),
            port: block.get(SocketWord.LocalPort),
            backlog: block.get(SocketWord.Backlog),
            reuseAddress: (block.get(SocketWord.Options) & OpenOption.ReuseAddress) !== 0,
          });
          listener.owner = block.index;
          if (!this.#table.openAcceptRing(block)) {
            listener.close();
            throw new NetError('NO_BUFFERS', { phase: Phase.Argument, detail: 'no memory for the listener' });
          }
          block.set(SocketWord.LocalPort, listener.localPort);
          this.#endpoints[block.index] = listener;
          break;
        }
        case Operation.Raw:
          this.#endpoints[block.index] = this.#raw(block);
          break;
        default: {
          const socket = this.#services.stack.udp.open({
            local: block.address(SocketWord.LocalFamily),
            localPort: block.get(SocketWord.LocalPort),
            remote: null,
            remotePort: 0,
            broadcast: (block.get(SocketWord.Options) & OpenOption.Broadcast) !== 0,
            reuseAddress: (block.get(SocketWord.Options) & OpenOption.ReuseAddress) !== 0,
            owner: block.index,
          });
          this.#endpoints[block.index] = socket;
          this.#describe(block, socket);
        }
      }
      block.set(SocketWord.Status, SocketStatus.Open);
      this.#table.tell(block, SocketEvent.Opened | SocketEvent.Writable);
    } catch (error) {
      this.#fail(block, error);
    }
  }

  #connect(block: SocketBlock): ConnectAttempt {
    this.#services.reloadHosts(this.#now);
    const options = block.get(SocketWord.Options);
    const timeoutMs = block.get(SocketWord.TimeoutMs);
    const localPort = block.get(SocketWord.LocalPort);
    const family = familyOf(block);
    // No peer yet, whose address it could be
    block.set(SocketWord.RemoteFamily, 0);
    this.journal?.connect(block.get(SocketWord.RemotePort), {
      noDelay: (options & OpenOption.NoDelay) !== 0,
      keepAlive: keepAliveOf(block),
      ...unpackSendOptions(block.get(SocketWord.SendOptions)),
    });
    return this.#services.connector.connect({
      host: block.text,
      ...((options & OpenOption.AddressList) === 0 ? {} : { addresses: addressesIn(block.text) }),
      port: block.get(SocketWord.RemotePort),
      protocol: block.get(SocketWord.Protocol) === 17 ? 17 : 6,
      preferIpv6: (options & OpenOption.PreferIpv6) !== 0,
      racing: (options & OpenOption.Racing) !== 0,
      family,
      deadline: timeoutMs > 0 ? this.#now + timeoutMs : Infinity,
      localAddress: block.address(SocketWord.LocalFamily),
      localPort: (options & OpenOption.ReservedPort) !== 0 && localPort === 0 ? -1 : localPort,
      noDelay: (options & OpenOption.NoDelay) !== 0,
      keepAlive: keepAliveOf(block),
      trafficClass: trafficClassOf(block),
      ...unpackSendOptions(block.get(SocketWord.SendOptions)),
      broadcast: (options & OpenOption.Broadcast) !== 0,
      dontRoute: (options & OpenOption.DontRoute) !== 0,
      onAttempt:
        (options & OpenOption.NoteAttempts) === 0 && this.journal === null
          ? null
          : (progress) => this.#attempted(block, progress),
      owner: block.index,
    });
  }

  #raw(block: SocketBlock): RawSocket {
    const word = block.get(SocketWord.RemotePort);
    const ttl = block.get(SocketWord.Backlog);
    return this.#services.stack.raw.open({
      protocol: word & 0xff,
      wholePackets: (word & RAW_WHOLE) !== 0,
      local: block.address(SocketWord.LocalFamily),
      broadcast: (block.get(SocketWord.Options) & OpenOption.Broadcast) !== 0,
      ...(ttl === 0 ? {} : { ttl }),
      owner: block.index,
    });
  }

  #lookup(block: SocketBlock): Lookup {
    const lookup = this.#services.resolver.lookup(block.text, familyOf(block));
    lookup.owner = block.index;
    return lookup;
  }

  /** Counts the traces that want the secrets of TLS connections. */
  #wantSecrets(block: SocketBlock, change: 1 | -1): void {
    if ((block.get(SocketWord.Options) & OpenOption.Secrets) === 0) return;
    Atomics.add(this.#arena.words, ArenaWord.KeyLogWanted, change);
  }

  /** The records of a name, or the names of an address. */
  #records(block: SocketBlock): RecordLookup {
    const { resolver } = this.#services;
    const address = block.address(SocketWord.LocalFamily);
    const lookup =
      address === null
        ? resolver.resolve(block.text, `TYPE${block.get(SocketWord.RemotePort)}`)
        : resolver.reverse(address);
    lookup.owner = block.index;
    return lookup;
  }

  #setOptions(block: SocketBlock, connection: TcpConnection): void {
    connection.setNoDelay((block.get(SocketWord.Options) & OpenOption.NoDelay) !== 0);
    connection.setKeepAlive(keepAliveOf(block));
    connection.trafficClass = trafficClassOf(block);
  }

  #openTls(block: SocketBlock): void {
    if (this.#table.openTls(block)) this.#table.tell(block, SocketEvent.Writable);
    else this.#finish(block, 'NO_BUFFERS', Phase.Handshake, 'no memory for the TLS state');
  }

  /** The application lets go: the protocol ends in order, the block lives until the stack is done with its rings. */
  #release(block: SocketBlock, endpoint: Endpoint | null): void {
    block.or(SocketWord.Flags, StreamFlag.Released);
    if (!this.#close(block, endpoint)) return;
    this.#forget(block);
  }

  /** Ends the protocol in order. @returns false: the stack still needs the block's rings */
  #close(block: SocketBlock, endpoint: Endpoint | null): boolean {
    if (isSearch(endpoint)) {
      if (block.get(SocketWord.Status) === SocketStatus.Opening) endpoint.cancel();
    } else if (endpoint instanceof TcpConnection) {
      this.journal?.call('close', block.index);
      endpoint.close();
      return (block.get(SocketWord.Flags) & StreamFlag.RingsClosed) !== 0;
    } else if (endpoint instanceof UdpSocket || endpoint instanceof RawSocket || isProber(endpoint)) {
      endpoint.close();
    } else if (endpoint instanceof TcpListener) {
      for (const child of this.#table.drainAcceptRing(block)) {
        const connection = this.#awake(child);
        if (connection instanceof TcpConnection) {
          connection.abort();
          this.#release(this.#table.block(child), connection);
        }
      }
      endpoint.close();
    } else if (
      block.get(SocketWord.Operation) === Operation.Trace &&
      block.get(SocketWord.Status) === SocketStatus.Open
    ) {
      this.#wantSecrets(block, -1);
      this.#trace.end();
    }
    return true;
  }

  /** The block stands for nothing any more. */
  #detach(block: SocketBlock): void {
    const endpoint = this.#awake(block.index);
    // a connection in TIME-WAIT lives on without its block
    if (endpoint) endpoint.owner = -1;
    this.#endpoints[block.index] = null;
  }

  #forget(block: SocketBlock): void {
    this.#detach(block);
    this.#table.free(block);
  }

  #takeEvents(): void {
    const { stack } = this.#services;
    for (let endpoint = stack.pollEvent(); endpoint !== null; endpoint = stack.pollEvent()) {
      const events = endpoint.takeEvents();
      if (endpoint.owner < 0) continue;
      const block = this.#table.block(endpoint.owner);
      if (endpoint instanceof TcpConnection) this.#connectionEvents(block, endpoint, events);
      else if (endpoint instanceof UdpSocket || endpoint instanceof RawSocket)
        this.#socketEvents(block, endpoint, events);
      else if (endpoint instanceof TcpListener) this.#acceptAll(block, endpoint);
      else if (isProber(endpoint)) this.#questions.pushResults(block, endpoint);
      else if (endpoint instanceof ConnectAttempt) this.#attemptEvents(block, endpoint);
      else if (endpoint instanceof Lookup) this.#lookupEvents(block, endpoint);
      else if (endpoint instanceof RecordLookup) this.#recordEvents(block, endpoint);
    }
  }

  #connectionEvents(block: SocketBlock, connection: TcpConnection, events: number): void {
    let told = 0;
    if ((events & EndpointEvent.Readable) !== 0) told |= SocketEvent.Readable;
    if ((events & EndpointEvent.Writable) !== 0 && isRoomy(connection)) {
      // an event loop hears of room only after a write that found too little; acknowledgements are no news to it
      if (Atomics.exchange(block.words, block.at + SocketWord.SendWanted, 0) !== 0)
        told |= SocketEvent.Writable;
      else this.#table.wakeWriters(block);
    }
    if ((events & EndpointEvent.PeerFinished) !== 0) {
      block.or(SocketWord.Flags, StreamFlag.PeerFinished);
      told |= SocketEvent.Readable;
    }
    if ((events & EndpointEvent.Closed) !== 0) {
      if (connection.error !== null) {
        block.setError(connection.error, Phase.Transfer, connection.errorDetail);
      }
      block.set(SocketWord.Status, SocketStatus.Closed);
      told |= SocketEvent.Closed;
    }
    const flags = block.get(SocketWord.Flags);
    if ((flags & StreamFlag.Released) !== 0) {
      if ((flags & StreamFlag.RingsClosed) !== 0) this.#forget(block);
      return;
    }
    if (told !== 0) this.#table.tell(block, told);
  }

  #socketEvents(block: SocketBlock, socket: DatagramEndpoint, events: number): void {
    if (socket.pendingError !== null) {
      block.setError(socket.pendingError, Phase.Transfer, socket.pendingDetail);
      socket.pendingError = null;
    }
    if (socket instanceof UdpSocket) {
      const { settingsDone, settingError } = socket;
      const errorNumber = settingError === null ? 0 : ERRORS[settingError].number;
      block.set(SocketWord.UdpSettings, (settingsDone << 16) | errorNumber);
    }
    let told = 0;
    if ((events & EndpointEvent.Readable) !== 0) told |= SocketEvent.Readable;
    if ((events & EndpointEvent.Writable) !== 0) told |= SocketEvent.Writable;
    if (told !== 0) this.#table.tell(block, told);
  }

  #acceptAll(block: SocketBlock, listener: TcpListener): void {
    let accepted = false;
    while (this.#table.acceptRingHasRoom(block)) {
      const connection = listener.accept();
      if (connection === null) break;
      if (connection.owner < 0) {
        connection.abort();
        continue;
      }
      const child = this.#table.block(connection.owner);
      this.#endpoints[connection.owner] = connection;
      child.set(SocketWord.Protocol, 6);
      child.set(SocketWord.Operation, Operation.Connect);
      this.#describe(child, connection);
      child.set(SocketWord.Status, SocketStatus.Open);
      this.#table.pushAccepted(block, connection.owner);
      accepted = true;
    }
    if (accepted) this.#table.tell(block, SocketEvent.Readable);
  }

  #attempted(block: SocketBlock, progress: AttemptProgress): void {
    if (progress.code === null) this.journal?.attempt(progress.address, block.get(SocketWord.RemotePort));
    const isNoted = (block.get(SocketWord.Options) & OpenOption.NoteAttempts) !== 0;
    if (!isNoted || !noteAttempt(block, progress)) return;
    // most connections have one address that answers at once: nobody is woken for that
    const isAwaited = (block.get(SocketWord.Options) & OpenOption.TellAttempts) !== 0;
    if (isAwaited || block.get(SocketWord.Attempts) > 1) this.#table.tell(block, SocketEvent.Attempted);
  }

  #attemptEvents(block: SocketBlock, attempt: ConnectAttempt): void {
    if (attempt.error !== null) {
      this.#noteTimes(block, attempt);
      this.#table.keepFailures(block, attempt.error);
      this.#fail(block, attempt.error);
      return;
    }
    const opened = attempt.connection ?? attempt.socket;
    if (opened === null) return;
    this.#noteTimes(block, attempt);
    attempt.owner = -1;
    this.#endpoints[block.index] = opened;
    if (opened instanceof TcpConnection) this.journal?.opened(block.index, opened);
    this.#describe(block, opened);
    block.set(SocketWord.Status, SocketStatus.Open);
    this.#table.tell(block, SocketEvent.Opened | SocketEvent.Writable);
    // behind the status: who leaves something looks at that afterwards
    if (opened instanceof TcpConnection && this.#table.takeFirstFlight(block)) {
      this.#openTls(block);
      this.#obeyConnection(block, opened, Command.Sent);
    }
  }

  #recordEvents(block: SocketBlock, lookup: RecordLookup): void {
    if (lookup.error !== null) {
      this.#fail(block, lookup.error);
    } else if (this.#table.openAnswer(block, new TextEncoder().encode(JSON.stringify(lookup.records)))) {
      block.set(SocketWord.Status, SocketStatus.Open);
      this.#table.tell(block, SocketEvent.Opened);
    } else {
      this.#finish(block, 'NO_BUFFERS', Phase.Resolve, 'no memory for the answer');
    }
  }

  #lookupEvents(block: SocketBlock, lookup: Lookup): void {
    if (lookup.error !== null) {
      this.#fail(block, lookup.error);
      return;
    }
    const count = Math.min(lookup.addresses.length, Math.floor(TEXT_BYTES / ADDRESS_RECORD_BYTES));
    const { slab } = this.#arena;
    let at = this.#arena.blockOffset(block.index) + TEXT_OFF;
    for (const address of lookup.addresses.slice(0, count)) {
      slab.bytes[at] = address.family;
      slab.bytes[at + 1] = address.zone;
      address.write(slab.view, at + 2);
      at += ADDRESS_RECORD_BYTES;
    }
    block.set(SocketWord.AddressCount, count);
    block.set(SocketWord.Status, SocketStatus.Open);
    this.#table.tell(block, SocketEvent.Opened);
  }

  #noteTimes(block: SocketBlock, attempt: ConnectAttempt): void {
    const from = this.#openedAt[block.index] ?? this.#now;
    block.set(SocketWord.ResolveMicros, microseconds(attempt.resolvedAt - from));
    block.set(SocketWord.ConnectMicros, microseconds(this.#now - from));
  }

  #describe(block: SocketBlock, endpoint: TcpConnection | UdpSocket): void {
    const { remote } = endpoint;
    const own = endpoint instanceof UdpSocket ? endpoint.localAddress : endpoint.local;
    // RFC 4007 §5: both ends of a link-local connection are in one zone
    const local = own?.isLinkLocal && remote !== null ? own.inZone(remote.zone) : own;
    block.setAddress(SocketWord.LocalFamily, local, endpoint.localPort);
    block.setAddress(SocketWord.RemoteFamily, remote, endpoint.remotePort);
  }

  #fail(block: SocketBlock, error: unknown): void {
    if (!(error instanceof NetError)) throw error;
    if (error.address !== undefined) {
      const literal = parseZonedAddress(error.address);
      const address = literal === null ? null : zonedAddress(literal, this.#arena.interfaces);
      block.setAddress(SocketWord.RemoteFamily, address, error.port ?? 0);
    }
    this.#finish(block, error.tunwireCode, phaseOf(error), error.detail);
  }

  #finish(block: SocketBlock, code: ErrorCode, phase: Phase, detail: string): void {
    block.setError(code, phase, detail);
    block.set(SocketWord.Status, SocketStatus.Closed);
    this.#table.tell(block, SocketEvent.Closed);
  }
}

/** Ends with an answer or an error, and can be cancelled before. */
function isSearch(endpoint: Endpoint | null): endpoint is ConnectAttempt | Lookup | RecordLookup {
  return endpoint instanceof ConnectAttempt || endpoint instanceof Lookup || endpoint instanceof RecordLookup;
}

function isProber(endpoint: Endpoint | null): endpoint is Ping | RouteTrace {
  return endpoint instanceof Ping || endpoint instanceof RouteTrace;
}

/** Room for a good part of the buffer (Linux, sk_stream_is_writeable: a third): writers do not wake for every acknowledgement. */
function isRoomy({ sendRing }: TcpConnection): boolean {
  return sendRing === null || 4 * sendRing.freeBytes >= sendRing.capacityBytes;
}

function phaseOf(error: NetError): Phase {
  return Math.max(0, PHASE_NAMES.indexOf(error.phase)) as Phase;
}

function microseconds(ms: number): number {
  return Number.isFinite(ms) ? Math.max(0, Math.round(ms * 1000)) : 0;
}
