import test from 'ava';
import { AlertDescription, alertName } from './alerts.ts';
import { alertReceived, NO_ALERT, TLS_ERRORS, TlsError, type TlsErrorMember } from './errors.ts';

const FAMILIES = [
  'InvalidMessage',
  'PeerMisbehaved',
  'PeerIncompatible',
  'AlertReceived',
  'CertificateRejected',
];

for (const member of Object.keys(TLS_ERRORS) as TlsErrorMember[]) {
  test(`${member} has a family, an alert and a sentence`, (t) => {
    const error = new TlsError(member, 'expected this, got that');
    t.true(FAMILIES.includes(error.family));
    t.regex(error.message, /^[a-z].*: expected this, got that$/);
    const alerts: readonly number[] = [NO_ALERT, ...Object.values(AlertDescription)];
    t.true(alerts.includes(error.alert));
    // whoever is told nothing must not be to blame, or has been told before
    const isSilent = error.alert === NO_ALERT;
    const mayBeSilent =
      ['AlertReceived', 'CertificateRejected'].includes(error.family) || member === 'ReadAfterFailure';
    t.is(isSilent, mayBeSilent);
  });
}

test('a rejected certificate carries the alert of the verifier', (t) => {
  t.is(new TlsError('Rejected', '', AlertDescription.UnknownCa).alert, AlertDescription.UnknownCa);
});

test('alerts have the names of RFC 8446', (t) => {
  t.is(alertName(AlertDescription.BadRecordMac), 'bad_record_mac');
  t.is(alertName(AlertDescription.CloseNotify), 'close_notify');
  t.is(alertName(200), 'alert 200');
  t.is(alertReceived(70).alertReceived, 70);
});
