import type { Session } from './session.ts';

/** Something that our stack did otherwise. */
export interface Difference {
  /** Number of the packet in the capture where it shows. */
  readonly packet: number;
  /** What differs: `ack`, `payload`, `window`, `end` … */
  readonly field: string;
  readonly expected: string;
  readonly got: string;
  /** More lines, already in columns. */
  readonly details: readonly string[];
}

/** What became of one session. */
export interface SessionReport {
  readonly session: Session;
  /** Packets that our stack sent. */
  readonly sentPackets: number;
  /** Why it was not replayed; '' when it was. */
  readonly skipped: string;
  /** In the order they were found. */
  readonly differences: readonly Difference[];
}

/** What became of a capture. */
export interface ReplayReport {
  readonly sessions: readonly SessionReport[];
  /** True when nothing differs, and at least one session was replayed. */
  readonly ok: boolean;
}

/** A session in short: `192.0.2.1:40000 → 192.0.2.2:80 (tcp, 12 packets)`. */
export function sessionName(session: Session): string {
  const end = ({ address, port }: Session['client']): string =>
    address.family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
  const { protocol, packets, cutPackets } = session;
  const cut = cutPackets > 0 ? `, ${cutPackets} cut off` : '';
  return `${end(session.client)} → ${end(session.server)} (${protocol}, ${packets.length} packets${cut})`;
}

/** A difference as lines of text. */
export function describeDifference(difference: Difference): string[] {
  const { packet, field, expected, got, details } = difference;
  return [`packet ${packet}, ${field}: expected ${expected}, got ${got}`, ...details];
}

/** One session as lines of TAP: the result, and below it the first difference. @param number of the line, from 1 */
export function replayTap(file: string, report: SessionReport, number: number): string {
  const name = `${file}: ${sessionName(report.session)}`;
  if (report.skipped !== '') return `ok ${number} - ${name} # SKIP ${report.skipped}`;
  const [first] = report.differences;
  if (first === undefined) return `ok ${number} - ${name}`;
  const more = report.differences.length - 1;
  const lines = describeDifference(first);
  if (more > 0) lines.push(`and ${more} more`);
  return [`not ok ${number} - ${name}`, ...lines.map((line) => `  # ${line}`)].join('\n');
}

/** One session as plain data. */
export function replayJson(file: string, report: SessionReport): object {
  const { session, sentPackets, skipped, differences } = report;
  const end = ({ address, port }: Session['client']): object => ({ address: String(address), port });
  return {
    file,
    protocol: session.protocol,
    client: end(session.client),
    server: end(session.server),
    packets: session.packets.length,
    cutPackets: session.cutPackets,
    sentPackets,
    result: skipped !== '' ? 'skipped' : differences.length > 0 ? 'failed' : 'passed',
    ...(skipped === '' ? {} : { reason: skipped }),
    differences,
  };
}
