import type { EventEmitter } from 'node:events';
import { type AddressInfo, isIP, type SocketConnectOpts } from 'node:net';
import type { EngineClient } from '../engine/client.ts';
import type { SocketInfo } from '../engine/questions.ts';
import { type ConnectRequest, type KeepAlive, SharedSocket } from '../engine/shared-socket.ts';
import { SocketEvent, SocketStatus } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { addressText } from '../stack/resolver/host-name.ts';
import { checkSendOptions } from '../stack/tcp/send-policy.ts';
import { cancelled, onAbort } from './abort.ts';
import { ask } from './answer.ts';
import { AttemptEvents } from './attempt-events.ts';
import { CHANNELS } from './channels.ts';
import type { FlowOptions } from './data-flow.ts';
import { findAddresses } from './name-lookup.ts';
import { noteOpen } from './open-sockets.ts';
import {
  type ConnectOptions,
  checkAddress,
  checkMs,
  checkPort,
  type KeepAliveSettings,
  keepAliveBy,
  keepAliveOf,
} from './options.ts';
import { sessionsOf } from './sessions.ts';
import { SocketHandshake } from './socket-handshake.ts';
import { type TlsConnectOptions, type TlsSettings, tlsSettings } from './tls-settings.ts';
import { certificateError, ownCertificatesOf, TlsView } from './tls-view.ts';
import { type WebStreams, webStreamsOf } from './web-streams.ts';

/** How long {@link Socket}'s `await using` waits for a peer that takes no data. */
const DISPOSE_PATIENCE_MS = 5000;

/** As for `new net.Socket()`. */
export type SocketOptions = FlowOptions;

/** Milliseconds that the parts of connecting took; -1: not (yet) done. */
export interface ConnectTimes {
  /** Until the name had its address. */
  readonly resolveMs: number;
  /** Of the TCP handshake alone. */
  readonly connectMs: number;
  /** Of the TLS handshake alone. */
  readonly handshakeMs: number;
}

/**
 * A TCP connection of a tunwire stack in the shape of Node's `net.Socket`; with the option `tls`, of `tls.TLSSocket`. Made by
 * {@link NetStack.connect}, {@link NetStack.createConnection} and {@link NetStack.listen}. All errors are {@link NetError}.
 */
export class Socket extends TlsView {
  /** True over TLS. */
  readonly encrypted: boolean = false;
  /** The peer's certificate is valid; false without TLS. */
  authorized = false;
  /** Why not; only ever set when the option `rejectUnauthorized` is false. */
  authorizationError: NetError | null = null;
  /** The application protocol agreed on; false: none. */
  alpnProtocol: string | false = false;
  /** The name that the peer's certificate was checked against. */
  servername = '';
  /** Addresses and ports tried so far. */
  readonly autoSelectFamilyAttemptedAddresses: string[] = [];

  // not initialised, and so without `undefined` in their types, as net.Socket has them
  localAddress?: string;
  localPort?: number;
  localFamily?: string;
  remoteAddress: string | undefined = undefined;
  remotePort: number | undefined = undefined;
  remoteFamily: string | undefined = undefined;

  readonly #client: EngineClient | null;
  #shared: SharedSocket | null = null;
  #handshake: SocketHandshake | null = null;
  /** The same, before the connection is open. */
  #prepared: SocketHandshake | null = null;
  /** The listener that has accepted it; null: an own connection. */
  readonly server: EventEmitter | null = null;
  #tls: TlsSettings | null = null;
  #host = '';
  #connecting = false;
  #attempts: AttemptEvents | null = null;

  /** Why the channel failed: the peer knows already, or gets an alert. */
  #failure: unknown = null;
  #resetOnDestroy = false;
  #referenced = true;
  #holdsLoop = false;
  #noDelay = false;
  #keepAlive: KeepAlive | null = null;
  #startedAt: number = performance.now();
  #deadline = 0;
  #timeoutMs = 0;
  #stopListening: () => void = () => {};
  #noteClosed: () => void = () => {};
  #typeOfService = 0;
  /** What an own lookup took; -1: there was none. */
  #lookupMs = -1;
  /** Connections that were given up for a new one. */
  #uses = 0;
  #times: ConnectTimes = { resolveMs: -1, connectMs: -1, handshakeMs: -1 };

  /** @param client the engine to connect through; null: the socket cannot connect */
  constructor(client: EngineClient | null, options: SocketOptions = {}) {
    super(options);
    this.#client = client;
    if (options.signal !== undefined) this.#obey(options.signal);
  }

  /** A socket on a connection that a listener has accepted. */
  static accepted(shared: SharedSocket, options: SocketOptions, server: EventEmitter | null = null): Socket {
    const socket = new Socket(shared.client, options);
    Object.defineProperty(socket, 'server', { value: server, enumerable: true });
    socket.#attach(shared);
    socket.#noteAddresses(shared);
    socket.channel = shared;
    // whoever gets the socket first puts its listeners on
    process.nextTick(() => socket.startReading());
    return socket;
  }

  /**
   * Connects; 'connect' follows, with TLS 'secureConnect', or 'error'. What is written before that is kept. A socket whose connection is
   * over can connect again.
   * @throws NetError PORT_INVALID, ARGUMENT_INVALID, NOT_INITIALIZED, ENGINE_STOPPED
   */
  connect(options: ConnectOptions | SocketConnectOpts, listener?: () => void): this;
  connect(port: number, host: string, listener?: () => void): this;
  connect(port: number, listener?: () => void): this;
  connect(path: string, listener?: () => void): this;
  connect(
    target: ConnectOptions | SocketConnectOpts | number | string,
    hostOrListener?: string | (() => void),
    listener?: () => void,
  ): this {
    const host = typeof hostOrListener === 'string' ? hostOrListener : undefined;
    const connected = typeof hostOrListener === 'function' ? hostOrListener : listener;
    const isPath = typeof target === 'string' && Number.isNaN(Number(target));
    const options = typeof target === 'object' ? target : isPath ? { path: target } : { port: target, host };
    this.#start(options as ConnectOptions);
    if (connected !== undefined) this.once(this.encrypted ? 'secureConnect' : 'connect', connected);
    return this;
  }

  #start(options: ConnectOptions): void {
    const client = this.#client;
    if (client === null) throw new NetError('NOT_INITIALIZED', { phase: Phase.Argument });
    if (this.#shared !== null || this.#connecting) {
      throw new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail: 'the socket is in use' });
    }
    if (options.port === undefined && 'path' in options) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: 'a stack has no UNIX sockets',
      });
    }
    const port = checkPort(options.port, 1);
    const { signal } = options;
    // one that its signal has just destroyed stays so
    if (this.destroyed && (this.closed || !signal?.aborted)) this.#renew();
    this.#host = options.host ?? 'localhost';
    this.#timeoutMs = checkMs('timeoutMs', options.timeoutMs ?? 0);
    if (options.tls) this.#secureBy(client, options.tls === true ? {} : options.tls, port);
    this.#noDelay = options.noDelay === true || this.#noDelay;
    const { keepAlive = false } = options;
    if (typeof keepAlive === 'object') this.#keepAlive = keepAlive;
    else if (keepAlive) this.#keepAlive = keepAliveOf(options.keepAliveInitialDelay ?? 0, 0, 0);
    if (options.typeOfService !== undefined) this.setTypeOfService(options.typeOfService);
    this.#startedAt = performance.now();
    this.#deadline = this.#startedAt + this.#timeoutMs;
    const isReserved = options.localPort === 'reserved';
    const request: ConnectRequest = {
      host: this.#host,
      port,
      protocol: 'tcp',
      timeoutMs: this.#timeoutMs,
      localAddress: checkAddress(client, 'localAddress', options.localAddress),
      localPort: isReserved ? 0 : checkPort(options.localPort ?? 0, 0),
      reservedPort: isReserved,
      sending: checkSendOptions(options),
      preferIpv6: options.preferIpv6 === true,
      racing: options.autoSelectFamily !== false,
      family: options.family ?? 0,
      notesAttempts: true,
    };
    if (signal !== undefined) this.#obey(signal);
    if (this.destroyed) return;
    this.#connecting = true;
    this.#attempts = new AttemptEvents(this, port);
    CHANNELS.connect.publish({ socket: this, host: this.#host, port });
    if (options.timeout) this.setTimeout(options.timeout);
    if (options.lookup === undefined && options.blockList === undefined) this.#open(client, request);
    else void this.#lookUp(client, request, options);
  }

  /** The signal destroys the socket, now or later. */
  #obey(signal: AbortSignal): void {
    this.#stopListening();
    if (signal.aborted) this.destroy(cancelled(signal, Phase.Argument));
    else this.#stopListening = onAbort(signal, () => this.destroy(cancelled(signal, this.#phase)));
  }

  #open(client: EngineClient, request: ConnectRequest): void {
    // as they are by now
    const settings = {
      noDelay: this.#noDelay,
      keepAlive: this.#keepAlive,
      typeOfService: this.#typeOfService,
    };
    this.#attach(SharedSocket.connect(client, { ...request, ...settings }));
  }

  /** What the engine would do by itself, with the application's word in it. */
  async #lookUp(client: EngineClient, request: ConnectRequest, options: ConnectOptions): Promise<void> {
    const startedAt = performance.now();
    const uses = this.#uses;
    const { host, timeoutMs } = request;
    const late = (): void => {
      const detail = `looking up ${host} took longer than ${timeoutMs} ms`;
      this.fail(new NetError('TIMEOUT', { phase: Phase.Resolve, detail }));
    };
    const timer = timeoutMs > 0 ? setTimeout(late, timeoutMs) : undefined;
    this.busyChanged();
    try {
      const { lookup, blockList } = options;
      const addresses = await findAddresses(client, { host, family: request.family ?? 0, lookup, blockList });
      if (this.destroyed || uses !== this.#uses) return;
      const elapsedMs = performance.now() - startedAt;
      if (isIP(host) === 0) {
        this.#lookupMs = elapsedMs;
        for (const address of addresses) this.emit('lookup', null, address, isIP(address), host);
      }
      const leftMs = timeoutMs > 0 ? Math.max(1, timeoutMs - elapsedMs) : 0;
      if (!this.destroyed) this.#open(client, { ...request, addresses, timeoutMs: leftMs });
    } catch (error) {
      if (this.destroyed || uses !== this.#uses) return;
      this.emit('lookup', error, undefined, undefined, host);
      this.fail(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** As net.Socket, a socket can connect again when its connection is over. */
  #renew(): void {
    // the streams' own way, which net.Socket goes as well
    (this as unknown as { _undestroy(): void })._undestroy();
    this.renewFlow();
    this.tlsInfo = null;
    this.ownCertificates = [];
    Object.defineProperty(this, 'encrypted', { value: false, enumerable: true });
    this.authorized = false;
    this.authorizationError = null;
    this.alpnProtocol = false;
    this.#tls = null;
    this.#prepared = null;
    this.#failure = null;
    this.#resetOnDestroy = false;
    this.#lookupMs = -1;
    this.#times = { resolveMs: -1, connectMs: -1, handshakeMs: -1 };
    this.autoSelectFamilyAttemptedAddresses.length = 0;
    this.#uses++;
  }

  #secureBy(client: EngineClient, tls: TlsConnectOptions, port: number): TlsSettings {
    const settings = tlsSettings(tls, { host: this.#host, port, sessions: sessionsOf(client) });
    this.#tls = settings;
    this.servername = tls.servername || this.#host;
    this.trusted = settings.trusted;
    Object.defineProperty(this, 'encrypted', { value: true, enumerable: true });
    return settings;
  }

  /**
   * Goes on with TLS on a connection that has begun without, as SMTP's, IMAP's or PostgreSQL's do after STARTTLS. The server has agreed, its
   * answer has been read, and what was written has left; what is written from now on waits for the handshake.
   * 'secureConnect' follows, or 'error'.
   * @returns the socket after 'secureConnect'. @throws NetError ARGUMENT_INVALID, NOT_CONNECTED, and why the handshake failed
   */
  startTls(options: TlsConnectOptions = {}): Promise<this> {
    const secured = this.#startTls(options);
    // who listens to 'error' need not look at the promise
    secured.catch(() => {});
    return secured;
  }

  async #startTls(options: TlsConnectOptions): Promise<this> {
    const shared = this.#shared;
    if (shared === null || this.channel === null || this.writableEnded) {
      throw new NetError('NOT_CONNECTED', { phase: Phase.Argument, detail: 'TLS needs an open connection' });
    }
    const problem = this.encrypted
      ? 'the connection has TLS'
      : this.readableLength > 0
        ? // RFC 3207 §4.2: what comes in the clear behind the answer could be anybody's
          `${this.readableLength} bytes that came before TLS have not been read`
        : this.writableLength > 0
          ? `${this.writableLength} bytes that were written before TLS have not left: wait for 'drain'`
          : '';
    if (problem !== '') throw new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail: problem });
    if (this.#host === '') this.#host = this.remoteAddress ?? '';
    const settings = this.#secureBy(shared.client, options, this.remotePort ?? 0);
    this.channel = null;
    return new Promise((resolve, reject) => {
      const failed = (): void =>
        reject(this.errored ?? new NetError('ABORTED', { phase: Phase.Handshake, detail: 'closed' }));
      this.once('close', failed);
      this.once('secureConnect', () => {
        this.off('close', failed);
        resolve(this);
      });
      this.#startHandshake(shared, settings, Infinity);
    });
  }

  get #phase(): Phase {
    if (this.#connecting) return Phase.Connect;
    return this.#handshake === null ? Phase.Transfer : Phase.Handshake;
  }

  #attach(shared: SharedSocket): void {
    this.#shared = shared;
    this.#noteClosed = noteOpen(shared.client, () => this.destroy());
    this.busyChanged();
    shared.watch((events) => this.#onEvents(events));
    // what came before there was a listener
    process.nextTick(() => {
      this.#attempts?.listen(shared);
      // the keys are made while the network is at work
      if (this.#connecting && this.#tls !== null) this.#prepareHandshake(shared, this.#tls);
      this.#onEvents(SocketEvent.Readable | SocketEvent.Writable);
    });
  }

  #onEvents(events: number): void {
    const shared = this.#shared;
    if (shared === null || this.destroyed) return;
    if (this.#connecting) {
      this.#onConnecting(shared);
      return;
    }
    if (this.#handshake !== null) {
      this.#stepHandshake(this.#handshake);
      return;
    }
    const wasAwaiting = this.channel?.awaitsPeer === true;
    if ((events & (SocketEvent.Readable | SocketEvent.Closed)) !== 0) this.flowIn();
    // TLS lets a writer wait for the peer in a renegotiation, which may have ended now
    const isAwaited = wasAwaiting || this.channel?.awaitsPeer === true;
    if (isAwaited || (events & (SocketEvent.Writable | SocketEvent.Closed)) !== 0) this.flowOut();
    if ((events & SocketEvent.Closed) !== 0) this.#onClosed(shared);
  }

  #onConnecting(shared: SharedSocket): void {
    const { status } = shared;
    this.#attempts?.progress(shared);
    if (this.destroyed) return;
    if (status === SocketStatus.Closed) {
      const error = shared.block.error ?? new NetError('ABORTED', { phase: Phase.Connect });
      this.#attempts?.failed(error);
      if (this.destroyed) return;
      if (error.phase === 'resolve') this.emit('lookup', error, undefined, undefined, this.#host);
      this.fail(error);
      return;
    }
    if (status !== SocketStatus.Open) return;
    this.#attempts?.connected(String(shared.remoteAddress));
    if (this.destroyed) return;
    this.#connecting = false;
    this.#noteAddresses(shared);
    const { resolveMs, connectMs } = shared.times;
    const lookupMs = this.#lookupMs < 0 ? resolveMs : this.#lookupMs;
    this.#times = { resolveMs: lookupMs, connectMs: connectMs - resolveMs, handshakeMs: -1 };
    this.touch();
    if (this.#lookupMs < 0 && isIP(this.#host) === 0) {
      this.emit('lookup', null, this.remoteAddress, shared.remoteAddress?.family, this.#host);
    }
    const { remotePort: port } = this;
    CHANNELS.connected.publish({ socket: this, host: this.#host, port, times: this.#times });
    const leftMs = this.#timeoutMs > 0 ? Math.max(1, this.#deadline - performance.now()) : Infinity;
    if (!this.destroyed && this.#tls !== null) this.#startHandshake(shared, this.#tls, leftMs);
    else this.channel = shared;
    if (!this.destroyed) this.emit('connect');
    if (!this.destroyed) this.emit('ready');
    if (this.channel !== null) this.startReading();
  }

  #prepareHandshake(shared: SharedSocket, tls: TlsSettings): void {
    if (this.destroyed) return;
    try {
      this.#prepared = new SocketHandshake(this, shared, tls, this.sessionsFor(tls));
    } catch (error) {
      this.fail(error);
    }
  }

  #startHandshake(shared: SharedSocket, tls: TlsSettings, leftMs: number): void {
    if (this.#prepared === null) this.#prepareHandshake(shared, tls);
    const handshake = this.#prepared;
    if (handshake === null) return;
    this.#prepared = null;
    this.#handshake = handshake;
    handshake.begin({ leftMs, timeoutMs: this.#timeoutMs }, (error) => this.destroy(error));
    process.nextTick(() => this.#onEvents(SocketEvent.Readable));
  }

  #stepHandshake(handshake: SocketHandshake): void {
    try {
      const progress = handshake.step();
      if (progress === 'pause') setTimeout(() => this.#onEvents(SocketEvent.Writable), handshake.pauseMs);
      if (progress !== 'done') return;
    } catch (error) {
      this.fail(error);
      return;
    }
    this.#handshake = null;
    try {
      this.#secured(handshake);
    } finally {
      // what ends the handshake leaves with what was written when it was told
      this.#shared?.announceHeld();
    }
  }

  #secured(handshake: SocketHandshake): void {
    this.#times = { ...this.#times, handshakeMs: handshake.elapsedMs };
    const { info } = handshake;
    this.tlsInfo = info;
    this.ownCertificates =
      this.#tls?.credentials === undefined ? [] : ownCertificatesOf(info, this.#tls.credentials);
    this.alpnProtocol = info.alpn ?? false;
    this.authorizationError = certificateError(info);
    this.authorized = this.authorizationError === null;
    this.channel = handshake.channel;
    this.touch();
    CHANNELS.secured.publish({
      socket: this,
      servername: this.servername,
      protocol: this.getProtocol(),
      cipher: info.cipherSuite,
      alpnProtocol: this.alpnProtocol,
      times: this.#times,
    });
    if (this.#tls?.requestOCSP === true) {
      this.emit('OCSPResponse', info.ocspResponse === null ? null : Buffer.from(info.ocspResponse));
    }
    if (!this.destroyed) this.emit('secureConnect');
    if (!this.destroyed) this.tellSessions();
    this.startReading();
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.pending && !this.#connecting) callback();
    else super._final(callback);
  }

  /** The stack is done with the connection. Nobody would ask why if there is nothing left to read. */
  #onClosed(shared: SharedSocket): void {
    const { error } = shared.block;
    if (error !== null && !this.destroyed && shared.readableBytes === 0) this.fail(error);
  }

  /** The connection itself has failed; TLS has told the peer what there is to tell. */
  protected override fail(error: unknown): void {
    this.#failure = error;
    this.destroy(
      error instanceof Error ? error : new NetError('INTERNAL', { phase: Phase.None, cause: error }),
    );
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#connecting = false;
    if (error instanceof NetError) error.elapsedMs ??= performance.now() - this.#startedAt;
    this.#handshake?.end();
    this.#handshake = null;
    this.#stopListening();
    this.#noteClosed();
    const shared = this.#shared;
    this.#shared = null;
    if (shared !== null) {
      const discarded = this.readableLength > 0 && !this.writableFinished;
      // TLS has sent an alert: a reset on account of data that nobody will read would overtake it
      if (error !== null && error === this.#failure) shared.consume(shared.readableBytes);
      else if (this.#resetOnDestroy || discarded || error !== null) shared.abort();
      shared.release();
    }
    this.endFlow(error);
    this.busyChanged();
    callback(error);
    // after 'error', as with net.Socket
    process.nextTick(() => this.emit('close', error !== null));
    CHANNELS.closed.publish({ socket: this, error });
  }

  /** Ends the own direction and destroys the socket when everything written is on its way. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Resets the connection: what was written and not yet delivered is lost, and the peer sees ECONNRESET. */
  resetAndDestroy(): this {
    this.#resetOnDestroy = true;
    if (this.#shared !== null || this.#connecting || this.destroyed) return this.destroy();
    return this.destroy(
      new NetError('NOT_CONNECTED', { phase: Phase.Argument, detail: 'there is nothing to reset' }),
    );
  }

  /** Sends small pieces at once instead of waiting for acknowledgements (Nagle's algorithm off). */
  setNoDelay(noDelay = true): this {
    this.#noDelay = noDelay;
    this.#shared?.setNoDelay(noDelay);
    return this;
  }

  /**
   * Asks a quiet peer whether it is still there. Times in milliseconds; 0 stands for 2 hours until the first probe, one
   * second between two, ten unanswered ones until the connection is given up.
   */
  setKeepAlive(enable?: boolean, initialDelay?: number, interval?: number, count?: number): this;
  setKeepAlive(options: KeepAliveSettings): this;
  setKeepAlive(enable: boolean | KeepAliveSettings = false, initialDelay = 0, interval = 0, count = 0): this {
    const settings = typeof enable === 'object' ? enable : { enable, initialDelay, interval, count };
    this.#keepAlive = keepAliveBy(settings);
    this.#shared?.setKeepAlive(this.#keepAlive);
    return this;
  }

  /** What {@link setTypeOfService} has set. */
  getTypeOfService(): number {
    return this.#typeOfService;
  }

  /**
   * The type of service octet of the packets sent: the DiffServ code point in its upper six bits (RFC 2474); the other two are those of
   * ECN, which TCP sets by itself.
   * @param typeOfService 0 … 255 @throws NetError ARGUMENT_INVALID
   */
  setTypeOfService(typeOfService: number): this {
    if (!Number.isInteger(typeOfService) || typeOfService < 0 || typeOfService > 255) {
      const detail = `a type of service is 0 … 255, got ${String(typeOfService)}`;
      throw new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
    }
    // as Linux keeps it
    this.#typeOfService = typeOfService & 0xfc;
    this.#shared?.setTypeOfService(this.#typeOfService);
    return this;
  }

  /** The open socket keeps the process alive while it waits for the peer: connecting, reading, writing (the default). */
  ref(): this {
    this.#referenced = true;
    this.busyChanged();
    return this;
  }

  /** The open socket does not keep the process alive. */
  unref(): this {
    this.#referenced = false;
    this.busyChanged();
    return this;
  }

  /** As a handle of Node's, the socket holds the event loop while it waits for something: not when nobody reads. */
  protected override busyChanged(): void {
    const isWaiting = this.#connecting || this.#handshake !== null || this.isBusy;
    // without a connection it waits for the application: for its lookup, which holds the loop by itself
    const holds = this.#referenced && !this.destroyed && this.#shared !== null && isWaiting;
    if (holds === this.#holdsLoop) return;
    this.#holdsLoop = holds;
    if (holds) this.#client?.ref();
    else this.#client?.unref();
  }

  /** The own address and port; {} without a connection. */
  address(): AddressInfo | Record<string, never> {
    const { localAddress: address, localFamily: family, localPort: port } = this;
    return address === undefined || family === undefined || port === undefined
      ? {}
      : { address, family, port };
  }

  /**
   * What the stack knows of the connection now, as Linux's TCP_INFO. @throws NetError NOT_CONNECTED before it is established and after
   * its end, CANCELLED, ENGINE_STOPPED
   */
  async info(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<SocketInfo> {
    const shared = this.#shared;
    if (shared === null || this.#connecting) {
      const detail = this.#connecting ? 'it is still connecting' : 'the socket is not connected';
      throw new NetError('NOT_CONNECTED', { phase: Phase.Argument, detail });
    }
    return (await ask(shared.client, { socket: shared.block.index }, options.signal)) as SocketInfo;
  }

  get connecting(): boolean {
    return this.#connecting;
  }

  get pending(): boolean {
    return this.#shared === null || this.#connecting;
  }

  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.#connecting) return 'opening';
    if (this.readable) return this.writable ? 'open' : 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  /** TLS is asked for and not established yet. */
  get secureConnecting(): boolean {
    return this.encrypted && this.tlsInfo === null && !this.destroyed;
  }

  /**
   * The connection as Web Streams, in the shape of WinterTC's `connect()`: `readable` and `writable` with backpressure, `opened` and `closed`.
   * The socket must not be used besides.
   */
  toWeb(): WebStreams {
    return webStreamsOf(this);
  }

  get times(): ConnectTimes {
    return this.#times;
  }

  /** `await using`: what was written is still sent, then the connection closes. Waits for a peer that takes no data 5 s. */
  override async [Symbol.asyncDispose](): Promise<void> {
    if (this.closed) return;
    const closed = new Promise<void>((resolve) => this.once('close', () => resolve()));
    // a failure at this point is of no use to anybody: the socket was given up
    this.on('error', () => {});
    const patience = setTimeout(() => this.resetAndDestroy(), DISPOSE_PATIENCE_MS);
    if (this.connecting || this.#handshake !== null) this.destroy();
    else this.destroySoon();
    await closed;
    clearTimeout(patience);
  }

  #noteAddresses(shared: SharedSocket): void {
    const { localAddress, remoteAddress } = shared;
    if (localAddress !== null) {
      this.localAddress = addressText(localAddress, shared.client.arena);
      this.localPort = shared.localPort;
      this.localFamily = `IPv${localAddress.family}`;
    }
    if (remoteAddress !== null) {
      this.remoteAddress = addressText(remoteAddress, shared.client.arena);
      this.remotePort = shared.remotePort;
      this.remoteFamily = `IPv${remoteAddress.family}`;
    }
  }
}
