import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { RFC9293 } from './rfc9293.ts';
import type { Requirement, Specification } from './specification.ts';
import { SPECIFICATIONS } from './specifications.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** Where the tables are kept. */
export const TABLES_FOLDER: string = join(ROOT, 'docs/requirements');
/** Requirements without a case, each with its reason. */
export const GAPS_FILE: string = join(ROOT, 'conformance/known-gaps.json');
/** What counts as code, and where cases lie. */
const FOLDERS = ['stack', 'conformance/scripts', 'conformance/script', 'engine', 'inet', 'net'];

/** A place where a requirement is named. */
export interface Mark {
  /** As {@link Specification.name} has it. */
  readonly specification: string;
  readonly id: string;
  /** From the project's root. */
  readonly file: string;
  readonly line: number;
  /** A packet script or a test; else code. */
  readonly isCase: boolean;
}

/** Reasons by requirement, for each text by its key. */
export type Gaps = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** How many requirements of a text are in which state. */
export interface Counts {
  readonly shown: number;
  readonly open: number;
  readonly outside: number;
}

/** Reads known-gaps.json. */
export function readGaps(): Gaps {
  return JSON.parse(readFileSync(GAPS_FILE, 'utf8')) as Gaps;
}

/** All marks like `[RFC 9293 MUST-13]`, `[MUST-13]` and `[RFC 7323 §3.2-1]`; each once for a file, where it stands first. */
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
    for (const found of content.matchAll(
      /\[(?:(?:RFC 9293 )?((?:MUST|SHLD|MAY|REC)-\d+)|(RFC \d+|BBR) (§[A-Z\d.]+-\d+))\]/g,
    )) {
      const [, ofRfc9293, specification = 'RFC 9293', section = ''] = found;
      const id = ofRfc9293 ?? section;
      if (seen.has(`${specification} ${id}`)) continue;
      seen.add(`${specification} ${id}`);
      marks.push({ specification, id, file, line: i + 1, isCase });
    }
  });
  return marks;
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|pkt)$/.test(name))
    .map((name) => join(folder, name));
}

/** A case names the requirement, or the one of RFC 9293 that has taken its place. */
export function isShown(text: Specification, requirement: Requirement, marks: readonly Mark[]): boolean {
  const name = requirement.is === undefined ? text.name : RFC9293.name;
  const id = requirement.is ?? requirement.id;
  return marks.some((mark) => mark.isCase && mark.specification === name && mark.id === id);
}

/** Why a requirement is not counted; '' when it is. */
export function outsideOf(requirement: Requirement): string {
  if (requirement.is === undefined) return requirement.outside ?? '';
  return RFC9293.requirements.find(({ id }) => id === requirement.is)?.outside ?? '';
}

/** What no case shows, whatever its level: each needs a reason in the list of gaps. What RFC 9293 has taken over is on its own list. */
export function openRows(text: Specification, marks: readonly Mark[]): string[] {
  return text.requirements
    .filter(({ is }) => is === undefined)
    .filter((requirement) => outsideOf(requirement) === '' && !isShown(text, requirement, marks))
    .map(({ id }) => id);
}

/** Counts the requirements of a text, of one level or of all. */
export function countsOf(
  text: Specification,
  marks: readonly Mark[],
  belongs: (requirement: Requirement) => boolean = () => true,
): Counts {
  const all = text.requirements.filter(belongs);
  const outside = all.filter((requirement) => outsideOf(requirement) !== '').length;
  const shown = all.filter(
    (requirement) => outsideOf(requirement) === '' && isShown(text, requirement, marks),
  ).length;
  return { shown, open: all.length - outside - shown, outside };
}

const HEAD = [
  'Made from the marks in code, tests and packet scripts by `node conformance/requirements/generate.ts`; a test fails when it is stale.',
  'A requirement is shown when a case names it; one without a case is open, whether or not there is code for it.',
  '',
];
const COUNTED = ['| | shown | open | no part of this stack |', '|---|---:|---:|---:|'];

/** All tables by the names of their files, and the index as README.md. */
export function renderTables(marks: readonly Mark[], gaps: Gaps): Map<string, string> {
  const files = new Map<string, string>();
  for (const text of SPECIFICATIONS) files.set(`${text.key}.md`, renderTable(text, marks, gaps));
  files.set('README.md', renderIndex(marks));
  return files;
}

function renderIndex(marks: readonly Mark[]): string {
  const lines = ['# Requirements', '', ...HEAD];
  lines.push(
    '"No part" are requirements about routers, applications, or what a newer text has replaced, each with its reason in the table.',
    'Rules are steps of algorithms in texts that have no MUST. What is open has its reason in `conformance/known-gaps.json`.',
    '',
    '| text | MUST and rules shown | open | SHOULD and MAY shown | open | no part |',
    '|---|---:|---:|---:|---:|---:|',
  );
  const total = [0, 0, 0, 0, 0];
  for (const text of SPECIFICATIONS) {
    const hard = countsOf(text, marks, ({ level }) => level === 'MUST' || level === 'RULE');
    const soft = countsOf(text, marks, ({ level }) => level === 'SHOULD' || level === 'MAY');
    const row = [hard.shown, hard.open, soft.shown, soft.open, hard.outside + soft.outside];
    for (const [i, value] of row.entries()) total[i] = (total[i] ?? 0) + value;
    lines.push(`| [${text.name}](${text.key}.md) ${text.title} | ${row.join(' | ')} |`);
  }
  lines.push(`| all | ${total.join(' | ')} |`);
  return `${lines.join('\n')}\n`;
}

/** The table of one text as Markdown, with what is open counted first. */
export function renderTable(text: Specification, marks: readonly Mark[], gaps: Gaps): string {
  const lines = [`# ${text.name}: ${text.title}`, '', ...HEAD, ...COUNTED];
  const own = text === RFC9293;
  for (const group of own ? ['MUST', 'SHLD', 'MAY', 'REC'] : ['MUST', 'RULE', 'SHOULD', 'MAY']) {
    const belongs = ({ id, level }: Requirement): boolean => (own ? id.startsWith(group) : level === group);
    if (!text.requirements.some(belongs)) continue;
    const { shown, open, outside } = countsOf(text, marks, belongs);
    lines.push(`| ${group} | ${shown} | ${open} | ${outside} |`);
  }
  lines.push('', '| requirement | in short | code | cases |', '|---|---|---|---|');
  for (const requirement of text.requirements) lines.push(row(text, requirement, marks, gaps));
  return `${lines.join('\n')}\n`;
}

function row(text: Specification, requirement: Requirement, marks: readonly Mark[], gaps: Gaps): string {
  const { id, level, is } = requirement;
  const name = text === RFC9293 ? id : `${id} ${level}`;
  const outside = outsideOf(requirement);
  if (is !== undefined) {
    const state =
      outside === '' ? (isShown(text, requirement, marks) ? 'shown' : '**open**') : `no part: ${outside}`;
    return `| ${name} | ${requirement.text} | | ${state}: [RFC 9293 ${is}](rfc9293.md) |`;
  }
  const found = marks.filter((mark) => mark.id === id && mark.specification === text.name);
  // without line numbers: they would make the table stale with every change of the code
  const places = (list: readonly Mark[]): string =>
    list.map(({ file }) => `[${short(file)}](../../${file})`).join(', ');
  const code = places(found.filter(({ isCase }) => !isCase));
  const cases = places(found.filter(({ isCase }) => isCase));
  const open =
    outside === '' ? `**open**: ${gaps[text.key]?.[id] ?? 'no case names it yet'}` : `no part: ${outside}`;
  return `| ${name} | ${requirement.text} | ${code} | ${cases === '' ? open : cases} |`;
}

function short(file: string): string {
  return file.replace(/^conformance\/scripts\//, '').replace(/^stack\//, '');
}
