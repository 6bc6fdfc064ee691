const FIRST = 0x20;
const PRINTABLE = 95;
const LINE = 72;
const LINES_PER_CHUNK: number = 8 * PRINTABLE;

/** Lines of 72 characters, each beginning with the next one (RFC 864), without an end. */
export function* chargen(): Generator<Buffer> {
  const chunk = Buffer.alloc(LINES_PER_CHUNK * (LINE + 2));
  for (let line = 0; line < LINES_PER_CHUNK; line++) {
    const at = line * (LINE + 2);
    for (let column = 0; column < LINE; column++) chunk[at + column] = FIRST + ((line + column) % PRINTABLE);
    chunk.write('\r\n', at + LINE, 'latin1');
  }
  for (;;) yield chunk;
}
