import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'ava';
import type { Description } from '../../pcap-fixtures/description.ts';
import { OWN_SESSIONS, recordOwn } from '../../pcap-fixtures/own-sessions.ts';
import { replayedAs } from './comment.ts';
import { REPLAY_DEFAULTS } from './options.ts';
import { replay } from './replay.ts';
import { replayTap } from './report.ts';
import { readSessions } from './session.ts';

const FOLDER = resolve(import.meta.dirname, '../../pcap-fixtures');
const MAX_FIXTURE_BYTES = 100_000;
const CAPTURES = readdirSync(FOLDER).filter((name) => /\.pcap(ng)?$/.test(name));

function descriptionOf(capture: string): Description {
  return JSON.parse(readFileSync(join(FOLDER, capture.replace(/\.pcap(ng)?$/, '.json')), 'utf8'));
}

test('there are captures of the kernel and of ours', (t) => {
  t.true(CAPTURES.filter((name) => name.startsWith('kernel-')).length >= 40);
  t.true(CAPTURES.filter((name) => name.startsWith('own-')).length >= 19);
});

for (const capture of CAPTURES) {
  test(`${capture} replays`, (t) => {
    const file = join(FOLDER, capture);
    t.true(existsSync(file.replace(/\.pcap(ng)?$/, '.json')), 'a description lies beside it');
    t.true(statSync(file).size <= MAX_FIXTURE_BYTES);
    const description = descriptionOf(capture);
    for (const word of [description.what, description.recorded, description.shows]) t.true(word.length > 0);
    for (const option of Object.keys(description.replay)) t.true(option in REPLAY_DEFAULTS, option);
    const { sessions, options } = readSessions(file);
    const report = replay(sessions, { ...replayedAs(options, 'meaning'), ...description.replay });
    const lines = report.sessions.map((session, i) => replayTap(capture, session, i + 1));
    t.true(report.ok, lines.join('\n'));
    t.true(
      report.sessions.every(({ skipped }) => skipped === ''),
      lines.join('\n'),
    );
  });
}

for (const session of OWN_SESSIONS) {
  test(`${session.name}, recorded now, replays byte for byte`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'tunwire-replay-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const file = join(folder, `${session.name}.pcapng`);
    recordOwn(session, file);
    const recorded = readSessions(file);
    const exact = replayedAs(recorded.options, 'exact');
    const report = replay(recorded.sessions, exact);
    t.true(report.ok, report.sessions.map((one, i) => replayTap(session.name, one, i + 1)).join('\n'));
    // without timestamps any time of the clock leads from a seed to the recorded numbers
    if (session.settings?.timestamps === false) return;
    const other = replay(recorded.sessions, { ...exact, seed: session.seed + 1 });
    t.false(other.ok, 'another seed makes other bytes');
  });
}
