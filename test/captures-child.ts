/** One capture of `captures.ts`, in a process of its own. The last line on standard output is an {@link Eaten}. */
import { dump } from '../cli/dump.ts';
import { replayFiles } from '../cli/replay.ts';
import { openPcapInput } from '../drivers/pcap-input.ts';
import { openPcap } from '../drivers/pcap-reader.ts';
import { NetError } from '../stack/errors.ts';
import { SeededRandom } from '../stack/random.ts';
import { Stack } from '../stack/stack.ts';
import { HeapRings } from '../stack/testing/heap-rings.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { ipVersion } from '../stack/wire/ipv4.ts';

export interface Eaten {
  /** Frames of the file, and those that the stack got. */
  readonly frames: number;
  readonly packets: number;
  /** Why the reading ended; '' at the file's end. */
  readonly error: string;
  readonly residentMb: number;
}

/** The stack has so many of the addresses that packets of the capture go to, and listens on so many of their ports. */
const MAX_ADDRESSES = 32;
const MAX_PORTS = 64;
/** Between two batches of packets, so that timers run out in between. */
const STEP_MS = 10;
const BATCH = 16;

interface Recorded {
  frames: number;
  error: string;
  readonly addresses: Set<string>;
  readonly ports: Set<number>;
}

const [file = ''] = process.argv.slice(2);
const recorded = lookThrough(file);
const packets = play(file, recorded);
await dump(file, [], { hex: true });
await dump(file, [], { json: true });
replayFiles([file], {});
const residentMb = Math.ceil(process.resourceUsage().maxRSS / 1024);
console.log(
  JSON.stringify({ frames: recorded.frames, packets, error: recorded.error, residentMb } satisfies Eaten),
);

/** Whom the packets go to. */
function lookThrough(path: string): Recorded {
  const found: Recorded = { frames: 0, error: '', addresses: new Set(), ports: new Set() };
  try {
    const reader = openPcap(path);
    while (reader.next()) {
      found.frames++;
      const { ipOff, ipLen, slab } = reader.frame;
      if (ipOff >= 0 && ipLen >= 44) note(found, slab.view, ipOff);
    }
    found.error = reader.error?.message ?? '';
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    found.error = error.message;
  }
  return found;
}

function note(found: Recorded, view: DataView, off: number): void {
  const family = ipVersion(view, off) === 4 ? 4 : 6;
  const address = IpAddress.read(view, off + (family === 4 ? 16 : 24), family);
  const isUnicast = !(
    address.isMulticast ||
    address.isLimitedBroadcast ||
    address.isUnspecified ||
    address.isLoopback
  );
  if (isUnicast && found.addresses.size < MAX_ADDRESSES) found.addresses.add(address.toString());
  const port = view.getUint16(off + (family === 4 ? 22 : 42));
  if (port !== 0 && found.ports.size < MAX_PORTS) found.ports.add(port);
}

/** Plays the capture into a stack that has the addresses and services that its packets look for. @returns packets */
function play(path: string, { addresses, ports }: Recorded): number {
  let now = 0;
  const stack = new Stack({ random: new SeededRandom(1), rings: new HeapRings(65_536, 65_536), now });
  let device: ReturnType<typeof openPcapInput>;
  try {
    device = openPcapInput(path, { clock: () => now, speed: Infinity });
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    return 0;
  }
  const { capabilities, name } = device;
  const own = [...addresses].map((address) => `${address}/${address.includes(':') ? 64 : 24}`);
  const iface = stack.addInterface({ name, sink: device, capabilities, addresses: own, gateways: [] });
  const any = {
    local: null,
    remote: null,
    remotePort: 0,
    broadcast: false,
    receiver: { datagram: () => {} },
  };
  for (const port of ports) {
    stack.tcp.listen({ local: null, port, backlog: 8 });
    stack.udp.open({ ...any, localPort: port });
  }
  let packets = 0;
  for (let got = -1; got !== 0; packets += got) {
    const input = iface.input.bind(iface);
    got = device.receive({ input: (slab, off, len, flags) => void input(slab, off, len, flags, now) }, BATCH);
    now += STEP_MS;
    stack.advance(now);
    for (let endpoint = stack.pollEvent(); endpoint !== null; endpoint = stack.pollEvent())
      endpoint.takeEvents();
    stack.transmit(now);
  }
  device.close();
  return packets;
}
