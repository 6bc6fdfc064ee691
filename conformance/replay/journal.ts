import { openPcap } from '../../drivers/pcap-reader.ts';
import { Direction } from '../../drivers/pcapng.ts';
import { NetError, Phase } from '../../stack/errors.ts';
import type { Interface, InterfaceRoute, InterfaceSettings } from '../../stack/ip/interface.ts';
import { type LinkCapabilities, RxFlag, type TxPacket } from '../../stack/link.ts';
import { SeededRandom } from '../../stack/random.ts';
import { Stack } from '../../stack/stack.ts';
import type { TcpConnection } from '../../stack/tcp/connection.ts';
import { type SendOptions, useSendOptions } from '../../stack/tcp/send-policy.ts';
import type { ConnectOptions } from '../../stack/tcp/tcp-layer.ts';
import { ElasticHeapRings } from '../../stack/testing/elastic-heap-rings.ts';
import {
  ETHERNET_ADDRESS_BYTES,
  ETHERNET_HEADER_BYTES,
  Ethernet,
  EtherType,
  ethernetHigh,
  ethernetLow,
} from '../../stack/wire/ethernet.ts';
import { IpAddress, type IpPrefix, parsePrefix } from '../../stack/wire/ip-address.ts';
import { completeAt } from '../../stack/wire/partial-checksum.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { decodePacket } from '../script/packet.ts';
import { EXACT_TIME_MS } from './comment.ts';
import type { SentPacket } from './host.ts';
import { streamOffset } from './recording.ts';
import type { SessionReport } from './report.ts';
import type { RecordedPacket, Session } from './session.ts';
import { comparePackets } from './strict.ts';

/** How the recorded stack was set up: what an engine writes first (engine/journal.ts). */
interface Header {
  readonly journal: 1;
  readonly seed: number;
  readonly epochMs: number;
  readonly startMs: number;
  readonly addresses: readonly string[];
  readonly gateways: readonly string[];
  /** The station address of an Ethernet device as its bytes. */
  readonly capabilities: Omit<LinkCapabilities, 'ethernet'> & {
    readonly ethernet?: { readonly address: readonly number[] };
  };
  readonly sizes: Readonly<Record<'sendBytes' | 'recvBytes' | 'maxSendBytes' | 'maxRecvBytes', number>>;
  readonly sending?: SendOptions;
}

/** An own address as a journal has it. */
type JournaledAddress = Omit<IpPrefix, 'address'> & { readonly address: string };

type Call = readonly [call: string, connection: number, ...more: unknown[]];
type Options = Pick<ConnectOptions, 'noDelay' | 'keepAlive' | 'congestion' | 'policy'>;

/** What happened, in its order: a turn with its calls, calls behind a turn, a packet. */
type Entry =
  | { readonly kind: 'turn'; readonly atMs: number; readonly calls: readonly Call[] }
  | { readonly kind: 'late'; readonly calls: readonly Call[] }
  | { readonly kind: 'in'; readonly bytes: Uint8Array }
  /** `to`: the first octets of the frame, on Ethernet the station it goes to. */
  | { readonly kind: 'out'; readonly number: number; readonly to: Uint8Array };

/** A run of an engine that was recorded with its seed: everything that it depends on. */
export interface JournaledRun {
  readonly header: Header;
  readonly entries: readonly Entry[];
  /** Of the capture's first packet, on the stack's clock, as whole milliseconds: where the times of sessions begin. */
  readonly firstMs: number;
}

/** What an engine allows (engine/options.ts). */
const MAX_RING_BYTES: number = 1 << 30;
const DEFAULTS: Options = { noDelay: false, keepAlive: null };
const NO_TCP = 'a run is done again with its TCP connections only';
const ACCEPTED = 'the peer has opened it: a run is done again from the side of those who open';

/**
 * Reads the journal of a capture. @returns null when there is none: it was not recorded by an engine with a seed
 * @throws NetError ARGUMENT_INVALID when the file is no capture, or is damaged
 */
export function readJournal(path: string): JournaledRun | null {
  const reader = openPcap(path);
  let header: Header | null = null;
  let firstMs = -1;
  const entries: Entry[] = [];
  reader.onNote = (text) => {
    const note = parse(text);
    if ('journal' in note) header ??= headerOf(note, path);
    else if (isCalls(note['late'])) entries.push({ kind: 'late', calls: note['late'] });
    else if (typeof note['at'] === 'number' && isCalls(note['calls']))
      entries.push({ kind: 'turn', atMs: note['at'], calls: note['calls'] });
  };
  for (let number = 1; reader.next(); number++) {
    const { direction, slab, off, len, epochMs, isLost } = reader.frame;
    if (firstMs < 0) firstMs = epochMs;
    if (direction === Direction.Outbound) {
      const to = slab.bytes.slice(off, off + ETHERNET_ADDRESS_BYTES);
      entries.push({ kind: 'out', number, to });
    }
    // of what the link has lost, what was sent was seen by the stack, and what was received was not
    else if (!isLost) entries.push({ kind: 'in', bytes: slab.bytes.slice(off, off + len) });
  }
  if (reader.error !== null) throw reader.error;
  if (header === null) return null;
  return { header, entries, firstMs: firstMs - (header as Header).epochMs };
}

function parse(text: string): Record<string, unknown> {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === 'object' && found !== null ? (found as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function isCalls(found: unknown): found is Call[] {
  return (
    Array.isArray(found) &&
    found.every((call) => Array.isArray(call) && typeof call[0] === 'string' && typeof call[1] === 'number')
  );
}

function headerOf(note: Record<string, unknown>, path: string): Header {
  const header = note as Partial<Header>;
  const { addresses, gateways, capabilities, sizes } = header;
  const numbers = [header.seed, header.epochMs, header.startMs, capabilities?.mtuBytes];
  const rings = [sizes?.recvBytes, sizes?.maxRecvBytes, sizes?.maxSendBytes];
  const isRight =
    numbers.every((number) => typeof number === 'number' && Number.isFinite(number)) &&
    rings.every(
      (size) => Number.isInteger(size) && size! > 0 && size! <= MAX_RING_BYTES && (size! & (size! - 1)) === 0,
    ) &&
    Array.isArray(addresses) &&
    Array.isArray(gateways) &&
    (capabilities?.ethernet === undefined || isStationAddress(capabilities.ethernet.address));
  if (isRight) return note as unknown as Header;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `capture ${path}: its journal does not begin as one of an engine does`,
  });
}

function isStationAddress(found: unknown): boolean {
  const isByte = (each: unknown): boolean =>
    Number.isInteger(each) && (each as number) >= 0 && (each as number) <= 255;
  return Array.isArray(found) && found.length === 6 && found.every(isByte);
}

/** Does a run again, all of it on one stack, and compares what its connections send, byte for byte. @param sessions of the same capture */
export function replayRun(run: JournaledRun, sessions: readonly Session[]): SessionReport[] {
  const again = new Again(run, sessions);
  again.run();
  return sessions.map((session) => again.report(session));
}

/** One connection of the recorded run. */
interface Track {
  readonly session: Session;
  readonly stream: Uint8Array;
  readonly sent: SentPacket[];
  options: Options;
  connection: TcpConnection | null;
  written: number;
  taken: number;
}

class Again {
  readonly #run: JournaledRun;
  readonly #stack: Stack;
  readonly #rings: ElasticHeapRings = new ElasticHeapRings();
  readonly #input: (bytes: Uint8Array) => void;
  /** By the ports and addresses of {@link keyOf}. */
  readonly #tracks: Map<string, Track> = new Map();
  /** By the number of the packet that opens them. */
  readonly #bySyn: Map<number, Track> = new Map();
  readonly #byNumber: Map<number, Track> = new Map();
  readonly #sessions: Map<Session, Track> = new Map();
  readonly #iface: Interface;
  readonly #isEthernet: boolean;
  #nowMs: number;

  constructor(run: JournaledRun, sessions: readonly Session[]) {
    this.#run = run;
    const { header } = run;
    this.#nowMs = header.startMs;
    this.#stack = new Stack({
      random: new SeededRandom(header.seed),
      rings: this.#rings,
      now: header.startMs,
    });
    const { settings } = this.#stack.tcp;
    const { recvBytes, maxRecvBytes, maxSendBytes } = header.sizes;
    settings.receiveBufferBytes = recvBytes;
    settings.maxReceiveBufferBytes = maxRecvBytes;
    // large from the beginning: how much fitted then is known
    settings.sendBufferBytes = maxSendBytes;
    settings.maxSendBufferBytes = maxSendBytes;
    useSendOptions(settings, header.sending ?? {});
    const { ethernet, ...others } = header.capabilities;
    this.#isEthernet = ethernet !== undefined;
    this.#iface = this.#stack.addInterface({
      name: 'replay0',
      sink: { send: (packet) => this.#send(packet) },
      capabilities: {
        ...others,
        ...(ethernet && { ethernet: { address: Uint8Array.from(ethernet.address) } }),
      },
      addresses: header.addresses,
      gateways: header.gateways,
    });
    this.#input = (bytes) =>
      this.#iface.input(new Slab(bytes), 0, bytes.length, RxFlag.ChecksumValid, this.#nowMs);
    for (const session of sessions) this.#prepare(session);
  }

  #prepare(session: Session): void {
    const first = session.packets[0];
    if (session.protocol !== 'tcp' || session.unfit !== '' || first === undefined) return;
    const opens = this.#run.entries.some((entry) => entry.kind === 'out' && entry.number === first.number);
    if (!opens) return;
    const track: Track = {
      session,
      stream: streamOf(session),
      sent: [],
      options: DEFAULTS,
      connection: null,
      written: 0,
      taken: 0,
    };
    const { client, server } = session;
    this.#tracks.set(keyOf(client.port, `${server.address}`, server.port), track);
    this.#bySyn.set(first.number, track);
    this.#sessions.set(session, track);
  }

  run(): void {
    const { entries } = this.#run;
    const options = new Map<number, Options>();
    entries.forEach((entry, i) => {
      if (entry.kind === 'turn') {
        this.#finishTurn();
        this.#nowMs = entry.atMs;
        this.#stack.advance(entry.atMs);
        const begun = this.#begunIn(i);
        for (const [track, to] of begun) if (this.#isEthernet) this.#teach(track, to);
        for (const call of entry.calls) this.#call(call, options);
        // an attempt shows in its SYN, at the end of the turn
        for (const track of begun.keys()) if (track.connection === null) this.#connect(track, options);
      } else if (entry.kind === 'late') {
        // an engine that ends lets go of its sockets when the turn has sent what it had; all else was before that
        if (entry.calls.some(([call]) => call === 'close')) this.#finishTurn();
        // an attempt after the end of a turn, for a name: its SYN was in that turn
        for (const call of entry.calls) if (call[0] !== 'attempt') this.#call(call, options);
      } else if (entry.kind === 'in') {
        this.#input(entry.bytes);
      }
    });
    this.#finishTurn();
  }

  /** The connections whose SYN left in the turn at `index`, with the station it went to. */
  #begunIn(index: number): Map<Track, Uint8Array> {
    const { entries } = this.#run;
    const begun = new Map<Track, Uint8Array>();
    for (let at = index + 1; at < entries.length && entries[at]!.kind !== 'turn'; at++) {
      const later = entries[at]!;
      const track = later.kind === 'out' ? this.#bySyn.get(later.number) : undefined;
      if (track?.connection === null && later.kind === 'out') begun.set(track, later.to);
    }
    return begun;
  }

  /** A SYN that left at once had a neighbour that was known, maybe from what is not done again: questions for names. */
  #teach({ session }: Track, to: Uint8Array): void {
    const { nextHop } = this.#stack.ip.route(session.server.address, session.client.address);
    const { view } = new Slab(to);
    this.#iface.link?.neighbours.learn(nextHop, ethernetHigh(view, 0), ethernetLow(view, 0));
  }

  #finishTurn(): void {
    this.#takeEvents();
    this.#stack.transmit(this.#nowMs);
    this.#takeEvents();
  }

  #takeEvents(): void {
    for (let endpoint = this.#stack.pollEvent(); endpoint !== null; endpoint = this.#stack.pollEvent())
      endpoint.takeEvents();
  }

  #connect(track: Track, options: ReadonlyMap<number, Options>): void {
    const { client, server } = track.session;
    track.connection = this.#stack.tcp.connect({
      remote: server.address,
      remotePort: server.port,
      local: client.address,
      localPort: client.port,
      ...(options.get(server.port) ?? DEFAULTS),
    });
  }

  /** The first connection to there that has not begun. */
  #nextTrack(address: string, port: number): Track | undefined {
    for (const track of this.#bySyn.values()) {
      const { server } = track.session;
      if (track.connection === null && server.port === port && `${server.address}` === address) return track;
    }
    return undefined;
  }

  #call([call, index, ...more]: Call, options: Map<number, Options>): void {
    if (call === 'connect') {
      options.set(more[0] as number, more[1] as Options);
      return;
    }
    if (call === 'configured') {
      const [source, settings, hopLimit] = more as [string, unknown, number];
      this.#iface.advertisedHopLimit = hopLimit;
      this.#stack.configure(this.#iface, source, settings === null ? null : settingsOf(settings));
      return;
    }
    if (call === 'attempt') {
      const [address, port] = more as [string, number];
      const track = this.#nextTrack(address, port);
      if (track !== undefined) this.#connect(track, options);
      return;
    }
    if (call === 'opened') {
      const [localPort, remote, remotePort] = more as [number, string, number];
      const track = this.#tracks.get(keyOf(localPort, remote, remotePort));
      if (track !== undefined) this.#byNumber.set(index, track);
      return;
    }
    const track = this.#byNumber.get(index);
    if (track === undefined || track.connection === null) return;
    this.#act(track, track.connection, call, more);
  }

  #act(track: Track, connection: TcpConnection, call: string, more: readonly unknown[]): void {
    switch (call) {
      case 'options':
        connection.setNoDelay(more[0] as boolean);
        connection.setKeepAlive(more[1] as ConnectOptions['keepAlive']);
        break;
      case 'written':
        this.#write(track, connection, more[0] as number);
        break;
      case 'sent':
        this.#write(track, connection, more[0] as number);
        connection.appWrote();
        break;
      case 'room':
        connection.appWantsRing();
        this.#write(track, connection, more[0] as number);
        break;
      case 'taken': {
        const bytes = ((more[0] as number) - track.taken) | 0;
        track.taken = more[0] as number;
        if (bytes > 0 && bytes <= (connection.recvRing?.usedBytes ?? 0))
          connection.recvRing!.advanceTail(bytes);
        break;
      }
      case 'read':
        connection.appRead();
        break;
      case 'shutdown':
        connection.shutdown();
        break;
      case 'abort':
        connection.abort();
        break;
      case 'close':
        connection.close();
        break;
    }
  }

  /** The application had written up to there. */
  #write(track: Track, connection: TcpConnection, upTo: number): void {
    const bytes = (upTo - track.written) | 0;
    // more never fits
    if (!(bytes > 0 && bytes <= this.#run.header.sizes.maxSendBytes)) return;
    const data = new Uint8Array(bytes);
    data.set(track.stream.subarray(track.written, upTo));
    track.written = upTo;
    if (connection.sendRing === null) this.#rings.write(connection, data, 0, bytes, true);
    else connection.sendRing.write(data, 0, bytes);
  }

  #send(packet: TxPacket): boolean {
    const slab = Slab.alloc(packet.lengthBytes);
    packet.gather(slab.bytes, 0);
    if (packet.csumStart >= 0) completeAt(slab, 0, slab.lengthBytes, packet.csumStart, packet.csumOffset);
    const off = this.#isEthernet ? ETHERNET_HEADER_BYTES : 0;
    if (this.#isEthernet && slab.view.getUint16(Ethernet.Type) === EtherType.Arp) return true;
    const decoded = decodePacket(slab.bytes.subarray(off), 0);
    const { tcp, ip } = decoded;
    if (tcp === null) return true;
    const track = this.#tracks.get(keyOf(tcp.sourcePort, `${ip.destination}`, tcp.destinationPort));
    track?.sent.push({ timeMs: this.#nowMs - this.#run.firstMs, packet: decoded });
    return true;
  }

  report(session: Session): SessionReport {
    const track = this.#sessions.get(session);
    if (track === undefined)
      return {
        session,
        sentPackets: 0,
        skipped: session.protocol === 'tcp' ? ACCEPTED : NO_TCP,
        differences: [],
      };
    const recorded = session.packets.filter(({ fromClient }) => fromClient);
    const isns = { clientIsn: isnOf(session, true), serverIsn: isnOf(session, false) };
    const exactly = { timeMs: EXACT_TIME_MS, window: 0, exact: true };
    const difference = comparePackets(recorded, track.sent, exactly, isns);
    return {
      session,
      sentPackets: track.sent.length,
      skipped: '',
      differences: difference === null ? [] : [difference],
    };
  }
}

/** What an engine's journal says of a configuration. */
function settingsOf(found: unknown): InterfaceSettings {
  const said = found as {
    mtuBytes: number | null;
    addresses: JournaledAddress[];
    routes: [string, string | null][];
  };
  return {
    addresses: said.addresses.flatMap(({ address: text, ...rest }) => {
      const address = IpAddress.parse(text);
      return address === null ? [] : [{ address, ...rest }];
    }),
    routes: said.routes.flatMap(([text, gateway]): InterfaceRoute[] => {
      const prefix = parsePrefix(text);
      return prefix === null ? [] : [{ prefix, gateway: gateway === null ? null : IpAddress.parse(gateway) }];
    }),
    // JSON has no Infinity
    mtuBytes: said.mtuBytes ?? Infinity,
  };
}

function keyOf(localPort: number, remote: string, remotePort: number): string {
  return `${localPort} ${remote} ${remotePort}`;
}

function isnOf(session: Session, ofClient: boolean): number {
  const syn = session.packets.find(
    ({ packet, fromClient }: RecordedPacket) => fromClient === ofClient && packet.tcp?.flags.includes('S'),
  );
  return syn?.packet.tcp?.seq ?? 0;
}

/** What the client sent, each octet where it belongs. */
function streamOf(session: Session): Uint8Array {
  const isn = isnOf(session, true);
  const pieces = session.packets.flatMap(({ packet, fromClient }) =>
    fromClient && packet.tcp !== null && packet.tcp.payload.length > 0 && !packet.tcp.flags.includes('R')
      ? [{ at: streamOffset(packet.tcp, isn), payload: packet.tcp.payload }]
      : [],
  );
  const stream = new Uint8Array(Math.max(0, ...pieces.map(({ at, payload }) => at + payload.length)));
  // what came first counts: later copies may be garbage octets of keep-alives
  for (const { at, payload } of pieces.toReversed()) {
    stream.set(at < 0 ? payload.subarray(-at) : payload, Math.max(at, 0));
  }
  return stream;
}
