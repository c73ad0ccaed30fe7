import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Client, type Frame, type Playground, startPlayground } from "../support/playground.ts"

let playground: Playground
beforeAll(async () => {
  playground = await startPlayground()
})
afterAll(async () => {
  await playground[Symbol.asyncDispose]()
  assert.strictEqual(playground.stderr(), "")
})

const connect = (path = "/boards", server = playground): Promise<Client> =>
  Client.connect(`${server.origin.replace("http", "ws")}${path}`)

let boards = 0
/** A board nobody has looked at. */
const fresh = (): string => `board-of-its-own-${++boards}`

const joined = (boardId: string, viewers: number): Frame => ({ type: "joined", boardId, viewers })
const userJoined = (viewers: number): Frame => ({ type: "user_joined", viewers })
const userLeft = (viewers: number): Frame => ({ type: "user_left", viewers })

/** Joins a board, where the clients that are there already hear of it. */
const join = async (client: Client, boardId: string, others: ReadonlyArray<Client> = []): Promise<void> => {
  const viewers = others.length + 1
  client.send({ type: "join", boardId })
  assert.deepStrictEqual(await client.next(), joined(boardId, viewers))
  for (const other of others) assert.deepStrictEqual(await other.next(), userJoined(viewers))
}

/** The server has dealt with what this client sent, and answered nothing to it. */
const isQuiet = async (client: Client): Promise<void> => {
  client.send({ type: "ping" })
  assert.deepStrictEqual(await client.next(), { type: "pong" })
}

/** So many boards, and two clients that look at all of them. */
const onAll = async (count: number): Promise<readonly [alice: Client, bob: Client, all: ReadonlyArray<string>]> => {
  const all = Array.from({ length: count }, fresh)
  const alice = await connect()
  const bob = await connect()
  for (const boardId of all) {
    await join(alice, boardId)
    await join(bob, boardId, [alice])
  }
  return [alice, bob, all]
}

describe.each(["/", "/boards"])("B1: the socket at %s", (path) => {
  it("tells who joins a board how many look at it, and the others that one more does", async () => {
    const board = fresh()
    using alice = await connect(path)
    await join(alice, board)
    using bob = await connect(path)
    await join(bob, board, [alice])
    using carol = await connect(path)
    await join(carol, board, [alice, bob])
    for (const client of [alice, bob, carol]) await isQuiet(client)
  })

  it("tells the remaining how many they are when one leaves, who hears nothing more of the board", async () => {
    const board = fresh()
    using alice = await connect(path)
    using bob = await connect(path)
    using carol = await connect(path)
    await join(alice, board)
    await join(bob, board, [alice])
    await join(carol, board, [alice, bob])
    carol.send({ type: "leave", boardId: board })
    for (const client of [alice, bob]) assert.deepStrictEqual(await client.next(), userLeft(2))
    bob.send({ type: "leave", boardId: board })
    assert.deepStrictEqual(await alice.next(), userLeft(1))
    for (const client of [alice, bob, carol]) await isQuiet(client)
    await join(carol, board, [alice])
    await isQuiet(bob)
  })

  it("tells the remaining when a connection is closed", async () => {
    const board = fresh()
    using alice = await connect(path)
    using bob = await connect(path)
    await join(alice, board)
    await join(bob, board, [alice])
    assert.deepStrictEqual(await bob.leave(), [])
    assert.deepStrictEqual(await alice.next(), userLeft(1))
  })

  it("tells the remaining when a connection is reset", async () => {
    const board = fresh()
    using alice = await connect(path)
    using bob = await connect(path)
    await join(alice, board)
    await join(bob, board, [alice])
    bob.reset()
    assert.deepStrictEqual(await alice.next(), userLeft(1))
  })

  it("answers a second join of the same board, and announces it to nobody", async () => {
    const board = fresh()
    using alice = await connect(path)
    using bob = await connect(path)
    await join(alice, board)
    await join(bob, board, [alice])
    bob.send({ type: "join", boardId: board })
    assert.deepStrictEqual(await bob.next(), joined(board, 2))
    bob.send({ type: "leave", boardId: board })
    assert.deepStrictEqual(await alice.next(), userLeft(1))
    await join(bob, board, [alice])
  })

  it("announces nothing when one leaves a board that was not joined", async () => {
    const board = fresh()
    using alice = await connect(path)
    using bob = await connect(path)
    await join(alice, board)
    bob.send({ type: "leave", boardId: board })
    await isQuiet(bob)
    await join(bob, board, [alice])
  })

  it("answers ping with pong", async () => {
    using client = await connect(path)
    client.send({ type: "ping" })
    assert.deepStrictEqual(await client.next(), { type: "pong" })
  })

  it.each([
    [`{"type":"join"}`, "boardId is required"],
    [`{"type":"leave"}`, "boardId is required"],
    [`{"type":"create","title":"Write tests","listId":"list-todo"}`, "boardId is required"],
    [`{"type":"dance"}`, "Unknown type: dance"],
    [`{"type":"dance","boardId":"board-1"}`, "Unknown type: dance"],
    [`{"type":"toString"}`, "Unknown type: toString"],
    [`{"type":${JSON.stringify("x".repeat(60))}}`, `Unknown type: ${"x".repeat(50)}`],
    [`{"boardId":"board-1"}`, "Unknown type: undefined"],
    [`null`, "Invalid message"],
    [`dance`, "Invalid message"]
  ])("answers %s with an error, and the connection lives on", async (text, error) => {
    using client = await connect(path)
    client.send(text)
    assert.deepStrictEqual(await client.next(), { error })
    await join(client, fresh())
  })

  it.each([
    ["a board's name that is a path", { type: "join", boardId: "../etc" }],
    ["a board's name that is empty", { type: "join", boardId: "" }],
    ["a board's name of 129 characters", { type: "join", boardId: "b".repeat(129) }],
    ["a board that is a number", { type: "join", boardId: 1 }],
    ["an empty title", { type: "create", boardId: "board-1", title: "", listId: "list-todo" }],
    ["a list nobody knows", { type: "create", boardId: "board-1", title: "Write tests", listId: "list-later" }]
  ])("answers %s with an error, and the connection lives on", async (_, message) => {
    using client = await connect(path)
    client.send(message)
    const { error, ...rest } = await client.next()
    assert.deepStrictEqual(rest, {})
    assert.isTrue(typeof error === "string" && error.length > 0, String(error))
    await join(client, fresh())
  })
})

describe("B1: a connection", () => {
  it("looks at many boards, each with its own viewers", async () => {
    const [alice, bob, all] = await onAll(30)
    using _alice = alice
    using _bob = bob
    for (const boardId of all) {
      bob.send({ type: "leave", boardId })
      assert.deepStrictEqual(await alice.next(), userLeft(1))
    }
    await isQuiet(bob)
    await isQuiet(alice)
  })

  it("counts as a viewer of its own, whichever address it came by", async () => {
    const board = fresh()
    using root = await connect("/")
    using named = await connect("/boards")
    await join(root, board)
    await join(named, board, [root])
  })
})

describe("B2: a task", () => {
  it("that is created over a socket is an event for the others on the board", async () => {
    const board = fresh()
    using alice = await connect()
    using bob = await connect()
    using carol = await connect()
    await join(alice, board)
    await join(bob, board, [alice])
    await join(carol, board, [alice, bob])
    alice.send({ type: "create", boardId: board, title: "Write tests", listId: "list-todo" })
    const { task, type } = await bob.next()
    const { id, ...rest } = task as Frame
    assert.strictEqual(type, "task_created")
    assert.deepStrictEqual(rest, { title: "Write tests", listId: "list-todo", boardId: board })
    assert.deepStrictEqual(await carol.next(), { type, task })

    // The first that reaches Alice is what Bob does: her own event did not.
    bob.send({ type: "move", boardId: board, taskId: id, listId: "list-doing" })
    const moved = { type: "task_moved", task: { id, ...rest, listId: "list-doing" } }
    for (const client of [alice, carol]) assert.deepStrictEqual(await client.next(), moved)
    for (const client of [alice, bob, carol]) await isQuiet(client)
  })

  it("that does not exist cannot be moved, which only who tries is told", async () => {
    const board = fresh()
    using alice = await connect()
    using bob = await connect()
    await join(alice, board)
    await join(bob, board, [alice])
    alice.send({ type: "move", boardId: board, taskId: "task-none", listId: "list-doing" })
    assert.deepStrictEqual(await alice.next(), { error: "no such task" })
    alice.send({ type: "leave", boardId: board })
    assert.deepStrictEqual(await bob.next(), userLeft(1))
  })
})

describe("B2: a socket that is closed", () => {
  it.each(["leave", "reset"] as const)("leaves every board, whose sizes fall: %s", async (end) => {
    const [alice, bob, all] = await onAll(10)
    using _bob = bob
    await alice[end]()
    for (let left = 0; left < all.length; left++) assert.deepStrictEqual(await bob.next(), userLeft(1))
    using carol = await connect()
    for (const boardId of all) await join(carol, boardId, [bob])
  })

  it("keeps no event from the others", async () => {
    const board = fresh()
    using alice = await connect()
    using bob = await connect()
    using carol = await connect()
    await join(alice, board)
    await join(bob, board, [alice])
    await join(carol, board, [alice, bob])
    carol.reset()
    const titles = Array.from({ length: 20 }, (_, index) => `task ${index}`)
    for (const title of titles) alice.send({ type: "create", boardId: board, title, listId: "list-todo" })
    const heard: Array<unknown> = []
    while (heard.length < titles.length) {
      const { task, type } = await bob.next()
      if (type === "task_created") heard.push((task as Frame)["title"])
    }
    assert.deepStrictEqual(heard, titles)
  })
})

describe("the tutorial", () => {
  it("exercise 1: two terminals see each other join and leave", async () => {
    await using server = await startPlayground()
    using first = await connect("/", server)
    first.send(`{"type":"join","boardId":"board-1"}`)
    assert.deepStrictEqual(await first.next(), { type: "joined", boardId: "board-1", viewers: 1 })
    using second = await connect("/", server)
    second.send(`{"type":"join","boardId":"board-1"}`)
    assert.deepStrictEqual(await second.next(), { type: "joined", boardId: "board-1", viewers: 2 })
    assert.deepStrictEqual(await first.next(), { type: "user_joined", viewers: 2 })
    second.send(`{"type":"leave","boardId":"board-1"}`)
    assert.deepStrictEqual(await first.next(), { type: "user_left", viewers: 1 })
    second.send(`{"type":"join","boardId":"board-1"}`)
    assert.deepStrictEqual(await first.next(), { type: "user_joined", viewers: 2 })
    assert.deepStrictEqual(await second.next(), { type: "joined", boardId: "board-1", viewers: 2 })
    assert.deepStrictEqual(await first.leave(), [])
    assert.deepStrictEqual(await second.next(), { type: "user_left", viewers: 1 })
  })

  it("exercise 2: a task created over HTTP appears in every viewer", async () => {
    await using server = await startPlayground()
    using first = await connect("/", server)
    await join(first, "board-1")
    using second = await connect("/", server)
    await join(second, "board-1", [first])
    const body = `{"title":"Live update!","listId":"list-todo"}`
    const headers = { "content-type": "application/json" }
    const response = await fetch(`${server.origin}/tasks`, { method: "POST", headers, body })
    assert.strictEqual(response.status, 201)
    const task = (await response.json()) as Frame
    assert.deepStrictEqual(task, { ...(JSON.parse(body) as Frame), id: task["id"], boardId: "board-1" })
    for (const client of [first, second]) assert.deepStrictEqual(await client.next(), { type: "task_created", task })
  })

  it("exercise 3: who moves a task does not hear its own move", async () => {
    await using server = await startPlayground()
    using first = await connect("/", server)
    await join(first, "board-1")
    using second = await connect("/", server)
    await join(second, "board-1", [first])
    first.send({ type: "create", boardId: "board-1", title: "Live update!", listId: "list-todo" })
    const { task } = await second.next()
    const { id } = task as Frame
    first.send({ type: "move", boardId: "board-1", taskId: id, listId: "list-done" })
    const moved = { type: "task_moved", task: { ...(task as Frame), listId: "list-done" } }
    assert.deepStrictEqual(await second.next(), moved)
    second.send({ type: "leave", boardId: "board-1" })
    assert.deepStrictEqual(await first.next(), userLeft(1))
  })
})
