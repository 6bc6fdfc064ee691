import { type Channel, channel } from 'node:diagnostics_channel';

/** What is told of engines in the thread that starts them; see `net/channels.ts`. */
export const ENGINE_CHANNELS: {
  readonly start: Channel;
  readonly stop: Channel;
  readonly error: Channel;
  readonly addressConflict: Channel;
} = {
  start: channel('tunwire:engine:start'),
  stop: channel('tunwire:engine:stop'),
  error: channel('tunwire:engine:error'),
  addressConflict: channel('tunwire:engine:address-conflict'),
};
