import { NODE } from './cases.ts';
import type { Growth } from './growth.ts';
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
const GROWTH_HEIGHT = 90;
/** The plot's upper end, and the second of its lines: what 100,000 connections may cost. */
const LARGEST_GROWTH = 2;
const GROWTH_BAR = 1.3;

const COLORS: Readonly<Record<string, string>> = {
  'tunwire blocking': '#2563eb',
  'tunwire asynchronous': '#0d9488',
  'tunwire blocking, raw:': '#7c3aed',
  'tunwire, 2 engines': '#0f766e',
  'tunwire, 4 engines': '#134e4a',
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
  const barsEnd = y;
  if (report.growth.length > 1) {
    parts.push(growthPlot(report.growth, y + CASE_GAP));
    y += CASE_GAP + GROWTH_HEIGHT + 2 * LINE_HEIGHT;
  }
  const height = y + MARGIN;
  const one = LABEL_WIDTH + PLOT_WIDTH / LARGEST_RATIO;
  const line = `<line x1="${one}" y1="${top}" x2="${one}" y2="${barsEnd}" class="one"/>`;
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

/** A packet's cost against the number of connections, on a logarithmic axis; 1 is its cost with the fewest. */
function growthPlot(growth: readonly Growth[], top: number): string {
  const first = growth[0]!;
  const last = growth.at(-1)!;
  const span = Math.log(last.connections / first.connections);
  const bottom = top + LINE_HEIGHT + GROWTH_HEIGHT;
  const x = (connections: number): number =>
    LABEL_WIDTH + (span > 0 ? Math.log(connections / first.connections) / span : 0) * PLOT_WIDTH;
  const times = ({ oneActive }: Growth): number => oneActive / first.oneActive;
  const y = (ratio: number): number =>
    bottom - (Math.min(ratio, LARGEST_GROWTH) / LARGEST_GROWTH) * GROWTH_HEIGHT;
  const points = growth.map((step) => `${x(step.connections).toFixed(1)},${y(times(step)).toFixed(1)}`);
  const level = (ratio: number): string =>
    `<line x1="${LABEL_WIDTH}" y1="${y(ratio).toFixed(1)}" x2="${LABEL_WIDTH + PLOT_WIDTH}" y2="${y(ratio).toFixed(1)}" class="one"/>`;
  return [
    text(
      MARGIN,
      top,
      `a packet's cost against the number of connections (${format(first.oneActive)} ns with one)`,
    ),
    level(1),
    level(GROWTH_BAR),
    `<polyline points="${points.join(' ')}" fill="none" stroke="#2563eb" stroke-width="2"/>`,
    ...growth.map((step) =>
      text(x(step.connections), y(times(step)) - 6, `${times(step).toFixed(2)} ×`, 'text-anchor="middle"'),
    ),
    ...growth.map((step) =>
      text(
        x(step.connections),
        bottom + LINE_HEIGHT,
        format(step.connections),
        'text-anchor="middle" class="dim"',
      ),
    ),
  ].join('\n');
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
