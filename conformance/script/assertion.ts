import { ScriptUnsupported } from './syntax.ts';

/** What an expression is worth. */
type Value = number | string | boolean;

const TOKEN =
  /\s*(?:(0x[0-9a-fA-F]+|\d+\.?\d*)|([A-Za-z_]\w*)|('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(==|!=|<=|>=|<<|>>|\*\*|\/\/|\+=|-=|[-+*/%<>()&|^~=,]))/y;

/** The code of a script was not true. */
export class AssertionFailure extends Error {}

/**
 * Runs the code between `%{` and `}%`: the part of Python that scripts use, namely assertions, print and assignments over
 * numbers.
 */
export class Assertions {
  readonly #variables: Map<string, Value> = new Map();
  #tokens: string[] = [];
  #at = 0;
  #lookUp: (name: string) => number | undefined = () => undefined;
  /** False: parse, but do not look names up (the message of an assertion that holds). */
  #live = true;

  /**
   * @param lookUp the value of a name that the script has not set
   * @throws AssertionFailure, ScriptUnsupported
   */
  run(code: string, lookUp: (name: string) => number | undefined): void {
    this.#lookUp = lookUp;
    const lines = code.replace(/\\(\n|$)/g, ' ').split('\n');
    for (const line of lines) {
      const text = line.replace(/(^|\s)#.*$/, '').trim();
      if (text === '') continue;
      this.#tokens = tokensOf(text);
      this.#at = 0;
      while (this.#at < this.#tokens.length) {
        if (this.#take(';')) continue;
        this.#statement(text);
      }
    }
  }

  #statement(text: string): void {
    const word = this.#peek();
    if (word === 'assert') {
      this.#at++;
      this.#assert(text);
      return;
    }
    if (word === 'print') {
      this.#at++;
      this.#expression();
      return;
    }
    const operator = this.#tokens[this.#at + 1] ?? '';
    if (!/^[A-Za-z_]/.test(word) || !/^[-+]?=$/.test(operator)) throw new ScriptUnsupported(`code: ${text}`);
    this.#at += 2;
    const value = this.#expression();
    if (operator === '=') {
      this.#variables.set(word, value);
      return;
    }
    const old = number(this.#valueOf(word));
    this.#variables.set(word, operator === '+=' ? old + number(value) : old - number(value));
  }

  #assert(text: string): void {
    const from = this.#at;
    const holds = truth(this.#expression());
    const condition = this.#tokens.slice(from, this.#at).join(' ');
    this.#live = !holds;
    let message = '';
    try {
      if (this.#take(',')) message = String(this.#expression());
    } finally {
      this.#live = true;
    }
    if (this.#at < this.#tokens.length && this.#peek() !== ';') throw new ScriptUnsupported(`code: ${text}`);
    if (!holds) throw new AssertionFailure(message === '' ? condition : `${condition}, which is ${message}`);
  }

  #peek(): string {
    return this.#tokens[this.#at] ?? '';
  }

  #take(token: string): boolean {
    if (this.#peek() !== token) return false;
    this.#at++;
    return true;
  }

  #expression(): Value {
    let left = this.#conjunction();
    while (this.#take('or')) {
      const right = this.#conjunction();
      left = truth(left) ? left : right;
    }
    return left;
  }

  #conjunction(): Value {
    let left = this.#negation();
    while (this.#take('and')) {
      const right = this.#negation();
      left = truth(left) ? right : left;
    }
    return left;
  }

  #negation(): Value {
    if (this.#take('not')) return !truth(this.#negation());
    return this.#comparison();
  }

  /** `a <= b < c` holds when both do. */
  #comparison(): Value {
    let left = this.#binary(0);
    let result: Value = left;
    let compared = false;
    let holds = true;
    for (;;) {
      const operator = this.#peek();
      if (!/^(==|!=|<=|>=|<|>)$/.test(operator)) break;
      this.#at++;
      const right = this.#binary(0);
      holds = holds && compare(operator, left, right);
      compared = true;
      left = right;
    }
    if (compared) result = holds;
    return result;
  }

  #binary(level: number): Value {
    const operators = LEVELS[level];
    if (operators === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    for (let operator = this.#peek(); operators.includes(operator); operator = this.#peek()) {
      this.#at++;
      left = calculate(operator, left, this.#binary(level + 1));
    }
    return left;
  }

  #unary(): Value {
    if (this.#take('-')) return -number(this.#unary());
    if (this.#take('~')) return ~number(this.#unary());
    const token = this.#peek();
    this.#at++;
    if (token === '(') {
      const value = this.#expression();
      // a tuple: the arguments of a format; the first is enough to show
      while (this.#take(',')) this.#expression();
      if (!this.#take(')')) throw new ScriptUnsupported(`code: expected ')' before '${this.#peek()}'`);
      return value;
    }
    if (/^\d/.test(token)) return Number(token);
    if (/^['"]/.test(token)) return token.slice(1, -1);
    if (/^[A-Za-z_]/.test(token)) return this.#valueOf(token);
    throw new ScriptUnsupported(`code: cannot read '${token}'`);
  }

  #valueOf(name: string): Value {
    if (name === 'True') return true;
    if (name === 'False') return false;
    const own = this.#variables.get(name);
    if (own !== undefined) return own;
    const found = this.#lookUp(name);
    if (found !== undefined) return found;
    if (!this.#live) return 0;
    throw new ScriptUnsupported(`the stack does not tell ${name}`);
  }
}

/** Binary operators, loosest first. */
const LEVELS: readonly (readonly string[])[] = [
  ['|'],
  ['^'],
  ['&'],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '//', '%'],
];

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  let at = 0;
  while (at < text.length) {
    if (/\s/.test(text[at] ?? '')) {
      at++;
      continue;
    }
    if (text[at] === ';') {
      tokens.push(';');
      at++;
      continue;
    }
    TOKEN.lastIndex = at;
    const found = TOKEN.exec(text);
    if (found === null) throw new ScriptUnsupported(`code: cannot read '${text.slice(at, at + 12)}'`);
    tokens.push(found[0].trim());
    at = TOKEN.lastIndex;
  }
  return tokens;
}

function truth(value: Value): boolean {
  return typeof value === 'boolean' ? value : value !== 0 && value !== '';
}

function number(value: Value): number {
  return Number(value);
}

function compare(operator: string, left: Value, right: Value): boolean {
  if (operator === '==' || operator === '!=') {
    const same =
      typeof left === 'string' || typeof right === 'string' ? left === right : number(left) === number(right);
    return (operator === '==') === same;
  }
  const a = number(left);
  const b = number(right);
  switch (operator) {
    case '<':
      return a < b;
    case '<=':
      return a <= b;
    case '>':
      return a > b;
    default:
      return a >= b;
  }
}

function calculate(operator: string, left: Value, right: Value): Value {
  // 'cwnd=%d' % value
  if (operator === '%' && typeof left === 'string') return left.replace(/%[dsu]/, String(right));
  const a = number(left);
  const b = number(right);
  switch (operator) {
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '&':
      return a & b;
    case '<<':
      return a << b;
    case '>>':
      return a >> b;
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '%':
      return a % b;
    case '//':
      return Math.floor(a / b);
    default:
      return a / b;
  }
}
