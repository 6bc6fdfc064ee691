/** Writes the tables in docs/requirements/ anew: `node conformance/requirements/generate.ts`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { collectMarks, readGaps, renderTables, TABLES_FOLDER } from './table.ts';

mkdirSync(TABLES_FOLDER, { recursive: true });
for (const [name, text] of renderTables(collectMarks(), readGaps()))
  writeFileSync(join(TABLES_FOLDER, name), text);
