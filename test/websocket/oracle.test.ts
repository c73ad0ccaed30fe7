/**
 * The oracle of the outbound path: under generated schedules, each connection is written the bytes that a naive server
 * writes which sends every frame at once. Turns end when the schedule says so; sockets are in memory.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, Rooms } from "effect-rooms"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { Command, Line } from "../support/NaiveServer.ts"
import type { Way } from "../support/OutboundLink.ts"
import { LineRoom, Place, System } from "../support/OutboundSystem.ts"

const describeCommand = ({ _tag, ...fields }: Command): string => `${_tag} ${JSON.stringify(fields)}`

const check = (way: Way) =>
  Effect.fnUntraced(function* ({ commands }: { readonly commands: ReadonlyArray<Command> }) {
    const scope = yield* Scope.make()
    const channel = yield* Scope.provide(Channels.make({ key: Place, message: Line }), scope)
    const rooms = yield* Scope.provide(Rooms.make(LineRoom), scope)
    const system = new System(way, channel, rooms)
    /** In this turn nothing was so much that it did not wait for the end. */
    let calm = true

    const done: Array<Command> = []
    const step = (action: () => void): void => {
      try {
        action()
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error)
        throw new Error(`${problem}\nafter\n  ${done.map(describeCommand).join("\n  ")}`, { cause: error })
      }
    }
    for (const command of [...commands, { _tag: "EndTurn" } as const]) {
      if ("size" in command && command.size === "large") calm = false
      done.push(command)
      step(() => {
        system.run(command)
        system.compare()
        if (command._tag !== "EndTurn") return
        for (const link of system.links) {
          link.compareAll()
          const writes = link.takeWrites()
          if (calm && !way.slow && way.extensions === "" && writes > 1) assert.fail(`${writes} writes in a turn`)
        }
        calm = true
      })
    }
    step(() => system.compareEnd())
    yield* Scope.close(scope, Exit.void)
  })

const commands = Arbitrary.array(Arbitrary.schema(Command), { maxLength: 60 })
const arbitrary = { runs: 1_000, size: 600, maxShrinks: 5_000, seed: "effect-rooms" }

describe("every connection is written what a server would write that sends every frame at once", () => {
  it.effect.prop("to the raw socket, with one write per turn", { commands }, check({ extensions: "", slow: false }), {
    arbitrary
  })
  it.effect.prop(
    "through ws, which compresses",
    { commands },
    check({ extensions: "permessage-deflate", slow: false }),
    {
      arbitrary
    }
  )
  it.effect.prop(
    "up to the message that is over a bound of its outbox, with which it is closed once",
    { commands },
    check({ extensions: "", slow: true }),
    { arbitrary }
  )
})
