import { createCipheriv } from 'node:crypto';
import { concatBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { openSslAead } from '../../engine/aead.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { fc } from '../../test/properties.ts';
import { AlertDescription, AlertLevel } from '../alerts.ts';
import { TRAFFIC_STATE_BYTES } from '../client.ts';
import { TlsError, type TlsErrorMember } from '../errors.ts';
import { cipherSuiteOf, TLS13_SUITES } from '../keys/suites.ts';
import { MAX_CERTIFICATE_REQUESTS_IN_ROW } from '../limits.ts';
import { provideAead } from '../record/aead.ts';
import { RECORD_OVERHEAD_BYTES } from '../record/record-key.ts';
import { plainRecord } from '../testing/scripted-server.ts';
import { ContentType, HandshakeType } from '../wire/codes.ts';
import { handshakeMessage, writeKeyUpdate } from '../wire/messages.ts';
import { OPENED_CLOSE_NOTIFY, OPENED_NOTHING, type SessionTicket, TrafficOpener } from './opener.ts';
import { KEY_UPDATE_RECORD_BYTES, MAX_SEALED_BYTES, TrafficSealer } from './sealer.ts';
import { TrafficOffset, writeTrafficState } from './state.ts';

const Alert = AlertDescription;
const { ApplicationData, Handshake } = ContentType;
const PAIR_OFF = 24;

/** Both ends of a connection, in shared memory, not at the start of it. */
function pair(
  suiteId = 0x1301,
  limits: {
    readonly sendLimitBytes?: number;
    readonly receiveLimitBytes?: number;
    readonly paddingBytes?: number;
  } = {},
): { ours: Slab; theirs: Slab; sealer: TrafficSealer; opener: TrafficOpener } {
  const suite = cipherSuiteOf(suiteId)!;
  const client = new Uint8Array(suite.hashBytes).fill(1);
  const server = new Uint8Array(suite.hashBytes).fill(2);
  const resumptionSecret = new Uint8Array(suite.hashBytes).fill(3);
  const region = (): Slab => new Slab(new Uint8Array(new SharedArrayBuffer(PAIR_OFF + TRAFFIC_STATE_BYTES)));
  const [ours, theirs] = [region(), region()];
  const exporterSecret = new Uint8Array(suite.hashBytes);
  const { sendLimitBytes = 16384, receiveLimitBytes = 16385, paddingBytes = 0 } = limits;
  const rest = { suite, sendLimitBytes, receiveLimitBytes, exporterSecret, resumptionSecret };
  const [mine, their] = [
    { ...rest, clientSecret: client, serverSecret: server },
    { ...rest, clientSecret: server, serverSecret: client },
  ];
  writeTrafficState(ours, PAIR_OFF, mine);
  writeTrafficState(theirs, PAIR_OFF, their, paddingBytes);
  return {
    ours,
    theirs,
    sealer: new TrafficSealer(theirs, PAIR_OFF),
    opener: new TrafficOpener(ours, PAIR_OFF),
  };
}

/** What one call of the sealer wrote. */
function seal(sealer: TrafficSealer, type: number, content: Uint8Array): Uint8Array {
  const into = new Uint8Array(MAX_SEALED_BYTES);
  return into.slice(0, sealer.seal(type, content, 0, content.length, into, 0));
}

function keyUpdate(sealer: TrafficSealer, requestPeer: boolean): Uint8Array {
  const into = new Uint8Array(KEY_UPDATE_RECORD_BYTES);
  return into.slice(0, sealer.keyUpdate(requestPeer, into, 0));
}

/** Opens each record; the last result, and the last application data. */
function open(opener: TrafficOpener, records: Uint8Array): { result: number; data: Uint8Array } {
  const into = new Uint8Array(16384);
  let result = OPENED_NOTHING;
  for (let off = 0; off < records.length; ) {
    const length = 5 + ((records[off + 3]! << 8) | records[off + 4]!);
    result = opener.open(records, off, length, into, 0);
    off += length;
  }
  return { result, data: into.slice(0, Math.max(result, 0)) };
}

/** The member and alert with which these records are refused. */
function failure(opener: TrafficOpener, records: Uint8Array): [TlsErrorMember | 'none', number] {
  try {
    open(opener, records);
    return ['none', -1];
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return [error.member, error.alert];
  }
}

function bytes(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i * 7 + seed);
}

for (const suite of TLS13_SUITES) {
  test(`${suite.name}: data of every size, with key updates in between`, (t) => {
    const { sealer, opener } = pair(suite.id);
    for (const length of [1, 2, 15, 16, 17, 100, 16383, 16384]) {
      const data = bytes(length, length);
      t.deepEqual(open(opener, seal(sealer, ApplicationData, data)).data, data);
      t.is(open(opener, keyUpdate(sealer, false)).result, OPENED_NOTHING);
    }
  });
}

test('padding: the lengths of records with data are multiples, and nothing is lost', (t) => {
  const { sealer, opener } = pair(0x1301, { paddingBytes: 512 });
  for (const length of [0, 1, 510, 511, 512, 1000, 16383, 16384]) {
    const data = bytes(length, length);
    const into = new Uint8Array(length + sealer.maxOverheadBytes);
    const record = into.slice(0, sealer.seal(ApplicationData, data, 0, length, into, 0));
    // the inner content, without header and tag: a multiple, or as long as records may be
    t.is(record.length - 5 - 16, Math.min(Math.ceil((length + 1) / 512) * 512, 16385));
    t.deepEqual(open(opener, record).data, data);
  }
  t.is(keyUpdate(sealer, false).length, KEY_UPDATE_RECORD_BYTES, 'only data is padded');
});

test('our record_size_limit: what is longer, padding counted, is refused with record_overflow', (t) => {
  const { sealer, opener } = pair(0x1301, { receiveLimitBytes: 100 });
  t.deepEqual(open(opener, seal(sealer, ApplicationData, bytes(99))).data, bytes(99));
  t.deepEqual(failure(opener, seal(sealer, ApplicationData, bytes(100))), [
    'RecordOverflow',
    Alert.RecordOverflow,
  ]);
  const padded = pair(0x1301, { receiveLimitBytes: 100, paddingBytes: 128 });
  t.deepEqual(failure(padded.opener, seal(padded.sealer, ApplicationData, bytes(1))), [
    'RecordOverflow',
    Alert.RecordOverflow,
  ]);
});

test('requests for a certificate are taken when they may come, and so many in a row', (t) => {
  const { sealer, opener } = pair();
  const request = Uint8Array.of(13, 0, 0, 3, 0, 0, 0);
  let requests = 0;
  opener.onCertificateRequest = () => requests++;
  for (let i = 0; i < MAX_CERTIFICATE_REQUESTS_IN_ROW; i++) open(opener, seal(sealer, Handshake, request));
  open(opener, seal(sealer, ApplicationData, bytes(1)));
  for (let i = 0; i < MAX_CERTIFICATE_REQUESTS_IN_ROW; i++) open(opener, seal(sealer, Handshake, request));
  t.is(requests, 2 * MAX_CERTIFICATE_REQUESTS_IN_ROW);
  t.deepEqual(failure(opener, seal(sealer, Handshake, request)), [
    'TooManyCertificateRequests',
    Alert.UnexpectedMessage,
  ]);
});

test('messages that are sealed together leave no room for others between them', (t) => {
  const { sealer, opener } = pair(0x1301, { sendLimitBytes: 64 });
  const request = concatBytes(Uint8Array.of(13, 0, 1, 0), bytes(256));
  let got: Uint8Array = bytes(0);
  opener.onCertificateRequest = ({ raw }) => {
    got = raw;
  };
  const into = new Uint8Array(sealer.maxMessagesBytes(request.length));
  const records = into.slice(0, sealer.sealMessages(request, into, 0));
  t.is(open(opener, records).result, OPENED_NOTHING);
  t.deepEqual(got, request);
});

test('the region is the connection: other objects go on where the first stopped', (t) => {
  const { ours, theirs } = pair();
  let [sealer, opener] = [new TrafficSealer(theirs, PAIR_OFF), new TrafficOpener(ours, PAIR_OFF)];
  const [sealer2, opener2] = [new TrafficSealer(theirs, PAIR_OFF), new TrafficOpener(ours, PAIR_OFF)];
  for (let i = 0; i < 40; i++) {
    const data = bytes(20, i);
    const records =
      i % 5 === 4
        ? concatBytes(keyUpdate(i % 2 === 0 ? sealer : sealer2, false), seal(sealer, ApplicationData, data))
        : seal(i % 2 === 0 ? sealer : sealer2, ApplicationData, data);
    t.deepEqual(open(i % 3 === 0 ? opener : opener2, records).data, data);
    if (i === 20) [sealer, opener] = [new TrafficSealer(theirs, PAIR_OFF), new TrafficOpener(ours, PAIR_OFF)];
  }
  t.is(theirs.view.getUint32(PAIR_OFF + TrafficOffset.WriteEpoch, true), 8);
  t.is(ours.view.getUint32(PAIR_OFF + TrafficOffset.ReadEpoch, true), 8);
});

test('sequence numbers carry into their high word', (t) => {
  const { ours, theirs, sealer, opener } = pair(0x1303);
  theirs.view.setUint32(PAIR_OFF + TrafficOffset.WriteSeqLow, 0xffffffff, true);
  ours.view.setUint32(PAIR_OFF + TrafficOffset.ReadSeqLow, 0xffffffff, true);
  for (let i = 0; i < 3; i++) {
    t.deepEqual(open(opener, seal(sealer, ApplicationData, bytes(9, i))).data, bytes(9, i));
  }
  t.is(theirs.view.getUint32(PAIR_OFF + TrafficOffset.WriteSeqHigh, true), 1);
  t.is(theirs.view.getUint32(PAIR_OFF + TrafficOffset.WriteSeqLow, true), 2);
  t.is(ours.view.getUint32(PAIR_OFF + TrafficOffset.ReadSeqHigh, true), 1);
});

test('AES-GCM changes its key before the limit of RFC 8446 §5.5', (t) => {
  const { ours, theirs, sealer, opener } = pair();
  const last = 2 ** 24 - 1;
  theirs.view.setUint32(PAIR_OFF + TrafficOffset.WriteSeqLow, last, true);
  ours.view.setUint32(PAIR_OFF + TrafficOffset.ReadSeqLow, last, true);
  const before = seal(sealer, ApplicationData, bytes(5));
  t.is(before.length, 5 + RECORD_OVERHEAD_BYTES);
  const after = seal(sealer, ApplicationData, bytes(6));
  t.is(after.length, KEY_UPDATE_RECORD_BYTES + 6 + RECORD_OVERHEAD_BYTES);
  t.deepEqual(open(opener, concatBytes(before, after)).data, bytes(6));
  t.is(theirs.view.getUint32(PAIR_OFF + TrafficOffset.WriteEpoch, true), 1);
});

test('a requested key update is owed by the sealer of the same connection, and served once', (t) => {
  const { ours, theirs, sealer, opener } = pair();
  const ourSealer = new TrafficSealer(ours, PAIR_OFF);
  const theirOpener = new TrafficOpener(theirs, PAIR_OFF);
  open(opener, keyUpdate(sealer, false));
  t.false(ourSealer.keyUpdateOwed);
  open(opener, concatBytes(keyUpdate(sealer, true), keyUpdate(sealer, true)));
  t.true(ourSealer.keyUpdateOwed);
  const records = seal(ourSealer, ApplicationData, bytes(3));
  t.is(records.length, KEY_UPDATE_RECORD_BYTES + 3 + RECORD_OVERHEAD_BYTES);
  t.false(ourSealer.keyUpdateOwed);
  t.deepEqual(open(theirOpener, records).data, bytes(3));
  t.is(seal(ourSealer, ApplicationData, bytes(3)).length, 3 + RECORD_OVERHEAD_BYTES);
});

test('close_notify ends a side and wipes its secrets; what comes after is ignored', (t) => {
  const { ours, theirs, sealer, opener } = pair();
  const late = seal(sealer, ApplicationData, bytes(4));
  const { sealer: sealer2, opener: opener2, ours: ours2 } = pair();
  const into = new Uint8Array(64);
  const n = sealer2.alert(AlertLevel.Warning, Alert.CloseNotify, into, 0);
  t.true(sealer2.closed);
  t.is(open(opener2, into.slice(0, n)).result, OPENED_CLOSE_NOTIFY);
  t.true(opener2.closed);
  t.is(open(opener2, late).result, OPENED_CLOSE_NOTIFY);
  t.throws(() => seal(sealer2, ApplicationData, bytes(1)));
  const secrets = ours2.bytes.slice(
    PAIR_OFF + TrafficOffset.ReadSecret,
    PAIR_OFF + TrafficOffset.ExporterSecret,
  );
  t.true(secrets.every((byte) => byte === 0));
  const partial = ours2.bytes.slice(PAIR_OFF + TrafficOffset.Partial, PAIR_OFF + TRAFFIC_STATE_BYTES);
  t.true(partial.every((byte) => byte === 0));
  // the other pair is untouched
  t.deepEqual(open(opener, late).data, bytes(4));
  t.false(opener.closed);
  sealer.alert(AlertLevel.Fatal, Alert.InternalError, into, 0);
  const key = theirs.bytes.slice(
    PAIR_OFF + TrafficOffset.WriteSecret,
    PAIR_OFF + TrafficOffset.ReadEpoch - 16,
  );
  t.true(key.every((byte) => byte === 0));
  t.is(ours.bytes[PAIR_OFF + TrafficOffset.WriteClosed], 0);
});

test('user_canceled does not end the connection, but comes a limited number of times', (t) => {
  const { sealer, opener } = pair();
  const cancel = (): Uint8Array => {
    const into = new Uint8Array(64);
    return into.slice(0, sealer.alert(AlertLevel.Warning, Alert.UserCanceled, into, 0));
  };
  for (let i = 0; i < 4; i++) t.is(open(opener, cancel()).result, OPENED_NOTHING);
  open(opener, seal(sealer, ApplicationData, bytes(1)));
  for (let i = 0; i < 4; i++) t.is(open(opener, cancel()).result, OPENED_NOTHING);
  t.deepEqual(failure(opener, cancel()), ['TooManyWarnings', Alert.UnexpectedMessage]);
});

// RFC 8446 §4.6.1
function ticketMessage(nonce: Uint8Array, ticket: Uint8Array, lifetime = 7200): Uint8Array {
  return handshakeMessage(
    HandshakeType.NewSessionTicket,
    concatBytes(
      Uint8Array.of(lifetime >>> 24, lifetime >>> 16, lifetime >>> 8, lifetime, 0x81, 2, 3, 4, nonce.length),
      nonce,
      Uint8Array.of(ticket.length >>> 8, ticket.length),
      ticket,
      Uint8Array.of(0, 8, 0, 42, 0, 4, 0, 0, 0x40, 0),
    ),
  );
}

test('whoever takes a ticket may open records of other connections, although all are opened into the same memory', (t) => {
  provideAead(openSslAead);
  t.teardown(() => provideAead(() => null));
  const { sealer, opener } = pair();
  const other = pair();
  const got: Uint8Array[] = [];
  opener.onTicket = ({ ticket }) => {
    got.push(ticket);
    t.deepEqual(open(other.opener, seal(other.sealer, ApplicationData, bytes(1000))).data, bytes(1000));
  };
  const [one, two] = [new Uint8Array(100).fill(1), new Uint8Array(100).fill(2)];
  const nonce = Uint8Array.of(1);
  open(opener, seal(sealer, Handshake, concatBytes(ticketMessage(nonce, one), ticketMessage(nonce, two))));
  t.deepEqual(got, [one, two]);
});

test('tickets come whole, several in a record, and over records of one byte, also in another thread', (t) => {
  const { ours, sealer, opener } = pair();
  const got: SessionTicket[] = [];
  opener.onTicket = (ticket) => got.push(ticket);
  const message = ticketMessage(bytes(2), bytes(300));
  open(opener, seal(sealer, Handshake, concatBytes(message, message)));
  t.is(got.length, 2);
  for (const byte of message) {
    const next = new TrafficOpener(ours, PAIR_OFF);
    next.onTicket = (ticket) => got.push(ticket);
    t.is(open(next, seal(sealer, Handshake, Uint8Array.of(byte))).result, OPENED_NOTHING);
  }
  t.is(got.length, 3);
  for (const ticket of got) {
    t.like(ticket, {
      lifetimeSeconds: 7200,
      ageAdd: 0x81020304,
      maxEarlyDataBytes: 16384,
      cipherSuite: 0x1301,
    });
    t.deepEqual(ticket.ticket, bytes(300));
    t.is(ticket.psk.length, 32);
  }
  open(opener, seal(sealer, Handshake, ticketMessage(bytes(0), bytes(1), 0)));
  t.is(got.length, 3);
  open(opener, seal(sealer, Handshake, ticketMessage(bytes(0), bytes(1), 10_000_000)));
  t.is(got[3]?.lifetimeSeconds, 604800);
});

test('a fragmented KeyUpdate works, and the next record has the new key', (t) => {
  const { ours, theirs, sealer, opener } = pair();
  const message = writeKeyUpdate(true);
  for (const byte of message.subarray(0, -1)) open(opener, seal(sealer, Handshake, Uint8Array.of(byte)));
  open(opener, seal(sealer, Handshake, message.subarray(-1)));
  t.is(ours.view.getUint32(PAIR_OFF + TrafficOffset.ReadEpoch, true), 1);
  // the sender changes its key too
  const scratch = new Uint8Array(100);
  sealer.keyUpdate(false, scratch, 0);
  t.is(theirs.view.getUint32(PAIR_OFF + TrafficOffset.WriteEpoch, true), 1);
  t.deepEqual(open(opener, seal(sealer, ApplicationData, bytes(8))).data, bytes(8));
});

const refusals: readonly [string, number, Uint8Array, TlsErrorMember, number][] = [
  [
    'data behind a KeyUpdate',
    Handshake,
    concatBytes(writeKeyUpdate(false), Uint8Array.of(4)),
    'DataAcrossKeyChange',
    Alert.UnexpectedMessage,
  ],
  [
    'an undefined KeyUpdate',
    Handshake,
    Uint8Array.of(24, 0, 0, 1, 2),
    'InvalidKeyUpdate',
    Alert.IllegalParameter,
  ],
  ['an empty KeyUpdate', Handshake, Uint8Array.of(24, 0, 0, 0), 'MessageTooShort', Alert.DecodeError],
  ['a long KeyUpdate', Handshake, Uint8Array.of(24, 0, 0, 2, 0, 0), 'TrailingData', Alert.DecodeError],
  [
    'post-handshake authentication',
    Handshake,
    Uint8Array.of(13, 0, 0, 3, 0, 0, 0),
    'PostHandshakeAuthentication',
    Alert.UnexpectedMessage,
  ],
  ['a HelloRequest', Handshake, Uint8Array.of(0, 0, 0, 0), 'UnexpectedMessage', Alert.UnexpectedMessage],
  ['a ServerHello', Handshake, Uint8Array.of(2), 'UnexpectedMessage', Alert.UnexpectedMessage],
  ['a Finished', Handshake, Uint8Array.of(20), 'UnexpectedMessage', Alert.UnexpectedMessage],
  ['a huge ticket', Handshake, Uint8Array.of(4, 0, 0x40, 0), 'MessageTooLong', Alert.IllegalParameter],
  ['an empty ticket', Handshake, ticketMessage(bytes(1), bytes(0)), 'InvalidVector', Alert.DecodeError],
  ['an empty handshake record', Handshake, bytes(0), 'EmptyHandshakeRecord', Alert.UnexpectedMessage],
  ['an empty alert record', ContentType.Alert, bytes(0), 'EmptyHandshakeRecord', Alert.UnexpectedMessage],
  ['a fatal alert', ContentType.Alert, Uint8Array.of(2, Alert.AccessDenied), 'Received', -1],
  ['an unknown alert', ContentType.Alert, Uint8Array.of(1, 200), 'Received', -1],
  ['two alerts', ContentType.Alert, Uint8Array.of(1, 0, 1, 0), 'MalformedAlert', Alert.DecodeError],
  [
    'an undefined alert level',
    ContentType.Alert,
    Uint8Array.of(0, 0),
    'UnknownAlertLevel',
    Alert.IllegalParameter,
  ],
  [
    'change_cipher_spec inside',
    ContentType.ChangeCipherSpec,
    Uint8Array.of(1),
    'UnexpectedChangeCipherSpec',
    Alert.UnexpectedMessage,
  ],
  ['nothing but padding', 0, bytes(0), 'NoContentType', Alert.UnexpectedMessage],
  ['an unknown content type', 24, Uint8Array.of(1), 'InvalidContentType', Alert.UnexpectedMessage],
];
for (const [name, type, content, member, alert] of refusals) {
  test(`refused: ${name}`, (t) => {
    const { ours, sealer, opener } = pair();
    const record = seal(sealer, type, content);
    t.deepEqual(failure(opener, record), [member, alert]);
    // the side stays failed, for other objects too
    t.deepEqual(failure(new TrafficOpener(ours, PAIR_OFF), record), ['ReadAfterFailure', -1]);
  });
}

test('every truncation of a ticket is refused', (t) => {
  const message = ticketMessage(bytes(3), bytes(20));
  for (let cut = 4; cut < message.length; cut++) {
    const { sealer, opener } = pair();
    const record = seal(sealer, Handshake, handshakeMessage(4, message.subarray(4, cut)));
    t.deepEqual(failure(opener, record), ['MessageTooShort', Alert.DecodeError], `cut at ${cut}`);
  }
});

test('refused: what is not protected, damaged or too long', (t) => {
  const refused = (record: Uint8Array): [string, number] => failure(pair().opener, record);
  t.deepEqual(refused(plainRecord(20, Uint8Array.of(1))), [
    'UnexpectedChangeCipherSpec',
    Alert.UnexpectedMessage,
  ]);
  t.deepEqual(refused(plainRecord(21, Uint8Array.of(2, 40))), ['UnprotectedRecord', Alert.UnexpectedMessage]);
  t.deepEqual(refused(plainRecord(22, Uint8Array.of(1))), ['UnprotectedRecord', Alert.UnexpectedMessage]);
  t.deepEqual(refused(plainRecord(72, Uint8Array.of(1))), ['InvalidContentType', Alert.UnexpectedMessage]);
  t.deepEqual(refused(plainRecord(23, bytes(10))), ['BadRecordMac', Alert.BadRecordMac]);
  t.deepEqual(refused(plainRecord(23, bytes(16641))), ['RecordOverflow', Alert.RecordOverflow]);
  t.throws(() => pair().opener.open(bytes(30), 0, 30, bytes(30), 0), { instanceOf: RangeError });
});

test('refused: more than 2^14 + 1 bytes inside', (t) => {
  const { ours, opener } = pair();
  const at = (offset: number, length: number): Uint8Array =>
    ours.bytes.slice(PAIR_OFF + offset, PAIR_OFF + offset + length);
  const innerBytes = 16386;
  const header = Uint8Array.of(23, 3, 3, (innerBytes + 16) >>> 8, innerBytes + 16);
  const cipher = createCipheriv('aes-128-gcm', at(TrafficOffset.ReadKey, 16), at(TrafficOffset.ReadIv, 12));
  cipher.setAAD(header);
  const sealed = cipher.update(concatBytes(bytes(16384), Uint8Array.of(ApplicationData, 0)));
  cipher.final();
  const record = concatBytes(header, sealed, cipher.getAuthTag());
  t.deepEqual(failure(opener, record), ['RecordOverflow', Alert.RecordOverflow]);
});

test('a record at the wrong place in the sequence does not open', (t) => {
  const { sealer, opener } = pair();
  const [first, second] = [seal(sealer, ApplicationData, bytes(5)), seal(sealer, ApplicationData, bytes(5))];
  t.is(open(opener, first).result, 5);
  t.deepEqual(failure(opener, first), ['BadRecordMac', Alert.BadRecordMac]);
  t.not(second.length, 0);
});

test('floods: empty records, key updates and tickets in a row', (t) => {
  const flood = (make: (sealer: TrafficSealer) => Uint8Array): [string, number, number] => {
    const { sealer, opener } = pair();
    // application data in between starts the count again
    for (let i = 0; i < 20; i++) open(opener, make(sealer));
    open(opener, seal(sealer, ApplicationData, bytes(1)));
    for (let i = 0; i < 100; i++) {
      const [member, alert] = failure(opener, make(sealer));
      if (member !== 'none') return [member, alert, i];
    }
    return ['none', -1, 100];
  };
  t.deepEqual(
    flood((sealer) => seal(sealer, ApplicationData, bytes(0))),
    ['TooManyEmptyRecords', Alert.UnexpectedMessage, 32],
  );
  t.deepEqual(
    flood((sealer) => keyUpdate(sealer, true)),
    ['TooManyKeyUpdates', Alert.UnexpectedMessage, 32],
  );
  t.deepEqual(
    flood((sealer) => seal(sealer, Handshake, ticketMessage(bytes(1), bytes(1)))),
    ['TooManyTickets', Alert.UnexpectedMessage, 32],
  );
});

test('other records inside a handshake message are refused', (t) => {
  for (const [type, content] of [
    [ApplicationData, bytes(1)],
    [ApplicationData, bytes(0)],
    [ContentType.Alert, Uint8Array.of(1, Alert.UserCanceled)],
  ] as const) {
    const { sealer, opener } = pair();
    const begun = seal(sealer, Handshake, ticketMessage(bytes(1), bytes(9)).subarray(0, 6));
    t.is(open(opener, begun).result, OPENED_NOTHING);
    t.deepEqual(failure(opener, seal(sealer, type, content)), ['InterleavedRecord', Alert.UnexpectedMessage]);
  }
});

test('lengths that no record has are the fault of the caller', (t) => {
  const { sealer } = pair();
  const into = new Uint8Array(MAX_SEALED_BYTES + 1);
  t.throws(() => sealer.seal(ApplicationData, bytes(16385), 0, 16385, into, 0), { instanceOf: RangeError });
  t.throws(() => sealer.seal(ApplicationData, bytes(1), 0, -1, into, 0), { instanceOf: RangeError });
  t.throws(() => new TrafficSealer(Slab.alloc(TRAFFIC_STATE_BYTES), 0), { instanceOf: RangeError });
});

test('any content of any type is opened or refused with a TlsError', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.constantFrom(0, 20, 21, 22, 22, 22, 23, 24),
          fc.oneof(
            fc.uint8Array({ maxLength: 40 }),
            fc.uint8Array({ maxLength: 40 }).map((body) => handshakeMessage(4, body)),
            fc.uint8Array({ maxLength: 3 }).map((body) => handshakeMessage(24, body)),
          ),
        ),
        { maxLength: 6 },
      ),
      (records) => {
        const { sealer, opener } = pair();
        for (const [type, content] of records) failure(opener, seal(sealer, type, content));
        return true;
      },
    ),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      fc.constantFrom(20, 21, 22, 23, 99),
      (content, type) => {
        return failure(pair().opener, plainRecord(type, content))[0] !== 'none';
      },
    ),
    { numRuns: 200 },
  );
  t.pass();
});
