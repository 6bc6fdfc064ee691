// needs: tshark
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import { LinkType } from './pcap-link.ts';
import { openPcap } from './pcap-reader.ts';
import { pcapFile } from './testing/pcap-files.ts';
import { bytesOf, datagram } from './testing/raw-packets.ts';

const run = promisify(execFile);
const EPOCH_MS = 1_795_305_600_123;

test('what tshark writes in each of its formats is read alike', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-formats-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const ends = { source: '192.0.2.1', destination: '192.0.2.2', sourcePort: 1, destinationPort: 2 };
  const frames = Array.from({ length: 20 }, (_, i) => ({
    epochMs: EPOCH_MS + i,
    nanoseconds: 1000 * i,
    bytes: Uint8Array.from([
      ...new Array<number>(12).fill(2),
      ...(i % 2 === 0 ? [] : [0x81, 0, 0, 7]),
      8,
      0,
      ...bytesOf(datagram(ends, new Uint8Array(i))),
    ]),
  }));
  const input = join(folder, 'in.pcap');
  writeFileSync(input, pcapFile(LinkType.Ethernet, frames, false, true));
  for (const format of ['pcap', 'nsecpcap', 'pcapng']) {
    for (const packing of ['none', 'gzip']) {
      const path = join(folder, `out.${format}`);
      await run('tshark', ['-r', input, '-w', path, '-F', format]);
      if (packing === 'gzip') writeFileSync(path, gzipSync(readFileSync(path)));
      const reader = openPcap(path);
      const seen: unknown[] = [];
      while (reader.next()) {
        const { epochMs, nanoseconds, ipLen, len } = reader.frame;
        seen.push([epochMs, nanoseconds, len, ipLen]);
      }
      t.is(reader.error, null);
      t.deepEqual(
        seen,
        frames.map(({ epochMs, nanoseconds, bytes }, i) => [epochMs, nanoseconds, bytes.length, 28 + i]),
        `${format} ${packing}`,
      );
    }
  }
});
