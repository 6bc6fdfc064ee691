import type { Endpoint, EndpointObserver } from '../endpoint.ts';
import { type ErrorDetail, NetError, Phase } from '../errors.ts';
import type { Stack } from '../stack.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { DatagramReceiver, UdpSocket } from '../udp/udp-socket.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { Slab } from '../wire/slab.ts';
import type { CacheableReply } from './cache.ts';
import type { ResolverCounters } from './counters.ts';
import { checkReply, encodeQuery, mixCase, ReplyCheck, type SentQuery } from './dns-message.ts';
import { type DnsReply, MAX_CHAIN_LINKS, readReply } from './dns-reply.ts';
import type { DnsStream, StreamReceiver } from './dns-stream.ts';
import { type NameServer, ServerRecord, TLS_RETRY_MS } from './name-server.ts';
import type { DnsType } from './record.ts';

/** Longest wait for one try, however often it was doubled. */
export const MAX_TRY_MS = 30_000;

/** How servers are asked. */
export interface QuerySettings {
  readonly servers: readonly NameServer[];
  /** Wait for the first try at each server; doubled with every round. */
  readonly timeoutMs: number;
  /** Tries per server. */
  readonly attempts: number;
  /** false: queries carry no EDNS. */
  readonly edns: boolean;
  /** Each query begins at another server. */
  readonly rotate: boolean;
  readonly counters: ResolverCounters;
}

/** How a question ended: an answer, or why there is none. */
export type QueryOutcome = CacheableReply | { readonly kind: 'error'; readonly error: NetError };

/** Whoever wants the outcome of a query. Called once, possibly before `start` returns. */
export interface QueryOwner {
  queryDone(query: DnsQuery, outcome: QueryOutcome): void;
}

/**
 * One question (name and type) on its way through the name servers, until there is an answer or nobody is left to ask.
 *
 * Each try has a UDP socket of its own with a random port, a random id and random letter case (RFC 5452 §9.2); messages that
 * do not fit all three are counted and waiting goes on; so it is with cookies (RFC 7873). A question that comes back in other letter case is from a server that
 * does not keep the case, or forged: it is not used, and the server is asked again over TCP, which cannot be forged from
 * outside the path. Should TCP fail, further tries of this query go without mixed case.
 */
export class DnsQuery implements TimerTarget, DatagramReceiver, EndpointObserver, StreamReceiver {
  readonly name: string;
  readonly type: DnsType;
  readonly #stack: Stack;
  readonly #settings: QuerySettings;
  readonly #owner: QueryOwner;
  readonly #timer: TimerEntry = new TimerEntry(this);
  readonly #records: readonly ServerRecord[];
  /** Names already asked for along a chain of aliases. */
  readonly #asked = new Set<string>();
  #target: string;
  /** Time to live over the aliases followed so far. */
  #chainTtlSeconds = Infinity;
  #chainLinks = 0;
  #tries = 0;
  #mixesCase = true;
  #waitMs = 0;
  /** When the current try is over as the settings say, and until when somebody is willing to wait for the last one. */
  #due = Infinity;
  #deadline = -Infinity;
  #over = false;
  #current: ServerRecord;
  #sent: SentQuery | null = null;
  #socket: UdpSocket | null = null;
  /** The connection that this try is asked over; null: UDP. */
  #stream: DnsStream | null = null;
  /** Cookies that the server did not take, in this try. */
  #badCookies = 0;

  /**
   * @param name lower-case, without trailing dot. There must be at least one server
   * @param turn with `rotate`: which server is the first
   */
  constructor(
    stack: Stack,
    settings: QuerySettings,
    name: string,
    type: DnsType,
    owner: QueryOwner,
    turn = 0,
  ) {
    this.name = name;
    this.type = type;
    this.#stack = stack;
    this.#settings = settings;
    this.#owner = owner;
    this.#target = name;
    const { servers } = settings;
    const from = settings.rotate ? turn % servers.length : 0;
    this.#records = [...servers.slice(from), ...servers.slice(0, from)]
      .toSorted((a, b) => a.failures - b.failures)
      .map((server) => new ServerRecord(server));
    const first = this.#records[0];
    if (first === undefined) throw new RangeError('a query needs a name server');
    this.#current = first;
  }

  /** Asks the first server. */
  start(): void {
    this.#asked.add(this.#target);
    this.#nextTry();
  }

  /** Somebody is willing to wait until `deadline`: the last try listens that long. */
  waitUntil(deadline: number): void {
    if (deadline <= this.#deadline) return;
    this.#deadline = deadline;
    if (!this.#over && this.#sent !== null && this.#isLastTry()) {
      this.#stack.timers.set(this.#timer, Math.max(this.#due, deadline));
    }
  }

  /** Gives up; the owner is not called any more. */
  cancel(): void {
    this.#over = true;
    this.#endTry();
    this.#stack.timers.remove(this.#timer);
  }

  /** For messages: who has been asked and has not answered. */
  waitingFor(): string {
    const silent = this.#records.filter((record) => record.refusal === null && record.tries > 0);
    const refused = this.#records.filter((record) => record.refusal !== null);
    const parts: string[] = [];
    if (silent.length > 0) {
      const tries = silent.reduce((sum, record) => sum + record.tries, 0);
      const servers = silent.map((record) => record.server).join(', ');
      parts.push(
        `no answer from name server${silent.length > 1 ? 's' : ''} ${servers} after ${tries} ${tries === 1 ? 'try' : 'tries'}`,
      );
    }
    for (const record of refused) parts.push(`name server ${record.server}: ${record.refusal}`);
    return parts.join('; ');
  }

  /** The time for the current try is over. */
  onDeadline(): void {
    if (this.#over) return;
    this.#settings.counters.timeouts++;
    if (this.#stream !== null && this.#sent !== null) this.#stream.forget(this.#sent.bytes, true);
    this.#tryFailed();
  }

  /** A datagram from the connected server, or from whoever answers for a group. */
  datagram(
    _socket: UdpSocket,
    slab: Slab,
    off: number,
    len: number,
    _from: IpAddress,
    fromPort: number,
  ): void {
    // RFC 6762 §6: answers come from the port that questions go to
    if (fromPort === this.#current.server.port) this.#message(slab.bytes, off, len);
  }

  /** Events of the UDP socket: an ICMP error has come. */
  endpointEvents(endpoint: Endpoint): void {
    const code = this.#socket?.pendingError ?? null;
    if (this.#over || endpoint !== this.#socket || code === null) return;
    const { server } = this.#current;
    const address = String(server.address);
    this.#refusedLocally(
      new NetError(code, { phase: Phase.Resolve, detail: 'ICMP', address, port: server.port }),
    );
    this.#nextTry();
  }

  streamMessage(bytes: Uint8Array, lengthBytes: number): boolean {
    const sent = this.#sent;
    this.#message(bytes, 0, lengthBytes);
    return this.#sent !== sent;
  }

  streamEnded(reason: string, wasReused: boolean): void {
    const stream = this.#stream;
    const { server } = this.#current;
    this.#stream = null;
    // RFC 7766 §6.2.4: the server may close an idle connection just when the question is on its way
    if (wasReused && stream !== null && this.#askOverStream(stream)) return;
    if (stream !== null && stream === server.secureStream(this.#stack, this.#settings.counters)) {
      if (server.tls?.strict === false) {
        this.#settings.counters.tlsRefused++;
        server.tlsRetryAt = this.#stack.now + TLS_RETRY_MS;
        if (this.#askOverUdp()) return;
      } else this.#current.refusal = reason;
    }
    // After another letter case UDP is still left; after a truncated reply there is no other way at this server.
    else if (this.#mixesCase) this.#current.refusal = reason;
    this.#tryFailed();
  }

  #nextTry(): void {
    const count = this.#records.length;
    while (this.#tries < this.#settings.attempts * count) {
      const record = this.#records[this.#tries % count];
      this.#waitMs = Math.min(this.#settings.timeoutMs * 2 ** Math.floor(this.#tries / count), MAX_TRY_MS);
      this.#tries++;
      if (record === undefined || record.refusal !== null) continue;
      this.#current = record;
      record.tries++;
      if (this.#ask()) return;
    }
    this.#giveUp();
  }

  /** @returns false when the query could not be sent: the record says why */
  #ask(): boolean {
    this.#badCookies = 0;
    const secure = this.#current.server.secureStream(this.#stack, this.#settings.counters);
    return secure === null ? this.#askOverUdp() : this.#askOverStream(secure);
  }

  #askOverUdp(): boolean {
    const { server } = this.#current;
    const { counters } = this.#settings;
    const { random } = this.#stack;
    const isPlain = server.isMulticast || !this.#mixesCase;
    const name = isPlain ? this.#target : mixCase(random, this.#target);
    const sent = encodeQuery(random, name, this.type, this.#edns(), server.cookie);
    try {
      const socket = this.#stack.udp.open({
        local: null,
        localPort: 0,
        remote: server.isMulticast ? null : server.address,
        remotePort: server.isMulticast ? 0 : server.port,
        broadcast: false,
        receiver: this,
      });
      this.#socket = socket;
      socket.observer = this;
      socket.sendTo(sent.bytes, 0, sent.bytes.length, server.address, server.port);
    } catch (error) {
      this.#refusedLocally(error);
      return false;
    }
    counters.udpQueries++;
    this.#sent = sent;
    this.#setTimer();
    return true;
  }

  #askOverTcp(): void {
    const { server } = this.#current;
    this.#endTry();
    if (!this.#askOverStream(server.plainStream(this.#stack, this.#settings.counters))) this.#nextTry();
  }

  /** @returns false when there is no way: the record says why */
  #askOverStream(stream: DnsStream): boolean {
    const { counters } = this.#settings;
    let sent: SentQuery;
    do {
      sent = encodeQuery(this.#stack.random, this.#target, this.type, this.#edns());
    } while (stream.has(sent.id));
    try {
      stream.ask(sent.bytes, this);
    } catch (error) {
      this.#refusedLocally(error);
      return false;
    }
    if (stream === this.#current.server.secureStream(this.#stack, this.#settings.counters))
      counters.tlsQueries++;
    else counters.tcpQueries++;
    this.#stream = stream;
    this.#sent = sent;
    this.#setTimer();
    return true;
  }

  #edns(): boolean {
    const { server } = this.#current;
    return this.#settings.edns && server.edns && !server.isMulticast;
  }

  #setTimer(): void {
    this.#due = this.#stack.now + this.#waitMs;
    // RFC 9520 §3.1: no more tries than the settings say, however long somebody would wait
    this.#stack.timers.set(this.#timer, this.#isLastTry() ? Math.max(this.#due, this.#deadline) : this.#due);
  }

  #isLastTry(): boolean {
    const count = this.#records.length;
    for (let next = this.#tries; next < this.#settings.attempts * count; next++) {
      if (this.#records[next % count]?.refusal === null) return false;
    }
    return true;
  }

  #message(bytes: Uint8Array, off: number, len: number): void {
    const { counters } = this.#settings;
    const sent = this.#sent;
    if (this.#over || sent === null) return;
    switch (checkReply(bytes, off, len, sent)) {
      case ReplyCheck.OtherId:
        counters.ignoredId++;
        return;
      case ReplyCheck.OtherQuestion:
        counters.ignoredQuestion++;
        return;
      case ReplyCheck.OtherCase:
        counters.otherCase++;
        if (this.#stream !== null) return;
        this.#mixesCase = false;
        this.#askOverTcp();
        return;
    }
    const { server } = this.#current;
    const cookie = this.#stream === null && sent.edns ? server.cookie : null;
    this.#reply(readReply(bytes, off, len, sent, this.#target, this.type, counters, cookie));
  }

  #reply(reply: DnsReply): void {
    const { counters } = this.#settings;
    const { server } = this.#current;
    switch (reply.kind) {
      case 'addresses':
      case 'records':
      case 'nodata':
      case 'nxdomain':
        counters.replies++;
        server.failures = 0;
        this.#finish({ ...reply, ttlSeconds: Math.min(reply.ttlSeconds, this.#chainTtlSeconds) });
        return;
      case 'alias':
        counters.replies++;
        server.failures = 0;
        this.#followAlias(reply.target, reply.links, reply.ttlSeconds);
        return;
      case 'truncated':
        counters.truncated++;
        if (this.#stream === null) this.#askOverTcp();
        else this.#refused('truncated a reply over TCP');
        return;
      case 'other-cookie':
        counters.ignoredCookie++;
        return;
      case 'no-cookie':
        // RFC 7873 §5.3: forged, or from a server that has forgotten; TCP tells which
        counters.cookiesMissing++;
        server.cookie.forget();
        this.#askOverTcp();
        return;
      case 'bad-cookie':
        counters.badCookies++;
        this.#badCookies++;
        this.#endTry();
        // RFC 7873 §5.3: again with the cookie that came with it, and then over TCP
        if (this.#badCookies > 1) this.#askOverTcp();
        else if (!this.#askOverUdp()) this.#nextTry();
        return;
      case 'edns-refused':
        counters.ednsRefused++;
        server.edns = false;
        this.#endTry();
        if (!this.#ask()) this.#nextTry();
        return;
      case 'failed':
        counters.failed++;
        this.#refused(`answered ${reply.reason}`);
        return;
      case 'bad-chain':
        counters.chainsRefused++;
        this.#refused(reply.reason);
        return;
      case 'malformed':
        counters.malformed++;
        this.#refused(`sent a malformed reply (${reply.reason})`);
    }
  }

  #followAlias(target: string, links: number, ttlSeconds: number): void {
    this.#chainLinks += links;
    this.#chainTtlSeconds = Math.min(this.#chainTtlSeconds, ttlSeconds);
    if (this.#asked.has(target) || this.#chainLinks > MAX_CHAIN_LINKS) {
      this.#settings.counters.chainsRefused++;
      this.#refused(`the aliases form a loop or are more than ${MAX_CHAIN_LINKS}`);
      return;
    }
    this.#asked.add(target);
    this.#target = target;
    this.#endTry();
    for (const record of this.#records) record.reset();
    this.#tries = 0;
    this.#nextTry();
  }

  /** The server will not answer this query: the next one is asked at once. */
  #refused(reason: string): void {
    this.#current.refusal = reason;
    this.#tryFailed();
  }

  #refusedLocally(error: unknown): void {
    if (!(error instanceof NetError)) throw error;
    this.#settings.counters.unreachable++;
    this.#current.server.failures++;
    this.#current.refusal = error.message;
    this.#current.cause = error;
    this.#endTry();
  }

  #tryFailed(): void {
    this.#current.server.failures++;
    this.#endTry();
    this.#nextTry();
  }

  #giveUp(): void {
    const refused = this.#records.filter((record) => record.refusal !== null);
    const detail: ErrorDetail = {
      phase: Phase.Resolve,
      detail: `${this.#target}: ${this.waitingFor()}`,
      cause: refused.find((record) => record.cause !== null)?.cause ?? undefined,
    };
    this.#finish({
      kind: 'error',
      error: new NetError(refused.length === 0 ? 'DNS_TIMEOUT' : 'DNS_FAILURE', detail),
    });
  }

  #finish(outcome: QueryOutcome): void {
    this.cancel();
    this.#owner.queryDone(this, outcome);
  }

  #endTry(): void {
    this.#socket?.close();
    this.#socket = null;
    if (this.#stream !== null && this.#sent !== null) this.#stream.forget(this.#sent.bytes, false);
    this.#stream = null;
    this.#sent = null;
  }
}
