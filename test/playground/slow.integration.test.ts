/**
 * Clients that stop reading and come back: what they lose, what they are told, and what the others do not notice.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Client, type Frame, type Playground, startPlayground } from "../support/playground.ts"
import { connect as connectPausable } from "../support/wsClient.ts"

let playground: Playground
beforeAll(async () => {
  playground = await startPlayground()
})
afterAll(async () => {
  await playground[Symbol.asyncDispose]()
  assert.strictEqual(playground.stderr(), "")
})

const url = (path: string): string => `${playground.origin.replace("http", "ws")}${path}`

/** What is said at a position of a room. */
type At = (position: number) => Frame

/**
 * Reads what comes from one position of a room up to another, of which only gaps of the room may be missing, and never
 * the last; answers these gaps, and those that are not the room's.
 */
const reads = async (next: () => Promise<unknown>, first: number, last: number, at: At, gapOf: Frame) => {
  const gaps: Array<Frame> = []
  const others: Array<Frame> = []
  for (let position = first; position <= last;) {
    const message = (await next()) as Frame
    if (message["type"] !== "gap") assert.deepInclude(message, at(position++))
    else if (Object.entries(gapOf).every(([key, value]) => message[key] === value)) {
      const to = Number(message["to"])
      assert.deepStrictEqual(message, { type: "gap", ...gapOf, from: position, to, missed: to - position + 1 })
      assert.isBelow(to, last)
      gaps.push(message)
      position = to + 1
    } else others.push(message)
  }
  return { gaps, others }
}

describe("a chat client that stops reading while 50 MB pass", () => {
  it("is told which lines it lost and hears the others, of which nobody else loses one", async () => {
    using alice = await connectPausable(url("/chat/room/flood?username=Alice"))
    using bob = await Client.connect(url("/chat/room/flood?username=Bob"))
    using carol = await Client.connect(url("/chat/room/flood?username=Carol"))
    // The positions 1 to 3.
    const names = ["Alice", "Bob", "Carol"]
    for (const [index, client] of [alice, bob, carol].entries()) {
      for (const username of names.slice(index)) assert.deepInclude(await client.next(), { type: "joined", username })
    }
    alice.socket.pause()

    const filler = "€".repeat(3990)
    const at: At = (position) => ({ type: "message", username: "Bob", content: `${position} ${filler}` })
    const flood = async (first: number, last: number) => {
      // Fewer at once than anybody may be behind: those who read lose nothing.
      for (let from = first; from <= last; from += 50) {
        const lines = Array.from({ length: Math.min(50, last + 1 - from) }, (_, index) => at(from + index))
        for (const { content } of lines) bob.send({ type: "message", content })
        for (const client of [bob, carol]) for (const line of lines) assert.deepInclude(await client.next(), line)
      }
    }
    const last = 3 + Math.ceil(50_000_000 / Buffer.byteLength(filler))
    const middle = Math.floor(last / 2)
    await flood(4, middle)
    bob.send({ type: "direct", to: "Alice", content: "psst" })
    assert.deepInclude(await bob.next(), { type: "direct", content: "psst" })
    await flood(middle + 1, last)

    alice.socket.resume()
    const { gaps, others } = await reads(() => alice.next(), 4, last, at, { room: "flood" })
    assert.isNotEmpty(gaps)
    // Alice's inbox, in which that was the first message.
    const inbox = String(others[0]!["room"])
    assert.deepStrictEqual(others, [{ type: "gap", room: inbox, from: 1, to: 1, missed: 1 }])
    assert.match(inbox, /^lobby\/\w{64}$/)

    bob.send({ type: "message", content: "is Alice here?" })
    for (const client of [alice, bob, carol]) {
      assert.deepInclude(await client.next(), { type: "message", content: "is Alice here?" })
    }
    alice.send({ type: "message", content: "yes" })
    for (const client of [alice, bob, carol]) {
      assert.deepInclude(await client.next(), { type: "message", username: "Alice", content: "yes" })
    }
  })
})

/** How many events of boards slow clients have lost so far. */
const lostEvents = async (): Promise<number> => {
  const metrics = await (await fetch(`${playground.origin}/metrics`)).text()
  const counts = metrics.matchAll(/^effect_rooms_outbox_drops\w*\{.*kind="board".*\} (\d+)$/gm)
  return Array.from(counts, ([, count]) => Number(count)).reduce((sum, count) => sum + count, 0)
}

/** Where a task goes back and forth. */
const listAt = (position: number): string => (position % 2 === 0 ? "list-done" : "list-doing")

describe("a viewer of a board that stops reading", () => {
  it("is told which events it lost and gets the others, of which nobody else loses one", async () => {
    const boardId = "flood"
    using alice = await connectPausable(url("/boards"))
    using bob = await Client.connect(url("/boards"))
    using carol = await Client.connect(url("/boards"))
    // The positions 1 to 3: everybody but who joins is told of it.
    const viewers = [alice, bob, carol]
    for (const [index, client] of viewers.entries()) {
      client.send({ type: "join", boardId })
      assert.deepStrictEqual(await client.next(), { type: "joined", boardId, viewers: index + 1 })
      for (const other of viewers.slice(0, index)) {
        assert.deepStrictEqual(await other.next(), { type: "user_joined", viewers: index + 1 })
      }
    }
    const title = "€".repeat(200)
    bob.send({ type: "create", boardId, title, listId: "list-todo" })
    const { task: created } = (await alice.next()) as { readonly task: { readonly id: string } }
    assert.deepStrictEqual(await carol.next(), { type: "task_created", task: created })
    alice.socket.pause()

    const at: At = (position) => ({ type: "task_moved", task: { ...created, listId: listAt(position) } })
    let last = 4
    while ((await lostEvents()) === 0) {
      const positions = Array.from({ length: 500 }, () => ++last)
      for (const position of positions) {
        bob.send({ type: "move", boardId, taskId: created.id, listId: listAt(position) })
      }
      for (const position of positions) assert.deepStrictEqual(await carol.next(), at(position))
    }
    alice.socket.resume()
    const { gaps, others } = await reads(() => alice.next(), 5, last, at, { boardId })
    assert.isNotEmpty(gaps)
    assert.deepStrictEqual(others, [])
    assert.strictEqual(
      gaps.reduce((sum, { missed }) => sum + Number(missed), 0),
      await lostEvents()
    )

    carol.send({ type: "move", boardId, taskId: created.id, listId: "list-todo" })
    for (const client of [alice, bob]) {
      assert.deepStrictEqual(await client.next(), { type: "task_moved", task: { ...created, listId: "list-todo" } })
    }
    alice.send({ type: "join", boardId })
    assert.deepStrictEqual(await alice.next(), { type: "joined", boardId, viewers: 3 })
  })
})
