/**
 * Why a presence could not be set.
 */
import * as Schema from "effect/Schema"

/**
 * Fails setting a presence; nothing was changed. What was refused is not repeated: it may come from outside.
 *
 * - `"metaInvalid"`: the metadata does not match its schema.
 * - `"metaTooLarge"`: the metadata takes more than `limit` bytes as JSON.
 * - `"badDevice"`: the name of the device is empty or longer than `limit` characters.
 * - `"tooManyDevices"`: the user has `limit` devices in the room.
 * - `"full"`: there are `limit` devices in all rooms together.
 */
export class PresenceError extends Schema.TaggedError<PresenceError>()("PresenceError", {
  reason: Schema.Literals(["metaInvalid", "metaTooLarge", "badDevice", "tooManyDevices", "full"]),
  limit: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    return explanations[this.reason](this.limit ?? 0)
  }
}

const explanations = {
  metaInvalid: () => "the metadata does not match its schema",
  metaTooLarge: (limit: number) => `the metadata takes more than ${limit} bytes`,
  badDevice: (limit: number) => `a device is named by 1 to ${limit} characters`,
  tooManyDevices: (limit: number) => `the user has ${limit} devices in the room, the most that is allowed`,
  full: (limit: number) => `there are ${limit} devices in all rooms, the most that is allowed`
} as const
