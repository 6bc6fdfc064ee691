import { type Command, InvalidArgumentError, Option } from 'commander';
import { replayedAs } from '../conformance/replay/comment.ts';
import { REPLAY_DEFAULTS, type ReplayOptions } from '../conformance/replay/options.ts';
import { replay } from '../conformance/replay/replay.ts';
import { replayJson, replayTap, type SessionReport } from '../conformance/replay/report.ts';
import { readSessions } from '../conformance/replay/session.ts';
import { NetError } from '../stack/errors.ts';
import { ExitCode } from './exit-code.ts';

/** What commander makes of the flags. */
interface ReplayFlags {
  readonly connection?: number;
  readonly strict?: true;
  readonly exact?: true;
  readonly seed?: number;
  readonly json?: true;
  readonly reads?: 'window' | 'once';
  readonly nagle?: true;
  readonly timeTolerance?: number;
  readonly windowTolerance?: number;
  readonly patience?: number;
  readonly congestion?: string;
  readonly recvBuffer?: number;
  readonly sendBuffer?: number;
}

/** Adds the verb `replay`. */
export function addReplayCommand(program: Command): void {
  program
    .command('replay')
    .summary('replay recorded sessions against the stack')
    .description(
      "Feeds the server's packets of a capture (pcap or pcapng) to the stack at their recorded times, makes the client's calls " +
        'when the recorded client made them, and compares what the stack sends: by its meaning, or every segment, or every ' +
        'byte. Virtual time: hours take moments. A capture of this stack may tell how it is to be replayed; what is given here counts more.',
    )
    .argument('<file...>', 'captures')
    .option('--connection <number>', 'only the session of this number, from 1', number)
    .option('--strict', 'compare segment by segment')
    .option('--exact', 'compare byte by byte: for recordings of this stack in virtual time')
    .option('--json', 'report in JSON instead of TAP')
    .option(
      '--seed <number>',
      "the recording's seed: the sequence numbers must follow from it (--exact: default the recorded one)",
      number,
    )
    .option(
      '--window-tolerance <part>',
      `by which part a window may differ, 0 to 1 (default ${REPLAY_DEFAULTS.windowTolerance}; --exact: 0)`,
      number,
    )
    .option(
      '--time-tolerance <ms>',
      `strict, exact: by how much the time of a segment may differ (default ${REPLAY_DEFAULTS.timeToleranceMs}; --exact: what a capture rounds)`,
      number,
    )
    .option(
      '--patience <ms>',
      `how late the stack may be with what the server reacts to (default ${REPLAY_DEFAULTS.patienceMs})`,
      number,
    )
    .addOption(
      new Option(
        '--reads <when>',
        'when the application reads: as the recorded windows tell (default), or at once',
      ).choices(['window', 'once']),
    )
    .option('--nagle', "leave Nagle's algorithm on")
    .option('--congestion <name>', 'the congestion control of the stack (default cubic)')
    .option(
      '--recv-buffer <bytes>',
      "the receive buffer's size, a power of two (default from the recorded windows)",
      powerOfTwo,
    )
    .option(
      '--send-buffer <bytes>',
      "the send buffer's size, a power of two (default large enough)",
      powerOfTwo,
    )
    .addHelpText(
      'after',
      `
Exit codes: 0 all that was replayed is as recorded; 1 something differs, or no
session could be replayed; 2 a file cannot be read, or the command line is wrong.
A session that cannot be replayed (octets missing, begun before the
capture) is skipped with its reason, and does not count as passed.`,
    )
    .action((files: string[], flags: ReplayFlags) => {
      process.exitCode = run(files, flags);
    });
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('expected a number, 0 or more');
  return value;
}

function powerOfTwo(text: string): number {
  const value = number(text);
  if (value === 0 || Math.log2(value) % 1 !== 0) throw new InvalidArgumentError('expected a power of two');
  return value;
}

function run(files: readonly string[], flags: ReplayFlags): ExitCode {
  const json = flags.json === true;
  if (!json) console.log('TAP version 13');
  const reports: { file: string; report: SessionReport }[] = [];
  let broken = false;
  const complain = (text: string): void => {
    console.error(`tunwire: ${text}`);
    broken = true;
  };
  for (const file of files) {
    try {
      const { sessions, options } = readSessions(file);
      const chosen =
        flags.connection === undefined ? sessions : sessions.slice(flags.connection - 1, flags.connection);
      if (chosen.length === 0)
        complain(`${file}: ${sessions.length} TCP or UDP sessions in it, none to replay`);
      for (const report of replay(chosen, optionsOf(options, flags)).sessions) {
        reports.push({ file, report });
        if (!json) console.log(replayTap(file, report, reports.length));
      }
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      complain(error.message);
    }
  }
  const failed = reports.filter(({ report }) => report.differences.length > 0).length;
  const skipped = reports.filter(({ report }) => report.skipped !== '').length;
  const passed = reports.length - failed - skipped;
  if (json) {
    const sessions = reports.map(({ file, report }) => replayJson(file, report));
    console.log(JSON.stringify({ passed, failed, skipped, sessions }, null, 2));
  } else {
    console.log(`1..${reports.length}`);
    console.log(`# ${passed} passed, ${failed} failed, ${skipped} skipped`);
  }
  if (broken) return ExitCode.Usage;
  return failed > 0 || passed === 0 ? ExitCode.Failed : ExitCode.Ok;
}

/** What the capture tells, and above it what the command line says. */
function optionsOf(recorded: Partial<ReplayOptions>, flags: ReplayFlags): Partial<ReplayOptions> {
  const compare = flags.exact ? 'exact' : flags.strict ? 'strict' : 'meaning';
  const given: Record<string, unknown> = {
    seed: flags.seed,
    reads: flags.reads,
    noDelay: flags.nagle === true ? false : undefined,
    congestion: flags.congestion,
    patienceMs: flags.patience,
    recvRingBytes: flags.recvBuffer,
    sendRingBytes: flags.sendBuffer,
    timeToleranceMs: flags.timeTolerance,
    windowTolerance: flags.windowTolerance,
  };
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...replayedAs(recorded, compare), ...(Object.fromEntries(set) as Partial<ReplayOptions>) };
}
