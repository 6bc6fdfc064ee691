// needs: tun
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';

for (const face of ['sockets', 'threads'])
  for (const security of ['plain', 'tls'])
    test.serial(
      `a short soak at full speed with pauses of everybody keeps the memory flat: ${security} ${face}`,
      async (t) => {
        const script = resolve(import.meta.dirname, 'soak.ts');
        const args = ['--expose-gc', script, '6', security, face];
        const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
        t.regex(stdout, /memory stayed flat/);
        t.is(stderr, '');
        const { sentBytes, receivedBytes, pauses } = JSON.parse(stdout.slice(0, stdout.lastIndexOf('}') + 1));
        t.true(sentBytes > 1e7 && receivedBytes > 1e7 && pauses > 5, stdout);
      },
    );
