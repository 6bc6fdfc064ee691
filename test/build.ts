/** `npm run build`: what the published package ships, JavaScript and declarations, into dist/. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');

rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
const compiler = join(ROOT, 'node_modules/.bin/tsc');
const { status } = spawnSync(compiler, ['-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' });
process.exitCode = status ?? 1;
