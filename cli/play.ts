import { setImmediate as signalsTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Device } from '../drivers/device.ts';
import { LinkType } from '../drivers/pcap-link.ts';
import { openPcap, type PcapFrame } from '../drivers/pcap-reader.ts';
import { openRaw } from '../drivers/raw.ts';
import { openTap, openTun } from '../drivers/tun.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { HEADROOM_BYTES, TxPacket } from '../stack/link.ts';
import { IPV4_HEADER_BYTES, ipv4TotalLength } from '../stack/wire/ipv4.ts';
import { IPV6_HEADER_BYTES, ipv6PayloadLength } from '../stack/wire/ipv6.ts';
import { Slab } from '../stack/wire/slab.ts';
import {
  type AddressChange,
  changeAddresses,
  changeArpAddresses,
  parseAddressChange,
} from './address-map.ts';
import { ExitCode, exitCodeOf } from './exit-code.ts';
import { type PacketFilter, parseFilter } from './packet-filter.ts';
import { arpOffset, type PacketSummary, summarizeArp, summarizePacket } from './packet-line.ts';
import { note } from './report.ts';
import type { ReplayFlags } from './verbs/replay.ts';

/** What an IP packet can have, and an Ethernet header with tags. */
const MAX_PACKET_BYTES = 65_600;
/** How long a device that is full is given. */
const FULL_MS = 1;
/** Timers are no finer; what is due within it leaves together. */
const LEAST_WAIT_MS = 1;

/** Packets that may leave before signals get their turn. */
const BATCH = 64;
/** With their numbers: shells report 128 + number. */
const SIGNALS: readonly [NodeJS.Signals, number][] = [
  ['SIGINT', 2],
  ['SIGTERM', 15],
];

/** What has become of the packets. */
interface Played {
  packets: number;
  bytes: number;
  /**
   * Frames that the device cannot carry: not IP on a TUN device, without an Ethernet header on an Ethernet device, cut off, too large. And
   * those that the link had lost, as the capture says.
   */
  skipped: number;
  /** What --filter does not want. */
  filtered: number;
}

/**
 * Puts the packets of captures onto a device, at their recorded distances, as tcpreplay does. No stack takes part.
 * @param device `tun:NAME`, `tap:NAME`, `raw:INTERFACE`
 * @returns the exit code
 */
export async function playFiles(
  files: readonly string[],
  device: string,
  flags: ReplayFlags,
): Promise<number> {
  try {
    return await playAll(files, device, flags);
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    console.error(`tunwire: ${error.message}`);
    return exitCodeOf(error, ExitCode.Send);
  }
}

async function playAll(files: readonly string[], device: string, flags: ReplayFlags): Promise<number> {
  const speed = speedOf(flags.speed ?? '1');
  const changes = (flags.map ?? []).map(parseAddressChange);
  const wanted = flags.filter === undefined ? null : parseFilter([flags.filter]);
  const open = openDevice(device);
  const end = new AbortController();
  let ending = 0;
  for (const [signal, number] of SIGNALS) {
    process.on(signal, () => {
      ending = 128 + number;
      end.abort();
    });
  }
  const startedAt = performance.now();
  const played: Played = { packets: 0, bytes: 0, skipped: 0, filtered: 0 };
  const rounds = flags.loop === 0 ? Infinity : (flags.loop ?? 1);
  try {
    for (let round = 0; round < rounds && !end.signal.aborted; round++) {
      const before = played.packets;
      for (const file of files) await play(file, open, speed, changes, wanted, played, end.signal);
      // what cannot be sent once cannot be sent again
      if (played.packets === before) break;
    }
    open.flush();
  } finally {
    open.close();
  }
  // the device took them, and the interface did not
  const refused =
    open.counters.txDroppedDown + open.counters.txDroppedTooLarge + open.counters.txDroppedError;
  played.packets -= refused;
  const elapsedMs = performance.now() - startedAt;
  if (flags.json === true)
    console.log(JSON.stringify({ ...played, refused, elapsedMs: Math.round(elapsedMs) }));
  else {
    const skipped = played.skipped === 0 ? '' : `, ${played.skipped} skipped`;
    note(`${played.packets} packets, ${played.bytes} bytes in ${(elapsedMs / 1000).toFixed(3)} s${skipped}`);
  }
  if (refused > 0)
    console.error(
      `tunwire: ${device} has refused ${refused} packets; is it up, and its MTU large enough? see: ip link show ${device.slice(device.indexOf(':') + 1)}`,
    );
  if (ending !== 0) return ending;
  return played.packets > 0 && refused === 0 ? ExitCode.Ok : ExitCode.Failed;
}

async function play(
  file: string,
  device: Device,
  speed: number,
  changes: readonly AddressChange[],
  wanted: PacketFilter | null,
  played: Played,
  signal: AbortSignal,
): Promise<void> {
  const reader = openPcap(file);
  const isEthernet = device.capabilities.ethernet !== undefined;
  const packet = new TxPacket(Slab.alloc(HEADROOM_BYTES + MAX_PACKET_BYTES));
  try {
    const { frame } = reader;
    const startedAt = performance.now();
    let firstMs = Number.NaN;
    let inBatch = 0;
    while (!signal.aborted && reader.next()) {
      const timeMs = frame.epochMs + frame.nanoseconds / 1e6;
      if (Number.isNaN(firstMs)) firstMs = timeMs;
      const aheadMs = startedAt + (timeMs - firstMs) / speed - performance.now();
      if (aheadMs >= LEAST_WAIT_MS) {
        device.flush();
        await sleep(aheadMs, undefined, { signal }).catch(() => {});
      } else if (++inBatch % BATCH === 0) await signalsTurn();
      if (signal.aborted) return;
      if (wanted !== null && !wanted(summaryOf(frame))) {
        played.filtered++;
        continue;
      }
      const from = isEthernet ? frame.off : frame.ipOff;
      const length = isEthernet ? frame.len : ipLength(frame);
      if (!isWhole(frame, isEthernet) || length > packet.head.lengthBytes - packet.headOff) {
        played.skipped++;
        continue;
      }
      packet.reset();
      packet.headLen = length;
      packet.head.bytes.set(frame.slab.bytes.subarray(from, from + length), packet.headOff);
      if (changes.length > 0) change(packet, frame, packet.headOff - from, changes);
      while (!device.send(packet)) {
        await sleep(FULL_MS);
        if (signal.aborted) return;
      }
      played.packets++;
      played.bytes += length;
    }
    device.flush();
    if (reader.error !== null) throw reader.error;
  } finally {
    reader.close();
  }
}

/** The device can carry it as it was. */
function isWhole({ linkType, ipOff, len, originalLen, isLost }: PcapFrame, isEthernet: boolean): boolean {
  if (originalLen > len || isLost) return false;
  return isEthernet ? linkType === LinkType.Ethernet : ipOff >= 0;
}

/** Of the IP packet, without what the link has put behind it (Ethernet's frames have 60 bytes at least). */
function ipLength({ slab: { view }, ipOff, ipLen }: PcapFrame): number {
  const isV4 = view.getUint8(ipOff) >>> 4 === 4;
  const headerBytes = isV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
  if (ipLen < headerBytes) return ipLen;
  const told = isV4 ? ipv4TotalLength(view, ipOff) : IPV6_HEADER_BYTES + ipv6PayloadLength(view, ipOff);
  // a length of 0: larger than the field can say, and cut up by the device later
  return told <= (isV4 ? 0 : IPV6_HEADER_BYTES) ? ipLen : Math.min(told, ipLen);
}

function summaryOf(frame: PcapFrame): PacketSummary | null {
  const { slab, off, len, ipOff, ipLen } = frame;
  const arpOff = arpOffsetOf(frame);
  if (arpOff >= 0) return summarizeArp(slab.view, arpOff, off + len - arpOff);
  return ipOff < 0 ? null : summarizePacket(slab.view, ipOff, ipLen);
}

/** -1: it carries none. */
function arpOffsetOf({ linkType, slab, off, len }: PcapFrame): number {
  return linkType === LinkType.Ethernet ? arpOffset(slab.view, off, len) : -1;
}

/** @param moved how far the copy in the packet lies behind the frame */
function change(
  { head: { view } }: TxPacket,
  frame: PcapFrame,
  moved: number,
  changes: readonly AddressChange[],
): void {
  const arpOff = arpOffsetOf(frame);
  if (arpOff >= 0) changeArpAddresses(view, arpOff + moved, frame.off + frame.len - arpOff, changes);
  else if (frame.ipOff >= 0) changeAddresses(view, frame.ipOff + moved, frame.ipLen, changes);
}

/** @throws NetError ARGUMENT_INVALID */
function speedOf(text: string): number {
  const speed = text === 'max' ? Infinity : Number(text);
  if (speed > 0) return speed;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `--speed takes a number above 0, or max; got '${text}'`,
  });
}

function openDevice(spec: string): Device {
  const [kind = '', name = ''] = spec.split(/:(.*)/s);
  switch (kind) {
    case 'tun':
      return openTun(name, { offload: false });
    case 'tap':
      return openTap(name, { offload: false });
    case 'raw':
      return openRaw(name, { offload: false, addresses: [] });
    default:
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `a capture is played onto tun:NAME, tap:NAME or raw:INTERFACE; got '${spec}'`,
      });
  }
}
