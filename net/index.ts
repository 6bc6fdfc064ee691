/**
 * tunwire's connections in Node's shape.
 * @module
 */
export { createMemoryHub, type MemoryHubOptions, type MemoryHubPort } from '../drivers/hub.ts';
export { createMemoryLink, type MemoryLinkEnd, type MemoryLinkOptions } from '../drivers/memory.ts';
export type { EngineCounters } from '../engine/engine-counters.ts';
export type {
  CaptureOptions,
  DeviceSettings,
  EngineOptions,
  PacketHookModule,
  ResolverOptions,
  VlanSettings,
} from '../engine/options.ts';
export type { InterfaceStats, SocketInfo, SocketSummary, StackStats } from '../engine/questions.ts';
export type { KeepAlive } from '../engine/shared-socket.ts';
export { VirtualClock } from '../engine/virtual-clock.ts';
export { type ErrorCode, NetError } from '../stack/errors.ts';
export type { PortSettings } from '../stack/local-ports.ts';
export type { HookedPacket, PacketHook, PacketInjector } from '../stack/packet-hook.ts';
export type { DnsRecord, RecordData } from '../stack/resolver/record.ts';
export type { SendOptions } from '../stack/tcp/send-policy.ts';
export {
  type ClientHelloDraft,
  MemorySessionStore,
  NamedGroup,
  type SessionStore,
  type Signer,
  type TlsSession,
  type TlsTuning,
  type TlsVersion,
  type TracedMessage,
} from '../tls/client.ts';
export { TrustStore } from '../tls/x509/trust-store.ts';
export {
  httpAgent,
  httpsAgent,
  type UndiciConnector,
  type UndiciOptions,
  type UndiciRequest,
  undiciConnector,
} from './agents.ts';
export type { FlowOptions } from './data-flow.ts';
export type { FetchOptions } from './fetch.ts';
export type { ConnectOptions, KeepAliveSettings } from './options.ts';
export type { OnRead } from './own-buffer.ts';
export type {
  PingOptions,
  PingReply,
  PingRun,
  PingStatistics,
  TracedHop,
  TraceOptions,
  TraceRun,
} from './probe-run.ts';
export { type RawPacket, RawSocket, type RawSocketOptions } from './raw-socket.ts';
export { type ListenOptions, Server } from './server.ts';
export type { CheckServerIdentity } from './server-identity.ts';
export { type ConnectTimes, Socket, type SocketOptions } from './socket.ts';
export {
  connect,
  createConnection,
  createStack,
  listen,
  NetStack,
  ping,
  type ResolvedAddress,
  type ResolveOptions,
  type ResolveRecordsOptions,
  resolve,
  reverse,
  type StackOptions,
  setDefaultStack,
  trace,
  udp,
} from './stack.ts';
export type { TlsConnectOptions } from './tls-settings.ts';
export { type Datagram, type UdpOptions, UdpSocket } from './udp.ts';
export type { WebStreams, WebStreamsInfo } from './web-streams.ts';
