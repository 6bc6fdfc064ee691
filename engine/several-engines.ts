import { createMemoryLink, type MemoryLinkEnd } from '../drivers/memory.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { FIRST_SHARED_UDP_PORT } from '../stack/flow-share.ts';
import type { EngineOptions } from './options.ts';
import type { QueuePlace } from './steering.ts';

/** More than any machine has use for: a link lies between every two. */
const MAX_ENGINES = 16;
/** Carries what a queue has got for another engine: the first packets of a flow. */
const LINK_QUEUE_BYTES: number = 1024 * 1024;
/** What sees all packets of a device, and would see only those of one queue. */
const FOR_ONE_ENGINE = [
  'interfaces',
  'capture',
  'impairments',
  'packetHook',
  'tellPackets',
  'clock',
] as const;

/**
 * The places of all engines that the options ask for, and the links between them.
 * @throws RangeError for a number that is none, NetError ARGUMENT_INVALID for what takes a single engine
 */
export function enginePlaces(options: EngineOptions): QueuePlace[] {
  const count = options.engines ?? 1;
  if (!Number.isInteger(count) || count < 1 || count > MAX_ENGINES) {
    throw new RangeError(`engines must be 1 … ${MAX_ENGINES}, got ${count}`);
  }
  if (count > 1) {
    const { device } = options;
    check(
      typeof device === 'string' && device.startsWith('tun:'),
      "several engines need a device with several queues, 'tun:NAME'",
    );
    const [firstPort = FIRST_SHARED_UDP_PORT] = options.ports?.ephemeral ?? [];
    check(
      firstPort >= FIRST_SHARED_UDP_PORT,
      `several engines share ephemeral ports from ${FIRST_SHARED_UDP_PORT} on`,
    );
    for (const name of FOR_ONE_ENGINE) check(!options[name], `${name} takes a single engine`);
  }
  const links: (MemoryLinkEnd | null)[][] = Array.from({ length: count }, () =>
    new Array<MemoryLinkEnd | null>(count).fill(null),
  );
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      const [one, other] = createMemoryLink({ queueBytes: LINK_QUEUE_BYTES });
      links[a]![b] = one;
      links[b]![a] = other;
    }
  }
  return links.map((own, index) => ({ index, links: own }));
}

/** What one of several engines is set up with: its part of the memory and of the sockets, and choices of its own. */
export function partOf(options: EngineOptions, { index, links }: QueuePlace): EngineOptions {
  const { memoryBytes, maxSockets, seed } = options;
  return {
    ...options,
    ...(memoryBytes === undefined ? {} : { memoryBytes: Math.floor(memoryBytes / links.length) }),
    ...(maxSockets === undefined ? {} : { maxSockets: Math.ceil(maxSockets / links.length) }),
    ...(seed === undefined ? {} : { seed: seed + index }),
  };
}

function check(ok: boolean, detail: string): void {
  if (!ok) throw new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}
