import { assert, describe, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as redis from "redis"
import { configOf } from "../../src/cluster/internal/redis/config.ts"
import type { RedisOptions } from "../../src/cluster/internal/redis/options.ts"

/** A variable of the environment that is not set, with an exclamation mark behind it. */
const unset = undefined as unknown as string

const noUrl = "this is no URL of a Redis; it may hold a password, so it is not quoted"

describe("options of RedisBus", () => {
  it.each<[string, RedisOptions]>([
    ["is not set", { url: unset }],
    ["is not set, with TLS", { url: unset, tls: {} }],
    ["is not set, and redacted", { url: Redacted.make(unset) }],
    ["is empty", { url: "" }],
    ["is something else", { url: "http://canary" }],
    ["is no URL", { url: "redis://canary:port" }]
  ])("a URL that %s is refused in words that do not quote it", (_, options) => {
    assert.throws(() => configOf(redis, options), TypeError, noUrl)
  })

  it("a URL with a password has to be redacted", () => {
    assert.throws(() => configOf(redis, { url: "redis://me:canary@localhost" }), TypeError, "wrap it in Redacted.make")
    assert.isTrue(configOf(redis, { url: Redacted.make("redis://me:canary@localhost") }).isLocal)
  })
})
