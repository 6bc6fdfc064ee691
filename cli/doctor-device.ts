import { existsSync, readFileSync } from 'node:fs';
import type { Device } from '../drivers/device.ts';
import { kernelAddresses } from '../drivers/kernel-addresses.ts';
import { openRaw } from '../drivers/raw.ts';
import { openTap, openTun } from '../drivers/tun.ts';
import { NetError } from '../stack/errors.ts';
import type { IpAddress } from '../stack/wire/ip-address.ts';
import { IPV6_MIN_MTU_BYTES } from '../stack/wire/ipv6.ts';
import type { Finding } from './doctor.ts';

/** linux/if.h */
const IFF_UP = 1;
const INTERFACES = '/sys/class/net';

const OPENERS: Readonly<Record<string, (name: string) => Device>> = {
  tun: openTun,
  tap: openTap,
  raw: openRaw,
};

/** What is to be said about `raw:eth1`, `tun:lab0` or `tap:lab0`; null: that names no device of the kernel. */
export function checkDevice(spec: string): readonly Finding[] | null {
  const [kind = '', name = ''] = spec.split(/:(.*)/s);
  const open = Object.hasOwn(OPENERS, kind) ? OPENERS[kind] : undefined;
  if (open === undefined || !/^[^/\s]{1,15}$/.test(name) || name === '.' || name === '..') return null;
  const folder = `${INTERFACES}/${name}`;
  if (!existsSync(folder)) {
    const make = `sudo ip tuntap add dev ${name} mode ${kind} user $USER`;
    return [
      missing(spec, `there is no interface ${name}`, kind === 'raw' ? 'see which there are: ip link' : make),
    ];
  }
  const isUp = (Number(readText(`${folder}/flags`)) & IFF_UP) !== 0;
  if (!isUp) return [missing(spec, `interface ${name} is down`, `sudo ip link set ${name} up`)];
  try {
    const device = open(name);
    const { capabilities } = device;
    device.close();
    return [
      fine(spec, `interface ${name} is up, and can be opened`),
      ofMtu(spec, name, capabilities.mtuBytes),
      ofOffload(spec, capabilities.txChecksum),
    ];
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    // behind the semicolon is what to do
    const [detail = '', ...repair] = error.message.split('; ');
    return [missing(spec, detail, repair.join('; ') || 'see: tunwire doctor')];
  }
}

function ofMtu(spec: string, name: string, mtuBytes: number): Finding {
  const detail = `packets of up to ${mtuBytes} bytes (MTU)`;
  if (mtuBytes >= IPV6_MIN_MTU_BYTES) return fine(spec, detail);
  // RFC 8200 §5
  return missing(
    spec,
    `${detail}: too few for IPv6, which needs ${IPV6_MIN_MTU_BYTES}`,
    `sudo ip link set ${name} mtu 1500`,
  );
}

function ofOffload(spec: string, leavesToKernel: boolean): Finding {
  return fine(
    spec,
    leavesToKernel
      ? 'the kernel makes checksums and cuts segments (--no-offload: this stack does)'
      : 'this stack makes checksums and segments: the kernel cannot here',
  );
}

/** Whether a stack can have the address: the kernel would reset its connections if that has it, too. */
export function checkAddress(address: IpAddress): Finding {
  const text = address.toString();
  if (kernelAddresses().find(text) === null)
    return fine(text, 'the kernel does not have this address: a stack can (--addr)');
  return missing(
    text,
    'the kernel has this address and would reset the connections of a stack with it (RST)',
    `choose another for --addr, or: sudo ip addr del ${text} dev INTERFACE`,
  );
}

function fine(name: string, detail: string): Finding {
  return { name, works: true, detail, repair: '' };
}

function missing(name: string, detail: string, repair: string): Finding {
  return { name, works: false, detail, repair };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}
