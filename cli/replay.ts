import { replayedAs } from '../conformance/replay/comment.ts';
import { readJournal, replayRun } from '../conformance/replay/journal.ts';
import type { ReplayOptions } from '../conformance/replay/options.ts';
import { replay } from '../conformance/replay/replay.ts';
import { replayJson, replayTap, type SessionReport } from '../conformance/replay/report.ts';
import { readSessions } from '../conformance/replay/session.ts';
import { NetError } from '../stack/errors.ts';
import { ExitCode } from './exit-code.ts';
import type { ReplayFlags } from './verbs/replay.ts';

/** Replays the captures and reports. @returns the exit code */
export function replayFiles(files: readonly string[], flags: ReplayFlags): ExitCode {
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
      const run = flags.exact ? readJournal(file) : null;
      const done = run === null ? replay(chosen, optionsOf(options, flags)).sessions : replayRun(run, chosen);
      for (const report of done) {
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
