import { extendedMasterSecret, masterSecret } from '../../keys/prf.ts';
import { HandshakeType } from '../../wire/codes.ts';
import {
  bodyOf,
  type HandshakeMessage,
  readCertificateRequest12,
  writeCertificate12,
  writeClientKeyExchange,
} from '../../wire/messages.ts';
import { type Handshake, type HandshakeState, unexpectedMessage } from '../state.ts';
import { expectEndOfFlight } from './expect-change-cipher-spec.ts';
import { makeKeys, sendFinished } from './keys.ts';
import type { Agreed12 } from './server-hello.ts';

/** After ServerKeyExchange: the server may ask for a certificate before it ends its flight. */
export class ExpectServerHelloDoneOrRequest implements HandshakeState {
  readonly agreed: Agreed12;
  readonly publicKey: Uint8Array;
  readonly premaster: Uint8Array;

  /** @param publicKey our half of the key exchange */
  constructor(agreed: Agreed12, publicKey: Uint8Array, premaster: Uint8Array) {
    this.agreed = agreed;
    this.publicKey = publicKey;
    this.premaster = premaster;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    if (message.type === HandshakeType.CertificateRequest) {
      readCertificateRequest12(message);
      this.agreed.transcript.add(message.raw);
      return new ExpectServerHelloDone(this.agreed, this.publicKey, this.premaster, true);
    }
    return new ExpectServerHelloDone(this.agreed, this.publicKey, this.premaster, false).handle(
      message,
      handshake,
    );
  }
}

/** The end of the server's flight; ours answers it. */
export class ExpectServerHelloDone implements HandshakeState {
  readonly agreed: Agreed12;
  readonly publicKey: Uint8Array;
  readonly premaster: Uint8Array;
  readonly isCertificateRequested: boolean;

  constructor(
    agreed: Agreed12,
    publicKey: Uint8Array,
    premaster: Uint8Array,
    isCertificateRequested: boolean,
  ) {
    this.agreed = agreed;
    this.publicKey = publicKey;
    this.premaster = premaster;
    this.isCertificateRequested = isCertificateRequested;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    if (message.type !== HandshakeType.ServerHelloDone) {
      const expected = this.isCertificateRequested
        ? 'server_hello_done'
        : 'server_hello_done or certificate_request';
      throw unexpectedMessage(message, expected);
    }
    bodyOf(message, 'server_hello_done').finish();
    const { offer, suite, serverRandom, transcript } = this.agreed;
    const { records } = handshake;
    // the server says nothing more before our flight
    records.endOfKey();
    transcript.add(message.raw);
    const send = (ours: Uint8Array): void => {
      records.send(ours);
      transcript.add(ours);
    };
    // RFC 5246 §7.4.6: without a suitable certificate the client MUST send a message with none
    if (this.isCertificateRequested) send(writeCertificate12([]));
    send(writeClientKeyExchange(this.publicKey));
    const master = this.agreed.isMasterSecretExtended
      ? extendedMasterSecret(suite, this.premaster, transcript.hash())
      : masterSecret(suite, this.premaster, offer.random, serverRandom);
    const keys = makeKeys(this.agreed, master, handshake);
    sendFinished(this.agreed, keys, handshake);
    return expectEndOfFlight(this.agreed, keys, null);
  }
}
