import { type Channel, channel } from 'node:diagnostics_channel';

/**
 * What connections tell `node:diagnostics_channel`, in the thread that uses them. Each message is a plain object; `socket`, `server` are the
 * very objects, to be looked at only.
 *
 * | channel | when | message |
 * |---|---|---|
 * | `tunwire:net:connect` | a socket begins to connect | `{ socket, host, port }` |
 * | `tunwire:net:connected` | TCP is established | `{ socket, host, port, times }` |
 * | `tunwire:net:secured` | TLS is established | `{ socket, servername, protocol, cipher, alpnProtocol, times }` |
 * | `tunwire:net:accepted` | a listener has a new connection | `{ server, socket }` |
 * | `tunwire:net:closed` | a socket is over | `{ socket, error }`, null when in order |
 * | `tunwire:net:resolved` | `resolve` or `reverse` has its answer | `{ name, type, answers, error, elapsedMs }` |
 * | `tunwire:engine:start` | an engine runs; in the thread that has started it, as the next three | `{ arena }` |
 * | `tunwire:engine:stop` | it is stopped | `{ arena }` |
 * | `tunwire:engine:error` | it could not start, or has ended by itself | `{ arena, error }` |
 * | `tunwire:engine:address-conflict` | another station on the link uses an address of the stack (RFC 5227 §2.4, RFC 4862 §5.4.4), every ten seconds at most for each address; also a process warning | `{ arena, interface, address, linkAddress }` |
 * | `tunwire:stack:packet:in`, `tunwire:stack:packet:out` | with the option `tellPackets`, in the thread that has started the engine: a packet next to the device; `bytes` as in a `HookedPacket`, `missed` before it because that thread was busy | `{ arena, interface, now, ipOff, bytes, comment, missed }` |
 * | `tunwire:stack:drop` | with `tellPackets`: the stack has dropped a packet that came | the same, with `reason` in place of `missed`: the counter |
 * | `tunwire:tls:keylog` | a secret; only subscribing before the handshake has them told | `{ socket, line }` |
 */
export const CHANNELS: {
  readonly connect: Channel;
  readonly connected: Channel;
  readonly secured: Channel;
  readonly accepted: Channel;
  readonly closed: Channel;
  readonly resolved: Channel;
  readonly keyLog: Channel;
} = {
  connect: channel('tunwire:net:connect'),
  connected: channel('tunwire:net:connected'),
  secured: channel('tunwire:net:secured'),
  accepted: channel('tunwire:net:accepted'),
  closed: channel('tunwire:net:closed'),
  resolved: channel('tunwire:net:resolved'),
  keyLog: channel('tunwire:tls:keylog'),
};
