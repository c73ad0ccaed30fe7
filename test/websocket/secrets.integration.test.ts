import { assert, describe, it } from "@effect/vitest"
import { Authenticator, WebSocketRoute } from "effect-rooms/websocket"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { HttpMiddleware } from "effect/http"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import { connect, refused } from "../support/wsClient.ts"
import { startServer, type TestServer } from "../support/wsServer.ts"

const canary = "canary-8d1f0c"
const encoded = Buffer.from(canary).toString("base64url")

/** Lets the canary in, and ends as the query says. */
const SecretLive = WebSocketRoute.layer(
  WebSocketRoute.make("/secret", {
    query: { end: Schema.optionalKey(Schema.String) },
    incoming: Schema.String,
    outgoing: Schema.String,
    allowQueryToken: true,
    authenticate: ({ token }) =>
      token === undefined
        ? Authenticator.unauthenticated
        : Redacted.value(token) === canary
          ? Effect.succeed("Alice")
          : Authenticator.forbidden
  }),
  ({ query, send }) => {
    send("hello")
    return query.end === "die" ? Effect.die(new Error("a defect of the handler")) : Effect.void
  }
)

/** Everything an operator could read: log lines with their causes, and spans with names, attributes and events. */
const written = (server: Pick<TestServer<never>, "logs" | "spans">): string => {
  const lines = server.logs.map(({ cause, message }) => inspect(message, { depth: 10 }) + Cause.pretty(cause))
  const spans = server.spans.map(({ attributes, events, name, status }) =>
    inspect({ name, attributes: [...attributes], events, status }, { depth: 10 })
  )
  return [...lines, ...spans].join("\n")
}

describe("SEC4, K11: a token", () => {
  const ways: ReadonlyArray<readonly [string, string, Parameters<typeof connect>[1]]> = [
    ["in the Authorization header", "/secret", { headers: { Authorization: `Bearer ${canary}` } }],
    ["in a subprotocol", "/secret", { protocols: ["chat", `bearer.${encoded}`] }],
    ["in the query as token", `/secret?token=${canary}`, {}],
    ["in the query as access_token", `/secret?access_token=${canary}&x=1`, {}],
    ["of a handler that dies", `/secret?token=${canary}&end=die`, {}]
  ]

  it.each(ways)("%s is in no log line and no span", async (_way, path, options) => {
    await using server = await startServer({ routes: SecretLive, requestLog: true })
    using client = await connect(server.url(path), options ?? {})
    assert.strictEqual(await client.next(), "hello")
    await client.closed
    await server.stop()
    const text = written(server)
    assert.include(text, "/secret", "the log and the spans were recorded")
    assert.notInclude(text, canary)
    assert.notInclude(text, encoded)
  })

  it.each(ways)("%s is in no span of an application that records headers", async (_way, path, options) => {
    // Other headers, such as the handshake's key, are shown.
    const services = Layer.succeed(HttpMiddleware.TracerHeaderFilter, () => true)
    await using server = await startServer({ routes: SecretLive, services, requestLog: true })
    const cookie = { Cookie: `session=${canary}` }
    using client = await connect(server.url(path), { ...options, headers: { ...cookie, ...options?.headers } })
    await client.closed
    await server.stop()
    const text = written(server)
    assert.include(text, "sec-websocket-key")
    assert.notInclude(text, canary)
    assert.notInclude(text, encoded)
  })

  const names = ["token", "access_token", "ticket", "auth", "key", "jwt", "authorization", "Token", "ACCESS_TOKEN"]

  it.each(names)("in a query that is refused, under the name %s, is in no log line and no span", async (name) => {
    await using server = await startServer({ routes: SecretLive, requestLog: true })
    const { body } = await refused(server.url(`/secret?${name}=x${canary}`))
    assert.notInclude(body, canary)
    const page = await fetch(`http://127.0.0.1:${server.port}/nowhere?${name}=${canary}`)
    assert.strictEqual(page.status, 404)
    await server.stop()
    const text = written(server)
    assert.include(text, "/nowhere")
    assert.notInclude(text, canary)
  })

  it("in the cookie of a handshake is in no log line and no span", async () => {
    await using server = await startServer({ routes: SecretLive, requestLog: true })
    await refused(server.url("/secret"), { headers: { Cookie: `session=${canary}` } })
    await server.stop()
    assert.include(written(server), "/secret")
    assert.notInclude(written(server), canary)
  })
})

/** Waits for a word, and ends the way the test wants. */
const failing = (fail: () => Effect.Effect<void, unknown>) =>
  WebSocketRoute.layer(
    WebSocketRoute.make("/fails", { incoming: Schema.String, outgoing: Schema.String }),
    ({ messages }) => Effect.andThen(Effect.ignore(messages.take), Effect.suspend(fail))
  )

describe("SEC23: what a client is told about a failure", () => {
  it.each([
    ["dies", () => Effect.die(new Error(`at /srv/app.ts with ${canary}`))],
    ["fails", () => Effect.fail({ _tag: "DatabaseError", host: canary })],
    [
      "throws",
      () => {
        throw new Error(canary)
      }
    ]
  ] as const)("is an id that is also in the log, when the handler %s", async (_how, fail) => {
    await using server = await startServer({ routes: failing(fail) })
    using client = await connect(server.url("/fails"))
    client.send(canary)
    const { code, reason } = await client.closed
    assert.strictEqual(code, 1011)
    assert.notInclude(reason, canary)
    assert.match(reason, /^internal error in [\w-]+$/)
    assert.isAtMost(Buffer.byteLength(reason), 123)
    await server.stop()
    assert.strictEqual(server.logs.filter(({ cause }) => Cause.pretty(cause).includes(canary)).length, 1)
  })

  it.each(["x".repeat(500), "é".repeat(100), "🚀".repeat(60), "a" + "🚀".repeat(60), "\ud800".repeat(100)])(
    "a reason the handler gives is cut to 123 bytes of well-formed text (%#)",
    async (long) => {
      const Live = WebSocketRoute.layer(
        WebSocketRoute.make("/long", { incoming: Schema.String, outgoing: Schema.String }),
        ({ connection }) =>
          Effect.andThen(
            Effect.sync(() => connection.close(4321, long)),
            Effect.never
          )
      )
      await using server = await startServer({ routes: Live })
      using client = await connect(server.url("/long"))
      const { code, reason } = await client.closed
      assert.strictEqual(code, 4321)
      const bytes = Buffer.byteLength(reason)
      assert.isTrue(bytes <= 123 && bytes >= 119, `${bytes} bytes`)
      assert.isTrue(long.toWellFormed().startsWith(reason))
    }
  )

  it.each([0, 999, 1005, 1006, 1015, 2999, 5000, 1.5, Number.NaN])(
    "a close code nobody may send, such as %d, becomes 1000",
    async (invalid) => {
      const Live = WebSocketRoute.layer(
        WebSocketRoute.make("/code", { incoming: Schema.String, outgoing: Schema.String }),
        ({ connection }) =>
          Effect.andThen(
            Effect.sync(() => connection.close(invalid)),
            Effect.never
          )
      )
      await using server = await startServer({ routes: Live })
      using client = await connect(server.url("/code"))
      assert.strictEqual((await client.closed).code, 1000)
    }
  )
})
