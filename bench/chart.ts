import { NODE } from './cases.ts';
import type { SubjectReport } from './measure.ts';
import { type BenchReport, format, heading } from './table.ts';

const WIDTH = 960;
const LABEL_WIDTH = 260;
const PLOT_WIDTH = 520;
const BAR_HEIGHT = 14;
const ROW_GAP = 4;
const CASE_GAP = 26;
const MARGIN = 16;
const LINE_HEIGHT = 16;
/** Longer bars are cut here, and say by how much. */
const LARGEST_RATIO = 3;

const COLORS: Readonly<Record<string, string>> = {
  'tunwire blocking': '#2563eb',
  'tunwire asynchronous': '#0d9488',
  'tunwire blocking, no offload': '#93b4f5',
  'tunwire asynchronous, no offload': '#86cfc8',
};

/** Bars of every subject's ratio to Node on the kernel's own sockets, which is a line at 1. */
export function chart(report: BenchReport): string {
  const parts: string[] = [];
  let y = MARGIN;
  for (const line of heading(report).split('\n')) {
    y += LINE_HEIGHT;
    parts.push(text(MARGIN, y, line, 'class="dim"'));
  }
  const top = y + 8;
  y = top + 4;
  for (const { group, title, unit, subjects } of report.cases) {
    const bars = subjects.filter(({ ratio }) => ratio !== null);
    const reference = subjects.find((subject) => subject.title === NODE.title);
    if (bars.length === 0 || reference === undefined) continue;
    y += CASE_GAP;
    parts.push(text(MARGIN, y - 6, `${group}: ${title} (Node: ${format(reference.value)} ${unit})`));
    for (const subject of bars) {
      parts.push(bar(subject, y));
      y += BAR_HEIGHT + ROW_GAP;
    }
  }
  const height = y + MARGIN;
  const one = LABEL_WIDTH + PLOT_WIDTH / LARGEST_RATIO;
  const line = `<line x1="${one}" y1="${top}" x2="${one}" y2="${height - MARGIN}" class="one"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}">
<style>
text { font: 12px system-ui, sans-serif; fill: #1f2937 }
.dim { fill: #6b7280 }
.one { stroke: #6b7280; stroke-dasharray: 3 3 }
</style>
<rect width="100%" height="100%" fill="#ffffff"/>
${parts.join('\n')}
${line}
</svg>
`;
}

function bar({ title, ratio, value }: SubjectReport, y: number): string {
  const shown = Math.min(ratio ?? 0, LARGEST_RATIO);
  const width = Math.max(1, (shown / LARGEST_RATIO) * PLOT_WIDTH);
  const baseline = y + BAR_HEIGHT - 3;
  const color = COLORS[title] ?? '#6b7280';
  return [
    text(LABEL_WIDTH - 8, baseline, title, 'text-anchor="end" class="dim"'),
    `<rect x="${LABEL_WIDTH}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" fill="${color}"/>`,
    text(LABEL_WIDTH + width + 6, baseline, `${(ratio ?? 0).toFixed(2)} ×  ${format(value)}`),
  ].join('\n');
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
