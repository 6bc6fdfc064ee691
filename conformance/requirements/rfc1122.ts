import { type Specification, specification } from './specification.ts';

/** Requirements for hosts: §3 IP and ICMP, §4.1 UDP, §4.2 TCP */
export const RFC1122: Specification = specification(
  'RFC 1122',
  'Requirements for hosts: §3 IP and ICMP, §4.1 UDP, §4.2 TCP',
  `
§3.1-1 MUST IP and ICMP are there
§3.1-2 MUST of several addresses of a peer applications try one after the other
§3.1-3 MUST whoever forwards datagrams is a router | outside: nothing is forwarded
§3.1-4 SHOULD what is dropped can be logged
§3.1-5 SHOULD … and is counted
§3.2.1.1-1 MUST another version is dropped in silence
§3.2.1.2-1 MUST the header checksum is verified, and a wrong one dropped in silence
§3.2.1.3-1 MUST addresses have a subnet mask
§3.2.1.3-2 MUST what is sent has a source of our own
§3.2.1.3-3 MUST a destination that is not ours is dropped in silence
§3.2.1.3-4 MUST … and a source that cannot be
§3.2.1.3-5 MUST a broadcast or multicast address is never a source
§3.2.1.4-1 MUST datagrams are reassembled
§3.2.1.5-1 MAY a copy keeps its identification
§3.2.1.6-1 MUST the transport sets the type of service
§3.2.1.6-2 SHOULD … and is told a received one
§3.2.1.7-1 MUST nothing leaves with a TTL of 0
§3.2.1.7-2 MUST what arrives with a TTL of 1 or 0 is taken
§3.2.1.7-3 MUST the transport sets the TTL
§3.2.1.7-4 MUST … and a fixed one is configurable
§3.2.1.8-1 MUST the transport can send IP options
§3.2.1.8-2 MUST … and is given all received ones
§3.2.1.8-3 MUST unknown options are ignored
§3.2.1.8-4 MAY the security option
§3.2.1.8-5 SHOULD no stream identifier is sent
§3.2.1.8-6 MUST … and a received one is ignored
§3.2.1.8-7 MUST source routes are sent and taken
§3.2.1.8-8 MUST … a completed one goes up to the transport
§3.2.1.8-9 MUST … and back on the same way
§3.2.1.8-10 MUST no header has two of them
§3.2.1.8-11 MAY record route
§3.2.1.8-12 MAY the timestamp option
§3.2.2-1 MUST ICMP messages of an unknown type are dropped in silence
§3.2.2-2 MAY errors quote more than 8 octets
§3.2.2-3 MUST … unchanged
§3.2.2-4 MUST errors go to the transport that their quote names
§3.2.2-5 SHOULD errors are sent with a type of service of 0
§3.2.2-6 MUST no error about an error
§3.2.2-7 MUST … about a broadcast or multicast of IP
§3.2.2-8 MUST … or of the link
§3.2.2-9 MUST … about a later fragment
§3.2.2-10 MUST … to an address that is not one host
§3.2.2.1-1 SHOULD unreachable protocols and ports are told
§3.2.2.1-2 MUST what is unreachable is told to the transport
§3.2.2.1-3 MUST … which takes it for a hint
§3.2.2.2-1 SHOULD a host sends no redirects
§3.2.2.2-2 MUST redirects change the route
§3.2.2.2-3 MUST … of hosts and of networks
§3.2.2.2-4 SHOULD … and illegal ones do not
§3.2.2.3-1 MUST source quench goes to the transport | outside: RFC 6633 forbids it
§3.2.2.4-1 MUST time exceeded goes to the transport
§3.2.2.5-1 SHOULD parameter problems are sent
§3.2.2.5-2 MUST … and received ones go to the transport
§3.2.2.6-1 MUST echo requests are answered
§3.2.2.6-2 SHOULD there is a ping
§3.2.2.6-3 MAY echo requests to groups and broadcasts are dropped
§3.2.2.6-4 MUST the answer comes from the address that was asked
§3.2.2.6-5 MUST … with the same data
§3.2.2.6-6 MUST echo replies go to whoever asked
§3.2.2.6-7 SHOULD record route and timestamps are reflected
§3.2.2.6-8 MUST … and source routes reversed
§3.2.2.7-1 SHOULD there are no information requests
§3.2.2.8-1 MAY timestamp requests
§3.2.2.9-1 MUST the address mask can be configured
§3.2.2.9-2 MUST nobody tells address masks unasked for
§3.3.1.1-1 MUST the mask tells what is on the link
§3.3.1.1-2 MUST it works without any gateway
§3.3.1.2-1 MUST next hops are remembered
§3.3.1.2-2 MUST what is not known goes to the default gateway
§3.3.1.2-3 MUST there may be several
§3.3.1.2-4 MAY static routes
§3.3.1.4-1 MUST a gateway that has failed is noticed
§3.3.1.4-2 SHOULD no route is good for ever
§3.3.1.4-3 MUST gateways are not asked all the time
§3.3.1.4-4 MUST … but while something is sent, and nothing else tells of them
§3.3.1.4-5 SHOULD transport and link give advice
§3.3.1.5-1 MUST another gateway takes the place of one that has failed
§3.3.1.6-1 MUST address, mask and gateways can be given by hand
§3.3.2-1 MUST datagrams of 576 octets are reassembled
§3.3.2-2 SHOULD … and of any length
§3.3.2-3 MUST the timeout is told by ICMP
§3.3.2-4 SHOULD … and is fixed
§3.3.3-1 MUST the transport learns what it may send
§3.3.3-2 MAY what is too large is fragmented
§3.3.3-3 SHOULD 576 octets at most leave the link | outside: path MTU discovery has replaced it
§3.3.4.2-1 SHOULD an answer comes from the address that was asked
§3.3.4.2-2 MUST an application may choose its address
§3.3.4.2-3 MAY what comes by the wrong interface is dropped
§3.3.4.2-4 MAY … and nothing leaves by it
§3.3.6-1 MUST all forms of broadcast are known
§3.3.6-2 MUST … and are broadcasts of the link
§3.3.6-3 SHOULD a broadcast of the link that is none of IP is dropped
§3.3.6-4 SHOULD the limited broadcast reaches the link
§3.3.7-1 SHOULD multicast
§3.3.7-2 MAY … and IGMP
§3.3.7-3 SHOULD every host is in the group of all hosts
§3.3.8-1 MUST errors are sent where they are not forbidden
§3.4-1 MUST the transport can use all of IP
§3.4-2 MUST … is told the interface
§3.4-3 MUST … and given ICMP errors with the header and 8 octets at least
§4.1.3.1-1 SHOULD a datagram to a port without a socket is answered by port unreachable
§4.1.3.2-1 MUST the application is given received IP options
§4.1.3.2-2 MUST … and sends its own
§4.1.3.3-1 MUST ICMP errors go to the application
§4.1.3.4-1 MUST checksums are made and verified
§4.1.3.4-2 MUST a wrong one is dropped in silence
§4.1.3.4-3 MAY the sender may go without
§4.1.3.4-4 MUST … but does not by default
§4.1.3.4-5 MAY the receiver may ask for one
§4.1.3.5-1 MUST the application is told to which address a datagram came
§4.1.3.5-2 MUST it may choose the source address
§4.1.3.5-3 MUST … or leave it open
§4.1.3.5-4 SHOULD … and learn which one was taken
§4.1.3.6-1 MUST an invalid source is dropped
§4.1.3.6-2 MUST … and none is sent
§4.1.4-1 MUST the application sets TTL and type of service
§4.1.4-2 MAY … and learns a received type of service
§4.2.2.2-1 MAY data without PUSH is put together or queued | is MAY-16
§4.2.2.2-2 SHOULD successive PSH bits are put together | is SHLD-27
§4.2.2.2-3 MAY SEND can say PUSH | is MAY-15
§4.2.2.2-4 MUST without it nothing is kept for ever | is MUST-60
§4.2.2.2-5 MUST … and the last segment has PSH | is MUST-61
§4.2.2.2-6 MAY PSH is told to the application | is MAY-17
§4.2.2.2-7 SHOULD segments are as large as possible | is SHLD-28
§4.2.2.3-1 MUST the window is an unsigned number | is MUST-1
§4.2.2.3-2 SHOULD … kept in 32 bits | is REC-1
§4.2.2.4-1 MUST the urgent pointer is at the last octet of the urgent data | outside: RFC 6093 and RFC 9293 §3.8.5 (MUST-62) have it point behind it
§4.2.2.4-2 MUST urgent data of any length | is MUST-31
§4.2.2.4-3 MUST the application is told of urgent data at once | is MUST-32
§4.2.2.4-4 MUST … and can learn how much there is | is MUST-33
§4.2.2.5-1 MUST options are taken on any segment | is MUST-5
§4.2.2.5-2 MUST an unknown option is passed over | is MUST-6
§4.2.2.5-3 MUST an impossible length does no harm | is MUST-7
§4.2.2.6-1 MUST the MSS option is sent and taken | is MUST-14
§4.2.2.6-2 SHOULD … sent unless 536 fits | is SHLD-5
§4.2.2.6-3 MAY … sent always | is MAY-3
§4.2.2.6-4 MUST 536 is assumed without it | is MUST-15
§4.2.2.6-5 MUST the size of segments is worked out | is MUST-16
§4.2.2.7-1 MUST the sender computes the checksum | is MUST-2
§4.2.2.7-2 MUST the receiver checks it | is MUST-3
§4.2.2.9-1 MUST initial sequence numbers follow a clock | is MUST-8
§4.2.2.10-1 MUST both sides may open at the same time | is MUST-10
§4.2.2.11-1 MUST SYN-RECEIVED knows where it came from | is MUST-11
§4.2.2.12-1 SHOULD a reset may carry data | is SHLD-2
§4.2.2.13-1 MUST the application can tell an abort from a close | is MUST-12
§4.2.2.13-2 MAY a connection may be closed in one direction | is MAY-1
§4.2.2.13-3 SHOULD closing with unread data is a reset | is SHLD-3
§4.2.2.13-4 MUST TIME-WAIT lasts two MSL | is MUST-13
§4.2.2.13-5 MAY TIME-WAIT takes a new SYN | is MAY-2
§4.2.2.15-1 MUST slow start | is MUST-19
§4.2.2.15-2 MUST congestion avoidance | is MUST-19
§4.2.2.15-3 MAY a segment sent again has the same IP identification | is MAY-4
§4.2.2.16-1 SHOULD the receiver does not shrink its window | is SHLD-14
§4.2.2.16-2 MUST a window that shrinks does no harm | is MUST-34
§4.2.2.17-1 MAY a receiver keeps its window closed | is MAY-8
§4.2.2.17-2 MUST zero windows are probed | is MUST-36
§4.2.2.17-3 SHOULD the first probe after one RTO | is SHLD-29
§4.2.2.17-4 SHOULD the others at growing intervals | is SHLD-30
§4.2.2.17-5 MUST a connection with a zero window stays | is MUST-37
§4.2.2.18-1 MUST a passive open touches no other connection | is MUST-41
§4.2.2.18-2 MUST a port can listen more than once | is MUST-42
§4.2.2.19-1 MUST the TTL can be chosen | is MUST-49
§4.2.2.20-1 SHOULD segments out of order are kept | is SHLD-31
§4.2.2.20-2 MUST all that waits is worked off before an ACK | is MUST-59
§4.2.2.21-1 MAY a segment out of order is acknowledged at once | is MAY-13
§4.2.3.1-1 MUST no samples of what was sent again (Karn) | is MUST-18
§4.2.3.1-2 MUST the timeout from mean and deviation (Jacobson) | is MUST-18
§4.2.3.1-3 MUST the timeout doubles | is MUST-19
§4.2.3.1-4 SHOULD the timeout of SYN is worked out in the same way | is MUST-22
§4.2.3.1-5 SHOULD the values at the beginning and the bounds are those that are recommended | outside: RFC 6298 §2 has others, see its table
§4.2.3.2-1 SHOULD ACKs are delayed | is SHLD-18
§4.2.3.2-2 MUST … by less than half a second | is MUST-40
§4.2.3.2-3 MUST … and every second full segment has one | is SHLD-19
§4.2.3.3-1 MUST the receiver avoids silly windows | is MUST-39
§4.2.3.4-1 MUST the sender avoids silly windows | is MUST-38
§4.2.3.4-2 SHOULD Nagle's algorithm | is SHLD-7
§4.2.3.4-3 MUST … which the application can switch off | is MUST-17
§4.2.3.5-1 MUST at R1 IP is told that the way may be dead | is MUST-20
§4.2.3.5-2 MUST at R2 the connection ends | is MUST-20
§4.2.3.5-3 MUST the application can set R2 | is MUST-21
§4.2.3.5-4 SHOULD the application is told between R1 and R2 | is SHLD-9
§4.2.3.5-5 SHOULD R1 is three retransmissions at least, R2 100 seconds | is SHLD-10
§4.2.3.5-6 MUST SYN segments are repeated in the same way | is MUST-22
§4.2.3.5-7 MUST … for three minutes at least | is MUST-23
§4.2.3.6-1 MAY keep-alives | is MAY-5
§4.2.3.6-2 MUST … at the application's wish | is MUST-24
§4.2.3.6-3 MUST … off by default | is MUST-25
§4.2.3.6-4 MUST … on an idle connection only | is MUST-26
§4.2.3.6-5 MUST … at an interval that can be chosen | is MUST-27
§4.2.3.6-6 MUST … two hours at least by default | is MUST-28
§4.2.3.6-7 MUST one without an answer ends nothing | is MUST-29
§4.2.3.7-1 MUST IP is asked for the local address | is MUST-44
§4.2.3.7-2 MUST … which then stays | is MUST-45
§4.2.3.8-1 MUST unknown IP options are ignored | is MUST-50
§4.2.3.8-2 MAY the IP timestamp option | is MAY-10
§4.2.3.8-3 MAY the Record Route option | is MAY-11
§4.2.3.8-4 MUST the application can give a source route | is MUST-51
§4.2.3.8-5 MUST … which goes before a received one | is MUST-52
§4.2.3.8-6 MUST the way back from a received one | is MUST-53
§4.2.3.8-7 SHOULD a later source route replaces the earlier one | is SHLD-24
§4.2.3.9-1 MUST an ICMP error goes to its connection | is MUST-54
§4.2.3.9-2 SHOULD codes 0, 1, 5 of "unreachable" are told to the application | is SHLD-25
§4.2.3.9-3 MUST … and end no connection | is MUST-56
§4.2.3.9-4 SHOULD codes 2 to 4 end the connection | is SHLD-26
§4.2.3.9-5 SHOULD Source Quench begins slow start | outside: RFC 6633 and RFC 9293 (MUST-55) have it dropped
§4.2.3.9-6 SHOULD "time exceeded" is told and ends nothing | is MUST-56
§4.2.3.9-7 SHOULD "parameter problem" is told and ends nothing | is MUST-56
§4.2.3.10-1 MUST no open to an impossible address | is MUST-46
§4.2.3.10-2 MUST no SYN is taken from one | is MUST-63
§4.2.3.10-3 MUST a SYN to a broadcast or multicast address is dropped | is MUST-57
§4.2.4.1-1 MUST soft errors are told to the application | is MUST-47
§4.2.4.1-2 SHOULD … which can switch that off | is SHLD-20
§4.2.4.2-1 MUST the application sets the type of service | is MUST-48
§4.2.4.2-2 SHOULD … which goes to IP unchanged | is SHLD-22
§4.2.4.2-3 SHOULD … and may change later | is SHLD-21
§4.2.4.2-4 MAY a received one is told to the application | is MAY-9
§4.2.4.3-1 MAY a call FLUSH | is MAY-14
§4.2.4.4-1 MUST an open may name its local address | is MUST-43
`,
);
