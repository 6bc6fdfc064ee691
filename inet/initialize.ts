import { EngineClient } from '../engine/client.ts';
import type { EngineOptions } from '../engine/options.ts';
import { publishEngine, sharedEngines, startEngineSync } from '../engine/start.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { failed } from './error-codes.ts';
import { dropEvents } from './events.ts';
import { releaseThreadHandles } from './handles.ts';
import {
  currentSession,
  hasSession,
  type Session,
  type SharedSettings,
  setSession,
  sharedSettings,
  shareSettings,
} from './session.ts';
import { releaseTraces } from './trace.ts';

/** How to reach the network, and whom to trust there. */
export interface InitializeOptions extends EngineOptions {
  /**
   * PEM or DER file, or a directory of them, with the certificates that TLS connections trust instead of the system's.
   * Default: what the environment variable TUNWIRE_CAFILE names, else the system's.
   */
  readonly caFile?: string;
  /** PEM or DER file of certificate revocation lists; what they name is refused with CERT_REVOKED. Default: none. */
  readonly crlFile?: string;
}

let count = 0;
let exitHooked = false;

/**
 * Prepares the calling thread for all other functions of the family; every thread that uses them calls it once.
 *
 * - With options it starts an engine (a stack on a device, in a thread of its own). Workers started afterwards find it.
 * - Without, it joins the engine that this thread or its parent has started; when there is none, one is started as the
 *   environment variables say: TUNWIRE_DEVICE (`tun:NAME`), TUNWIRE_ADDR, TUNWIRE_GATEWAY, TUNWIRE_DNS (lists with
 *   commas) and TUNWIRE_HOSTS (a path).
 *
 * Calls are counted per thread: each needs an InetUninitialize. Further calls in one thread take no options.
 *
 * @returns false on failure: DEVICE_FAILED (0x8004276B), NOT_INITIALIZED (0x8004276D: no options, no engine and no
 * TUNWIRE_DEVICE), ENGINE_STOPPED, ARGUMENT_INVALID (0x80042726)
 *
 * Source: SocketWrench InetInitialize (must come first); its options are ours.
 *
 * @example
 * InetInitialize({ device: 'tun:lab0', addresses: ['10.9.0.2/24'], resolver: { servers: ['10.9.0.1'] } });
 */
export function InetInitialize(options?: InitializeOptions): boolean {
  try {
    if (hasSession()) {
      if (options !== undefined) {
        throw new NetError('ARGUMENT_INVALID', {
          phase: Phase.Argument,
          detail: 'this thread is initialized already; InetUninitialize first, or call without options',
        });
      }
      currentSession().client.checkRunning();
    } else {
      setSession(options === undefined ? join() : start(options));
      hookExit();
    }
    count++;
    return true;
  } catch (error) {
    return failed(error, false);
  }
}

/**
 * Takes back one InetInitialize of the calling thread. The last one releases all handles that the thread owns (what was
 * written is still delivered, calls of other threads blocked in them end with CANCELLED) and, if this thread has started
 * the engine, stops it, after at most a second for data under way.
 * Without an InetInitialize before it only sets the last error: NOT_INITIALIZED (0x8004276D).
 *
 * Source: SocketWrench InetUninitialize and the destructor of its class.
 *
 * @example
 * InetInitialize();
 * InetUninitialize();
 */
export function InetUninitialize(): void {
  try {
    const session = currentSession();
    count--;
    if (count > 0) return;
    releaseTraces();
    releaseThreadHandles(session.client);
    dropEvents(session.client);
    setSession(null);
    session.engine?.stopSync();
  } catch (error) {
    failed(error, undefined);
  }
}

function join(): Session {
  const [arena, ...others] = sharedEngines();
  if (arena === undefined) return start(optionsFromEnvironment());
  if (others.length > 0) {
    // what listens on one engine gets only that one's share of the connections
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: 'the shared stack has several engines, which are for createStack: a handle knows one',
    });
  }
  const client = EngineClient.of(arena);
  client.checkRunning();
  return { client, engine: null, settings: sharedSettings() ?? defaultSettings() };
}

function start(options: InitializeOptions): Session {
  const { caFile, crlFile, ...engineOptions } = options;
  const engine = startChecked(engineOptions);
  publishEngine(engine.arena);
  const settings = {
    caFile: caFile ?? environment('TUNWIRE_CAFILE'),
    crlFile: crlFile ?? null,
    families: ([4, 6] as const).filter((family) =>
      engineOptions.addresses.some(
        (address) => (address === 'slaac' || address.includes(':')) === (family === 6),
      ),
    ),
  };
  shareSettings(settings);
  return { client: EngineClient.of(engine.arena), engine, settings };
}

/** Of an engine that was not started here: nothing is known against either family. */
function defaultSettings(): SharedSettings {
  return { caFile: environment('TUNWIRE_CAFILE'), crlFile: null, families: [4, 6] };
}

function startChecked(options: EngineOptions): ReturnType<typeof startEngineSync> {
  try {
    return startEngineSync(options);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail: error.message, cause: error });
  }
}

function optionsFromEnvironment(): InitializeOptions {
  const device = environment('TUNWIRE_DEVICE');
  if (device === null) {
    throw new NetError('NOT_INITIALIZED', {
      phase: Phase.Argument,
      detail: 'give InetInitialize options, or set TUNWIRE_DEVICE=tun:NAME and TUNWIRE_ADDR=ADDRESS/BITS',
    });
  }
  const hostsFile = environment('TUNWIRE_HOSTS');
  return {
    device,
    addresses: list('TUNWIRE_ADDR'),
    gateways: list('TUNWIRE_GATEWAY'),
    resolver: { servers: list('TUNWIRE_DNS'), ...(hostsFile === null ? {} : { hostsFile }) },
  };
}

function environment(name: string): string | null {
  return process.env[name] || null;
}

function list(name: string): string[] {
  return (process.env[name] ?? '').split(',').filter((item) => item !== '');
}

/** A thread that ends without InetUninitialize still lets go of its sockets. */
function hookExit(): void {
  if (exitHooked) return;
  exitHooked = true;
  process.once('exit', () => {
    if (!hasSession()) return;
    releaseTraces();
    releaseThreadHandles(currentSession().client);
  });
}
