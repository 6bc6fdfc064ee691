import { CHUNK_BYTES, type FaceName, type Job, type Kind } from './job.ts';

/** Who does the work. */
export interface SubjectKind {
  /** As the report shows it. */
  readonly title: string;
  readonly face: FaceName;
  readonly offload: boolean;
  /** Engines on one device. */
  readonly engines: number;
  readonly link: LinkKind;
}

/** What a subject has to the peer: the kernel's own interface, a TUN device of one queue or of several, a packet socket on an interface. */
export type LinkKind = 'veth' | 'tun' | 'queues' | 'raw';

/** The one that the others are compared with. */
export const NODE: SubjectKind = {
  title: 'Node over veth',
  face: 'node',
  offload: false,
  engines: 1,
  link: 'veth',
};
const TUN = { engines: 1, link: 'tun' } as const;
const BLOCKING: SubjectKind = { ...TUN, title: 'tunwire blocking', face: 'blocking', offload: true };
const ASYNC: SubjectKind = { ...TUN, title: 'tunwire asynchronous', face: 'asynchronous', offload: true };
const BLOCKING_RAW: SubjectKind = { ...BLOCKING, title: 'tunwire blocking, raw:', link: 'raw' };
const TWO_ENGINES: SubjectKind = { ...ASYNC, title: 'tunwire, 2 engines', engines: 2, link: 'queues' };
const FOUR_ENGINES: SubjectKind = { ...TWO_ENGINES, title: 'tunwire, 4 engines', engines: 4 };
const BLOCKING_PLAIN: SubjectKind = {
  ...TUN,
  title: 'tunwire blocking, no offload',
  face: 'blocking',
  offload: false,
};
const ASYNC_PLAIN: SubjectKind = {
  ...TUN,
  title: 'tunwire asynchronous, no offload',
  face: 'asynchronous',
  offload: false,
};
const DEVICE: SubjectKind = { ...TUN, title: 'write or read in a loop', face: 'device', offload: true };
const DEVICE_PLAIN: SubjectKind = { ...DEVICE, offload: false };

/** One measurement: the same job by several subjects, run by turns. */
export interface Case {
  /** What selects it on the command line. */
  readonly group: string;
  readonly title: string;
  readonly job: Job;
  readonly subjects: readonly SubjectKind[];
  /** A new process for every run: what is measured does not come back. */
  readonly freshProcess: boolean;
}

interface CaseOptions {
  readonly tls?: boolean;
  readonly resumes?: boolean;
  readonly mtuBytes?: number;
  readonly packetBytes?: number;
}

function make(
  group: string,
  title: string,
  kind: Kind,
  parallel: number,
  subjects: readonly SubjectKind[],
  options: CaseOptions = {},
): Case {
  const { tls = false, resumes = false, packetBytes = 0 } = options;
  const mtuBytes = options.mtuBytes ?? Math.max(packetBytes, MTU_BYTES);
  return {
    group,
    title,
    job: { kind, parallel, tls, resumes, packetBytes, mtuBytes },
    subjects,
    freshProcess: kind === 'idle-memory',
  };
}

/** Everything but one virtio header and alignment of a super-packet of 65,535 bytes: what is copied. */
const LARGE_PACKET_BYTES = 65_000;
const MTU_BYTES = 1500;
/** What Ethernet calls jumbo frames. */
const JUMBO_MTU_BYTES = 9000;

const STREAMS = [NODE, BLOCKING, ASYNC];
const ALL = [NODE, BLOCKING, ASYNC, BLOCKING_PLAIN];
const BULK = [...ALL, BLOCKING_RAW];
/** Throughput against the number of engines. */
const ENGINES = [NODE, ASYNC, TWO_ENGINES, FOUR_ENGINES];
const JUMBO = [NODE, BLOCKING, BLOCKING_PLAIN];
/** One blocking thread serves one stream at a time. */
const MANY = [NODE, ASYNC, ASYNC_PLAIN];

export const CASES: readonly Case[] = [
  make('bulk', 'send, 1 connection', 'send', 1, BULK),
  make('bulk', 'receive, 1 connection', 'receive', 1, BULK),
  make('bulk', 'send, 64 connections', 'send', 64, MANY),
  make('bulk', 'receive, 64 connections', 'receive', 64, MANY),
  make('bulk', 'send, 1 connection, MTU 9000', 'send', 1, JUMBO, { mtuBytes: JUMBO_MTU_BYTES }),
  make('bulk', 'receive, 1 connection, MTU 9000', 'receive', 1, JUMBO, { mtuBytes: JUMBO_MTU_BYTES }),
  make('tls', 'send over TLS 1.3, 1 connection', 'send', 1, STREAMS, { tls: true }),
  make('tls', 'receive over TLS 1.3, 1 connection', 'receive', 1, STREAMS, { tls: true }),
  make('tls', 'send over TLS 1.3, 64 connections', 'send', 64, [NODE, ASYNC], { tls: true }),
  make('tls', 'receive over TLS 1.3, 64 connections', 'receive', 64, [NODE, ASYNC], {
    tls: true,
  }),
  make('round-trip', 'round trips, 1 connection', 'round-trip', 1, ALL),
  make('round-trip', 'round trips, 64 connections', 'round-trip', 64, ALL),
  make('round-trip', 'round trips over TLS 1.3, 1 connection', 'round-trip', 1, STREAMS, {
    tls: true,
  }),
  make('set-up', 'set-ups, one after another', 'set-up', 1, STREAMS),
  make('set-up', 'set-ups, 64 at once', 'set-up', 64, STREAMS),
  make('set-up', 'set-ups with TLS 1.3, one after another', 'set-up', 1, STREAMS, {
    tls: true,
  }),
  make('set-up', 'set-ups with TLS 1.3, 64 at once', 'set-up', 64, STREAMS, { tls: true }),
  make('set-up', 'set-ups with resumed TLS 1.3, one after another', 'set-up', 1, STREAMS, {
    tls: true,
    resumes: true,
  }),
  make('set-up', 'set-ups with resumed TLS 1.3, 64 at once', 'set-up', 64, STREAMS, {
    tls: true,
    resumes: true,
  }),
  make('engines', 'send, 64 connections, by engines', 'send', 64, ENGINES),
  make('engines', 'receive, 64 connections, by engines', 'receive', 64, ENGINES),
  make('engines', 'round trips, 64 connections, by engines', 'round-trip', 64, ENGINES),
  make('engines', 'set-ups, 64 at once, by engines', 'set-up', 64, ENGINES),
  make('memory', 'memory of 1,000 idle connections', 'idle-memory', 1000, STREAMS),
  make('memory', 'memory of 10,000 idle connections', 'idle-memory', 10_000, STREAMS, {}),
  make('udp', 'UDP, sending', 'udp-send', 1, STREAMS),
  make('udp', 'UDP, receiving', 'udp-receive', 1, STREAMS),
  make('dns', 'DNS, one after another', 'dns', 1, STREAMS),
  make('dns', 'DNS, 64 at once', 'dns', 64, STREAMS),
  make('device', 'write packets of 65,000 bytes', 'device-write', 1, [DEVICE], {
    packetBytes: LARGE_PACKET_BYTES,
  }),
  make('device', 'read packets of 65,000 bytes', 'device-read', 1, [DEVICE], {
    packetBytes: LARGE_PACKET_BYTES,
  }),
  make('device', 'write packets of 1,500 bytes', 'device-write', 1, [DEVICE_PLAIN], {
    packetBytes: MTU_BYTES,
  }),
  make('device', 'read packets of 1,500 bytes', 'device-read', 1, [DEVICE_PLAIN], {
    packetBytes: MTU_BYTES,
  }),
];

/** The groups in their order, for the command line. */
export const GROUPS: readonly string[] = [...new Set(CASES.map(({ group }) => group))];

/** Most subjects of a case that need a link of a kind, each for itself. */
export function mostLinks(kind: LinkKind): number {
  return Math.max(...CASES.map(({ subjects }) => subjects.filter(({ link }) => link === kind).length));
}

/** The queue that a bare device needs so that none of the packets it is filled with is dropped. */
export function deviceQueuePackets(job: Job): number {
  return Math.ceil((256 * CHUNK_BYTES) / Math.max(job.packetBytes, 1)) + 64;
}
