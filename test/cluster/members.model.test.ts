/**
 * Members of three nodes under generated joins, leaves, partitions and losses: once all is well again, every node knows
 * of all members, and of nobody else.
 */
import { assert, describe, it } from "@effect/vitest"
import { MemoryBus } from "effect-rooms/cluster"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import { boardNode, namesOf } from "../support/boardNodes.ts"
import { Place } from "../support/rooms.ts"
import { inVirtualTime } from "../support/virtual.ts"

const names = ["a", "b", "c"] as const
const rooms = ["red", "blue"] as const
const Node = Schema.Literals(names)
const Room = Schema.Literals(rooms)
const Member = Schema.Literals(["alice", "bob"])

const Command = Schema.TaggedUnion({
  Join: { node: Node, room: Room, member: Member, data: Schema.Literals(["one", "two"]) },
  Leave: { node: Node, room: Room, member: Member },
  Close: { node: Node, room: Room },
  Lose: { percent: Schema.Literals([0, 30]) },
  Part: { from: Node, to: Node },
  Heal: {},
  Wait: { millis: Schema.Literals([1, 60, 700, 11_000]) }
})
type Command = typeof Command.Type

const check = Effect.fnUntraced(function* (commands: ReadonlyArray<Command>) {
  const network = yield* MemoryBus.make({ latency: { min: 1, max: 40 } })
  const nodes = yield* Effect.forEach(names, (name) => boardNode(network, name))
  const at = (node: string, room: string) => nodes.find(({ name }) => name === node)!.rooms.get(Place.ref.make(room))

  const run = (command: Command): Effect.Effect<unknown, unknown> => {
    switch (command._tag) {
      case "Join":
        return at(command.node, command.room).open(command.data, { as: { id: command.member } })
      case "Leave":
        return at(command.node, command.room).leave({ id: command.member })
      case "Close":
        return at(command.node, command.room).close("closed")
      case "Lose":
        return network.set({ loss: command.percent / 100 })
      case "Part":
        return command.from === command.to ? Effect.void : network.partition(command.from, command.to)
      case "Heal":
        return network.heal()
      case "Wait":
        return Effect.sleep(command.millis)
    }
  }
  for (const command of commands) yield* run(command)
  yield* network.heal()
  yield* network.set({ loss: 0 })
  yield* Effect.sleep("15 seconds")

  for (const room of rooms) {
    const known = yield* Effect.forEach(names, (name) => namesOf(at(name, room), nodes))
    const true_ = yield* Effect.forEach(names, (name) =>
      Effect.map(at(name, room).members, (members) => members.map(({ data, id }) => `${name} ${id} ${data}`))
    )
    const everybody = true_.flat().toSorted()
    for (const [index, some] of known.entries()) {
      assert.deepStrictEqual(Array.from(some).toSorted(), everybody, `what ${names[index]} knows of ${room}`)
      assert.strictEqual((yield* at(names[index]!, room).count).members, everybody.length)
    }
  }
})

describe("TRAP5, P8: members of three nodes", () => {
  it.effect.prop(
    "are the same for all of them once the network is well, whatever it was before",
    { commands: Arbitrary.array(Arbitrary.schema(Command), { maxLength: 25 }) },
    ({ commands }) => inVirtualTime(Effect.scoped(check(commands)), 20).pipe(Effect.provide(Logger.layer([]))),
    { arbitrary: { runs: 60, seed: "members of three nodes" } }
  )
})
