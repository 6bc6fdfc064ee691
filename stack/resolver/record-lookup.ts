import { Endpoint, EndpointEvent, type EventQueue } from '../endpoint.ts';
import { NetError, Phase } from '../errors.ts';
import type { QueryOutcome } from './dns-query.ts';
import type { Question, Waiter } from './question.ts';
import type { DnsRecord, DnsType } from './record.ts';

/** One lookup of the records of a type. It signals Ready once, with `records` or `error` set. */
export class RecordLookup extends Endpoint implements Waiter {
  /** Lower-case without trailing dot. */
  readonly name: string;
  readonly type: DnsType;
  readonly deadline: number;
  readonly questions: Set<Question> = new Set();
  /** At least one when there is no error. */
  records: readonly DnsRecord[] = [];
  error: NetError | null = null;
  /** There is an answer, or it was cancelled. */
  isDone = false;
  readonly #release: (lookup: RecordLookup) => void;

  /** Made by the resolver. */
  constructor(
    queue: EventQueue,
    name: string,
    type: DnsType,
    deadline: number,
    release: (lookup: RecordLookup) => void,
  ) {
    super(queue);
    this.name = name;
    this.type = type;
    this.deadline = deadline;
    this.#release = release;
  }

  /** Gives up: nothing is signalled after it. */
  cancel(): void {
    if (this.isDone) return;
    this.error = new NetError('CANCELLED', { phase: Phase.Resolve, detail: `looking up ${this.name}` });
    this.#end();
  }

  answered(_type: DnsType, outcome: QueryOutcome): void {
    if (this.isDone) return;
    switch (outcome.kind) {
      case 'records':
        this.succeed(outcome.records);
        return;
      case 'addresses':
        this.succeed(
          outcome.addresses.map((address) => ({
            name: this.name,
            type: this.type,
            ttlSeconds: outcome.ttlSeconds,
            data: address.toString(),
          })),
        );
        return;
      case 'nxdomain':
        this.fail(new NetError('HOST_NOT_FOUND', { phase: Phase.Resolve, detail: this.name }));
        return;
      case 'nodata':
        this.fail(
          new NetError('HOST_NO_ADDRESS', {
            phase: Phase.Resolve,
            detail: `${this.name} has no ${this.type} record`,
          }),
        );
        return;
      case 'error':
        this.fail(outcome.error);
    }
  }

  /** The resolver has records. */
  succeed(records: readonly DnsRecord[]): void {
    this.records = records;
    this.#end();
    this.signal(EndpointEvent.Ready);
  }

  /** The resolver has an error. */
  fail(error: NetError): void {
    if (this.isDone) return;
    this.error = error;
    this.#end();
    this.signal(EndpointEvent.Ready);
  }

  #end(): void {
    this.isDone = true;
    this.#release(this);
  }
}
