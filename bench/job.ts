/** What a subject is told to do, and what it answers: one JSON object per line on its standard streams. */

export const KINDS = [
  'send',
  'receive',
  'round-trip',
  'set-up',
  'idle-memory',
  'udp-send',
  'udp-receive',
  'dns',
  'device-write',
  'device-read',
] as const;
export type Kind = (typeof KINDS)[number];

export interface Job {
  readonly kind: Kind;
  /** Connections (or queries) at the same time. */
  readonly parallel: number;
  /** TLS 1.3 over the connections. */
  readonly tls: boolean;
  /** Set-ups resume the session of the one before. */
  readonly resumes: boolean;
  /** Bytes of one IP packet, for the bare device; else 0. */
  readonly packetBytes: number;
  /** Of the link. */
  readonly mtuBytes: number;
}

/** How the work is done. */
export type FaceName = 'blocking' | 'asynchronous' | 'node' | 'device';

/** All that a subject's process is told at its start. */
export interface SubjectOptions {
  readonly face: FaceName;
  readonly job: Job;
  /** As an engine's options take it; '' for node. */
  readonly device: string;
  readonly engines: number;
  readonly offload: boolean;
  /** Own address; '' for node: the kernel has it. */
  readonly ownAddress: string;
  readonly peerAddress: string;
  /** PEM file with the root of the peer's certificate. */
  readonly caFile: string;
  /** Where CPU profiles of its threads go, without the end of the name; '': none. */
  readonly profile: string;
}

export interface RunRequest {
  readonly seconds: number;
  /** Time at full speed before the clock starts. */
  readonly warmUpSeconds: number;
}

export interface RunResult {
  /** In the unit of the job's kind, see {@link UNITS}. */
  readonly value: number;
  /** Further figures, by name with unit: `p50 µs`. */
  readonly details: Readonly<Record<string, number>>;
}

/** What a subject's process answers. */
export interface SubjectAnswer extends RunResult {
  /** Cores that its threads, and the kernel on their behalf, kept busy during the run: measured in microseconds. */
  readonly cores: number;
}

export const UNITS: Readonly<Record<Kind, string>> = {
  send: 'Gbit/s',
  receive: 'Gbit/s',
  'round-trip': 'round trips/s',
  'set-up': 'set-ups/s',
  'idle-memory': 'bytes/connection',
  'udp-send': 'datagrams/s',
  'udp-receive': 'datagrams/s',
  dns: 'queries/s',
  'device-write': 'Gbit/s',
  'device-read': 'Gbit/s',
};

/** Bytes of a request, of an answer, and of a UDP datagram's payload. */
export const MESSAGE_BYTES = 64;
/** Bytes handed over or asked for in one call of a bulk transfer. */
export const CHUNK_BYTES = 65_536;

/**
 * Ports of server.ts. Set-ups go to many of them by turns: a closed connection keeps its pair of ports for a minute, and there
 * are only some 28,000 ephemeral ones.
 */
export const Port = {
  Sink: 5001,
  Source: 5002,
  Echo: 5003,
  TlsSink: 5011,
  TlsSource: 5012,
  TlsEcho: 5013,
  UdpSink: 5021,
  UdpSource: 5022,
  FirstSetUp: 5100,
  FirstTlsSetUp: 5200,
} as const;
export const SET_UP_PORTS = 16;

/** The zone of which dnsmasq knows every name. */
export const DNS_ZONE = 'bench.test';

/** Where a job's connection number `index` goes to. */
export function portOf(job: Job, index: number): number {
  switch (job.kind) {
    case 'send':
      return job.tls ? Port.TlsSink : Port.Sink;
    case 'receive':
      return job.tls ? Port.TlsSource : Port.Source;
    case 'set-up':
      return (job.tls ? Port.FirstTlsSetUp : Port.FirstSetUp) + (index % SET_UP_PORTS);
    default:
      return job.tls ? Port.TlsEcho : Port.Echo;
  }
}
