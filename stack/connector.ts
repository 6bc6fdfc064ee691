import { Endpoint, EndpointEvent, type EndpointObserver } from './endpoint.ts';
import { NetError, Phase } from './errors.ts';
import type { Lookup } from './resolver/lookup.ts';
import { hostPort } from './resolver/name-server.ts';
import type { Resolver } from './resolver/resolver.ts';
import type { Stack } from './stack.ts';
import type { TcpConnection } from './tcp/connection.ts';
import type { KeepAlive } from './tcp/keepalive.ts';
import { TimerEntry, type TimerTarget } from './timers.ts';
import type { UdpSocket } from './udp/udp-socket.ts';
import type { IpAddress } from './wire/ip-address.ts';

/** What each address gets at least before the next is tried, as far as the deadline allows. */
export const MIN_ADDRESS_MS = 1000;

/** A connection by name, as `InetConnect` asks for it. */
export interface ConnectRequest {
  /** Host name or IP literal. */
  readonly host: string;
  /** 1 … 65,535 */
  readonly port: number;
  /** IP protocol number: TCP or UDP. */
  readonly protocol: 6 | 17;
  /** IPv6 addresses are tried first. */
  readonly preferIpv6: boolean;
  /** When the whole attempt is over, in ms of the stack's clock; Infinity: when TCP gives up. */
  readonly deadline: number;
  /** null: chosen by the route. Addresses of the other family are not tried. */
  readonly localAddress: IpAddress | null;
  /** 0: a random port; the transport defines what else there is. */
  readonly localPort: number;
  readonly noDelay: boolean;
  readonly keepAlive: KeepAlive | null;
  readonly broadcast: boolean;
  /** Only what is directly connected is reached, no gateway. */
  readonly dontRoute: boolean;
  /** The application's mark, carried by the attempt and by the connection or socket. */
  readonly owner: number;
}

/** Connects by name: resolves, then tries the addresses one after the other until one answers. */
export class Connector {
  readonly #stack: Stack;
  readonly #resolver: Resolver;

  constructor(stack: Stack, resolver: Resolver) {
    this.#stack = stack;
    this.#resolver = resolver;
  }

  /**
   * Starts an attempt. Never throws: what is wrong with the request is an error of the attempt, which may be over
   * when this returns.
   */
  connect(request: ConnectRequest): ConnectAttempt {
    const attempt = new ConnectAttempt(this.#stack, request);
    attempt.start(this.#resolver);
    return attempt;
  }
}

/**
 * One attempt to connect. It signals Ready with `connection` or `socket` set, or Closed with `error` set, once.
 *
 * Addresses are tried one after the other, IPv4 first unless asked otherwise. One that refuses gives way at once; one that is
 * silent has its share of the time that is left (the same for each address left, at least {@link MIN_ADDRESS_MS}).
 */
export class ConnectAttempt extends Endpoint implements TimerTarget, EndpointObserver {
  readonly request: ConnectRequest;
  /** What it is doing: Resolve, Route, Connect; Transfer after success. After a failure, where it failed. */
  phase: Phase = Phase.Argument;
  /** When the name was resolved, in ms of the stack's clock; NaN before. */
  resolvedAt: number = Number.NaN;
  /** The connection, once established: its observer is null, events it has had meanwhile follow. */
  connection: TcpConnection | null = null;
  /** The UDP socket with its default destination. */
  socket: UdpSocket | null = null;
  error: NetError | null = null;
  readonly #stack: Stack;
  readonly #timer: TimerEntry = new TimerEntry(this);
  readonly #failures: NetError[] = [];
  #lookup: Lookup | null = null;
  /** Addresses not tried yet. */
  #addresses: IpAddress[] = [];
  #trying: TcpConnection | null = null;
  #triedAt = 0;
  #over = false;

  /** Made by {@link Connector.connect}. */
  constructor(stack: Stack, request: ConnectRequest) {
    super(stack);
    this.#stack = stack;
    this.request = request;
    this.owner = request.owner;
  }

  /** Begins with the lookup. */
  start(resolver: Resolver): void {
    const { host, port, localAddress, deadline } = this.request;
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      this.#fail(new NetError('PORT_INVALID', { phase: Phase.Argument, detail: `got ${port}` }));
      return;
    }
    this.phase = Phase.Resolve;
    // Addresses that are known by half time are used then, even if the other family is still being asked for
    const { now } = this.#stack;
    this.#stack.timers.set(this.#timer, now + (deadline - now) / 2);
    const family = localAddress === null ? this.#families() : localAddress.family;
    // a little longer than the attempt itself: at its deadline the error is the attempt's
    const lookup = resolver.lookup(host, family, deadline === Infinity ? -Infinity : deadline + 1);
    this.#lookup = lookup;
    lookup.observer = this;
    if (lookup.isDone) this.#resolved(lookup);
  }

  /** Gives up: nothing is signalled after it, a half-open connection is reset. */
  cancel(): void {
    if (this.#over) return;
    this.error = new NetError('CANCELLED', {
      phase: this.phase,
      detail: `connecting to ${this.request.host}`,
    });
    this.#end();
  }

  endpointEvents(endpoint: Endpoint, events: number): void {
    if (this.#over) return;
    if (endpoint === this.#lookup) {
      if (this.phase === Phase.Resolve) this.#resolved(this.#lookup);
    } else if (endpoint === this.#trying) {
      if ((events & EndpointEvent.Ready) !== 0) this.#connected(this.#trying, events & ~EndpointEvent.Ready);
      else if ((events & EndpointEvent.Closed) !== 0) this.#refused(this.#trying);
    }
  }

  onDeadline(now: number): void {
    if (this.#over) return;
    if (now >= this.request.deadline) {
      this.#fail(this.#timeout());
      return;
    }
    if (this.phase === Phase.Resolve) {
      this.#stack.timers.set(this.#timer, this.request.deadline);
      this.#lookup?.settle();
      return;
    }
    if (this.#trying === null) return;
    const { remote, remotePort } = this.#trying;
    const seconds = Math.round(now - this.#triedAt) / 1000;
    this.#failures.push(
      new NetError('TIMEOUT', {
        phase: Phase.Connect,
        detail: `${this.#silence(this.#trying)} in ${seconds} s`,
        address: String(remote),
        port: remotePort,
      }),
    );
    this.#letGo();
    this.#nextAddress();
  }

  #resolved(lookup: Lookup): void {
    if (lookup.error !== null) {
      this.#fail(this.#explained(lookup.error, lookup.family));
      return;
    }
    this.resolvedAt = this.#stack.now;
    this.phase = Phase.Route;
    const first = this.request.preferIpv6 ? 6 : 4;
    const ordered = [
      ...lookup.addresses.filter((address) => address.family === first),
      ...lookup.addresses.filter((address) => address.family !== first),
    ];
    // An address without a route would only take time from the others
    this.#addresses = ordered.filter((address) => this.#hasRoute(address));
    this.#nextAddress();
  }

  /** Only what the stack has addresses of its own for is asked for. */
  #families(): 0 | 4 | 6 {
    const own = this.#stack.interfaces.flatMap((iface) => iface.addresses);
    const ipv4 = own.some(({ address }) => address.family === 4);
    const ipv6 = own.some(({ address }) => address.family === 6);
    if (ipv4 === ipv6) return 0;
    return ipv4 ? 4 : 6;
  }

  #hasRoute(address: IpAddress): boolean {
    try {
      const route = this.#stack.ip.route(address, this.request.localAddress);
      if (!this.request.dontRoute || route.nextHop.equals(address)) return true;
      throw new NetError('NETWORK_UNREACHABLE', {
        phase: Phase.Route,
        detail: `${address} is behind the gateway ${route.nextHop}, and gateways are not to be used`,
        address: String(address),
        port: this.request.port,
      });
    } catch (error) {
      this.#noteFailure(error, address);
      return false;
    }
  }

  /** "No address" can mean that the addresses there are cannot be used from here. */
  #explained(error: NetError, family: 0 | 4 | 6): NetError {
    if (error.tunwireCode !== 'HOST_NO_ADDRESS' || family === 0) return error;
    const { host, localAddress } = this.request;
    const why =
      localAddress === null
        ? `this stack has IPv${family} addresses only`
        : `the local address ${localAddress} was asked for`;
    const detail = `${host} has no IPv${family} address, and ${why}`;
    return new NetError('HOST_NO_ADDRESS', { phase: Phase.Resolve, detail, cause: error });
  }

  #nextAddress(): void {
    for (let address = this.#addresses.shift(); address !== undefined; address = this.#addresses.shift()) {
      this.phase = Phase.Connect;
      try {
        if (this.request.protocol === 17) this.#openSocket(address);
        else this.#openConnection(address);
        return;
      } catch (error) {
        this.#noteFailure(error, address);
      }
    }
    this.#fail(this.#summary());
  }

  /** UDP: nothing is sent, the address becomes the default destination. */
  #openSocket(address: IpAddress): void {
    const { request } = this;
    this.socket = this.#stack.udp.open({
      local: request.localAddress,
      localPort: request.localPort,
      remote: address,
      remotePort: request.port,
      broadcast: request.broadcast,
      owner: request.owner,
    });
    this.#succeed();
  }

  #openConnection(address: IpAddress): void {
    const { request } = this;
    const connection = this.#stack.tcp.connect({
      remote: address,
      remotePort: request.port,
      local: request.localAddress,
      localPort: request.localPort,
      noDelay: request.noDelay,
      keepAlive: request.keepAlive,
      owner: request.owner,
    });
    connection.observer = this;
    this.#trying = connection;
    const { now } = this.#stack;
    this.#triedAt = now;
    const share = (request.deadline - now) / (this.#addresses.length + 1);
    const until = this.#addresses.length === 0 ? Infinity : now + Math.max(share, MIN_ADDRESS_MS);
    this.#stack.timers.set(this.#timer, Math.min(until, request.deadline));
  }

  #connected(connection: TcpConnection, furtherEvents: number): void {
    this.#trying = null;
    this.connection = connection;
    connection.observer = null;
    this.#succeed();
    if (furtherEvents !== 0) connection.signal(furtherEvents);
  }

  #refused(connection: TcpConnection): void {
    const { remote, remotePort, errorDetail } = connection;
    this.#failures.push(
      new NetError(connection.error ?? 'ABORTED', {
        phase: Phase.Connect,
        detail:
          errorDetail === ''
            ? hostPort(remote, remotePort)
            : `${hostPort(remote, remotePort)}, ${errorDetail}`,
        address: String(remote),
        port: remotePort,
      }),
    );
    this.#letGo();
    this.#nextAddress();
  }

  #noteFailure(error: unknown, address: IpAddress): void {
    if (!(error instanceof NetError)) throw error;
    this.#failures.push(
      new NetError(error.tunwireCode, {
        phase: this.phase,
        detail: `${hostPort(address, this.request.port)}${error.detail === '' ? '' : `, ${error.detail}`}`,
        address: String(address),
        port: this.request.port,
        cause: error,
      }),
    );
  }

  #timeout(): NetError {
    const { host } = this.request;
    if (this.phase === Phase.Resolve) {
      const detail = this.#lookup?.waitingFor() ?? '';
      return new NetError('TIMEOUT', { phase: Phase.Resolve, detail: `looking up ${host}: ${detail}` });
    }
    const trying = this.#trying;
    const silent = trying === null ? `connecting to ${host}` : this.#silence(trying);
    const before = this.#failures.map((failure) => failure.message).join('; ');
    return new NetError('TIMEOUT', {
      phase: this.phase,
      detail: before === '' ? silent : `${silent}; before that: ${before}`,
      ...(trying === null ? {} : { address: String(trying.remote), port: trying.remotePort }),
    });
  }

  #silence(connection: TcpConnection): string {
    const place = hostPort(connection.remote, connection.remotePort);
    const soft = connection.softError === null ? '' : ` (${connection.softError} was reported on the way)`;
    return `no answer to SYN from ${place}${soft}`;
  }

  /** The error of the whole attempt: the only failure, or all of them under the code of the first address tried. */
  #summary(): NetError {
    const tried = this.#failures.filter((failure) => failure.phase === 'connect');
    const first = tried[0] ?? this.#failures[0];
    if (first === undefined)
      return new NetError('HOST_NO_ADDRESS', { phase: Phase.Route, detail: this.request.host });
    if (this.#failures.length === 1) return first;
    const all = this.#failures.map((failure) => failure.message).join('; ');
    return new NetError(first.tunwireCode, {
      phase: tried.length > 0 ? Phase.Connect : Phase.Route,
      detail: `${this.request.host}, all ${this.#failures.length} addresses failed: ${all}`,
      ...(first.address === undefined ? {} : { address: first.address, port: this.request.port }),
      cause: new AggregateError(this.#failures),
    });
  }

  #succeed(): void {
    this.phase = Phase.Transfer;
    this.#end();
    this.signal(EndpointEvent.Ready);
  }

  #fail(error: NetError): void {
    this.error = error;
    this.#end();
    this.signal(EndpointEvent.Closed);
  }

  #end(): void {
    this.#over = true;
    this.#stack.timers.remove(this.#timer);
    this.#lookup?.cancel();
    this.#letGo();
  }

  /** Gives up the connection being tried, and its rings. Its last events still come here, not to the application. */
  #letGo(): void {
    const connection = this.#trying;
    if (connection === null) return;
    this.#trying = null;
    connection.abort();
    connection.owner = -1;
  }
}
