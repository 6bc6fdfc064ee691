/** Writes docs/rfc9293.md anew: `node conformance/requirements/generate.ts`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { collectMarks, readGaps, renderTable, TABLE_FILE } from './table.ts';

mkdirSync(dirname(TABLE_FILE), { recursive: true });
writeFileSync(TABLE_FILE, renderTable(collectMarks(), readGaps()));
