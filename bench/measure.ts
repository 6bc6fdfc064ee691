import { join } from 'node:path';
import type { Case, SubjectKind } from './cases.ts';
import { NODE } from './cases.ts';
import { type RunRequest, type RunResult, type SubjectAnswer, UNITS } from './job.ts';
import type { Network } from './network.ts';
import { coresUsed, coreTimes, foreignShare } from './noise.ts';
import { median } from './statistics.ts';
import { SubjectProcess } from './subject-process.ts';

export interface MeasureOptions extends RunRequest {
  /** Rounds that count. */
  readonly runs: number;
  /** Folder for CPU profiles of the subjects; '': none. */
  readonly profileFolder: string;
}

/** One subject's part of a measurement. */
export interface SubjectReport {
  readonly title: string;
  /** Median over the rounds that count. */
  readonly value: number;
  /** Median of the rounds' ratios to {@link NODE}; null where it does not take part. */
  readonly ratio: number | null;
  readonly values: readonly number[];
  /** Medians of the further figures. */
  readonly details: Readonly<Record<string, number>>;
  /** Cores that the subject and the peer kept busy: near 1 for the peer's one thread, the peer is what is measured. */
  readonly subjectCores: number;
  readonly peerCores: number;
  /** Cores divided by value, which says what the work costs even when other programs take the cores away. */
  readonly coresPerUnit: number;
}

export interface CaseReport {
  readonly group: string;
  readonly title: string;
  readonly unit: string;
  readonly subjects: readonly SubjectReport[];
  readonly rounds: number;
  /** Rounds thrown away because something else used the cores. */
  readonly discarded: number;
  /** Rounds that count although they were disturbed: there were not enough others. */
  readonly disturbed: number;
  /** The largest share of the cores that something else had in the rounds that count, 0 … 1. */
  readonly foreignShare: number;
  /** Why there are no figures. */
  readonly failure: string | null;
}

/** Beyond this share of all cores used by something else a round is thrown away. */
const MOST_FOREIGN_SHARE = 0.08;
/**
 * V8 is busy with the code for so long, in threads that take the cores from the two sides: round trips on 64 connections are 15 % fewer after one
 * second than after four.
 */
const COMPILE_SECONDS = 3;
/** Rounds at most, as a multiple of those wanted. */
const MOST_ROUNDS = 2;

interface Run extends RunResult {
  readonly subjectCores: number;
  readonly peerCores: number;
  readonly foreignShare: number;
}

/** The subjects' runs of one round, in the order of the case. */
type Round = readonly Run[];

/** Does a case's job by turns with all its subjects. Failures are part of the report. */
export async function measure(network: Network, one: Case, options: MeasureOptions): Promise<CaseReport> {
  const processes = new Processes(network, one, options.profileFolder);
  try {
    const rounds: Round[] = [];
    // the first round compiles the code
    const seconds = Math.max(options.seconds, COMPILE_SECONDS);
    if (!one.freshProcess) await runRound(network, processes, one, { ...options, seconds }, 0);
    const most = MOST_ROUNDS * options.runs;
    while (rounds.length < most && rounds.filter(isQuiet).length < options.runs) {
      rounds.push(await runRound(network, processes, one, options, rounds.length));
    }
    return report(one, rounds, options.runs);
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    return { ...report(one, [], 0), failure };
  } finally {
    await processes.stop();
  }
}

async function runRound(
  network: Network,
  processes: Processes,
  one: Case,
  request: RunRequest,
  turn: number,
): Promise<Round> {
  const runs: Run[] = [];
  const count = one.subjects.length;
  for (let i = 0; i < count; i++) {
    // everybody comes first once
    const which = (turn + i) % count;
    const subject = await processes.take(which);
    const peers = network.servers.map(({ child }) => child.pid ?? -1);
    const pids = [process.pid, ...peers, ...processes.pids];
    const before = coreTimes(pids);
    let result: SubjectAnswer;
    try {
      const { seconds, warmUpSeconds } = request;
      result = await subject.run({ seconds, warmUpSeconds });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`${one.subjects[which]!.title}: ${reason}`);
    }
    const after = coreTimes(pids);
    const { value, details, cores } = result;
    runs[which] = {
      value,
      details,
      subjectCores: cores,
      peerCores: Math.max(...peers.map((pid) => coresUsed(before, after, pid))),
      foreignShare: foreignShare(before, after),
    };
    if (one.freshProcess) await processes.stop();
  }
  return runs;
}

function isQuiet(round: Round): boolean {
  return foreignShareOf(round) <= MOST_FOREIGN_SHARE;
}

function foreignShareOf(round: Round): number {
  return Math.max(...round.map((run) => run.foreignShare));
}

/** @param wanted the least disturbed rounds of this number count */
function report(one: Case, rounds: readonly Round[], wanted: number): CaseReport {
  const counting = [...rounds].sort((a, b) => foreignShareOf(a) - foreignShareOf(b)).slice(0, wanted);
  const reference = one.subjects.indexOf(NODE);
  const subjects = one.subjects.map((kind, which): SubjectReport => {
    const runs = counting.map((round) => round[which]!);
    const over = (of: (run: Run) => number): number => median(runs.map(of));
    const names = Object.keys(runs[0]?.details ?? {});
    return {
      title: kind.title,
      value: over((run) => run.value),
      ratio:
        reference < 0 || reference === which
          ? null
          : median(counting.map((round) => round[which]!.value / round[reference]!.value)),
      values: runs.map((run) => run.value),
      details: Object.fromEntries(names.map((name) => [name, over((run) => run.details[name] ?? 0)])),
      subjectCores: over((run) => run.subjectCores),
      peerCores: over((run) => run.peerCores),
      coresPerUnit: over((run) => run.subjectCores / run.value),
    };
  });
  return {
    group: one.group,
    title: one.title,
    unit: UNITS[one.job.kind],
    subjects,
    rounds: counting.length,
    discarded: rounds.length - counting.length,
    disturbed: counting.filter((round) => !isQuiet(round)).length,
    foreignShare: Math.max(0, ...counting.map(foreignShareOf)),
    failure: null,
  };
}

/** The processes of a case's subjects, each started when it is first wanted. */
class Processes {
  readonly #network: Network;
  readonly #case: Case;
  readonly #profileFolder: string;
  readonly #running: Map<number, SubjectProcess> = new Map();

  constructor(network: Network, one: Case, profileFolder: string) {
    this.#network = network;
    this.#case = one;
    this.#profileFolder = profileFolder;
  }

  get pids(): number[] {
    return [...this.#running.values()].map(({ pid }) => pid);
  }

  async take(which: number): Promise<SubjectProcess> {
    let subject = this.#running.get(which);
    if (subject === undefined) {
      const kind = this.#case.subjects[which]!;
      const flags = this.#case.freshProcess ? ['--expose-gc'] : [];
      const link = linkOf(this.#case.subjects, which);
      const process = await this.#network.start(kind, this.#case.job, link, flags, this.#profile(kind));
      try {
        subject = await SubjectProcess.ready(process);
      } catch (error) {
        throw new Error(`${kind.title}: ${error instanceof Error ? error.message : String(error)}`);
      }
      this.#running.set(which, subject);
    }
    return subject;
  }

  #profile(kind: SubjectKind): string {
    if (this.#profileFolder === '') return '';
    const name = `${this.#case.group} ${this.#case.title} ${kind.title}`;
    return join(this.#profileFolder, name.replaceAll(/[^a-z0-9]+/gi, '-').toLowerCase());
  }

  async stop(): Promise<void> {
    const all = [...this.#running.values()];
    this.#running.clear();
    await Promise.all(all.map((subject) => subject.stop()));
  }
}

/** Which link of its kind a subject has: each has one of its own. */
function linkOf(subjects: readonly SubjectKind[], which: number): number {
  return subjects.slice(0, which).filter(({ link }) => link === subjects[which]!.link).length;
}
