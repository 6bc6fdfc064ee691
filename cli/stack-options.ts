import { appendFileSync, readFileSync } from 'node:fs';
import { type CaptureRing, STANDARD_OUTPUT } from '../drivers/capture-files.ts';
import { type ImpairSettings, isUnimpaired, parseImpairments } from '../drivers/impair-options.ts';
import type { DeviceSettings, EngineOptions } from '../engine/options.ts';
import type { TlsConnectOptions } from '../net/tls-settings.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { ExitCode } from './exit-code.ts';
import { ExitError } from './exit-error.ts';
import type { ImpairFlags, StackFlags, TlsFlags } from './flags.ts';
import { note } from './report.ts';

/** How the stack of a verb is set up. @throws NetError ARGUMENT_INVALID, naming the flag */
export function engineOptionsOf(flags: StackFlags): EngineOptions {
  const impairments = impairmentsOf(flags);
  const file = flags.write ?? flags.capture;
  const secrets = flags.write !== undefined || flags.captureSecrets === true;
  return {
    device: deviceOf(flags),
    offload: flags.offload,
    ...(flags.vlan === undefined
      ? { addresses: flags.addr, gateways: flags.gw }
      : { addresses: [], vlans: [{ id: flags.vlan, addresses: flags.addr, gateways: flags.gw }] }),
    ...(flags.interface === undefined ? {} : { interfaces: flags.interface.map(deviceSettingsOf) }),
    resolver: { servers: flags.dns, ...(flags.hosts === undefined ? {} : { hostsFile: flags.hosts }) },
    ...(flags.mtu === undefined ? {} : { mtuBytes: flags.mtu }),
    ...(flags.temporaryAddresses ? { temporaryAddresses: true } : {}),
    ...(flags.optimisticAddresses ? { optimisticAddresses: true } : {}),
    ...(impairments === null ? {} : { impairments }),
    ...(flags.seed === undefined ? {} : { seed: Number(flags.seed) }),
    ...(file === undefined
      ? {}
      : { capture: { file: file === '-' ? STANDARD_OUTPUT : file, secrets, ...ringOf(flags.ring, file) } }),
  };
}

/** `raw:eth1,10.2.0.2/24,gw=10.2.0.1,mtu=1400`. @throws NetError ARGUMENT_INVALID */
function deviceSettingsOf(text: string): DeviceSettings {
  const [device = '', ...parts] = text.split(',').map((part) => part.trim());
  const valuesOf = (word: string): string[] =>
    parts.filter((part) => part.startsWith(`${word}=`)).map((part) => part.slice(word.length + 1));
  const addresses = parts.filter((part) => !part.includes('='));
  const [mtu] = valuesOf('mtu');
  const known = parts.every((part) => !part.includes('=') || /^(gw|mtu)=/.test(part));
  const isMtu = mtu === undefined || /^\d+$/.test(mtu);
  if (/^[a-z]+:/.test(device) && addresses.length > 0 && known && isMtu)
    return {
      device,
      addresses,
      gateways: valuesOf('gw'),
      ...(mtu === undefined ? {} : { mtuBytes: Number(mtu) }),
    };
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `--interface takes a device, its addresses, and gw= and mtu= if need be: raw:eth1,10.2.0.2/24,gw=10.2.0.1; got '${text}'`,
  });
}

/** `10,64mb`. @throws NetError ARGUMENT_INVALID */
function ringOf(text: string | undefined, file: string): { ring?: CaptureRing } {
  if (text === undefined) return {};
  const [, files = '', size = '', unit = ''] = /^(\d+),(\d+)(kb|mb|gb)?$/i.exec(text) ?? [];
  const fileBytes = Number(size) * (RING_UNITS[unit.toLowerCase()] ?? 1);
  if (files !== '' && file !== '-') return { ring: { files: Number(files), fileBytes } };
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `--ring takes a number of files and their size such as 10,64mb, and a file to be named after; got '${text}'`,
  });
}

const RING_UNITS: Readonly<Record<string, number>> = { kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 };

/** `tun:lab0`. @throws NetError ARGUMENT_INVALID when none is given */
export function deviceOf(flags: StackFlags): string {
  const { tun, raw, pcapIn, device } = flags;
  if (tun !== undefined) return `tun:${tun}`;
  if (raw !== undefined) return `raw:${raw}`;
  if (pcapIn !== undefined) return `pcap:${pcapIn}`;
  if (device !== undefined) return device;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail:
      'which device? --tun NAME, --raw INTERFACE or --device SPEC; tunwire doctor says which of them this machine has, ' +
      'and inside of tunwire lab there is one without root',
  });
}

/** True when the capture goes to standard output, where then nothing else may go. */
export function capturesToOutput(flags: StackFlags): boolean {
  return flags.write === '-' || flags.capture === '-';
}

/** Prints results: on standard error when the capture has standard output. */
export function printerOf(flags: StackFlags): (text: string) => void {
  return capturesToOutput(flags) ? console.error : console.log;
}

/**
 * What was asked for; null: nothing.
 * @throws NetError ARGUMENT_INVALID, naming the flag
 */
export function impairmentsOf(flags: ImpairFlags): ImpairSettings | null {
  const { loss, delay, jitter, reorder, duplicate, corrupt, rate, down, seed, impair = [] } = flags;
  const others = impair.map((text): [word: string, value: string] => {
    const [word = '', ...value] = text.split('=');
    return [word.trim(), value.join('=')];
  });
  const settings = parseImpairments({
    ...{ loss, delay, jitter, reorder, duplicate, corrupt, rate, down, seed },
    ...Object.fromEntries(others),
  });
  return isUnimpaired(settings) ? null : settings;
}

/** TLS as `net` takes it. @throws ExitError when a file cannot be read */
export function tlsOptionsOf(flags: TlsFlags): TlsConnectOptions {
  const keylog = keyLogOf(flags);
  return {
    rejectUnauthorized: flags.trustedSite !== true,
    ...(flags.cafile === undefined ? {} : { ca: readAuthorities(flags.cafile) }),
    ...(flags.secureFallback ? { fallback: true } : {}),
    ...(keylog === null ? {} : { keylog }),
  };
}

/** Appends lines to the key log that was asked for, and says so; null: none was. */
export function keyLogOf(flags: TlsFlags): ((line: string) => void) | null {
  const { keylog } = flags;
  if (keylog === undefined || keylog === '') return null;
  note(`TLS secrets are appended to ${keylog}`);
  return (line) => appendFileSync(keylog, `${line}\n`, { mode: 0o600 });
}

/** Trusted certificates. @throws ExitError when there are none */
export function readAuthorities(file: string): Buffer {
  const bytes = readInput('--cafile', file, ExitCode.Authorities);
  // PEM or DER: what else is wrong with it the validator says
  if (bytes.includes('-----BEGIN') || bytes[0] === 0x30) return bytes;
  throw new ExitError(ExitCode.Authorities, `--cafile: there is no certificate in ${file}`);
}

/** A file that a flag names. @throws ExitError */
export function readInput(flag: string, file: string, exitCode: ExitCode = ExitCode.Usage): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ExitError(exitCode, `${flag}: ${(error as Error).message}`);
  }
}
