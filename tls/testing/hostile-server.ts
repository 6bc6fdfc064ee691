import type { TlsClient } from '../client.ts';
import { handshakeMessage } from '../wire/messages.ts';
import { shakeHands, testClient, testServer } from './client-under-test.ts';
import type { FlightPart, ServerScript } from './scripted-server.ts';

/** The member and the alert with which the client answers a server of this script. */
export function failureOf(script: Partial<ServerScript>, client: TlsClient = testClient()): [string, number] {
  const sent = shakeHands(client, testServer(script));
  if (client.error !== null && client.error.alert >= 0 && sent === null) throw new Error('no alert was sent');
  return [client.error?.member ?? client.state, client.error?.alert ?? -1];
}

/** A script that puts another message in the place of one. */
export function replacing(
  part: FlightPart,
  edit: (message: Uint8Array) => Uint8Array | null,
): Partial<ServerScript> {
  return { edit: (each, message) => (each === part ? edit(message) : message) };
}

/** Changes one byte. */
export function poke(message: Uint8Array, at: number, value: number): Uint8Array {
  const copy = Uint8Array.from(message);
  copy[at < 0 ? copy.length + at : at] = value;
  return copy;
}

/** Sets the length in the header of a handshake message to its true value. */
export function relength(message: Uint8Array): Uint8Array {
  return handshakeMessage(message[0]!, message.subarray(4));
}
