import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recordScenario } from './record.ts';
import { type Outcome, runScenario } from './run.ts';
import { scenarioOf } from './scenario.ts';
import { Violation } from './watcher.ts';

/** What became of many scenarios. */
export interface Summary extends Outcome {
  /** One for each seed that failed: what happened, how to run it alone, where its packets are. */
  readonly failures: readonly string[];
}

/** Runs the scenarios of the seeds `first` … `first` + `count` - 1. @param failed called with each failure, at once */
export function checkSeeds(first: number, count: number, failed: (text: string) => void = () => {}): Summary {
  const failures: string[] = [];
  const sum = { complete: 0, failed: 0, packets: 0, virtualMs: 0 };
  for (let seed = first; seed < first + count; seed++) {
    try {
      const outcome = runScenario(scenarioOf(seed));
      sum.complete += outcome.complete;
      sum.failed += outcome.failed;
      sum.packets += outcome.packets;
      sum.virtualMs += outcome.virtualMs;
    } catch (error) {
      const text = describeFailure(seed, error);
      failures.push(text);
      failed(text);
    }
  }
  return { ...sum, failures };
}

function describeFailure(seed: number, error: unknown): string {
  const file = join(tmpdir(), `tunwire-property-${seed}.pcapng`);
  try {
    recordScenario(scenarioOf(seed), file);
  } catch {
    // the same failure again, this time recorded
  }
  const what =
    error instanceof Violation ? error.message : error instanceof Error ? error.stack : String(error);
  return `seed ${seed}: ${what}\n  again: npm run property -- --seeds 1 --first ${seed} --describe\n  its packets: ${file}`;
}
