/**
 * The judges: packet scripts in packetdrill's language, and the replay of recorded sessions, both in virtual time.
 * @module
 */
export { REPLAY_DEFAULTS, type ReplayOptions } from './replay/options.ts';
export { replay } from './replay/replay.ts';
export {
  type Difference,
  type ReplayReport,
  replayJson,
  replayTap,
  type SessionReport,
} from './replay/report.ts';
export { type CaptureSessions, type RecordedPacket, readSessions, type Session } from './replay/session.ts';
export { PROFILES, type ScriptProfile } from './script/profile.ts';
export { junit, type ScriptResult, type ScriptTotals, tapEnd, tapLine, totalsOf } from './script/report.ts';
export { type RunOptions, runScript, type Verdict } from './script/runner.ts';
export {
  expectSegment,
  fromPcap,
  injectSegment,
  type RecordedSegment,
  type Segment,
  seg,
} from './script/segments.ts';
export type { EcnCounter, OptionSpec } from './script/syntax.ts';
