const BAR_COLUMNS = 30;
const REDRAW_MS = 100;

/** A bar on standard error while something long goes on; nothing at all when that is no terminal. */
export class Progress {
  readonly #isShown: boolean;
  readonly #totalBytes: number;
  readonly #startedAt: number = performance.now();
  #doneBytes = 0;
  #drawnAt = 0;

  /** @param totalBytes 0: not known */
  constructor(totalBytes: number, isWanted = true) {
    this.#totalBytes = totalBytes;
    this.#isShown = isWanted && process.stderr.isTTY === true;
  }

  add(bytes: number): void {
    this.#doneBytes += bytes;
    if (!this.#isShown) return;
    const now = performance.now();
    if (now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    process.stderr.write(`\r${progressLine(this.#doneBytes, this.#totalBytes, now - this.#startedAt)}\x1b[K`);
  }

  /** Takes the bar away. */
  end(): void {
    if (this.#isShown && this.#drawnAt > 0) process.stderr.write('\r\x1b[K');
  }
}

/** `[=======>      ] 45 % 12.3 MB, 3.4 MB/s` */
export function progressLine(doneBytes: number, totalBytes: number, elapsedMs: number): string {
  const rate = elapsedMs > 0 ? `, ${formatBytes((doneBytes * 1000) / elapsedMs)}/s` : '';
  if (totalBytes <= 0) return `${formatBytes(doneBytes)}${rate}`;
  const part = Math.min(1, doneBytes / totalBytes);
  const bar = '='.repeat(Math.round(part * BAR_COLUMNS)).padEnd(BAR_COLUMNS);
  return `[${bar}] ${Math.floor(part * 100)} % ${formatBytes(doneBytes)}${rate}`;
}

/** 12345678 as `12.3 MB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
