import { WOULD_BLOCK } from '../engine/channel.ts';
import type { SharedSocket } from '../engine/shared-socket.ts';
import { sleepRecv, sleepSend } from '../inet/wait.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { ExitCode } from './exit-code.ts';
import type { StartTlsProtocol } from './verbs/tls.ts';

/** What a server may say before TLS. */
const MAX_ANSWER_BYTES: number = 64 * 1024;
const STEP_BYTES = 4096;

/** MySQL's protocol: capabilities of both sides (dev.mysql.com, "Capabilities Flags"). */
const MYSQL_CLIENT_SSL = 0x800;
const MYSQL_CAPABILITIES: number = 0x200 | 0x8000 | MYSQL_CLIENT_SSL;
const MYSQL_REQUEST_BYTES = 32;

/** Of the extended operation StartTLS (RFC 4511 §4.14.1). */
const LDAP_START_TLS = '1.3.6.1.4.1.1466.20037';

/** The server speaks the protocol, and does not go over to TLS. */
class StartTlsRefused extends NetError {
  readonly exitCode: ExitCode = ExitCode.StartTls;
}

/** How each protocol asks for TLS, up to the server's consent. */
const DIALOGUES: Readonly<Record<StartTlsProtocol, (talk: Talk, host: string) => void>> = {
  // RFC 3207 §4
  smtp: (talk) => {
    talk.reply('220');
    talk.say('EHLO tunwire.invalid\r\n');
    if (!/^250[ -]STARTTLS\s*$/im.test(talk.reply('250'))) throw talk.declined('does not offer STARTTLS');
    talk.say('STARTTLS\r\n');
    talk.consent(/^[45]\d\d/);
    talk.reply('220');
  },
  // RFC 2595 §4
  pop3: (talk) => {
    talk.line(/^\+OK/);
    talk.say('STLS\r\n');
    talk.consent(/^-ERR/);
    talk.line(/^\+OK/);
  },
  // RFC 9051 §6.2.1
  imap: (talk) => {
    talk.line(/^\* OK/i);
    talk.say('a1 STARTTLS\r\n');
    while (!/^a1 /i.test(talk.peekLine())) talk.line(/^\* /);
    talk.consent(/^a1 (NO|BAD)/i);
    talk.line(/^a1 OK/i);
  },
  // RFC 5804 §2.2
  sieve: (talk) => {
    while (/^"/.test(talk.peekLine())) talk.line(/^"/);
    talk.line(/^OK/i);
    talk.say('STARTTLS\r\n');
    talk.consent(/^(NO|BYE)/i);
    talk.line(/^OK/i);
  },
  // RFC 4217 §4
  ftp: (talk) => {
    talk.reply('220');
    talk.say('AUTH TLS\r\n');
    talk.consent(/^[45]\d\d/);
    talk.reply('234');
  },
  // RFC 4511 §4.14
  ldap: (talk) => {
    const name = Buffer.from(LDAP_START_TLS);
    const head = [0x30, 7 + name.length, 2, 1, 1, 0x77, 2 + name.length, 0x80, name.length];
    talk.say(Buffer.concat([Buffer.from(head), name]));
    const answer = talk.take(2);
    // the long form of a length is not used for so little, but allowed (X.690 §8.1.3.5)
    const size =
      answer[1]! < 0x80 ? answer[1]! : talk.take(answer[1]! & 0x7f).readUIntBE(0, answer[1]! & 0x7f);
    const operation = talk.take(Math.min(size, MAX_ANSWER_BYTES));
    const at = operation.indexOf(0x0a);
    if (answer[0] !== 0x30 || operation[3] !== 0x78) throw talk.unexpected(operation);
    if (at < 0 || operation[at + 2] !== 0)
      throw talk.declined(`answers with result code ${operation[at + 2]}`);
  },
  // RFC 6120 §5.4
  xmpp: (talk, host) => {
    const names = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'";
    talk.say(
      `<?xml version='1.0'?><stream:stream ${names} to='${host.replace(/[^\w.:-]/g, '')}' version='1.0'>`,
    );
    const features = talk.until(/<\/stream:features>|<\/stream:stream>|<stream:error/);
    if (!/<starttls[\s/>]/.test(features)) throw talk.declined('does not offer starttls');
    talk.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    if (!talk.until(/<(proceed|failure)[^>]*>/).includes('<proceed'))
      throw talk.declined('answers with failure');
  },
  // postgresql.org, "Message Formats", SSLRequest
  postgres: (talk) => {
    const request = Buffer.alloc(8);
    request.writeInt32BE(8, 0);
    request.writeInt32BE(80_877_103, 4);
    talk.say(request);
    const answer = talk.take(1);
    if (answer[0] !== 0x53) throw talk.declined(`answers '${answer}' in place of 'S'`);
  },
  // dev.mysql.com, "Protocol::HandshakeV10" and "Protocol::SSLRequest"
  mysql: (talk) => {
    const greeting = talk.take(talk.take(4).readUIntLE(0, 3));
    const version = greeting.indexOf(0, 1);
    const capabilitiesAt = version + 1 + 4 + 8 + 1;
    if (greeting[0] !== 10 || version < 0 || greeting.length < capabilitiesAt + 2)
      throw talk.unexpected(greeting);
    if ((greeting.readUInt16LE(capabilitiesAt) & MYSQL_CLIENT_SSL) === 0)
      throw talk.declined('does not offer TLS');
    const request = Buffer.alloc(4 + MYSQL_REQUEST_BYTES);
    request.writeUIntLE(MYSQL_REQUEST_BYTES, 0, 3);
    request[3] = 1;
    request.writeUInt32LE(MYSQL_CAPABILITIES, 4);
    request.writeUInt32LE(0x100_0000, 8);
    request[12] = 45;
    talk.say(request);
  },
};

/**
 * Asks the server for TLS in a protocol that begins without, blocking the calling thread.
 * @param deadline in the time of `performance.now()`
 * @throws NetError TLS_HANDSHAKE when the server refuses or says something else, TIMEOUT, or why the connection ended
 */
export function startTls(
  socket: SharedSocket,
  protocol: StartTlsProtocol,
  host: string,
  deadline: number,
): void {
  const talk = new Talk(socket, protocol, deadline);
  DIALOGUES[protocol](talk, host);
  talk.end();
}

/** A dialogue in the clear. */
class Talk {
  readonly #socket: SharedSocket;
  readonly #protocol: string;
  readonly #deadline: number;
  readonly #chunk: Uint8Array = new Uint8Array(STEP_BYTES);
  /** What has come and was not taken. */
  #held: Buffer = Buffer.alloc(0);

  constructor(socket: SharedSocket, protocol: string, deadline: number) {
    this.#socket = socket;
    this.#protocol = protocol;
    this.#deadline = deadline;
  }

  say(text: string | Buffer): void {
    const bytes = Buffer.from(text as string);
    for (let sent = 0; sent < bytes.length; ) {
      const { sendSequence } = this.#socket;
      const taken = this.#socket.write(bytes, sent, bytes.length - sent);
      if (taken !== WOULD_BLOCK) sent += taken;
      else if (!sleepSend(this.#socket, sendSequence, this.#deadline)) throw this.#late();
    }
  }

  /** Takes so many bytes. */
  take(lengthBytes: number): Buffer {
    while (this.#held.length < lengthBytes) this.#more();
    const taken = this.#held.subarray(0, lengthBytes);
    this.#held = this.#held.subarray(lengthBytes);
    return taken;
  }

  /** Takes everything up to the end of what matches. */
  until(end: RegExp): string {
    for (;;) {
      const match = end.exec(this.#held.toString('latin1'));
      if (match !== null) return this.take(match.index + match[0].length).toString('latin1');
      this.#more();
    }
  }

  peekLine(): string {
    while (!this.#held.includes('\n')) this.#more();
    return this.#held.toString('latin1').split('\n')[0]!.trimEnd();
  }

  /** The answer to the wish for TLS is there. @throws NetError when it is one that refuses */
  consent(refusal: RegExp): void {
    const line = this.peekLine();
    if (refusal.test(line)) throw this.declined(`answers '${line}'`);
  }

  /** Takes a line. @throws NetError when it is another than expected */
  line(expected: RegExp): string {
    const line = this.until(/\n/);
    if (!expected.test(line)) throw this.refused(`says '${line.trimEnd()}'`);
    return line;
  }

  /** Takes a reply of SMTP's or FTP's form, of one or several lines (RFC 5321 §4.2.1, RFC 959 §4.2). */
  reply(code: string): string {
    let all = this.line(new RegExp(`^${code}`));
    const isLast = new RegExp(`^${code}( |\\r?\\n)`);
    for (let line = all; !isLast.test(line); all += line) line = this.until(/\n/);
    return all;
  }

  /** RFC 3207 §6: what comes behind the consent in the clear could be anybody's. */
  end(): void {
    if (this.#held.length > 0) throw this.unexpected(this.#held);
  }

  /** It speaks the protocol, and will not have TLS. */
  declined(what: string): NetError {
    const detail = `the server ${what}; nothing was sent but ${this.#protocol}'s request for TLS`;
    return new StartTlsRefused('TLS_HANDSHAKE', { phase: Phase.Handshake, detail, ...this.#place });
  }

  refused(what: string): NetError {
    return this.#error(`the server ${what}; does it speak ${this.#protocol} with TLS on this port?`);
  }

  unexpected(bytes: Uint8Array): NetError {
    return this.refused(`says something else (0x${Buffer.from(bytes.subarray(0, 16)).toString('hex')}…)`);
  }

  #more(): void {
    for (;;) {
      const { recvSequence } = this.#socket;
      const got = this.#socket.read(this.#chunk, 0, this.#chunk.length);
      if (got > 0) {
        this.#held = Buffer.concat([this.#held, this.#chunk.subarray(0, got)]);
        if (this.#held.length > MAX_ANSWER_BYTES) throw this.refused('talks without end');
        return;
      }
      if (got !== WOULD_BLOCK) throw this.refused('closed the connection');
      if (!sleepRecv(this.#socket, recvSequence, this.#deadline)) throw this.#late();
    }
  }

  #late(): NetError {
    const said = this.#held.length === 0 ? 'nothing' : `'${this.#held.toString('latin1').trimEnd()}'`;
    const detail = `waited for the server's part of ${this.#protocol}'s STARTTLS, and got ${said}`;
    return new NetError('TIMEOUT', { phase: Phase.Handshake, detail, ...this.#place });
  }

  #error(detail: string): NetError {
    return new NetError('TLS_HANDSHAKE', { phase: Phase.Handshake, detail, ...this.#place });
  }

  get #place(): { address: string; port: number } {
    return { address: String(this.#socket.remoteAddress), port: this.#socket.remotePort };
  }
}
