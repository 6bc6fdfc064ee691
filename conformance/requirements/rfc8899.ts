import { type Specification, specification } from './specification.ts';

/** Path MTU discovery for datagrams */
export const RFC8899: Specification = specification(
  'RFC 8899',
  'Path MTU discovery for datagrams',
  `
§3-1 MUST the layers of datagrams probe | outside: about UDP, SCTP and QUIC; TCP follows RFC 4821
§4.6.1-1 MUST a message that the MTU is smaller is verified
§4.6.1-2 MUST … by the packet it quotes
§4.6.1-3 MUST … and is not used when that fails
`,
);
