import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import test from 'ava';
import { missing, systemEnvironment } from './requirements.ts';

test("a package's command is no program of the system, and does not stand before one", (t) => {
  const root = mkdtempSync(join(tmpdir(), 'tunwire-requirements-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const folders = { packages: join(root, 'node_modules', '.bin'), system: join(root, 'bin') };
  for (const [name, folder] of Object.entries(folders)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'tunwire-both'), `#!/bin/sh\necho ${name}`, { mode: 0o755 });
  }
  writeFileSync(join(folders.packages, 'tunwire-package'), '#!/bin/sh', { mode: 0o755 });
  const before = process.env['PATH'] ?? '';
  t.teardown(() => {
    process.env['PATH'] = before;
  });
  process.env['PATH'] = [folders.packages, folders.system, before].join(delimiter);
  t.is(missing('tunwire-package'), 'no program tunwire-package');
  t.is(missing('tunwire-both'), '');
  const { stdout } = spawnSync('sh', ['-c', 'tunwire-both'], { env: systemEnvironment(), encoding: 'utf8' });
  t.is(stdout, 'system\n');
});
