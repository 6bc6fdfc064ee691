/** An expectation of the test that did not come true. */
export class ShimFailure extends Error {
  override readonly name = 'ShimFailure';
}

/** The test needs what this client does not have. */
export class Unimplemented extends Error {
  override readonly name = 'Unimplemented';
}
