/**
 * What connections leave behind, however they die (P5, G12): nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Socket } from "node:net"
import { duplexPair } from "node:stream"
import { type Estate, nobody, openEstate } from "../support/estate.ts"
import { usedHeap } from "../support/memory.ts"
import { connectRaw, eventually, frame, handshake, RawClient } from "../support/wsClient.ts"

/** Reaches the server over a socket, or over a stream of this process. */
type Reach = (estate: Estate) => Promise<RawClient>

const overSocket: Reach = ({ server }) => connectRaw(server.port)

const inMemory: Reach = ({ server }) => {
  const [client, serverSide] = duplexPair()
  server.node.emit("connection", serverSide)
  serverSide.once("close", () => client.destroy())
  const socket = Object.assign(client, { resetAndDestroy: () => serverSide.destroy() })
  return Promise.resolve(new RawClient(socket as unknown as Socket))
}

let visitors = 0

/** Everybody is somebody else, so that what is kept of users shows as well. */
const moveIn = async (reach: Reach, estate: Estate): Promise<RawClient> => {
  const client = await reach(estate)
  client.write(handshake(`/estate/user-${++visitors}`))
  await client.until("moved in")
  return client
}

const goodbye = frame(Buffer.from([0x03, 0xe8]), 0x8)

/** Ends its side once the server has ended its own. */
const hangUp = async (client: RawClient): Promise<void> => {
  await client.ended
  client.socket.end()
  await client.closed
}

/** Answers the close frame of a server whose handler has failed. */
const seeOff = async (client: RawClient): Promise<void> => {
  await client.until("internal error")
  client.write(goodbye)
  await hangUp(client)
}

const say = (client: RawClient, text: string): void => client.write(frame(JSON.stringify(text)))

/** How a batch of connections dies. */
const ways: Readonly<Record<string, (estate: Estate, clients: ReadonlyArray<RawClient>) => Promise<unknown>>> = {
  "a clean close": (_estate, clients) =>
    Promise.all(
      clients.map((client) => {
        client.write(goodbye)
        return hangUp(client)
      })
    ),
  "a reset": (_estate, clients) => {
    for (const client of clients) client.reset()
    return Promise.all(clients.map(({ closed }) => closed))
  },
  "silence, which the heartbeat notices": async ({ server }, clients) => {
    await server.adjust("31 seconds")
    await Promise.all(clients.map(hangUp))
  },
  "a defect of the handler": (_estate, clients) =>
    Promise.all(
      clients.map((client) => {
        say(client, "/die")
        return seeOff(client)
      })
    ),
  "an interruption or a timeout on the server": async ({ server }, clients) => {
    const [interrupted, timedOut, hung] = [0, 1, 2].map((third) => clients.filter((_client, n) => n % 3 === third))
    for (const client of interrupted!) say(client, "/interrupt")
    for (const client of timedOut!) say(client, "/timeout")
    for (const client of hung!) {
      say(client, "/hang")
      client.reset()
    }
    const seenOff = Promise.all([...interrupted!, ...timedOut!].map(seeOff))
    // What hangs is given up after a while.
    await eventually(async () => {
      await server.adjust("1 second")
      return server.metric("effect_rooms_connections") === 0
    })
    await seenOff
  }
}

/** The heap once nothing is left to be collected. */
const settledHeap = async (): Promise<number> => {
  for (let round = 0; round < 5; round++) await usedHeap()
  return usedHeap()
}

const resources = (kind: string): number => process.getActiveResourcesInfo().filter((name) => name === kind).length

const cycles = async (reach: Reach, estate: Estate, count: number): Promise<void> => {
  const all = Object.values(ways)
  const size = 100
  for (let done = 0; done < count; done += size) {
    const clients = await Promise.all(Array.from({ length: size }, () => moveIn(reach, estate)))
    await all[(done / size) % all.length]!(estate, clients)
    // What the test itself records.
    ;(estate.server.logs as Array<unknown>).length = 0
    ;(estate.server.spans as Array<unknown>).length = 0
  }
  await settle(estate)
}

/** Until every socket is closed, and the time of grace for those who were lost is over. */
const settle = async ({ server }: Estate): Promise<void> => {
  await eventually(() => server.metric("effect_rooms_connections") === 0)
  await server.adjust("1 minute")
}

describe("P5: a connection leaves nothing behind", () => {
  it.each(Object.keys(ways))("that ends with %s", async (way) => {
    await using estate = await openEstate()
    const clients = await Promise.all(Array.from({ length: 6 }, () => moveIn(overSocket, estate)))
    const census = await estate.census()
    assert.deepInclude(census, { peers: 6, hallMembers: 12, tableMembers: 6, actors: 6, forwarded: 6, present: 1 })
    assert.isAbove(census["hallBytes"]!, 0)
    await ways[way]!(estate, clients)
    await settle(estate)
    assert.deepStrictEqual(await estate.census(), nobody)
  })
})

describe("TRAP11: a half-open connection", () => {
  it("is out of the directory and all rooms after ping and pong, and out of presence after its grace", async () => {
    await using estate = await openEstate()
    using halfOpen = await moveIn(overSocket, estate)
    await estate.server.adjust("29 seconds")
    assert.deepInclude(await estate.census(), { peers: 1, directory: 1, hallMembers: 2, tableMembers: 1, present: 1 })
    await estate.server.adjust("2 seconds")
    assert.strictEqual((await estate.census())["peers"], 0)
    // The actor of an empty room takes a few turns to go.
    await eventually(async () => (await estate.census())["actors"] === 0)
    assert.deepStrictEqual(await estate.census(), { ...nobody, present: 1 })
    await estate.server.adjust("20 seconds")
    assert.deepStrictEqual(await estate.census(), nobody)
    await halfOpen.ended
    assert.notInclude(halfOpen.text, "internal error")
  })
})

const rounds = 5
const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[(values.length - 1) / 2]!

describe.each([
  ["over sockets", 5000, overSocket],
  ["in memory", 20_000, inMemory]
] as const)("G12: connections that die in five ways, %s", (_where, count, reach) => {
  it(`leave nothing in any registry, ${count} of them at most 64 bytes each`, { timeout: 120_000 }, async () => {
    await using estate = await openEstate()
    await cycles(reach, estate, 1000)
    const before = { sockets: resources("TCPSocketWrap"), timers: resources("Timeout") }
    const grown: Array<number> = []
    let heap = await settledHeap()
    for (let round = 0; round < rounds; round++) {
      await cycles(reach, estate, count / rounds)
      const next = await settledHeap()
      grown.push((next - heap) / (count / rounds))
      heap = next
    }
    assert.deepStrictEqual(await estate.census(), nobody)
    // What grows once, such as compiled code, is in one of them; what stays of connections is in all.
    assert.isAtMost(median(grown), 64, `bytes in each round: ${grown.map(Math.round).join(", ")}`)
    assert.strictEqual(resources("TCPSocketWrap"), before.sockets)
    assert.isAtMost(resources("Timeout"), before.timers)
  })
})
