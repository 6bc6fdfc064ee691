import { SeededRandom } from '../../stack/random.ts';
import { ReplayHost, type SentPacket } from './host.ts';
import { addressesOf, withAddresses } from './numbers.ts';
import type { ReplayOptions } from './options.ts';
import type { Difference, SessionReport } from './report.ts';
import type { Session } from './session.ts';
import { comparePackets } from './strict.ts';

const RING_BYTES = 65_536;
const MTU_BYTES = 1500;

/** Replays the datagrams of two ports: the client's are written at their times, the server's must be delivered. */
export function replayDatagrams(session: Session, options: ReplayOptions): SessionReport {
  if (session.unfit !== '') return { session, sentPackets: 0, skipped: session.unfit, differences: [] };
  const address = addressesOf(session);
  const largest = Math.max(...session.packets.map(({ packet }) => packet.bytes.length));
  const host = new ReplayHost({
    random: new SeededRandom(options.seed ?? 1),
    startMs: 1_000_000,
    address: `${address.client}/0`,
    mtuBytes: Math.max(MTU_BYTES, largest),
    sendRingBytes: RING_BYTES,
    recvRingBytes: RING_BYTES,
  });
  const sent: SentPacket[] = [];
  const delivered: Uint8Array[] = [];
  host.onSent = (packet) => sent.push(packet);
  const socket = host.stack.udp.open({
    local: address.client,
    localPort: session.client.port,
    remote: address.server,
    remotePort: session.server.port,
    broadcast: false,
    receiver: {
      datagram: (_socket, slab, off, len) => delivered.push(slab.bytes.slice(off, off + len)),
    },
  });
  const differences: Difference[] = [];
  for (const { packet, number, timeMs, fromClient } of session.packets) {
    host.run(timeMs);
    if (fromClient) {
      if (packet.udp !== null) socket.sendTo(packet.udp.payload, 0, packet.udp.payload.length, null, 0);
      host.settle();
      continue;
    }
    const before = delivered.length;
    host.inject(withAddresses(packet.bytes, address), true);
    host.settle();
    if (packet.udp === null) continue;
    const got = delivered[before];
    if (got !== undefined && Buffer.compare(got, packet.udp.payload) === 0) continue;
    const expected = `a datagram of ${packet.udp.payload.length} octets`;
    const found = got === undefined ? 'none' : `other ${got.length} octets`;
    differences.push({ packet: number, field: 'delivered', expected, got: found, details: [] });
  }
  const client = session.packets.filter(({ fromClient, packet }) => fromClient && packet.udp !== null);
  const timeMs = options.compare === 'meaning' ? options.patienceMs : options.timeToleranceMs;
  const tolerance = { timeMs, window: 1, exact: options.compare === 'exact' };
  const first = comparePackets(client, sent, tolerance, { clientIsn: 0, serverIsn: 0 });
  if (first !== null) differences.push(first);
  return { session, sentPackets: sent.length, skipped: '', differences };
}
