/** Why credentials cannot be used. */
export type CredentialsFault =
  /** The password is wrong, or one is missing. */
  | 'password'
  /** The file is damaged, of a kind that is not known, or its parts do not belong together. */
  | 'broken'
  /** There is no such file, or no certificate or key of that name in it. */
  | 'missing';

/** Credentials cannot be used; the message says of what, and what to do. */
export class CredentialsError extends Error {
  override readonly name = 'CredentialsError';
  readonly fault: CredentialsFault;

  constructor(fault: CredentialsFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.fault = fault;
  }
}
