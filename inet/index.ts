/**
 * InetConnect and its family, as SocketWrench 11 names them: blocking calls on handles, on tunwire's own stack. Every function
 * leaves its reason with {@link InetGetLastError}, one per thread, when it fails.
 */

export type { Signer } from '../tls/client.ts';
export { MemorySessionStore, type SessionStore } from '../tls/session.ts';
export { InetAttachThread, InetGetCurrentThread } from './attach-thread.ts';
export { InetCancel, InetFlush } from './cancel.ts';
export { InetConnect, InetConnectEx } from './connect.ts';
export { InetConnectUrl } from './connect-url.ts';
export * from './constants.ts';
export {
  InetCreateSecurityCredentials,
  InetDeleteSecurityCredentials,
  InetValidateSecurityCredentials,
  type SECURITYCREDENTIALS,
  SECURITYCREDENTIALS_SIZE,
} from './credentials.ts';
export { InetAbort, InetDisconnect, InetShutdown } from './disconnect.ts';
export { InetEnableSecurity } from './enable-security.ts';
export {
  INET_ERRORS,
  type InetErrorRow,
  InetGetErrorString,
  InetGetLastError,
  InetGetLastFailure,
  InetSetLastError,
} from './error-codes.ts';
export {
  InetDisableEvents,
  InetEnableEvents,
  type InetEventProc,
  InetFreezeEvents,
  InetRegisterEvent,
} from './events.ts';
export { InetInitialize, InetUninitialize, type InitializeOptions } from './initialize.ts';
export { InetReadLine, InetWriteLine } from './line-io.ts';
export {
  InetGetHostAddress,
  InetGetHostName,
  InetGetLocalName,
  InetHostNameToUnicode,
  InetIsProtocolAvailable,
  InetNormalizeHostName,
} from './names.ts';
export { InetGetOption, InetGetTimeout, InetSetOption, InetSetTimeout } from './options.ts';
export type { OutValue } from './out.ts';
export {
  InetGetSecurityInformation,
  SECURITYINFO,
  SECURITYINFO_SIZE,
} from './security.ts';
export { InetAccept, InetListen, InetReject } from './serve.ts';
export {
  INTERNET_ADDRESS,
  InetGetLocalAddress,
  InetGetPeerAddress,
  InetGetStatus,
  InetIsBlocking,
  InetIsClosed,
  InetIsConnected,
  InetIsReadable,
  InetIsWritable,
} from './state.ts';
export { InetReadStream, InetWriteStream } from './stream-io.ts';
export { InetDisableTrace, InetEnableTrace } from './trace.ts';
export { InetPeek, InetRead, InetReadEx, InetWrite, InetWriteEx } from './transfer.ts';
