import { type Specification, specification } from './specification.ts';

/** HyStart++ */
export const RFC9406: Specification = specification(
  'RFC 9406',
  'HyStart++',
  `
§4.2-1 RULE a round ends when the SND.NXT of its beginning is acknowledged
§4.2-2 RULE eight samples of a round above the last round's least by an eighth (4 to 16 ms) begin the conservative slow start
§4.2-3 RULE there cwnd grows by a quarter
§4.2-4 RULE a shorter round trip goes back to slow start
§4.2-5 RULE five such rounds end slow start: ssthresh is cwnd
§4.3-1 SHOULD the constants are the recommended ones
`,
);
