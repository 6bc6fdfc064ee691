import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Administrators' programs are not in everybody's PATH. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The PATH, with the folders of the administrators' programs behind. */
export function systemPath(): string {
  return [process.env['PATH'] ?? '', ...SYSTEM_FOLDERS].filter((part) => part !== '').join(delimiter);
}

/** Where a program is; null: nowhere. */
export function programPath(name: string): string | null {
  for (const folder of systemPath().split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this one
    }
  }
  return null;
}
