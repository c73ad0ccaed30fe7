/**
 * effect-rooms: what runs everywhere. The WebSocket side for Node servers is `effect-rooms/websocket`.
 */
export * as Channels from "./channels/Channels.ts"
export * as Envelope from "./channels/Envelope.ts"
export * as Subscription from "./channels/Subscription.ts"
export * as Messages from "./Messages.ts"
export * as Presence from "./presence/Presence.ts"
export * as Ref from "./Ref.ts"
export * as Connection from "./rooms/Connection.ts"
export * as Member from "./rooms/Member.ts"
export * as Room from "./rooms/Room.ts"
export * as RoomApi from "./rooms/RoomApi.ts"
export * as RoomError from "./rooms/RoomError.ts"
export * as Rooms from "./rooms/Rooms.ts"
