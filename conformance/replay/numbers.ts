import { SeededRandom } from '../../stack/random.ts';
import { Stack } from '../../stack/stack.ts';
import { HeapRings } from '../../stack/testing/heap-rings.ts';
import { foldChecksum, sumSlab } from '../../stack/wire/checksum.ts';
import { IpAddress } from '../../stack/wire/ip-address.ts';
import { IPV4_HEADER_BYTES, Ipv4 } from '../../stack/wire/ipv4.ts';
import { Ipv6 } from '../../stack/wire/ipv6.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { optionOf, type Recording } from './recording.ts';
import type { RecordedPacket, Session } from './session.ts';

/** Where the clock begins when nothing tells: not at 0, which might look like "never". */
const START_MS = 1_000_000;
/** What a clock that ticks every 4 µs counts before it is 0 again (RFC 9293 §3.4.1). */
const ISN_CYCLE_MS = 2 ** 32 / 250;
/** … and how often that happens before a clock of milliseconds is 0 again. */
const ISN_CYCLES = 250;

/** In place of loopback addresses, which no interface can have. */
const STAND_INS = {
  4: { client: '192.0.2.1', server: '192.0.2.2' },
  6: { client: '2001:db8::1', server: '2001:db8::2' },
} as const;

/** The addresses that our stack and its peer have. */
export interface Addresses {
  readonly client: IpAddress;
  readonly server: IpAddress;
}

/** Those of the recording, or stand-ins where it was made on the loopback interface. */
export function addressesOf(session: Session): Addresses {
  const { client, server } = session;
  if (!client.address.isLoopback && !server.address.isLoopback)
    return { client: client.address, server: server.address };
  const names = STAND_INS[client.address.family];
  return { client: parse(names.client), server: parse(names.server) };
}

function parse(text: string): IpAddress {
  const address = IpAddress.parse(text);
  if (address === null) throw new Error(`not an address: ${text}`);
  return address;
}

/**
 * Our stack takes over the recorded client's address, port, initial sequence number and timestamp offset, so that packets of the
 * server are good as they are. Left to do: stand-in addresses, and echoes of timestamps from another clock than ours.
 */
export function translator(recording: Recording): {
  address: Addresses;
  toOurs: (packet: RecordedPacket) => Uint8Array;
} {
  const { session } = recording;
  const address = addressesOf(session);
  const moved =
    !address.client.equals(session.client.address) || !address.server.equals(session.server.address);
  const times = timestampTimes(recording);
  const first = optionOf(recording.syn, 'TS')?.val ?? 0;
  const firstMs = times.get(first) ?? 0;
  const toOurs = (recorded: RecordedPacket): Uint8Array => {
    const bytes = moved ? withAddresses(recorded.packet.bytes, address) : recorded.packet.bytes.slice();
    const tcp = recorded.packet.tcp;
    const ecr = tcp === null ? undefined : optionOf(tcp, 'TS')?.ecr;
    const sentMs = ecr === undefined ? undefined : times.get(ecr);
    if (ecr === undefined || sentMs === undefined) return bytes;
    const ours = (first + Math.floor(sentMs) - Math.floor(firstMs)) >>> 0;
    // a tick more or less is where the recorder's clock and the sender's do not tick together
    if (Math.abs((ours - ecr) | 0) > 1) replaceEcho(bytes, ecr, ours);
    return bytes;
  };
  return { address, toOurs };
}

/** When the client first sent each timestamp. */
function timestampTimes({ session }: Recording): Map<number, number> {
  const times = new Map<number, number>();
  for (const { packet, fromClient, timeMs } of session.packets) {
    const val = fromClient && packet.tcp !== null ? optionOf(packet.tcp, 'TS')?.val : undefined;
    if (val !== undefined && !times.has(val)) times.set(val, timeMs);
  }
  return times;
}

/** The option stands somewhere in the header; its checksum is not looked at any more. */
function replaceEcho(bytes: Uint8Array, from: number, to: number): void {
  const { view } = new Slab(bytes);
  const ip = bytes[0]! >> 4 === 6 ? 40 : (bytes[0]! & 15) * 4;
  const end = ip + (bytes[ip + 12]! >> 4) * 4;
  for (let at = ip + 20; at + 10 <= end; at += bytes[at]! <= 1 ? 1 : Math.max(bytes[at + 1]!, 2)) {
    if (bytes[at] === 8 && view.getUint32(at + 6) === from) view.setUint32(at + 6, to);
  }
}

/** A packet of the server between other addresses. */
export function withAddresses(packet: Uint8Array, address: Addresses): Uint8Array {
  const slab = new Slab(packet.slice());
  const { view } = slab;
  const { client, server } = address;
  if (client.family === 6) {
    server.write(view, Ipv6.Source);
    client.write(view, Ipv6.Destination);
    return slab.bytes;
  }
  view.setInt32(Ipv4.Source, server.w3);
  view.setInt32(Ipv4.Destination, client.w3);
  view.setUint16(Ipv4.Checksum, 0);
  const headerBytes = Math.max((slab.bytes[0]! & 15) * 4, IPV4_HEADER_BYTES);
  view.setUint16(Ipv4.Checksum, foldChecksum(sumSlab(slab, 0, headerBytes, 0)));
  return slab.bytes;
}

/**
 * What our clock showed at the first packet of a recording of this stack: the initial sequence number is a clock plus a hash that the
 * seed gives (RFC 9293 §3.4.1), and the timestamp tells in which of its cycles. Without a seed any time will do.
 */
export function clockStart(recording: Recording, seed: number | null): number {
  if (seed === null) return START_MS;
  const { syn, session, clientIsn } = recording;
  const stack = new Stack({ random: new SeededRandom(seed), rings: new HeapRings(4096, 4096), now: 0 });
  const { isn } = stack.tcp;
  isn.compute(session.client.address, session.client.port, session.server.address, session.server.port);
  const atMs = session.packets.find(({ packet }) => packet.tcp === syn)!.timeMs;
  const clockMs = ((clientIsn - isn.isn(0)) >>> 0) / 250;
  const val = optionOf(syn, 'TS')?.val;
  if (val === undefined) return clockMs - atMs;
  const wanted = (val - isn.timestampOffset) >>> 0;
  for (let cycle = 0; cycle < ISN_CYCLES; cycle++) {
    const now = clockMs + cycle * ISN_CYCLE_MS;
    if (Math.floor(now) >>> 0 === wanted) return now - atMs;
  }
  return clockMs - atMs;
}
