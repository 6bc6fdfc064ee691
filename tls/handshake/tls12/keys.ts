import { keyBlock, type RecordSecrets, verifyDataOf } from '../../keys/prf.ts';
import { writeFinished } from '../../wire/messages.ts';
import { type Handshake, logSecret } from '../state.ts';
import type { Agreed12 } from './server-hello.ts';

/** The master secret of a connection and the keys that follow from it. */
export interface Keys12 {
  readonly master: Uint8Array;
  readonly client: RecordSecrets;
  readonly server: RecordSecrets;
}

/** @param master kept, not copied */
export function makeKeys(agreed: Agreed12, master: Uint8Array, handshake: Handshake): Keys12 {
  const { offer, version, suite, serverRandom } = agreed;
  logSecret(handshake, 'CLIENT_RANDOM', offer.random, master);
  handshake.wipes.push(() => master.fill(0));
  return { master, ...keyBlock(version, suite, master, offer.random, serverRandom) };
}

/** Sends change_cipher_spec and Finished. */
export function sendFinished(agreed: Agreed12, keys: Keys12, handshake: Handshake): void {
  const { prf, transcript } = agreed;
  handshake.records.sendChangeCipherSpec();
  handshake.records.changeWriteKey(agreed, keys.client);
  const verifyData = verifyDataOf(prf, keys.master, 'client', transcript.hash());
  handshake.finished.client = verifyData;
  const finished = writeFinished(verifyData);
  handshake.records.send(finished);
  transcript.add(finished);
}
