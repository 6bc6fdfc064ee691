import type { CaptureRing } from '../drivers/capture-files.ts';
import type { MemoryHubPort } from '../drivers/hub.ts';
import type { ImpairSettings } from '../drivers/impair-options.ts';
import type { MemoryLinkEnd } from '../drivers/memory.ts';
import type { PortSettings } from '../stack/local-ports.ts';
import type { SendOptions } from '../stack/tcp/send-policy.ts';
import type { BufferSizes } from './socket-table.ts';

/** How an engine's stack is set up. All of it is structured-cloneable: it travels to the engine's thread. {@link SendOptions} are for all connections that ask for nothing else. */
export interface EngineOptions extends SendOptions {
  /**
   * `'tun:NAME'`, `'tap:NAME'`, `'raw:INTERFACE'` (Ethernet beside the kernel), `'unix:PATH'` (a stream of frames, as QEMU and passt
   * speak it), `'passt:'` (started here; what it is to be told may follow), `'pcap:FILE'` (a capture that is played, and nobody who answers), one end of a memory link, or a port of a memory hub.
   */
  readonly device: string | MemoryLinkEnd | MemoryHubPort;
  /**
   * Own addresses with their prefix lengths: `['192.0.2.2/24', '2001:db8::2/64']`. `'dhcp'` among them, on an Ethernet device: one from
   * a DHCPv4 server, with the routes, name servers and domain it tells. `'slaac'`: IPv6 addresses made of the prefixes that routers
   * advertise. `'link-local'`: an IPv4 address of 169.254.0.0/16 that nobody on the link has (RFC 3927), beside `'dhcp'` only if there is no
   * answer within ten seconds. The engine runs when it has them, and fails after 25 s.
   */
  readonly addresses: readonly string[];
  /**
   * On an Ethernet device: asks the link whether somebody has one of the addresses given, before they are used (RFC 4862 §5.4, RFC 5227
   * §2.1). The engine starts up to eight seconds later, and not at all when one is taken. Default false.
   */
  readonly checkAddresses?: boolean;
  /** 16 bytes: with the same ones, `'slaac'` makes the same addresses on the same network (RFC 7217). Default: random ones. */
  readonly slaacSecret?: Uint8Array;
  /** With `'slaac'`: addresses with random identifiers too, each for a day, which connections begin from (RFC 8981). Default false. */
  readonly temporaryAddresses?: boolean;
  /** With `'slaac'`: addresses are used while the link is asked whether somebody has them (RFC 4429). Default false. */
  readonly optimisticAddresses?: boolean;
  /**
   * Threads that share the work, 1 … 16, each with a queue of the device, a share of the connections, and its part of `memoryBytes` and
   * `maxSockets`. Above 1 only for `'tun:NAME'` (an interface made beforehand needs `multi_queue`), without capture, impairments, packetHook
   * and clock. Default 1.
   */
  readonly engines?: number;
  /** Default gateways. Of several of a family the first is used, and when it does not answer (on an Ethernet device), the next. */
  readonly gateways?: readonly string[];
  /**
   * On an Ethernet device: virtual LANs (IEEE 802.1Q), each an interface of its own, named `eth0.10`, whose frames have its tag. Their
   * addresses are given as those of the device are.
   */
  readonly vlans?: readonly VlanSettings[];
  /**
   * Further devices, each an interface of its own. Routes choose among all of them: the longest prefix, then the order here. A capture has
   * them all. Only with one engine.
   */
  readonly interfaces?: readonly DeviceSettings[];
  /** Largest IP packet in bytes; default: what the device says. */
  readonly mtuBytes?: number;
  /** false: the device carries plain packets, checksums and segments are made here. Default true. */
  readonly offload?: boolean;
  readonly resolver?: ResolverOptions;
  /**
   * Local ports that the stack may choose, and those that are kept for who asks. With several engines the ephemeral ones are from 49,152 on. The
   * capture of a stack with a `seed` has no journal then: `replay --exact` cannot do the run again.
   */
  readonly ports?: PortSettings;
  /** Disturbs the link on purpose: loss, delay and so on, all from a seed. The device carries plain packets then. */
  readonly impairments?: ImpairSettings;
  /**
   * Code that sees and may alter, drop or add any packet. It runs in the engine's thread, so it is named by a module; the device carries
   * plain packets then. A capture has what is on the wire.
   */
  readonly packetHook?: PacketHookModule;
  /**
   * Tells every packet, and why the stack drops one, to `diagnostics_channel` in the thread that starts the stack: `tunwire:stack:packet:in`,
   * `tunwire:stack:packet:out`, `tunwire:stack:drop`. The device carries plain packets then. A thread that does not come to its event loop
   * misses what is beyond 10,000 packets. Default false.
   */
  readonly tellPackets?: boolean;
  /**
   * Writes every packet to a pcapng file, as the stack sends and receives them: before and after any impairment. Comments say what was
   * sent again, what the stack has dropped, and what an impairment has done; what that loses is there too, with the verdict "dropped".
   */
  readonly capture?: CaptureOptions;
  /** Runs the stack's timers by a `VirtualClock`. Default: the system's monotonic clock. */
  readonly clock?: { readonly memory: SharedArrayBuffer };
  /** Makes every choice of the stack repeatable (sequence numbers, ports, identifiers). Default: the system's randomness. */
  readonly seed?: number;
  /** Sockets at the same time, 1 … 1,048,574. Default 65,536. */
  readonly maxSockets?: number;
  /** Limit of the memory for data in flight, in bytes. Default 256 MiB. */
  readonly memoryBytes?: number;
  /** Size of each send buffer, a power of two from 64 KiB. Default: it grows with the congestion window. */
  readonly sendBufferBytes?: number;
  /** Size of each receive buffer, a power of two from 64 KiB. Default: it grows with what is read in a round trip. */
  readonly receiveBufferBytes?: number;
  /** How far a send buffer grows, a power of two from 64 KiB. Default 16 MiB, and an eighth of `memoryBytes` at most. */
  readonly maxSendBufferBytes?: number;
  /** How far a receive buffer grows, as `maxSendBufferBytes`. The window scale is chosen for it. */
  readonly maxReceiveBufferBytes?: number;
}

/** A virtual LAN on an engine's device. */
export interface VlanSettings {
  /** 1 … 4094 */
  readonly id: number;
  readonly addresses: readonly string[];
  readonly gateways?: readonly string[];
}

/** A further device of an engine; what it shares with the first one (`slaacSecret`, `offload` …) is given there. */
export interface DeviceSettings
  extends Pick<
    EngineOptions,
    'device' | 'addresses' | 'checkAddresses' | 'gateways' | 'vlans' | 'mtuBytes' | 'impairments'
  > {}

/** The options of each device of an engine as if it were the only one, in order. */
export function optionsOfDevices(options: EngineOptions): EngineOptions[] {
  const { checkAddresses, gateways, vlans, mtuBytes, impairments, interfaces = [], ...shared } = options;
  return [options, ...interfaces.map((settings) => ({ ...shared, ...settings }))];
}

export interface ResolverOptions {
  /**
   * Name servers in the order of their use: `['192.0.2.53', '2001:db8::53']`, with `#port` when it is not 53;
   * `'tls://dns.example@192.0.2.53'` for DNS over TLS only (RFC 7858), with a certificate for that name, or for the address when
   * there is none, and with `#port` when it is not 853. Default: those of `resolvConf`, else those that DHCP and routers tell.
   */
  readonly servers?: readonly string[];
  /** A resolv.conf(5) to take name servers, search domains and options from, where they are not given here. Default: none. */
  readonly resolvConf?: string | null;
  /** Domains for names with fewer than `ndots` dots, and for others that are not found. Default: none, or what DHCP and routers tell. */
  readonly search?: readonly string[];
  /** Default 1. */
  readonly ndots?: number;
  /** Each question goes to another server first. Default false. */
  readonly rotate?: boolean;
  /** EDNS (RFC 6891), and cookies with it. Default true. */
  readonly edns?: boolean;
  /**
   * Asks servers over TLS, port 853, where they have it, whatever their certificate, and without where they have not. Default
   * false.
   */
  readonly opportunisticTls?: boolean;
  /** Certificates that servers over TLS are trusted by: a file or a directory. Default: the system's. */
  readonly caFile?: string;
  /** How long answers are kept after their time, in ms, for when no server answers (RFC 8767). Default 0. */
  readonly staleMs?: number;
  /**
   * What becomes of names below `local`: asked of the name servers as any other, asked by multicast (RFC 6762 §5.1), or
   * refused. Default 'dns'.
   */
  readonly multicastNames?: 'dns' | 'multicast' | 'refuse';
  /** Path of the hosts file; null: none. Default /etc/hosts. */
  readonly hostsFile?: string | null;
  /** How long one try waits for an answer, in milliseconds. Default 2,000. */
  readonly timeoutMs?: number;
  /** Tries per name server. Default 2. */
  readonly attempts?: number;
}

/** Where a packet hook comes from. */
export interface PacketHookModule {
  /**
   * A file (from the working directory) or a URL. It exports `createPacketHook(data)`, which is called once in the engine's thread and
   * returns a {@link PacketHook}.
   */
  readonly module: string;
  /** What `createPacketHook` is called with; structured-cloneable. A SharedArrayBuffer in it is a way to talk while it runs. */
  readonly data?: unknown;
}

export interface CaptureOptions {
  readonly file: string;
  /** Writes files of a size one after the other (`a.pcapng` becomes `a.00001.pcapng` …) and keeps the last ones. */
  readonly ring?: CaptureRing;
  /** Also writes the TLS secrets of all connections, so that the capture can be read decrypted. Default false. */
  readonly secrets?: boolean;
}

/** How long an engine waits for the addresses that it is not given. Less than what whoever starts it waits for it to run. */
export const CONFIGURATION_TIMEOUT_MS = 25_000;

/** How long a stopping engine goes on for connections that still have data to deliver. */
export const DRAIN_MS = 1000;

/** The least a ring may have: one TLS record of the largest size must fit (RFC 8446 §5.2). */
export const LEAST_RING_BYTES: number = 64 * 1024;

/** What a buffer that grows begins with. */
const FIRST_BUFFER_BYTES: number = 64 * 1024;
/** More than what a path of 1 Gbit/s and 100 ms holds. */
const MAX_BUFFER_BYTES: number = 16 * 1024 * 1024;
/** One connection of many gets no more than this part of all memory. */
const LARGEST_SHARE = 8;
const LEAST_MEMORY_BYTES: number = 1024 * 1024;
/** UDP: bursts wait in the receive buffer until the application comes. */
const DATAGRAM_SEND_BYTES: number = 512 * 1024;
const DATAGRAM_RECEIVE_BYTES: number = 1024 * 1024;

/** The defaults of the sizes, and their limits. @throws RangeError naming the option */
export function engineSizes(options: EngineOptions): BufferSizes & { maxSockets: number; poolBytes: number } {
  const { sendBufferBytes, receiveBufferBytes } = options;
  const sendBytes = ringSize('sendBufferBytes', sendBufferBytes ?? FIRST_BUFFER_BYTES);
  const recvBytes = ringSize('receiveBufferBytes', receiveBufferBytes ?? FIRST_BUFFER_BYTES);
  const poolBytes = options.memoryBytes ?? 256 * 1024 * 1024;
  const least = Math.max(2 * (sendBytes + recvBytes), LEAST_MEMORY_BYTES);
  if (poolBytes < least || poolBytes > 1536 * 1024 * 1024) {
    throw new RangeError(`memoryBytes must be ${least} … 1610612736, got ${poolBytes}`);
  }
  const most = 2 ** Math.floor(Math.log2(poolBytes / LARGEST_SHARE));
  const maxSendBytes = ringSize('maxSendBufferBytes', options.maxSendBufferBytes ?? MAX_BUFFER_BYTES);
  const maxRecvBytes = ringSize('maxReceiveBufferBytes', options.maxReceiveBufferBytes ?? MAX_BUFFER_BYTES);
  return {
    maxSockets: options.maxSockets ?? 65_536,
    poolBytes,
    sendBytes,
    recvBytes,
    maxSendBytes: sendBufferBytes ?? Math.max(Math.min(maxSendBytes, most), sendBytes),
    maxRecvBytes: receiveBufferBytes ?? Math.max(Math.min(maxRecvBytes, most), recvBytes),
    datagramSendBytes: sendBufferBytes ?? Math.min(DATAGRAM_SEND_BYTES, most),
    datagramRecvBytes: receiveBufferBytes ?? Math.min(DATAGRAM_RECEIVE_BYTES, most),
  };
}

function ringSize(name: string, bytes: number): number {
  if (bytes < LEAST_RING_BYTES || bytes > 1 << 30 || (bytes & (bytes - 1)) !== 0) {
    throw new RangeError(`${name} must be a power of two from ${LEAST_RING_BYTES} bytes, got ${bytes}`);
  }
  return bytes;
}
