/**
 * The protocols without I/O: packets, times and randomness come from outside, packets and a next deadline come out.
 * @module
 */
export { type ConnectAttempt, Connector, type ConnectRequest } from './connector.ts';
export type { ElasticRings, RingPair, RingSource } from './context.ts';
export { Endpoint, EndpointEvent, type EndpointObserver } from './endpoint.ts';
export { ERRORS, type ErrorCode, NetError, Phase } from './errors.ts';
export type { Interface } from './ip/interface.ts';
export type { RawOptions, RawReceiver, RawSocket } from './ip/raw-socket.ts';
export {
  type EthernetCapabilities,
  type LinkCapabilities,
  type PacketSink,
  RxFlag,
  TxPacket,
} from './link.ts';
export { LocalPorts, PortRange, type PortSettings } from './local-ports.ts';
export type { HookedPacket, PacketHook, PacketInjector } from './packet-hook.ts';
export { type RandomSource, SeededRandom } from './random.ts';
export { HostsFile } from './resolver/hosts-file.ts';
export type { NameServerAddress } from './resolver/name-server.ts';
export type { DnsRecord, DnsType, RecordData } from './resolver/record.ts';
export { Lookup, RecordLookup, Resolver, type ResolverOptions } from './resolver/resolver.ts';
export { Ring } from './ring.ts';
export { type InterfaceOptions, Stack, type StackOptions } from './stack.ts';
export type { TcpConnection } from './tcp/connection.ts';
export { type ConnectionInfo, describeConnection } from './tcp/info.ts';
export type { TcpListener } from './tcp/listener.ts';
export type { ConnectOptions, ListenOptions } from './tcp/tcp-layer.ts';
export { HeapRings } from './testing/heap-rings.ts';
export type { UdpOptions } from './udp/udp-layer.ts';
export type { DatagramReceiver, UdpSocket } from './udp/udp-socket.ts';
export { IpAddress, type IpPrefix, parsePrefix } from './wire/ip-address.ts';
export { Slab } from './wire/slab.ts';
