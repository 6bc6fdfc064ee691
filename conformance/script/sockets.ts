import { ERRORS, type ErrorCode, NetError } from '../../stack/errors.ts';
import type { CongestionControlName } from '../../stack/tcp/congestion/congestion-control-names.ts';
import type { TcpConnection } from '../../stack/tcp/connection.ts';
import { synDataLimit } from '../../stack/tcp/fast-open.ts';
import type { TcpListener } from '../../stack/tcp/listener.ts';
import { TcpState } from '../../stack/tcp/tcp-state.ts';
import {
  bytesToMark,
  NO_URGENT,
  passMark,
  takeOutOfBand,
  URGENT_NOT_YET,
  urgentBytes,
} from '../../stack/tcp/urgent.ts';
import type { UdpSocket } from '../../stack/udp/udp-socket.ts';
import type { IpAddress } from '../../stack/wire/ip-address.ts';
import type { ScriptHost } from './host.ts';

/** What a system call ends with. */
export interface CallResult {
  readonly value: number;
  /** '' when it did not fail. */
  readonly errno: string;
}

/** A call that cannot end yet. */
export const BLOCKS = null;

/** Socket options that a listener hands on to its connections. */
export interface SocketOptions {
  noDelay: boolean;
  corked: boolean;
  keepAlive: boolean;
  keepIdleMs: number;
  keepIntervalMs: number;
  keepCount: number;
  userTimeoutMs: number;
  /** Retransmissions of the SYN; -1: not set. */
  synRetries: number;
  /** 0: not set. */
  maxSegmentBytes: number;
  /** -1: not set. */
  ttl: number;
  trafficClass: number;
  receiveBufferBytes: number;
  sendBufferBytes: number;
  /** Seconds; -1: off. */
  lingerSeconds: number;
  /** No options in SYN segments (FreeBSD's TCP_NOOPT). */
  noOptions: boolean;
  /** The urgent octet stays in the stream (SO_OOBINLINE). */
  urgentInline: boolean;
  /** TCP_FASTOPEN: of a listener its queue; BSD: an active open is to use it; -1: not set. */
  fastOpen: number;
  /** TCP_CONGESTION; '': not set. */
  congestion: CongestionControlName | '';
  /** TCP_FASTOPEN_CONNECT: connect() waits for the first data. */
  fastOpenConnect: boolean;
}

const ADDRESS_PORT = 8080;
/** What a port is bound to when a script says `...`. */
export const BIND_PORT: number = ADDRESS_PORT;

/** One socket of the application that the script plays: the calls that a kernel would offer, over the stack's API. */
export class ScriptSocket {
  readonly host: ScriptHost;
  readonly protocol: 'tcp' | 'udp';
  readonly options: SocketOptions;
  nonBlocking = false;
  boundPort = 0;
  listener: TcpListener | null = null;
  connection: TcpConnection | null = null;
  udp: UdpSocket | null = null;
  readonly datagrams: Uint8Array[] = [];
  /** The error was told once. */
  #errorTaken = false;
  #readShut = false;
  #backlog = 0;
  /** The urgent octet was read out of band. */
  #outOfBandTaken = false;
  #connectReported = false;

  constructor(host: ScriptHost, protocol: 'tcp' | 'udp') {
    this.host = host;
    this.protocol = protocol;
    this.options = {
      noDelay: false,
      corked: false,
      keepAlive: false,
      keepIdleMs: host.keepAlive.idle * 1000,
      keepIntervalMs: host.keepAlive.interval * 1000,
      keepCount: host.keepAlive.count,
      userTimeoutMs: 0,
      synRetries: -1,
      maxSegmentBytes: 0,
      ttl: -1,
      trafficClass: -1,
      receiveBufferBytes: host.defaults.receiveBufferBytes,
      sendBufferBytes: host.defaults.sendBufferBytes,
      lingerSeconds: -1,
      noOptions: false,
      urgentInline: false,
      fastOpen: -1,
      fastOpenConnect: false,
      congestion: '',
    };
  }

  listen(backlog: number): CallResult {
    try {
      // A kernel's queue holds one more than the backlog
      this.listener = this.host.stack.tcp.listen({ local: null, port: this.boundPort, backlog: backlog + 1 });
      this.#backlog = backlog;
      this.applyToListener();
    } catch (error) {
      return failureOf(error);
    }
    return done(0);
  }

  /** How many Fast Open connections the listener takes. */
  applyToListener(): void {
    const { fastOpen } = this.host;
    if (this.listener === null) return;
    const asked = Math.max(this.options.fastOpen, 0);
    const byDefault = fastOpen.allListeners && this.options.fastOpen < 0 ? this.#backlog : 0;
    this.listener.fastOpenQueue = fastOpen.server ? asked || byDefault : 0;
  }

  accept(): ScriptSocket | 'EINVAL' | 'EAGAIN' | null {
    if (this.listener === null) return 'EINVAL';
    const connection = this.listener.accept();
    if (connection === null) return this.nonBlocking ? 'EAGAIN' : BLOCKS;
    const socket = new ScriptSocket(this.host, 'tcp');
    Object.assign(socket.options, this.options);
    socket.connection = connection;
    socket.#connectReported = true;
    socket.boundPort = connection.localPort;
    return socket;
  }

  /** Begins to connect. @returns 0 when the SYN waits for data (TCP_FASTOPEN_CONNECT) */
  connect(remote: IpAddress, port: number, fastOpen: boolean = this.options.fastOpenConnect): CallResult {
    if (this.protocol === 'udp') return this.#connectUdp(remote, port);
    if (this.connection !== null) return this.connectProgress() ?? failed('EALREADY');
    try {
      this.connection = this.host.stack.tcp.connect({
        remote,
        remotePort: port,
        local: null,
        localPort: this.boundPort,
        noDelay: this.options.noDelay,
        keepAlive: null,
        fastOpen: fastOpen && this.host.fastOpen.client,
      });
    } catch (error) {
      return failureOf(error);
    }
    this.apply(this.connection);
    this.host.settle();
    if (this.options.fastOpenConnect && this.connection.fastOpen?.held) {
      this.#connectReported = true;
      return done(0);
    }
    return failed('EINPROGRESS');
  }

  /** The datagram socket, opened when something first needs it; its port is the one of bind(). @throws NetError */
  #openUdp(): UdpSocket {
    this.udp ??= this.host.stack.udp.open({
      local: null,
      localPort: this.boundPort,
      remote: null,
      remotePort: 0,
      broadcast: false,
      receiver: {
        datagram: (_socket, slab, off, len) => {
          this.datagrams.push(slab.bytes.slice(off, off + len));
        },
      },
    });
    return this.udp;
  }

  #connectUdp(remote: IpAddress, port: number): CallResult {
    try {
      this.#openUdp().connect(remote, port);
    } catch (error) {
      return failureOf(error);
    }
    return done(0);
  }

  bind(port: number): CallResult {
    this.boundPort = port;
    if (this.protocol === 'tcp') return done(0);
    try {
      this.#openUdp();
    } catch (error) {
      return failureOf(error);
    }
    return done(0);
  }

  /** A SYN was sent, and nothing has come of it yet. */
  get isConnecting(): boolean {
    const { connection } = this;
    return connection !== null && connection.state === TcpState.SynSent && !connection.fastOpen?.held;
  }

  /** connect() has returned 0, and the SYN carried the first data or still waits for it. */
  get isDeferred(): boolean {
    return this.options.fastOpenConnect && this.#connectReported;
  }

  /** How the attempt stands; BLOCKS: under way. */
  connectProgress(): CallResult | null {
    const { connection } = this;
    if (connection === null) return failed('ENOTCONN');
    const error = this.takeError();
    if (error !== '') return failed(error);
    if (connection.state === TcpState.SynSent || connection.state === TcpState.SynReceived) return BLOCKS;
    if (this.#connectReported) return failed('EISCONN');
    this.#connectReported = true;
    return done(0);
  }

  /** Sets the socket's options on its connection. */
  apply(connection: TcpConnection): void {
    const o = this.options;
    if (connection.noDelay !== o.noDelay) connection.setNoDelay(o.noDelay);
    if (connection.corked !== o.corked) connection.setCork(o.corked);
    connection.setUserTimeout(o.userTimeoutMs);
    connection.synRetries = o.synRetries;
    if (o.congestion !== '') connection.setCongestionControl(o.congestion);
    const { keepIdleMs: idleMs, keepIntervalMs: intervalMs, keepCount: count } = o;
    connection.setKeepAlive(o.keepAlive ? { idleMs, intervalMs, count } : null);
    if (o.receiveBufferBytes !== this.host.defaults.receiveBufferBytes)
      connection.recvLimitBytes = o.receiveBufferBytes;
    if (o.ttl > 0) connection.ttl = o.ttl;
    if (o.trafficClass >= 0) connection.trafficClass = o.trafficClass;
    if (o.maxSegmentBytes > 0) {
      connection.maxSegmentBytes = o.maxSegmentBytes;
      if (connection.isSynchronized) connection.updateMss();
    }
    if (o.maxSegmentBytes > 0 && connection.state < TcpState.Established)
      connection.advMss = Math.min(connection.advMss, o.maxSegmentBytes);
    if (o.noOptions && connection.state < TcpState.Established) {
      connection.bareSyn = true;
      connection.scaleOk = false;
      connection.tsOk = false;
      connection.sackOk = false;
      connection.rcvShift = 0;
      connection.sndShift = 0;
    }
  }

  /** The pending error, once: an errno, or ''. */
  takeError(): string {
    const code = this.connection?.error ?? null;
    if (code === null || code === 'ABORTED' || this.#errorTaken) return this.#softError();
    this.#errorTaken = true;
    return errnoOf(code);
  }

  #softError(): string {
    const error = this.udp?.takeError() ?? null;
    return error === null ? '' : errnoOf(error);
  }

  /** @param peek leaves the data */
  read(lengthBytes: number, peek: boolean, dontWait: boolean): CallResult | null {
    if (this.protocol === 'udp') return this.#readDatagram(lengthBytes, peek, dontWait);
    const { connection } = this;
    if (connection === null) return failed('ENOTCONN');
    const ring = connection.recvRing;
    if (!this.options.urgentInline && !peek && passMark(connection)) this.#outOfBandTaken = false;
    const unread =
      ring === null || (connection.state < TcpState.Established && !connection.isEarly)
        ? this.#leftover()
        : ring.usedBytes;
    // As on Linux a read ends at the mark
    const available = Math.min(unread, bytesToMark(connection) || Infinity);
    if (available > 0 && ring !== null) {
      const taken = Math.min(available, lengthBytes);
      if (!peek) {
        ring.advanceTail(taken);
        connection.appRead();
        this.host.settle();
      }
      return done(taken);
    }
    const error = this.takeError();
    if (error !== '') return failed(error);
    const peerFinished = connection.finSeen && ((connection.rcvNxt - connection.rcvFinSeq) | 0) > 0;
    if (
      peerFinished ||
      connection.state === TcpState.Closed ||
      this.#readShut ||
      connection.state === TcpState.TimeWait
    )
      return done(0);
    return this.nonBlocking || dontWait ? failed('EAGAIN') : BLOCKS;
  }

  /** recv(MSG_OOB) */
  readOutOfBand(peek: boolean): CallResult {
    if (this.connection === null) return failed('ENOTCONN');
    const octet = takeOutOfBand(this.connection);
    if (octet === URGENT_NOT_YET && !this.options.urgentInline) return failed('EAGAIN');
    if (octet === NO_URGENT || this.options.urgentInline || this.#outOfBandTaken) return failed('EINVAL');
    if (!peek) this.#outOfBandTaken = true;
    return done(1);
  }

  /** SIOCATMARK */
  get atMark(): boolean {
    return this.connection !== null && bytesToMark(this.connection) === 0;
  }

  /** Data of a connection that is over. */
  #leftover(): number {
    const { connection } = this;
    return connection?.state === TcpState.Closed ? (connection.recvRing?.usedBytes ?? 0) : 0;
  }

  #readDatagram(lengthBytes: number, peek: boolean, dontWait: boolean): CallResult | null {
    const error = this.takeError();
    if (error !== '') return failed(error);
    const datagram = peek ? this.datagrams[0] : this.datagrams.shift();
    if (datagram !== undefined) return done(Math.min(datagram.length, lengthBytes));
    return this.nonBlocking || dontWait ? failed('EAGAIN') : BLOCKS;
  }

  /** Begins to write `lengthBytes` zeros. @param urgent MSG_OOB @param more MSG_MORE @returns a function that goes on with it */
  write(lengthBytes: number, dontWait: boolean, urgent = false, more = false): () => CallResult | null {
    if (this.protocol === 'udp') return () => this.#writeDatagram(lengthBytes);
    let written = 0;
    return () => {
      const { connection } = this;
      if (connection === null) return failed('EPIPE');
      const error = this.takeError();
      if (error !== '') return failed(error);
      const over = connection.state === TcpState.Closed || connection.state === TcpState.TimeWait;
      if (connection.finQueued || over) return failed('EPIPE');
      const wait = !this.nonBlocking && !dontWait;
      if (connection.state < TcpState.Established && !connection.isEarly) {
        if (connection.fastOpen?.held) {
          written = this.#putIntoSyn(lengthBytes);
          if (wait) return BLOCKS;
          return written > 0 ? done(written) : failed('EINPROGRESS');
        }
        return wait ? BLOCKS : failed('EAGAIN');
      }
      const ring = connection.sendRing;
      if (ring === null) return failed('ENOTCONN');
      const room = Math.min(ring.freeBytes, this.options.sendBufferBytes - ring.usedBytes);
      const take = Math.max(Math.min(room, lengthBytes - written), 0);
      if (take > 0) {
        ring.write(new Uint8Array(take), 0, take);
        written += take;
        if (urgent && written === lengthBytes) connection.appWroteUrgent();
        else connection.appWrote(more);
        this.host.settle();
      }
      if (written === lengthBytes) return done(written);
      if (wait) return BLOCKS;
      return written > 0 ? done(written) : failed('EAGAIN');
    };
  }

  /** sendto(MSG_FASTOPEN): connects, with the first data in the SYN where that is possible. */
  sendFastOpen(
    remote: IpAddress,
    port: number,
    lengthBytes: number,
    dontWait: boolean,
  ): () => CallResult | null {
    const wait = !this.nonBlocking && !dontWait;
    if (!this.host.fastOpen.client) return () => failed('EOPNOTSUPP');
    let rest: (() => CallResult | null) | null = null;
    let sent = 0;
    const failure: CallResult | null = null;
    return () => {
      if (rest === null && failure === null) {
        const started = this.connection === null ? this.connect(remote, port, true) : failed('EINPROGRESS');
        if (started.errno !== 'EINPROGRESS' && started.errno !== '') return started;
        // connect() was not called, and has its result to come
        this.#connectReported = false;
        sent = this.#putIntoSyn(lengthBytes);
        if (!wait) return sent > 0 ? done(sent) : failed('EINPROGRESS');
        rest = this.write(lengthBytes - sent, false);
      }
      if (this.connection!.state < TcpState.Established) {
        const error = this.takeError();
        if (error !== '') return failed(error);
        if (this.connection!.state !== TcpState.Closed) return BLOCKS;
      }
      if (sent === lengthBytes) return done(sent);
      const result = rest!();
      return result === null || result.errno !== '' ? result : done(sent + result.value);
    };
  }

  #heldBefore = false;

  /** Writes what a SYN that is held back can carry, and lets it go. */
  #putIntoSyn(lengthBytes: number): number {
    const connection = this.connection!;
    this.#heldBefore = connection.fastOpen?.held ?? false;
    if (!this.#heldBefore) return 0;
    const take = Math.min(lengthBytes, synDataLimit(connection));
    connection.sendRing?.write(new Uint8Array(take), 0, take);
    connection.appWrote();
    this.host.settle();
    return take;
  }

  /** BSD's implied connect: the data waits in the socket. */
  sendImplied(remote: IpAddress, port: number, lengthBytes: number): CallResult {
    const started = this.connect(remote, port, this.options.fastOpen > 0);
    if (started.errno !== 'EINPROGRESS') return started;
    const room = Math.min(lengthBytes, this.options.sendBufferBytes);
    this.connection!.sendRing?.write(new Uint8Array(room), 0, room);
    this.connection!.appWrote();
    this.host.settle();
    return done(room);
  }

  #writeDatagram(lengthBytes: number): CallResult {
    const error = this.takeError();
    if (error !== '') return failed(error);
    if (this.udp === null) return failed('EDESTADDRREQ');
    return this.#sendDatagram(this.udp, lengthBytes, null, 0);
  }

  /** sendto() with an address: the socket stays unconnected. */
  writeDatagramTo(remote: IpAddress, port: number, lengthBytes: number): CallResult {
    try {
      return this.#sendDatagram(this.#openUdp(), lengthBytes, remote, port);
    } catch (failure) {
      return failureOf(failure);
    }
  }

  #sendDatagram(udp: UdpSocket, lengthBytes: number, remote: IpAddress | null, port: number): CallResult {
    try {
      udp.sendTo(new Uint8Array(lengthBytes), 0, lengthBytes, remote, port);
    } catch (failure) {
      return failureOf(failure);
    }
    this.host.settle();
    return done(lengthBytes);
  }

  /** @param how 'RD', 'WR' or 'RDWR' */
  shutdown(how: string): CallResult {
    const { connection } = this;
    if (connection === null || connection.state < TcpState.Established) {
      if (connection === null || connection.state === TcpState.Closed) return failed('ENOTCONN');
    }
    if (how !== 'WR') this.#readShut = true;
    if (how !== 'RD') connection.shutdown();
    this.host.settle();
    return done(0);
  }

  close(): CallResult {
    this.listener?.close();
    this.udp?.close();
    if (this.options.lingerSeconds === 0) this.connection?.abort();
    else this.connection?.close();
    this.host.settle();
    return done(0);
  }

  /** Unread bytes (SIOCINQ) and bytes that are not acknowledged yet (SIOCOUTQ). */
  get queued(): { in: number; out: number } {
    return { in: this.connection?.recvRing?.usedBytes ?? 0, out: this.connection?.sendRing?.usedBytes ?? 0 };
  }

  get peerHasFinished(): boolean {
    const { connection } = this;
    return connection?.finSeen === true && ((connection.rcvNxt - connection.rcvFinSeq) | 0) > 0;
  }

  /** What poll() would tell: names of its bits. */
  get readiness(): Set<string> {
    const ready = new Set<string>();
    const { connection } = this;
    if (this.listener !== null) return ready;
    if (connection === null) return new Set(['POLLOUT', 'POLLHUP']);
    const { state } = connection;
    const over = state === TcpState.Closed || state === TcpState.TimeWait;
    const finished = connection.finSeen && ((connection.rcvNxt - connection.rcvFinSeq) | 0) > 0;
    if (state < TcpState.Established && !over) return ready;
    if (this.queued.in > 0 || finished || over) ready.add('POLLIN');
    if (finished || over) ready.add('POLLRDHUP');
    if (urgentBytes(connection) > 0) ready.add('POLLPRI');
    const ring = connection.sendRing;
    if (over || connection.finQueued || (ring !== null && ring.usedBytes * 2 < this.options.sendBufferBytes))
      ready.add('POLLOUT');
    if (connection.error !== null && !this.#errorTaken) ready.add('POLLERR');
    if (over || (finished && connection.finQueued)) ready.add('POLLHUP');
    return ready;
  }
}

export function done(value: number): CallResult {
  return { value, errno: '' };
}

export function failed(errno: string): CallResult {
  return { value: -1, errno };
}

function failureOf(error: unknown): CallResult {
  if (error instanceof NetError) return failed(error.code);
  throw error;
}

function errnoOf(code: ErrorCode): string {
  return ERRORS[code].errno;
}
