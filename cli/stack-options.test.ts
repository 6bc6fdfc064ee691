import test from 'ava';
import { Command } from 'commander';
import type { EngineOptions } from '../engine/options.ts';
import { addStackFlags, type StackFlags } from './flags.ts';
import { engineOptionsOf } from './stack-options.ts';

function optionsOf(...args: readonly string[]): EngineOptions {
  const command = addStackFlags(new Command()).exitOverride();
  command.parse(['--device', 'raw:eth0', '--addr', '192.0.2.1/24', ...args], { from: 'user' });
  return engineOptionsOf(command.opts<StackFlags>());
}

test('a link is disturbed in both directions, or in one', (t) => {
  const { impairments } = optionsOf(
    ...['--loss', '2%', '--down', '10s-15s,60s-', '--seed', '7'],
    ...['--impair', 'in-loss=gemodel 1% 30%', '--impair', 'out-down=5s-8s', '--impair', 'ecn'],
    ...['--impair', 'mtu=1400 refuse'],
  );
  const both = { loss: 0.02, ecn: true, mtuBytes: 1400, mtuPolicy: 'refuse' };
  t.deepEqual(impairments, {
    seed: 7,
    in: {
      ...both,
      burstLoss: { toBad: 0.01, toGood: 0.3 },
      down: [
        { fromMs: 10_000, toMs: 15_000 },
        { fromMs: 60_000, toMs: Infinity },
      ],
    },
    out: { ...both, down: [{ fromMs: 5000, toMs: 8000 }] },
  });
  t.throws(() => optionsOf('--impair', 'looses=2%'), { message: /unknown impairment 'looses'/ });
  t.is(optionsOf().impairments, undefined);
});

test('addresses of SLAAC by chance, and used at once', (t) => {
  t.like(optionsOf(), { temporaryAddresses: undefined, optimisticAddresses: undefined });
  t.like(optionsOf('--addr', 'slaac', '--temporary-addresses', '--optimistic-addresses'), {
    addresses: ['192.0.2.1/24', 'slaac'],
    temporaryAddresses: true,
    optimisticAddresses: true,
  });
});

test('addresses in a virtual LAN are not those of the device', (t) => {
  t.like(optionsOf('--vlan', '10', '--gw', '192.0.2.254'), {
    device: 'raw:eth0',
    addresses: [],
    vlans: [{ id: 10, addresses: ['192.0.2.1/24'], gateways: ['192.0.2.254'] }],
  });
});

test('further devices, each with addresses and gateways of its own', (t) => {
  const { interfaces } = optionsOf(
    ...['--interface', 'raw:eth1,10.2.0.2/24,fd02::2/64,gw=10.2.0.1,gw=fd02::1,mtu=1400'],
    ...['--interface', 'tun:lab0,dhcp'],
  );
  t.deepEqual(interfaces, [
    {
      device: 'raw:eth1',
      addresses: ['10.2.0.2/24', 'fd02::2/64'],
      gateways: ['10.2.0.1', 'fd02::1'],
      mtuBytes: 1400,
    },
    { device: 'tun:lab0', addresses: ['dhcp'], gateways: [] },
  ]);
  for (const wrong of [
    'eth1',
    'raw:eth1',
    '10.2.0.2/24,raw:eth1',
    'raw:eth1,10.2.0.2/24,dns=10.2.0.1',
    'raw:eth1,10.2.0.2/24,mtu=x',
  ])
    t.throws(() => optionsOf('--interface', wrong), { message: /--interface takes a device/ }, wrong);
});
