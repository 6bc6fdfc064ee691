import { spawnSync } from 'node:child_process';
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * What a test file needs beside Node. Files `*.peer.test.ts` say it in a line `// needs: tun openssl nginx`: programs by
 * their names, and `tun` for network namespaces with TUN devices, which take root. Without such a line: `tun`.
 */
export function requirementsOf(file: string): string[] {
  if (!file.endsWith('.peer.test.ts')) return [];
  const line = /^\/\/ needs: (.+)$/m.exec(readFileSync(file, 'utf8'));
  return line?.[1]?.trim().split(/\s+/) ?? ['tun'];
}

const known = new Map<string, string>();

/** Why a requirement is not met on this machine; '' when it is. */
export function missing(requirement: string): string {
  let reason = known.get(requirement);
  if (reason === undefined) {
    reason = requirement === 'tun' ? missingTun() : missingProgram(requirement);
    known.set(requirement, reason);
  }
  return reason;
}

/** Administrators' programs are not in every PATH. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/**
 * The environment with a PATH that also finds the administrators' programs, and not the packages' commands that npm puts first: `nft` of
 * a testing library is not the firewall's.
 */
export function systemEnvironment(): NodeJS.ProcessEnv {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const systems = folders.filter((folder) => !/[\\/]node_modules[\\/]/.test(folder));
  return { ...process.env, PATH: [...systems, ...SYSTEM_FOLDERS].join(delimiter) };
}

function missingProgram(name: string): string {
  const folders = (systemEnvironment()['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.some((folder) => isExecutable(join(folder, name))) ? '' : `no program ${name}`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function missingTun(): string {
  if (process.getuid?.() !== 0) return 'not root';
  try {
    closeSync(openSync('/dev/net/tun', 'r+'));
  } catch (error) {
    return `cannot open /dev/net/tun (${(error as NodeJS.ErrnoException).code})`;
  }
  for (const program of ['ip', 'ss', 'unshare']) {
    const reason = missingProgram(program);
    if (reason !== '') return reason;
  }
  const probe = spawnSync('unshare', ['--net', '--mount', 'true'], { env: systemEnvironment() });
  return probe.status === 0 ? '' : 'no right to make network namespaces';
}
