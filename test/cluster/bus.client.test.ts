import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { load } from "../../src/cluster/internal/bus/client.ts"

const failing = (message: string, code: string) => Object.assign(new Error(message), { code })

const defectOf = Effect.fnUntraced(function* (why: Error) {
  const exit = yield* Effect.exit(load("NatsBus", "@nats-io/transport-node", () => Promise.reject(why)))
  return Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
})

describe("the client of a bus", () => {
  it.effect("is what was imported", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* load("RedisBus", "redis", () => Promise.resolve(1)), 1)
    })
  )

  it.effect("that is not installed is named, and how to install it", () =>
    Effect.gen(function* () {
      const missing = failing(
        "Cannot find package '@nats-io/transport-node' imported from /app/node_modules/effect-rooms/dist/cluster/NatsBus.js",
        "ERR_MODULE_NOT_FOUND"
      )
      const defect = yield* defectOf(missing)
      assert.instanceOf(defect, Error)
      assert.strictEqual(
        defect.message,
        "NatsBus needs the package @nats-io/transport-node, which is not installed: npm install @nats-io/transport-node"
      )
      assert.strictEqual(defect.cause, missing)
    })
  )

  it.effect("that cannot be loaded for another reason dies with that", () =>
    Effect.gen(function* () {
      for (const error of [
        failing(
          "Cannot find package '@nats-io/nats-core' imported from /app/node_modules/@nats-io/transport-node/lib/mod.js",
          "ERR_MODULE_NOT_FOUND"
        ),
        new SyntaxError("Unexpected token '@nats-io/transport-node'")
      ]) {
        assert.strictEqual(yield* defectOf(error), error)
      }
    })
  )
})
