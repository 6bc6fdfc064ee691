import { HandshakeType } from '../../wire/codes.ts';
import { type HandshakeMessage, readCertificate12 } from '../../wire/messages.ts';
import { checkLeafMaySign } from '../leaf.ts';
import { expectType, type Handshake, type HandshakeState } from '../state.ts';
import { ExpectServerKeyExchange } from './expect-server-key-exchange.ts';
import type { Agreed12 } from './server-hello.ts';

/** The certificate chain of the server; all suites have one. */
export class ExpectCertificate12 implements HandshakeState {
  readonly agreed: Agreed12;

  constructor(agreed: Agreed12) {
    this.agreed = agreed;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    expectType(message, HandshakeType.Certificate);
    const chain = readCertificate12(message);
    handshake.info.peerCertificates = chain;
    checkLeafMaySign(chain[0]!);
    this.agreed.transcript.add(message.raw);
    return new ExpectServerKeyExchange(this.agreed, chain);
  }
}
