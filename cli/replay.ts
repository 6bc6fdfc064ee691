import { type Command, InvalidArgumentError, Option } from 'commander';
import { REPLAY_DEFAULTS, type ReplayOptions, replay } from '../conformance/replay/replay.ts';
import { replayTap, type SessionReport } from '../conformance/replay/report.ts';
import { readSessions } from '../conformance/replay/session.ts';
import { NetError } from '../stack/errors.ts';
import { ExitCode } from './exit-code.ts';

/** What commander makes of the flags. */
interface ReplayFlags {
  readonly connection?: number;
  readonly strict?: true;
  readonly exact?: true;
  readonly seed?: number;
  readonly reads: 'window' | 'once';
  readonly nagle?: true;
  readonly timeTolerance?: number;
  readonly windowTolerance?: number;
  readonly patience: number;
  readonly recvBuffer: number;
  readonly sendBuffer: number;
}

/** Adds the verb `replay`. */
export function addReplayCommand(program: Command): void {
  program
    .command('replay')
    .summary('replay recorded sessions against the stack')
    .description(
      "Feeds the server's packets of a capture (pcap or pcapng) to the stack at their recorded times, makes the client's calls " +
        'when the recorded client made them, and compares what the stack sends: by its meaning, or every segment, or every ' +
        'byte. Reports in TAP, one line for each session, in virtual time. The command ends with 1 when something differs.',
    )
    .argument('<file...>', 'captures')
    .option('--connection <number>', 'only the session of this number, from 1', number)
    .option('--strict', 'compare segment by segment')
    .option('--exact', 'compare byte by byte: for recordings of this stack')
    .option('--seed <number>', "the recording's seed: the sequence numbers must follow from it", number)
    .addOption(
      new Option('--reads <when>', 'when the application reads: as the recorded windows tell, or at once')
        .choices(['window', 'once'])
        .default('window'),
    )
    .option('--nagle', "leave Nagle's algorithm on")
    .option('--time-tolerance <ms>', 'strict, exact: by how much the time of a segment may differ', number)
    .option('--window-tolerance <part>', 'strict: by which part a window may differ, 0 to 1', number)
    .option(
      '--patience <ms>',
      'how late the stack may be with what the server reacts to',
      number,
      REPLAY_DEFAULTS.patienceMs,
    )
    .option(
      '--recv-buffer <bytes>',
      "the receive buffer's size, a power of two; 0: from the recorded windows",
      number,
      0,
    )
    .option('--send-buffer <bytes>', "the send buffer's size, a power of two; 0: large enough", number, 0)
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

function run(files: readonly string[], flags: ReplayFlags): ExitCode {
  console.log('TAP version 13');
  const reports: SessionReport[] = [];
  let broken = false;
  for (const file of files) {
    try {
      const { sessions } = readSessions(file);
      const chosen =
        flags.connection === undefined ? sessions : sessions.slice(flags.connection - 1, flags.connection);
      if (chosen.length === 0) {
        console.error(`tunwire: ${file}: ${sessions.length} TCP or UDP sessions in it, none to replay`);
        broken = true;
      }
      for (const report of replay(chosen, optionsOf(flags)).sessions) {
        reports.push(report);
        console.log(replayTap(file, report, reports.length));
      }
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      console.error(`tunwire: ${error.message}`);
      broken = true;
    }
  }
  const failed = reports.filter(({ differences }) => differences.length > 0).length;
  const skipped = reports.filter((report) => report.skipped !== '').length;
  console.log(`1..${reports.length}`);
  console.log(`# ${reports.length - failed - skipped} passed, ${failed} failed, ${skipped} skipped`);
  if (broken) return ExitCode.Usage;
  return failed > 0 ? ExitCode.Failed : ExitCode.Ok;
}

function optionsOf(flags: ReplayFlags): Partial<ReplayOptions> {
  const { strict, exact, seed = null, reads, patience, timeTolerance, windowTolerance } = flags;
  return {
    compare: exact ? 'exact' : strict ? 'strict' : 'meaning',
    seed,
    reads,
    noDelay: flags.nagle !== true,
    patienceMs: patience,
    recvRingBytes: flags.recvBuffer,
    sendRingBytes: flags.sendBuffer,
    timeToleranceMs: timeTolerance ?? (exact ? 1 : REPLAY_DEFAULTS.timeToleranceMs),
    windowTolerance: windowTolerance ?? REPLAY_DEFAULTS.windowTolerance,
  };
}
