import { spawnSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NetError, Phase } from '../stack/errors.ts';
import type { Device } from './device.ts';
import { openUnix, type UnixOptions } from './unix.ts';

/** Whom passt becomes when root starts it, which it does not want to stay. */
const NOBODY = 65_534;
/** passt goes to the background as soon as it listens. */
const START_TIMEOUT_MS = 20_000;

/**
 * Starts passt and connects to it: the link that gives users without privilege the connectivity of the machine they are on. It has a DHCP
 * server and sends router advertisements; its gateway's address is that of the machine's own loopback. It ends with the device.
 * @param args its further arguments, separated by blanks: `-t 8080` forwards a port of the machine to us
 * @throws NetError DEVICE_FAILED; the message says what passt says
 */
export function openPasst(args = '', options: UnixOptions = {}): Device {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-passt-'));
  try {
    const path = join(folder, 'socket');
    const isRoot = process.getuid?.() === 0;
    if (isRoot) chownSync(folder, NOBODY, NOBODY);
    const further = args.split(' ').filter((arg) => arg !== '');
    if (isRoot) further.push('--runas', `${NOBODY}:${NOBODY}`);
    start(['--one-off', '--quiet', '--socket', path, ...further]);
    return openUnix(path, { ...options, name: `passt:${args}` });
  } finally {
    // whoever has connected needs the path no more
    rmSync(folder, { recursive: true, force: true });
  }
}

function start(args: readonly string[]): void {
  const { error, status, stderr } = spawnSync('passt', args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: START_TIMEOUT_MS,
    encoding: 'utf8',
  });
  if (error === undefined && status === 0) return;
  const isMissing = (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
  const said = stderr?.replace(/Failed to send \d+ bytes to syslog\n?/g, '').trim() ?? '';
  throw new NetError('DEVICE_FAILED', {
    phase: Phase.None,
    detail: isMissing
      ? 'there is no program passt; install it with: sudo apt-get install passt'
      : `passt does not start: ${said || (error?.message ?? `exit code ${status}`)}`,
    cause: error,
  });
}
