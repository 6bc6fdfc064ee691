import { Worker } from 'node:worker_threads';
import type { ExecutionContext } from 'ava';
import { createMemoryLink } from '../../drivers/memory.ts';
import { EngineClient } from '../client.ts';
import type { EngineOptions } from '../options.ts';
import { type EngineHandle, startEngineSync } from '../start.ts';
import type { EchoServerData } from './echo-server.ts';

/** Where the echo server listens. */
export const ECHO_PORT = 7;

/**
 * An engine at 192.0.2.1 and 2001:db8::1, with the echo server of echo-server.ts at ….2 on the other end of a memory link. Both end with the test.
 */
export function echoBench(
  t: ExecutionContext,
  options: Partial<EngineOptions> = {},
): { engine: EngineHandle; client: EngineClient } {
  const [here, there] = createMemoryLink({ mtuBytes: 1500 });
  const ready = new SharedArrayBuffer(4);
  const addresses = ['192.0.2.2/24', '2001:db8::2/64'];
  const workerData: EchoServerData = { end: there, addresses, port: ECHO_PORT, ready };
  const server = new Worker(new URL('./echo-server.ts', import.meta.url), { workerData });
  Atomics.wait(new Int32Array(ready), 0, 0, 30_000);
  const engine = startEngineSync({
    device: here,
    addresses: ['192.0.2.1/24', '2001:db8::1/64'],
    resolver: { hostsFile: null },
    ...options,
  });
  t.teardown(async () => {
    await engine.stop();
    await server.terminate();
  });
  return { engine, client: EngineClient.of(engine.arena) };
}
