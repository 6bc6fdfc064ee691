import { TlsError } from '../errors.ts';
import { OPENED_NOTHING, type TrafficOpener } from '../traffic/opener.ts';
import { MAX_SEALED_BYTES, type TrafficSealer } from '../traffic/sealer.ts';

/** What one call of the sealer wrote. */
export function seal(sealer: TrafficSealer, type: number, content: Uint8Array): Uint8Array {
  const into = new Uint8Array(MAX_SEALED_BYTES);
  return into.slice(0, sealer.seal(type, content, 0, content.length, into, 0));
}

/** Opens each record; the last result, and the last application data. */
export function open(opener: TrafficOpener, records: Uint8Array): { result: number; data: Uint8Array } {
  const into = new Uint8Array(16384);
  let result = OPENED_NOTHING;
  for (let off = 0; off < records.length; ) {
    const length = 5 + ((records[off + 3]! << 8) | records[off + 4]!);
    result = opener.open(records, off, length, into, 0);
    off += length;
  }
  return { result, data: into.slice(0, Math.max(result, 0)) };
}

/** The member and alert with which these records are refused. */
export function failure(opener: TrafficOpener, records: Uint8Array): [string, number] {
  try {
    open(opener, records);
    return ['none', -1];
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return [error.member, error.alert];
  }
}
