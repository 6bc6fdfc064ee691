import { extendedMasterSecret, masterSecret } from '../../keys/prf.ts';
import { IMPLIED_SCHEMES } from '../../keys/signatures.ts';
import type { CipherSuite } from '../../keys/suites.ts';
import { HandshakeType } from '../../wire/codes.ts';
import {
  bodyOf,
  type CertificateRequest12,
  type HandshakeMessage,
  readCertificateRequest12,
  writeCertificate12,
  writeCertificateVerify,
  writeClientKeyExchange,
} from '../../wire/messages.ts';
import { type Handshake, type HandshakeState, unexpectedMessage } from '../state.ts';
import { expectEndOfFlight } from './expect-change-cipher-spec.ts';
import { makeKeys, sendFinished } from './keys.ts';
import type { Agreed12 } from './server-hello.ts';

/** After ServerKeyExchange, or with RSA key exchange after Certificate: the server may ask for a certificate before it ends its flight. */
export class ExpectServerHelloDoneOrRequest implements HandshakeState {
  readonly agreed: Agreed12;
  readonly publicKey: Uint8Array;
  readonly premaster: Uint8Array;

  /** @param publicKey our half of the key exchange, or the encrypted premaster secret */
  constructor(agreed: Agreed12, publicKey: Uint8Array, premaster: Uint8Array) {
    this.agreed = agreed;
    this.publicKey = publicKey;
    this.premaster = premaster;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    if (message.type === HandshakeType.CertificateRequest) {
      const isOld = this.agreed.version < 'TLSv1.2';
      const request = readCertificateRequest12(message, isOld ? IMPLIED_SCHEMES : null);
      handshake.info.clientCertificate = 'requested';
      this.agreed.transcript.add(message.raw);
      return new ExpectServerHelloDone(this.agreed, this.publicKey, this.premaster, request);
    }
    return new ExpectServerHelloDone(this.agreed, this.publicKey, this.premaster, null).handle(
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
  /** What the server asks of us, or null. */
  readonly request: CertificateRequest12 | null;

  constructor(
    agreed: Agreed12,
    publicKey: Uint8Array,
    premaster: Uint8Array,
    request: CertificateRequest12 | null,
  ) {
    this.agreed = agreed;
    this.publicKey = publicKey;
    this.premaster = premaster;
    this.request = request;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    if (message.type !== HandshakeType.ServerHelloDone) {
      const expected =
        this.request !== null ? 'server_hello_done' : 'server_hello_done or certificate_request';
      throw unexpectedMessage(message, expected);
    }
    bodyOf(message, 'server_hello_done').finish();
    const { offer, version, suite, prf, serverRandom, transcript } = this.agreed;
    const { identities, info, records } = handshake;
    // the server says nothing more before our flight
    records.endOfKey();
    transcript.add(message.raw);
    const send = (ours: Uint8Array): void => {
      records.send(ours);
      transcript.add(ours);
    };
    const chosen =
      this.request === null || info.ech === 'rejected'
        ? null
        : identities.choose(this.request, version, offer.fallback);
    // RFC 5246 §7.4.6: without a suitable certificate the client MUST send a message with none
    if (this.request !== null) send(writeCertificate12(chosen?.chain ?? []));
    send(writeClientKeyExchange(exchangeOf(suite), this.publicKey));
    const master = this.agreed.isMasterSecretExtended
      ? extendedMasterSecret(prf, this.premaster, transcript.hash())
      : masterSecret(prf, this.premaster, offer.random, serverRandom);
    if (chosen !== null) {
      const { scheme } = chosen;
      const signature = chosen.sign(transcript.messages());
      info.credentialsIndex = chosen.index;
      send(writeCertificateVerify(version < 'TLSv1.2' ? null : scheme, signature));
      info.clientCertificate = 'sent';
    }
    const keys = makeKeys(this.agreed, master, handshake);
    sendFinished(this.agreed, keys, handshake);
    return expectEndOfFlight(this.agreed, keys, null);
  }
}

function exchangeOf({ keyExchange }: CipherSuite): 'ecdhe' | 'dhe' | 'rsa' {
  if (keyExchange === 'any') throw new TypeError('a suite of TLS 1.3');
  return keyExchange;
}
