import { concatBytes } from '@noble/hashes/utils.js';
import { finishedVerifyData } from '../keys/key-schedule.ts';
import { clientVerifyContent } from '../keys/signatures.ts';
import type { CipherSuite } from '../keys/suites.ts';
import type { Transcript } from '../keys/transcript.ts';
import {
  type HandshakeMessage,
  readLaterCertificateRequest,
  writeCertificate,
  writeCertificateVerify,
  writeFinished,
} from '../wire/messages.ts';
import type { ClientIdentities } from './client-credentials.ts';

/** Answers servers that ask for a certificate after the handshake (RFC 8446 §4.6.2). */
export class PostHandshakeAuth {
  readonly #suite: CipherSuite;
  readonly #transcript: Transcript;
  readonly #identities: ClientIdentities;

  /** @param transcript up to our Finished */
  constructor(suite: CipherSuite, transcript: Transcript, identities: ClientIdentities) {
    this.#suite = suite;
    this.#transcript = transcript;
    this.#identities = identities;
  }

  /**
   * @param secret of our records (RFC 8446 §4.4: client_application_traffic_secret_N)
   * @returns the messages of the answer, and which credentials they prove (-1: none)
   * @throws TlsError
   */
  answer(
    request: HandshakeMessage,
    secret: Uint8Array,
  ): { readonly messages: Uint8Array; readonly index: number } {
    const { context, ...wish } = readLaterCertificateRequest(request);
    // RFC 8446 §4.4.1: each exchange is bound to the handshake, not to those before it
    const transcript = this.#transcript.fork();
    transcript.add(request.raw);
    const messages: Uint8Array[] = [];
    const add = (message: Uint8Array): void => {
      messages.push(message);
      transcript.add(message);
    };
    const chosen = this.#identities.choose(wish, 'TLSv1.3', false);
    add(writeCertificate(chosen?.chain ?? [], context));
    if (chosen !== null) {
      add(writeCertificateVerify(chosen.scheme, chosen.sign(clientVerifyContent(transcript.hash()))));
    }
    add(writeFinished(finishedVerifyData(this.#suite, secret, transcript.hash())));
    return { messages: concatBytes(...messages), index: chosen?.index ?? -1 };
  }
}
