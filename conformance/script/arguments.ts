import { IpAddress } from '../../stack/wire/ip-address.ts';
import { type CallSpec, type Expression, ScriptFailure, ScriptUnsupported } from './syntax.ts';

/** What words are worth as numbers. */
const WORDS: Readonly<Record<string, number>> = {
  O_RDONLY: 0,
  O_RDWR: 2,
  O_NONBLOCK: 0x800,
  MSG_OOB: 1,
  MSG_PEEK: 2,
  MSG_DONTWAIT: 0x40,
  MSG_NOSIGNAL: 0x4000,
  MSG_MORE: 0x8000,
  MSG_FASTOPEN: 0x20000000,
  MSG_EOR: 0x80,
  IPTOS_LOWDELAY: 0x10,
  IPTOS_DSCP_CS1: 0x20,
  IPTOS_DSCP_CS7: 0xe0,
};
/** Flags of send and recv that change what the stack would do in ways it does not offer. */
const UNSUPPORTED_FLAGS = 'MSG_ZEROCOPY MSG_EOR MSG_ERRQUEUE MSG_TRUNC'.split(' ');
/** EWOULDBLOCK is another name of EAGAIN. */
const ALIASES: Readonly<Record<string, string>> = { EWOULDBLOCK: 'EAGAIN' };

/** One entry of poll(). */
export interface PollEntry {
  readonly fd: number;
  readonly events: readonly string[];
  readonly revents: readonly string[];
  told: string;
}

/** The arguments of one call with what they mean. */
export class Arguments {
  readonly line: number;
  readonly #spec: CallSpec;

  constructor(spec: CallSpec, line: number) {
    this.#spec = spec;
    this.line = line;
  }

  #at(index: number): Expression {
    const found = this.#spec.args[index];
    if (found === undefined) throw new ScriptFailure(this.line, `${this.#spec.name} needs more arguments`);
    return found;
  }

  has(index: number): boolean {
    return this.#spec.args[index] !== undefined;
  }

  isWord(index: number, name: string): boolean {
    const found = this.#spec.args[index];
    return found?.kind === 'word' && found.name === name;
  }

  number(index: number): number {
    return numberOf(this.#at(index));
  }

  resultNumber(): number {
    return numberOf(this.#spec.result);
  }

  /** A word; a number as its text. */
  word(index: number): string {
    const found = this.#at(index);
    if (found.kind === 'word') return found.name;
    return found.kind === 'number' ? String(found.value) : '';
  }

  /** Flags of send and recv; 0 when the call has none. */
  flags(index: number): number {
    const found = this.#spec.args[index];
    if (found === undefined) return 0;
    for (const word of wordsOf(found))
      if (UNSUPPORTED_FLAGS.includes(word)) throw new ScriptUnsupported(`flag ${word}`);
    return numberOf(found);
  }

  /** Where data lies: `...`; anything else is about memory of a process. */
  buffer(index: number): void {
    const found = this.#at(index);
    if (found.kind !== 'ellipsis' && found.kind !== 'string')
      throw new ScriptUnsupported('buffers with addresses of their own');
  }

  /** A string in quotes; '': something else. */
  text(index: number): string {
    const found = this.#at(index);
    return found.kind === 'string' ? found.text : '';
  }

  numberInList(index: number): number {
    const found = this.#at(index);
    const item = found.kind === 'list' ? found.items[0] : found;
    if (item === undefined) throw new ScriptUnsupported('an empty list');
    return numberOf(item);
  }

  field(index: number, name: string): number {
    const found = this.#at(index);
    const value =
      found.kind === 'struct' ? found.fields.find((field) => field.name === name)?.value : undefined;
    if (value === undefined) throw new ScriptUnsupported(`${this.#spec.name} without ${name}`);
    return numberOf(value);
  }

  /** Compares a value that the call gives back. */
  expectWord(index: number, got: string, what: string): void {
    const found = this.#at(index);
    const item = found.kind === 'list' ? found.items[0] : found;
    if (item === undefined || item.kind === 'ellipsis') return;
    const wanted = item.kind === 'word' ? item.name : String(numberOf(item));
    if (canonical(wanted) !== got)
      throw new ScriptFailure(this.line, `${this.#spec.name} ${what}`, [
        `expected: ${wanted}`,
        `     got: ${got}`,
      ]);
  }

  address(index: number, address: IpAddress, port: number): { address: IpAddress; port: number } {
    const found = this.#at(index);
    if (found.kind !== 'struct') return { address, port };
    let result = { address, port };
    for (const { name, value } of found.fields) {
      const inner = value.kind === 'call' ? value.args[0] : value;
      if (name === 'sin_port' && inner?.kind === 'number') result = { ...result, port: inner.value };
      if (name === 'sin_addr' && inner?.kind === 'string')
        result = { ...result, address: IpAddress.parse(inner.text) ?? address };
    }
    return result;
  }

  /** Sum of the lengths in `[{..., 100}, {..., 50}]`, alone or in a message header. */
  vectorBytes(index: number): number {
    let found = this.#at(index);
    if (found.kind === 'struct') {
      for (const { name, value } of found.fields)
        if (
          name === 'msg_control' &&
          (value.kind !== 'list' || value.items.some((item) => !isQueueLength(item)))
        )
          throw new ScriptUnsupported('control messages');
      found = found.fields.find((field) => field.name === 'msg_iov')?.value ?? found;
    }
    if (found.kind !== 'list') throw new ScriptUnsupported(`${this.#spec.name} without a vector`);
    let total = 0;
    for (const item of found.items) {
      const length = item.kind === 'struct' ? item.fields[1]?.value : undefined;
      if (length === undefined) throw new ScriptUnsupported('an entry of a vector');
      total += numberOf(length);
    }
    return total;
  }

  /** What a message header expects of TCP_CM_INQ; -1: nothing. */
  queueLength(index: number): number {
    const found = this.#spec.args[index];
    const control =
      found?.kind === 'struct'
        ? found.fields.find((field) => field.name === 'msg_control')?.value
        : undefined;
    const item = control?.kind === 'list' ? control.items[0] : undefined;
    const data =
      item?.kind === 'struct' ? item.fields.find((field) => field.name === 'cmsg_data') : undefined;
    return data === undefined ? -1 : numberOf(data.value);
  }

  pollEntries(index: number): PollEntry[] {
    const found = this.#at(index);
    if (found.kind !== 'list') throw new ScriptUnsupported('poll without a list');
    return found.items.map((item) => {
      const fields = item.kind === 'struct' ? item.fields : [];
      const value = (name: string): Expression | undefined =>
        fields.find((field) => field.name === name)?.value;
      const fd = value('fd');
      const events = value('events');
      const revents = value('revents');
      return {
        fd: fd === undefined ? -1 : numberOf(fd),
        events: events === undefined ? [] : wordsOf(events),
        revents: revents === undefined ? [] : wordsOf(revents),
        told: '',
      };
    });
  }
}

/** One name for errors that have two. */
export function canonical(errno: string): string {
  return ALIASES[errno] ?? errno;
}

/** What an argument is worth. @throws ScriptUnsupported for a word that is not known */
export function numberOf(expression: Expression): number {
  switch (expression.kind) {
    case 'number':
      return expression.value;
    case 'or':
      return numberOf(expression.left) | numberOf(expression.right);
    case 'word': {
      const value = WORDS[expression.name];
      if (value === undefined) throw new ScriptUnsupported(`the value of ${expression.name}`);
      return value;
    }
    default:
      throw new ScriptUnsupported(`an argument of kind ${expression.kind}`);
  }
}

/** The words of `A|B`. */
export function wordsOf(expression: Expression): string[] {
  if (expression.kind === 'or') return [...wordsOf(expression.left), ...wordsOf(expression.right)];
  return expression.kind === 'word' ? [expression.name] : [];
}

/** A control message with the length of the receive queue. */
function isQueueLength(item: Expression): boolean {
  if (item.kind !== 'struct') return false;
  return item.fields.some(
    ({ name, value }) => name === 'cmsg_type' && value.kind === 'word' && value.name === 'TCP_CM_INQ',
  );
}
