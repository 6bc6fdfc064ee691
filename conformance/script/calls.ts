import { IpAddress } from '../../stack/wire/ip-address.ts';
import type { ScriptHost } from './host.ts';
import { BIND_PORT, type CallResult, done, failed, ScriptSocket, type SocketOptions } from './sockets.ts';
import { type CallSpec, type Expression, ScriptFailure, ScriptUnsupported } from './syntax.ts';

const CONNECT_PORT = 8080;
/** What words are worth as numbers. */
const WORDS: Readonly<Record<string, number>> = {
  O_RDONLY: 0,
  O_RDWR: 2,
  O_NONBLOCK: 0x800,
  MSG_OOB: 1,
  MSG_PEEK: 2,
  MSG_DONTWAIT: 0x40,
  MSG_NOSIGNAL: 0x4000,
  MSG_MORE: 0x8000,
  MSG_EOR: 0x80,
  IPTOS_LOWDELAY: 0x10,
  IPTOS_DSCP_CS1: 0x20,
  IPTOS_DSCP_CS7: 0xe0,
};
const OUT_OF_BAND = 1;
const PEEK = 2;
const DONT_WAIT = 0x40;
const NON_BLOCKING = 0x800;
/** Flags of send and recv that change what the stack would do in ways it does not offer. */
const UNSUPPORTED_FLAGS = 'MSG_FASTOPEN MSG_ZEROCOPY MSG_EOR MSG_MORE MSG_ERRQUEUE MSG_TRUNC'.split(' ');
/** EWOULDBLOCK is another name of EAGAIN. */
const ALIASES: Readonly<Record<string, string>> = { EWOULDBLOCK: 'EAGAIN' };

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
    this.#socketOf(args).boundPort = args.address(1, this.#host.local, BIND_PORT).port;
    return done(0);
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
    if (socket.connection !== null) return () => socket.connectProgress() ?? failed('EALREADY');
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
    return () => socket.read(args.vectorBytes(1), (flags & PEEK) !== 0, (flags & DONT_WAIT) !== 0);
  }

  #write(args: Arguments): Attempt {
    const socket = this.#socketOf(args);
    args.buffer(1);
    const flags = args.flags(3);
    return socket.write(args.number(2), (flags & DONT_WAIT) !== 0, (flags & OUT_OF_BAND) !== 0);
  }

  #writeVector(args: Arguments): Attempt {
    return this.#socketOf(args).write(args.vectorBytes(1), (args.flags(2) & DONT_WAIT) !== 0);
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
        return done(WORDS['O_RDWR']! | (socket.nonBlocking ? NON_BLOCKING : 0));
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
    const value = args.numberInList(3);
    const asked = isBuffer(name) && this.#host.profile.doublesBuffers ? 2 * value : value;
    if (!setNumber(socket.options, name, asked)) throw new ScriptUnsupported(`socket option ${name}`);
    if (socket.connection !== null) {
      socket.apply(socket.connection);
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

function canonical(errno: string): string {
  return ALIASES[errno] ?? errno;
}

/** @throws ScriptUnsupported for a word that is not known */
function numberOf(expression: Expression): number {
  switch (expression.kind) {
    case 'number':
      return expression.value;
    case 'or':
      return numberOf(expression.left) | numberOf(expression.right);
    case 'word': {
      const value = WORDS[expression.name];
      if (value === undefined) throw new ScriptUnsupported(`the value of ${expression.name}`);
      return value;
    }
    default:
      throw new ScriptUnsupported(`an argument of kind ${expression.kind}`);
  }
}

function wordsOf(expression: Expression): string[] {
  if (expression.kind === 'or') return [...wordsOf(expression.left), ...wordsOf(expression.right)];
  return expression.kind === 'word' ? [expression.name] : [];
}

function isBuffer(name: string): boolean {
  return name === 'SO_RCVBUF' || name === 'SO_SNDBUF';
}

function setNumber(options: SocketOptions, name: string, value: number): boolean {
  const on = value !== 0;
  switch (name) {
    case 'TCP_NODELAY':
      options.noDelay = on;
      return true;
    case 'SO_KEEPALIVE':
      options.keepAlive = on;
      return true;
    case 'TCP_KEEPIDLE':
      options.keepIdleMs = value * 1000;
      return true;
    case 'TCP_KEEPINTVL':
      options.keepIntervalMs = value * 1000;
      return true;
    case 'TCP_KEEPCNT':
      options.keepCount = value;
      return true;
    case 'TCP_KEEPINIT':
      options.userTimeoutMs = value * 1000;
      return true;
    case 'TCP_USER_TIMEOUT':
      options.userTimeoutMs = value;
      return true;
    case 'TCP_MAXSEG':
      options.maxSegmentBytes = value;
      return true;
    case 'TCP_NOOPT':
      options.noOptions = on;
      return true;
    case 'SO_OOBINLINE':
      options.urgentInline = on;
      return true;
    case 'IP_TTL':
    case 'IPV6_UNICAST_HOPS':
      options.ttl = value;
      return true;
    case 'IP_TOS':
    case 'IPV6_TCLASS':
      options.trafficClass = value;
      return true;
    case 'SO_RCVBUF':
      options.receiveBufferBytes = value;
      return true;
    case 'SO_SNDBUF':
      options.sendBufferBytes = value;
      return true;
    // The ports of a script are always free
    case 'SO_REUSEADDR':
    case 'SO_REUSEPORT':
    case 'SO_MARK':
    case 'IP_FREEBIND':
      return true;
    default:
      return false;
  }
}

function getNumber(socket: ScriptSocket, name: string): number | undefined {
  const { options, connection } = socket;
  switch (name) {
    case 'SO_RCVBUF':
      return connection?.recvLimitBytes ?? options.receiveBufferBytes;
    case 'SO_SNDBUF':
      return options.sendBufferBytes;
    case 'TCP_MAXSEG':
      return connection?.mss ?? options.maxSegmentBytes;
    case 'TCP_NODELAY':
      return options.noDelay ? 1 : 0;
    case 'SO_KEEPALIVE':
      return options.keepAlive ? 1 : 0;
    case 'TCP_KEEPIDLE':
      return options.keepIdleMs / 1000;
    case 'TCP_KEEPINTVL':
      return options.keepIntervalMs / 1000;
    case 'TCP_KEEPCNT':
      return options.keepCount;
    default:
      return undefined;
  }
}

interface PollEntry {
  readonly fd: number;
  readonly events: readonly string[];
  readonly revents: readonly string[];
  told: string;
}

/** The arguments of one call with what they mean. */
class Arguments {
  readonly line: number;
  readonly #spec: CallSpec;

  constructor(spec: CallSpec, line: number) {
    this.#spec = spec;
    this.line = line;
  }

  #at(index: number): Expression {
    const found = this.#spec.args[index];
    if (found === undefined) throw new ScriptFailure(this.line, `${this.#spec.name} needs more arguments`);
    return found;
  }

  number(index: number): number {
    return numberOf(this.#at(index));
  }

  resultNumber(): number {
    return numberOf(this.#spec.result);
  }

  /** A word; a number as its text. */
  word(index: number): string {
    const found = this.#at(index);
    if (found.kind === 'word') return found.name;
    return found.kind === 'number' ? String(found.value) : '';
  }

  /** Flags of send and recv; 0 when the call has none. */
  flags(index: number): number {
    const found = this.#spec.args[index];
    if (found === undefined) return 0;
    for (const word of wordsOf(found))
      if (UNSUPPORTED_FLAGS.includes(word)) throw new ScriptUnsupported(`flag ${word}`);
    return numberOf(found);
  }

  /** Where data lies: `...`; anything else is about memory of a process. */
  buffer(index: number): void {
    const found = this.#at(index);
    if (found.kind !== 'ellipsis' && found.kind !== 'string')
      throw new ScriptUnsupported('buffers with addresses of their own');
  }

  numberInList(index: number): number {
    const found = this.#at(index);
    const item = found.kind === 'list' ? found.items[0] : found;
    if (item === undefined) throw new ScriptUnsupported('an empty list');
    return numberOf(item);
  }

  field(index: number, name: string): number {
    const found = this.#at(index);
    const value =
      found.kind === 'struct' ? found.fields.find((field) => field.name === name)?.value : undefined;
    if (value === undefined) throw new ScriptUnsupported(`${this.#spec.name} without ${name}`);
    return numberOf(value);
  }

  /** Compares a value that the call gives back. */
  expectWord(index: number, got: string, what: string): void {
    const found = this.#at(index);
    const item = found.kind === 'list' ? found.items[0] : found;
    if (item === undefined || item.kind === 'ellipsis') return;
    const wanted = item.kind === 'word' ? item.name : String(numberOf(item));
    if (canonical(wanted) !== got)
      throw new ScriptFailure(this.line, `${this.#spec.name} ${what}`, [
        `expected: ${wanted}`,
        `     got: ${got}`,
      ]);
  }

  address(index: number, address: IpAddress, port: number): { address: IpAddress; port: number } {
    const found = this.#at(index);
    if (found.kind !== 'struct') return { address, port };
    let result = { address, port };
    for (const { name, value } of found.fields) {
      const inner = value.kind === 'call' ? value.args[0] : value;
      if (name === 'sin_port' && inner?.kind === 'number') result = { ...result, port: inner.value };
      if (name === 'sin_addr' && inner?.kind === 'string')
        result = { ...result, address: IpAddress.parse(inner.text) ?? address };
    }
    return result;
  }

  /** Sum of the lengths in `[{..., 100}, {..., 50}]`, alone or in a message header. */
  vectorBytes(index: number): number {
    let found = this.#at(index);
    if (found.kind === 'struct') {
      for (const { name } of found.fields)
        if (name === 'msg_control') throw new ScriptUnsupported('control messages');
      found = found.fields.find((field) => field.name === 'msg_iov')?.value ?? found;
    }
    if (found.kind !== 'list') throw new ScriptUnsupported(`${this.#spec.name} without a vector`);
    let total = 0;
    for (const item of found.items) {
      const length = item.kind === 'struct' ? item.fields[1]?.value : undefined;
      if (length === undefined) throw new ScriptUnsupported('an entry of a vector');
      total += numberOf(length);
    }
    return total;
  }

  pollEntries(index: number): PollEntry[] {
    const found = this.#at(index);
    if (found.kind !== 'list') throw new ScriptUnsupported('poll without a list');
    return found.items.map((item) => {
      const fields = item.kind === 'struct' ? item.fields : [];
      const value = (name: string): Expression | undefined =>
        fields.find((field) => field.name === name)?.value;
      const fd = value('fd');
      const events = value('events');
      const revents = value('revents');
      return {
        fd: fd === undefined ? -1 : numberOf(fd),
        events: events === undefined ? [] : wordsOf(events),
        revents: revents === undefined ? [] : wordsOf(revents),
        told: '',
      };
    });
  }
}
