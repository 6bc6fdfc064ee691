import type { IpAddress } from '../../stack/wire/ip-address.ts';
import { Arguments, canonical, numberOf } from './arguments.ts';
import type { ScriptHost } from './host.ts';
import { congestionControlOf, getNumber, isBuffer, setNumber } from './socket-options.ts';
import { BIND_PORT, type CallResult, done, failed, ScriptSocket } from './sockets.ts';
import { type CallSpec, ScriptFailure, ScriptUnsupported } from './syntax.ts';

const CONNECT_PORT = 8080;
/** Linux, TCP_MAX_QUICKACKS */
const LINUX_QUICK_ACKS = 16;
const OUT_OF_BAND = 1;
const PEEK = 2;
const DONT_WAIT = 0x40;
const MORE = 0x8000;
const FAST_OPEN = 0x20000000;
const NON_BLOCKING = 0x800;
const READ_WRITE = 2;
/** A call under way: tried again after everything that happens until it returns a result. */
export type Attempt = () => CallResult | null;

/** The descriptors of a script and the calls on them. */
export class Calls {
  readonly #host: ScriptHost;
  readonly #sockets: Map<number, ScriptSocket> = new Map();
  readonly #listeners: Map<number, ScriptSocket> = new Map();
  /** The socket that code speaks of: the one connected or accepted last. */
  current: ScriptSocket | null = null;
  /** Told of a connection attempt before its SYN is sent. */
  onConnect: (socket: ScriptSocket, remote: IpAddress, port: number) => void = () => {};
  onListen: () => void = () => {};
  /** The other end of the packets so far. */
  peer: () => { remote: IpAddress; remotePort: number } | null = () => null;

  constructor(host: ScriptHost) {
    this.#host = host;
    host.onPassive = (connection) => {
      const listener = [...this.#listeners.values()].find((one) => one.boundPort === connection.localPort);
      listener?.apply(connection);
    };
  }

  /** The sockets that are open. */
  sockets(): Iterable<ScriptSocket> {
    return this.#sockets.values();
  }

  /** Begins a call. Its result is still to be compared: {@link checkResult} */
  start(spec: CallSpec, line: number): Attempt {
    const args = new Arguments(spec, line);
    switch (spec.name) {
      case 'socket':
        return this.#socket(args);
      case 'bind':
        return () => this.#bind(args);
      case 'listen':
        return () => this.#listen(args);
      case 'accept':
      case 'accept4':
        return this.#accept(args);
      case 'connect':
        return this.#connect(args);
      case 'read':
      case 'recv':
      case 'recvfrom':
        return this.#read(args);
      case 'readv':
      case 'recvmsg':
        return this.#readVector(args);
      case 'write':
      case 'send':
      case 'sendto':
        return this.#write(args);
      case 'writev':
      case 'sendmsg':
        return this.#writeVector(args);
      case 'shutdown':
        return () => this.#socketOf(args).shutdown(args.word(1).replace('SHUT_', ''));
      case 'close':
        return () => this.#close(args);
      case 'fcntl':
        return () => this.#fcntl(args);
      case 'setsockopt':
        return () => this.#setOption(args);
      case 'getsockopt':
        return () => this.#getOption(args);
      case 'ioctl':
        return () => this.#ioctl(args);
      case 'poll':
        return this.#poll(args);
      default:
        throw new ScriptUnsupported(`system call ${spec.name}`);
    }
  }

  #socketOf(args: Arguments, index = 0): ScriptSocket {
    const fd = args.number(index);
    const socket = this.#sockets.get(fd);
    if (socket === undefined) throw new ScriptFailure(args.line, `descriptor ${fd} is not open`);
    return socket;
  }

  /** Scripts number descriptors from 3 and take what they say for granted. */
  #open(socket: ScriptSocket, args: Arguments): CallResult {
    const fd = args.resultNumber();
    this.#sockets.set(fd < 0 ? 1000 + this.#sockets.size : fd, socket);
    return done(fd);
  }

  #socket(args: Arguments): Attempt {
    const type = args.word(1);
    const protocol = args.word(2);
    return () => {
      if (type === 'SOCK_STREAM' && (protocol === 'IPPROTO_TCP' || protocol === '0'))
        return this.#open(new ScriptSocket(this.#host, 'tcp'), args);
      if (type === 'SOCK_DGRAM' && (protocol === 'IPPROTO_UDP' || protocol === '0'))
        return this.#open(new ScriptSocket(this.#host, 'udp'), args);
      if (type === 'SOCK_STREAM' && protocol === 'IPPROTO_UDP') return failed('EPROTONOSUPPORT');
      throw new ScriptUnsupported(`socket ${type} ${protocol}`);
    };
  }

  #bind(args: Arguments): CallResult {
    return this.#socketOf(args).bind(args.address(1, this.#host.local, BIND_PORT).port);
  }

  #listen(args: Arguments): CallResult {
    const socket = this.#socketOf(args);
    const result = socket.listen(args.number(1));
    if (result.errno === '') {
      this.#listeners.set(args.number(0), socket);
      this.current = socket;
      this.onListen();
    }
    return result;
  }

  #accept(args: Arguments): Attempt {
    const listener = this.#socketOf(args);
    return () => {
      const accepted = listener.accept();
      if (accepted === null) return null;
      if (typeof accepted === 'string') return failed(accepted);
      this.current = accepted;
      return this.#open(accepted, args);
    };
  }

  #connect(args: Arguments): Attempt {
    const socket = this.#socketOf(args);
    const { address, port } = args.address(1, this.#host.remote, CONNECT_PORT);
    if (socket.connection !== null)
      return () => socket.connectProgress() ?? failed(socket.isDeferred ? 'EISCONN' : 'EALREADY');
    this.current = socket;
    let started: CallResult | null = null;
    return () => {
      if (started !== null) return socket.connectProgress();
      this.onConnect(socket, address, port);
      started = socket.connect(address, port);
      if (started.errno !== 'EINPROGRESS' || socket.nonBlocking) return started;
      return socket.connectProgress();
    };
  }

  #read(args: Arguments): Attempt {
    const socket = this.#socketOf(args);
    args.buffer(1);
    const flags = args.flags(3);
    if ((flags & OUT_OF_BAND) !== 0) return () => socket.readOutOfBand((flags & PEEK) !== 0);
    return () => socket.read(args.number(2), (flags & PEEK) !== 0, (flags & DONT_WAIT) !== 0);
  }

  #readVector(args: Arguments): Attempt {
    const socket = this.#socketOf(args);
    const flags = args.flags(2);
    const lengthBytes = args.vectorBytes(1);
    const queued = args.queueLength(1);
    return () => {
      const result = socket.read(lengthBytes, (flags & PEEK) !== 0, (flags & DONT_WAIT) !== 0);
      // Linux counts a FIN at the end of the queue as one octet
      const left = socket.queued.in + (socket.queued.in === 0 && socket.peerHasFinished ? 1 : 0);
      if (result !== null && queued >= 0 && left !== queued)
        throw new ScriptFailure(args.line, `TCP_CM_INQ: expected ${queued}, got ${left}`);
      return result;
    };
  }

  #write(args: Arguments): Attempt {
    const socket = this.#socketOf(args);
    args.buffer(1);
    const flags = args.flags(3);
    const dontWait = (flags & DONT_WAIT) !== 0;
    if (socket.protocol === 'udp' && args.has(4)) return this.#sendDatagram(socket, args);
    if ((flags & FAST_OPEN) !== 0 && socket.isConnecting) return () => failed('EALREADY');
    if ((flags & FAST_OPEN) !== 0 && !this.#isUnderWay(socket)) {
      if (args.isWord(4, 'AF_UNSPEC')) return () => failed('EOPNOTSUPP');
      const { address, port } = args.address(4, this.#host.remote, CONNECT_PORT);
      return this.#connecting(socket, address, port, () =>
        socket.sendFastOpen(address, port, args.number(2), dontWait),
      );
    }
    if (
      args.has(4) &&
      this.#host.profile.sendToQueues &&
      socket.connection === null &&
      socket.protocol === 'tcp'
    ) {
      const { address, port } = args.address(4, this.#host.remote, CONNECT_PORT);
      return this.#connecting(
        socket,
        address,
        port,
        () => () => socket.sendImplied(address, port, args.number(2)),
      );
    }
    return socket.write(args.number(2), dontWait, (flags & OUT_OF_BAND) !== 0, (flags & MORE) !== 0);
  }

  /** sendto() of a datagram; `...` as the address is the peer that packets came from. */
  #sendDatagram(socket: ScriptSocket, args: Arguments): Attempt {
    const known = this.peer();
    const peer = known ?? { remote: this.#host.remote, remotePort: CONNECT_PORT };
    const { address, port } = args.address(4, peer.remote, peer.remotePort);
    return () => {
      if (known?.remotePort !== port || !known.remote.equals(address)) this.onConnect(socket, address, port);
      return socket.writeDatagramTo(address, port, args.number(2));
    };
  }

  /** A connection that data can no longer begin. */
  #isUnderWay(socket: ScriptSocket): boolean {
    return socket.connection !== null && !socket.connection.fastOpen?.held;
  }

  /** A call that begins a connection as connect() does. */
  #connecting(socket: ScriptSocket, address: IpAddress, port: number, begin: () => Attempt): Attempt {
    this.current = socket;
    if (socket.connection === null) this.onConnect(socket, address, port);
    return begin();
  }

  #writeVector(args: Arguments): Attempt {
    const socket = this.#socketOf(args);
    const flags = args.flags(2);
    const dontWait = (flags & DONT_WAIT) !== 0;
    const lengthBytes = args.vectorBytes(1);
    if ((flags & FAST_OPEN) === 0 || this.#isUnderWay(socket))
      return socket.write(lengthBytes, dontWait, false, (flags & MORE) !== 0);
    const { remote } = this.#host;
    return this.#connecting(socket, remote, CONNECT_PORT, () =>
      socket.sendFastOpen(remote, CONNECT_PORT, lengthBytes, dontWait),
    );
  }

  #close(args: Arguments): CallResult {
    const socket = this.#socketOf(args);
    this.#sockets.delete(args.number(0));
    this.#listeners.delete(args.number(0));
    return socket.close();
  }

  #fcntl(args: Arguments): CallResult {
    const socket = this.#socketOf(args);
    switch (args.word(1)) {
      case 'F_GETFL':
        return done(READ_WRITE | (socket.nonBlocking ? NON_BLOCKING : 0));
      case 'F_SETFL':
        socket.nonBlocking = (args.number(2) & NON_BLOCKING) !== 0;
        return done(0);
      default:
        throw new ScriptUnsupported(`fcntl ${args.word(1)}`);
    }
  }

  #setOption(args: Arguments): CallResult {
    const socket = this.#socketOf(args);
    const name = args.word(2);
    if (name === 'SO_LINGER') {
      const on = args.field(3, 'onoff') !== 0;
      socket.options.lingerSeconds = on ? args.field(3, 'linger') : -1;
      return done(0);
    }
    if (name === 'TCP_CONGESTION') {
      const congestion = congestionControlOf(args.text(3));
      if (congestion === null) return failed('ENOENT');
      socket.options.congestion = congestion;
      if (socket.connection !== null) socket.apply(socket.connection);
      this.#host.settle();
      return done(0);
    }
    const value = args.numberInList(3);
    if (name === 'TCP_FASTOPEN_CONNECT' && !this.#host.fastOpen.client) return failed('EOPNOTSUPP');
    if (name === 'TCP_QUICKACK' && socket.connection !== null) {
      socket.connection.quickAcks = value === 0 ? 0 : LINUX_QUICK_ACKS;
      return done(0);
    }
    const asked = isBuffer(name) && this.#host.profile.doublesBuffers ? 2 * value : value;
    if (!setNumber(socket.options, name, asked)) throw new ScriptUnsupported(`socket option ${name}`);
    socket.applyToListener();
    if (socket.connection !== null) {
      socket.apply(socket.connection);
      // Said again it still pushes what a cork holds back
      if (name === 'TCP_NODELAY') socket.connection.setNoDelay(value !== 0);
      this.#host.settle();
    }
    return done(0);
  }

  #getOption(args: Arguments): CallResult {
    const socket = this.#socketOf(args);
    const name = args.word(2);
    if (name === 'SO_ERROR') {
      const error = socket.takeError();
      args.expectWord(3, error === '' ? '0' : error, name);
      return done(0);
    }
    const got = getNumber(socket, name);
    if (got === undefined) throw new ScriptUnsupported(`socket option ${name}`);
    args.expectWord(3, String(got), name);
    return done(0);
  }

  #ioctl(args: Arguments): CallResult {
    const { queued, atMark } = this.#socketOf(args);
    const name = args.word(1);
    if (name === 'SIOCINQ' || name === 'FIONREAD') args.expectWord(2, String(queued.in), name);
    else if (name === 'SIOCOUTQ') args.expectWord(2, String(queued.out), name);
    else if (name === 'SIOCATMARK') args.expectWord(2, atMark ? '1' : '0', name);
    else throw new ScriptUnsupported(`ioctl ${name}`);
    return done(0);
  }

  /** `poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 0) = 1` */
  #poll(args: Arguments): Attempt {
    const entries = args.pollEntries(0);
    const dontWait = args.number(2) === 0;
    const untilUs = this.#host.nowUs + args.number(2) * 1000;
    return () => {
      let count = 0;
      for (const entry of entries) {
        const socket = this.#sockets.get(entry.fd);
        if (socket === undefined) throw new ScriptFailure(args.line, `descriptor ${entry.fd} is not open`);
        const ready = socket.readiness;
        const told = [...ready].filter(
          (bit) => entry.events.includes(bit) || bit === 'POLLERR' || bit === 'POLLHUP',
        );
        entry.told = told.sort().join('|');
        if (told.length > 0) count++;
      }
      const expired = dontWait || (args.number(2) > 0 && this.#host.nowUs >= untilUs);
      if (count === 0 && !expired) return null;
      for (const entry of entries) {
        const wanted = [...entry.revents].sort().join('|');
        if (entry.told !== wanted)
          throw new ScriptFailure(args.line, `poll: expected revents ${wanted || 0}, got ${entry.told || 0}`);
      }
      return done(count);
    };
  }
}

/** Compares what a call returned with what the script says. @throws ScriptFailure */
export function checkResult(spec: CallSpec, result: CallResult, line: number): void {
  const wantedErrno = canonical(spec.errno);
  const wanted = numberOf(spec.result);
  const got = canonical(result.errno);
  if (wanted === result.value && (wantedErrno === got || (wanted < 0 && spec.errno === ''))) return;
  const show = (value: number, errno: string): string => `${value} ${errno}`.trim();
  throw new ScriptFailure(line, `${spec.name} returned something else`, [
    `expected: ${show(wanted, wantedErrno)}`,
    `     got: ${show(result.value, got)}`,
  ]);
}
