/**
 * A server for one test: routes on a port of the system's choosing, its own metrics, a log nobody prints, and a clock
 * the test moves where it asks for one. It lives in a scope of its own, so that clients can outlive it and see it stop.
 */
import { Limits, RoomsServer } from "effect-rooms/websocket"
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { HttpRouter, HttpServer } from "effect/http"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import { createServer, type Server, type ServerOptions } from "node:http"
import { Server as TlsServer } from "node:https"

/** What routes may ask for besides the services of the test. */
type Provided = HttpRouter.HttpRouter | RoomsServer.RoomsServer

export interface StartOptions<Services, R> {
  readonly routes: Layer.Layer<never, never, R>
  /** What handlers need; the test reaches it through `run`. */
  readonly services?: Layer.Layer<Services>
  readonly server?: Partial<RoomsServer.Options>
  /** By default that of `node:http`. */
  readonly createServer?: RoomsServer.CreateServer | undefined
  /** Time stands still until the test moves it. */
  readonly testClock?: boolean
  /** Effect's request logger, off by default. */
  readonly requestLog?: boolean
}

export interface LogLine {
  readonly message: unknown
  readonly cause: Cause.Cause<unknown>
  readonly level: string
}

export class TestServer<Services> implements AsyncDisposable {
  readonly port: number
  readonly node: Server
  readonly logs: ReadonlyArray<LogLine>
  readonly spans: ReadonlyArray<Tracer.NativeSpan>
  readonly #context: Context.Context<Services>
  readonly #scope: Scope.Closeable
  readonly #testClock: boolean
  #stopped: Promise<void> | undefined

  constructor(options: {
    readonly port: number
    readonly node: Server
    readonly logs: ReadonlyArray<LogLine>
    readonly spans: ReadonlyArray<Tracer.NativeSpan>
    readonly context: Context.Context<Services>
    readonly scope: Scope.Closeable
    readonly testClock: boolean
  }) {
    this.port = options.port
    this.node = options.node
    this.logs = options.logs
    this.spans = options.spans
    this.#context = options.context
    this.#scope = options.scope
    this.#testClock = options.testClock
  }

  /** The URL of a WebSocket on this server. */
  url(path: string): string {
    const scheme = this.node instanceof TlsServer ? "wss" : "ws"
    return `${scheme}://127.0.0.1:${this.port}${path}`
  }

  /** Runs an effect with the services, the clock and the metrics of the server. */
  run<A, E>(effect: Effect.Effect<A, E, Services>): Promise<A> {
    return Effect.runPromiseWith(this.#context)(effect)
  }

  adjust(duration: Duration.Input): Promise<void> {
    return Effect.runPromiseWith(this.#context as Context.Context<never>)(TestClock.adjust(duration))
  }

  /** The value of a counter or gauge with these attributes; 0 when nobody has touched it. */
  metric(id: string, attributes: Readonly<Record<string, string>> = {}): number {
    const snapshots = Metric.snapshotUnsafe(this.#context)
    let sum = 0
    for (const metric of snapshots) {
      const fits = Object.entries(attributes).every(([key, value]) => metric.attributes?.[key] === value)
      if (metric.id !== id || !fits) continue
      if (metric.type === "Counter") sum += Number(metric.state.count)
      if (metric.type === "Gauge") sum += Number(metric.state.value)
    }
    return sum
  }

  /** Closes the server's scope; done when all of its finalizers are. With a test clock, time runs meanwhile. */
  stop(): Promise<void> {
    this.#stopped ??= this.#testClock ? this.#stopVirtually() : Effect.runPromise(Scope.close(this.#scope, Exit.void))
    return this.#stopped
  }

  async #stopVirtually(): Promise<void> {
    const progress = { done: false }
    const closed = Effect.runPromiseWith(this.#context as Context.Context<never>)(
      Scope.close(this.#scope, Exit.void)
    ).finally(() => {
      progress.done = true
    })
    while (!progress.done) {
      await new Promise((resolve) => setImmediate(resolve))
      if (!progress.done) await this.adjust("5 millis")
    }
    return closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

/** Starts a server that lets clients without an origin in. */
export const startServer = async <Services = never, R = Provided | Services>(
  options: StartOptions<Services, R>
): Promise<TestServer<Services>> => {
  const logs: Array<LogLine> = []
  const spans: Array<Tracer.NativeSpan> = []
  let node: Server | undefined
  const create = (httpOptions: ServerOptions) => (node = (options.createServer ?? createServer)(httpOptions))
  const recordingLogger = Logger.make<unknown, void>(({ cause, logLevel, message }) => {
    // The test clock says so when a test takes longer than a second, as any may on a busy machine.
    if (String(message).startsWith("A test is using time")) return
    logs.push({ message, cause, level: logLevel })
  })
  const recordingTracer = Tracer.make({
    span: (spanOptions) => {
      const span = new Tracer.NativeSpan(spanOptions)
      spans.push(span)
      return span
    }
  })
  const environment = Layer.mergeAll(
    Logger.layer([recordingLogger]),
    Layer.succeed(Tracer.Tracer, recordingTracer),
    Layer.succeed(Metric.MetricRegistry, new Map()),
    options.testClock === true ? TestClock.layer() : Layer.empty
  )
  // A test is one client with many connections; those about rates and crowds say which limits they mean.
  const limits = { ...Limits.trusted, ...options.server?.limits }
  const listen = { host: "127.0.0.1", port: 0, allowNonBrowsers: true, ...options.server, limits }
  const served = HttpRouter.serve(options.routes as Layer.Layer<never, never, Provided>, {
    disableLogger: options.requestLog !== true,
    disableListenLog: true
  }).pipe(
    Layer.provideMerge(RoomsServer.layer(create, listen)),
    Layer.provideMerge((options.services ?? Layer.empty) as Layer.Layer<Services>),
    Layer.provideMerge(environment)
  )
  const scope = Scope.makeUnsafe()
  const context = await Effect.runPromise(Layer.buildWithScope(served, scope))
  const { address } = Context.get(context, HttpServer.HttpServer)
  const port = address._tag === "UnixPathAddress" ? 0 : address.port
  const testClock = options.testClock === true
  return new TestServer<Services>({
    port,
    node: node!,
    logs,
    spans,
    context,
    scope,
    testClock
  })
}
