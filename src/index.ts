/**
 * effect-rooms: what runs everywhere. The WebSocket side for servers is `effect-rooms/websocket`.
 */
export * as Channels from "./channels/Channels.ts"
export * as Subscription from "./channels/Subscription.ts"
export * as Ref from "./Ref.ts"
