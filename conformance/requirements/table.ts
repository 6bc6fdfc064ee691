import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { type Requirement, RFC9293 } from './rfc9293.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** Where the table is kept. */
export const TABLE_FILE: string = join(ROOT, 'docs/rfc9293.md');
/** MUSTs without a case, each with its reason. */
export const GAPS_FILE: string = join(ROOT, 'conformance/known-gaps.json');
/** What counts as code, and where cases lie. */
const FOLDERS = ['stack', 'conformance/scripts', 'engine', 'inet', 'net'];

/** A place where a requirement is named. */
export interface Mark {
  readonly id: string;
  /** From the project's root. */
  readonly file: string;
  readonly line: number;
  /** A packet script or a test; else code. */
  readonly isCase: boolean;
}

/** Reads known-gaps.json: requirement → reason. */
export function readGaps(): Readonly<Record<string, string>> {
  return (JSON.parse(readFileSync(GAPS_FILE, 'utf8')) as { rfc9293: Record<string, string> }).rfc9293;
}

/** All marks like `[RFC 9293 MUST-13]` and `[MUST-13]`; each once for a file, where it stands first. */
export function collectMarks(): Mark[] {
  const marks: Mark[] = [];
  for (const file of FOLDERS.flatMap((folder) => filesIn(join(ROOT, folder))).sort()) {
    const name = relative(ROOT, file);
    const isCase = name.endsWith('.pkt') || name.endsWith('.test.ts');
    marks.push(...marksIn(name, readFileSync(file, 'utf8'), isCase));
  }
  return marks;
}

/** The marks of one file. */
export function marksIn(file: string, text: string, isCase: boolean): Mark[] {
  const seen = new Set<string>();
  const marks: Mark[] = [];
  text.split('\n').forEach((content, i) => {
    for (const [, id = ''] of content.matchAll(/\[(?:RFC 9293 )?((?:MUST|SHLD|MAY|REC)-\d+)\]/g)) {
      if (seen.has(id)) continue;
      seen.add(id);
      marks.push({ id, file, line: i + 1, isCase });
    }
  });
  return marks;
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|pkt)$/.test(name))
    .map((name) => join(folder, name));
}

/** The table as Markdown, with what is open counted first. */
export function renderTable(marks: readonly Mark[], gaps: Readonly<Record<string, string>>): string {
  const lines = [
    '# RFC 9293: requirements, code and cases',
    '',
    'Made from the marks in code, tests and packet scripts by `node conformance/requirements/generate.ts`; a test fails when it is stale.',
    'A requirement is shown when a case names it; one without a case is open, whether or not there is code for it.',
    '',
    '| | shown | open | no part of this stack |',
    '|---|---:|---:|---:|',
  ];
  for (const prefix of ['MUST', 'SHLD', 'MAY', 'REC']) {
    const all = RFC9293.filter(({ id }) => id.startsWith(prefix));
    const outside = all.filter((requirement) => requirement.outside !== undefined).length;
    const shown = all.filter(
      (requirement) => requirement.outside === undefined && isShown(requirement, marks),
    ).length;
    lines.push(`| ${prefix} | ${shown} | ${all.length - outside - shown} | ${outside} |`);
  }
  lines.push('', '| requirement | in short | code | cases |', '|---|---|---|---|');
  for (const requirement of RFC9293) lines.push(row(requirement, marks, gaps));
  return `${lines.join('\n')}\n`;
}

/** A case names the requirement. */
export function isShown(requirement: Requirement, marks: readonly Mark[]): boolean {
  return marks.some(({ id, isCase }) => isCase && id === requirement.id);
}

function row(
  requirement: Requirement,
  marks: readonly Mark[],
  gaps: Readonly<Record<string, string>>,
): string {
  const { id, text, outside } = requirement;
  const own = marks.filter((mark) => mark.id === id);
  // without line numbers: they would make the table stale with every change of the code
  const places = (list: readonly Mark[]): string =>
    list.map(({ file }) => `[${short(file)}](../${file})`).join(', ');
  const code = places(own.filter(({ isCase }) => !isCase));
  const cases = places(own.filter(({ isCase }) => isCase));
  const open =
    outside === undefined ? `**open**: ${gaps[id] ?? 'no case names it yet'}` : `no part: ${outside}`;
  return `| ${id} | ${text} | ${code} | ${cases === '' ? open : cases} |`;
}

function short(file: string): string {
  return file.replace(/^conformance\/scripts\//, '').replace(/^stack\//, '');
}
