import { type Channel, channel } from 'node:diagnostics_channel';

/** What is told of engines in the thread that starts them; see `net/channels.ts`. */
export const ENGINE_CHANNELS: {
  readonly start: Channel;
  readonly stop: Channel;
  readonly error: Channel;
  readonly addressConflict: Channel;
  readonly packetIn: Channel;
  readonly packetOut: Channel;
  readonly drop: Channel;
} = {
  start: channel('tunwire:engine:start'),
  stop: channel('tunwire:engine:stop'),
  error: channel('tunwire:engine:error'),
  addressConflict: channel('tunwire:engine:address-conflict'),
  packetIn: channel('tunwire:stack:packet:in'),
  packetOut: channel('tunwire:stack:packet:out'),
  drop: channel('tunwire:stack:drop'),
};
