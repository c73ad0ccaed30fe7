/**
 * What a route answers, where it names no reply of its own, to a message that does not fit.
 */
import * as Schema from "effect/Schema"

/**
 * Describes the default reply to a message that was refused: `{ "type": "error", "code", "message" }`.
 *
 * It is sent beside the messages of `outgoing` and is none of them: a typed client decodes the union. A route with an
 * `invalidReply` of its own sends that instead.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { WebSocketRoute } from "effect-rooms/websocket"
 *
 * const Line = Schema.Struct({ type: Schema.Literal("line"), text: Schema.String })
 * const Chat = WebSocketRoute.make("/chat", { incoming: Schema.String, outgoing: Line })
 *
 * const FromServer = Schema.Union([Chat.options.outgoing, WebSocketRoute.ErrorReply])
 * const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.toCodecJson(FromServer)))
 *
 * export const show = (frame: string): string => {
 *   const message = decode(frame)
 *   return message.type === "error" ? `refused (${message.code}): ${message.message}` : message.text
 * }
 * ```
 */
export const ErrorReply = Schema.Struct({
  type: Schema.Literal("error"),
  code: Schema.Literals(["invalid_json", "too_deep", "invalid_message", "rate_limited"]),
  /** What is wrong, in at most 256 characters. */
  message: Schema.String
})

/** The default reply to a message that was refused. */
export type ErrorReply = typeof ErrorReply.Type
