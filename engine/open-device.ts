import type { Device } from '../drivers/device.ts';
import { openMemoryHub } from '../drivers/hub.ts';
import { openMemory } from '../drivers/memory.ts';
import { openPasst } from '../drivers/passt.ts';
import { openPcapInput } from '../drivers/pcap-input.ts';
import { openRaw } from '../drivers/raw.ts';
import { openTap, openTun } from '../drivers/tun.ts';
import { openUnix } from '../drivers/unix.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { givenAddresses } from './address-configuration.ts';
import type { EngineOptions } from './options.ts';

/** What a device is opened with beside its name. */
interface Settings {
  readonly mtuBytes?: number;
  readonly offload: boolean;
  readonly multiQueue: boolean;
}

type Open = (rest: string, settings: Settings, options: EngineOptions, clock: () => number) => Device;

const DEVICES: Readonly<Record<string, Open>> = {
  tun: (name, settings) => openTun(name, settings),
  tap: (name, settings) => openTap(name, settings),
  raw: (name, settings, options) =>
    openRaw(name, {
      ...settings,
      addresses: givenAddresses([options, ...(options.vlans ?? [])].flatMap(({ addresses }) => addresses)),
    }),
  unix: (path, settings) => openUnix(path, settings),
  passt: (args, settings) => openPasst(args, settings),
  pcap: (path, settings, _options, clock) => openPcapInput(path, { ...settings, clock }),
};

/**
 * Opens what the option `device` names.
 * @param wakeFd the engine's eventfd. @param clock the engine's clock
 * @param multiQueue one queue of a device that has several
 * @throws NetError DEVICE_FAILED, ARGUMENT_INVALID
 */
export function openDevice(
  options: EngineOptions,
  wakeFd: number,
  clock: () => number,
  multiQueue = false,
): Device {
  const { device, mtuBytes } = options;
  if (typeof device !== 'string') {
    const attachment = { eventFd: wakeFd };
    return device.kind === 'memory' ? openMemory(device, attachment) : openMemoryHub(device, attachment);
  }
  const colon = device.indexOf(':');
  const kind = device.slice(0, colon);
  if (!Object.hasOwn(DEVICES, kind)) {
    throw new NetError('DEVICE_FAILED', {
      phase: Phase.Argument,
      detail: `a device is 'tun:NAME', 'tap:NAME', 'raw:INTERFACE', 'unix:PATH', 'passt:', 'pcap:FILE', one end of a memory link or a port of a memory hub; got '${device}'`,
    });
  }
  const settings = {
    multiQueue,
    ...(mtuBytes === undefined ? {} : { mtuBytes }),
    // each packet is disturbed or shown alone, so each has to be one
    offload:
      options.offload !== false &&
      options.impairments === undefined &&
      options.packetHook === undefined &&
      options.tellPackets !== true,
  };
  return DEVICES[kind]!(device.slice(colon + 1), settings, options, clock);
}
