/**
 * Functions that wait to be called once.
 */
import { assert, describe, it } from "@effect/vitest"
import { Callbacks } from "../../../src/websocket/internal/callbacks.ts"

const names = ["a", "b", "c"] as const

const make = () => {
  const callbacks = new Callbacks<string>()
  const called: Array<string> = []
  const off = names.map((name) => callbacks.add((value) => called.push(name + value)))
  return { callbacks, called, off }
}

describe("callbacks", () => {
  it("are called in the order in which they came, and once", () => {
    const { called, callbacks } = make()
    callbacks.call("1")
    callbacks.call("2")
    assert.deepStrictEqual(called, ["a1", "b1", "c1"])
  })

  for (const [index, name] of names.entries()) {
    it(`are called without the one that was called off: ${name}`, () => {
      const { called, callbacks, off } = make()
      off[index]!()
      off[index]!()
      callbacks.add((value) => called.push("d" + value))
      callbacks.call("")
      assert.deepStrictEqual(
        called,
        [...names, "d"].filter((each) => each !== name)
      )
    })
  }

  it("can call each other off while they are called, and themselves", () => {
    const callbacks = new Callbacks<void>()
    const called: Array<string> = []
    const offA = callbacks.add(() => {
      called.push("a")
      offA()
      offB()
    })
    const offB = callbacks.add(() => called.push("b"))
    callbacks.add(() => called.push("c"))
    callbacks.call()
    assert.deepStrictEqual(called, ["a", "c"])
  })
})
