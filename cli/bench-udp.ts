import { setImmediate as turn } from 'node:timers/promises';
import type { NetStack } from '../net/index.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { Pace } from './pace.ts';
import type { Progress } from './progress.ts';

/** What Ethernet takes in one piece with either IP version, as iperf3 has it. */
export const UDP_BYTES = 1448;
/** Datagrams between two looks at the event loop. */
const BURST = 32;

/** Sends datagrams until `end`. @returns how many left */
export async function sendDatagrams(
  stack: NetStack,
  host: string,
  port: number,
  lengthBytes: number,
  pace: Pace,
  end: AbortSignal,
  progress: Progress,
): Promise<number> {
  const [found] = await stack.resolve(host, { signal: end });
  if (found === undefined) throw new NetError('HOST_NO_ADDRESS', { phase: Phase.Resolve, detail: host });
  const socket = await stack.udp();
  const payload = Buffer.alloc(lengthBytes, 'tunwire ');
  let sent = 0;
  try {
    while (!end.aborted) {
      await socket.send(payload, port, found.address);
      sent++;
      progress.add(lengthBytes);
      await pace.sent(lengthBytes, end);
      if (sent % BURST === 0) await turn();
    }
  } finally {
    socket.close();
  }
  return sent;
}
