import { replayComment } from '../conformance/replay/comment.ts';
import type { ReplayOptions } from '../conformance/replay/options.ts';
import { Direction, LINKTYPE_RAW, PcapngWriter } from '../drivers/pcapng.ts';
import type { TcpConnection } from '../stack/tcp/connection.ts';
import type { KeepAlive } from '../stack/tcp/keepalive.ts';
import type { TcpListener } from '../stack/tcp/listener.ts';
import type { TcpSettings } from '../stack/tcp/tcp-settings.ts';
import { PAIR_ADDRESSES, type PairOptions, StackPair } from '../stack/testing/stack-pair.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import type { Description } from './description.ts';
import { pattern } from './kernel-session.ts';

/** Both ends of a session of ours, in virtual time. */
export interface OwnRun {
  readonly pair: StackPair;
  readonly client: TcpConnection;
  /** The server's end; waits for it. */
  readonly server: () => TcpConnection;
}

/** A session that our own client is recorded in. */
export interface OwnSession {
  readonly name: string;
  readonly what: string;
  readonly shows: string;
  readonly seed: number;
  readonly family?: 6;
  readonly link?: Partial<PairOptions>;
  readonly congestion?: string;
  /** What the client's stack is set to. */
  readonly settings?: Partial<TcpSettings>;
  readonly keepAlive?: KeepAlive;
  /** Packets of the client that are lost, by their number, from 1. */
  readonly drops?: readonly number[];
  /** Nobody listens. */
  readonly refused?: true;
  readonly run: (run: OwnRun) => void;
}

const PORT = 7000;
const RING_BYTES = 131_072;
const LISTEN = { local: null, port: PORT, backlog: 4 } as const;
/** Not a round number: no timer of the client ends when a packet comes. */
const LATENCY_MS = 7.3;
/** The capture's times: 1 January 2026, and what the stack's clock shows then. */
const EPOCH_MS = Date.UTC(2026, 0, 1);
const START_MS = 5000;
const LIMIT_MS = 120_000;

/** A way back and forth with losses; reordering would make packets of one instant. */
function lossy(loss: number): Partial<PairOptions> {
  const way = { latencyMs: LATENCY_MS, kilobitsPerSecond: 10_007, loss };
  return { forward: way, backward: way };
}

function write(connection: TcpConnection, bytes: Uint8Array): void {
  connection.sendRing!.write(bytes, 0, bytes.length);
  connection.appWrote();
}

function upload({ pair, client, server }: OwnRun, lengthBytes: number): void {
  write(client, pattern(lengthBytes));
  client.shutdown();
  const peer = server();
  pair.runUntil(() => peer.finSeen && ((peer.rcvNxt - peer.rcvFinSeq) | 0) > 0, LIMIT_MS);
  peer.shutdown();
  pair.runFor(2000);
}

function download({ pair, client, server }: OwnRun, lengthBytes: number): void {
  const peer = server();
  write(peer, pattern(lengthBytes));
  peer.shutdown();
  pair.runUntil(() => client.finSeen && ((client.rcvNxt - client.rcvFinSeq) | 0) > 0, LIMIT_MS);
  pair.runFor(20);
  client.shutdown();
  pair.runFor(2000);
}

/** All of them. */
export const OWN_SESSIONS: readonly OwnSession[] = [
  {
    name: 'own-client-closes-first',
    what: 'request and answer, the client closes first',
    shows: 'handshake, data both ways, FIN, TIME-WAIT',
    seed: 1,
    run: ({ pair, client, server }) => {
      const peer = server();
      write(client, pattern(100));
      pair.runFor(30);
      write(peer, pattern(3000));
      pair.runFor(60);
      client.shutdown();
      pair.runFor(30);
      peer.shutdown();
      pair.runFor(2000);
    },
  },
  {
    name: 'own-server-closes-first',
    what: 'a download of 20,000 octets, the server closes first',
    shows: 'CLOSE-WAIT, LAST-ACK',
    seed: 2,
    run: (run) => download(run, 20_000),
  },
  {
    name: 'own-refused',
    what: 'a connection to a port where nobody listens',
    shows: 'RST in answer to the SYN',
    seed: 3,
    refused: true,
    run: ({ pair }) => pair.runFor(3000),
  },
  {
    name: 'own-reset-by-server',
    what: 'the server resets in the middle of an upload',
    shows: 'RST received with data in flight',
    seed: 4,
    run: ({ pair, client, server }) => {
      const peer = server();
      write(client, pattern(50_000));
      pair.runFor(20);
      peer.abort();
      pair.runFor(2000);
    },
  },
  {
    name: 'own-reset-by-client',
    what: 'the client resets in the middle of a download',
    shows: 'RST sent',
    seed: 5,
    run: ({ pair, client, server }) => {
      const peer = server();
      write(peer, pattern(5000));
      pair.runFor(40);
      client.abort();
      pair.runFor(2000);
    },
  },
  {
    name: 'own-half-close',
    what: 'the client ends its side, the server goes on sending and then ends its own',
    shows: 'data received in FIN-WAIT-2',
    seed: 6,
    run: ({ pair, client, server }) => {
      write(client, pattern(10));
      client.shutdown();
      const peer = server();
      for (let i = 0; i < 4; i++) {
        write(peer, pattern(2000, i));
        pair.runFor(55);
      }
      peer.shutdown();
      pair.runFor(2000);
    },
  },
  {
    name: 'own-upload-loss',
    what: 'an upload of 60,000 octets, two of a hundred packets are lost each way',
    shows: 'loss recovery with SACK, byte for byte',
    seed: 7,
    link: lossy(0.02),
    run: (run) => upload(run, 60_000),
  },
  {
    name: 'own-download-loss',
    what: 'a download of 60,000 octets, one of a hundred packets is lost each way',
    shows: 'SACK blocks of a receiver, byte for byte',
    seed: 8,
    link: lossy(0.01),
    run: (run) => download(run, 60_000),
  },
  {
    name: 'own-zero-window',
    what: 'the server does not read for two seconds',
    shows: 'persist timer and window update',
    seed: 9,
    link: { recvRingBytes: 32_768 },
    run: ({ pair, client, server }) => {
      const peer = server();
      peer.recvLimitBytes = 8192;
      const { onEvents } = pair;
      pair.onEvents = (endpoint, events) => {
        if (endpoint !== peer) onEvents(endpoint, events);
      };
      write(client, pattern(20_000));
      pair.runFor(2000);
      pair.onEvents = onEvents;
      const rest = new Uint8Array(20_000);
      pair.runFor(20);
      while (peer.recvRing!.usedBytes > 0) {
        peer.recvRing!.read(rest, 0, rest.length);
        peer.appRead();
        pair.runFor(50);
      }
      client.shutdown();
      pair.runFor(50);
      peer.shutdown();
      pair.runFor(2000);
    },
  },
  {
    name: 'own-ipv6',
    what: 'a download of 10,000 octets over IPv6',
    shows: 'IPv6',
    seed: 10,
    family: 6,
    run: (run) => download(run, 10_000),
  },
  {
    name: 'own-ipv6-loss',
    what: 'an upload of 40,000 octets over IPv6, three of a hundred packets are lost each way',
    shows: 'loss recovery over IPv6, byte for byte',
    seed: 11,
    family: 6,
    link: lossy(0.03),
    run: (run) => upload(run, 40_000),
  },
  {
    name: 'own-simultaneous-close',
    what: 'both sides close without having heard of the other',
    shows: 'CLOSING: the two FINs cross',
    seed: 13,
    run: ({ pair, client, server }) => {
      const peer = server();
      write(client, pattern(500));
      pair.runFor(100);
      client.shutdown();
      peer.shutdown();
      pair.runFor(2000);
    },
  },
  {
    name: 'own-newreno-loss',
    what: 'an upload of 60,000 octets with the congestion control NewReno and without SACK; three of a hundred packets are lost',
    shows: 'loss recovery by duplicate ACKs, byte for byte',
    seed: 14,
    congestion: 'newreno',
    settings: { selectiveAcks: false },
    link: lossy(0.03),
    run: (run) => upload(run, 60_000),
  },
  {
    name: 'own-ecn-marked',
    what: 'an upload of 40,000 octets with ECN; one of ten packets of the client is marked',
    shows: 'ECE and CWR',
    seed: 15,
    settings: { ecn: 'active' },
    link: { forward: { latencyMs: LATENCY_MS, mark: 0.1 } },
    run: (run) => upload(run, 40_000),
  },
  {
    name: 'own-tail-loss',
    what: 'the last segments of an upload are lost',
    shows: 'tail loss probe',
    seed: 16,
    drops: [8, 9],
    run: (run) => upload(run, 8000),
  },
  {
    name: 'own-syn-lost',
    what: 'two SYNs are lost',
    shows: 'SYN repeated after one and three seconds',
    seed: 17,
    drops: [1, 2],
    run: (run) => upload(run, 1000),
  },
  {
    name: 'own-keepalive',
    what: 'an idle connection with keep-alives',
    shows: 'keep-alive probes and their answers',
    seed: 18,
    keepAlive: { idleMs: 1000, intervalMs: 1000, count: 5 },
    run: ({ pair, client, server }) => {
      const peer = server();
      write(client, pattern(10));
      pair.runFor(3500);
      client.shutdown();
      pair.runFor(50);
      peer.shutdown();
      pair.runFor(2000);
    },
  },
  {
    name: 'own-no-options',
    what: 'an upload of 20,000 octets without timestamps, SACK and window scale; two of a hundred packets are lost',
    shows: 'a connection without options but MSS',
    seed: 19,
    settings: { timestamps: false, selectiveAcks: false, windowScale: false },
    link: lossy(0.02),
    run: (run) => upload(run, 20_000),
  },
  {
    name: 'own-small-mtu',
    what: 'an upload of 10,000 octets over links of 1280 octets',
    shows: 'small segments',
    seed: 12,
    link: { mtuBytes: 1280 },
    run: (run) => upload(run, 10_000),
  },
];

/** What lies beside the capture of a session. */
export function describeOwn(session: OwnSession): Description {
  const { loss = 0 } = session.link?.forward ?? {};
  return {
    what: session.what,
    recorded: `this stack against itself in virtual time, seed ${session.seed}${loss > 0 ? `, ${loss * 100} % loss` : ''}`,
    shows: session.shows,
    replay: {},
  };
}

/** With these a capture of the stack as it is now replays byte for byte. */
function exactOptions(session: OwnSession): Partial<ReplayOptions> {
  return {
    seed: session.seed,
    reads: 'once',
    noDelay: false,
    keepAlive: session.keepAlive ?? null,
    congestion: session.congestion ?? 'cubic',
    sendRingBytes: RING_BYTES,
    recvRingBytes: session.link?.recvRingBytes ?? RING_BYTES,
  };
}

/** Records a session of ours: two stacks of this project with a virtual link, packets as the client's stack sees them. */
export function recordOwn(session: OwnSession, file: string): void {
  const way = { latencyMs: LATENCY_MS };
  const pair = new StackPair({
    seed: session.seed,
    startMs: START_MS,
    sendRingBytes: RING_BYTES,
    recvRingBytes: RING_BYTES,
    forward: way,
    backward: way,
    ...session.link,
  });
  const writer = new PcapngWriter(file, { comment: replayComment(session.what, exactOptions(session)) });
  tap(pair, writer, session.drops ?? []);
  Object.assign(pair.a.tcp.settings, session.settings);
  pair.onEvents = (endpoint) => {
    if (endpoint === client || endpoint === peer) readAll(endpoint as TcpConnection);
  };
  let peer: TcpConnection | null = null;
  const listener: TcpListener | null = session.refused === true ? null : pair.b.tcp.listen(LISTEN);
  const remote = IpAddress.parse(session.family === 6 ? PAIR_ADDRESSES.b.v6 : PAIR_ADDRESSES.b.v4)!;
  const client = pair.a.tcp.connect({
    remote,
    remotePort: PORT,
    local: null,
    localPort: 0,
    noDelay: false,
    keepAlive: session.keepAlive ?? null,
    congestion: session.congestion ?? 'cubic',
  });
  const server = (): TcpConnection => {
    pair.runUntil(() => {
      peer ??= listener?.accept() ?? null;
      return peer !== null;
    }, LIMIT_MS);
    if (peer === null) throw new Error('nobody was accepted');
    return peer;
  };
  session.run({ pair, client, server });
  writer.close();
}

/** Writes what the client's stack sends and receives. */
function tap(pair: StackPair, writer: PcapngWriter, drops: readonly number[]): void {
  let sent = 0;
  const iface = writer.addInterface('own0', LINKTYPE_RAW);
  const record = (bytes: Uint8Array, direction: Direction): void => {
    const since = pair.nowMs - START_MS;
    const whole = Math.floor(since);
    const at = writer.beginPacket(iface, EPOCH_MS + whole, Math.round((since - whole) * 1e6), bytes.length);
    writer.slab.bytes.set(bytes, at);
    writer.endPacket(direction, '');
  };
  pair.forward.filter = (bytes) => {
    record(bytes, Direction.Outbound);
    return drops.includes(++sent) ? 'drop' : 'pass';
  };
  const { aInterface } = pair;
  const input = aInterface.input.bind(aInterface);
  aInterface.input = (slab, off, len, flags, now) => {
    record(slab.bytes.subarray(off, off + len), Direction.Inbound);
    input(slab, off, len, flags, now);
  };
}

function readAll(connection: TcpConnection): void {
  const ring = connection.recvRing;
  if (ring === null || ring.usedBytes === 0) return;
  ring.read(new Uint8Array(ring.usedBytes), 0, ring.usedBytes);
  connection.appRead();
}
