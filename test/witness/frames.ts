import { appendFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
import { LinkType } from '../../drivers/pcap-link.ts';
import type { Interface } from '../../stack/ip/interface.ts';
import type { TxPacket } from '../../stack/link.ts';
import { completeAt } from '../../stack/wire/partial-checksum.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { FOLDER, RECORD_HEADER_BYTES, TEST_FILE } from './names.ts';

/** Of one thread: a test has one for itself and one for each of its engines. */
const MAX_FRAMES = 2000;
const MAX_BYTES = 2_000_000;
/** So many of a kind are kept; then the 8th, 16th, 32nd … */
const KEPT_OF_KIND = 4;
/** The headers, up to the options of TCP. */
const KIND_BYTES = 96;
const STACK_DEPTH = 60;

const folder = process.env[FOLDER] ?? '';
const path = `${folder}/${process.pid}-${threadId}.frames`;
const seen = new Map<number, number>();
let frames = 0;
let writtenBytes = 0;

/** Writes down what interfaces hand to their devices, before hooks, impairments and devices change it. */
export function watch({ prototype }: { readonly prototype: Interface }): void {
  if (folder === '') return;
  const { emit } = prototype;
  prototype.emit = function (packet): boolean {
    if (frames < MAX_FRAMES && writtenBytes < MAX_BYTES) note(this, packet);
    return emit.call(this, packet);
  };
}

function note(iface: Interface, packet: TxPacket): void {
  const ethernet = iface.capabilities.ethernet !== undefined;
  const kind = kindOf(packet, ethernet);
  const times = (seen.get(kind) ?? 0) + 1;
  seen.set(kind, times);
  if (times > KEPT_OF_KIND && (times & (times - 1)) !== 0) return;
  const name = new TextEncoder().encode(`${process.env[TEST_FILE] ?? '?'}${lineOfTest()} ${iface.name}`);
  const lengthBytes = packet.lengthBytes;
  const record = Slab.alloc(RECORD_HEADER_BYTES + name.length + lengthBytes);
  record.view.setUint32(0, name.length);
  record.view.setUint32(4, ethernet ? LinkType.Ethernet : LinkType.Raw);
  record.view.setUint32(8, lengthBytes);
  record.bytes.set(name, RECORD_HEADER_BYTES);
  const at = RECORD_HEADER_BYTES + name.length;
  packet.gather(record.bytes, at);
  // what the device is asked to do
  if (packet.csumStart >= 0) completeAt(record, at, lengthBytes, packet.csumStart, packet.csumOffset);
  try {
    appendFileSync(path, record.bytes);
  } catch {
    // a process that has given up its rights, or sees another file system: what it sends has no witness
    frames = MAX_FRAMES;
  }
  frames++;
  writtenBytes += lengthBytes;
}

/** Frames of one kind differ in addresses, numbers and content only. */
function kindOf(packet: TxPacket, ethernet: boolean): number {
  const { head, headOff, headLen, bodyLen, body2Len } = packet;
  const { bytes } = head;
  const length = Math.min(headLen, KIND_BYTES);
  let ip = ethernet ? 14 : 0;
  let kind = packet.gsoBytes > 0 ? 1 : 0;
  const mix = (value: number): void => {
    kind = (Math.imul(kind ^ value, 0x9e3779b1) >>> 2) | 0;
  };
  const at = (off: number): number => (off < length ? bytes[headOff + off]! : -1);
  if (ethernet) {
    if (at(12) === 0x81 && at(13) === 0) ip += 4;
    mix(at(ip - 2));
    mix(at(ip - 1));
    mix(at(0) & 1);
  }
  mix(packet.csumStart >= 0 ? 1 : 0);
  mix(body2Len > 0 ? 2 : 0);
  mix((bodyLen & 1) + (body2Len & 1) * 2);
  const payloadBytes = packet.lengthBytes - length;
  mix(32 - Math.clz32(payloadBytes));
  mix(payloadBytes & 1);
  const version = at(ip) >> 4;
  if (version === 4) {
    mix(at(ip));
    mix(at(ip + 6) & 0x60);
    mix(at(ip + 7) === 0 ? 0 : 1);
    mix(at(ip + 9));
    transport(at, mix, at(ip + 9), ip + (at(ip) & 15) * 4);
  } else if (version === 6) {
    mix(at(ip + 6));
    transport(at, mix, at(ip + 6), ip + 40);
  }
  return kind;
}

function transport(
  at: (off: number) => number,
  mix: (value: number) => void,
  protocol: number,
  off: number,
): void {
  if (protocol === 6) {
    // flags, and the kinds of options as they lie
    mix(at(off + 12));
    mix(at(off + 13));
    const end = off + (at(off + 12) >> 4) * 4;
    for (let option = off + 20; option < end && at(option) > 0; ) {
      mix(at(option));
      option += at(option) === 1 ? 1 : Math.max(at(option + 1), 2);
    }
  } else if (protocol === 17) {
    for (let i = 0; i < 4; i++) mix(at(off + i) < 4 ? at(off + i) : 4);
  } else {
    mix(at(off));
    mix(at(off + 1));
  }
}

/** `:123` of a test that has a hand in it, '' otherwise: engines run by themselves. */
function lineOfTest(): string {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = STACK_DEPTH;
  const { stack = '' } = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  const found = /\.test\.ts:(\d+)/.exec(stack);
  return found === null ? '' : `:${found[1]}`;
}
