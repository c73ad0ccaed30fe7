/**
 * What the tests of forwarded Server-Sent Events share: a channel, rooms, and routes for those who only listen to them.
 */
import { Channels, Ref, Rooms } from "effect-rooms"
import { EventSource } from "effect-rooms/websocket"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { HttpRouter } from "effect/http"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Hall, HallApi } from "./halls.ts"
import { Feed } from "./playground.ts"
import { connectRaw, type RawClient } from "./wsClient.ts"
import { type StartOptions, startServer, type TestServer } from "./wsServer.ts"

export class Paper extends Ref.Entity<Paper>()("Paper") {}
export const today = Paper.ref`today`
export class News extends Channels.Service<News>()("test/News", { key: Paper, message: Schema.String }) {}
export class Halls extends Rooms.Service<Halls>()("test/Halls", HallApi) {}
export const hall = Hall.ref`hall`

export type Server = TestServer<News | Halls>

export const counts = { encoded: 0 }
const counting = (text: string): EventSource.ServerSentEvent => {
  counts.encoded++
  if (text === "unspeakable") throw new Error("it cannot be said")
  return { event: "news", data: text }
}
const plain = (text: string): EventSource.ServerSentEvent => ({ data: text })

/** What requests are handled with, and must not be kept. */
class Mark extends Context.Service<Mark, object>()("test/Mark") {}

export const marks: Array<WeakRef<object>> = []
const marked = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const mark = { kept: true }
    marks.push(new WeakRef(mark))
    return Effect.provideService(effect, Mark, mark)
  })

const forwarded = (options?: EventSource.Options<string>) =>
  marked(Effect.flatMap(News, (news) => EventSource.forward(news, today, options)))

export const startEvents = (options: Pick<StartOptions<never, never>, "testClock" | "server"> = {}): Promise<Server> =>
  startServer({
    ...options,
    routes: Layer.mergeAll(
      HttpRouter.add("GET", "/news", forwarded()),
      HttpRouter.add("GET", "/counted", forwarded({ encode: counting })),
      HttpRouter.add("GET", "/plain", forwarded({ encode: plain, heartbeat: "1 hour" })),
      HttpRouter.add(
        "GET",
        "/hall",
        Effect.flatMap(Halls, (halls) => EventSource.forward(halls, hall))
      )
    ),
    services: Layer.merge(News.layer, Halls.layer)
  })

export const follow = (server: Server, path: string): Promise<Feed> =>
  Feed.open(`http://127.0.0.1:${server.port}${path}`)

/** A reader that reads when it is told to, from the moment at which it is attached. */
export const open = async (server: Server, path: string): Promise<RawClient> => {
  const client = await connectRaw(server.port)
  client.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  await client.until(": \n\n")
  return client
}

export const say = (server: Server, ...texts: ReadonlyArray<string>): Promise<void> =>
  server.run(
    Effect.flatMap(News, (news) => Effect.forEach(texts, (text) => news.publish(today, text), { discard: true }))
  )
export const readers = (server: Server): Promise<number> =>
  server.run(Effect.flatMap(News, (news) => news.subscriberCount(today)))
export const keys = (server: Server): Promise<number> => server.run(Effect.flatMap(News, (news) => news.size))

/** The next event, as it was sent. */
export const event = async (feed: Feed): Promise<string | undefined> => {
  let block: string | undefined
  do block = await feed.block()
  while (block?.startsWith(":") === true)
  return block
}
