/**
 * `node pcap-fixtures/wire.ts CLIENT SERVER SETTINGS`: a link between two network namespaces, with a TUN device `tun0` in each, that is disturbed
 * as the settings (ImpairSettings as JSON) say. `in` is what the client sends. Says "ready" and goes on until its input ends.
 */
import { openSync } from 'node:fs';
import type { PacketInput } from '../drivers/device.ts';
import { impair } from '../drivers/impair.ts';
import type { ImpairSettings } from '../drivers/impair-options.ts';
import { setns } from '../drivers/syscalls.ts';
import { openTun } from '../drivers/tun.ts';
import { RxFlag, TxPacket } from '../stack/link.ts';
import { Slab } from '../stack/wire/slab.ts';

const CLONE_NEWNET = 0x40000000;
const BUDGET = 64;

const [clientName = '', serverName = '', settings = '{}'] = process.argv.slice(2);
const clock = (): number => performance.now();

function openIn(namespace: string): ReturnType<typeof openTun> {
  const result = setns(openSync(`/run/netns/${namespace}`, 'r'), CLONE_NEWNET);
  if (result < 0) throw new Error(`setns ${namespace}: error ${-result}`);
  return openTun('tun0', { offload: false });
}

const client = impair(openIn(clientName), { ...(JSON.parse(settings) as ImpairSettings), clock });
const server = openIn(serverName);

/** Hands packets on as they are. */
function onTo(device: typeof server): PacketInput {
  const packet = new TxPacket(Slab.alloc(1));
  return {
    input(slab, off, len, flags) {
      if ((flags & RxFlag.ChecksumPartial) !== 0) throw new Error('a packet without its checksum');
      packet.reset();
      packet.headLen = 0;
      packet.body = slab;
      packet.bodyOff = off;
      packet.bodyLen = len;
      device.send(packet);
    },
  };
}

const toServer = onTo(server);
const toClient = onTo(client);

function turn(): void {
  const packets = client.receive(toServer, BUDGET) + server.receive(toClient, BUDGET);
  client.advance(clock());
  client.flush();
  server.flush();
  if (packets > 0) setImmediate(turn);
  else setTimeout(turn, 1);
}

console.log('ready');
turn();
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
