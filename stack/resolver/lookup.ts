import { Endpoint, EndpointEvent, type EventQueue } from '../endpoint.ts';
import { NetError, Phase } from '../errors.ts';
import { TimerEntry, type TimerQueue, type TimerTarget } from '../timers.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { QueryOutcome } from './dns-query.ts';
import type { Question, Waiter } from './question.ts';
import type { AddressType, DnsType } from './record.ts';

/** Which addresses are wanted; 0 stands for both families. */
export type LookupFamily = 0 | 4 | 6;

/** What a lookup needs of the stack. */
export interface LookupContext extends EventQueue {
  readonly now: number;
  readonly timers: TimerQueue;
}

/** The resolver, as its lookups see it. */
export interface LookupOwner {
  /** The lookup does not wait any more. */
  release(lookup: Lookup): void;
  /** For messages: who is being asked, and has not answered. '' when nobody is. */
  waitingFor(lookup: Lookup): string;
  /** Asks for the next of its `candidates`. @returns false when there is none. @throws NetError when nobody can be asked */
  next(lookup: Lookup): boolean;
}

const IPV4_TYPES: readonly AddressType[] = ['A'];
const IPV6_TYPES: readonly AddressType[] = ['AAAA'];
const BOTH_TYPES: readonly AddressType[] = ['A', 'AAAA'];

/**
 * One lookup of a host. It signals Ready once, with `addresses` or `error` set. Once one family has addresses, the other is waited
 * for no longer than one try at a name server: some servers never answer questions of a type they do not know.
 */
export class Lookup extends Endpoint implements TimerTarget, Waiter {
  /** The host as it was asked for. */
  readonly host: string;
  /** The name asked for now, lower-case without trailing dot; '' for an IP literal and an argument that is not valid. */
  name = '';
  /** Names to ask for when this one is none: the search domains. */
  candidates: string[] = [];
  readonly questions: Set<Question> = new Set();
  readonly family: LookupFamily;
  /** How long the caller waits for a silent name server; see `Resolver.lookup`. */
  deadline: number = -Infinity;
  /** IPv4 before IPv6, in each family in the order of the source; at least one when there is no error. */
  addresses: readonly IpAddress[] = [];
  error: NetError | null = null;
  /** There is an answer, or it was cancelled. */
  isDone = false;
  readonly #context: LookupContext;
  readonly #owner: LookupOwner;
  readonly #otherFamilyMs: number;
  readonly #timer: TimerEntry = new TimerEntry(this);
  #ipv4: QueryOutcome | null = null;
  #ipv6: QueryOutcome | null = null;
  /** Names that were asked for in vain, and whether one of them exists. */
  readonly #tried: string[] = [];
  #exists = false;

  /** Made by the resolver. @param otherFamilyMs how long to wait for the other family */
  constructor(
    context: LookupContext,
    host: string,
    family: LookupFamily,
    otherFamilyMs: number,
    owner: LookupOwner,
  ) {
    super(context);
    this.#context = context;
    this.host = host;
    this.family = family;
    this.#otherFamilyMs = otherFamilyMs;
    this.#owner = owner;
  }

  /** The record types to ask for. */
  get types(): readonly AddressType[] {
    if (this.family === 0) return BOTH_TYPES;
    return this.family === 4 ? IPV4_TYPES : IPV6_TYPES;
  }

  /** For messages: what it waits for. */
  waitingFor(): string {
    return this.#owner.waitingFor(this);
  }

  /** Ends with the addresses known so far; goes on when there are none. */
  settle(): void {
    if (this.#ipv4?.kind === 'addresses' || this.#ipv6?.kind === 'addresses') this.onDeadline();
  }

  /** Gives up: nothing is signalled after it. */
  cancel(): void {
    if (this.isDone) return;
    this.error = new NetError('CANCELLED', { phase: Phase.Resolve, detail: `looking up ${this.host}` });
    this.#end();
  }

  /** Asks for `name` from now on. */
  begin(name: string): void {
    this.name = name;
    this.#ipv4 = null;
    this.#ipv6 = null;
    this.#context.timers.remove(this.#timer);
  }

  /** The resolver has addresses without DNS. */
  succeed(addresses: readonly IpAddress[]): void {
    const wanted = addresses.filter((address) => this.family === 0 || address.family === this.family);
    if (wanted.length === 0) this.fail(this.#noAddress());
    else this.#finish(wanted);
  }

  /** The resolver has an error. */
  fail(error: NetError): void {
    if (this.isDone) return;
    this.error = error;
    this.#end();
    this.signal(EndpointEvent.Ready);
  }

  /** The resolver has the outcome of one question. */
  answered(type: DnsType, outcome: QueryOutcome): void {
    if (this.isDone) return;
    if (type === 'A') this.#ipv4 = outcome;
    else this.#ipv6 = outcome;
    if (outcome.kind === 'nxdomain') {
      // RFC 2308 §5: there is no such name, whatever type is asked for
      this.#failWithoutAddress();
      return;
    }
    const complete = this.types.every((each) => (each === 'A' ? this.#ipv4 : this.#ipv6) !== null);
    if (complete) this.#conclude();
    else if (outcome.kind === 'addresses') {
      this.#context.timers.set(this.#timer, this.#context.now + this.#otherFamilyMs);
    }
  }

  /** The other family has not answered in time. */
  onDeadline(): void {
    if (!this.isDone) this.#conclude();
  }

  #conclude(): void {
    const outcomes = [this.#ipv4, this.#ipv6];
    const addresses = outcomes.flatMap((each) => (each?.kind === 'addresses' ? each.addresses : []));
    const failed = outcomes.find((each) => each?.kind === 'error');
    if (addresses.length > 0) this.#finish(addresses);
    else if (failed?.kind === 'error') this.fail(failed.error);
    else {
      this.#exists = true;
      this.#failWithoutAddress();
    }
  }

  /** The name is none, or has no addresses: the next one, if there is any. */
  #failWithoutAddress(): void {
    this.#tried.push(this.name);
    try {
      if (this.#owner.next(this)) return;
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      this.fail(error);
      return;
    }
    this.fail(this.#exists ? this.#noAddress() : this.#notFound());
  }

  #finish(addresses: readonly IpAddress[]): void {
    if (this.isDone) return;
    this.addresses = [
      ...addresses.filter((address) => address.family === 4),
      ...addresses.filter((address) => address.family === 6),
    ];
    this.#end();
    this.signal(EndpointEvent.Ready);
  }

  #end(): void {
    this.isDone = true;
    this.#context.timers.remove(this.#timer);
    this.#owner.release(this);
  }

  #notFound(): NetError {
    return new NetError('HOST_NOT_FOUND', { phase: Phase.Resolve, detail: this.#tried.join(', ') });
  }

  #noAddress(): NetError {
    const wanted = this.family === 0 ? '' : ` (IPv${this.family} was asked for)`;
    return new NetError('HOST_NO_ADDRESS', { phase: Phase.Resolve, detail: `${this.host}${wanted}` });
  }
}
