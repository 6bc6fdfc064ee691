import test from 'ava';
import { createLab } from '../test/netns.ts';
import { idleInVirtualTime, idleOverTun } from './idle-connections.ts';

test('3,000 idle connections between two stacks are all there', (t) => {
  // throws when one is missing; without a forced collection the figure itself means little
  t.is(idleInVirtualTime(3000).connections, 3000);
});

test('3,000 idle connections from an engine to the kernel are all there, and wake up', async (t) => {
  const { connections, callerBytesPerConnection } = await idleOverTun(await createLab(t), 3000);
  t.is(connections, 3000);
  t.true(callerBytesPerConnection < 1000, `${callerBytesPerConnection}`);
});
