import { type Specification, specification } from './specification.ts';

/** Fast Open */
export const RFC7413: Specification = specification(
  'RFC 7413',
  'Fast Open',
  `
§2-1 MUST off unless the application asks for it
§4.1.1-1 MUST a cookie has an even length
§4.1.1-2 MUST the option is ignored with an impossible length, and outside SYN segments
§4.1.2-1 SHOULD the cookie is a MAC
§4.1.3-1 MUST the client keeps cookies
§4.1.3-2 MAY the kept MSS is limited
§4.1.3.1-1 MUST refusals are kept, too
§4.1.3.1-2 SHOULD … and Fast Open is off there for a time
§4.2-1 MUST a server that has it off ignores the option
§4.2-2 MUST beyond a limit of waiting connections it is off
§4.2.1-1 MUST the client asks for a cookie first
§4.2.2-1 MUST … and needs one to send data
§4.2.2-2 SHOULD a SYN that is sent again has neither data nor option
§4.2.2-3 MAY the SYN-ACK has data
§4.2.2-4 MUST the initial window holds for what follows
§4.2.2-5 SHOULD a SYN-ACK that is sent again has neither data nor option
§4.2.2-6 SHOULD what the SYN-ACK does not acknowledge is sent again with the ACK
§6.1-1 MUST applications that cannot have the data twice do not use it | outside: about applications
§9-1 SHOULD the option is 34
`,
);
