import { parentPort, workerData } from 'node:worker_threads';
import { IPV4_HEADER_BYTES, Ipv4 } from '../../stack/wire/ipv4.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { type MemoryHubPort, openMemoryHub } from '../hub.ts';
import { clearEvent, eventfd, POLLIN, PollSet } from '../syscalls.ts';
import { newPacket } from './raw-packets.ts';

/** A thread that sends every IPv4 packet back with its addresses changed over, sleeping whenever there is none. */
const { port, packets } = workerData as { port: MemoryHubPort; packets: number };
const fd = eventfd();
const poll = new PollSet(1);
poll.set(0, fd, POLLIN);
const device = openMemoryHub(port, { eventFd: fd });
parentPort?.postMessage('attached');
const packet = newPacket();
let echoed = 0;
const input = {
  input(slab: Slab, off: number, len: number): void {
    const { view } = slab;
    packet.reset();
    const { head, headOff } = packet;
    head.bytes.set(slab.bytes.subarray(off, off + IPV4_HEADER_BYTES), headOff);
    head.view.setInt32(headOff + Ipv4.Source, view.getInt32(off + Ipv4.Destination));
    head.view.setInt32(headOff + Ipv4.Destination, view.getInt32(off + Ipv4.Source));
    packet.headLen = IPV4_HEADER_BYTES;
    packet.body = new Slab(slab.bytes.slice(off + IPV4_HEADER_BYTES, off + len));
    packet.bodyLen = len - IPV4_HEADER_BYTES;
    device.send(packet);
    echoed++;
  },
};
while (echoed < packets) {
  const count = device.receive(input, 64);
  device.flush();
  if (count > 0 || !device.prepareSleep()) continue;
  const woken = poll.wait(5000);
  device.awake();
  if (woken === 0) break;
  clearEvent(fd);
}
