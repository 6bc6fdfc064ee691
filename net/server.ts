import { EventEmitter } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { EngineClient } from '../engine/client.ts';
import { SharedSocket } from '../engine/shared-socket.ts';
import { SocketStatus } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { addressText } from '../stack/resolver/host-name.ts';
import { ANY_PORT } from '../stack/tcp/tcp-layer.ts';
import { cancelled, onAbort, throwIfCancelled } from './abort.ts';
import { CHANNELS } from './channels.ts';
import { noteOpen } from './open-sockets.ts';
import { checkAddress, checkPort } from './options.ts';
import { Socket } from './socket.ts';
import { Takers } from './takers.ts';

export interface ListenOptions {
  /**
   * 0: an ephemeral one. 'any': every port that no other server of the stack has; `localPort` of a connection says which it came to.
   */
  readonly port: number | 'any';
  /** An own address. Default: all of both families. */
  readonly host?: string | undefined;
  /** Connections that may wait to be accepted. Default 511, as in Node. */
  readonly backlog?: number | undefined;
  /** As for `net.createServer`. Node's servers on top want true: they end their direction by themselves. Default false. */
  readonly allowHalfOpen?: boolean | undefined;
  /** Closes the server. */
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_BACKLOG = 511;

export interface ServerEvents {
  connection: [socket: Socket];
  listening: [];
  close: [];
  error: [error: Error];
  newListener: [event: string | symbol, listener: (...args: unknown[]) => void];
}

/**
 * A listener. Connections are taken by 'connection' listeners or by `for await`; while there is neither, they wait in the
 * backlog. With `allowHalfOpen: true`, `server.on('connection', (socket) => http.emit('connection', socket))` puts a server
 * of `node:http`, `node:https`, `node:http2` or `node:tls` on top.
 */
export class Server extends EventEmitter<ServerEvents> implements AsyncDisposable {
  /** One listener on each engine of the stack. */
  readonly #shares: readonly SharedSocket[];
  /** The engine that was asked first last, so that none goes before the others. */
  #turn = 0;
  readonly #allowHalfOpen: boolean;
  readonly #takers: Takers<Socket> = new Takers();
  #address: AddressInfo | null = null;
  #opening: { resolve: () => void; reject: (error: unknown) => void } | null = null;
  #closed = false;
  #holdsLoop = false;
  #stopListening: () => void = () => {};
  readonly #noteClosed: () => void;

  private constructor(shares: readonly SharedSocket[], options: ListenOptions) {
    super();
    this.#shares = shares;
    this.#allowHalfOpen = options.allowHalfOpen === true;
    this.on('newListener', (event) => {
      if (event === 'connection') process.nextTick(() => this.#accept());
    });
    this.#noteClosed = noteOpen(shares[0]!.client, () => this.#close());
    this.ref();
    for (const shared of shares) shared.watch(() => this.#onEvents());
  }

  /**
   * Starts to listen. @param clients of all engines of the stack
   * @throws NetError ADDRESS_IN_USE, ADDRESS_NOT_AVAILABLE, PORT_INVALID, ARGUMENT_INVALID, CANCELLED, ENGINE_STOPPED
   */
  static async listen(clients: readonly EngineClient[], options: ListenOptions): Promise<Server> {
    const { signal } = options;
    throwIfCancelled(signal);
    const port = options.port === 'any' ? ANY_PORT : checkPort(options.port, 0);
    const local = checkAddress(clients[0]!, 'host', options.host);
    const backlog = options.backlog ?? DEFAULT_BACKLOG;
    const first = SharedSocket.listen(clients[0]!, local, port, backlog);
    const shares = [first];
    if (clients.length > 1) {
      // an ephemeral port is chosen once, and then everybody's
      const chosen = port === 0 ? await portOf(first) : port;
      for (const client of clients.slice(1)) shares.push(SharedSocket.listen(client, local, chosen, backlog));
    }
    const server = new Server(shares, options);
    await new Promise<void>((resolve, reject) => {
      server.#opening = { resolve, reject };
      if (signal !== undefined) {
        server.#stopListening = onAbort(signal, () => {
          reject(cancelled(signal, Phase.Argument));
          server.#close();
        });
      }
      server.#onEvents();
    });
    return server;
  }

  #onEvents(): void {
    if (this.#closed) return;
    const ended = this.#shares.find(({ status }) => status === SocketStatus.Closed);
    if (ended !== undefined) {
      this.#fail(ended.block.error ?? new NetError('ABORTED', { phase: Phase.Transfer }));
    } else if (this.#shares.every(({ status }) => status === SocketStatus.Open)) {
      if (this.#opening !== null) this.#opened(this.#opening.resolve);
      this.#accept();
    }
  }

  #opened(resolve: () => void): void {
    this.#opening = null;
    const first = this.#shares[0]!;
    const local = first.localAddress;
    this.#address = {
      address: local === null ? '::' : addressText(local, first.client.arena),
      family: local?.family === 4 ? 'IPv4' : 'IPv6',
      port: Math.max(0, first.localPort),
    };
    resolve();
    process.nextTick(() => this.emit('listening'));
  }

  #fail(error: NetError): void {
    const opening = this.#opening;
    this.#opening = null;
    this.#close();
    if (opening !== null) opening.reject(error);
    else this.emit('error', error);
  }

  #accept(): void {
    while (!this.#closed && (this.#takers.areWaiting || this.listenerCount('connection') > 0)) {
      const shared = this.#next();
      if (shared === null) return;
      const socket = Socket.accepted(shared, { allowHalfOpen: this.#allowHalfOpen }, this);
      CHANNELS.accepted.publish({ server: this, socket });
      if (!this.#takers.give(socket)) this.emit('connection', socket);
    }
  }

  /** The next connection that waits, of the engines by turns. */
  #next(): SharedSocket | null {
    for (let i = 0; i < this.#shares.length; i++) {
      const shared = this.#shares[this.#turn++ % this.#shares.length]!.accept();
      if (shared !== null) return shared;
    }
    return null;
  }

  /** Where the server listens; null after its end. The address is '::' when it listens on all, the port 0 when it has any. */
  address(): AddressInfo | null {
    return this.#address;
  }

  get listening(): boolean {
    return !this.#closed;
  }

  /** Stops listening and ends iterations; accepted connections live on. May be called twice. */
  close(callback?: () => void): this {
    if (callback !== undefined) {
      if (this.#closed) process.nextTick(callback);
      else this.once('close', callback);
    }
    this.#close();
    return this;
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#address = null;
    this.#stopListening();
    this.#noteClosed();
    for (const shared of this.#shares) shared.release();
    this.unref();
    this.#opening?.reject(new NetError('ABORTED', { phase: Phase.Argument, detail: 'closed while opening' }));
    this.#opening = null;
    this.#takers.end();
    process.nextTick(() => this.emit('close'));
  }

  /** The listener keeps the process alive (the default). */
  ref(): this {
    if (this.#holdsLoop || this.#closed) return this;
    this.#holdsLoop = true;
    this.#shares[0]!.client.ref();
    return this;
  }

  unref(): this {
    if (!this.#holdsLoop) return this;
    this.#holdsLoop = false;
    this.#shares[0]!.client.unref();
    return this;
  }

  /** The connections as they come; ends when the server is closed. Leaving the loop closes the server. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Socket, undefined> {
    return this.#takers.iterate(
      () => this.#accept(),
      () => this.#close(),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
  }
}

/** Waits until a listener has its port. @throws NetError why it could not listen */
async function portOf(shared: SharedSocket): Promise<number> {
  const { client } = shared;
  client.ref();
  try {
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (shared.status !== SocketStatus.Opening) resolve();
      };
      shared.watch(look);
      look();
    });
    if (shared.status === SocketStatus.Open) return shared.localPort;
    const error = shared.block.error ?? new NetError('ABORTED', { phase: Phase.Argument });
    shared.release();
    throw error;
  } finally {
    client.unref();
  }
}
