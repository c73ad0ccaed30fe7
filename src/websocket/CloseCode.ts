/**
 * The close codes this library uses. The range says what a client does: 4000–4499 connect again, 4500–4999 do not.
 * `docs/protocol.md` explains each.
 */

/** The peer, or a handler that came to its end, closed. */
export const normal = 1000
/** A handler interrupted itself. */
export const goingAway = 1001
/** A binary message on a route that takes text. */
export const unsupportedData = 1003
/** A handler failed or died, or left its inbox unread. */
export const internalError = 1011
/** The server stops; the reason carries `retryInMs=<n>`. Connect again after that time. */
export const serviceRestart = 1012
/** No valid message came within `helloTimeout`, on a route that waits for one. Connect again. */
export const helloTimeout = 4002
/** Nothing was heard for `pingInterval` and `pongTimeout`. Connect again. */
export const noPong = 4003
/** The client takes what it is sent too slowly. Connect again. */
export const slowConsumer = 4004
/** The client sends more than its rate. Connect again. */
export const rateLimited = 4005
/** Too many invalid messages. Do not connect again. */
export const badProtocol = 4500
/** The application closed the connection from outside of its handler. Do not connect again. */
export const kicked = 4504
/** The client was cut for being slow several times within a short time. Do not connect again. */
export const repeatedlySlow = 4505
/** No valid message came for `idleTimeout`. Do not connect again before there is something to say. */
export const idle = 4506
