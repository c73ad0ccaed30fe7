/**
 * The subscriptions of a bus against generated commands: whatever is done in whatever order, in quiet the broker has what
 * listeners want, and everybody was told what happened to it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import { Command, TopicsSystem } from "../support/TopicsModel.ts"

const commands = Arbitrary.array(Arbitrary.schema(Command), { maxLength: 80 })
const arbitrary = { runs: 3_000, size: 800, maxShrinks: 5_000, seed: "effect-rooms" }

describe("BUG7, BUG16, BUG17, TRAP3: subscribe × unsubscribe × refusal × loss", () => {
  it.effect.prop(
    "in quiet the broker has the topics that have listeners, and each of them hears a message once",
    { commands },
    (input) =>
      Effect.sync(() => {
        const system = new TopicsSystem()
        const done: Array<string> = []
        try {
          for (const { _tag, ...fields } of input.commands) {
            done.push(`${_tag} ${JSON.stringify(fields)}`)
            system.run({ _tag, ...fields } as Command)
            system.check()
          }
          done.push("quiet")
          system.checkQuiet()
        } catch (error) {
          const problem = error instanceof Error ? error.message : String(error)
          throw new Error(`${problem}\nafter\n  ${done.join("\n  ")}`, { cause: error })
        }
        assert.isAtLeast(done.length, 1)
      }),
    { arbitrary }
  )
})
