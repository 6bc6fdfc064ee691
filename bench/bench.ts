/** Measures the stack against Node on the kernel's own sockets: `npm run bench -- --help`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { missing } from '../test/requirements.ts';
import { CASES, type Case, GROUPS } from './cases.ts';
import { chart } from './chart.ts';
import { GROWTH_STEPS, type Growth, growth } from './growth.ts';
import { type IdleCost, idleCosts } from './idle-connections.ts';
import { describeMachine } from './machine.ts';
import { type CaseReport, type MeasureOptions, measure } from './measure.ts';
import { Network } from './network.ts';
import { profileSummaries } from './profile.ts';
import { type BenchReport, caseLines, growthLines, heading, idleLines } from './table.ts';

/** The group that is measured between two stacks in a process, without a network. */
const GROWTH = 'growth';
/** Connections that cost no port of a single peer: over TUN to the kernel, without another stack beside. */
const IDLE = 'idle';
const IDLE_STEPS: readonly number[] = [1000, 10_000, 100_000];
/** With --quick. */
const QUICK_CONNECTIONS = 10_000;

const USAGE = `npm run bench -- [GROUP…] [OPTION…]

Groups: ${[...GROUPS, IDLE, GROWTH].join(', ')}; all of them when none is named.

  --runs N          rounds that count, by turns (default 5)
  --seconds S       length of a run (default 0.3, with --quick 0.2)
  --quick           shorter runs, and no more than 10,000 connections
  --json FILE       default bench/results/bench.json
  --svg FILE        default bench/results/bench.svg
  --profile FOLDER  V8 CPU profiles of all threads of the subjects, and where their time went
  --list            names the measurements and ends

Needs root for its network namespaces: they are made at the start and removed at the end.`;

const RESULTS: string = resolve(import.meta.dirname, 'results');
const WARM_UP_SHARE = 0.3;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string', default: resolve(RESULTS, 'bench.json') },
    svg: { type: 'string', default: resolve(RESULTS, 'bench.svg') },
    profile: { type: 'string' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function chosenCases(): Case[] {
  for (const name of positionals) {
    if (name !== GROWTH && name !== IDLE && !GROUPS.includes(name)) {
      throw new Error(`no group ${name}; there are ${[...GROUPS, IDLE, GROWTH].join(', ')}`);
    }
  }
  return CASES.filter(({ group }) => isChosen(group));
}

function isChosen(group: string): boolean {
  return positionals.length === 0 || positionals.includes(group);
}

function positive(name: string, value: string): number {
  const number = Number(value);
  if (number > 0) return number;
  throw new Error(`--${name} is a number above 0, got ${value}`);
}

/** @returns exit code */
async function bench(): Promise<number> {
  const cases = chosenCases();
  const runs = Math.ceil(positive('runs', values.runs));
  const seconds = positive('seconds', values.seconds ?? (values.quick ? '0.2' : '0.3'));
  const reason = missing('tun');
  if (reason !== '') {
    console.log(`skipped: every measurement needs network namespaces with TUN devices: ${reason}`);
    return 0;
  }
  const profileFolder = values.profile === undefined ? '' : resolve(values.profile);
  if (profileFolder !== '') mkdirSync(profileFolder, { recursive: true });
  const options: MeasureOptions = { runs, seconds, warmUpSeconds: seconds * WARM_UP_SHARE, profileFolder };
  const machine = describeMachine();
  const network = await Network.create();
  const stop = (): void => void network.close().then(() => process.exit(130));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const reports: CaseReport[] = [];
  const skipped: string[] = [];
  const congestionControls = new Set<string>();
  try {
    const noDns = missing('dnsmasq');
    if (cases.some(({ group }) => group === 'dns') && noDns === '') await network.startNameServer();
    for (const one of cases) {
      if (one.group === 'dns' && noDns !== '') {
        skipped.push(`${one.group}: ${one.title}: ${noDns}`);
        continue;
      }
      // between two runs there is no connection to look at
      const looking = setInterval(
        () =>
          void network.congestionControls().then(
            (found) => {
              for (const name of found) congestionControls.add(name);
              if (found.length > 0) clearInterval(looking);
            },
            () => {},
          ),
        LOOK_EVERY_MS,
      );
      const report = await measure(network, one, options);
      clearInterval(looking);
      reports.push(report);
      console.error(`${caseLines(report)}\n`);
    }
  } finally {
    await network.close();
  }
  let grown: Growth[] = [];
  const most = values.quick ? QUICK_CONNECTIONS : Math.max(...GROWTH_STEPS);
  let idle: IdleCost[] = [];
  if (isChosen(IDLE)) {
    idle = await idleCosts(IDLE_STEPS.filter((step) => step <= most));
    console.error(`${idleLines(idle)}\n`);
  }
  if (isChosen(GROWTH)) {
    grown = await growth(most);
    console.error(`${growthLines(grown)}\n`);
  }
  const report: BenchReport = {
    machine,
    runs,
    seconds,
    congestionControls: [...congestionControls].sort(),
    cases: reports,
    growth: grown,
    idle,
    skipped,
  };
  save(values.json, `${JSON.stringify(report, null, 2)}\n`);
  save(values.svg, chart(report));
  console.log(
    [
      heading(report),
      ...reports.map(caseLines),
      ...(idle.length > 0 ? [idleLines(idle)] : []),
      ...(grown.length > 0 ? [growthLines(grown)] : []),
      ...skipped.map((what) => `skipped: ${what}`),
    ].join('\n\n'),
  );
  if (profileFolder !== '') console.log(`\n${profileSummaries(profileFolder)}`);
  return reports.some(({ failure }) => failure !== null) ? 1 : 0;
}

/** Until connections are found; mostly in the first round, which does not count. */
const LOOK_EVERY_MS = 600;

function save(file: string, content: string): void {
  mkdirSync(dirname(resolve(file)), { recursive: true });
  writeFileSync(file, content);
}

if (values.help) {
  console.log(USAGE);
} else if (values.list) {
  for (const { group, title } of chosenCases()) console.log(`${group}: ${title}`);
} else {
  process.exitCode = await bench();
}
