import test from 'ava';
import { simulate, utilization } from './netsim.ts';

test('100 Mbit/s, 40 ms, no loss: 100 MB use 95 % of the link, and the queue hardly overflows', (t) => {
  const bytes = 100_000_000;
  const result = simulate(bytes, 1, {});
  const share = utilization(bytes, result);
  t.true(share > 0.95, `${share}`);
  t.is(result.timeoutRetransmits, 0);
  t.true(result.fastRetransmits < 100, `${result.fastRetransmits}`);
});
