/**
 * Channels: keyed, typed publish and subscribe.
 */
export * as Channels from "./Channels.ts"
export * as Subscription from "./Subscription.ts"
