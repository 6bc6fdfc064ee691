import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { PcapngWriter } from '../../drivers/pcapng.ts';
import { commentedOptions, replayComment, replayedAs } from './comment.ts';
import { readSessions } from './session.ts';

test('a capture tells how it is to be replayed', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-replay-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'x.pcapng');
  const options = { seed: 7, reads: 'once', noDelay: false } as const;
  const writer = new PcapngWriter(file, { comment: replayComment('a session', options) });
  writer.addInterface('x', 101);
  writer.close();
  t.deepEqual(readSessions(file).options, options);
});

test('other comments tell nothing; what is of the wrong kind is left out', (t) => {
  t.deepEqual(commentedOptions(''), {});
  t.deepEqual(commentedOptions('tunwire replay {'), {});
  t.deepEqual(commentedOptions('tunwire replay 7'), {});
  t.deepEqual(commentedOptions('a\ntunwire replay {"seed":"7","noDelay":true,"compare":"exact","x":1}'), {
    noDelay: true,
  });
});

test('sizes of rings that no ring can have are left out', (t) => {
  for (const size of [131_071, -1, 0.5, 2 ** 31, 2 ** 40])
    t.deepEqual(commentedOptions(`tunwire replay {"recvRingBytes":${size},"sendRingBytes":65536}`), {
      sendRingBytes: 65_536,
    });
});

test('the seed holds for an exact replay only', (t) => {
  t.is(replayedAs({ seed: 7 }, 'exact').seed, 7);
  t.deepEqual(replayedAs({ seed: 7, reads: 'once' }, 'meaning'), { reads: 'once', compare: 'meaning' });
});
