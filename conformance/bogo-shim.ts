#!/usr/bin/env -S sh -c 'exec "$(dirname "$0")/../node_modules/.bin/node" "$0" "$@"'
/**
 * The program that BoringSSL's TLS test runner (BoGo) starts once for each of its tests: it connects to the runner on loopback, speaks TLS as the
 * command line says, and tells by its exit code how it went: 0 well, 1 not (with the reason on standard error), 89 when the
 * test needs what this client does not have.
 *
 *     runner -shim-path conformance/bogo-shim.ts -shim-config conformance/bogo-config.json -allow-unimplemented
 *
 * `bogo-config.json` says which tests are left out, and why. The runner's protocol: `ssl/test/PORTING.md` in BoringSSL.
 */
import { enableCompileCache } from 'node:module';

// perf: a process for each test; the cache saves it half of its start-up time
enableCompileCache();
const { readCommand } = await import('./bogo/flags.ts');
const { ShimFailure, Unimplemented } = await import('./bogo/failure.ts');

const EXIT_UNIMPLEMENTED = 89;

async function main(): Promise<number> {
  const command = readCommand(process.argv.slice(2));
  if (command.unimplemented !== null) {
    process.stderr.write(`unimplemented: -${command.unimplemented}\n`);
    return EXIT_UNIMPLEMENTED;
  }
  if (command.initial.has('is-handshaker-supported')) {
    process.stdout.write('No\n');
    return 0;
  }
  const { runConnections } = await import('./bogo/connections.ts');
  try {
    await runConnections(command);
    return 0;
  } catch (error) {
    if (error instanceof Unimplemented) {
      process.stderr.write(`unimplemented: ${error.message}\n`);
      return EXIT_UNIMPLEMENTED;
    }
    const isForeseen = error instanceof ShimFailure || (error instanceof Error && error.name === 'TlsError');
    process.stderr.write(`${isForeseen ? describe(error) : (error as Error).stack}\n`);
    return 1;
  }
}

/** What the runner looks for: the member of the error, that `bogo-config.json` maps to BoringSSL's names. */
function describe(error: Error): string {
  const member = 'member' in error ? ` ${String(error.member)}` : '';
  return `${error.name}${member}: ${error.message}`;
}

process.exitCode = await main();
