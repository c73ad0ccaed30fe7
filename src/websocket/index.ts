/**
 * The WebSocket side for Node servers.
 */
export * as Authenticator from "./Authenticator.ts"
export * as CloseCode from "./CloseCode.ts"
export * as Connections from "./Connections.ts"
export * as EventRouter from "./EventRouter.ts"
export * as EventSource from "./EventSource.ts"
export * as Limits from "./Limits.ts"
export * as RoomsServer from "./RoomsServer.ts"
export * as WebSocketRoute from "./WebSocketRoute.ts"
