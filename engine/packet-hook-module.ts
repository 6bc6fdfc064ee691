import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { NetError, Phase } from '../stack/errors.ts';
import type { PacketHook } from '../stack/packet-hook.ts';
import type { PacketHookModule } from './options.ts';

/** What the module of a packet hook exports. */
interface HookModule {
  readonly createPacketHook?: unknown;
}

/** Loads a packet hook into the calling thread. @throws NetError ARGUMENT_INVALID */
export async function loadPacketHook({ module, data }: PacketHookModule): Promise<PacketHook> {
  const isUrl = /^[a-z][a-z0-9+.-]+:/i.test(module);
  let hook: unknown;
  try {
    const loaded = (await import(isUrl ? module : pathToFileURL(resolve(module)).href)) as HookModule;
    if (typeof loaded.createPacketHook === 'function') hook = loaded.createPacketHook(data);
  } catch (cause) {
    const detail = `the packet hook ${module} cannot be loaded: ${String(cause)}`;
    throw new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail, cause });
  }
  if (typeof hook === 'function') return hook as PacketHook;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `${module} exports no function createPacketHook(data) that returns a function`,
  });
}
