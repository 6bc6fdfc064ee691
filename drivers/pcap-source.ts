import { closeSync, openSync, readSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { NetError, Phase } from '../stack/errors.ts';
import { Slab } from '../stack/wire/slab.ts';

/** A compressed file is unpacked in memory: this much at most, packed and unpacked. */
export const MAX_GZIP_BYTES: number = 256 * 1024 * 1024;
const FIRST_WINDOW_BYTES: number = 64 * 1024;
const GZIP_MAGIC = 0x1f8b;

/** Gives a file's bytes in order. @returns bytes written to `into`; 0: the end */
export type ReadBytes = (into: Uint8Array, off: number, len: number) => number;

/** A file read forwards, of which as much lies in memory as one record needs. */
export class ByteWindow {
  /** Where {@link off} counts from; another one after {@link need}. */
  slab: Slab = Slab.alloc(FIRST_WINDOW_BYTES);
  /** The first byte not yet passed. */
  off = 0;
  /** Place of that byte in the file. */
  position = 0;
  #end = 0;
  readonly #read: ReadBytes;

  constructor(read: ReadBytes) {
    this.#read = read;
  }

  /** Bytes that lie in memory from `off` on. */
  get available(): number {
    return this.#end - this.off;
  }

  /** Has the next `lengthBytes` bytes in memory. @returns false when the file ends before */
  need(lengthBytes: number): boolean {
    if (this.available >= lengthBytes) return true;
    let { slab } = this;
    if (lengthBytes > slab.lengthBytes) slab = Slab.alloc(2 ** Math.ceil(Math.log2(lengthBytes)));
    slab.bytes.set(this.slab.bytes.subarray(this.off, this.#end), 0);
    this.slab = slab;
    this.#end -= this.off;
    this.off = 0;
    while (this.#end < lengthBytes) {
      const got = this.#read(slab.bytes, this.#end, slab.lengthBytes - this.#end);
      if (got === 0) return false;
      this.#end += got;
    }
    return true;
  }

  /** Goes on behind `lengthBytes` bytes, which need not be in memory. @returns false when the file ends before */
  pass(lengthBytes: number): boolean {
    let left = lengthBytes;
    for (;;) {
      const step = Math.min(left, this.available);
      this.off += step;
      this.position += step;
      left -= step;
      if (left === 0) return true;
      if (!this.need(1)) return false;
    }
  }
}

/** The bytes of a file, unpacked when it is gzip. */
export class CaptureFile {
  readonly #path: string;
  #fd: number;
  #unpacked: Uint8Array | null = null;
  #at = 0;
  readonly #start: Uint8Array = new Uint8Array(2);
  #startBytes = 0;

  /** @throws NetError ARGUMENT_INVALID when it cannot be opened, read or unpacked */
  constructor(path: string) {
    this.#path = path;
    this.#fd = this.#attempt(() => openSync(path, 'r'));
    try {
      this.#attempt(() => this.#begin());
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** @throws NetError ARGUMENT_INVALID when it cannot be read */
  readonly read: ReadBytes = (into, off, len) => {
    if (this.#unpacked !== null) {
      const taken = Math.min(len, this.#unpacked.length - this.#at);
      into.set(this.#unpacked.subarray(this.#at, this.#at + taken), off);
      this.#at += taken;
      return taken;
    }
    if (this.#at < this.#startBytes) {
      into[off] = this.#start[this.#at++]!;
      return 1;
    }
    if (this.#fd < 0) return 0;
    return this.#attempt(() => readSync(this.#fd, into, off, len, null));
  };

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#unpacked = null;
    this.#startBytes = 0;
    this.#at = 0;
  }

  #begin(): void {
    while (this.#startBytes < 2) {
      const got = readSync(this.#fd, this.#start, this.#startBytes, 2 - this.#startBytes, null);
      if (got === 0) return;
      this.#startBytes += got;
    }
    if (((this.#start[0]! << 8) | this.#start[1]!) !== GZIP_MAGIC) return;
    const chunks: Uint8Array[] = [this.#start];
    for (let total = 2; ; ) {
      const chunk = new Uint8Array(1024 * 1024);
      const got = readSync(this.#fd, chunk, 0, chunk.length, null);
      if (got === 0) break;
      total += got;
      if (total > MAX_GZIP_BYTES)
        throw new Error(`more than ${MAX_GZIP_BYTES} bytes of gzip: unpack it first`);
      chunks.push(chunk.subarray(0, got));
    }
    this.#unpacked = gunzipSync(Buffer.concat(chunks), { maxOutputLength: MAX_GZIP_BYTES });
  }

  #attempt<T>(action: () => T): T {
    try {
      return action();
    } catch (cause) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `cannot read the capture ${this.#path}: ${(cause as Error).message}`,
        cause,
      });
    }
  }
}
