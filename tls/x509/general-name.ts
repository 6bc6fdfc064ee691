import { contextTag, DerError, type DerReader } from './der.ts';
import { DistinguishedName, latin1 } from './distinguished-name.ts';

/** The forms of GeneralName (RFC 5280 §4.2.1.6); the values are their tag numbers. */
export const NameForm = {
  Other: 0,
  Email: 1,
  Dns: 2,
  X400: 3,
  Directory: 4,
  EdiParty: 5,
  Uri: 6,
  Ip: 7,
  RegisteredId: 8,
} as const;
export type NameForm = (typeof NameForm)[keyof typeof NameForm];

/** One name of a certificate, or the base of one name constraint. */
export type GeneralName =
  | {
      readonly form: typeof NameForm.Email | typeof NameForm.Dns | typeof NameForm.Uri;
      readonly text: string;
    }
  | { readonly form: typeof NameForm.Directory; readonly name: DistinguishedName }
  /** An address, or in a constraint an address followed by its mask. */
  | { readonly form: typeof NameForm.Ip; readonly octets: Uint8Array }
  /** Forms that are recognised and never match anything. */
  | {
      readonly form:
        | typeof NameForm.Other
        | typeof NameForm.X400
        | typeof NameForm.EdiParty
        | typeof NameForm.RegisteredId;
    };

/** Reads the next GeneralName. @throws DerError when it is malformed */
export function readGeneralName(reader: DerReader): GeneralName {
  const tag = reader.peek();
  switch (tag) {
    case contextTag(NameForm.Email, false):
      return { form: NameForm.Email, text: ia5(reader.contents(tag)) };
    case contextTag(NameForm.Dns, false):
      return { form: NameForm.Dns, text: ia5(reader.contents(tag)) };
    case contextTag(NameForm.Uri, false):
      return { form: NameForm.Uri, text: ia5(reader.contents(tag)) };
    case contextTag(NameForm.Ip, false):
      return { form: NameForm.Ip, octets: reader.contents(tag) };
    case contextTag(NameForm.Directory, true): {
      // Name is a CHOICE: its context tag is explicit (X.680 §31.2.7).
      const inner = reader.enter(tag);
      const name = new DistinguishedName(inner.element());
      inner.finish();
      return { form: NameForm.Directory, name };
    }
    case contextTag(NameForm.Other, true):
      reader.contents(tag);
      return { form: NameForm.Other };
    case contextTag(NameForm.X400, true):
      reader.contents(tag);
      return { form: NameForm.X400 };
    case contextTag(NameForm.EdiParty, true):
      reader.contents(tag);
      return { form: NameForm.EdiParty };
    case contextTag(NameForm.RegisteredId, false):
      reader.contents(tag);
      return { form: NameForm.RegisteredId };
    default:
      throw new DerError('malformed GeneralName');
  }
}

function ia5(bytes: Uint8Array): string {
  for (const byte of bytes) if (byte > 0x7f) throw new DerError('IA5String holds more than ASCII');
  return latin1(bytes);
}
