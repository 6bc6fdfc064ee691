import test from 'ava';
import { CASES, GROUPS, mostLinks, NODE } from './cases.ts';
import { chart } from './chart.ts';
import { measureGrowth } from './growth.ts';
import { coresUsed, coreTimes, foreignShare } from './noise.ts';
import { Latencies, median } from './statistics.ts';
import { type BenchReport, caseLines, format, growthLines } from './table.ts';

const REPORT: BenchReport = {
  machine: {
    date: '2026-01-01T00:00:00.000Z',
    commit: 'abcdef0',
    cpu: 'A & B <fast>',
    cores: 2,
    memoryGib: 8,
    kernel: '6.1',
    node: 'v24.12.0',
    loadBefore: 0.1,
  },
  runs: 5,
  seconds: 1,
  congestionControls: ['cubic'],
  growth: [
    { connections: 1, oneActive: 1000, allByTurns: 1100 },
    { connections: 100_000, oneActive: 1250, allByTurns: 40_000 },
  ],
  idle: [{ connections: 100_000, bytesPerConnection: 1400, callerBytesPerConnection: 300, tookMs: 9000 }],
  skipped: [],
  cases: [
    {
      group: 'bulk',
      title: 'send, 1 connection',
      unit: 'Gbit/s',
      rounds: 5,
      discarded: 1,
      disturbed: 2,
      foreignShare: 0.25,
      failure: null,
      subjects: [
        subject(NODE.title, 10, null),
        subject('tunwire blocking', 5, 0.5),
        subject('tunwire asynchronous', 70, 7),
      ],
    },
  ],
};

function subject(title: string, value: number, ratio: number | null): BenchReport['cases'][0]['subjects'][0] {
  return {
    title,
    value,
    ratio,
    values: [value],
    details: { 'p50 µs': 12 },
    subjectCores: 1,
    peerCores: 0.5,
    coresPerUnit: 0.1,
  };
}

test('the median is the middle value, or the mean of two', (t) => {
  t.is(median([3, 1, 2]), 2);
  t.is(median([4, 1, 3, 2]), 2.5);
  t.true(Number.isNaN(median([])));
});

test('latencies give their percentiles in microseconds', (t) => {
  const latencies = new Latencies();
  latencies.add(1000);
  latencies.reset();
  for (let i = 1; i <= 1000; i++) latencies.add(i / 1000);
  t.deepEqual(latencies.details, { 'p50 µs': 501, 'p99 µs': 991, 'p99.9 µs': 1000 });
});

test('what other processes use of the cores is told from what the own do', (t) => {
  const before = { at: 0, busy: 10, own: new Map([[1, 2]]) };
  const after = { at: 1000, busy: 11.5, own: new Map([[1, 3]]) };
  t.is(coresUsed(before, after, 1), 1);
  t.true(Math.abs(foreignShare(before, after) * coresOf() - 0.5) < 1e-9);
  const now = coreTimes([process.pid, 0x7fffffff]);
  t.true((now.own.get(process.pid) ?? 0) > 0);
  t.is(now.own.get(0x7fffffff), 0, 'a process that is gone');
  t.true(now.busy > 0);
});

/** How many cores `foreignShare` reckons with: a share of 1 is all of them for the whole time. */
function coresOf(): number {
  const idle = { at: 0, busy: 0, own: new Map<number, number>() };
  return 1 / foreignShare(idle, { at: 1000, busy: 1, own: new Map() });
}

test('numbers keep three digits that count', (t) => {
  t.is(format(1234567.8), '1,234,568');
  t.is(format(12.345), '12.3');
  t.is(format(Number.NaN), '–');
});

test('a case is shown with its ratios, and with what spoils it', (t) => {
  const lines = caseLines(REPORT.cases[0]!).split('\n');
  t.regex(lines[0] ?? '', /1 rounds thrown away; 2 disturbed rounds count, up to 25 % of the cores/);
  t.regex(lines[2] ?? '', /^ {2}tunwire blocking +5\.00 +0\.50 × .*p50 µs 12/);
  const failed = caseLines({ ...REPORT.cases[0]!, failure: 'no\nanswer' });
  t.is(failed, 'bulk: send, 1 connection [Gbit/s] FAILED\n  no\n  answer');
});

test('the chart is well-formed, and long bars are cut', (t) => {
  const svg = chart(REPORT);
  t.true(svg.includes('A &amp; B &lt;fast&gt;'));
  t.is(svg.match(/<text/g)?.length, svg.match(/<\/text>/g)?.length);
  const widths = [...svg.matchAll(/<rect x="260"[^>]*width="([\d.]+)"/g)].map((match) => Number(match[1]));
  t.deepEqual(widths, [86.7, 520]);
  t.true(svg.includes('7.00 ×'));
  t.regex(svg, /<polyline points="260\.0,[\d.]+ 780\.0,[\d.]+"/);
  t.true(svg.includes('1.25 ×'));
});

test('every case can be selected, and has a device for each of its subjects', (t) => {
  t.deepEqual(GROUPS, ['bulk', 'tls', 'round-trip', 'set-up', 'engines', 'memory', 'udp', 'dns', 'device']);
  t.is(new Set(CASES.map(({ group, title }) => `${group} ${title}`)).size, CASES.length);
  t.is(mostLinks('tun'), 3);
  t.is(mostLinks('veth'), 1);
  for (const { job, subjects } of CASES) {
    if (job.packetBytes === 0) t.is(subjects[0], NODE);
  }
});

test('growth is shown beside the cost with the fewest connections', (t) => {
  const [, one, many] = growthLines(REPORT.growth).split('\n');
  t.regex(one!, /1\.00 connections +1,000 +1\.00 ×/);
  t.regex(many!, /100,000 connections +1,250 +1\.25 × +all by turns +40,000/);
});

test('the cost of a packet is measured, with few connections and with some', (t) => {
  for (const connections of [1, 70]) {
    const { oneActive, allByTurns } = measureGrowth(connections, 200, 1);
    t.true(oneActive > 0 && allByTurns > 0);
  }
});
