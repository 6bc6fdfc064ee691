import { appendFileSync, writeFileSync } from 'node:fs';

const LINE_BYTES = 64;

/** What goes over a connection, as curl's `--trace-ascii` has it. */
export class AsciiTrace {
  readonly #file: string;

  /** @param file - is standard error. Throws what the file system throws. */
  constructor(file: string) {
    this.#file = file;
    if (file !== '-') writeFileSync(file, '');
  }

  /** @param what such as `=> Send header` */
  add(what: string, data: Uint8Array): void {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    let text = `${what}, ${bytes.length} bytes (0x${bytes.length.toString(16)})\n`;
    for (let at = 0; at < bytes.length; ) {
      const lineEnd = bytes.indexOf('\r\n', at);
      const isLine = lineEnd >= 0 && lineEnd - at <= LINE_BYTES;
      const end = isLine ? lineEnd : Math.min(bytes.length, at + LINE_BYTES);
      const shown = bytes.toString('latin1', at, end).replace(/[^ -~]/g, '.');
      text += `${at.toString(16).padStart(4, '0')}: ${shown}\n`;
      at = isLine ? end + 2 : end;
    }
    this.#write(text);
  }

  info(text: string): void {
    this.#write(`== Info: ${text}\n`);
  }

  #write(text: string): void {
    if (this.#file === '-') process.stderr.write(text);
    else appendFileSync(this.#file, text);
  }
}
