import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** The path of a file in a folder that goes with the test. */
export function temporaryFile(t: ExecutionContext, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-cli-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, name);
}
