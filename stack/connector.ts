import { Endpoint, EndpointEvent, type EndpointObserver } from './endpoint.ts';
import { type ErrorCode, NetError, Phase } from './errors.ts';
import { compareDestinations, type DestinationWay } from './ip/source-address.ts';
import type { Lookup } from './resolver/lookup.ts';
import { hostPort } from './resolver/name-server.ts';
import type { Resolver } from './resolver/resolver.ts';
import type { Stack } from './stack.ts';
import type { CongestionControlName } from './tcp/congestion/congestion-control-names.ts';
import type { TcpConnection } from './tcp/connection.ts';
import type { KeepAlive } from './tcp/keepalive.ts';
import type { PolicyChange } from './tcp/send-policy.ts';
import { TimerEntry, type TimerTarget } from './timers.ts';
import type { UdpSocket } from './udp/udp-socket.ts';
import type { IpAddress } from './wire/ip-address.ts';

/** RFC 8305 §3: how long IPv4 addresses wait for IPv6 ones. */
export const RESOLUTION_DELAY_MS = 50;
/** RFC 8305 §5: how long an attempt is alone before the next address is tried beside it. */
export const ATTEMPT_DELAY_MS = 250;

/** What each address gets at least before the next is tried, as far as the deadline allows. */
export const MIN_ADDRESS_MS = 1000;

/** A connection by name, as `InetConnect` asks for it. */
export interface ConnectRequest {
  /** Host name or IP literal. */
  readonly host: string;
  /** Addresses that were found elsewhere, tried in place of looking the name up. */
  readonly addresses?: readonly IpAddress[];
  /** 1 … 65,535 */
  readonly port: number;
  /** IP protocol number: TCP or UDP. */
  readonly protocol: 6 | 17;
  /** IPv6 addresses are tried first. */
  readonly preferIpv6: boolean;
  /**
   * Addresses are tried beside each other, IPv6 and IPv4 in turn, and the first that answers wins (Happy Eyeballs, RFC 8305). UDP has
   * nothing to race with. Default false: one after the other.
   */
  readonly racing?: boolean;
  /** Addresses of this family only; 0: both. Default 0. */
  readonly family?: 0 | 4 | 6;
  /** When the whole attempt is over, in ms of the stack's clock; Infinity: when TCP gives up. */
  readonly deadline: number;
  /** null: chosen by the route. Addresses of the other family are not tried. */
  readonly localAddress: IpAddress | null;
  /** 0: a random port; the transport defines what else there is. */
  readonly localPort: number;
  readonly noDelay: boolean;
  readonly keepAlive: KeepAlive | null;
  /** Of a TCP connection, without the bits of ECN. Default 0. [RFC 9293 MUST-48] */
  readonly trafficClass?: number;
  /** Of a TCP connection; default: the stack's. */
  readonly congestion?: CongestionControlName;
  /** … and what differs from the stack's ways of sending. */
  readonly policy?: PolicyChange | undefined;
  readonly broadcast: boolean;
  /** Only what is directly connected is reached, no gateway. */
  readonly dontRoute: boolean;
  /** Told of each address when it is tried, and when it has failed; not of those given up for a better one. Default null. */
  readonly onAttempt?: ((progress: AttemptProgress) => void) | null;
  /** The application's mark, carried by the attempt and by the connection or socket. */
  readonly owner: number;
}

/** What becomes of an address while others are tried too. */
export interface AttemptProgress {
  readonly address: IpAddress;
  /** Why it has failed, TIMEOUT: it was silent; null: it begins. */
  readonly code: ErrorCode | null;
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
 * silent has its share of the time that is left (the same for each address left, at least `MIN_ADDRESS_MS`). With `racing`
 * a silent one goes on while the next are tried.
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
  /** One for all families, or with `racing` one for each. */
  #lookups: readonly Lookup[] = [];
  /** Those whose addresses have been taken over. */
  #lookupsDone = 0;
  /** Addresses not tried yet. */
  #addresses: IpAddress[] = [];
  /** Connections that have not answered yet; without `racing` at most one. */
  #trying: TcpConnection[] = [];
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
    if (this.request.addresses !== undefined) {
      this.#addAddresses(this.request.addresses.filter((address) => this.#hasRoute(address)));
      this.#begin();
      return;
    }
    // Addresses that are known by half time are used then, even if the other family is still being asked for
    const { now } = this.#stack;
    this.#stack.timers.set(this.#timer, now + (deadline - now) / 2);
    const family = localAddress === null ? this.#families() : localAddress.family;
    // RFC 8305 §3: the question for IPv6 goes out first
    const families = this.request.racing === true && family === 0 ? ([6, 4] as const) : [family];
    // a little longer than the attempt itself: at its deadline the error is the attempt's
    const until = deadline === Infinity ? -Infinity : deadline + 1;
    this.#lookups = families.map((each) => resolver.lookup(host, each, until));
    for (const lookup of this.#lookups) {
      if (!lookup.isDone) lookup.observer = this;
      else if (!this.#over) this.#resolved(lookup);
    }
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
    const lookup = this.#lookups.find((each) => each === endpoint);
    const connection = this.#trying.find((each) => each === endpoint);
    if (lookup !== undefined) this.#resolved(lookup);
    else if (connection === undefined) return;
    else if ((events & EndpointEvent.Ready) !== 0) this.#connected(connection, events & ~EndpointEvent.Ready);
    else if ((events & EndpointEvent.Closed) !== 0) this.#refused(connection);
  }

  onDeadline(now: number): void {
    if (this.#over) return;
    if (now >= this.request.deadline) {
      this.#fail(this.#timeout());
      return;
    }
    if (this.phase === Phase.Resolve) {
      this.#stack.timers.set(this.#timer, this.request.deadline);
      if (this.#addresses.length > 0) this.#begin();
      else for (const lookup of this.#lookups) lookup.settle();
      return;
    }
    if (this.request.racing !== true) this.#giveUpSilent(now);
    this.#nextAddress();
  }

  #giveUpSilent(now: number): void {
    const [silent] = this.#trying;
    if (silent === undefined) return;
    this.#tell(silent.remote, 'TIMEOUT');
    const seconds = Math.round(now - this.#triedAt) / 1000;
    this.#failures.push(
      new NetError('TIMEOUT', {
        phase: Phase.Connect,
        detail: `${this.#silence(silent)} in ${seconds} s`,
        address: String(silent.remote),
        port: silent.remotePort,
      }),
    );
    this.#letGo(silent);
  }

  #resolved(lookup: Lookup): void {
    this.#lookupsDone++;
    // An address without a route would only take time from the others
    if (lookup.error === null)
      this.#addAddresses(lookup.addresses.filter((address) => this.#hasRoute(address)));
    if (this.phase !== Phase.Resolve) {
      if (this.#trying.length === 0) this.#nextAddress();
    } else if (this.#lookupsDone === this.#lookups.length) {
      const found = this.#lookups.some((each) => each.error === null);
      if (found) this.#begin();
      else this.#fail(this.#lookupError(lookup));
    } else if (this.#addresses.length > 0) {
      if (lookup.family === 6) this.#begin();
      // RFC 8305 §3: IPv6 may be on its way
      else this.#stack.timers.set(this.#timer, this.#stack.now + RESOLUTION_DELAY_MS);
    }
  }

  /** The error of lookups of which none has found anything: that a family has no addresses says less than any other. */
  #lookupError(last: Lookup): NetError {
    const telling = this.#lookups.find((each) => each.error?.tunwireCode !== 'HOST_NO_ADDRESS') ?? last;
    const error = telling.error ?? new NetError('HOST_NO_ADDRESS', { phase: Phase.Resolve });
    if (this.#lookups.length === 1) return this.#explained(error, telling.family);
    if (error.tunwireCode !== 'HOST_NO_ADDRESS') return error;
    return new NetError('HOST_NO_ADDRESS', { phase: Phase.Resolve, detail: this.request.host });
  }

  /** Sorts addresses in: the preferred family first, with `racing` the families in turn (RFC 8305 §4). */
  #addAddresses(more: readonly IpAddress[]): void {
    if (this.#addresses.length === 0 && more.length < 2) {
      this.#addresses = [...more];
      return;
    }
    const { racing = false, preferIpv6 } = this.request;
    const first = racing || preferIpv6 ? 6 : 4;
    // an interface may have changed since the others were found
    const before = this.#addresses.filter((address) => this.#hasRoute(address));
    const ways = [...before, ...more].map((address) => this.#wayTo(address));
    // each family by itself: which of them goes first is the caller's choice
    const all = ways.sort(compareDestinations).map(({ address }) => address);
    const preferred = all.filter((address) => address.family === first);
    const others = all.filter((address) => address.family !== first);
    if (!racing) {
      this.#addresses = [...preferred, ...others];
      return;
    }
    this.#addresses = [];
    for (let i = 0; i < Math.max(preferred.length, others.length); i++) {
      this.#addresses.push(...preferred.slice(i, i + 1), ...others.slice(i, i + 1));
    }
  }

  /** An address that {@link #hasRoute} is true for. */
  #wayTo(address: IpAddress): DestinationWay {
    const { source, iface } = this.#stack.ip.route(address, this.request.localAddress);
    const own = iface.addresses.find((each) => each.address.equals(source));
    return { address, source, isSourceDeprecated: own?.isDeprecated === true };
  }

  #begin(): void {
    this.resolvedAt = this.#stack.now;
    this.phase = Phase.Route;
    this.#stack.timers.set(this.#timer, this.request.deadline);
    this.#nextAddress();
  }

  /** Only what the stack has addresses of its own for is asked for. */
  #families(): 0 | 4 | 6 {
    if (this.request.family === 4 || this.request.family === 6) return this.request.family;
    let ipv4 = false;
    let ipv6 = false;
    for (const { addresses } of this.#stack.interfaces) {
      for (const { address } of addresses) {
        if (address.family === 4) ipv4 = true;
        else ipv6 = true;
      }
    }
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
      this.#noteFailure(error, address, Phase.Route);
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
        this.#noteFailure(error, address, this.phase);
      }
    }
    if (this.#trying.length > 0) this.#stack.timers.set(this.#timer, this.request.deadline);
    else if (this.#lookupsDone === this.#lookups.length) this.#fail(this.#summary());
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
    this.#tell(address, null);
    const connection = this.#stack.tcp.connect({
      remote: address,
      remotePort: request.port,
      local: request.localAddress,
      localPort: request.localPort,
      noDelay: request.noDelay,
      keepAlive: request.keepAlive,
      ...(request.congestion === undefined ? {} : { congestion: request.congestion }),
      policy: request.policy,
      owner: request.owner,
    });
    connection.trafficClass = request.trafficClass ?? 0;
    connection.observer = this;
    this.#trying.push(connection);
    this.#triedAt = this.#stack.now;
    this.#stack.timers.set(this.#timer, Math.min(this.#nextAt(), request.deadline));
  }

  /** When the next address is tried, if this one is silent. */
  #nextAt(): number {
    const { now } = this.#stack;
    if (this.request.racing === true) return now + ATTEMPT_DELAY_MS;
    if (this.#addresses.length === 0) return Infinity;
    const share = (this.request.deadline - now) / (this.#addresses.length + 1);
    return now + Math.max(share, MIN_ADDRESS_MS);
  }

  #connected(connection: TcpConnection, furtherEvents: number): void {
    this.#trying = this.#trying.filter((each) => each !== connection);
    this.connection = connection;
    connection.observer = null;
    this.#succeed();
    if (furtherEvents !== 0) connection.signal(furtherEvents);
  }

  #refused(connection: TcpConnection): void {
    const { remote, remotePort, errorDetail } = connection;
    const code = connection.error ?? 'ABORTED';
    this.#tell(remote, code);
    this.#failures.push(
      new NetError(code, {
        phase: Phase.Connect,
        detail:
          errorDetail === ''
            ? hostPort(remote, remotePort)
            : `${hostPort(remote, remotePort)}, ${errorDetail}`,
        address: String(remote),
        port: remotePort,
      }),
    );
    this.#letGo(connection);
    this.#nextAddress();
  }

  #noteFailure(error: unknown, address: IpAddress, phase: Phase): void {
    if (!(error instanceof NetError)) throw error;
    if (phase === Phase.Connect) this.#tell(address, error.tunwireCode);
    this.#failures.push(
      new NetError(error.tunwireCode, {
        phase,
        detail: `${hostPort(address, this.request.port)}${error.detail === '' ? '' : `, ${error.detail}`}`,
        address: String(address),
        port: this.request.port,
        cause: error,
      }),
    );
  }

  #tell(address: IpAddress, code: ErrorCode | null): void {
    this.request.onAttempt?.({ address, code });
  }

  #timeout(): NetError {
    const { host } = this.request;
    if (this.phase === Phase.Resolve) {
      const detail = this.#lookups.find((lookup) => !lookup.isDone)?.waitingFor() ?? '';
      return new NetError('TIMEOUT', { phase: Phase.Resolve, detail: `looking up ${host}: ${detail}` });
    }
    const [trying = null] = this.#trying;
    const silent =
      trying === null
        ? `connecting to ${host}`
        : this.#trying.map((connection) => this.#silence(connection)).join('; ');
    const before = this.#failures.map((failure) => failure.message).join('; ');
    const errors = [
      ...this.#failures,
      ...this.#trying.map((connection) => {
        const { remote, remotePort: port } = connection;
        const detail = this.#silence(connection);
        return new NetError('TIMEOUT', { phase: Phase.Connect, detail, address: String(remote), port });
      }),
    ];
    return new NetError('TIMEOUT', {
      phase: this.phase,
      detail: before === '' ? silent : `${silent}; before that: ${before}`,
      ...(trying === null ? {} : { address: String(trying.remote), port: trying.remotePort }),
      ...(errors.length > 1 ? { errors } : {}),
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
      errors: this.#failures,
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
    for (const lookup of this.#lookups) lookup.cancel();
    for (const connection of this.#trying) this.#letGo(connection);
  }

  /** Gives up a connection being tried, and its rings. Its last events still come here, not to the application. */
  #letGo(connection: TcpConnection): void {
    this.#trying = this.#trying.filter((each) => each !== connection);
    connection.abort();
    connection.owner = -1;
  }
}
