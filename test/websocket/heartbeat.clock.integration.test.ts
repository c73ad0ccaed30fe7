/**
 * A wall clock that is set: time that passes for connections and presence is another (P6).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { hall, nobody, Online, openEstate, User } from "../support/estate.ts"
import { connect } from "../support/wsClient.ts"

const hour = 3_600_000

/** A client that answers pings, and how to see that it is still everywhere. */
const enter = async (estate: Awaited<ReturnType<typeof openEstate>>, name: string, options = {}) => {
  const client = await connect(estate.server.url(`/estate/${name}`), options)
  assert.strictEqual(await client.next(), "moved in")
  return client
}

describe.each([
  ["forward", hour],
  ["back", -hour]
])("a wall clock set %s by an hour", (_where, millis) => {
  it("evicts nobody from the server, its rooms or presence", async () => {
    await using estate = await openEstate()
    using client = await enter(estate, "alice")
    const before = await estate.census()
    assert.propertyVal(await client.next(), "event", "said", "the census asks whether anybody is there")
    const entry = () =>
      estate.server
        .run(Effect.flatMap(Online, (online) => online.get(hall, User.ref`alice`)))
        .then(Option.getOrUndefined)
    const wall = await estate.server.run(Clock.currentTimeMillis)
    estate.jump(millis)
    assert.strictEqual(await estate.server.run(Clock.currentTimeMillis), wall + millis)
    for (let n = 0; n < 8; n++) {
      await estate.server.adjust("19 seconds")
      // What comes after a pong shows that it has arrived.
      client.send("here")
      assert.strictEqual(await client.next(), "here")
    }
    assert.deepStrictEqual(await estate.census(), before)
    assert.strictEqual((await entry())?.unstable, false)
  })

  it("keeps nobody who is silent longer than they would have been", async () => {
    await using estate = await openEstate()
    using client = await enter(estate, "alice", { autoPong: false })
    await estate.server.adjust("15 seconds")
    estate.jump(millis)
    await estate.server.adjust("14 seconds")
    assert.strictEqual((await estate.census())["peers"], 1)
    await estate.server.adjust("2 seconds")
    assert.strictEqual((await client.closed).code, 4003)
    estate.jump(millis)
    await estate.server.adjust("20 seconds")
    assert.deepStrictEqual(await estate.census(), nobody)
  })

  it("neither gives nor takes messages", async () => {
    await using estate = await openEstate({ messagesPerSecond: 1, messageBurst: 2 })
    using client = await enter(estate, "alice")
    for (let n = 0; n < 2; n++) client.send("burst")
    assert.deepStrictEqual(await client.take(2), ["burst", "burst"])
    estate.jump(millis)
    client.send("too much")
    assert.propertyVal(await client.next(), "code", "rate_limited")
    await estate.server.adjust("1 second")
    client.send("later")
    assert.strictEqual(await client.next(), "later")
  })
})
