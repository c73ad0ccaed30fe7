/**
 * How nodes of a simulated cluster can differ from what was promised of them.
 */
import * as Schema from "effect/Schema"

/** Fails a simulation: after these acts, something about the nodes is not as it has to be. */
export class TestClusterError extends Schema.TaggedError<TestClusterError>()("TestClusterError", {
  /** What is wrong. */
  problem: Schema.String,
  /** Draws the same schedule again: the option `seed`, or `SEED` in the environment. */
  seed: Schema.Int,
  /** What was done and when; shrunk, when `check` fails. */
  schedule: Schema.Array(Schema.String),
  /** How many acts the schedule had before it was shrunk. */
  drawn: Schema.Int,
  /** What the nodes have logged, at most the last lines. */
  log: Schema.Array(Schema.String),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const { drawn, log, problem, schedule, seed } = this
    const shrunk = drawn === schedule.length ? "" : `, out of ${drawn}`
    return [
      problem,
      `after ${schedule.length} act(s)${shrunk}`,
      ...schedule.map((line) => `  ${line}`),
      ...(log.length === 0 ? [] : ["logged", ...log.map((line) => `  ${line}`)]),
      `replay: SEED=${seed}`
    ].join("\n")
  }
}
