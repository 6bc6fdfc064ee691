import { readFileSync, statSync } from 'node:fs';
import { HostsFile } from '../stack/resolver/hosts-file.ts';

/** How often the file's time is looked at. */
const CHECK_INTERVAL_MS = 1000;

/** The hosts file on disk: read again when it changes. A missing or unreadable file is an empty one, as for libc. */
export class HostsSource {
  readonly #path: string;
  #checkedAt = -Infinity;
  #modifiedMs = -1;
  #size = -1;

  constructor(path: string) {
    this.#path = path;
  }

  /** @returns the parsed file if it is new since the last call, null otherwise */
  reload(now: number): HostsFile | null {
    if (now - this.#checkedAt < CHECK_INTERVAL_MS) return null;
    this.#checkedAt = now;
    const stat = statSync(this.#path, { throwIfNoEntry: false });
    const modifiedMs = stat?.mtimeMs ?? 0;
    const size = stat?.size ?? 0;
    if (modifiedMs === this.#modifiedMs && size === this.#size) return null;
    this.#modifiedMs = modifiedMs;
    this.#size = size;
    try {
      return HostsFile.parse(stat === undefined ? '' : readFileSync(this.#path, 'utf8'));
    } catch {
      return HostsFile.parse('');
    }
  }
}
