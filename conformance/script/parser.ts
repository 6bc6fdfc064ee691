import { type Token, tokenize } from './lexer.ts';
import { parsePacket } from './packet-parser.ts';
import {
  type CallSpec,
  type CommandSpec,
  type EventTime,
  type Expression,
  type Script,
  type ScriptEvent,
  ScriptSyntaxError,
} from './syntax.ts';

/** Symbols that are always defined for `#ifdef`, beside those of the profile. */
const OWN_SYMBOLS: readonly string[] = ['STANDARD', 'tunwire'];

/**
 * Reads a script in packetdrill's language, with what nplab's dialect adds.
 * @param symbols what `#ifdef` finds defined; `NAME=VALUE` replaces a word, as the option `--define` of a script does
 * @throws ScriptSyntaxError with the line
 */
export function parseScript(source: string, symbols: readonly string[] = []): Script {
  const tokens = new TokenReader(tokenize(source, [...OWN_SYMBOLS, ...symbols]));
  const options = new Map<string, string>();
  while (tokens.peek().kind === 'option') {
    const { text } = tokens.next();
    const equals = text.indexOf('=');
    if (equals < 0) options.set(text, '');
    else options.set(text.slice(0, equals), text.slice(equals + 1).replace(/^(["`])(.*)\1$/s, '$2'));
  }
  let init: CommandSpec | null = null;
  const first = tokens.peek();
  if (first.kind === 'command') init = { kind: 'command', text: tokens.next().text, line: first.line };
  const events: ScriptEvent[] = [];
  while (tokens.peek().kind !== 'end') {
    // A command without a time at the end undoes what the first one did; there is nothing to undo here
    if (tokens.peek().kind === 'command') tokens.next();
    else events.push(parseEvent(tokens));
  }
  if (events.length === 0) throw new ScriptSyntaxError(tokens.peek().line, 'the script has no events');
  return { options, init, events };
}

/** Tokens with a place in them. */
export class TokenReader {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)]!;
  }

  next(): Token {
    const token = this.peek();
    this.#at++;
    return token;
  }

  /** True when the next token is this character or word. */
  sees(text: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return (
      token.text === text && (token.kind === 'char' || token.kind === 'word' || token.kind === 'ellipsis')
    );
  }

  /** Takes the next token if it is this character or word. */
  take(text: string): boolean {
    if (!this.sees(text)) return false;
    this.#at++;
    return true;
  }

  expect(text: string): void {
    if (!this.take(text)) this.fail(`expected '${text}'`);
  }

  integer(what: string): number {
    const token = this.next();
    if (token.kind !== 'integer')
      throw new ScriptSyntaxError(token.line, `expected ${what}, got '${token.text}'`);
    return token.value;
  }

  fail(message: string): never {
    const token = this.peek();
    throw new ScriptSyntaxError(token.line, `${message}, got '${token.text}'`);
  }
}

function parseEvent(tokens: TokenReader): ScriptEvent {
  const { line } = tokens.peek();
  const time = parseTime(tokens);
  const token = tokens.peek();
  if (token.kind === 'command') {
    tokens.next();
    return { line, time, action: { kind: 'command', text: token.text, line } };
  }
  if (token.kind === 'code') {
    tokens.next();
    return { line, time, action: { kind: 'code', text: token.text } };
  }
  if (tokens.sees('<') || tokens.sees('>')) return { line, time, action: parsePacket(tokens) };
  if (token.kind === 'ellipsis' || token.kind === 'word') {
    if (time.kind !== 'absolute' && time.kind !== 'relative')
      throw new ScriptSyntaxError(line, 'a system call needs one time');
    return { line, time, action: parseCall(tokens) };
  }
  return tokens.fail('expected a packet, a system call, a command or code');
}

function parseTime(tokens: TokenReader): EventTime {
  if (tokens.take('*')) return { kind: 'any', fromUs: 0, toUs: 0 };
  const relative = tokens.take('+');
  const fromUs = parseSeconds(tokens);
  if (!tokens.take('~')) return { kind: relative ? 'relative' : 'absolute', fromUs, toUs: fromUs };
  if (relative) tokens.expect('+');
  const toUs = parseSeconds(tokens);
  if (toUs < fromUs) tokens.fail('the time range runs backwards');
  return { kind: relative ? 'relative-range' : 'absolute-range', fromUs, toUs };
}

/** @returns microseconds */
function parseSeconds(tokens: TokenReader): number {
  const token = tokens.next();
  if ((token.kind !== 'integer' && token.kind !== 'float') || token.value < 0)
    throw new ScriptSyntaxError(token.line, `expected a time in seconds, got '${token.text}'`);
  return Math.round(token.value * 1e6);
}

function parseCall(tokens: TokenReader): CallSpec {
  const endUs = tokens.take('...') ? parseSeconds(tokens) : null;
  const name = tokens.next();
  if (name.kind !== 'word')
    throw new ScriptSyntaxError(name.line, `expected a system call, got '${name.text}'`);
  const args = parseArguments(tokens);
  tokens.expect('=');
  const result = parseExpression(tokens);
  let errno = '';
  if (tokens.peek().kind === 'word') errno = tokens.next().text;
  if (tokens.sees('(')) skipNote(tokens);
  return { kind: 'call', name: name.text, args, result, errno, endUs };
}

function skipNote(tokens: TokenReader): void {
  while (!tokens.take(')')) {
    if (tokens.peek().kind === 'end') tokens.fail("expected ')'");
    tokens.next();
  }
}

function parseArguments(tokens: TokenReader): Expression[] {
  tokens.expect('(');
  return parseList(tokens, ')');
}

/** Items up to `end`, which is taken too. */
function parseList(tokens: TokenReader, end: string): Expression[] {
  const items: Expression[] = [];
  if (tokens.take(end)) return items;
  for (;;) {
    items.push(parseExpression(tokens));
    if (tokens.take(end)) return items;
    tokens.expect(',');
  }
}

function parseExpression(tokens: TokenReader): Expression {
  let left = parseTerm(tokens);
  while (tokens.take('|')) left = { kind: 'or', left, right: parseTerm(tokens) };
  return left;
}

function parseTerm(tokens: TokenReader): Expression {
  const token = tokens.peek();
  if (tokens.take('...')) return { kind: 'ellipsis' };
  if (tokens.take('[')) return { kind: 'list', items: parseList(tokens, ']') };
  if (tokens.take('{')) return parseStruct(tokens);
  switch (token.kind) {
    case 'integer':
    case 'float':
      tokens.next();
      return { kind: 'number', value: token.value };
    case 'string':
      return parseString(tokens);
    case 'word':
      tokens.next();
      if (tokens.sees('(')) return { kind: 'call', name: token.text, args: parseArguments(tokens) };
      return { kind: 'word', name: token.text };
    default:
      return tokens.fail('expected an argument');
  }
}

/** Adjacent strings are one; `...` after a string means that more may follow. */
function parseString(tokens: TokenReader): Expression {
  let text = '';
  while (tokens.peek().kind === 'string') text += tokens.next().text;
  tokens.take('...');
  return { kind: 'string', text };
}

/** `{name=value, name(n)=value, value, …}` */
function parseStruct(tokens: TokenReader): Expression {
  const fields: { name: string; value: Expression }[] = [];
  while (!tokens.take('}')) {
    const token = tokens.peek();
    let name = '';
    if (token.kind === 'word' && tokens.sees('=', 1)) {
      name = tokens.next().text;
      tokens.expect('=');
      fields.push({ name, value: parseExpression(tokens) });
    } else {
      const value = parseExpression(tokens);
      // msg_iov(2)=[…]: the count says nothing that the list does not
      if (value.kind === 'call' && tokens.take('=')) {
        fields.push({ name: value.name, value: parseExpression(tokens) });
      } else {
        fields.push({ name, value });
      }
    }
    if (!tokens.sees('}')) tokens.expect(',');
  }
  return { kind: 'struct', fields };
}
