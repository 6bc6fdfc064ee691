import type { StackContext } from '../context.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { type MembershipQuery, type MembershipRecord, RecordType } from '../wire/membership.ts';

/** Groups that an interface belongs to, of one family. */
export const MAX_GROUPS = 256;
/** Sources of one group, wanted or asked for. A report of so many fits into every IPv6 packet. */
export const MAX_GROUP_SOURCES = 64;
/** RFC 3376 §8.1, §8.2, RFC 3810 §9.1, §9.2: while no router says otherwise. */
export const ROBUSTNESS = 2;
export const QUERY_INTERVAL_MS = 125_000;
/** RFC 3376 §8.11, RFC 3810 §9.11 */
export const UNSOLICITED_REPORT_INTERVAL_MS = 1000;
/** RFC 2236 §8.10, RFC 2710 §7.10 */
export const OLD_REPORT_INTERVAL_MS = 10_000;

/** What both protocols, on all interfaces of a stack, have sent and heard. */
export class MembershipCounters {
  joined = 0;
  left = 0;
  queriesReceived = 0;
  reportsSent = 0;
  /** Reports of IGMPv1, v2 and MLDv1. */
  oldReportsSent = 0;
  leavesSent = 0;
  /** Of other members, which made ours unnecessary. */
  suppressed = 0;
  /** Reports and farewells of others. */
  ignoredOthers = 0;
  /** A question about more sources than are remembered: answered for the whole group. */
  ignoredManySources = 0;
  /** Refused: too many groups or sources. */
  refused = 0;
  dropTruncated = 0;
  dropChecksum = 0;
  /** Not from a router on this link, or malformed. */
  dropInvalid = 0;
}

/** Sends what a {@link GroupMembership} says. */
export interface MembershipProtocol {
  /** A report of the newest version. */
  report(records: readonly MembershipRecord[]): void;
  /** @param version 1, 2 */
  oldReport(group: IpAddress, version: number): void;
  oldLeave(group: IpAddress): void;
}

interface Source {
  readonly address: IpAddress;
  users: number;
  /** How often the last change is still told. */
  told: number;
}

/** A group with everybody on this interface who wants it. */
class Group {
  readonly address: IpAddress;
  /** Those who want it from any source. */
  users = 0;
  readonly sources = new Map<string, Source>();
  /** How often the last change of the filter mode is still told. */
  modeReports = 0;
  /** When a question of a router is answered. */
  answerAt: number = Infinity;
  /** The sources that were asked for; empty: the group. */
  asked: readonly IpAddress[] = [];

  constructor(address: IpAddress) {
    this.address = address;
  }

  get isWanted(): boolean {
    if (this.users > 0) return true;
    for (const { users } of this.sources.values()) if (users > 0) return true;
    return false;
  }

  get wantedSources(): IpAddress[] {
    return [...this.sources.values()].filter(({ users }) => users > 0).map(({ address }) => address);
  }
}

/**
 * The host's part of IGMPv3 and MLDv2 on one interface, which are one protocol (RFC 3376 §5, RFC 3810 §6), with the older versions
 * where a router speaks those (RFC 3376 §7.2, RFC 3810 §8.2). A group is wanted from any source, or from some: nothing is excluded.
 */
export class GroupMembership implements TimerTarget {
  readonly #context: StackContext;
  readonly #counters: MembershipCounters;
  readonly #protocol: MembershipProtocol;
  readonly #timer: TimerEntry = new TimerEntry(this);
  readonly #groups: Group[] = [];
  #robustness: number = ROBUSTNESS;
  #queryIntervalMs: number = QUERY_INTERVAL_MS;
  /** Until when routers of version 1 and of version 2 are thought to be there. */
  #olderUntil: readonly [number, number] = [-Infinity, -Infinity];
  #version = 3;
  /** When changes are told (again), and a question about all groups is answered. */
  #changesAt: number = Infinity;
  #answerAt: number = Infinity;

  constructor(context: StackContext, counters: MembershipCounters, protocol: MembershipProtocol) {
    this.#context = context;
    this.#counters = counters;
    this.#protocol = protocol;
  }

  /** Groups that somebody wants, or that are being left. */
  get size(): number {
    return this.#groups.length;
  }

  /** True when somebody here wants the group, from whatever source. */
  has(w0: number, w1: number, w2: number, w3: number): boolean {
    for (const group of this.#groups) {
      const { address } = group;
      if (address.w3 === w3 && address.w2 === w2 && address.w1 === w1 && address.w0 === w0)
        return group.isWanted;
    }
    return false;
  }

  /**
   * One more wants a group.
   * @param source null: from any source
   * @returns false when there are too many groups or sources
   */
  join(address: IpAddress, source: IpAddress | null): boolean {
    this.#chooseVersion(this.#context.now);
    let group = this.#find(address);
    if (group === null) {
      if (this.#groups.length >= MAX_GROUPS) return this.#refuse();
      group = new Group(address);
      this.#groups.push(group);
    }
    if (source === null) {
      group.users++;
      if (group.users === 1) this.#modeChanged(group);
    } else {
      const key = source.toString();
      const known = group.sources.get(key);
      if (known === undefined && group.sources.size >= MAX_GROUP_SOURCES) return this.#refuse();
      const entry = known ?? { address: source, users: 0, told: 0 };
      group.sources.set(key, entry);
      entry.users++;
      if (entry.users === 1) this.#sourceChanged(group, entry);
    }
    this.#counters.joined++;
    return true;
  }

  /** One who has joined wants it no more. */
  leave(address: IpAddress, source: IpAddress | null): void {
    this.#chooseVersion(this.#context.now);
    const group = this.#find(address);
    if (group === null) return;
    this.#counters.left++;
    if (source === null) {
      group.users--;
      if (group.users === 0) this.#modeChanged(group);
      return;
    }
    const entry = group.sources.get(source.toString());
    if (entry === undefined) return;
    entry.users--;
    if (entry.users === 0) this.#sourceChanged(group, entry);
  }

  /** A router asks. */
  query(query: MembershipQuery): void {
    const { now } = this.#context;
    this.#counters.queriesReceived++;
    if (query.version === 3) {
      // RFC 3376 §4.1.6, §4.1.7
      if (query.robustness > 0) this.#robustness = query.robustness;
      if (query.intervalMs > 0) this.#queryIntervalMs = query.intervalMs;
    } else {
      // RFC 3376 §8.12
      const until = now + this.#robustness * this.#queryIntervalMs + query.maxResponseMs;
      const [first, second] = this.#olderUntil;
      this.#olderUntil = query.version === 1 ? [until, second] : [first, until];
    }
    this.#chooseVersion(now);
    const at = now + this.#random(query.maxResponseMs);
    if (this.#version < 3) {
      for (const group of this.#groups) {
        const isMeant = query.group === null || query.group.equals(group.address);
        if (isMeant && group.isWanted) group.answerAt = Math.min(group.answerAt, at);
      }
    } else if (this.#answerAt > at) {
      // RFC 3376 §5.2: an answer for all groups that comes earlier is an answer to this one too
      if (query.group === null) this.#answerAt = at;
      else this.#askedFor(query.group, query.sources, at);
    }
    this.#setTimer();
  }

  /** Another member reports a group in an older version. */
  heard(address: IpAddress): void {
    const group = this.#version < 3 ? this.#find(address) : null;
    if (group === null || group.answerAt === Infinity) {
      this.#counters.ignoredOthers++;
      return;
    }
    // RFC 2236 §3: one member's answer is enough for a router
    group.answerAt = Infinity;
    this.#counters.suppressed++;
  }

  /** TimerTarget */
  onDeadline(now: number): void {
    this.#chooseVersion(now);
    if (this.#version < 3) this.#tellOld(now);
    else this.#tell(now);
    this.#setTimer();
  }

  #tell(now: number): void {
    const records: MembershipRecord[] = [];
    for (const group of this.#groups) {
      if (this.#answerAt > now && group.answerAt > now) continue;
      if (group.isWanted) {
        const answer = currentState(group, this.#answerAt <= now ? [] : group.asked);
        if (answer !== null) records.push(answer);
      }
      group.answerAt = Infinity;
      group.asked = [];
    }
    if (this.#answerAt <= now) this.#answerAt = Infinity;
    if (this.#changesAt <= now) {
      for (const group of this.#groups) this.#addChanges(group, records);
      this.#changesTold(now, UNSOLICITED_REPORT_INTERVAL_MS);
    }
    if (records.length > 0) this.#protocol.report(records);
  }

  /** RFC 3376 §5.1, RFC 3810 §6.1 */
  #addChanges(group: Group, records: MembershipRecord[]): void {
    const { address } = group;
    if (group.modeReports > 0) {
      group.modeReports--;
      const isExclude = group.users > 0;
      const type = isExclude ? RecordType.ChangeToExclude : RecordType.ChangeToInclude;
      records.push({ type, group: address, sources: isExclude ? [] : group.wantedSources });
      return;
    }
    const allowed: IpAddress[] = [];
    const blocked: IpAddress[] = [];
    for (const [key, source] of group.sources) {
      if (source.told > 0) {
        source.told--;
        (source.users > 0 ? allowed : blocked).push(source.address);
      }
      if (source.users === 0 && source.told === 0) group.sources.delete(key);
    }
    if (allowed.length > 0) records.push({ type: RecordType.AllowSources, group: address, sources: allowed });
    if (blocked.length > 0) records.push({ type: RecordType.BlockSources, group: address, sources: blocked });
  }

  /** RFC 2236 §3, RFC 2710 §4: what is joined is reported twice, what is left is said once, by version 2. */
  #tellOld(now: number): void {
    const changes = this.#changesAt <= now;
    for (const group of this.#groups) {
      const isChanged = changes && this.#isUntold(group);
      if (changes) forgetChanges(group);
      if (group.isWanted && (isChanged || group.answerAt <= now)) {
        this.#counters.oldReportsSent++;
        this.#protocol.oldReport(group.address, this.#version);
        // RFC 2236 §3: in case the report is lost
        if (isChanged) group.answerAt = now + this.#random(OLD_REPORT_INTERVAL_MS);
        else group.answerAt = Infinity;
      } else if (isChanged && this.#version === 2) {
        this.#counters.leavesSent++;
        this.#protocol.oldLeave(group.address);
      }
    }
    if (changes) this.#changesTold(now, 0);
  }

  #changesTold(now: number, againWithinMs: number): void {
    for (let i = this.#groups.length - 1; i >= 0; i--) {
      const group = this.#groups[i]!;
      if (!group.isWanted && !this.#isUntold(group)) this.#groups.splice(i, 1);
    }
    const isMore = this.#groups.some((group) => this.#isUntold(group));
    this.#changesAt = isMore ? now + this.#random(againWithinMs) : Infinity;
  }

  #isUntold(group: Group): boolean {
    if (group.modeReports > 0) return true;
    for (const { told } of group.sources.values()) if (told > 0) return true;
    return false;
  }

  #askedFor(address: IpAddress, sources: readonly IpAddress[], at: number): void {
    const group = this.#find(address);
    if (group === null || !group.isWanted) return;
    const pending = group.answerAt < Infinity;
    const merged = new Map([...group.asked, ...sources].map((source) => [source.toString(), source]));
    const isForAll = sources.length === 0 || (pending && group.asked.length === 0);
    if (merged.size > MAX_GROUP_SOURCES) this.#counters.ignoredManySources++;
    // RFC 3376 §5.2, rules 3 to 5
    group.asked = isForAll || merged.size > MAX_GROUP_SOURCES ? [] : [...merged.values()];
    group.answerAt = Math.min(group.answerAt, at);
  }

  /** RFC 3376 §7.2.1: the oldest version of which a router was heard not long ago. */
  #chooseVersion(now: number): void {
    const [first, second] = this.#olderUntil;
    const version = first > now ? 1 : second > now ? 2 : 3;
    if (version === this.#version) return;
    this.#version = version;
    // whatever waits is cancelled; the router that changed this asks
    this.#answerAt = Infinity;
    this.#changesAt = Infinity;
    for (let i = this.#groups.length - 1; i >= 0; i--) {
      const group = this.#groups[i]!;
      forgetChanges(group);
      group.answerAt = Infinity;
      group.asked = [];
      if (!group.isWanted) this.#groups.splice(i, 1);
    }
  }

  #modeChanged(group: Group): void {
    group.modeReports = this.#robustness;
    for (const [key, source] of group.sources) {
      source.told = 0;
      if (source.users === 0) group.sources.delete(key);
    }
    this.#changed();
  }

  #sourceChanged(group: Group, source: Source): void {
    if (group.users > 0) {
      // all sources are wanted anyway
      if (source.users === 0) group.sources.delete(source.address.toString());
      return;
    }
    // the list is told with the mode
    if (group.modeReports > 0) group.modeReports = this.#robustness;
    else source.told = this.#robustness;
    this.#changed();
  }

  #changed(): void {
    this.#changesAt = this.#context.now;
    this.#setTimer();
  }

  #setTimer(): void {
    let next = Math.min(this.#changesAt, this.#answerAt);
    for (const { answerAt } of this.#groups) if (answerAt < next) next = answerAt;
    this.#context.timers.set(this.#timer, next);
  }

  #find(address: IpAddress): Group | null {
    for (const group of this.#groups) if (group.address.equals(address)) return group;
    return null;
  }

  #refuse(): false {
    this.#counters.refused++;
    return false;
  }

  #random(withinMs: number): number {
    return (this.#context.random.uint32() / 2 ** 32) * withinMs;
  }
}

/** RFC 3376 §5.2: the answer to a question about a group, or about some of its sources; null: there is nothing to say. */
function currentState(group: Group, asked: readonly IpAddress[]): MembershipRecord | null {
  const { address, users } = group;
  const wanted = group.wantedSources;
  if (asked.length === 0) {
    return users > 0
      ? { type: RecordType.ModeIsExclude, group: address, sources: [] }
      : { type: RecordType.ModeIsInclude, group: address, sources: wanted };
  }
  const isWanted = (source: IpAddress): boolean => users > 0 || wanted.some((each) => each.equals(source));
  const sources = asked.filter(isWanted);
  return sources.length === 0 ? null : { type: RecordType.ModeIsInclude, group: address, sources };
}

function forgetChanges(group: Group): void {
  group.modeReports = 0;
  for (const [key, source] of group.sources) {
    source.told = 0;
    if (source.users === 0) group.sources.delete(key);
  }
}
