import { assert, describe, it } from "@effect/vitest"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { connect, connectRaw, eventually, handshake, refused, serverFrames, signal } from "../support/wsClient.ts"
import { EchoLive } from "../support/wsRoutes.ts"
import { startServer } from "../support/wsServer.ts"

/** The server of `fixtures/server.ts` in a process of its own. */
class ServerProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly lines: Array<string> = []
  readonly port: Promise<number>
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>
  errors = ""

  constructor(kind: "polite" | "stubborn") {
    const script = fileURLToPath(new URL("./fixtures/server.ts", import.meta.url))
    this.#child = spawn(process.execPath, ["--conditions=effect-rooms-source", script, kind], {
      stdio: ["ignore", "pipe", "pipe"]
    })
    this.#child.stderr!.on("data", (chunk) => (this.errors += String(chunk)))
    const lines = createInterface(this.#child.stdout!)
    this.port = new Promise((resolve, reject) => {
      lines.on("line", (line) => {
        this.lines.push(line)
        if (line.startsWith("port ")) resolve(Number(line.slice(5)))
      })
      this.#child.on("close", () => reject(new Error(`no port: ${this.errors}`)))
    })
    // The lines end in their own time, which may be after the process.
    const ended = once(lines, "close")
    this.exited = new Promise((resolve) =>
      this.#child.on("close", (code, name) => void ended.then(() => resolve({ code, signal: name })))
    )
  }

  kill(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL")
    await this.exited
  }
}

/** What a process ends with that `NodeRuntime` has interrupted by SIGTERM. */
const interruptedExit = { code: 130, signal: null }

describe("K3, BUG25: SIGTERM", () => {
  it("tells 500 clients when to come back, behind what was sent, and the process exits well within its time", async () => {
    await using server = new ServerProcess("polite")
    const url = `ws://127.0.0.1:${await server.port}/feed`
    const clients = await Promise.all(Array.from({ length: 500 }, () => connect(url)))
    await Promise.all(
      clients.map((client) => {
        client.send(20)
        return client.next()
      })
    )
    const before = performance.now()
    server.kill("SIGTERM")
    const closes = await Promise.all(clients.map((client) => client.closed))
    assert.deepStrictEqual(await server.exited, interruptedExit)
    const took = Math.round(performance.now() - before)
    console.log(`500 clients: exit ${took} ms after SIGTERM`)
    assert.isBelow(took, 5000)

    const retries = closes.map(({ code, reason }) => {
      assert.strictEqual(code, 1012)
      return Number(/^retryInMs=(\d+)$/.exec(reason)?.[1])
    })
    for (const retry of retries) assert.isTrue(retry >= 0 && retry <= 5000, String(retry))
    assert.isAbove(new Set(retries).size, 300, "the clients are spread over the time")
    for (const client of clients)
      assert.deepStrictEqual(
        client.messages,
        Array.from({ length: 20 }, (_, n) => n)
      )
    assert.include(server.lines, "500 left", "every handler's finalizers ran")
    assert.strictEqual(server.errors, "")
  })

  it("does not wait longer than the drain timeout for clients that never answer", async () => {
    await using server = new ServerProcess("polite")
    const port = await server.port
    const raws = await Promise.all(Array.from({ length: 20 }, () => connectRaw(port)))
    for (const raw of raws) {
      raw.write(handshake("/feed"))
      await raw.until("\r\n\r\n")
    }
    const before = performance.now()
    server.kill("SIGTERM")
    assert.deepStrictEqual(await server.exited, interruptedExit)
    const took = Math.round(performance.now() - before)
    console.log(`20 clients that never answer: exit ${took} ms after SIGTERM`)
    assert.isBelow(took, 5000)
    for (const raw of raws) {
      const [close] = serverFrames(raw.received)
      assert.strictEqual(close?.payload.readUInt16BE(0), 1012)
      raw.socket.destroy()
    }
    assert.include(server.lines, "20 left")
  })

  it("does not wait longer than the handler timeout for async handlers that ignore their signal", async () => {
    await using server = new ServerProcess("stubborn")
    const url = `ws://127.0.0.1:${await server.port}/feed`
    using client = await connect(url)
    client.send(1)
    await client.next()
    const before = performance.now()
    server.kill("SIGTERM")
    assert.strictEqual((await client.closed).code, 1012)
    assert.deepStrictEqual(await server.exited, interruptedExit)
    const took = Math.round(performance.now() - before)
    console.log(`a handler that never ends: exit ${took} ms after SIGTERM`)
    assert.isBelow(took, 5000)
  })

  it.each([
    ["has sent nothing", ""],
    ["has sent half a request", "GET /feed HTTP/1.1\r\n"]
  ])("does not wait for a TCP client that %s", async (_what, request) => {
    await using server = new ServerProcess("polite")
    const port = await server.port
    using raw = await connectRaw(port)
    raw.write(request)
    // A second connection that is answered shows that the server has the first one.
    using client = await connect(`ws://127.0.0.1:${port}/feed`)
    client.send(1)
    await client.next()
    server.kill("SIGTERM")
    assert.strictEqual((await client.closed).code, 1012)
    assert.deepStrictEqual(await server.exited, interruptedExit)
  })
})

describe("a stop of the server", () => {
  it("refuses upgrades with 503 while it drains, and still answers pages", async () => {
    let asked = 0
    const Guarded = WebSocketRoute.layer(
      WebSocketRoute.make("/guarded", {
        incoming: Schema.String,
        outgoing: Schema.String,
        authenticate: () => Effect.sync(() => ++asked)
      }),
      () => Effect.void
    )
    const routes = Layer.mergeAll(Guarded, EchoLive)
    await using server = await startServer({ routes, server: { drain: { timeout: "10 seconds" } } })
    using silent = await connectRaw(server.port)
    silent.write(handshake("/echo"))
    await silent.until("\r\n\r\n")
    const stopped = server.stop()
    await eventually(() => serverFrames(silent.received).length > 0)
    const { headers, status } = await refused(server.url("/guarded"))
    assert.strictEqual(status, 503)
    assert.isDefined(headers["retry-after"])
    assert.strictEqual(asked, 0, "no guard is asked in vain")
    assert.strictEqual((await fetch(`http://127.0.0.1:${server.port}/echo`)).status, 426)
    silent.socket.destroy()
    await stopped
  })

  it("refuses with 503 an upgrade whose guard was still deciding", async () => {
    const asked = signal()
    const gate = Deferred.makeUnsafe<void>()
    let handled = 0
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/slow", {
        incoming: Schema.String,
        outgoing: Schema.String,
        authenticate: () =>
          Effect.andThen(
            Effect.sync(() => asked.fire()),
            Deferred.await(gate)
          )
      }),
      () => Effect.sync(() => handled++)
    )
    const routes = Layer.mergeAll(Live, EchoLive)
    await using server = await startServer({ routes, server: { drain: { timeout: "10 seconds" } } })
    using silent = await connectRaw(server.port)
    silent.write(handshake("/echo"))
    await silent.until("\r\n\r\n")
    const answer = refused(server.url("/slow"))
    await asked.promise
    const stopped = server.stop()
    await eventually(() => serverFrames(silent.received).length > 0)
    Deferred.doneUnsafe(gate, Effect.void)
    assert.strictEqual((await answer).status, 503)
    silent.socket.destroy()
    await stopped
    assert.strictEqual(handled, 0)
  })

  it("destroys the sockets of clients that do not answer after the drain timeout, not before", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true })
    using silent = await connectRaw(server.port)
    silent.write(handshake("/echo"))
    await silent.until("\r\n\r\n")
    // Time runs 5 ms at a time while the server stops.
    await server.stop()
    await silent.ended
    const [close] = serverFrames(silent.received)
    assert.match(String(close?.payload.subarray(2)), /^retryInMs=\d+$/)
    assert.strictEqual(server.metric("effect_rooms_closes", { code: "1012" }), 1)
    const now = await server.run(Effect.clockWith((clock) => clock.currentTimeMillis))
    assert.isTrue(now >= 2000 && now < 2500, `stopped at ${now} ms`)
  })

  it("lets handlers say goodbye to others, and delivers nothing after the close", async () => {
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/bye", { incoming: Schema.String, outgoing: Schema.String }),
      Effect.fnUntraced(function* ({ messages, send }) {
        send("first")
        yield* Effect.addFinalizer(() => Effect.sync(() => assert.isFalse(send("too late"))))
        yield* Stream.runDrain(messages.stream)
      })
    )
    await using server = await startServer({ routes: Live })
    using client = await connect(server.url("/bye"))
    await client.next()
    await server.stop()
    assert.strictEqual((await client.closed).code, 1012)
    assert.deepStrictEqual(client.messages, ["first"])
    assert.strictEqual(server.metric("effect_rooms_handler_failures"), 0)
  })

  it("is held up no longer than the handler timeout by a handler that waits for something else", async () => {
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/once", { incoming: Schema.String, outgoing: Schema.String }),
      ({ messages, send }) =>
        Effect.andThen(messages.take, (name) => Effect.sync(() => send(name))).pipe(Effect.andThen(Effect.never))
    )
    await using server = await startServer({ routes: Live, testClock: true })
    using client = await connect(server.url("/once"))
    client.send("Alice")
    await client.next()
    await server.stop()
    const now = await server.run(Effect.clockWith((clock) => clock.currentTimeMillis))
    assert.isAtMost(now, 8000)
  })

  it.each([
    ["has sent nothing", ""],
    ["has sent half a request", "GET /echo HTTP/1.1\r\n"],
    ["waits between two requests", "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"]
  ])("leaves no socket open of a TCP client that %s", async (_what, request) => {
    await using server = await startServer({ routes: EchoLive })
    using raw = await connectRaw(server.port)
    raw.write(request)
    using client = await connect(server.url("/echo"))
    client.send("the server has the first connection")
    await client.next()
    await server.stop()
    const open = await new Promise<number>((resolve) => server.node.getConnections((_error, count) => resolve(count)))
    assert.strictEqual(open, 0)
    await raw.ended
  })

  it("leaves no socket open of an upgrade that comes when nobody serves any more", async () => {
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/stubborn", { incoming: Schema.String, outgoing: Schema.String }),
      async ({ send }) => {
        send("ready")
        await new Promise(() => {})
      }
    )
    await using server = await startServer({ routes: Layer.mergeAll(Live, EchoLive), testClock: true })
    const request = handshake("/echo")
    using raw = await connectRaw(server.port)
    raw.write(request.slice(0, 20))
    using client = await connect(server.url("/stubborn"))
    await client.next()
    // The handler holds the stop for five seconds of the server's time, a few milliseconds of which pass in each turn.
    const stopped = server.stop()
    await eventually(() => !server.node.listening)
    raw.write(request.slice(20))
    await stopped
    const open = await new Promise<number>((resolve) => server.node.getConnections((_error, count) => resolve(count)))
    assert.strictEqual(open, 0)
  })
})
