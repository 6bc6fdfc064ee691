import type { AttemptProgress } from '../stack/connector.ts';
import { ERRORS, type ErrorCode, errorCodeOf } from '../stack/errors.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { type SocketBlock, SocketWord, TEXT_BYTES, TEXT_OFF } from './socket-block.ts';

/** What has become of one of the addresses that a connection was tried with. */
export type AttemptRecord = Omit<AttemptProgress, 'address'> & { readonly address: string };

/** Family, then two bytes of the error's number (0: it begins), then the address. */
const RECORD_BYTES = 20;
const ADDRESS_OFF = 4;
/** Records that a block has room for, those of six addresses; of more addresses the rest is not told while connecting. */
export const MAX_ATTEMPT_RECORDS: number = Math.floor(TEXT_BYTES / RECORD_BYTES);
/** Engine: notes something in the text area. @returns false when there is no room */
export function noteAttempt(block: SocketBlock, { address, code }: AttemptProgress): boolean {
  const count = block.get(SocketWord.Attempts);
  if (count < 0 || count === MAX_ATTEMPT_RECORDS) return false;
  const { bytes, view } = block.arena.slab;
  const at = offsetOf(block, count);
  bytes.fill(0, at, at + RECORD_BYTES);
  bytes[at] = address.family;
  view.setUint16(at + 2, code === null ? 0 : ERRORS[code].number);
  address.write(view, at + ADDRESS_OFF);
  block.set(SocketWord.Attempts, count + 1);
  return true;
}

/** Application: what was noted from a record on; nothing when it is gone. */
export function attemptsFrom(block: SocketBlock, first: number): AttemptRecord[] {
  const count = block.get(SocketWord.Attempts);
  const records: AttemptRecord[] = [];
  const { view } = block.arena.slab;
  for (let i = first; i < count; i++) {
    const at = offsetOf(block, i);
    const number = view.getUint16(at + 2);
    const family = view.getUint8(at) === 4 ? 4 : 6;
    const code: ErrorCode | null = number === 0 ? null : errorCodeOf(number);
    records.push({ address: IpAddress.read(view, at + ADDRESS_OFF, family).toString(), code });
  }
  // what was read while it was written over is nothing
  return block.get(SocketWord.Attempts) < 0 ? [] : records;
}

function offsetOf(block: SocketBlock, record: number): number {
  return block.arena.blockOffset(block.index) + TEXT_OFF + record * RECORD_BYTES;
}
