import { assert, describe, it } from "@effect/vitest"
import { Authenticator, WebSocketRoute } from "effect-rooms/websocket"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect, connectRaw, handshake, refused } from "../support/wsClient.ts"
import { EchoLive, Room } from "../support/wsRoutes.ts"
import { startServer } from "../support/wsServer.ts"

const SharedRoute = WebSocketRoute.make("/shared/:room", {
  params: { room: Room.ref.schema },
  query: { limit: Schema.optionalKey(Schema.NumberFromString.check(Schema.isInt())) },
  incoming: Schema.String,
  outgoing: Schema.String
})

/** A page and an echo at one path. */
const Shared = WebSocketRoute.layer(
  SharedRoute,
  ({ messages, send }) => Stream.runForEach(messages.stream, (text) => Effect.sync(() => send(text))),
  { otherwise: Effect.succeed(HttpServerResponse.html("<h1>a page</h1>")) }
)

const get = (server: { readonly port: number }, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${server.port}${path}`, init)

const echoes = async (url: string, headers: Record<string, string> = {}): Promise<void> => {
  using client = await connect(url, { headers })
  client.send("hello")
  assert.strictEqual(await client.next(), "hello")
}

describe("a path that a page and a socket share", () => {
  it("answers a plain GET with the page", async () => {
    await using server = await startServer({ routes: Shared })
    const response = await get(server, "/shared/general")
    assert.strictEqual(response.status, 200)
    assert.match(response.headers.get("content-type") ?? "", /^text\/html\b/)
    assert.strictEqual(await response.text(), "<h1>a page</h1>")
  })

  it("answers HEAD with the page's headers and no body", async () => {
    await using server = await startServer({ routes: Shared })
    const response = await get(server, "/shared/general", { method: "HEAD" })
    assert.strictEqual(response.status, 200)
    assert.match(response.headers.get("content-type") ?? "", /^text\/html\b/)
    assert.strictEqual(await response.text(), "")
  })

  it("upgrades a handshake, before and after the page was read", async () => {
    await using server = await startServer({ routes: Shared })
    await echoes(server.url("/shared/general"))
    await (await get(server, "/shared/general")).text()
    await echoes(server.url("/shared/general?limit=20"))
  })

  it("upgrades a handshake on the connection on which the page was read", async () => {
    await using server = await startServer({ routes: Shared })
    using raw = await connectRaw(server.port)
    raw.write("GET /shared/general HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await raw.until("<h1>a page</h1>")
    raw.write(handshake("/shared/general"))
    await raw.until("HTTP/1.1 101 ")
  })

  it("asks of the page none of what it asks of a socket: parameters, origin", async () => {
    await using server = await startServer({ routes: Shared, server: { allowNonBrowsers: false } })
    const foreign = { origin: "https://evil.example" }
    for (const path of ["/shared/_hidden", "/shared/general?limit=many"]) {
      assert.strictEqual((await get(server, path, { headers: foreign })).status, 200)
    }
    const own = { origin: `http://127.0.0.1:${server.port}` }
    assert.strictEqual((await refused(server.url("/shared/_hidden"), { headers: own })).status, 400)
    assert.strictEqual((await refused(server.url("/shared/general?limit=many"), { headers: own })).status, 400)
    assert.strictEqual((await refused(server.url("/shared/general"), { headers: foreign })).status, 403)
    assert.strictEqual((await refused(server.url("/shared/general"))).status, 403)
    await echoes(server.url("/shared/general"), own)
  })

  it("asks of the socket alone who connects", async () => {
    const Guarded = WebSocketRoute.layer(
      WebSocketRoute.make("/guarded", {
        incoming: Schema.String,
        outgoing: Schema.String,
        authenticate: () => Authenticator.unauthenticated
      }),
      () => Effect.never,
      { otherwise: Effect.succeed(HttpServerResponse.text("a page")) }
    )
    await using server = await startServer({ routes: Guarded })
    assert.strictEqual(await (await get(server, "/guarded")).text(), "a page")
    assert.strictEqual((await refused(server.url("/guarded"))).status, 401)
  })

  it.each(["POST", "PUT", "DELETE"])("is no path for %s", async (method) => {
    await using server = await startServer({ routes: Shared })
    assert.strictEqual((await get(server, "/shared/general", { method })).status, 404)
  })

  it("refuses a malformed handshake, for which it has no page", async () => {
    await using server = await startServer({ routes: Shared })
    using raw = await connectRaw(server.port)
    raw.write(handshake("/shared/general", { "Sec-WebSocket-Key": undefined }))
    await raw.ended
    assert.match(raw.text, /^HTTP\/1.1 400 /)
    assert.notInclude(raw.text, "a page")
  })

  it("answers a request for another upgrade with the page, and ends its socket", async () => {
    await using server = await startServer({ routes: Shared })
    using raw = await connectRaw(server.port)
    raw.write(handshake("/shared/general", { Upgrade: "h2c" }))
    await raw.ended
    assert.match(raw.text, /^HTTP\/1.1 200 /)
    assert.include(raw.text, "<h1>a page</h1>")
  })

  it("counts no refusal for the page", async () => {
    await using server = await startServer({ routes: Shared })
    await (await get(server, "/shared/general")).text()
    assert.strictEqual(server.metric("effect_rooms_rejections"), 0)
    assert.strictEqual(server.metric("effect_rooms_connections"), 0)
  })
})

describe("a socket's path without a page", () => {
  it.each(["GET", "HEAD"])("answers a plain %s with 426", async (method) => {
    await using server = await startServer({ routes: Layer.mergeAll(Shared, EchoLive) })
    const response = await get(server, "/echo", { method })
    assert.strictEqual(response.status, 426)
    assert.strictEqual(response.headers.get("upgrade"), "websocket")
  })
})

class Language extends Context.Service<Language, string>()("test/Language") {}

const LanguageMiddleware = HttpRouter.middleware<{ provides: Language }>()((app) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const language = request.headers["accept-language"]
    if (language !== "eo") return HttpServerResponse.text("speak Esperanto", { status: 406 })
    const response = yield* Effect.provideService(app, Language, language)
    return HttpServerResponse.setHeader(response, "content-language", language)
  })
)

describe("middleware of a path that a page and a socket share", () => {
  const Live = WebSocketRoute.layer(
    WebSocketRoute.make("/greet", { incoming: Schema.String, outgoing: Schema.String }),
    Effect.fnUntraced(function* ({ send }) {
      send(`a socket in ${yield* Language}`)
    }),
    { otherwise: Effect.map(Language, (language) => HttpServerResponse.text(`a page in ${language}`)) }
  ).pipe(Layer.provide(LanguageMiddleware.layer))

  it("provides services to both, and sees the page's answer", async () => {
    await using server = await startServer({ routes: Live })
    const response = await get(server, "/greet", { headers: { "accept-language": "eo" } })
    assert.strictEqual(await response.text(), "a page in eo")
    assert.strictEqual(response.headers.get("content-language"), "eo")
    using client = await connect(server.url("/greet"), { headers: { "accept-language": "eo" } })
    assert.strictEqual(await client.next(), "a socket in eo")
  })

  it("can refuse both", async () => {
    await using server = await startServer({ routes: Live })
    const headers = { "accept-language": "en" }
    assert.strictEqual((await get(server, "/greet", { headers })).status, 406)
    assert.strictEqual((await refused(server.url("/greet"), { headers })).status, 406)
  })
})
