import { SeededRandom } from '../../stack/random.ts';
import type { KeepAlive } from '../../stack/tcp/keepalive.ts';
import type { TcpSettings } from '../../stack/tcp/tcp-settings.ts';
import type { LinkOptions } from '../../stack/testing/stack-pair.ts';

/** The congestion controls that connections choose from. */
const CONGESTION_CONTROLS = ['cubic', 'newreno', 'bbr', 'none'] as const;

/** From … to, both included. */
export type Range = readonly [number, number];

/** How one end's application behaves. */
export interface EndPlan {
  readonly bytes: number;
  readonly writeBytes: Range;
  readonly writePauseMs: Range;
  readonly readBytes: Range;
  readonly readPauseMs: Range;
  /** Reading stops after so many octets, for so long. */
  readonly stopAfterBytes: number;
  readonly stopMs: number;
  /**
   * `shutdown`: after the last octet; `late`: also after the peer has ended; `close`: the application lets go after its last octet,
   * whatever the peer does; `abort`: a reset at `abortAtMs`.
   */
  readonly ending: 'shutdown' | 'late' | 'close' | 'abort';
  readonly abortAtMs: number;
  readonly noDelay: boolean;
  readonly keepAlive: KeepAlive | null;
  readonly userTimeoutMs: number;
  /** Limits of the receive buffer, one after the other. */
  readonly limits: readonly { readonly atMs: number; readonly bytes: number }[];
}

/** One connection, or the attempt at one. */
export interface SessionPlan {
  /** `simultaneous`: both open towards each other; `refused`: nobody listens there. */
  readonly kind: 'listener' | 'simultaneous' | 'refused';
  readonly startMs: number;
  /** 0: an ephemeral port. */
  readonly clientPort: number;
  readonly serverPort: number;
  readonly congestion: string;
  readonly fastOpen: boolean;
  readonly client: EndPlan;
  readonly server: EndPlan;
}

/** From when on one direction of the link is like this. */
export interface LinkChange {
  readonly atMs: number;
  readonly way: 'forward' | 'backward';
  readonly options: Partial<LinkOptions>;
}

/** Everything that chance decides, from one seed. Plain data. */
export interface Scenario {
  readonly seed: number;
  readonly family: 4 | 6;
  readonly mtuBytes: number;
  /** What the path carries from some time on; a larger packet is dropped and reported. */
  readonly pathMtu: { readonly atMs: number; readonly bytes: number } | null;
  readonly txChecksum: boolean;
  readonly txSegmentBytes: number;
  readonly sendRingBytes: number;
  readonly recvRingBytes: number;
  /** So much memory for rings that come when data flows and go; 0: each connection has its own, of the sizes above. */
  readonly elasticBytes: number;
  /** Idle connections are folded up; only with such rings. */
  readonly parks: boolean;
  readonly startMs: number;
  /** Sequence numbers that wrap soon. */
  readonly wraps: boolean;
  readonly settings: { readonly a: Partial<TcpSettings>; readonly b: Partial<TcpSettings> };
  readonly forward: Partial<LinkOptions>;
  readonly backward: Partial<LinkOptions>;
  readonly changes: readonly LinkChange[];
  readonly listener: {
    readonly backlog: number;
    readonly acceptDelayMs: number;
    readonly closeAtMs: number;
    readonly fastOpenQueue: number;
  };
  /** Segments of a third party with guessed numbers. */
  readonly blindSegments: number;
  readonly sessions: readonly SessionPlan[];
}

export const SERVER_PORT = 7;

/** Numbers by chance. */
export class Chance {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  /** 0 … 1, 1 excluded. */
  unit(): number {
    return this.#random.uint32() / 0x100000000;
  }

  happens(chance: number): boolean {
    return this.unit() < chance;
  }

  /** A whole number in the range. */
  within([from, to]: Range): number {
    return from + Math.floor(this.unit() * (to - from + 1));
  }

  /** As {@link within}, small ones as likely as large ones of ten times the size. */
  skewed([from, to]: Range): number {
    return Math.floor((from + 1) * ((to + 1) / (from + 1)) ** this.unit()) - 1;
  }

  one<T>(choices: readonly [T, ...T[]]): T {
    return choices[Math.floor(this.unit() * choices.length)] ?? choices[0];
  }
}

/** The scenario of a seed. */
export function scenarioOf(seed: number): Scenario {
  const chance = new Chance(seed ^ 0x5eed);
  const family = chance.happens(0.3) ? 6 : 4;
  const mtuBytes = mtuOf(chance, family);
  const offload = chance.happens(0.2);
  // the segments of an offloaded packet are those of the device, whatever the path carries
  const pathMtu =
    !offload && chance.happens(0.15)
      ? { atMs: chance.within([0, 200]), bytes: family === 6 ? 1280 : chance.within([576, 1400]) }
      : null;
  const rates = chance.one([0, 0, 0.01, 0.05, 0.15]);
  const sessions = sessionsOf(chance);
  const elastic = chance.happens(0.15);
  return {
    seed,
    family,
    mtuBytes,
    pathMtu,
    txChecksum: offload,
    txSegmentBytes: offload ? chance.one([0, 20_000, 65_535]) : 0,
    sendRingBytes: 2 ** chance.within([11, 16]),
    recvRingBytes: 2 ** chance.within([11, 17]),
    elasticBytes: elastic ? 2 ** 17 : 0,
    parks: elastic && chance.happens(0.7),
    startMs: chance.happens(0.2) ? 2 ** 32 - chance.within([0, 3000]) : chance.within([0, 1_000_000]),
    wraps: chance.happens(0.3),
    settings: {
      a: { ...settingsOf(chance), windowValidation: WINDOW_VALIDATIONS[seed % 3]! },
      b: { ...settingsOf(chance), windowValidation: WINDOW_VALIDATIONS[(seed >> 2) % 3]! },
    },
    forward: linkOf(chance, rates),
    backward: linkOf(chance, rates),
    changes: changesOf(chance),
    listener: {
      backlog: chance.within([1, 4]),
      acceptDelayMs: chance.happens(0.3) ? chance.skewed([0, 5000]) : 0,
      closeAtMs: chance.happens(0.05) ? chance.skewed([0, 2000]) : Infinity,
      fastOpenQueue: chance.one([0, 0, 1, 8]),
    },
    blindSegments: chance.happens(0.1) ? chance.within([1, 30]) : 0,
    sessions,
  };
}

/** Chosen by the seed itself. */
const WINDOW_VALIDATIONS = ['restart', 'decay', 'preserve'] as const;

/** Nothing in it keeps the connections from ending in order. */
export function isMild(scenario: Scenario): boolean {
  const { forward, backward, changes, listener, sessions, blindSegments, settings } = scenario;
  const isGood = ({ loss = 0, corrupt = 0 }: Partial<LinkOptions>): boolean => loss + corrupt <= 0.1;
  const isPlain = ({ ending, keepAlive, userTimeoutMs }: EndPlan): boolean =>
    (ending === 'shutdown' || ending === 'late') && keepAlive === null && userTimeoutMs === 0;
  return (
    isGood(forward) &&
    isGood(backward) &&
    changes.every(({ options }) => isGood(options)) &&
    listener.closeAtMs === Infinity &&
    blindSegments === 0 &&
    // a cookie is lost with the segment that brings it back
    settings.b.synCookies !== 'always' &&
    sessions.every(({ kind, client, server }) => kind !== 'refused' && isPlain(client) && isPlain(server))
  );
}

function mtuOf(chance: Chance, family: 4 | 6): number {
  if (family === 6) return chance.one([1280, 1500, 1500, 9000]);
  // below 576 the options of a SYN leave little
  return chance.one([1500, 1500, 1500, 1280, 576, 9000, chance.within([128, 400])]);
}

function settingsOf(chance: Chance): Partial<TcpSettings> {
  return {
    timestamps: chance.happens(0.7),
    selectiveAcks: chance.happens(0.7),
    windowScale: chance.happens(0.7),
    windowShift: chance.within([0, 10]),
    tailLossProbe: chance.happens(0.8),
    ecn: chance.one(['off', 'passive', 'active', 'active']),
    quickAcks: chance.one([0, 16]),
    ackSegments: chance.one([2, Infinity]),
    nagle: chance.one<'unacknowledged' | 'short'>(['unacknowledged', 'short']),
    synCookies: chance.one<'never' | 'overflow' | 'always'>(['never', 'overflow', 'overflow', 'always']),
    // of rings that grow; large ones take long to simulate
    receiveBufferBytes: 2 ** chance.within([12, 15]),
    maxReceiveBufferBytes: 2 ** 18,
    sendBufferBytes: 2 ** chance.within([12, 15]),
    maxSendBufferBytes: 2 ** 18,
    blackHoleDetection: chance.happens(0.8),
    fastOpenWithoutCookie: chance.happens(0.2),
    fastOpenServerWithoutCookie: chance.happens(0.2),
  };
}

function linkOf(chance: Chance, rates: number): Partial<LinkOptions> {
  const isSlow = chance.happens(0.25);
  return {
    latencyMs: chance.one([0, 1, 10, chance.within([0, 200])]),
    ...(isSlow
      ? {
          kilobitsPerSecond: chance.within([200, 10_000]),
          queuePackets: chance.within([2, 40]),
          refuses: chance.happens(0.5),
        }
      : {}),
    loss: rates * chance.unit(),
    duplicate: chance.happens(0.5) ? rates * chance.unit() : 0,
    reorder: chance.happens(0.5) ? 3 * rates * chance.unit() : 0,
    corrupt: chance.happens(0.5) ? rates * chance.unit() : 0,
    mark: chance.happens(0.3) ? 0.2 * chance.unit() : 0,
  };
}

/** The link gets worse, or fails, for a while. */
function changesOf(chance: Chance): LinkChange[] {
  const changes: LinkChange[] = [];
  for (let i = chance.happens(0.3) ? chance.within([1, 3]) : 0; i > 0; i--) {
    const way = chance.one<'forward' | 'backward'>(['forward', 'backward']);
    const atMs = chance.skewed([0, 3000]);
    const loss = chance.one([0.3, 0.6, 1]);
    changes.push({ atMs, way, options: { loss, latencyMs: chance.within([0, 100]) } });
    changes.push({ atMs: atMs + chance.skewed([10, 20_000]), way, options: { loss: 0 } });
  }
  return changes.sort((a, b) => a.atMs - b.atMs);
}

function sessionsOf(chance: Chance): SessionPlan[] {
  const count = chance.happens(0.7) ? 1 : chance.within([2, 6]);
  const sessions: SessionPlan[] = [];
  // one connection after the other between the same ports
  const port = chance.happens(0.3) ? 40_000 : 0;
  for (let i = 0; i < count; i++) {
    const kind = chance.happens(0.1) ? 'simultaneous' : chance.happens(0.03) ? 'refused' : 'listener';
    const bothWays = chance.happens(0.6);
    const largest = chance.one([0, 100, 5000, 30_000, 80_000]);
    const client = endOf(chance, chance.within([0, largest]));
    const server = endOf(chance, bothWays || chance.happens(0.5) ? chance.within([0, largest]) : 0);
    sessions.push({
      kind,
      startMs: i === 0 ? 0 : chance.skewed([0, 3000]),
      clientPort: kind === 'simultaneous' ? 50_000 + i : port,
      serverPort: kind === 'simultaneous' ? 51_000 + i : kind === 'refused' ? 9 : SERVER_PORT,
      congestion: chance.one(CONGESTION_CONTROLS),
      // with a cookie the SYN waits for the first write
      fastOpen: kind !== 'simultaneous' && client.bytes > 0 && chance.happens(0.2),
      // two that wait for each other wait for ever
      client:
        client.ending === 'late' && server.ending === 'late' ? { ...client, ending: 'shutdown' } : client,
      server,
    });
  }
  return sessions;
}

function endOf(chance: Chance, bytes: number): EndPlan {
  const isSlowReader = chance.happens(0.2);
  const stops = chance.happens(0.15);
  const limits = chance.happens(0.2) ? chance.within([1, 4]) : 0;
  // many pauses make long simulations
  const chunk = (least: number): Range => {
    const from = Math.max(1, Math.min(least, bytes >> 6));
    return [from, from * chance.within([1, 20])];
  };
  return {
    bytes,
    writeBytes: chance.happens(0.5) ? [65_536, 65_536] : chunk(1),
    writePauseMs: chance.happens(0.6) ? [0, 0] : [0, chance.skewed([1, 300])],
    readBytes: isSlowReader ? [chance.skewed([16, 500]), 2000] : [65_536, 65_536],
    readPauseMs: isSlowReader ? [0, chance.skewed([1, 100])] : [0, 0],
    stopAfterBytes: stops ? chance.within([0, 20_000]) : Infinity,
    stopMs: chance.skewed([10, 100_000]),
    ending: chance.happens(0.15)
      ? chance.one(['close', 'abort'])
      : chance.one(['shutdown', 'shutdown', 'late']),
    abortAtMs: chance.skewed([0, 2000]),
    noDelay: chance.happens(0.4),
    keepAlive: chance.happens(0.1)
      ? { idleMs: chance.within([1000, 60_000]), intervalMs: chance.within([200, 10_000]), count: 9 }
      : null,
    userTimeoutMs: chance.happens(0.05) ? chance.within([1000, 60_000]) : 0,
    limits: Array.from({ length: limits }, () => ({
      atMs: chance.skewed([0, 3000]),
      bytes: chance.happens(0.2) ? Infinity : chance.skewed([256, 60_000]),
    })).sort((a, b) => a.atMs - b.atMs),
  };
}
