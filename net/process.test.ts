import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import test from 'ava';

const PROGRAM = join(import.meta.dirname, 'testing', 'exit-program.ts');
/** A process that ends by itself does so much sooner. */
const PATIENCE_MS = 30_000;
/** How long a process that should go on is looked at. */
const LOOK_MS = 500;

for (const way of ['unreferenced', 'paused', 'looking-up', 'closed', 'exit']) {
  test(`the process ends by itself: ${way}`, async (t) => {
    const child = spawn(process.execPath, [PROGRAM, way], { stdio: ['ignore', 'pipe', 'inherit'] });
    const patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    const [code, signal] = await once(child, 'exit');
    clearTimeout(patience);
    t.deepEqual([code, signal], [0, null]);
  });
}

test('an open socket keeps the process alive', async (t) => {
  const child = spawn(process.execPath, [PROGRAM, 'referenced'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  await once(child.stdout, 'data');
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  t.is(child.exitCode, null);
  child.kill('SIGKILL');
  const [code, signal] = await once(child, 'exit');
  clearTimeout(patience);
  t.deepEqual([code, signal], [null, 'SIGKILL']);
});
