import { write as writeFd } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long to wait for a reader of a non-blocking descriptor; libuv offers no event for it. */
const RETRY_MS = 2;

/** Standard output takes no more, mostly because its reader has gone. */
export class OutputError extends Error {
  override readonly name = 'OutputError';
}

/**
 * Writes all of it, without holding up the event loop: `process.stdout.write` to a pipe blocks the thread until the reader
 * has read, and the other direction would stand still.
 * @throws OutputError
 */
export async function writeAll(fd: number, bytes: Uint8Array): Promise<void> {
  for (let off = 0; off < bytes.length; ) {
    const written = await writeSome(fd, bytes, off);
    // another process may have made the descriptor non-blocking
    if (written === 0) await sleep(RETRY_MS);
    off += written;
  }
}

function writeSome(fd: number, bytes: Uint8Array, off: number): Promise<number> {
  return new Promise((done, fail) => {
    writeFd(fd, bytes, off, bytes.length - off, null, (error, written) => {
      if (error === null) done(written);
      else if (error.code === 'EAGAIN') done(0);
      else fail(new OutputError(error.code === 'EPIPE' ? 'nobody reads the output any more' : error.message));
    });
  });
}
