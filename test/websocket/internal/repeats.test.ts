import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { Repeats } from "../../../src/websocket/internal/repeats.ts"

describe("P10, BUG4: Repeats", () => {
  it("the last of too many cuts within the window is one too many", () => {
    const repeats = new Repeats(3, 60_000)
    assert.deepStrictEqual(
      [0, 1, 2, 3].map((now) => repeats.note("alice", now)),
      [false, false, true, true]
    )
  })

  it("cuts of others do not count", () => {
    const repeats = new Repeats(2, 60_000)
    assert.isFalse(repeats.note("alice", 0))
    assert.isFalse(repeats.note("bob", 0))
    assert.isTrue(repeats.note("alice", 0))
  })

  it("a cut is forgotten when it is as old as the window is long", () => {
    const repeats = new Repeats(3, 60_000)
    for (const now of [0, 30_000]) assert.isFalse(repeats.note("alice", now))
    assert.isFalse(repeats.note("alice", 60_000))
    assert.isTrue(repeats.note("alice", 89_999))
  })

  it("any number of clients can be cut; who was cut the longest ago is forgotten", () => {
    const repeats = new Repeats(2, Number.POSITIVE_INFINITY)
    const most = 10_000
    const clients = Array.from({ length: most }, (_, n) => `client ${n}`)
    for (const client of clients) assert.isFalse(repeats.note(client, 0))
    assert.isTrue(repeats.note(clients[0]!, 0))
    // The second is now the one that was cut the longest ago.
    assert.isFalse(repeats.note("one more", 0))
    assert.isFalse(repeats.note(clients[1]!, 0))
    assert.isTrue(repeats.note(clients[0]!, 0))
    assert.isTrue(repeats.note(clients.at(-1)!, 0))
  })

  it("remembers no more than that, however many there are", () => {
    const repeats = new Repeats(2, Number.POSITIVE_INFINITY)
    for (let n = 0; n < 30_000; n++) repeats.note(`client ${n}`, 0)
    assert.strictEqual(repeats.size, 10_000)
  })

  const Cut = Schema.Struct({
    client: Schema.Literals(["alice", "bob"]),
    wait: Schema.Literals([0, 1, 40, 99, 100, 250])
  })
  const cuts = Arbitrary.array(Arbitrary.schema(Cut), { maxLength: 40 })

  it.prop("too many are as many of one client as lie within the window", [cuts], ([list]) => {
    const repeats = new Repeats(3, 100)
    const past: Array<{ readonly client: string; readonly at: number }> = []
    let now = 0
    for (const { client, wait } of list) {
      now += wait
      past.push({ client, at: now })
      const within = past.filter((cut) => cut.client === client && now - cut.at < 100).length
      assert.strictEqual(repeats.note(client, now), within >= 3)
    }
  })
})
