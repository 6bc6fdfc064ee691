import test from 'ava';
import { NetError } from '../stack/errors.ts';
import { fc } from '../test/properties.ts';
import { checkImpairSettings, isUnimpaired, parseImpairments } from './impair-options.ts';

test("netem's words", (t) => {
  const settings = parseImpairments({
    loss: '2%',
    delay: '40ms',
    jitter: '1.5ms',
    reorder: '25%',
    dup: '0.5%',
    corrupt: '.1%',
    truncate: '1 %',
    rate: '2mbit',
    limit: '50',
    seed: 7,
  });
  const both = {
    loss: 0.02,
    delayMs: 40,
    jitterMs: 1.5,
    reorder: 0.25,
    duplicate: 0.005,
    corrupt: 0.001,
    truncate: 0.01,
    rateBps: 2_000_000,
    queuePackets: 50,
  };
  t.deepEqual(settings, { seed: 7, in: both, out: both });
});

test('directions, dashes, flags and the rarer words', (t) => {
  t.deepEqual(
    parseImpairments({
      '--loss': 'gemodel 1% 10% 70% 0.1%',
      'in-loss': '5%',
      'out-delay': '1s',
      '--in-mtu': '1400 refuse',
      'loss-every': '10',
      'out-loss-packets': '3, 7,20-22',
      'keep-order': true,
      ecn: 'false',
      'in-rate': '9600bit',
      'in-limit': '64kb',
      'in-ecn-threshold': 0,
      distribution: 'normal',
      DUPLICATE: '1%',
      down: '10s-15s, 60000ms-',
      'in-down': '1s-2s',
      corrupt: undefined,
    }),
    {
      in: {
        down: [{ fromMs: 1000, toMs: 2000 }],
        burstLoss: { toBad: 0.01, toGood: 0.1, lossInBad: 0.7, lossInGood: 0.001 },
        loss: 0.05,
        mtuBytes: 1400,
        mtuPolicy: 'refuse',
        lossEvery: 10,
        keepOrder: true,
        ecn: false,
        rateBps: 9600,
        queueBytes: 65_536,
        ecnThresholdPackets: 0,
        distribution: 'normal',
        duplicate: 0.01,
      },
      out: {
        down: [
          { fromMs: 10_000, toMs: 15_000 },
          { fromMs: 60_000, toMs: Infinity },
        ],
        burstLoss: { toBad: 0.01, toGood: 0.1, lossInBad: 0.7, lossInGood: 0.001 },
        delayMs: 1000,
        lossEvery: 10,
        lossPackets: [3, 7, 20, 21, 22],
        keepOrder: true,
        ecn: false,
        distribution: 'normal',
        duplicate: 0.01,
      },
    },
  );
  t.true(isUnimpaired(parseImpairments({})));
  t.false(isUnimpaired(parseImpairments({ down: '1s-2s' })));
  t.false(isUnimpaired(parseImpairments({ 'in-loss': '1%' })));
});

test('errors name the word, what was expected and what came', (t) => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ lost: '2%' }, /unknown impairment 'lost'; there are loss, /],
    [{ loss: '2' }, /'loss' is a percentage such as 2%.*got '2'/],
    [{ loss: '101%' }, /'loss' is a percentage/],
    [{ loss: '-1%' }, /percentage/],
    [{ loss: 'gemodel' }, /gemodel P/],
    [{ loss: 'gemodel 1% 2% 3% 4% 5%' }, /gemodel P/],
    [{ delay: '40' }, /'delay' is a time with its unit.*got '40'/],
    [{ 'in-delay': 'soon' }, /'in-delay' is a time/],
    [{ rate: '2mbps' }, /'rate' is bits per second with their unit/],
    [{ rate: '0mbit' }, /'rate'/],
    [{ rate: '1mbit', limit: 'many' }, /'limit' is a number of packets, or a size/],
    [{ limit: '5' }, /queuePackets .* needs a rate/],
    [{ reorder: '5%' }, /reorder .* needs one/],
    [{ 'loss-packets': '3-1' }, /whole number from 3/],
    [{ 'loss-packets': '1-999999' }, /at most/],
    [{ 'loss-every': '0' }, /whole number from 1/],
    [{ distribution: 'pareto' }, /uniform or normal; got 'pareto'/],
    [{ mtu: '20' }, /from 68 to 65535/],
    [{ mtu: '1400 maybe' }, /1400 refuse/],
    [{ ecn: 'perhaps' }, /nothing, true or false/],
    [{ down: '10s' }, /times such as/],
    [{ down: '20s-10s' }, /in order/],
    [{ 'in-down': '20s-10s' }, /in\.down .* in order/],
    [{ 'out-down': '1-2' }, /'out-down' is a time with its unit/],
    [{ down: '10s-20s,15s-30s' }, /in order/],
    [{ seed: 'x' }, /'seed' is a whole number/],
  ];
  for (const [words, message] of cases) {
    const error = t.throws(() => parseImpairments(words), { instanceOf: NetError, code: 'EINVAL' });
    t.regex(error?.message ?? '', message, JSON.stringify(words));
  }
  t.throws(() => checkImpairSettings({ in: { loss: 2 } }), { message: /in\.loss is 0 … 1, got 2/ });
  t.throws(() => checkImpairSettings({ out: { burstLoss: { toBad: Number.NaN } } }), { message: /toBad/ });
  t.throws(() => checkImpairSettings({ seed: 1.5 }), { message: /seed/ });
});

test('any words give settings or a NetError', (t) => {
  const word = fc.constantFrom(
    ...[
      'loss',
      'loss-every',
      'loss-packets',
      'delay',
      'jitter',
      'rate',
      'limit',
      'mtu',
      'down',
      'seed',
      'ecn',
    ],
    ...['in-loss', 'out-', 'in-mtu', 'reorder', 'gemodel'],
  );
  const text = fc.stringMatching(/^[0-9a-z%.,\- ]{0,24}$/);
  fc.assert(
    fc.property(fc.dictionary(word, text), (words) => {
      try {
        checkImpairSettings(parseImpairments(words));
      } catch (error) {
        if (!(error instanceof NetError)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
  t.pass();
});
