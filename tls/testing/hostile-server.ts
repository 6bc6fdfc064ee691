import type { TlsClient } from '../client.ts';
import { handshakeMessage } from '../wire/messages.ts';
import { shakeHands, shakeHands12, testClient, testServer, testServer12 } from './client-under-test.ts';
import type { FlightPart, ServerScript } from './scripted-server.ts';
import type { FlightPart12, ServerScript12 } from './scripted-server12.ts';

/** The member and the alert with which the client answers a server of this script. */
export function failureOf(script: Partial<ServerScript>, client: TlsClient = testClient()): [string, number] {
  const sent = shakeHands(client, testServer(script));
  if (client.error !== null && client.error.alert >= 0 && sent === null) throw new Error('no alert was sent');
  return [client.error?.member ?? client.state, client.error?.alert ?? -1];
}

/** The same for a server of TLS 1.2. */
export function failureOf12(
  script: Partial<ServerScript12>,
  client: TlsClient = testClient(),
): [string, number] {
  const sent = shakeHands12(client, testServer12(script));
  if (client.error !== null && client.error.alert >= 0 && sent === null) throw new Error('no alert was sent');
  return [client.error?.member ?? client.state, client.error?.alert ?? -1];
}

/** The same for a server of TLS 1.2. */
export function replacing12(
  part: FlightPart12,
  edit: (message: Uint8Array) => Uint8Array | null,
): Partial<ServerScript12> {
  return { edit: (each, message) => (each === part ? edit(message) : message) };
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
