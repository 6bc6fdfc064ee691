import test from 'ava';
import { kernelClaim, withDeviceSetup } from './kernel.ts';

test('what a script says of the kernel', (t) => {
  t.is(kernelClaim('// RFC 1\n0 socket'), null);
  t.deepEqual(kernelClaim('// RFC 1\n// kernel: differs, because it waits for longer\n0 socket'), {
    kind: 'differs',
    because: 'it waits for longer',
  });
  t.is(kernelClaim('// kernel: not run, because it takes two hours')?.kind, 'not run');
  t.is(kernelClaim('// kernel: differs, because'), null, 'a claim needs a reason');
});

test("packetdrill's device is set up before the first event, and no line moves", (t) => {
  const plain = withDeviceSetup('// a\n--mtu=1200\n\n  0 socket(...) = 3\n');
  t.regex(plain, /^\/\/ a\n--mtu=1200\n\n {2}`ip link set dev tun0 .*` 0 socket\(\.\.\.\) = 3\n$/);
  const own = withDeviceSetup('`sysctl -q a=1\nsysctl b=2`\n0 socket(...) = 3\n');
  t.regex(own, /^`ip link set dev tun0 [^`]*; sysctl -q a=1\nsysctl b=2`\n0 socket/);
});
