import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { isDeepStrictEqual } from "node:util"
import { Client, type Frame, type Playground, startPlayground } from "../support/playground.ts"

let playground: Playground
beforeAll(async () => {
  playground = await startPlayground()
})
afterAll(async () => {
  await playground[Symbol.asyncDispose]()
  assert.strictEqual(playground.stderr(), "")
})

let boards = 0
/** A board nobody has looked at. */
const fresh = (): string => `board-of-its-own-${++boards}`

/** No windows stand for an unstable user. */
type Person = readonly [username: string, status: string, windows: number]

const connect = (): Promise<Client> => Client.connect(`${playground.origin.replace("http", "ws")}/boards`)

/** A client on a board, under a name if it gives one. */
const enter = async (boardId: string, username?: string): Promise<Client> => {
  const client = await connect()
  client.send({ type: "join", boardId, ...(username !== undefined && { username }) })
  assert.strictEqual((await client.next())["type"], "joined")
  return client
}

const listOf = (boardId: string, people: ReadonlyArray<Person>): Frame => ({
  type: "presence",
  boardId,
  users: people.map(([username, status, windows]) => ({
    username,
    status,
    windows,
    ...(windows === 0 && { unstable: true })
  }))
})

const userJoined = (viewers: number): Frame => ({ type: "user_joined", viewers })

/** Reads on until the people at the board are these; changes that come close to each other are told as one. */
const sees = async (client: Client, boardId: string, ...people: ReadonlyArray<Person>): Promise<void> => {
  const expected = listOf(boardId, people)
  while (!isDeepStrictEqual(await client.next(), expected)) continue
}

describe("J7: the people at a board", () => {
  it("are told to who joins with a name, and to the others with a name when one comes", async () => {
    const board = fresh()
    using alice = await enter(board, "Alice")
    assert.deepStrictEqual(await alice.next(), listOf(board, [["Alice", "online", 1]]))
    using bob = await enter(board, "Bob")
    await sees(bob, board, ["Alice", "online", 1], ["Bob", "online", 1])
    assert.deepStrictEqual(await alice.next(), userJoined(2))
    assert.deepStrictEqual(
      await alice.next(),
      listOf(board, [
        ["Alice", "online", 1],
        ["Bob", "online", 1]
      ])
    )
  })

  it("are one each however many windows they have", async () => {
    const board = fresh()
    using first = await enter(board, "Alice")
    await sees(first, board, ["Alice", "online", 1])
    using second = await enter(board, "Alice")
    for (const window of [first, second]) await sees(window, board, ["Alice", "online", 2])
    await second.leave()
    await sees(first, board, ["Alice", "online", 1])
  })

  it("are away or busy when they say so", async () => {
    const board = fresh()
    using alice = await enter(board, "Alice")
    using bob = await enter(board, "Bob")
    for (const status of ["busy", "away", "online"]) {
      alice.send({ type: "status", boardId: board, status })
      for (const client of [alice, bob]) await sees(client, board, ["Alice", status, 1], ["Bob", "online", 1])
    }
  })

  it("are as available as the most available of their windows", async () => {
    const board = fresh()
    using first = await enter(board, "Alice")
    using second = await enter(board, "Alice")
    await sees(first, board, ["Alice", "online", 2])
    first.send({ type: "status", boardId: board, status: "away" })
    second.send({ type: "status", boardId: board, status: "busy" })
    await sees(first, board, ["Alice", "busy", 2])
    await second.leave()
    await sees(first, board, ["Alice", "away", 1])
  })

  it("are no longer listed when they close their connection", async () => {
    const board = fresh()
    using alice = await enter(board, "Alice")
    using bob = await enter(board, "Bob")
    await sees(alice, board, ["Alice", "online", 1], ["Bob", "online", 1])
    await bob.leave()
    await sees(alice, board, ["Alice", "online", 1])
  })

  it("are unstable once the connection of their last window was lost, until there is another", async () => {
    const board = fresh()
    using alice = await enter(board, "Alice")
    using first = await enter(board, "Bob")
    using second = await enter(board, "Bob")
    await sees(alice, board, ["Alice", "online", 1], ["Bob", "online", 2])
    first.reset()
    await sees(alice, board, ["Alice", "online", 1], ["Bob", "online", 1])
    second.reset()
    await sees(alice, board, ["Alice", "online", 1], ["Bob", "online", 0])
    using _back = await enter(board, "Bob")
    await sees(alice, board, ["Alice", "online", 1], ["Bob", "online", 1])
  })

  it("are no longer listed when they leave the board, and hear no more of it", async () => {
    const board = fresh()
    using alice = await enter(board, "Alice")
    using bob = await enter(board, "Bob")
    for (const client of [alice, bob]) await sees(client, board, ["Alice", "online", 1], ["Bob", "online", 1])
    bob.send({ type: "leave", boardId: board })
    await sees(alice, board, ["Alice", "online", 1])
    alice.send({ type: "status", boardId: board, status: "busy" })
    await sees(alice, board, ["Alice", "busy", 1])
    assert.deepStrictEqual(await bob.leave(), [])
  })

  it("do not list clients without a name, who are told of nobody", async () => {
    const board = fresh()
    using carol = await enter(board)
    using blank = await enter(board, "   ")
    using alice = await enter(board, "Alice")
    await sees(alice, board, ["Alice", "online", 1])
    using bob = await enter(board, "Bob")
    await sees(alice, board, ["Alice", "online", 1], ["Bob", "online", 1])
    carol.send({ type: "status", boardId: board, status: "busy" })
    bob.send({ type: "status", boardId: board, status: "away" })
    await sees(alice, board, ["Alice", "online", 1], ["Bob", "away", 1])
    assert.deepStrictEqual(
      await carol.leave(),
      [2, 3, 4].map((viewers) => userJoined(viewers))
    )
    assert.deepStrictEqual(await blank.next(), userJoined(3))
    assert.deepStrictEqual(await blank.next(), userJoined(4))
    assert.deepStrictEqual(await blank.next(), { type: "user_left", viewers: 3 })
    assert.deepStrictEqual(await blank.leave(), [])
  })

  it("are those of one board each, with a status for each", async () => {
    const [here, there] = [fresh(), fresh()]
    using alice = await enter(here, "Alice")
    await sees(alice, here, ["Alice", "online", 1])
    alice.send({ type: "join", boardId: there, username: "Alice at home" })
    await sees(alice, there, ["Alice at home", "online", 1])
    alice.send({ type: "status", boardId: there, status: "busy" })
    await sees(alice, there, ["Alice at home", "busy", 1])
    using bob = await enter(here, "Bob")
    await sees(bob, here, ["Alice", "online", 1], ["Bob", "online", 1])
  })

  it.each(["Zoë 🦊", "../n n/", "<b>&amp;", "n".repeat(40)])("are known by the name %s", async (name) => {
    const board = fresh()
    using client = await enter(board, name)
    await sees(client, board, [name, "online", 1])
  })

  it("are known without the blanks around their names", async () => {
    const board = fresh()
    using first = await enter(board, "  Mary Ann ")
    using second = await enter(board, "Mary Ann")
    for (const window of [first, second]) await sees(window, board, ["Mary Ann", "online", 2])
  })

  it.each([
    ["a name of 41 characters", { type: "join", username: "n".repeat(41) }],
    ["a name that is a number", { type: "join", username: 1 }],
    ["a status nobody knows", { type: "status", status: "asleep" }],
    ["no status", { type: "status" }]
  ])("do not change by %s, which is answered with an error", async (_, message) => {
    const board = fresh()
    using alice = await enter(board, "Alice")
    await sees(alice, board, ["Alice", "online", 1])
    alice.send({ ...message, boardId: board })
    const { error, ...rest } = await alice.next()
    assert.deepStrictEqual(rest, {})
    assert.isTrue(typeof error === "string" && error.length > 0, String(error))
    using bob = await enter(board, "Bob")
    await sees(bob, board, ["Alice", "online", 1], ["Bob", "online", 1])
  })
})
