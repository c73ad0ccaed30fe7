import { assert, describe, it } from "@effect/vitest"
import { Authenticator, WebSocketRoute } from "effect-rooms/websocket"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { connect, connectRaw, handshake, refused } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

interface User {
  readonly name: string
}

/** Knows two tokens; one of them is not enough. */
const authenticate: Authenticator.Authenticator<User> = ({ token }) => {
  if (token === undefined) return Authenticator.unauthenticated
  switch (Redacted.value(token)) {
    case "alice-token":
      return Effect.succeed({ name: "Alice" })
    case "banned-token":
      return Authenticator.forbidden
    default:
      return Authenticator.unauthenticated
  }
}

const HelloRoute = WebSocketRoute.make("/hello", { incoming: Schema.String, outgoing: Schema.String, authenticate })

const helloLive = (route: typeof HelloRoute) =>
  WebSocketRoute.layer(route, ({ connection, principal, send }) => {
    const user: User = principal
    assert.strictEqual(connection.principal, principal)
    send(`hello ${user.name}`)
    return Effect.void
  })

const HelloLive = helloLive(HelloRoute)
const QueryLive = helloLive({ path: "/query", options: { ...HelloRoute.options, allowQueryToken: true } })

const bearer = (token: string) => `bearer.${Buffer.from(token).toString("base64url")}`

describe("W4, SEC2: authenticate", () => {
  it("without a token the answer is 401 and says what is missing", async () => {
    await using server = await startServer({ routes: HelloLive })
    const { body, headers, status } = await refused(server.url("/hello"))
    assert.strictEqual(status, 401)
    assert.strictEqual(headers["www-authenticate"], "Bearer")
    assert.strictEqual(body, "unauthenticated")
    assert.strictEqual(server.metric("effect_rooms_rejections", { reason: "unauthenticated" }), 1)
  })

  it("with an unknown token the answer is 401, with one that is not enough 403", async () => {
    await using server = await startServer({ routes: HelloLive })
    const answer = async (token: string) =>
      (await refused(server.url("/hello"), { headers: { Authorization: `Bearer ${token}` } })).status
    assert.strictEqual(await answer("wrong"), 401)
    assert.strictEqual(await answer("banned-token"), 403)
    assert.strictEqual(server.metric("effect_rooms_connections"), 0)
  })

  it("takes the token from the Authorization header and gives the handler its principal", async () => {
    await using server = await startServer({ routes: HelloLive })
    using client = await connect(server.url("/hello"), { headers: { Authorization: "Bearer alice-token" } })
    assert.strictEqual(await client.next(), "hello Alice")
  })

  it("SEC3: takes the token from a subprotocol, and echoes another one and never the token", async () => {
    await using server = await startServer({ routes: HelloLive })
    for (const protocols of [
      ["chat.v1", bearer("alice-token")],
      [bearer("alice-token"), "chat.v1"]
    ]) {
      using client = await connect(server.url("/hello"), { protocols })
      assert.strictEqual(client.socket.protocol, "chat.v1")
      assert.strictEqual(await client.next(), "hello Alice")
    }
    using raw = await connectRaw(server.port)
    raw.write(handshake("/hello", { "Sec-WebSocket-Protocol": bearer("alice-token") }))
    await raw.until("hello Alice")
    assert.match(raw.text, /^HTTP\/1.1 101 /)
    assert.notInclude(raw.text.toLowerCase(), "sec-websocket-protocol")
  })

  it("SEC3: takes the token from the query only where the route allows it", async () => {
    await using server = await startServer({ routes: Layer.mergeAll(HelloLive, QueryLive) })
    assert.strictEqual((await refused(server.url("/hello?token=alice-token"))).status, 401)
    assert.strictEqual((await refused(server.url("/query?token=wrong"))).status, 401)
    for (const name of ["token", "access_token"]) {
      using client = await connect(server.url(`/query?${name}=alice-token`))
      assert.strictEqual(await client.next(), "hello Alice")
    }
  })

  it("is not asked about a foreign origin, a bad path or a bad query", async () => {
    let asked = 0
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/:n", {
        params: { n: Schema.NumberFromString.check(Schema.isInt()) },
        query: { q: Schema.optionalKey(Schema.Literal("yes")) },
        incoming: Schema.String,
        outgoing: Schema.String,
        authenticate: () => Effect.sync(() => ++asked)
      }),
      ({ principal, send }) => Effect.sync(() => send(`asked ${principal} time(s)`))
    )
    await using server = await startServer({ routes: Live })
    assert.strictEqual((await refused(server.url("/1"), { origin: "https://evil.example" })).status, 403)
    assert.strictEqual((await refused(server.url("/one"))).status, 400)
    assert.strictEqual((await refused(server.url("/1?q=no"))).status, 400)
    using client = await connect(server.url("/1?q=yes"))
    assert.strictEqual(await client.next(), "asked 1 time(s)")
  })

  it("that dies is answered with 500, which says nothing, and others get in", async () => {
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/dies", {
        incoming: Schema.String,
        outgoing: Schema.String,
        authenticate: () => Effect.die(new Error("the database at 10.0.0.1 is down"))
      }),
      () => Effect.void
    )
    await using server = await startServer({ routes: Layer.mergeAll(Live, HelloLive) })
    const { body, status } = await refused(server.url("/dies"))
    assert.strictEqual(status, 500)
    assert.notInclude(body, "database")
    using client = await connect(server.url("/hello"), { headers: { Authorization: "Bearer alice-token" } })
    assert.strictEqual(await client.next(), "hello Alice")
  })

  it("that throws before it returns an effect is answered with 500", async () => {
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/throws", {
        incoming: Schema.String,
        outgoing: Schema.String,
        authenticate: (): Effect.Effect<string, Authenticator.Denied> => {
          throw new Error("a mistake")
        }
      }),
      () => Effect.void
    )
    await using server = await startServer({ routes: Live })
    assert.strictEqual((await refused(server.url("/throws"))).status, 500)
  })

  it("that hangs is interrupted after the accept timeout and answered with 503", async () => {
    const asked = Promise.withResolvers<void>()
    let interrupted = false
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/hangs", {
        incoming: Schema.String,
        outgoing: Schema.String,
        authenticate: () =>
          Effect.sync(() => asked.resolve()).pipe(
            Effect.andThen(Effect.never),
            Effect.onInterrupt(() => Effect.sync(() => (interrupted = true)))
          )
      }),
      () => Effect.void
    )
    await using server = await startServer({ routes: Live, testClock: true })
    const answer = refused(server.url("/hangs"))
    await asked.promise
    await server.adjust("4999 millis")
    assert.isFalse(interrupted)
    await server.adjust("1 millis")
    const { headers, status } = await answer
    assert.strictEqual(status, 503)
    assert.isDefined(headers["retry-after"])
    assert.isTrue(interrupted)
    assert.strictEqual(server.metric("effect_rooms_connections"), 0)
  })
})

class Language extends Context.Service<Language, string>()("test/Language") {}

const LanguageMiddleware = HttpRouter.middleware<{ provides: Language }>()((app) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const language = request.headers["accept-language"]
    if (language === undefined) return HttpServerResponse.text("say a language", { status: 406 })
    return yield* Effect.provideService(app, Language, language)
  })
)

describe("W4: middleware", () => {
  const Live = WebSocketRoute.layer(
    WebSocketRoute.make("/greet", { incoming: Schema.String, outgoing: Schema.String }),
    Effect.fnUntraced(function* ({ send }) {
      send(`you speak ${yield* Language}`)
    })
  ).pipe(Layer.provide(LanguageMiddleware.layer))

  it("provides services to the handler", async () => {
    await using server = await startServer({ routes: Live })
    using client = await connect(server.url("/greet"), { headers: { "accept-language": "eo" } })
    assert.strictEqual(await client.next(), "you speak eo")
    assert.strictEqual((await client.closed).code, 1000)
  })

  it("can refuse before the upgrade", async () => {
    await using server = await startServer({ routes: Live })
    assert.strictEqual((await refused(server.url("/greet"))).status, 406)
  })
})
