import {
  MAX_SACK_BLOCKS,
  TCP_HEADER_BYTES,
  TCP_MAX_HEADER_BYTES,
  TcpOption,
  writeTimestamps,
} from '../wire/tcp.ts';
import {
  type AccurateEcn,
  MAX_ECN_OPTION_FIELDS,
  optionSent,
  wantsOption,
  writeOption,
} from './accurate-ecn.ts';
import type { TcpConnection } from './connection.ts';

const MAX_OPTION_BYTES = TCP_MAX_HEADER_BYTES - TCP_HEADER_BYTES;
/** Kind and length. */
const ECN_OPTION_PREFIX_BYTES = 2;
/** NOP, NOP, kind, length before the blocks of a SACK option. */
const SACK_PREFIX_BYTES = 4;
const SACK_PREFIX = 0x01010500;
const SACK_BLOCK_BYTES = 8;
/** Fewer are not reported to make room for counters (as Linux). */
const LEAST_SACK_BLOCKS = 2;

/** What the next segment has behind its header; one for all connections, planned anew for each segment. */
const plan = { sackBlocks: 0, ecnFields: -1, ecnBytes: 0 };

/** Octets that options take which not every segment has: SACK and AccECN. */
export function variableOptionBytes(c: TcpConnection): number {
  if (!c.sackOk && c.accurateEcn === null) return 0;
  return planOptions(c);
}

function planOptions(c: TcpConnection): number {
  plan.sackBlocks = c.sackOk ? sackBlockCount(c) : 0;
  plan.ecnBytes = 0;
  plan.ecnFields = -1;
  if (c.accurateEcn !== null && wantsOption(c, c.accurateEcn)) fitCounters(c, c.accurateEcn);
  return sackOptionBytes(plan.sackBlocks) + plan.ecnBytes;
}

function sackBlockCount(c: TcpConnection): number {
  const blocks = c.assembler.count + (c.dsackLeft !== c.dsackRight ? 1 : 0);
  const most = c.tsOk ? MAX_SACK_BLOCKS - 1 : MAX_SACK_BLOCKS;
  return Math.min(blocks, most);
}

function sackOptionBytes(blocks: number): number {
  return blocks === 0 ? 0 : SACK_PREFIX_BYTES + SACK_BLOCK_BYTES * blocks;
}

/** As many counters as fit, but those that have changed at least; SACK blocks give way for them. */
function fitCounters(c: TcpConnection, a: AccurateEcn): void {
  const needed = a.fieldsNeeded;
  const leastBlocks = needed === 0 ? plan.sackBlocks : Math.min(plan.sackBlocks, LEAST_SACK_BLOCKS);
  for (let blocks = plan.sackBlocks; blocks >= leastBlocks; blocks--) {
    const room = MAX_OPTION_BYTES - c.segmentOptionBytes - sackOptionBytes(blocks);
    for (let fields = MAX_ECN_OPTION_FIELDS; fields >= needed; fields--) {
      const bytes = (ECN_OPTION_PREFIX_BYTES + 3 * fields + 3) & ~3;
      if (bytes > room) continue;
      plan.sackBlocks = blocks;
      plan.ecnFields = fields;
      plan.ecnBytes = bytes;
      return;
    }
  }
}

/** Options of a segment in a synchronized state. @returns octets that {@link writeSegmentOptions} will write */
export function segmentOptionBytes(c: TcpConnection): number {
  return c.segmentOptionBytes + planOptions(c);
}

/** What {@link segmentOptionBytes} has planned. */
export function writeSegmentOptions(c: TcpConnection, view: DataView, off: number): void {
  let at = off;
  if (c.tsOk) at += writeTimestamps(view, at, c.timestamp(), c.tsRecent);
  const { accurateEcn } = c;
  if (accurateEcn !== null) {
    accurateEcn.sentWithDuplicate = plan.ecnFields >= 0 && c.dsackLeft !== c.dsackRight;
    if (plan.ecnFields >= 0) at = writeCounters(c, accurateEcn, view, at);
  }
  if (plan.sackBlocks > 0) writeSack(c, view, at, plan.sackBlocks);
}

/** @returns where the next option begins */
function writeCounters(c: TcpConnection, a: AccurateEcn, view: DataView, off: number): number {
  const end = off + plan.ecnBytes;
  writeEcnOption(view, off, a, plan.ecnFields, end);
  optionSent(c, a);
  return end;
}

/** The option with its NOPs up to `end`. */
export function writeEcnOption(
  view: DataView,
  off: number,
  a: AccurateEcn,
  fields: number,
  end: number,
): void {
  const length = ECN_OPTION_PREFIX_BYTES + 3 * fields;
  view.setUint8(off, TcpOption.AccurateEcn1);
  view.setUint8(off + 1, length);
  writeOption(view, off + 2, a, fields);
  for (let at = off + length; at < end; at++) view.setUint8(at, TcpOption.NoOperation);
}

function writeSack(c: TcpConnection, view: DataView, off: number, blocks: number): void {
  view.setInt32(off, SACK_PREFIX | (2 + SACK_BLOCK_BYTES * blocks));
  let at = off + SACK_PREFIX_BYTES;
  let left = blocks;
  if (c.dsackLeft !== c.dsackRight) {
    view.setInt32(at, c.dsackLeft);
    view.setInt32(at + 4, c.dsackRight);
    at += SACK_BLOCK_BYTES;
    left--;
  }
  c.assembler.writeBlocks(view, at, left);
}
