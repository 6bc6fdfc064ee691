import { isDeepStrictEqual } from 'node:util';

/** Something is not as it should be; the demo ends with it. */
export class DemoFailure extends Error {
  override readonly name = 'DemoFailure';
}

/** @throws DemoFailure unless both are the same */
export function expect(what: string, actual: unknown, expected: unknown): void {
  if (isDeepStrictEqual(actual, expected)) return;
  throw new DemoFailure(`${what}: expected ${String(expected)}, got ${String(actual)}`);
}

const LABEL_COLUMNS = 11;
const TEXT_COLUMNS = 55;
const TIME_COLUMNS = 11;

/** A line of the account: at most 80 columns. @param ms time it took; null: none to tell */
export function line(label: string, text: string, ms: number | null = null): void {
  const time = ms === null ? '' : `${ms.toFixed(1).padStart(TIME_COLUMNS - 3)} ms`;
  console.log(`  ${label.padEnd(LABEL_COLUMNS)}${text.padEnd(TEXT_COLUMNS)}${time}`.trimEnd());
}

export function heading(text: string): void {
  console.log(`\n${text}`);
}

/** 1048576 as 1,048,576 */
export function grouped(value: number): string {
  return value.toLocaleString('en-US');
}

/** A stopwatch that gives the milliseconds since the last look. */
export function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const ms = now - last;
    last = now;
    return ms;
  };
}
