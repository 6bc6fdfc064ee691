// needs: tun ping traceroute
import test from 'ava';
import { createLab, OWN_ADDRESSES, OWN_V4, OWN_V6 } from '../test/netns.ts';
import { createStack } from './index.ts';

test("iputils' ping and traceroute reach us, over both families", async (t) => {
  t.timeout(60_000);
  const lab = await createLab(t);
  const stack = await lab.within(() => createStack({ device: `tun:${lab.tun}`, addresses: OWN_ADDRESSES }));
  t.teardown(() => stack.close());
  for (const own of [OWN_V4, OWN_V6]) {
    for (const size of ['56', '8000']) {
      const said = await lab.ok('ping', ['-n', '-c', '2', '-i', '0.2', '-W', '20', '-s', size, own]);
      t.regex(said, /2 packets transmitted, 2 received, 0% packet loss/, `${own} ${size}`);
      t.notRegex(said, /wrong|DUP|different/);
    }
    for (const method of ['-U', '-I']) {
      const said = await lab.ok('traceroute', ['-n', '-w', '20', '-q', '1', method, own]);
      const hops = said.trim().split('\n').slice(1);
      t.is(hops.length, 1, said);
      t.true(hops[0]!.includes(` ${own} `), said);
    }
  }
});
