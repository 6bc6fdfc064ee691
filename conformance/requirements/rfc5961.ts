import { type Specification, specification } from './specification.ts';

/** Blind in-window attacks */
export const RFC5961: Specification = specification(
  'RFC 5961',
  'Blind in-window attacks',
  `
§3.2-1 MUST a reset at RCV.NXT resets
§3.2-2 MUST a reset elsewhere in the window is answered with a challenge ACK
§3.2-3 MUST … and dropped
§3.2-4 MUST a reset outside the window is dropped silently
§4.2-1 MUST a SYN in a synchronized state is answered with a challenge ACK, whatever its sequence number
§4.2-2 MUST … and dropped
§4.2-3 MUST the reset that answers it ends the connection
§5.2-1 MAY the ACK of data is looked at
§5.2-2 MUST … when it is older than the largest window, or acknowledges what was not sent: an ACK, and the segment is dropped
§7-1 SHOULD challenge ACKs are limited
§7-2 SHOULD … and the limit can be chosen
`,
);
