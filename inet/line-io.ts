import { WOULD_BLOCK } from '../engine/channel.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { failed } from './error-codes.ts';
import { type OpenHandle, openConnection } from './handles.ts';
import type { OutValue } from './out.ts';
import { noteRead, writeSome } from './transfer.ts';
import { deadlineAfter, waitReadable } from './wait.ts';

/** SocketTools 6, ReadLine of the control: what a line has room for when nothing else is asked. */
const DEFAULT_LINE_CHARS = 4096;
/** The longest line that can be asked for, in characters. */
const MAX_LINE_CHARS = 1_048_576;
/** RFC 3629 §3: no UTF-16 unit takes more bytes of UTF-8. */
const MAX_BYTES_PER_CHAR = 3;

const NUL = 0;
const LF = 10;
const CR = 13;

const scratch = new Uint8Array(4096);
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * Reads one line of UTF-8 text, and blocks until it is whole. It ends with LF; that, and every CR and NUL in it, is not part of
 * the text. InetRead and InetReadLine may be mixed: nothing is read ahead.
 *
 * @param handle a TCP connection of this thread
 * @param line takes the text. **Also when the call fails**: then it is the part of the line that had come, and is not read again
 * @param maxLength room for the text in characters (UTF-16 units) including the terminating NUL of C: 2 … 1,048,576
 * @returns true: a whole line was read. false:
 * - NOT_CONNECTED (0x80042749): the peer has ended the stream; `line` has what came after the last line
 * - MESSAGE_TOO_LONG (0x80042738): the line is longer; the next call goes on with it
 * - TIMEOUT (0x8004274C): the line did not end within the handle's timeout, and others as InetRead
 * - OPTION_INVALID (0x8004273A: over UDP), ARGUMENT_INVALID (0x80042726), HANDLE_INVALID (0x80042736), WRONG_THREAD,
 *   NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketTools 10 ReadLine. There the length is an output; a string knows its own. The errors at the end of the stream
 * and of the room are our choice.
 *
 * @example
 * const line = { value: '' };
 * while (InetReadLine(socket, line)) console.log(line.value);
 */
export function InetReadLine(
  handle: number,
  line: OutValue<string>,
  maxLength: number = DEFAULT_LINE_CHARS,
): boolean {
  line.value = '';
  const text = new LineText(maxLength);
  try {
    const opened = openConnection(handle);
    checkStream(opened);
    if (!Number.isInteger(maxLength) || maxLength < 2 || maxLength > MAX_LINE_CHARS) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `a line has room for 2 … ${MAX_LINE_CHARS} characters, got ${maxLength}`,
      });
    }
    readLine(opened, text);
    return true;
  } catch (error) {
    return failed(error, false);
  } finally {
    line.value = text.toString();
  }
}

/**
 * Writes one line of text as UTF-8, and blocks until the stack has taken all of it over. It always ends with one CRLF: an LF, CR
 * or CRLF at the end of the text is replaced, not doubled; NULs are left out.
 *
 * @param handle a TCP connection of this thread
 * @param text null or '': an empty line
 * @param length takes the number of bytes written, CRLF included, also when the call fails; null: not wanted
 * @returns true: all was written. false: TIMEOUT (0x8004274C: the peer did not take all of it within the handle's timeout), and
 * others as InetWrite; OPTION_INVALID (0x8004273A: over UDP), ARGUMENT_INVALID (0x80042726)
 *
 * Source: SocketTools 10 WriteLine.
 *
 * @example
 * InetWriteLine(socket, 'HELO client.lab.test');
 */
export function InetWriteLine(
  handle: number,
  text: string | null,
  length: OutValue<number> | null = null,
): boolean {
  let written = 0;
  try {
    const opened = openConnection(handle);
    checkStream(opened);
    if (text !== null && typeof text !== 'string') {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `a line is a string or null, got ${typeof text}`,
      });
    }
    const bytes = Buffer.from(`${(text ?? '').replaceAll('\0', '').replace(/(?:\r\n|\r|\n)$/, '')}\r\n`);
    const deadline = deadlineAfter(opened.timeoutMs);
    while (written < bytes.length) written += writeSome(opened, bytes, written, bytes.length, deadline);
    return true;
  } catch (error) {
    return failed(error, false);
  } finally {
    if (length !== null) length.value = written;
  }
}

/** @throws NetError OPTION_INVALID for datagrams */
export function checkStream(opened: OpenHandle): void {
  if (!opened.isDatagram) return;
  throw new NetError('OPTION_INVALID', {
    phase: Phase.Argument,
    detail: 'lines and streams need INET_PROTOCOL_TCP: datagrams are no stream',
  });
}

function readLine(opened: OpenHandle, text: LineText): void {
  const { socket } = opened;
  const deadline = deadlineAfter(opened.timeoutMs);
  for (;;) {
    const { recvSequence } = socket;
    const { channel } = opened;
    const seen = channel.peek(scratch, 0, scratch.length);
    if (seen === WOULD_BLOCK) {
      waitReadable(opened, recvSequence, deadline);
      continue;
    }
    if (seen === 0) {
      throw new NetError('NOT_CONNECTED', {
        phase: Phase.Transfer,
        detail: 'the peer has ended the stream; there is no further line',
      });
    }
    const used = text.take(scratch, seen);
    if (used > 0) {
      channel.consume(used);
      noteRead(opened);
    }
    if (text.complete) return;
    if (used < seen) {
      throw new NetError('MESSAGE_TOO_LONG', {
        phase: Phase.Transfer,
        detail: `the line has more than ${text.maxChars} characters`,
      });
    }
  }
}

/** A line as it comes in. */
class LineText {
  readonly maxChars: number;
  complete = false;
  #bytes = new Uint8Array(256);
  #length = 0;
  #chars = 0;

  constructor(maxLength: number) {
    this.maxChars = maxLength - 1;
  }

  /** @returns bytes used: fewer than `length` when the line is complete or full */
  take(from: Uint8Array, length: number): number {
    this.#reserve(length);
    for (let at = 0; at < length; at++) {
      const byte = from[at] ?? 0;
      if (byte === LF) {
        this.complete = true;
        return at + 1;
      }
      if (byte === CR || byte === NUL) continue;
      const chars = this.#chars + unitsOf(byte);
      // an end of continuation bytes only is no text, and must not grow for ever
      if (chars > this.maxChars || this.#length >= this.maxChars * MAX_BYTES_PER_CHAR) return at;
      this.#chars = chars;
      this.#bytes[this.#length++] = byte;
    }
    return length;
  }

  toString(): string {
    return decoder.decode(this.#bytes.subarray(0, this.#length));
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** UTF-16 units of the character that begins with this byte (RFC 3629 §3); none for the bytes that continue one. */
function unitsOf(byte: number): number {
  if ((byte & 0xc0) === 0x80) return 0;
  return byte >= 0xf0 ? 2 : 1;
}
