import { NetError, Phase } from '../errors.ts';
import type { Stack } from '../stack.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { DnsCache } from './cache.ts';
import { ResolverCounters } from './counters.ts';
import { DnsQuery, type QueryOutcome, type QueryOwner, type QuerySettings } from './dns-query.ts';
import {
  isLocalhost,
  isMulticastName,
  LOOPBACK_ADDRESSES,
  parseDnsName,
  parseHost,
  requireZone,
  reverseName,
  type ToAscii,
  zonedAddress,
} from './host-name.ts';
import type { HostsFile } from './hosts-file.ts';
import { Lookup, type LookupFamily, type LookupOwner } from './lookup.ts';
import { NameServer, type NameServerAddress } from './name-server.ts';
import { Question, type Waiter } from './question.ts';
import { canonicalType, type DnsType } from './record.ts';
import { RecordLookup } from './record-lookup.ts';
import { searchNames } from './search.ts';

export { Lookup, type LookupFamily } from './lookup.ts';
export { RecordLookup } from './record-lookup.ts';

/** What becomes of names below `local`: asked of the name servers, asked by multicast (RFC 6762 §5.1), or refused. */
export type MulticastNames = 'dns' | 'multicast' | 'refuse';

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
  /** Domains for short names, in this order. Default: none. */
  readonly search?: readonly string[];
  /** A name with fewer dots is looked for in the search domains first. Default 1. */
  readonly ndots?: number;
  /** Each question goes to another server first. Default false. */
  readonly rotate?: boolean;
  /** EDNS (RFC 6891), and with it cookies. Default true. */
  readonly edns?: boolean;
  /** How long answers are kept after their time, in ms, for when no server answers (RFC 8767). Default 0: not at all. */
  readonly staleMs?: number;
  /** Default 'dns'. */
  readonly multicastNames?: MulticastNames;
}

/** RFC 6762 §3 */
const MULTICAST_PORT = 5353;
const MULTICAST_V4 = IpAddress.v4(0xe00000fb | 0);
const MULTICAST_V6 = new IpAddress(6, 0xff020000 | 0, 0, 0, 0xfb);

/**
 * From names to addresses: IP literals are themselves, then the hosts file, then (RFC 6761) localhost, then the cache, then
 * DNS. A name that the hosts file has is never asked for, whatever its family there.
 */
export class Resolver implements QueryOwner, LookupOwner {
  readonly counters: ResolverCounters;
  readonly cache: DnsCache;
  readonly #stack: Stack;
  readonly #options: ResolverOptions;
  #settings: QuerySettings;
  #search: readonly string[];
  readonly #multicast: QuerySettings;
  readonly #questions = new Map<string, Question>();
  #hosts: HostsFile | null;
  /** Questions asked so far, for `rotate`. */
  #turn = 0;

  constructor(stack: Stack, options: ResolverOptions) {
    this.#stack = stack;
    this.#options = options;
    this.counters = stack.counters.group('resolver', new ResolverCounters());
    this.cache = new DnsCache(this.counters, options.staleMs ?? 0);
    this.#settings = {
      servers: options.servers.map((where) => new NameServer(where)),
      timeoutMs: options.timeoutMs,
      attempts: options.attempts,
      edns: options.edns ?? true,
      rotate: options.rotate ?? false,
      counters: this.counters,
    };
    const group = { address: MULTICAST_V4, port: MULTICAST_PORT, isMulticast: true };
    this.#multicast = {
      ...this.#settings,
      servers: [new NameServer(group), new NameServer({ ...group, address: MULTICAST_V6 })],
    };
    this.#hosts = options.hosts;
    this.#search = options.search ?? [];
  }

  /** Asks other servers from now on, and looks in other domains. Questions under way stay with those they went to. */
  setServers(servers: readonly NameServerAddress[], search: readonly string[]): void {
    this.#settings = { ...this.#settings, servers: servers.map((where) => new NameServer(where)) };
    this.#search = search;
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
      const parsed = parseHost(host, this.#options.toAscii);
      if (parsed.kind === 'address') {
        lookup.succeed([requireZone(parsed, this.#interfaceNames())]);
      } else this.#find(lookup, parsed.name, parsed.absolute);
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      lookup.fail(error);
    }
    return lookup;
  }

  /**
   * Looks up the records of any type, in DNS only: no hosts file, no search domains. Never throws. The lookup signals Ready once.
   * @param type its name or `TYPEn`, in any letter case
   * @param deadline as with {@link lookup}
   */
  resolve(name: string, type: string, deadline: number = -Infinity): RecordLookup {
    this.counters.lookups++;
    const wanted = canonicalType(type);
    const lookup = new RecordLookup(this.#stack, name, wanted ?? type, deadline, (done) =>
      this.release(done),
    );
    try {
      if (wanted === null) {
        throw new NetError('ARGUMENT_INVALID', {
          phase: Phase.Argument,
          detail: `expected a type of DNS records like MX or TYPE65, got ${JSON.stringify(type.slice(0, 40))}`,
        });
      }
      const asked = parseDnsName(name, this.#options.toAscii);
      this.#ask(lookup, asked, wanted);
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      lookup.fail(error);
    }
    return lookup;
  }

  /** The names of an address: those of the hosts file, or the targets of its PTR records (RFC 1035 §3.5, RFC 3596 §2.5). */
  reverse(address: IpAddress, deadline: number = -Infinity): RecordLookup {
    const known = this.#hosts?.reverse(address) ?? [];
    if (known.length === 0) return this.resolve(reverseName(address), 'PTR', deadline);
    this.counters.lookups++;
    this.counters.fromHosts++;
    const name = reverseName(address);
    const lookup = new RecordLookup(this.#stack, name, 'PTR', deadline, (done) => this.release(done));
    lookup.succeed(known.map((data) => ({ name, type: 'PTR', ttlSeconds: 0, data })));
    return lookup;
  }

  /** Somebody does not wait any more; a question nobody waits for is given up. */
  release(waiter: Waiter): void {
    for (const question of [...waiter.questions]) {
      question.remove(waiter);
      if (question.waiting.size > 0 || question.isRefresh) continue;
      this.#forget(question);
      question.query.cancel();
    }
  }

  /** For messages: who is being asked on behalf of somebody. */
  waitingFor(waiter: Waiter): string {
    for (const question of waiter.questions) return question.query.waitingFor();
    return '';
  }

  /** Asks for the next of a lookup's names. @returns false when there is none */
  next(lookup: Lookup): boolean {
    const name = lookup.candidates.shift();
    if (name === undefined) return false;
    this.release(lookup);
    lookup.begin(name);
    for (const type of lookup.types) {
      if (lookup.isDone || lookup.name !== name) break;
      this.#ask(lookup, name, type);
    }
    return true;
  }

  /** An outcome of DNS: kept, and handed to everyone who waits for it. */
  queryDone(query: DnsQuery, outcome: QueryOutcome): void {
    const question = this.#questions.get(keyOf(query.name, query.type));
    if (question === undefined) return;
    this.#forget(question);
    if (outcome.kind !== 'error') {
      this.cache.put(query.name, query.type, outcome, this.#stack.now);
      question.answer(outcome);
    } else if (!this.#answerStale(question)) question.answer(outcome);
  }

  #find(lookup: Lookup, name: string, absolute: boolean): void {
    lookup.begin(name);
    const interfaces = this.#interfaceNames();
    const inFile = (this.#hosts?.lookup(name) ?? []).flatMap((literal) => {
      const address = zonedAddress(literal, interfaces);
      return address === null ? [] : [address];
    });
    if (inFile.length > 0) {
      this.counters.fromHosts++;
      lookup.succeed(inFile);
      return;
    }
    if (isLocalhost(name)) {
      lookup.succeed(LOOPBACK_ADDRESSES);
      return;
    }
    const { ndots = 1 } = this.#options;
    lookup.candidates = [...searchNames(name, absolute, this.#search, ndots)];
    this.next(lookup);
  }

  #interfaceNames(): string[] {
    return this.#stack.interfaces.map(({ name }) => name);
  }

  #ask(waiter: Waiter, name: string, type: DnsType): void {
    const known = this.cache.get(name, type, this.#stack.now);
    if (known !== null) {
      if (known.kind === 'addresses' || known.kind === 'records') this.counters.fromCache++;
      else this.counters.fromNegativeCache++;
      waiter.answered(type, known);
      return;
    }
    const key = keyOf(name, type);
    const underWay = this.#questions.get(key);
    if (underWay !== undefined) {
      this.counters.coalesced++;
      underWay.add(waiter);
      return;
    }
    const query = new DnsQuery(this.#stack, this.#settingsFor(name), name, type, this, this.#turn++);
    const question = new Question(query, this.#stack.timers, (late) => this.#answerStale(late));
    this.#questions.set(key, question);
    question.add(waiter);
    if ((this.#options.staleMs ?? 0) > 0) question.watch(this.#stack.now);
    query.start();
  }

  /** Gives what the cache still has, if it has anything, and leaves the question to go on. */
  #answerStale(question: Question): boolean {
    const { name, type } = question.query;
    const stale = this.cache.stale(name, type, this.#stack.now);
    if (stale === null) return false;
    this.counters.fromStale += question.waiting.size;
    question.isRefresh = true;
    question.answer(stale);
    return true;
  }

  #settingsFor(name: string): QuerySettings {
    const { multicastNames = 'dns' } = this.#options;
    if (multicastNames !== 'dns' && isMulticastName(name)) {
      if (multicastNames === 'multicast') return this.#multicast;
      throw new NetError('HOST_NOT_FOUND', {
        phase: Phase.Resolve,
        detail: `${name} is a name of multicast DNS (RFC 6762), which is refused here; see the resolver's option multicastNames`,
      });
    }
    if (this.#settings.servers.length > 0) return this.#settings;
    throw new NetError('DNS_NO_SERVER', {
      phase: Phase.Resolve,
      detail: `${name} is not in the hosts file; name a server with --dns (option dns)`,
    });
  }

  #forget(question: Question): void {
    question.end();
    this.#questions.delete(keyOf(question.query.name, question.query.type));
  }
}

function keyOf(name: string, type: DnsType): string {
  return `${type} ${name}`;
}
