import type { Growth } from './growth.ts';
import type { IdleCost } from './idle-connections.ts';
import type { Machine } from './machine.ts';
import type { CaseReport, SubjectReport } from './measure.ts';

/** All that a benchmark has found out. */
export interface BenchReport {
  readonly machine: Machine;
  readonly runs: number;
  readonly seconds: number;
  /** What the peer's kernel used; measured, not configured. */
  readonly congestionControls: readonly string[];
  readonly cases: readonly CaseReport[];
  /** What a packet costs with more and more connections; empty: not measured. */
  readonly growth: readonly Growth[];
  /** What idle connections cost; empty: not measured. */
  readonly idle: readonly IdleCost[];
  readonly skipped: readonly string[];
}

/** The lines on top of a report. */
export function heading({ machine, runs, seconds, congestionControls }: BenchReport): string {
  const { cpu, cores, memoryGib, kernel, node, commit, date, loadBefore } = machine;
  return [
    `tunwire ${commit}, ${date}`,
    `${cpu}, ${cores} cores, ${memoryGib} GiB, Linux ${kernel}, Node ${node}, load ${loadBefore.toFixed(2)} before`,
    `medians of ${runs} rounds of ${seconds} s by turns; the kernel's congestion control: ${congestionControls.join(', ') || 'not seen'}`,
  ].join('\n');
}

/** What a packet costs with many connections, as lines of text. */
export function growthLines(growth: readonly Growth[]): string {
  const first = growth[0]?.oneActive ?? Number.NaN;
  const lines = growth.map(({ connections, oneActive, allByTurns }) => {
    const times = `${(oneActive / first).toFixed(2)} ×`;
    return `  ${format(connections).padStart(9)} connections ${format(oneActive).padStart(8)} ${times.padStart(8)}   all by turns ${format(allByTurns).padStart(8)}`;
  });
  return ['growth: time of a core for a packet, of one active connection among many [ns]', ...lines].join(
    '\n',
  );
}

/** What idle connections cost, as lines of text. */
export function idleLines(idle: readonly IdleCost[]): string {
  const lines = idle.map(
    ({ connections, bytesPerConnection, callerBytesPerConnection, tookMs }) =>
      `  ${format(connections).padStart(9)} connections ${format(bytesPerConnection).padStart(8)}   ${format(callerBytesPerConnection)} of it the caller's; set up in ${format(tookMs / 1000)} s`,
  );
  return ['idle: resident memory of an idle connection over TUN [bytes]', ...lines].join('\n');
}

/** One case as lines of text. */
export function caseLines(report: CaseReport): string {
  const lines = [`${report.group}: ${report.title} [${report.unit}]${remark(report)}`];
  if (report.failure !== null)
    return [...lines, ...report.failure.split('\n').map((line) => `  ${line}`)].join('\n');
  for (const subject of report.subjects) lines.push(`  ${subjectLine(subject, report.unit)}`);
  return lines.join('\n');
}

function remark({ discarded, disturbed, foreignShare, failure }: CaseReport): string {
  if (failure !== null) return ' FAILED';
  const parts: string[] = [];
  if (discarded > 0) parts.push(`${discarded} rounds thrown away`);
  if (disturbed > 0) {
    parts.push(`${disturbed} disturbed rounds count, up to ${Math.round(foreignShare * 100)} % of the cores`);
  }
  return parts.length === 0 ? '' : ` (${parts.join('; ')})`;
}

/** What one byte, or one of whatever is counted, costs in time of a core; '' for what is no rate. */
function cost({ coresPerUnit }: SubjectReport, unit: string): string {
  if (unit === 'Gbit/s') return `cpu ${format(coresPerUnit * 8)} ns/byte`;
  return unit.endsWith('/s') ? `cpu ${format(coresPerUnit * 1e6)} µs each` : '';
}

function subjectLine(subject: SubjectReport, unit: string): string {
  const { title, value, ratio, values, details, subjectCores, peerCores } = subject;
  const figures = Object.entries(details).map(([name, figure]) => `${name} ${format(figure)}`);
  return [
    title.padEnd(34),
    format(value).padStart(10),
    (ratio === null ? '' : `${ratio.toFixed(2)} ×`).padStart(8),
    `  ${`${format(Math.min(...values))} … ${format(Math.max(...values))}`.padEnd(20)}`,
    `cores ${subjectCores.toFixed(1)} + ${peerCores.toFixed(1)}`,
    cost(subject, unit).padEnd(18),
    ...figures.map((figure) => `  ${figure}`),
  ].join(' ');
}

/** Three digits that count, thousands apart. */
export function format(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toPrecision(3);
}
