/**
 * Every bound of the WebSocket side, in one record.
 */
import * as Duration from "effect/Duration"

/**
 * Bounds what one server and one connection may use.
 */
export interface Limits {
  /** Bytes of one incoming message; above it the connection closes with 1009. */
  readonly maxMessageBytes: number
  /** Fragments of one incoming message. */
  readonly maxFragments: number
  /** Nesting of one incoming JSON message; deeper ones get an error reply. */
  readonly maxDepth: number
  /** Incoming messages that wait for the handler; then the socket is not read until it catches up. */
  readonly inboxMessages: number
  /** Bytes of incoming messages that wait for the handler; then the socket is not read until it catches up. */
  readonly inboxBytes: number
  /** How long a full inbox may stay unread before the connection closes with 1011. */
  readonly inboxTimeout: Duration.Input
  /** Bytes sent and not taken by the peer; above it the connection closes with 4004. */
  readonly outboxBytes: number
  /** Messages sent and not taken by the peer; above it the connection closes with 4004. */
  readonly outboxMessages: number
  /** Bytes that all connections together may leave untaken; above it those with the most are closed with 4004. */
  readonly outboundBytes: number
  /** Times a client may be closed for being slow within `slowWindow`; the last is 4505, after which it stays away. */
  readonly maxSlowCuts: number
  /** The time over which closes for being slow are counted, by user or else by address. */
  readonly slowWindow: Duration.Input
  /** How long unsent bytes may make no progress before the connection closes with 4004. */
  readonly outboxTimeout: Duration.Input
  /** Invalid messages within `invalidWindow` after which the connection closes with 4500. */
  readonly maxInvalidMessages: number
  /** The time over which invalid messages are counted. */
  readonly invalidWindow: Duration.Input
  /** Silence after which the peer is pinged. */
  readonly pingInterval: Duration.Input
  /** Silence after a ping after which the peer is gone: 4003. */
  readonly pongTimeout: Duration.Input
  /** How long a client may take to send its first valid message, on routes that wait for one; then 4002. */
  readonly helloTimeout: Duration.Input
  /** How long a client may send no valid message before the connection closes with 4506; pongs are none. */
  readonly idleTimeout: Duration.Input
  /** How long the peer may take over the closing handshake before the socket is destroyed. */
  readonly closeTimeout: Duration.Input
  /**
   * How long a handler may run on after its connection is gone: an async one that ignores its signal, and an Effect that
   * has read messages and is busy with something else than waiting for the next.
   */
  readonly handlerTimeout: Duration.Input
  /** Connections of the server; above it upgrades get 503. */
  readonly maxConnections: number
  /**
   * Connections from one address (behind a proxy: what `HttpMiddleware.xForwardedHeaders` says); then 503. IPv6 addresses
   * with the same first 64 bits are one.
   */
  readonly maxConnectionsPerAddress: number
  /** Connections of one user, on all routes that say who that is; then 503. */
  readonly maxConnectionsPerUser: number
  /** Upgrades one address may ask for in the long run, refused ones included; then 503. */
  readonly upgradesPerSecond: number
  /** Upgrades one address may ask for at once after a rest. */
  readonly upgradeBurst: number
  /** Messages a connection may send in the long run; what is over it gets an error reply and is dropped. */
  readonly messagesPerSecond: number
  /** Messages a connection may send at once after a rest. */
  readonly messageBurst: number
  /** Bytes a connection may send in the long run, and at once after a rest. */
  readonly bytesPerSecond: number
  /** How many times the messages and bytes of one connection all connections of one user may send together. */
  readonly userRateFactor: number
  /** Rooms a connection may join in the long run; joining fails above it. */
  readonly joinsPerSecond: number
  /** Rooms a connection may join at once after a rest. */
  readonly joinBurst: number
  /** Rooms a connection may be in; joining fails above it. */
  readonly roomsPerConnection: number
  /**
   * Bytes that may go out because of what one connection has published, all receivers together, in the long run and at
   * once after a rest; above it its messages get an error reply and are dropped until that is made up for.
   */
  readonly fanOutBytesPerSecond: number
  /** Seconds with messages over the rate, within `invalidWindow`, after which the connection closes with 4005. */
  readonly maxRateStrikes: number
  /** How long guards may take to decide about an upgrade; then 503. */
  readonly acceptTimeout: Duration.Input
  /** How long a client may take to send the headers of a request, and a whole request. */
  readonly requestTimeout: Duration.Input
  /** Bytes of the headers of one request. */
  readonly maxHeaderBytes: number
  /** Headers of one request. */
  readonly maxHeaders: number
}

/** The limits of a server that names none. */
export const defaults: Limits = {
  maxMessageBytes: 64 * 1024,
  maxFragments: 64,
  maxDepth: 32,
  inboxMessages: 64,
  inboxBytes: 64 * 1024,
  inboxTimeout: Duration.minutes(1),
  outboxBytes: 1024 * 1024,
  outboxMessages: 1000,
  outboundBytes: 256 * 1024 * 1024,
  maxSlowCuts: 3,
  slowWindow: Duration.minutes(1),
  outboxTimeout: Duration.seconds(10),
  maxInvalidMessages: 10,
  invalidWindow: Duration.minutes(1),
  pingInterval: Duration.seconds(20),
  pongTimeout: Duration.seconds(10),
  helloTimeout: Duration.seconds(5),
  idleTimeout: Duration.infinity,
  closeTimeout: Duration.seconds(5),
  handlerTimeout: Duration.seconds(5),
  maxConnections: 15_000,
  maxConnectionsPerAddress: 100,
  maxConnectionsPerUser: 20,
  upgradesPerSecond: 200,
  upgradeBurst: 400,
  messagesPerSecond: 50,
  messageBurst: 100,
  bytesPerSecond: 256 * 1024,
  userRateFactor: 4,
  joinsPerSecond: 10,
  joinBurst: 20,
  roomsPerConnection: 128,
  fanOutBytesPerSecond: 10 * 1024 * 1024,
  maxRateStrikes: 3,
  acceptTimeout: Duration.seconds(5),
  requestTimeout: Duration.seconds(5),
  maxHeaderBytes: 8 * 1024,
  maxHeaders: 64
}

/** The defaults without bounds on how many connect and how much they send and join: for benchmarks and trusted networks. */
export const trusted: Limits = {
  ...defaults,
  maxConnections: Number.POSITIVE_INFINITY,
  maxConnectionsPerAddress: Number.POSITIVE_INFINITY,
  maxConnectionsPerUser: Number.POSITIVE_INFINITY,
  upgradesPerSecond: Number.POSITIVE_INFINITY,
  upgradeBurst: Number.POSITIVE_INFINITY,
  messagesPerSecond: Number.POSITIVE_INFINITY,
  messageBurst: Number.POSITIVE_INFINITY,
  bytesPerSecond: Number.POSITIVE_INFINITY,
  joinsPerSecond: Number.POSITIVE_INFINITY,
  joinBurst: Number.POSITIVE_INFINITY,
  roomsPerConnection: Number.POSITIVE_INFINITY,
  fanOutBytesPerSecond: Number.POSITIVE_INFINITY
}
