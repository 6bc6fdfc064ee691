/** MUST, SHOULD and MAY also for SHALL, RECOMMENDED and OPTIONAL; RULE: a step of an algorithm in a text without such words. */
export type Level = 'MUST' | 'SHOULD' | 'MAY' | 'RULE';

/** One requirement in words of our own. */
export interface Requirement {
  /** `MUST-13` in RFC 9293; elsewhere its section with a number, `§3.2-1`. */
  readonly id: string;
  readonly level: Level;
  readonly text: string;
  /** Why it is no part of a host on a TUN device, or of this stack; not counted. */
  readonly outside?: string;
  /** The requirement of RFC 9293 that has taken its place. */
  readonly is?: string;
}

/** A text with its requirements. */
export interface Specification {
  /** As marks name it: `RFC 7323`. */
  readonly name: string;
  /** Of the file of its table, and in the list of gaps: `rfc7323`. */
  readonly key: string;
  readonly title: string;
  readonly requirements: readonly Requirement[];
}

/**
 * Reads a table with one requirement in a line: `§3.2-1 MUST text`, which may end with `| outside: why`, or with `| is MUST-4` for
 * what RFC 9293 has taken over.
 * @throws RangeError for a line in another form
 */
export function specification(name: string, title: string, table: string): Specification {
  const lines = table.split('\n').filter((line) => line.trim() !== '');
  const key = name.toLowerCase().replaceAll(' ', '');
  return { name, key, title, requirements: lines.map((line) => requirement(name, line)) };
}

function requirement(name: string, line: string): Requirement {
  const found =
    /^(§[A-Z\d.]+-\d+) (MUST|SHOULD|MAY|RULE) ([^|]+)(?:\| (outside: (.+)|is ((?:MUST|SHLD|MAY|REC)-\d+)))?$/.exec(
      line,
    );
  if (found === null) throw new RangeError(`${name}: ${line}`);
  const [, id = '', level, text = '', , outside, is] = found;
  const base = { id, level: level as Level, text: text.trim() };
  if (outside !== undefined) return { ...base, outside };
  return is === undefined ? base : { ...base, is };
}
