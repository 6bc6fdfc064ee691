import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { close, eventfd } from '../drivers/syscalls.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { checkAddress, checkDevice } from './doctor-device.ts';
import { ExitCode } from './exit-code.ts';
import { NAMESPACE_REPAIR, namespaceFlags } from './lab.ts';
import { programPath } from './programs.ts';
import type { DoctorFlags } from './verbs/doctor.ts';

/** What was found about one thing. */
export interface Finding {
  readonly name: string;
  readonly works: boolean;
  /** What there is, or what is missing. */
  readonly detail: string;
  /** The command that repairs it, or what else to do; '' when nothing is to be done. */
  readonly repair: string;
}

/** linux/capability.h */
const CAP_NET_ADMIN = 12;
const CAP_NET_RAW = 13;
const NODE_MAJOR = 24;
const NODE_MINOR = 12;
const CLONE_DEVICE = '/dev/net/tun';
const OPEN_REPAIR = `sudo chmod 666 ${CLONE_DEVICE}`;

const CHECKS: Readonly<Record<string, () => Finding>> = {
  node: checkNode,
  native: checkNative,
  lab: checkLab,
  tun: () => checkTun('tun'),
  tap: () => checkTun('tap'),
  raw: checkRaw,
  passt: checkPasst,
  unix: () => works('unix', '--device unix:PATH: frames over a socket of passt, QEMU or another program'),
  memory: () => works('memory', 'links between stacks of one process; needs nothing'),
};
/** Without them no device works. */
const NEEDED = ['node', 'native'];
/** Devices that lead out of the process. */
const DEVICES = ['lab', 'tun', 'tap', 'raw', 'passt'];

/** @returns the exit code */
export function doctor(names: readonly string[], flags: DoctorFlags): ExitCode {
  const findings: Finding[] = [];
  const add = (finding: Finding): void => {
    findings.push(finding);
    console.log(flags.json ? JSON.stringify(finding) : textOf(finding));
  };
  for (const name of names.length > 0 ? names : Object.keys(CHECKS)) {
    const found = findingsOf(name);
    if (found === null) {
      const kinds = Object.keys(CHECKS).join(', ');
      console.error(
        `tunwire: there is no '${name}' to look at, but ${kinds}, devices such as raw:eth1 or tun:lab0, and own addresses`,
      );
      return ExitCode.Usage;
    }
    for (const finding of found) add(finding);
  }
  return isWell(findings, names) ? ExitCode.Ok : ExitCode.Device;
}

/** null: there is no such thing to look at. */
function findingsOf(name: string): readonly Finding[] | null {
  if (Object.hasOwn(CHECKS, name)) return [CHECKS[name]!()];
  const address = IpAddress.parse(name);
  return address === null ? checkDevice(name) : [checkAddress(address)];
}

function isWell(findings: readonly Finding[], names: readonly string[]): boolean {
  if (names.length > 0) return findings.every((finding) => finding.works);
  const working = new Set(findings.filter((finding) => finding.works).map((finding) => finding.name));
  return NEEDED.every((name) => working.has(name)) && DEVICES.some((name) => working.has(name));
}

function textOf({ name, works: isFine, detail, repair }: Finding): string {
  const lines = [`${isFine ? 'ok     ' : 'missing'} ${name.padEnd(7)} ${detail}`];
  if (repair !== '') lines.push(`                ${repair}`);
  return lines.join('\n');
}

function works(name: string, detail: string, repair = ''): Finding {
  return { name, works: true, detail, repair };
}

function missing(name: string, detail: string, repair: string): Finding {
  return { name, works: false, detail, repair };
}

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isNewEnough = major > NODE_MAJOR || (major === NODE_MAJOR && minor >= NODE_MINOR);
  if (isNewEnough) return works('node', `Node ${process.versions.node}`);
  const detail = `Node ${process.versions.node} is too old`;
  return missing('node', detail, `install Node ${NODE_MAJOR}.${NODE_MINOR} or later: https://nodejs.org/`);
}

function checkNative(): Finding {
  try {
    close(eventfd());
    return works('native', `system calls of ${process.platform} on ${process.arch}`);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return missing('native', message, 'npm rebuild koffi; the memory device works without');
  }
}

function checkLab(): Finding {
  const unshare = programPath('unshare');
  if (unshare === null || programPath('ip') === null) {
    const detail = 'needs the programs unshare and ip';
    return missing('lab', detail, 'sudo apt-get install util-linux iproute2');
  }
  const flags = namespaceFlags(unshare);
  const probe = spawnSync(unshare, [...flags, '--fork', '--pid', 'true'], { encoding: 'utf8' });
  const detail = 'tunwire lab COMMAND: a network of its own, without root';
  if (probe.status === 0)
    return openProblem(CLONE_DEVICE) === ''
      ? works('lab', detail)
      : works('lab', `${detail}, over veth; over a TUN device with:`, OPEN_REPAIR);
  return missing('lab', (probe.stderr ?? '').trim() || 'unshare fails', NAMESPACE_REPAIR);
}

function checkTun(kind: 'tun' | 'tap'): Finding {
  const make = `sudo ip tuntap add dev NAME mode ${kind} user $USER`;
  if (!existsSync(CLONE_DEVICE)) {
    const repair = 'sudo modprobe tun; in a container: --device /dev/net/tun';
    return missing(kind, `there is no ${CLONE_DEVICE}`, repair);
  }
  const problem = openProblem(CLONE_DEVICE);
  if (problem !== '') return missing(kind, `cannot open ${CLONE_DEVICE} (${problem})`, OPEN_REPAIR);
  if (hasCapability(CAP_NET_ADMIN))
    return works(kind, `--device ${kind}:NAME is made when it does not exist`);
  return works(kind, `--device ${kind}:NAME for a device that is yours; make one with:`, make);
}

function checkRaw(): Finding {
  if (!hasCapability(CAP_NET_RAW)) {
    const repair = `sudo setcap cap_net_raw+ep ${process.execPath}; or run it by sudo, or in tunwire lab`;
    return missing('raw', 'packet sockets need CAP_NET_RAW', repair);
  }
  const detail = '--raw INTERFACE, with an address that the kernel does not have';
  if (!isForwarding()) return works('raw', detail);
  return works(
    'raw',
    `${detail}; this kernel forwards, keep it from that with:`,
    'sudo ip route add blackhole ADDRESS',
  );
}

function checkPasst(): Finding {
  if (programPath('passt') !== null)
    return works(
      'passt',
      '--device passt: --addr dhcp --addr slaac: the connectivity of this machine, without root',
    );
  return missing('passt', 'there is no program passt', 'sudo apt-get install passt');
}

/** The code of the error, '' when it can be opened. */
function openProblem(path: string): string {
  try {
    closeSync(openSync(path, 'r+'));
    return '';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'failed';
  }
}

function hasCapability(bit: number): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText('/proc/self/status'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> BigInt(bit)) & 1n) === 1n;
}

function isForwarding(): boolean {
  return readText('/proc/sys/net/ipv4/ip_forward').trim() === '1';
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
