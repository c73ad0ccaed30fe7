/**
 * PostgreSQL as the bus sees it: a session that listens, and one that publishes and reads what is too long for a
 * notification. Both are one connection: it is over when either is.
 */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type { EventBusError } from "../../EventBusError.ts"
import { isLoopback } from "../bus/loopback.ts"
import type { Driver, DriverConnection } from "../bus/driver.ts"
import { unreachable } from "./error.ts"
import { LargePayloads } from "./large.ts"
import { Listener } from "./listener.ts"
import * as PostgresPublisher from "./publisher.ts"
import * as PostgresSession from "./session.ts"
import { maxInline } from "./wire.ts"

/** What a driver has to know of its PostgreSQL. */
export interface PostgresConfig {
  readonly login: PostgresSession.Login
  readonly table: string
  /** Bytes. */
  readonly maxPayload: number
  /** For dialling and logging in, and for the table. */
  readonly connectMillis: number
}

/** Where the connection is lost there is nothing to say: its loss is told as a whole. */
const warn = (what: string, { message, reason }: EventBusError): Effect.Effect<void> =>
  reason._tag === "BusUnreachable" ? Effect.void : Effect.logWarning(`${what}: ${message}`)

/** A driver for the PostgreSQL of the configuration. Without a table it takes what fits into a notification. */
export const make = ({ connectMillis, login, maxPayload, table }: PostgresConfig): Driver => {
  let hasTable = true
  return {
    kind: "postgres",
    get maxPayload() {
      return hasTable ? maxPayload : Math.min(maxPayload, maxInline)
    },
    echo: true,
    ordered: true,
    isLocal: isLoopback(login.address.path ?? login.address.host),
    connect: (events, lost) =>
      Effect.gen(function* () {
        const fork = yield* FiberSet.makeRuntime()
        const publishing = yield* PostgresSession.open(login, lost)
        const large = new LargePayloads(publishing, table)
        const listener = new Listener(events, (id, done) => {
          const body = Effect.catch(large.read(id), (error) =>
            Effect.as(warn("a large payload is not readable", error), undefined)
          )
          fork(Effect.map(body, done))
        })
        const listening = yield* PostgresSession.open(login, lost, (channel, text) => listener.notified(channel, text))
        yield* large.prepare()
        hasTable = large.isUsable
        yield* Effect.forkScoped(
          Effect.catch(large.clean(), (error) => warn("old large payloads are not deleted", error))
        )
        const publish = yield* PostgresPublisher.make(publishing, large)
        const connection: DriverConnection = {
          publish,
          subscribe: (topics) => listener.subscribe(listening, topics),
          unsubscribe: (topics) => listener.unsubscribe(listening, topics)
        }
        return connection
      }).pipe(
        Effect.timeoutOrElse({
          duration: connectMillis,
          orElse: () => Effect.fail(unreachable(`no answer within ${connectMillis} ms`))
        })
      )
  }
}
