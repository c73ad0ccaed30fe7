/**
 * What this library relies on of Effect and Effect does not promise. Where one of these fails after an update of Effect,
 * the code it names has to be looked at, also when all else passes: what breaks is memory, or a second answer.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Scope from "effect/Scope"
import { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { Duplex } from "node:stream"
import { eventually } from "../support/wsClient.ts"

const leftovers = "Effect listens otherwise to the socket of an upgrade: look at src/websocket/internal/leftovers.ts"
const mark =
  "Effect's requests have another mark of an upgrade: look at markUpgraded in src/websocket/internal/endpoint.ts"
const copy = "Effect's requests are copied otherwise: look at answered in src/websocket/internal/endpoint.ts"
const scopes = "Effect's scopes have another state: look at #joinNow in src/rooms/internal/room.ts"

type App = (
  socket: Duplex,
  request: HttpServerRequest.HttpServerRequest
) => Effect.Effect<HttpServerResponse.HttpServerResponse>

const listener = () => {}
const nothing = () => Effect.void

const stateOf = (request: HttpServerRequest.HttpServerRequest) =>
  (request as unknown as { readonly upgradeState?: { response?: unknown } }).upgradeState

/** Has Effect hear of an upgrade; what it has done when its handler returns, and what is written in the end. */
const upgrade = (app: App) =>
  Effect.gen(function* () {
    const scope = Scope.makeUnsafe()
    const written: Array<string> = []
    const added: Array<string> = []
    const socket = new Duplex({
      read: () => {},
      write: (chunk, _encoding, done) => {
        written.push(String(chunk))
        done()
      }
    })
    socket.on("newListener", (event: string) => void added.push(event))
    const request = Object.assign(new IncomingMessage(socket as Socket), {
      method: "GET",
      url: "/",
      headers: { connection: "Upgrade", upgrade: "websocket" },
      httpVersionMajor: 1,
      httpVersionMinor: 1
    })
    const handled = Effect.flatMap(HttpServerRequest.HttpServerRequest, (serverRequest) => app(socket, serverRequest))
    const handler = yield* NodeHttpServer.makeUpgradeHandler(Effect.die("ws is not asked"), handled, { scope })
    handler(request, socket, Buffer.alloc(0))
    return { added, scope, socket, written }
  })

describe("Effect's handler of upgrades", () => {
  it.effect("listens to close and to error once each, before it returns", () =>
    Effect.gen(function* () {
      const { added } = yield* upgrade(() => Effect.never)
      assert.deepStrictEqual(added.toSorted(), ["close", "error"], leftovers)
    })
  )

  it.effect("listens behind whoever listens while it runs what it serves", () =>
    Effect.gen(function* () {
      const { socket } = yield* upgrade((on) =>
        Effect.andThen(
          Effect.sync(() => on.on("close", listener).on("error", listener)),
          Effect.never
        )
      )
      for (const event of ["close", "error"]) {
        assert.strictEqual(socket.listeners(event).at(-2), listener, leftovers)
      }
    })
  )

  it.effect("interrupts what it serves through the last that listens to close, and through nothing else", () =>
    Effect.gen(function* () {
      for (const isHeard of [true, false]) {
        const gate = Deferred.makeUnsafe<void>()
        let ended: string | undefined
        const { socket } = yield* upgrade(() =>
          Effect.onExit(Effect.as(Effect.interruptible(Deferred.await(gate)), HttpServerResponse.empty()), (exit) =>
            Effect.sync(() => (ended = Exit.isSuccess(exit) ? "by itself" : "interrupted"))
          )
        )
        if (!isHeard) socket.off("close", socket.rawListeners("close").at(-1) as () => void)
        socket.emit("close")
        if (!isHeard) yield* Deferred.succeed(gate, undefined)
        yield* Effect.promise(() => eventually(() => ended !== undefined))
        assert.strictEqual(ended, isHeard ? "interrupted" : "by itself", leftovers)
      }
    })
  )
})

describe("Effect's request of an upgrade", () => {
  it.effect("has the mark that it was upgraded, behind which no answer is written", () =>
    Effect.gen(function* () {
      for (const isMarked of [true, false]) {
        const { scope, written } = yield* upgrade((_socket, request) =>
          Effect.sync(() => {
            const state = stateOf(request)
            assert.isDefined(state, mark)
            assert.isTrue("response" in state && state.response === undefined, mark)
            if (isMarked) state.response = HttpServerResponse.empty({ status: 101 })
            return HttpServerResponse.text("an answer")
          })
        )
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(written.length > 0, !isMarked, mark)
      }
    })
  )

  it.effect("makes copies that have their own response and mark", () =>
    Effect.gen(function* () {
      const seen: Array<HttpServerRequest.HttpServerRequest> = []
      yield* upgrade((_socket, request) =>
        Effect.andThen(
          Effect.sync(() => seen.push(request)),
          Effect.never
        )
      )
      const [request] = seen
      assert.isDefined(request)
      const nobody = new ServerResponse(NodeHttpServerRequest.toIncomingMessage(request) as IncomingMessage)
      const own = request.modify({})
      for (const name of ["response", "upgradeState"]) assert.isTrue(Object.hasOwn(own, name), copy)
      Object.assign(own, { response: nobody, upgradeState: undefined })
      assert.strictEqual(NodeHttpServerRequest.toServerResponse(own), nobody, copy)
      assert.notStrictEqual(NodeHttpServerRequest.toServerResponse(request), nobody, copy)
      assert.isDefined(stateOf(request), copy)
    })
  )
})

describe("Effect's scope", () => {
  it.effect("is open with its one finalizer beside it, and closed", () =>
    Effect.gen(function* () {
      const scope = Scope.makeUnsafe()
      yield* Scope.addFinalizerExit(scope, nothing)
      const { finalizerKey } = scope.state as { readonly finalizerKey?: object }
      assert.isObject(finalizerKey, scopes)
      const state: unknown = scope.state
      assert.deepStrictEqual(state, { _tag: "Open", finalizerKey, finalizer: nothing, finalizers: undefined }, scopes)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(scope.state._tag, "Closed", scopes)
    })
  )

  it("runs a finalizer that was written into it, when it closes and when the one it was forked from does", () => {
    for (const closesParent of [true, false]) {
      let runs = 0
      const parent = Scope.makeUnsafe()
      const own = Scope.forkUnsafe(parent)
      const finalizer = () => Effect.sync(() => void runs++)
      own.state = { _tag: "Open", finalizerKey: own, finalizer, finalizers: undefined }
      const rest = Scope.closeUnsafe(closesParent ? parent : own, Exit.void)
      if (rest !== undefined) Effect.runSync(rest)
      Effect.runSync(Scope.close(parent, Exit.void))
      assert.strictEqual(runs, 1, scopes)
    }
  })
})
