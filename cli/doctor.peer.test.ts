// needs: tun
import test from 'ava';
import {
  createLab,
  ETHERNET_NAME,
  ETHERNET_V4,
  joinByEthernet,
  KERNEL_V4,
  KERNEL_V6,
  type Lab,
  OWN_V4,
  type RunResult,
} from '../test/netns.ts';
import { commandLine } from './testing/command.ts';

function doctor(lab: Lab, ...args: readonly string[]): Promise<RunResult> {
  const [script = ''] = commandLine(lab, '', []);
  return lab.run(process.execPath, [script, 'doctor', ...args]);
}

test('a device by its name: its state, its MTU, who makes checksums', async (t) => {
  const [lab, peer] = [await createLab(t), await createLab(t)];
  await joinByEthernet(lab, peer);
  for (const [spec, name] of [
    [`tun:${lab.tun}`, lab.tun],
    [`raw:${ETHERNET_NAME}`, ETHERNET_NAME],
  ] as const) {
    const well = await doctor(lab, spec);
    t.is(well.code, 0, well.stderr);
    t.regex(
      well.stdout,
      /is up, and can be opened\n.*up to 1500 bytes \(MTU\)\n.*the kernel makes checksums/,
    );
    await lab.ok('ip', ['link', 'set', name, 'mtu', '1000']);
    const small = await doctor(lab, spec);
    t.is(small.code, 45);
    t.regex(
      small.stdout,
      new RegExp(`up to 1000 bytes.*too few for IPv6.*\\n +sudo ip link set ${name} mtu 1500`),
    );
    await lab.ok('ip', ['link', 'set', name, 'down']);
    const down = await doctor(lab, spec);
    t.is(down.code, 45);
    t.regex(down.stdout, new RegExp(`^missing ${spec}.* is down\\n +sudo ip link set ${name} up\\n$`));
    // what it says repairs it
    await lab.ok('ip', ['link', 'set', name, 'mtu', '1500']);
    await lab.ok('ip', ['link', 'set', name, 'up']);
    t.is((await doctor(lab, spec)).code, 0);
  }
  const none = await doctor(lab, 'tun:none9');
  t.is(none.code, 45);
  t.regex(none.stdout, /there is no interface none9\n +sudo ip tuntap add dev none9 mode tun user/);
  t.false((await lab.ok('ip', ['link'])).includes('none9'));
  t.is((await doctor(lab, 'raw:../x')).code, 2);
  const loopback = await doctor(lab, 'tun:lo', '--json');
  t.is(loopback.code, 45);
  t.regex((JSON.parse(loopback.stdout) as { repair: string }).repair, /ip -d link show lo/);
});

test('an address that the kernel has is no address for a stack', async (t) => {
  const lab = await createLab(t);
  for (const taken of [KERNEL_V4, KERNEL_V6, '127.0.0.1']) {
    const { code, stdout } = await doctor(lab, taken);
    t.is(code, 45, taken);
    t.regex(stdout, /would reset the connections.*\n +choose another for --addr, or: sudo ip addr del/);
  }
  for (const free of [OWN_V4, ETHERNET_V4, 'fd77::9']) t.is((await doctor(lab, free)).code, 0, free);
});
