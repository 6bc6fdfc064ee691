import { WOULD_BLOCK } from '../engine/channel.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { INET_STREAM_DEFAULT } from './constants.ts';
import { failed } from './error-codes.ts';
import { type OpenHandle, openConnection } from './handles.ts';
import { checkStream } from './line-io.ts';
import type { OutValue } from './out.ts';
import { checkBuffer, noteRead, writeSome } from './transfer.ts';
import { deadlineAfter, waitReadable } from './wait.ts';

/** What a stream without a length may take of memory: then it fails with NO_BUFFERS. */
const MAX_STREAM_BYTES = 0x4000_0000;
const CHUNK_BYTES = 65_536;

/**
 * Reads until the marker, the end of the stream, or so many bytes, and blocks as long as that takes, but not longer than the
 * handle's timeout: give long streams a long one with InetSetTimeout.
 *
 * @param handle a TCP connection of this thread
 * @param target a buffer that is filled; or a place for one that is made (C: the address of a memory handle that is NULL)
 * @param length in: the most to read. For a buffer 1 … its length, otherwise 0 for no limit (but 1 GB). Out: bytes read, also
 * when the call fails
 * @param options INET_STREAM_DEFAULT
 * @param marker where to stop: the bytes are the last that are read. null: nowhere
 * @returns true: the marker was found, so many bytes were read, or the stream has ended. false: TIMEOUT (0x8004274C) and others as
 * InetRead, with what had come in the target; NO_BUFFERS (0x80042747); OPTION_INVALID (0x8004273A: over UDP, unknown options),
 * ARGUMENT_INVALID (0x80042726)
 *
 * Source: SocketTools 10 ReadStream. That the marker counts as read is our choice.
 *
 * @example
 * const header = { value: null };
 * InetReadStream(socket, header, { value: 0 }, INET_STREAM_DEFAULT, Buffer.from('\r\n\r\n'));
 */
export function InetReadStream(
  handle: number,
  target: Uint8Array | OutValue<Uint8Array | null>,
  length: OutValue<number>,
  options: number = INET_STREAM_DEFAULT,
  marker: Uint8Array | null = null,
): boolean {
  const sink = new Sink(target);
  try {
    const opened = openConnection(handle);
    checkStream(opened);
    checkOptions(options);
    sink.limit(length.value);
    if (marker !== null && marker.length === 0) throw bad('a marker has at least one byte');
    readStream(opened, sink, marker === null ? null : Buffer.from(marker));
    return true;
  } catch (error) {
    return failed(error, false);
  } finally {
    length.value = sink.used;
    if (!(target instanceof Uint8Array)) target.value = sink.result;
  }
}

/**
 * Writes all of a buffer, and blocks until the stack has taken it over, but not longer than the handle's timeout.
 *
 * @param handle a TCP connection of this thread
 * @param buffer the bytes
 * @param length in: how many, 0 … buffer.length. Out: bytes written, also when the call fails. null: all
 * @param options INET_STREAM_DEFAULT
 * @returns true: all was written. false: TIMEOUT (0x8004274C) and others as InetWrite; OPTION_INVALID (0x8004273A: over UDP, unknown
 * options), ARGUMENT_INVALID (0x80042726)
 *
 * Source: none published; the counterpart of ReadStream.
 *
 * @example
 * if (!InetWriteStream(socket, file)) console.error(InetGetErrorString(InetGetLastError()));
 */
export function InetWriteStream(
  handle: number,
  buffer: Uint8Array,
  length: OutValue<number> | null = null,
  options: number = INET_STREAM_DEFAULT,
): boolean {
  let written = 0;
  try {
    const opened = openConnection(handle);
    checkStream(opened);
    checkOptions(options);
    const most = checkBuffer(buffer, length?.value, 0);
    const deadline = deadlineAfter(opened.timeoutMs);
    while (written < most) written += writeSome(opened, buffer, written, most, deadline);
    return true;
  } catch (error) {
    return failed(error, false);
  } finally {
    if (length !== null) length.value = written;
  }
}

function readStream(opened: OpenHandle, sink: Sink, marker: Buffer | null): void {
  const { socket } = opened;
  const deadline = deadlineAfter(opened.timeoutMs);
  while (!sink.isFull) {
    const { recvSequence } = socket;
    const { channel } = opened;
    const room = sink.reserve();
    const seen = channel.peek(sink.bytes, sink.used, room);
    if (seen === 0) return;
    if (seen === WOULD_BLOCK) {
      waitReadable(opened, recvSequence, deadline);
      continue;
    }
    const taken = sink.upTo(marker, seen);
    channel.consume(taken);
    noteRead(opened);
    sink.used += taken;
    if (sink.complete) return;
  }
}

/** Where a stream goes: a fixed buffer, or one that grows. */
class Sink {
  bytes: Uint8Array;
  used = 0;
  complete = false;
  readonly #fixed: boolean;
  #most = 0;
  #limited = false;

  constructor(target: Uint8Array | OutValue<Uint8Array | null>) {
    this.#fixed = target instanceof Uint8Array;
    this.bytes = target instanceof Uint8Array ? target : new Uint8Array(CHUNK_BYTES);
  }

  limit(most: number): void {
    if (!Number.isInteger(most) || most < 0) throw bad(`a length is a whole number from 0, got ${most}`);
    if (this.#fixed && (most === 0 || most > this.bytes.length)) {
      throw bad(`a length is 1 … ${this.bytes.length} for this buffer, got ${most}`);
    }
    this.#most = most === 0 ? MAX_STREAM_BYTES : Math.min(most, MAX_STREAM_BYTES);
    this.#limited = most !== 0;
  }

  /** @throws NetError NO_BUFFERS */
  get isFull(): boolean {
    if (this.used < this.#most) return false;
    if (this.#limited) return true;
    throw new NetError('NO_BUFFERS', {
      phase: Phase.Transfer,
      detail: `the stream has more than ${MAX_STREAM_BYTES} bytes`,
    });
  }

  /** @returns room after what is used, at least 1 */
  reserve(): number {
    if (!this.#fixed && this.used === this.bytes.length) {
      const larger = new Uint8Array(Math.min(this.bytes.length * 2, MAX_STREAM_BYTES));
      larger.set(this.bytes);
      this.bytes = larger;
    }
    return Math.min(this.bytes.length, this.#most) - this.used;
  }

  /** How many of the bytes that were just put behind the used ones belong to the stream, marker included. */
  upTo(marker: Buffer | null, seen: number): number {
    if (marker === null) return seen;
    const all = Buffer.from(this.bytes.buffer, this.bytes.byteOffset, this.used + seen);
    // it may have begun earlier
    const found = all.indexOf(marker, Math.max(0, this.used - marker.length + 1));
    if (found < 0) return seen;
    this.complete = true;
    return found + marker.length - this.used;
  }

  get result(): Uint8Array {
    return this.bytes.subarray(0, this.used);
  }
}

function checkOptions(options: number): void {
  if (options === INET_STREAM_DEFAULT) return;
  throw new NetError('OPTION_INVALID', {
    phase: Phase.Argument,
    detail: `expected INET_STREAM_DEFAULT, got ${options}`,
  });
}

function bad(detail: string): NetError {
  return new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}
