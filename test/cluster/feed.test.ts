/**
 * What a feed keeps of the nodes it hears.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import { Feed } from "../../src/cluster/internal/feed.ts"
import type { Nodes } from "../../src/cluster/internal/nodes.ts"
import { Seal } from "../../src/cluster/internal/packet.ts"
import type { Refusals } from "../../src/cluster/internal/refusals.ts"
import type { Self } from "../../src/cluster/internal/self.ts"
import * as State from "../../src/cluster/NodesState.ts"

const ages = { downAfter: 9_000, replacedAfter: 4_500, forgetAfter: 600_000 }

/** A feed that has begun, and what it has told of losses. */
const open = () => {
  const lost: Array<number> = []
  const later: Array<() => void> = []
  const feed = new Feed({
    topic: "topic",
    identifier: "red",
    channel: {
      name: "chat",
      epoch: "here",
      deliver: () => {},
      lose: (_: string, missed: number) => void lost.push(missed)
    },
    self: { now: () => 1_000 } as Self,
    seal: new Seal(undefined),
    refusals: {} as Refusals,
    nodes: { get: () => undefined } as unknown as Nodes,
    context: Context.empty(),
    later: (_, task) => void later.push(task),
    patience: 500,
    onGap: () => {}
  })
  feed.begin()
  return { feed, lost }
}

describe("a node that has been down for ten minutes", () => {
  it("is forgotten, and all who keep something of it are told", () => {
    const [up] = State.heard(State.empty, "x", "x", 0, 0)
    const [down, events] = State.expire(up, 10_000, ages)
    assert.deepStrictEqual(
      events.map(({ _tag }) => _tag),
      ["Down"]
    )
    const [gone, told] = State.expire(down, 600_000, ages)
    assert.deepStrictEqual([told.map(({ _tag }) => _tag), gone.size], [["Forgotten"], 0])
  })

  it("is as unknown to a feed as one that it has never heard of", () => {
    const { feed, lost } = open()
    const stretch = { line: 1, first: 5, channel: "there" }
    feed.take("x", stretch, ["1\thello"])
    assert.deepStrictEqual(lost, [0])
    feed.take("x", { ...stretch, first: 6 }, ["2\thello"])
    assert.deepStrictEqual(lost, [0])
    feed.forget("x")
    feed.take("x", { ...stretch, first: 7 }, ["3\thello"])
    assert.deepStrictEqual(lost, [0, 0])
  })
})
