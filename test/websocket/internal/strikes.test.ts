import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { Strikes } from "../../../src/websocket/internal/strikes.ts"

describe("Strikes", () => {
  it("the last of too many within the window is the one that counts", () => {
    const strikes = new Strikes(3, 1000)
    assert.deepStrictEqual(
      [0, 1, 2].map((now) => strikes.strike(now)),
      [false, false, true]
    )
  })

  it("a strike leaves the window when it is as old as the window is long", () => {
    const strikes = new Strikes(2, 1000)
    assert.isFalse(strikes.strike(0))
    assert.isFalse(strikes.strike(1000))
    assert.isTrue(strikes.strike(1999))
  })

  it("a limit of one is reached by the first strike", () => {
    assert.isTrue(new Strikes(1, 1000).strike(5))
  })

  const gaps = Arbitrary.array(Arbitrary.schema(Schema.Literals([0, 1, 30, 99, 100, 250])), { maxLength: 40 })

  it.prop("too many are as many as lie within the window, whatever the times", [gaps], ([waits]) => {
    const strikes = new Strikes(4, 100)
    const times: Array<number> = []
    let now = 0
    for (const wait of waits) {
      now += wait
      times.push(now)
      const within = times.filter((time) => now - time < 100).length
      assert.strictEqual(strikes.strike(now), within >= 4)
    }
  })
})
