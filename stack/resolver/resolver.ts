import { NetError, Phase } from '../errors.ts';
import type { Stack } from '../stack.ts';
import { DnsCache } from './cache.ts';
import { ResolverCounters } from './counters.ts';
import type { DnsType } from './dns-message.ts';
import { DnsQuery, type QueryOutcome, type QueryOwner, type QuerySettings } from './dns-query.ts';
import { isLocalhost, LOOPBACK_ADDRESSES, parseHost, type ToAscii } from './host-name.ts';
import type { HostsFile } from './hosts-file.ts';
import { Lookup, type LookupFamily, type LookupOwner } from './lookup.ts';

import { NameServer, type NameServerAddress } from './name-server.ts';

/** What a resolver is made with. */
export interface ResolverOptions {
  /** In the order in which they are asked; none: only IP literals, the hosts file and localhost resolve. */
  readonly servers: readonly NameServerAddress[];
  /** null: no hosts file. */
  readonly hosts: HostsFile | null;
  /** Wait for the first try at each server, in ms; doubled with every round. */
  readonly timeoutMs: number;
  /** Tries per server, at least 1. RFC 9520 §3.1 allows three. */
  readonly attempts: number;
  /** For names outside ASCII; null: they are refused. */
  readonly toAscii: ToAscii | null;
}

interface Question {
  readonly query: DnsQuery;
  readonly waiting: Set<Lookup>;
}

/**
 * From names to addresses: IP literals are themselves, then the hosts file, then (RFC 6761) localhost, then the cache, then
 * DNS. A name that the hosts file has is never asked for, whatever its family there.
 */
export class Resolver implements QueryOwner, LookupOwner {
  readonly counters: ResolverCounters;
  readonly cache: DnsCache;
  readonly #stack: Stack;
  readonly #settings: QuerySettings;
  readonly #toAscii: ToAscii | null;
  readonly #questions = new Map<string, Question>();
  #hosts: HostsFile | null;

  constructor(stack: Stack, options: ResolverOptions) {
    this.#stack = stack;
    this.counters = stack.counters.group('resolver', new ResolverCounters());
    this.cache = new DnsCache(this.counters);
    this.#settings = {
      servers: options.servers.map((where) => new NameServer(where)),
      timeoutMs: options.timeoutMs,
      attempts: options.attempts,
      counters: this.counters,
    };
    this.#toAscii = options.toAscii;
    this.#hosts = options.hosts;
  }

  /** Takes another hosts file from now on; null: none. */
  setHosts(hosts: HostsFile | null): void {
    this.#hosts = hosts;
  }

  /** Questions that wait for name servers. */
  get pending(): number {
    return this.#questions.size;
  }

  /**
   * Looks a host up. Never throws: an argument that is not valid is an error of the lookup. The lookup signals Ready once, when
   * it has its addresses or its error, which may be the case already.
   * @param host a name or an IP literal
   * @param family which addresses are wanted; an IP literal and localhost of the other family have none
   * @param deadline how long the caller waits for a silent name server, in ms of the stack's clock: the last try listens until
   *   then. -Infinity: as long as the settings say
   */
  lookup(host: string, family: LookupFamily, deadline: number = -Infinity): Lookup {
    this.counters.lookups++;
    const lookup = new Lookup(this.#stack, host, family, this.#settings.timeoutMs, this);
    lookup.deadline = deadline;
    try {
      const parsed = parseHost(host, this.#toAscii);
      if (parsed.kind === 'address') lookup.succeed([parsed.address]);
      else this.#find(lookup, parsed.name);
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      lookup.fail(error);
    }
    return lookup;
  }

  /** A lookup does not wait any more; a question nobody waits for is given up. */
  release(lookup: Lookup): void {
    for (const type of lookup.types) {
      const key = keyOf(lookup.name, type);
      const question = this.#questions.get(key);
      if (question === undefined || !question.waiting.delete(lookup) || question.waiting.size > 0) continue;
      this.#questions.delete(key);
      question.query.cancel();
    }
  }

  /** For messages: who is being asked on behalf of a lookup. */
  waitingFor(lookup: Lookup): string {
    for (const type of lookup.types) {
      const question = this.#questions.get(keyOf(lookup.name, type));
      if (question?.waiting.has(lookup)) return question.query.waitingFor();
    }
    return '';
  }

  /** An outcome of DNS: kept, and handed to everyone who waits for it. */
  queryDone(query: DnsQuery, outcome: QueryOutcome): void {
    const key = keyOf(query.name, query.type);
    const question = this.#questions.get(key);
    this.#questions.delete(key);
    if (outcome.kind !== 'error') this.cache.put(query.name, query.type, outcome, this.#stack.now);
    for (const lookup of question?.waiting ?? []) lookup.answered(query.type, outcome);
  }

  #find(lookup: Lookup, name: string): void {
    lookup.name = name;
    const inFile = this.#hosts?.lookup(name) ?? [];
    if (inFile.length > 0) {
      this.counters.fromHosts++;
      lookup.succeed(inFile);
      return;
    }
    if (isLocalhost(name)) {
      lookup.succeed(LOOPBACK_ADDRESSES);
      return;
    }
    for (const type of lookup.types) if (!lookup.isDone) this.#ask(lookup, name, type);
  }

  #ask(lookup: Lookup, name: string, type: DnsType): void {
    const known = this.cache.get(name, type, this.#stack.now);
    if (known !== null) {
      if (known.kind === 'addresses') this.counters.fromCache++;
      else this.counters.fromNegativeCache++;
      lookup.answered(type, known);
      return;
    }
    if (this.#settings.servers.length === 0) {
      throw new NetError('DNS_NO_SERVER', {
        phase: Phase.Resolve,
        detail: `${name} is not in the hosts file; name a server with --dns (option dns)`,
      });
    }
    const key = keyOf(name, type);
    const underWay = this.#questions.get(key);
    if (underWay !== undefined) {
      this.counters.coalesced++;
      underWay.waiting.add(lookup);
      underWay.query.waitUntil(lookup.deadline);
      return;
    }
    const query = new DnsQuery(this.#stack, this.#settings, name, type, this);
    query.waitUntil(lookup.deadline);
    this.#questions.set(key, { query, waiting: new Set([lookup]) });
    query.start();
  }
}

function keyOf(name: string, type: DnsType): string {
  return `${type} ${name}`;
}

export { Lookup, type LookupFamily } from './lookup.ts';
