import { createPrivateKey, randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { RandomSource } from '../../stack/random.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { AlertDescription, AlertLevel } from '../../tls/alerts.ts';
import {
  type CertificateVerdict,
  type CertificateVerifier,
  type ClientCredentials,
  TlsClient,
  TlsError,
  type TlsSession,
  TRAFFIC_STATE_BYTES,
} from '../../tls/client.ts';
import { recordLength } from '../../tls/record/handshake-records.ts';
import { OPENED_CLOSE_NOTIFY, TrafficOpener } from '../../tls/traffic/opener.ts';
import { MAX_SEALED_BYTES, TrafficSealer } from '../../tls/traffic/sealer.ts';
import { ContentType } from '../../tls/wire/codes.ts';
import { readPem } from '../../tls/x509/pem.ts';
import { CertificateStatus } from '../../tls/x509/verdict.ts';
import { checkHandshake } from './expectations.ts';
import { ShimFailure, Unimplemented } from './failure.ts';
import type { ShimConfig } from './flags.ts';
import { clientOptions, policyOf, schemeOf } from './options.ts';

/** BoringSSL's shim reads in such pieces, so its answers are in such records. */
const READ_BYTES = 512;
/** What BoringSSL's shim writes with -write-different-record-sizes. */
const RECORD_SIZES = [0, 1, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 32769];

const SYSTEM_RANDOM: RandomSource = {
  fill: (into) => {
    randomFillSync(into);
  },
  uint32: () => randomFillSync(new Uint32Array(1))[0]!,
};

/** One connection to the runner. */
export class ShimConnection {
  readonly #socket: Socket;
  #config: ShimConfig;
  readonly #retryConfig: ShimConfig;
  readonly #offered: TlsSession | null;
  readonly #unixTimeMs: number;
  readonly #client: TlsClient;
  readonly #state = new Slab(new Uint8Array(TRAFFIC_STATE_BYTES));
  /** The client of the last renegotiation, or the first; it is at work while it shakes hands. */
  #latest: TlsClient;
  #renegotiations = 0;
  /** Our close_notify is out: nothing follows it. */
  #isShutDown = false;
  /** The server has asked for one, which follows. */
  #isAsked = false;
  /** Data that came before the server's answer in a renegotiation. */
  readonly #early12: Uint8Array[] = [];
  /** The rest of a record whose beginning is written. */
  #unfinished: Uint8Array = new Uint8Array(0);
  #sealer: TrafficSealer | null = null;
  #opener: TrafficOpener | null = null;
  #waiting: Uint8Array = new Uint8Array(0);
  #newSession: TlsSession | null = null;
  #earlyBytes = 0;
  #isPeerFinished = false;
  #wake: () => void = () => {};

  /** @param session to be offered, or null */
  constructor(
    socket: Socket,
    config: ShimConfig,
    retryConfig: ShimConfig,
    session: TlsSession | null,
    unixTimeMs: number,
  ) {
    this.#socket = socket;
    this.#config = config;
    this.#retryConfig = retryConfig;
    this.#offered = session;
    this.#unixTimeMs = unixTimeMs;
    let waiting = session;
    this.#client = new TlsClient({
      ...clientOptions(config),
      random: SYSTEM_RANDOM,
      unixTimeMs,
      verifier: this.#verifier(),
      credentials: credentialsOf(config),
      mustAuthenticate: true,
      sessions: {
        port: 0,
        policy: 'bogo',
        store: {
          take: () => {
            const taken = waiting;
            waiting = null;
            return taken;
          },
          put: (_key, kept) => {
            this.#newSession = kept;
          },
        },
      },
    });
    this.#latest = this.#client;
    socket.on('data', (chunk) => {
      this.#waiting = Buffer.concat([this.#waiting, chunk]);
      this.#wake();
    });
    for (const event of ['end', 'close', 'error']) {
      socket.on(event, () => {
        this.#isPeerFinished = true;
        this.#wake();
      });
    }
  }

  /** @returns the session for the next connection, or null */
  async run(): Promise<TlsSession | null> {
    this.#client.start();
    this.#sendEarly();
    await this.#handshakeOrRejection();
    if (this.#client.info.earlyData === 'rejected' && this.#config.has('expect-reject-early-data')) {
      this.#config = this.#retryConfig;
    }
    checkHandshake(this.#client.info, this.#config, this.#offered);
    const session12 = this.#newSession;
    if (
      this.#client.info.version !== 'TLSv1.3' &&
      session12 !== null &&
      this.#config.has('expect-no-session')
    ) {
      throw new ShimFailure('a session came where none was expected');
    }
    try {
      await this.#traffic();
    } catch (error) {
      // of a renegotiation the client itself has sent it
      const isOwed = this.#latest.state === 'connected';
      if (isOwed && error instanceof TlsError && error.alert >= 0) this.#alert(AlertLevel.Fatal, error.alert);
      throw error;
    }
    return this.#newSession;
  }

  /** What is written first goes out as early data, as far as the server takes it. */
  #sendEarly(): void {
    const config = this.#config;
    const isOffered = this.#client.info.earlyData === 'offered';
    if (isOffered && config.has('expect-no-offer-early-data')) throw new ShimFailure('early data is offered');
    if (!isOffered || !config.has('shim-writes-first')) return;
    for (const data of this.#initialWrites()) {
      this.#earlyBytes += this.#client.sendEarlyData(data, 0, data.length);
    }
  }

  /** What is written before anything is read. */
  #initialWrites(): readonly Uint8Array[] {
    const config = this.#config;
    const text = config.has('shim-initial-write') ? config.text('shim-initial-write') : 'hello';
    const repeat = config.has('repeat-shim-initial-write') ? config.number('repeat-shim-initial-write') : 1;
    return Array.from({ length: repeat }, () => Buffer.from(text));
  }

  /** A rejected ClientHello is a failed connection; what the server said is looked at before. */
  async #handshakeOrRejection(): Promise<void> {
    try {
      await this.#handshake();
    } catch (error) {
      const { earlyData, echRetryConfigs } = this.#client.info;
      const config = earlyData === 'rejected' ? this.#retryConfig : this.#config;
      const isExpected = config.has('expect-ech-retry-configs') || config.has('expect-no-ech-retry-configs');
      if (isExpected && error instanceof TlsError && error.member === 'EchRejected') {
        const wanted = config.bytes('expect-ech-retry-configs');
        if (!Buffer.from(wanted).equals(echRetryConfigs ?? new Uint8Array(0))) {
          throw new ShimFailure('other retry configurations');
        }
      }
      throw error;
    }
  }

  async #handshake(): Promise<void> {
    await this.#shakeHands(this.#client);
    this.#startTraffic();
  }

  async #shakeHands(client: TlsClient): Promise<void> {
    for (;;) {
      const bytes = client.takeOutgoing();
      if (bytes !== null) this.#socket.write(bytes);
      if (client.error !== null) throw client.error;
      if (client.state === 'connected') return;
      const consumed = client.receive(this.#waiting, 0, this.#waiting.length);
      if (consumed > 0) this.#waiting = this.#waiting.subarray(consumed);
      else if (client.error === null) await this.#more('handshake');
    }
  }

  #startTraffic(): void {
    const config = this.#config;
    const material = config.number('export-keying-material');
    let exported = new Uint8Array(0);
    if (material > 0) {
      const context = config.has('use-export-context') ? Buffer.from(config.text('export-context')) : null;
      exported = this.#client.exportKeyingMaterial(config.text('export-label'), context, material).slice();
    }
    this.#client.exportTraffic(this.#state, 0);
    this.#sealer = new TrafficSealer(this.#state, 0);
    this.#opener = new TrafficOpener(this.#state, 0);
    this.#opener.onHelloRequest = () => this.#takesHelloRequest();
    this.#opener.onTicket = (ticket) => this.#client.keepTicket(ticket, this.#unixTimeMs);
    if (material > 0) this.#write(exported);
  }

  async #traffic(): Promise<void> {
    const config = this.#config;
    if (config.has('send-alert')) {
      this.#alert(AlertLevel.Fatal, AlertDescription.DecompressionFailure);
      return;
    }
    // what the server has had, or would have had before it rejected all, is not written again
    const early = this.#client.info.earlyData === 'none' ? 0 : this.#earlyBytes;
    const initial = Buffer.concat(this.#initialWrites()).subarray(early);
    if (config.has('write-different-record-sizes')) {
      for (const size of RECORD_SIZES) this.#write(new Uint8Array(size).fill(0x42));
    } else {
      if (config.has('read-with-unfinished-write')) {
        const records = this.#seal(initial);
        this.#socket.write(records.subarray(0, 1));
        this.#unfinished = records.subarray(1);
      } else if (config.has('shim-writes-first')) {
        this.#write(initial);
      }
      while (!config.has('shim-shuts-down')) {
        if (config.has('key-update-before-read')) this.#updateKey();
        const data = await this.#read();
        if (data === null) break;
        this.#finishWrite();
        if (config.has('key-update')) this.#updateKey();
        for (let off = 0; off < data.length; off += READ_BYTES) {
          this.#write(data.subarray(off, off + READ_BYTES).map((byte) => byte ^ 0xff));
        }
      }
      this.#checkTickets();
    }
    await this.#shutDown();
    const expected = config.number('expect-total-renegotiations');
    if (this.#renegotiations !== expected)
      throw new ShimFailure(`${this.#renegotiations} renegotiations, expected ${expected}`);
  }

  /** TLS 1.3: sessions come after the handshake. */
  #checkTickets(): void {
    const config = this.#config;
    if (this.#client.info.version !== 'TLSv1.3') return;
    const isExpected = !config.has('expect-no-session') && !config.has('shim-shuts-down');
    if (isExpected !== (this.#newSession !== null)) {
      throw new ShimFailure(`a session ${isExpected ? 'was expected' : 'came unexpectedly'}`);
    }
  }

  async #shutDown(): Promise<void> {
    const config = this.#config;
    if (!config.has('check-close-notify')) return;
    this.#alert(AlertLevel.Warning, AlertDescription.CloseNotify);
    this.#isShutDown = true;
    while (config.has('shim-shuts-down') && !this.#opener!.closed) {
      if ((await this.#read()) !== null) throw new ShimFailure('data after our close_notify');
    }
    if (!this.#opener!.closed) throw new ShimFailure('the peer sent no close_notify');
  }

  /** @returns whether a renegotiation follows; a refusal is told otherwise */
  #takesHelloRequest(): boolean {
    const config = this.#config;
    if (config.has('renegotiate-ignore')) return true;
    const isWanted =
      config.has('renegotiate-freely') ||
      config.has('renegotiate-explicit') ||
      (config.has('renegotiate-once') && this.#renegotiations === 0);
    this.#isAsked = isWanted && this.#latest.allowsRenegotiation && !this.#isShutDown;
    return this.#isAsked;
  }

  /** All records of both sides go through the client of the new handshake until it is connected. */
  async #renegotiate(): Promise<void> {
    this.#isAsked = false;
    const client = this.#latest.renegotiate(this.#state, 0, this.#unixTimeMs, (data) =>
      this.#early12.push(data.slice()),
    );
    this.#latest = client;
    await this.#shakeHands(client);
    client.exportTraffic(this.#state, 0);
    this.#renegotiations++;
  }

  #finishWrite(): void {
    this.#socket.write(this.#unfinished);
    this.#unfinished = new Uint8Array(0);
  }

  /** The next data of the peer, or null after the last. */
  async #read(): Promise<Uint8Array | null> {
    const into = new Uint8Array(16384);
    for (;;) {
      const early = this.#early12.shift();
      if (early !== undefined) return early;
      if (this.#opener!.closed) return null;
      const bytes = this.#waiting;
      const length = recordLength(bytes, 0, bytes.length);
      if (length === 0 || bytes.length < length) {
        if (this.#isPeerFinished) {
          if (this.#config.has('check-close-notify'))
            throw new ShimFailure('the stream ended without close_notify');
          return null;
        }
        await this.#more('data');
        continue;
      }
      const result = this.#opener!.open(bytes, 0, length, into, 0);
      this.#waiting = bytes.subarray(length);
      if (this.#isAsked || this.#sealer!.answerOwed) this.#finishWrite();
      if (this.#isAsked) await this.#renegotiate();
      // a key update goes before the next data; one serves all requests before it
      if (this.#sealer!.answerOwed && !this.#sealer!.keyUpdateOwed) this.#answer();
      if (result === OPENED_CLOSE_NOTIFY) return null;
      if (result > 0) return into.slice(0, result);
    }
  }

  #write(data: Uint8Array): void {
    this.#socket.write(this.#seal(data));
  }

  #seal(data: Uint8Array): Uint8Array {
    const sealer = this.#sealer!;
    const record = new Uint8Array(MAX_SEALED_BYTES);
    const records: Uint8Array[] = [];
    for (let off = 0; off < data.length; ) {
      const length = Math.min(this.#maxContentBytes, data.length - off);
      const n = sealer.seal(ContentType.ApplicationData, data, off, length, record, 0);
      records.push(record.slice(0, n));
      off += length;
    }
    return Buffer.concat(records);
  }

  get #maxContentBytes(): number {
    const limit = this.#config.number('max-send-fragment');
    return limit === 0 ? this.#sealer!.maxContentBytes : Math.min(limit, this.#sealer!.maxContentBytes);
  }

  #answer(): void {
    const record = new Uint8Array(MAX_SEALED_BYTES);
    this.#socket.write(record.slice(0, this.#sealer!.writeOwed(record, 0)));
  }

  #updateKey(): void {
    const record = new Uint8Array(MAX_SEALED_BYTES);
    this.#socket.write(record.slice(0, this.#sealer!.keyUpdate(false, record, 0)));
  }

  #alert(level: AlertLevel, description: number): void {
    const record = new Uint8Array(MAX_SEALED_BYTES);
    if (this.#sealer === null || this.#sealer.closed) return;
    this.#socket.write(record.slice(0, this.#sealer.alert(level, description, record, 0)));
  }

  /** Accepts every chain, or none: what is tested here is the protocol. */
  #verifier(): CertificateVerifier {
    return {
      verify: (_chain, serverName) => {
        // the configuration may change after rejected early data
        const isRejected = this.#client.info.earlyData === 'rejected';
        const config = isRejected ? this.#retryConfig : this.#config;
        // ours asks again when a session is resumed; BoringSSL only on request
        const isAsked = this.#offered === null || config.has('reverify-on-resume');
        this.#checkName(serverName, config);
        const fails = config.has('verify-fail') && config.has('verify-peer') && isAsked;
        if (config.has('fail-ocsp-callback')) return refusal(AlertDescription.BadCertificateStatusResponse);
        const alert = config.has('use-custom-verify-callback')
          ? AlertDescription.CertificateUnknown
          : AlertDescription.HandshakeFailure;
        return fails ? refusal(alert) : ACCEPTED;
      },
    };
  }

  #checkName(serverName: string, config: ShimConfig): void {
    const isOverridden = serverName !== config.text('host-name');
    if (config.has('expect-no-ech-name-override') && isOverridden) throw new ShimFailure(`for ${serverName}`);
    const name = config.text('expect-ech-name-override');
    if (name !== '' && name !== serverName) throw new ShimFailure(`for ${serverName}, wanted ${name}`);
  }

  async #more(what: string): Promise<void> {
    if (this.#isPeerFinished) throw new ShimFailure(`the stream ended: ${what}`);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }
}

const ACCEPTED: CertificateVerdict = {
  accepted: true,
  status: CertificateStatus.Valid,
  reason: 'as the test wants it',
  alert: 0,
};

function refusal(alert: number): CertificateVerdict {
  return { ...ACCEPTED, accepted: false, status: CertificateStatus.Invalid, alert };
}

function credentialsOf(config: ShimConfig): readonly ClientCredentials[] {
  const of = (flags: ShimConfig): ClientCredentials => {
    const chain = readPem(readFileSync(flags.text('cert-file'), 'latin1')).map(({ bytes }) => bytes);
    const key = createPrivateKey(readFileSync(flags.text('key-file') || flags.text('cert-file')));
    if (key.asymmetricKeyType?.startsWith('ml-dsa') === true) throw new Unimplemented('keys of ML-DSA');
    const policy = policyOf(config)?.signatureSchemes;
    const schemes = policy ?? flags.numbers('signing-prefs').map(schemeOf);
    return {
      chain,
      key,
      mustMatchAuthorities: flags.has('must-match-issuer'),
      ...(schemes.length > 0 && { signatureSchemes: schemes }),
    };
  };
  // the one that is not new comes last
  return [...config.credentials, ...(config.has('cert-file') ? [config] : [])].map(of);
}
