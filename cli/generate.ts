/** `node cli/generate.ts`: writes the manual page and the shells' completions, which are made of the commands' definitions. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { generatedFiles } from './generated-files.ts';

for (const [path, content] of generatedFiles())
  writeFileSync(resolve(import.meta.dirname, '..', path), content);
