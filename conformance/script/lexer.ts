import { ScriptSyntaxError } from './syntax.ts';

/** What a token is. `word` may begin with a digit (`0a1b`), as in the cookies of TCP Fast Open. */
export type TokenKind =
  | 'option'
  | 'word'
  | 'integer'
  | 'float'
  | 'string'
  | 'command'
  | 'code'
  | 'ellipsis'
  | 'char'
  | 'end';

/** One token with its place. */
export interface Token {
  readonly kind: TokenKind;
  /** As written; without its quotes for strings, commands and code. */
  readonly text: string;
  /** The value of a number; 0 otherwise. */
  readonly value: number;
  readonly line: number;
  /** White space or a comment stands before it. */
  readonly spaced: boolean;
}

/** White space and comments; a block comment that never ends is taken to the end of the file. */
const SKIP = /(?:[ \t\r\n]+|\/\/[^\n]*|\/\*(?:[^*]|\*(?!\/))*(?:\*\/|$))+/y;
const PATTERNS: readonly (readonly [TokenKind, RegExp])[] = [
  ['option', /--[A-Za-z0-9_]+(?:=(?:`[^`]*`|"[^"]*"|[^\s`"])*)?/y],
  ['ellipsis', /\.\.\./y],
  ['float', /-?[0-9]*\.[0-9]+/y],
  ['integer', /0x[0-9a-fA-F]+\b|-?[0-9]+(?![0-9A-Za-z_])/y],
  ['word', /[A-Za-z0-9_]+/y],
  ['string', /"(?:\\[\s\S]|[^"\\])*"/y],
  ['command', /`(?:\\[\s\S]|[^`\\])*`/y],
  ['code', /%\{[\s\S]*?\}%/y],
  ['char', /[^\s]/y],
];

/**
 * Cuts a script into tokens.
 * @param symbols what `#ifdef` finds defined, and `NAME=VALUE` for words
 * @throws ScriptSyntaxError
 */
export function tokenize(source: string, symbols: readonly string[]): Token[] {
  const defines = new Map<string, string>();
  for (const symbol of symbols) define(symbol, defines);
  const text = applyConditions(source, symbols);
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  const advance = (length: number): void => {
    for (let i = at; i < at + length; i++) if (text.charCodeAt(i) === 10) line++;
    at += length;
  };
  while (at < text.length) {
    SKIP.lastIndex = at;
    const skipped = SKIP.exec(text);
    if (skipped !== null) advance(skipped[0].length);
    if (at >= text.length) break;
    const { token, length } = nextToken(text, at, line, skipped !== null);
    if (token.kind === 'option' && token.text.startsWith('define=')) define(token.text.slice(7), defines);
    const defined = token.kind === 'word' ? defines.get(token.text) : undefined;
    tokens.push(defined === undefined ? token : { ...nextToken(defined, 0, line, true).token, line });
    advance(length);
  }
  tokens.push({ kind: 'end', text: 'the end of the script', value: 0, line, spaced: true });
  return tokens;
}

/** Notes `NAME=VALUE`. */
function define(text: string, defines: Map<string, string>): void {
  const equals = text.indexOf('=');
  if (equals > 0) defines.set(text.slice(0, equals), text.slice(equals + 1));
}

function nextToken(
  text: string,
  at: number,
  line: number,
  spaced: boolean,
): { token: Token; length: number } {
  for (const [kind, pattern] of PATTERNS) {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found === undefined) continue;
    const number = kind === 'integer' || kind === 'float';
    return {
      token: { kind, text: inner(kind, found), value: number ? Number(found) : 0, line, spaced },
      length: found.length,
    };
  }
  throw new ScriptSyntaxError(line, `cannot read '${text.slice(at, at + 10)}'`);
}

function inner(kind: TokenKind, text: string): string {
  switch (kind) {
    case 'option':
      return text.slice(2);
    case 'string':
    case 'command':
      return text.slice(1, -1);
    case 'code':
      return text.slice(2, -2).trim();
    default:
      return text;
  }
}

/** Blanks out what `#ifdef` excludes and the directives themselves; line numbers stay. */
function applyConditions(source: string, symbols: readonly string[]): string {
  const lines = source.split('\n');
  const defined = new Set(symbols.map((symbol) => symbol.replace(/=.*/s, '')));
  const open: { line: number; included: boolean }[] = [];
  for (const [i, text] of lines.entries()) {
    const directive = /^\s*#\s*(ifdef|ifndef|else|endif|define)\b\s*(\w*)/.exec(text);
    const included = open.every((condition) => condition.included);
    if (directive === null) {
      if (!included) lines[i] = '';
      continue;
    }
    lines[i] = '';
    const name = directive[2] ?? '';
    const top = open.at(-1);
    switch (directive[1]) {
      case 'ifdef':
        open.push({ line: i + 1, included: defined.has(name) });
        break;
      case 'ifndef':
        open.push({ line: i + 1, included: !defined.has(name) });
        break;
      case 'define':
        if (included) defined.add(name);
        break;
      case 'else':
        if (top === undefined) throw new ScriptSyntaxError(i + 1, '#else without #ifdef');
        top.included = !top.included;
        break;
      default:
        if (open.pop() === undefined) throw new ScriptSyntaxError(i + 1, '#endif without #ifdef');
    }
  }
  const unclosed = open.at(-1);
  if (unclosed !== undefined) throw new ScriptSyntaxError(unclosed.line, '#ifdef without #endif');
  return lines.join('\n');
}
