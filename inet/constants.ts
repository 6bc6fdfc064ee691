/**
 * Every constant of the InetConnect family. The names are SocketWrench 11's. Where its material gives a number, that number
 * is used; a number marked "own" is our choice, because none is published. A correction touches this file only.
 */

/** What handle-returning functions return on failure: Winsock's `~0`, unsigned. */
export const INVALID_SOCKET = 0xffffffff;
/** What integer-returning functions return on failure. */
export const INET_ERROR = -1;

/** A reliable byte stream; the default. */
export const INET_PROTOCOL_TCP = 6;
/** Datagrams. */
export const INET_PROTOCOL_UDP = 17;

/** No option. */
export const INET_OPTION_NONE = 0;
/** UDP: datagrams may go to broadcast addresses. */
export const INET_OPTION_BROADCAST = 0x0001;
/** Only destinations on a directly connected network, no gateway. */
export const INET_OPTION_DONTROUTE = 0x0002;
/** TCP: probes are sent when nothing else is. */
export const INET_OPTION_KEEPALIVE = 0x0004;
/** A listener's port may still have connections that have ended (TIME-WAIT). The number is the gap in the list of the control's. */
export const INET_OPTION_REUSEADDRESS = 0x0008;
/** Turns Nagle's algorithm off. */
export const INET_OPTION_NODELAY = 0x0010;
/** Own. Binds a local port below 1024. */
export const INET_OPTION_RESERVEDPORT = 0x0100;
/** Own. The handle is not inherited by child processes: true of every handle here. */
export const INET_OPTION_NOINHERIT = 0x0200;
/** With SECURE: the certificate is looked at but never refused. */
export const INET_OPTION_TRUSTEDSITE = 0x0800;
/** Implicit TLS: the handshake follows the connection at once. */
export const INET_OPTION_SECURE = 0x1000;
/** Own. With SECURE: certificates with SHA-1 signatures or RSA keys from 1024 bits are accepted too. */
export const INET_OPTION_SECURE_FALLBACK = 0x2000;
/** Own. IPv6 addresses go first. */
export const INET_OPTION_PREFER_IPV6 = 0x4000;
/** Own. Any thread may use the handle. */
export const INET_OPTION_FREETHREAD = 0x8000;

/** Own. An address of no known family; as a wish: either, IPv4 preferred. */
export const INET_ADDRESS_UNKNOWN = 0;
/** Own. */
export const INET_ADDRESS_IPV4 = 1;
/** Own. */
export const INET_ADDRESS_IPV6 = 2;
/** Own. Currently IPv4, as documented. */
export const INET_ADDRESS_DEFAULT: number = INET_ADDRESS_IPV4;

/** Not a handle in use. 0 … 5 are the numbers of SocketTools' HTTP client; whether sockets share them is not published. */
export const INET_STATUS_UNUSED = 0;
/** Connected, no call is blocked in it. */
export const INET_STATUS_IDLE = 1;
/** Being connected. */
export const INET_STATUS_CONNECT = 2;
/** A thread is blocked reading. */
export const INET_STATUS_READ = 3;
/** A thread is blocked writing. */
export const INET_STATUS_WRITE = 4;
/** Being disconnected. */
export const INET_STATUS_DISCONNECT = 5;
/** Own. A thread is blocked accepting. */
export const INET_STATUS_ACCEPT = 6;

/** Own, Winsock's SD_RECEIVE: nothing more will be read. */
export const INET_SHUTDOWN_RECEIVE = 0;
/** Own, Winsock's SD_SEND: nothing more will be written. */
export const INET_SHUTDOWN_SEND = 1;
/** Own, Winsock's SD_BOTH. */
export const INET_SHUTDOWN_BOTH = 2;

/** Own number. The target of InetReadStream tells what it is; the only way here. */
export const INET_STREAM_DEFAULT = 0;

/** Own. The connection is there: once. */
export const INET_EVENT_CONNECT = 1;
/** Own. The peer has ended the connection, or it was lost; read what is left. Once. */
export const INET_EVENT_DISCONNECT = 2;
/** Own. Something can be read. Not again before something was read. */
export const INET_EVENT_READ = 3;
/** Own. Something can be written: after the connection, and after a write that found no room. */
export const INET_EVENT_WRITE = 4;
/** Own. A blocking call has timed out. */
export const INET_EVENT_TIMEOUT = 5;
/** Own. InetCancel was called. */
export const INET_EVENT_CANCEL = 6;

/** The control's TraceInfo is 0. Packets only. */
export const INET_TRACE_DEFAULT = 0;
/** Own. The secrets of TLS connections, too. */
export const INET_TRACE_SECRETS = 0x100;

/** Own. No TLS. */
export const SECURITY_PROTOCOL_NONE = 0x0000;
/** Own; bits, so that credentials can name several. */
export const SECURITY_PROTOCOL_TLS10 = 0x0010;
/** Own. */
export const SECURITY_PROTOCOL_TLS11 = 0x0020;
/** Own. */
export const SECURITY_PROTOCOL_TLS12 = 0x0040;
/** Own, the name too. */
export const SECURITY_PROTOCOL_TLS13 = 0x0080;
/** Own. As credentials: TLS 1.2 or later. */
export const SECURITY_PROTOCOL_DEFAULT = 0x0000;

/** Own number, the name is remembered. The store is a file; the only kind here, and what DEFAULT means. */
export const CREDENTIAL_STORE_FILENAME = 0x0004;
/** Own. */
export const CREDENTIAL_STORE_DEFAULT = 0x0000;
/** Own number, the name is remembered. A store of the user that Windows keeps: refused here. */
export const CREDENTIAL_STORE_CURRENT_USER = 0x0001;
/** Own number, the name is remembered. A store of the machine that Windows keeps: refused here. */
export const CREDENTIAL_STORE_LOCAL_MACHINE = 0x0002;

/** Own. No cipher. */
export const SECURITY_CIPHER_NONE = 0x0000;
/** Own. AES, in an AEAD mode but with INET_OPTION_SECURE_FALLBACK; the strength tells the key's bits. */
export const SECURITY_CIPHER_AES = 0x0001;
/** Own, the name too. */
export const SECURITY_CIPHER_CHACHA20 = 0x0002;
/** Own. Only with INET_OPTION_SECURE_FALLBACK. */
export const SECURITY_CIPHER_RC4 = 0x0004;
/** Own. DES with three keys. Only with INET_OPTION_SECURE_FALLBACK. */
export const SECURITY_CIPHER_DES3 = 0x0008;

/** Own. No hash. */
export const SECURITY_HASH_NONE = 0x0000;
/** Own. */
export const SECURITY_HASH_SHA256 = 0x0001;
/** Own. */
export const SECURITY_HASH_SHA384 = 0x0002;
/** Own. Only with INET_OPTION_SECURE_FALLBACK. */
export const SECURITY_HASH_SHA1 = 0x0004;
/** Own. Only with INET_OPTION_SECURE_FALLBACK. */
export const SECURITY_HASH_MD5 = 0x0008;

/** Own. No key exchange. */
export const SECURITY_KEYEX_NONE = 0x0000;
/** Own. Diffie-Hellman with fresh keys on an elliptic curve, alone or beside ML-KEM. */
export const SECURITY_KEYEX_ECDHE = 0x0001;
/** Own. Diffie-Hellman with fresh keys in a group of the server's. Only with INET_OPTION_SECURE_FALLBACK. */
export const SECURITY_KEYEX_DH = 0x0002;
/** Own. Encryption with the server's RSA key. Only with INET_OPTION_SECURE_FALLBACK. */
export const SECURITY_KEYEX_RSA = 0x0004;

/** No TLS. 0 … 6 are the numbers of the control's CertificateStatus. */
export const SECURITY_CERTIFICATE_NONE = 0;
export const SECURITY_CERTIFICATE_VALID = 1;
/** Valid, but for another name than the host's. */
export const SECURITY_CERTIFICATE_NOMATCH = 2;
export const SECURITY_CERTIFICATE_EXPIRED = 3;
export const SECURITY_CERTIFICATE_REVOKED = 4;
/** No path to a trusted root. */
export const SECURITY_CERTIFICATE_UNTRUSTED = 5;
/** Damaged, or against the rules for certificates. */
export const SECURITY_CERTIFICATE_INVALID = 6;

/** Own. Nobody who would know has said anything. */
export const SECURITY_REVOCATION_UNKNOWN = 0;
/** Own. The stapled answer of OCSP, or lists of every issuer, say that the certificate was not revoked. */
export const SECURITY_REVOCATION_GOOD = 1;
export const SECURITY_REVOCATION_REVOKED = 2;

/** Own. The handshake was a full one. */
export const SECURITY_RESUMPTION_NONE = 0;
/** Own. A session of an earlier connection was resumed. */
export const SECURITY_RESUMPTION_SESSION = 1;
/** Own. A session was resumed, and the server took the data that came before its answer. */
export const SECURITY_RESUMPTION_EARLY_DATA = 2;
