/** The shapes of a server's messages, for tests that break them at each place. */
import { concatBytes } from '@noble/hashes/utils.js';
import { HANDSHAKE_HEADER_BYTES } from '../wire/codes.ts';

/** A fixed number of bytes, a vector, or a block of extensions. */
export type Field = number | Vector | ExtensionBlock;

/** Bytes behind their length. */
export interface Vector {
  readonly lengthBytes: 1 | 2 | 3;
  /** One element of a list; none: opaque bytes. */
  readonly of?: readonly Field[];
}

/** Extensions behind the length of their block, each by its type; opaque when its type is not there. */
export interface ExtensionBlock {
  readonly extensions: Readonly<Record<number, readonly Field[]>>;
}

export const vec8: Vector = { lengthBytes: 1 };
export const vec16: Vector = { lengthBytes: 2 };
export const vec24: Vector = { lengthBytes: 3 };
export const list = (lengthBytes: 1 | 2 | 3, ...of: readonly Field[]): Vector => ({ lengthBytes, of });
export const extensions = (known: Readonly<Record<number, readonly Field[]>>): ExtensionBlock => ({
  extensions: known,
});

/** A length in a message, and what it is the length of. */
export interface Length {
  readonly at: number;
  readonly bytes: 1 | 2 | 3;
  readonly end: number;
  /** Of what this is in, from without to within; the header's is the first. */
  readonly around: readonly Length[];
  readonly kind: 'opaque' | 'list' | 'extension' | 'extensions';
  /** Of an extension. */
  readonly type: number;
}

const HEADER: Omit<Length, 'end'> = { at: 1, bytes: 3, around: [], kind: 'list', type: -1 };

/** All lengths of a handshake message but that of its header. */
export function lengthsOf(message: Uint8Array, shape: readonly Field[]): readonly Length[] {
  const found: Length[] = [];
  const end = walk(message, shape, HANDSHAKE_HEADER_BYTES, [{ ...HEADER, end: message.length }], found);
  if (end !== message.length) throw new Error(`the shape ends at ${end} of ${message.length}`);
  return found;
}

function walk(
  message: Uint8Array,
  shape: readonly Field[],
  from: number,
  around: readonly Length[],
  found: Length[],
): number {
  let at = from;
  for (const field of shape) {
    if (typeof field === 'number') {
      at += field;
      continue;
    }
    const bytes = 'extensions' in field ? 2 : field.lengthBytes;
    const start = at + bytes;
    const end = start + read(message, at, bytes);
    if ('extensions' in field) {
      const block: Length = { at, bytes, end, around, kind: 'extensions', type: -1 };
      found.push(block);
      for (let each = start; each < end; ) {
        const type = read(message, each, 2);
        const contentEnd = each + 4 + read(message, each + 2, 2);
        const within = [...around, block];
        const length: Length = {
          at: each + 2,
          bytes: 2,
          end: contentEnd,
          around: within,
          kind: 'extension',
          type,
        };
        found.push(length);
        const content = field.extensions[type];
        if (content !== undefined) walk(message, content, each + 4, [...within, length], found);
        each = contentEnd;
      }
    } else {
      const length: Length = {
        at,
        bytes,
        end,
        around,
        kind: field.of === undefined ? 'opaque' : 'list',
        type: -1,
      };
      found.push(length);
      const element = field.of;
      if (element !== undefined) {
        for (let each = start; each < end; ) each = walk(message, element, each, [...around, length], found);
      }
    }
    at = end;
  }
  return at;
}

/** Puts another value in the place of a length. */
export function withLength(message: Uint8Array, { at, bytes }: Length, value: number): Uint8Array {
  const copy = Uint8Array.from(message);
  write(copy, at, bytes, value);
  return copy;
}

/** Puts bytes behind what a length is about, and tells it and all lengths around. */
export function appended(message: Uint8Array, length: Length, more: Uint8Array): Uint8Array {
  const copy = concatBytes(message.subarray(0, length.end), more, message.subarray(length.end));
  for (const { at, bytes } of [...length.around, length])
    write(copy, at, bytes, read(copy, at, bytes) + more.length);
  return copy;
}

/** The value of a length. */
export function lengthValue(message: Uint8Array, { at, bytes }: Length): number {
  return read(message, at, bytes);
}

function read(from: Uint8Array, at: number, bytes: number): number {
  let value = 0;
  for (let i = 0; i < bytes; i++) value = value * 256 + from[at + i]!;
  return value;
}

function write(into: Uint8Array, at: number, bytes: number, value: number): void {
  for (let i = bytes - 1, rest = value; i >= 0; i--, rest >>>= 8) into[at + i] = rest;
}
