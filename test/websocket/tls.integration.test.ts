/**
 * Connections over TLS: the raw socket is written to as without it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Duplex } from "node:stream"
import { TLSSocket } from "node:tls"
import { describeConversation } from "../support/conversation.ts"
import { Halls, openPlace, Hall, counted } from "../support/halls.ts"
import { overTls, ways } from "../support/ways.ts"
import { connect } from "../support/wsClient.ts"

const [raw, compressing] = ways
const secure = overTls(raw!)

describeConversation(secure)
describeConversation(overTls(compressing!))

/** Counts the writes to sockets that become connections. */
const countWrites = (server: { readonly node: NodeJS.EventEmitter }) => {
  const counts: Array<{ writes: number; readonly socket: Duplex }> = []
  server.node.on("upgrade", (_request, socket: Duplex) => {
    const count = { writes: 0, socket }
    counts.push(count)
    const write = socket.write.bind(socket) as (...all: ReadonlyArray<unknown>) => boolean
    socket.write = (...all: ReadonlyArray<unknown>) => {
      count.writes++
      return write(...all)
    }
  })
  return counts
}

describe.each([raw!, secure])("a turn, $way,", (way) => {
  it("is one write for each member, whatever was sent in it", async () => {
    await using place = await openPlace(way)
    const counts = countWrites(place.server)
    using first = await place.full()
    using second = await place.full()
    const room = await place.room("hall")
    for (const { session } of [first, second]) await place.hold(session.join(room, "member"))
    const before = counts.map(({ writes }) => writes)
    await place.run(
      Effect.gen(function* () {
        const halls = yield* Halls
        for (let n = 0; n < 10; n++) {
          yield* halls.get(Hall.ref`hall`).broadcast("counted", n)
          first.session.send(`reply ${n}`)
        }
      })
    )
    const all = Array.from({ length: 10 }, (_, n) => n)
    assert.deepStrictEqual(await second.client.take(10), all.map(counted))
    assert.deepStrictEqual(
      await first.client.take(20),
      all.flatMap((n) => [counted(n), `reply ${n}`])
    )
    assert.deepStrictEqual(
      counts.map(({ writes }, index) => writes - before[index]!),
      [1, 1]
    )
    for (const { socket } of counts) assert.strictEqual(socket instanceof TLSSocket, way === secure)
  })
})

it("a client that does not trust the server's certificate is not connected", async () => {
  await using place = await openPlace(secure)
  const { code } = await connect(place.server.url("/full?name=x")).then(
    () => ({ code: "connected" }),
    (error: Error & { readonly code?: string }) => error
  )
  assert.strictEqual(code, "DEPTH_ZERO_SELF_SIGNED_CERT")
  assert.strictEqual(place.server.metric("effect_rooms_connections"), 0)
})
