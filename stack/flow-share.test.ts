import test from 'ava';
import { FlowShare } from './flow-share.ts';

test('every flow has exactly one owner', (t) => {
  for (const count of [1, 2, 3, 8]) {
    const shares = Array.from({ length: count }, (_, index) => new FlowShare(index, count));
    for (let port = 1; port < 65_536; port += 251) {
      t.is(shares.filter((share) => share.ownsTcp(port, 443)).length, 1);
      t.is(shares.filter((share) => share.ownsUdp(port)).length, 1);
    }
  }
});

for (const step of [1, 2]) {
  test(`peers whose ports go up by ${step} are spread over the engines, on either side`, (t) => {
    const { tcpOwner } = FlowShare.prototype;
    const share = new FlowShare(0, 4);
    const perEngine = { here: [0, 0, 0, 0], there: [0, 0, 0, 0] };
    for (let i = 0; i < 4000; i++) {
      perEngine.here[tcpOwner.call(share, 32_768 + step * i, 443)]!++;
      perEngine.there[tcpOwner.call(share, 80, 32_768 + step * i)]!++;
    }
    for (const flows of [...perEngine.here, ...perEngine.there])
      t.true(flows > 800 && flows < 1200, `${flows}`);
  });
}

test('well-known UDP ports are those of the first engine', (t) => {
  const share = new FlowShare(0, 2);
  t.is(share.udpOwner(53), 0);
  t.is(share.udpOwner(5353), 0);
  t.is(share.udpOwner(50_001), 1);
});
