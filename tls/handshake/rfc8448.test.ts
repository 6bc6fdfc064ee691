import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import type { RandomSource } from '../../stack/random.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { generateKeyShare, NamedGroup } from '../keys/groups.ts';
import { expandLabel, KeySchedule, ticketPsk, trafficKeyOf } from '../keys/key-schedule.ts';
import { cipherSuiteOf } from '../keys/suites.ts';
import { HandshakeRecords, recordLength } from '../record/handshake-records.ts';
import { RecordKey } from '../record/record-key.ts';
import { ACCEPTING } from '../testing/client-under-test.ts';
import { plainRecord } from '../testing/scripted-server.ts';
import { TrafficOpener } from '../traffic/opener.ts';
import { TrafficSealer } from '../traffic/sealer.ts';
import { TRAFFIC_STATE_BYTES, TrafficOffset, writeTrafficState } from '../traffic/state.ts';
import { ContentType } from '../wire/codes.ts';
import { ClientIdentities } from './client-credentials.ts';
import { Connected } from './connected.ts';
import { EarlyData } from './early-data.ts';
import { ExpectServerHello } from './expect-server-hello.ts';
import type { Offer } from './offer.ts';
import { type Handshake, type HandshakeState, newInfo } from './state.ts';

// RFC 8448 §3: Simple 1-RTT Handshake
const CLIENT_PRIVATE_KEY = '49af42ba7f7994852d713ef2784bcbcaa7911de26adc5642cb634540e7ea5005';
const CLIENT_HELLO = hexToBytes(
  '010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef' +
    '6283024dece7000006130113031302010000910000000b000900000673657276' +
    '6572ff01000100000a00140012001d0017001800190100010101020103010400' +
    '230000003300260024001d002099381de560e4bd43d23d8e435a7dbafeb3c06e' +
    '51c13cae4d5413691e529aaf2c002b0003020304000d0020001e040305030603' +
    '020308040805080604010501060102010402050206020202002d00020101001c' +
    '00024001',
);
const SERVER_HELLO = hexToBytes(
  '020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155' +
    '772ed3e2692800130100002e00330024001d0020c9828876112095fe66762bdb' +
    'f7c672e156d6cc253b833df1dd69b1b04e751f0f002b00020304',
);
const ENCRYPTED_EXTENSIONS =
  '080000240022000a00140012001d00170018001901000101010201030104001c0002400100000000';
const CERTIFICATE =
  '0b0001b9000001b50001b0308201ac30820115a003020102020102300d06092a' +
  '864886f70d01010b0500300e310c300a06035504031303727361301e170d3136' +
  '303733303031323335395a170d3236303733303031323335395a300e310c300a' +
  '0603550403130372736130819f300d06092a864886f70d010101050003818d00' +
  '30818902818100b4bb498f8279303d980836399b36c6988c0c68de55e1bdb826' +
  'd3901a2461eafd2de49a91d015abbc9a95137ace6c1af19eaa6af98c7ced4312' +
  '0998e187a80ee0ccb0524b1b018c3e0b63264d449a6d38e22a5fda4308467480' +
  '30530ef0461c8ca9d9efbfae8ea6d1d03e2bd193eff0ab9a8002c47428a6d35a' +
  '8d88d79f7f1e3f0203010001a31a301830090603551d1304023000300b060355' +
  '1d0f0404030205a0300d06092a864886f70d01010b05000381810085aad2a0e5' +
  'b9276b908c65f73a7267170618a54c5f8a7b337d2df7a594365417f2eae8f8a5' +
  '8c8f8172f9319cf36b7fd6c55b80f21a03015156726096fd335e5e67f2dbf102' +
  '702e608ccae6bec1fc63a42a99be5c3eb7107c3c54e9b9eb2bd5203b1c3b84e0' +
  'a8b2f759409ba3eac9d91d402dcc0cc8f8961229ac9187b42b4de10000';
const CERTIFICATE_VERIFY =
  '0f000084080400805a747c5d88fa9bd2e55ab085a61015b7211f824cd484145a' +
  'b3ff52f1fda8477b0b7abc90db78e2d33a5c141a078653fa6bef780c5ea248ee' +
  'aaa785c4f394cab6d30bbe8d4859ee511f602957b15411ac027671459e46445c' +
  '9ea58c181e818e95b8c3fb0bf3278409d3be152a3da5043e063dda65cdf5aea2' +
  '0d53dfacd42f74f3';
const SERVER_FINISHED = '140000209b9b141d906337fbd2cbdce71df4deda4ab42c309572cb7fffee5454b78f0718';
const SERVER_HANDSHAKE_KEY = '3fce516009c21727d0f2e4e86ee403bc';
const SERVER_HANDSHAKE_IV = '5d313eb2671276ee13000b30';
// the record of the server's flight: its beginning, and its end with the tag that covers all of it
const SERVER_FLIGHT_HEAD =
  '17030302a2d1ff334a56f5bff6594a07cc87b580233f500f45e489e7f33af35edf7869fcf40aa40aa2b8ea73f848a7ca';
const SERVER_FLIGHT_TAIL = 'e3794e44f94df5a631ede42c1719bfdabf0253fe5175be898e750edc53370d2b';
const CLIENT_FINISHED_RECORD =
  '170303003575ec4dc238cce60b298044a71e219c56cc77b0517fe9b93c7a4bfc44d87f38f80338ac98fc46deb384bd1c' +
  'aeacab6867d726c40546';
const CLIENT_APPLICATION_RECORD =
  '1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b' +
  '62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4';
const SERVER_APPLICATION_RECORD =
  '17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8' +
  'fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d';
const APPLICATION_DATA = Uint8Array.from({ length: 50 }, (_, i) => i);

const SUITE = cipherSuiteOf(0x1301)!;

/** Gives out the private key of the trace. */
const TRACE_RANDOM: RandomSource = {
  fill: (into) => into.set(hexToBytes(CLIENT_PRIVATE_KEY)),
  uint32: () => 0,
};

function traceOffer(): Offer {
  return {
    versions: ['TLSv1.3'],
    fallback: false,
    random: CLIENT_HELLO.subarray(6, 38),
    sessionId: new Uint8Array(0),
    cipherSuites: [0x1301, 0x1303, 0x1302],
    groups: [NamedGroup.X25519, NamedGroup.Secp256r1, NamedGroup.Secp384r1],
    signatureSchemes: [0x0403, 0x0804],
    keyShares: [generateKeyShare(NamedGroup.X25519, TRACE_RANDOM)],
    hostName: 'server',
    alpn: [],
    mustSelectProtocol: false,
    recordSizeLimit: 16385,
    session: null,
    earlyData: false,
    wantsTicket: false,
    certificateStatus: false,
    signedCertificateTimestamps: false,
    certificateCompression: [],
    postHandshakeAuth: false,
    fallbackScsv: false,
    cookie: null,
    grease: null,
    encryptedClientHello: null,
    greasePsk: null,
    extensionOrder: null,
    former: null,
  };
}

test('RFC 8448 §3: the key schedule gives the values of the trace', (t) => {
  const schedule = new KeySchedule(SUITE);
  const shared = hexToBytes('8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d');
  const handshake = schedule.handshake(
    shared,
    hexToBytes('860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8'),
  );
  t.is(bytesToHex(handshake.client), 'b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21');
  t.is(bytesToHex(handshake.server), 'b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38');
  const serverKey = trafficKeyOf(SUITE, handshake.server);
  t.is(bytesToHex(serverKey.key), SERVER_HANDSHAKE_KEY);
  t.is(bytesToHex(serverKey.iv), SERVER_HANDSHAKE_IV);
  t.is(
    bytesToHex(expandLabel(SUITE.hash, handshake.server, 'finished', new Uint8Array(0), 32)),
    '008d3b66f816ea559f96b537e885c31fc068bf492c652f01f288a1d8cdc19fc8',
  );
  const traffic = schedule.master(
    hexToBytes('9608102a0f1ccc6db6250b7b7e417b1a000eaada3daae4777a7686c9ff83df13'),
  );
  t.is(bytesToHex(traffic.client), '9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5');
  t.is(bytesToHex(traffic.server), 'a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643');
  t.is(bytesToHex(traffic.exporter), 'fe22f881176eda18eb8f44529e6792c50c9a3f89452f68d8ae311b4309d3cf50');
  const resumption = schedule.resumption(
    hexToBytes('209145a96ee8e2a122ff810047cc952684658d6049e86429426db87c54ad143d'),
  );
  t.is(bytesToHex(resumption), '7df235f2031d2a051287d02b0241b0bfdaf86cc856231f2d5aba46c434ec196c');
  t.is(
    bytesToHex(ticketPsk(SUITE, resumption, Uint8Array.of(0, 0))),
    '4ecd0eb6ec3b4d87f5d6028f922ca4c5851a277fd41311c9e62d2c9492e1c4f3',
  );
});

test('RFC 8448 §4: the binder of the resumed session', (t) => {
  const psk = hexToBytes('4ecd0eb6ec3b4d87f5d6028f922ca4c5851a277fd41311c9e62d2c9492e1c4f3');
  const hash = hexToBytes('63224b2e4573f2d3454ca84b9d009a04f6be9e05711a8396473aefa01e924a14');
  t.is(
    bytesToHex(new KeySchedule(SUITE, psk).binder(hash)),
    '3add4fb2d8fdf822a0ca3cf7678ef5e88dae990141c5924d57bb6fa31b9e5f9d',
  );
});

test('RFC 8448 §3: the handshake states go through the trace byte for byte', (t) => {
  const lines: string[] = [];
  const records = new HandshakeRecords(false);
  const handshake: Handshake = {
    serverName: 'server',
    echPublicName: '',
    isStatusAsked: true,
    unixTimeMs: 0,
    random: TRACE_RANDOM,
    verifier: ACCEPTING,
    keyLog: (line) => lines.push(line),
    identities: new ClientIdentities([]),
    keepSession: null,
    records,
    earlyData: new EarlyData(),
    editHello: null,
    info: newInfo('server'),
    finished: { client: new Uint8Array(0), server: new Uint8Array(0) },
    wipes: [],
  };
  const flight = hexToBytes(ENCRYPTED_EXTENSIONS + CERTIFICATE + CERTIFICATE_VERIFY + SERVER_FINISHED);
  const flightRecord = new Uint8Array(679);
  const serverKey = new RecordKey(SUITE, hexToBytes(SERVER_HANDSHAKE_KEY), hexToBytes(SERVER_HANDSHAKE_IV));
  t.is(serverKey.seal(0, 0, ContentType.Handshake, flight, 0, flight.length, flightRecord, 0), 679);
  t.true(bytesToHex(flightRecord).startsWith(SERVER_FLIGHT_HEAD));
  t.true(bytesToHex(flightRecord).endsWith(SERVER_FLIGHT_TAIL));

  const stream = concatBytes(plainRecord(ContentType.Handshake, SERVER_HELLO), flightRecord);
  let state: HandshakeState = new ExpectServerHello(traceOffer(), CLIENT_HELLO);
  for (let off = 0; off < stream.length; ) {
    const length = recordLength(stream, off, stream.length - off);
    records.receive(stream, off, length);
    off += length;
    for (let message = records.nextMessage(); message !== null; message = records.nextMessage()) {
      state = state.handle(message, handshake);
    }
  }
  t.is(bytesToHex(records.takeOutgoing()!), CLIENT_FINISHED_RECORD);
  if (!(state instanceof Connected)) return t.fail('not connected');
  t.is(
    bytesToHex(state.resumptionSecret),
    '7df235f2031d2a051287d02b0241b0bfdaf86cc856231f2d5aba46c434ec196c',
  );
  t.is(handshake.info.signatureScheme, 'rsa_pss_rsae_sha256');
  const random = 'cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7';
  t.deepEqual(lines, [
    `CLIENT_HANDSHAKE_TRAFFIC_SECRET ${random} b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21`,
    `SERVER_HANDSHAKE_TRAFFIC_SECRET ${random} b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38`,
    `CLIENT_TRAFFIC_SECRET_0 ${random} 9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5`,
    `SERVER_TRAFFIC_SECRET_0 ${random} a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643`,
    `EXPORTER_SECRET ${random} fe22f881176eda18eb8f44529e6792c50c9a3f89452f68d8ae311b4309d3cf50`,
  ]);

  const traffic = Slab.alloc(TRAFFIC_STATE_BYTES);
  writeTrafficState(traffic, 0, state);
  const sealer = new TrafficSealer(traffic, 0);
  // the server sent record_size_limit 0x4001: one more than the largest content
  t.is(sealer.maxContentBytes, 16384);
  const out = new Uint8Array(200);
  const sealedBytes = sealer.seal(ContentType.ApplicationData, APPLICATION_DATA, 0, 50, out, 0);
  t.is(bytesToHex(out.subarray(0, sealedBytes)), CLIENT_APPLICATION_RECORD);
  // record 0 of the server is a ticket in the trace
  traffic.view.setUint32(TrafficOffset.ReadSeqLow, 1, true);
  const record = hexToBytes(SERVER_APPLICATION_RECORD);
  t.is(new TrafficOpener(traffic, 0).open(record, 0, record.length, out, 0), 50);
  t.deepEqual(out.slice(0, 50), APPLICATION_DATA);
});
