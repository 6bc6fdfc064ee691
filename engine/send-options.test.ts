import test from 'ava';
import { CONGESTION_CONTROLS } from '../stack/tcp/congestion/congestion-control-names.ts';
import {
  ECN_MODES,
  NAGLE_MODES,
  policyChange,
  type SendOptions,
  useSendOptions,
  WINDOW_VALIDATIONS,
} from '../stack/tcp/send-policy.ts';
import { TcpSettings } from '../stack/tcp/tcp-settings.ts';
import { packSendOptions, unpackSendOptions } from './send-options.ts';

test('every choice of every option fits into the word, and comes out of it', (t) => {
  let count = 0;
  const words = new Set<number>();
  for (const congestionControl of [undefined, ...CONGESTION_CONTROLS])
    for (const pacing of [undefined, false, true])
      for (const windowValidation of [undefined, ...WINDOW_VALIDATIONS])
        for (const ecn of [undefined, ...ECN_MODES])
          for (const nagle of [undefined, ...NAGLE_MODES]) {
            const word = packSendOptions({
              congestionControl,
              pacing,
              windowValidation,
              ecn,
              accurateEcn: ecn,
              nagle,
            });
            const { congestion, policy } = unpackSendOptions(word);
            const expected = policyChange({ pacing, windowValidation, ecn, accurateEcn: ecn, nagle });
            if (congestion !== congestionControl) t.is(congestion, congestionControl);
            t.deepEqual(policy, expected);
            words.add(word);
            count++;
          }
  t.is(words.size, count);
  t.is(packSendOptions({}), 0);
});

test('what is no choice is refused with the name of the option and what there is', (t) => {
  const wrong: [string, unknown, RegExp][] = [
    ['congestionControl', 'vegas', /congestionControl is one of cubic, newreno, bbr, none, got vegas/],
    ['pacing', 1, /pacing is one of true, false, got 1/],
    ['windowValidation', 'keep', /windowValidation is one of restart, decay, preserve, got keep/],
    ['ecn', true, /ecn is one of off, passive, active, got true/],
    ['nagle', 'minshall', /nagle is one of unacknowledged, short, got minshall/],
  ];
  for (const [name, value, message] of wrong) {
    const options: SendOptions = { [name]: value };
    t.throws(() => packSendOptions(options), { code: 'EINVAL', message });
    t.throws(() => useSendOptions(new TcpSettings(), options), { code: 'EINVAL', message });
  }
});

test("a stack's options become its settings; what is not given stays", (t) => {
  const settings = new TcpSettings();
  useSendOptions(settings, { ecn: 'active', pacing: undefined, congestionControl: 'bbr' });
  t.like(settings, { ecn: 'active', congestionControl: 'bbr', pacing: false, nagle: 'unacknowledged' });
  useSendOptions(settings, { nagle: 'short', windowValidation: 'preserve', pacing: true });
  t.like(settings, { ecn: 'active', pacing: true, nagle: 'short', windowValidation: 'preserve' });
});
