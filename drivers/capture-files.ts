import { closeSync, fstatSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { NetError, Phase } from '../stack/errors.ts';

/** Files that are written one after the other, the oldest of which go. */
export interface CaptureRing {
  /** Files that are kept, 2 … 100,000. */
  readonly files: number;
  /** Size of each, from 64 KiB; a single packet may go beyond. */
  readonly fileBytes: number;
}

const MAX_FILES = 100_000;
const MIN_FILE_BYTES = 65_536;
/** TLS secrets that are repeated in every file of a ring; of more the oldest are left out. */
export const MAX_REPEATED_SECRETS_BYTES: number = 1024 * 1024;

/** pcapng block types that a file must begin with to be read alone. */
const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE = 1;
const SECRETS = 10;

/** Stands for standard output as it is: opened by name a file would be opened anew, and written from its start. */
export const STANDARD_OUTPUT = '/dev/stdout';
const STANDARD_OUTPUT_FD = 1;
/** How long to wait for the reader of a pipe that does not block. */
const PIPE_FULL_PAUSE_MS = 2;

/** The file or files of a capture. Throws what the file system throws, unless it says otherwise. */
export class CaptureFiles {
  readonly #path: string;
  readonly #ring: CaptureRing | null;
  #fd: number;
  #writtenBytes = 0;
  /** Number of the file that is written. */
  #number = 1;
  /** Packets are in the file, so that it may end. */
  #hasPackets = false;
  readonly #head: Uint8Array[] = [];
  readonly #secrets: Uint8Array[] = [];
  #secretBytes = 0;

  /**
   * @param path the file; of a ring `a.pcapng` becomes `a.00001.pcapng` and so on
   * @throws NetError ARGUMENT_INVALID
   */
  constructor(path: string, appends: boolean, ring: CaptureRing | null) {
    if (ring !== null) checkRing(ring, appends);
    this.#path = path;
    this.#ring = ring;
    try {
      this.#fd = this.#open(1, appends ? 'a' : 'w');
      this.#writtenBytes = fstatSync(this.#fd).size;
    } catch (cause) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `cannot write the capture: ${(cause as Error).message}`,
        cause,
      });
    }
  }

  /** Writes whole blocks. */
  write(bytes: Uint8Array, lengthBytes: number): void {
    if (this.#ring === null) {
      this.#put(bytes, 0, lengthBytes);
      return;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let from = 0;
    for (let at = 0; at < lengthBytes; ) {
      const block = view.getUint32(at + 4, true);
      if (this.#hasPackets && this.#writtenBytes + (at - from) + block > this.#ring.fileBytes) {
        this.#put(bytes, from, at);
        from = at;
        this.#next(this.#ring);
      }
      this.#remember(view.getUint32(at, true), bytes.subarray(at, at + block));
      at += block;
    }
    this.#put(bytes, from, lengthBytes);
  }

  /** After a failure: half a block would make the whole file look damaged. */
  cutOff(): void {
    // what others have written there is theirs
    if (this.#fd === STANDARD_OUTPUT_FD) return;
    try {
      ftruncateSync(this.#fd, this.#writtenBytes);
    } catch {
      // not a regular file: there is nothing to cut off
    }
  }

  close(): void {
    if (this.#fd !== STANDARD_OUTPUT_FD) closeSync(this.#fd);
  }

  #put(bytes: Uint8Array, from: number, to: number): void {
    for (let done = from; done < to; ) done += this.#writeSome(bytes, done, to);
    this.#writtenBytes += to - from;
  }

  #writeSome(bytes: Uint8Array, from: number, to: number): number {
    try {
      return writeSync(this.#fd, bytes, from, to - from);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PIPE_FULL_PAUSE_MS);
      return 0;
    }
  }

  /** What is not a packet stands at the head of all files from here on. */
  #remember(type: number, block: Uint8Array): void {
    if (type === SECTION_HEADER || type === INTERFACE) {
      this.#head.push(block.slice());
    } else if (type === SECRETS) {
      this.#secrets.push(block.slice());
      this.#secretBytes += block.length;
      while (this.#secretBytes > MAX_REPEATED_SECRETS_BYTES && this.#secrets.length > 1)
        this.#secretBytes -= this.#secrets.shift()!.length;
    } else {
      this.#hasPackets = true;
    }
  }

  #next(ring: CaptureRing): void {
    closeSync(this.#fd);
    this.#number++;
    this.#fd = this.#open(this.#number, 'w');
    this.#writtenBytes = 0;
    this.#hasPackets = false;
    for (const block of [...this.#head, ...this.#secrets]) this.#put(block, 0, block.length);
    if (this.#number > ring.files) rmSync(this.#nameOf(this.#number - ring.files), { force: true });
  }

  #open(number: number, flags: 'a' | 'w'): number {
    const name = this.#nameOf(number);
    return name === STANDARD_OUTPUT ? STANDARD_OUTPUT_FD : openSync(name, flags, 0o600);
  }

  #nameOf(number: number): string {
    if (this.#ring === null) return this.#path;
    const extension = extname(this.#path);
    const stem = basename(this.#path, extension);
    return join(dirname(this.#path), `${stem}.${String(number).padStart(5, '0')}${extension}`);
  }
}

function checkRing({ files, fileBytes }: CaptureRing, appends: boolean): void {
  const ok =
    Number.isInteger(files) && files >= 2 && files <= MAX_FILES && fileBytes >= MIN_FILE_BYTES && !appends;
  if (ok) return;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `a ring has 2 … ${MAX_FILES} files of ${MIN_FILE_BYTES} bytes at least, which are new; got ${files} files of ${fileBytes} bytes`,
  });
}
