/**
 * How rooms can differ from what was promised of them.
 */
import * as Formatter from "effect/Formatter"
import * as Schema from "effect/Schema"

/** Fails a check of rooms: after these commands, something about them is not what the model says. */
export class RoomModelError extends Schema.TaggedError<RoomModelError>()("RoomModelError", {
  /** The commands up to the one that shows it, which is the last; shrunk, when `check` fails. */
  commands: Schema.Array(Schema.String),
  /** What was looked at, such as `members of red`. */
  observable: Schema.String,
  expected: Schema.Unknown,
  actual: Schema.Unknown,
  /** What was logged meanwhile, at most the last lines; empty where the logger is not that of `check`. */
  log: Schema.Array(Schema.String),
  /** Makes `check` run this failure alone, as the option `replay`. */
  replay: Schema.optionalKey(Schema.String),
  /** What an invariant, handler or policy failed with. */
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return [
      this.observable,
      `  expected: ${show(this.expected)}`,
      `  actual:   ${show(this.actual)}`,
      `after ${this.commands.length} command(s)`,
      ...this.commands.map((command) => `  ${command}`),
      ...(this.log.length > 0 ? ["logged", ...this.log.map((line) => `  ${line}`)] : []),
      ...(this.replay === undefined ? [] : [`replay: ${this.replay}`])
    ].join("\n")
  }
}

const show = (value: unknown): string => (typeof value === "string" ? value : Formatter.format(value))
