import { timingSafeEqual } from 'node:crypto';
import { TlsError } from '../errors.ts';
import { finishedVerifyData } from '../keys/key-schedule.ts';
import { clientVerifyContent } from '../keys/signatures.ts';
import { HandshakeType } from '../wire/codes.ts';
import {
  type CertificateRequest,
  type HandshakeMessage,
  handshakeMessage,
  readFinished,
  writeCertificate,
  writeCertificateVerify,
  writeFinished,
} from '../wire/messages.ts';
import { Connected } from './connected.ts';
import type { Agreed, RecordLimits } from './expect-encrypted-extensions.ts';
import { expectType, type Handshake, type HandshakeState, logSecret } from './state.ts';

/** The last message of the server; our flight answers it. */
export class ExpectFinished implements HandshakeState {
  readonly agreed: Agreed;
  readonly limits: RecordLimits;
  /** What the server asks of us, or null. */
  readonly request: CertificateRequest | null;

  constructor(agreed: Agreed, limits: RecordLimits, request: CertificateRequest | null) {
    this.agreed = agreed;
    this.limits = limits;
    this.request = request;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    expectType(message, HandshakeType.Finished);
    const { offer, transcript, schedule, secrets } = this.agreed;
    const { records } = handshake;
    const { suite } = schedule;
    const verifyData = readFinished(message, suite.hashBytes);
    const expected = finishedVerifyData(suite, secrets.server, transcript.hash());
    // RFC 8446 §4.4.4: incorrect → decrypt_error; compared in constant time
    if (!timingSafeEqual(expected, verifyData)) throw new TlsError('BadFinished');
    transcript.add(message.raw);
    records.endOfKey();

    const traffic = schedule.master(transcript.hash());
    logSecret(handshake, 'CLIENT_TRAFFIC_SECRET_0', offer.random, traffic.client);
    logSecret(handshake, 'SERVER_TRAFFIC_SECRET_0', offer.random, traffic.server);
    logSecret(handshake, 'EXPORTER_SECRET', offer.random, traffic.exporter);

    records.sendChangeCipherSpec();
    if (handshake.earlyData.isWriting) {
      // RFC 8446 §4.5: the last message under the early key
      const end = handshakeMessage(HandshakeType.EndOfEarlyData, new Uint8Array(0));
      records.send(end);
      transcript.add(end);
      records.protectWriting(suite, secrets.client);
    }
    handshake.earlyData.finish();
    if (this.request !== null) this.#authenticate(this.request, handshake);
    const finished = writeFinished(finishedVerifyData(suite, secrets.client, transcript.hash()));
    records.send(finished);
    transcript.add(finished);
    const resumption = schedule.resumption(transcript.hash());
    if (handshake.info.ech === 'rejected') {
      // RFC 9849 §6.1.6: the handshake is completed, so that the answer is known to be the server's
      records.protectWriting(suite, traffic.client);
      throw new TlsError('EchRejected');
    }
    secrets.client.fill(0);
    secrets.server.fill(0);
    return new Connected(suite, this.limits, traffic, resumption, transcript);
  }

  /** Sends our certificate and the proof that it is ours. */
  #authenticate(request: CertificateRequest, handshake: Handshake): void {
    const { identities, info, records } = handshake;
    const { transcript } = this.agreed;
    const send = (message: Uint8Array): void => {
      records.send(message);
      transcript.add(message);
    };
    // RFC 9849 §6.1.6: nothing is proved to a server that is only the public name
    const chosen = info.ech === 'rejected' ? null : identities.choose(request, 'TLSv1.3', false);
    if (chosen === null) {
      // RFC 8446 §4.4.2: without a suitable certificate the client MUST send a Certificate message with none
      send(writeCertificate([]));
      return;
    }
    send(writeCertificate(chosen.chain));
    send(writeCertificateVerify(chosen.scheme, chosen.sign(clientVerifyContent(transcript.hash()))));
    info.credentialsIndex = chosen.index;
    info.clientCertificate = 'sent';
  }
}
