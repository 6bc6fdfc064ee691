import { parentPort, workerData } from 'node:worker_threads';
import { HEADER_BYTES, HEADROOM_BYTES, TxPacket } from '../../stack/link.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { type MemoryLinkEnd, openMemory } from '../memory.ts';
import { clearEvent, eventfd, POLLIN, PollSet } from '../syscalls.ts';

/** A thread that sends every packet back, sleeping whenever there is none. */
const { end, packets } = workerData as { end: MemoryLinkEnd; packets: number };
const fd = eventfd();
const poll = new PollSet(1);
poll.set(0, fd, POLLIN);
const device = openMemory(end, { eventFd: fd });
parentPort?.postMessage('attached');
const packet = new TxPacket(Slab.alloc(HEADROOM_BYTES + HEADER_BYTES));
const backlog: Uint8Array[] = [];
let received = 0;
let echoed = 0;
const input = {
  input(slab: Slab, off: number, len: number): void {
    backlog.push(slab.bytes.slice(off, off + len));
    received++;
  },
};
while (echoed < packets) {
  const count = device.receive(input, 64);
  while (backlog.length > 0) {
    packet.reset();
    packet.body = new Slab(backlog[0]!);
    packet.bodyOff = 0;
    packet.bodyLen = packet.body.lengthBytes;
    if (!device.send(packet)) break;
    backlog.shift();
    echoed++;
  }
  device.flush();
  if (count === 64 || echoed === packets || !device.prepareSleep()) continue;
  const woken = poll.wait(5000);
  device.awake();
  if (woken === 0) break;
  clearEvent(fd);
}
parentPort?.postMessage(received);
