import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Client, Feed, type Frame, type Playground, startPlayground } from "../support/playground.ts"

let playground: Playground
beforeAll(async () => {
  playground = await startPlayground()
})
afterAll(async () => {
  await playground[Symbol.asyncDispose]()
  assert.strictEqual(playground.stderr(), "")
})

interface Answer {
  readonly status: number
  readonly body: unknown
}

/** Sends JSON, and a string as it is. */
const request = async (method: string, path: string, body?: unknown, server = playground): Promise<Answer> => {
  const response = await fetch(`${server.origin}${path}`, {
    method,
    ...(body !== undefined && {
      headers: { "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body)
    })
  })
  const text = await response.text()
  return { status: response.status, body: text === "" ? undefined : (JSON.parse(text) as unknown) }
}

let boards = 0
/** A board nobody has looked at. */
const fresh = (): string => `board-of-its-own-${++boards}`

const look = async (boardId: string, viewers = 1): Promise<Client> => {
  const client = await Client.connect(`${playground.origin.replace("http", "ws")}/boards`)
  client.send({ type: "join", boardId })
  assert.deepStrictEqual(await client.next(), { type: "joined", boardId, viewers })
  return client
}

const follow = (boardId: string): Promise<Feed> => Feed.open(`${playground.origin}/boards/${boardId}/events`)

const create = async (boardId: string, title = "Live update!"): Promise<Frame> => {
  const { body, status } = await request("POST", "/tasks", { title, listId: "list-todo", boardId })
  assert.strictEqual(status, 201)
  return body as Frame
}

const tasksOf = async (boardId: string): Promise<unknown> => (await request("GET", `/boards/${boardId}/tasks`)).body

/** An error in words. */
const isError = ({ body, status }: Answer, expected: number): void => {
  assert.strictEqual(status, expected)
  const { error, ...rest } = body as Frame
  assert.deepStrictEqual(rest, {})
  assert.isTrue(typeof error === "string" && error.length > 0, String(error))
}

describe("B3: POST /tasks", () => {
  it("without a board creates a task on board-1, for whose viewers it is an event", async () => {
    using viewer = await look("board-1")
    const { body, status } = await request("POST", "/tasks", { title: "Live update!", listId: "list-todo" })
    assert.strictEqual(status, 201)
    const { id, ...rest } = body as Frame
    assert.isTrue(typeof id === "string" && id.length > 0)
    assert.deepStrictEqual(rest, { title: "Live update!", listId: "list-todo", boardId: "board-1" })
    assert.deepStrictEqual(await viewer.next(), { type: "task_created", task: body })
    assert.deepInclude(await tasksOf("board-1"), { tasks: [body] })
  })

  it("with a board creates a task there, for whose viewers alone it is an event", async () => {
    const [here, there] = [fresh(), fresh()]
    using viewer = await look(here)
    using other = await look(there)
    const task = await create(here)
    assert.strictEqual(task["boardId"], here)
    assert.deepStrictEqual(await viewer.next(), { type: "task_created", task })
    const elsewhere = await create(there)
    assert.deepStrictEqual(await other.next(), { type: "task_created", task: elsewhere })
    assert.deepStrictEqual(await viewer.leave(), [])
    assert.deepStrictEqual(await other.leave(), [])
  })

  it("reaches who has created a task over the socket as well", async () => {
    const board = fresh()
    using viewer = await look(board)
    viewer.send({ type: "create", boardId: board, title: "over the socket", listId: "list-todo" })
    viewer.send({ type: "ping" })
    assert.deepStrictEqual(await viewer.next(), { type: "pong" })
    const task = await create(board, "over HTTP")
    assert.deepStrictEqual(await viewer.next(), { type: "task_created", task })
  })

  it.each([
    ["no JSON", () => "no JSON"],
    ["nothing", () => ""],
    ["null", () => null],
    ["no title", (boardId: string) => ({ listId: "list-todo", boardId })],
    ["an empty title", (boardId: string) => ({ title: "", listId: "list-todo", boardId })],
    ["a title of 201 characters", (boardId: string) => ({ title: "t".repeat(201), listId: "list-todo", boardId })],
    ["a title that is a number", (boardId: string) => ({ title: 1, listId: "list-todo", boardId })],
    ["no list", (boardId: string) => ({ title: "Live update!", boardId })],
    ["a list nobody knows", (boardId: string) => ({ title: "Live update!", listId: "list-later", boardId })],
    ["a board's name that is a path", () => ({ title: "Live update!", listId: "list-todo", boardId: "../etc" })],
    ["an empty board's name", () => ({ title: "Live update!", listId: "list-todo", boardId: "" })],
    ["a board that is a number", () => ({ title: "Live update!", listId: "list-todo", boardId: 1 })]
  ])("with %s for a body gets 400, and creates nothing", async (_, bodyFor) => {
    const board = fresh()
    using viewer = await look(board)
    isError(await request("POST", "/tasks", bodyFor(board)), 400)
    assert.deepStrictEqual(await tasksOf(board), { tasks: [] })
    const task = await create(board)
    assert.deepStrictEqual(await viewer.next(), { type: "task_created", task })
  })

  it("takes a title of 200 characters, whatever they are", async () => {
    const board = fresh()
    using viewer = await look(board)
    const title = `<b>Zoë 🦊</b>\n${"t".repeat(186)}`
    assert.strictEqual(title.length, 200)
    const task = await create(board, title)
    assert.strictEqual(task["title"], title)
    assert.deepStrictEqual(await viewer.next(), { type: "task_created", task })
  })

  it("gets 409 above a thousand tasks, until one is deleted", async () => {
    await using server = await startPlayground()
    const one = { title: "one of many", listId: "list-todo" }
    for (let hundred = 0; hundred < 10; hundred++) {
      const answers = await Promise.all(Array.from({ length: 100 }, () => request("POST", "/tasks", one, server)))
      for (const { status } of answers) assert.strictEqual(status, 201)
    }
    isError(await request("POST", "/tasks", one, server), 409)
    assert.strictEqual((await request("DELETE", "/tasks/task-1", undefined, server)).status, 204)
    assert.strictEqual((await request("POST", "/tasks", one, server)).status, 201)
  })
})

describe("B3: PATCH /tasks/:id", () => {
  it("moves the task to another list, which is an event for every viewer", async () => {
    const board = fresh()
    using alice = await look(board)
    const task = await create(board)
    const moved = { ...task, listId: "list-doing" }
    const answer = await request("PATCH", `/tasks/${String(task["id"])}`, { listId: "list-doing" })
    assert.deepStrictEqual(answer, { status: 200, body: moved })
    assert.deepStrictEqual(await alice.next(), { type: "task_created", task })
    assert.deepStrictEqual(await alice.next(), { type: "task_moved", task: moved })
    assert.deepStrictEqual(await tasksOf(board), { tasks: [moved] })
    assert.deepStrictEqual(await alice.leave(), [])
  })

  it("of a task that does not exist gets 404", async () => {
    isError(await request("PATCH", "/tasks/task-none", { listId: "list-doing" }), 404)
  })

  it.each([["no JSON"], [""], [{}], [{ listId: "list-later" }], [{ listId: "" }], [null]])(
    "with %j for a body gets 400, and moves nothing",
    async (body) => {
      const board = fresh()
      const task = await create(board)
      isError(await request("PATCH", `/tasks/${String(task["id"])}`, body), 400)
      assert.deepStrictEqual(await tasksOf(board), { tasks: [task] })
    }
  )
})

describe("B3: DELETE /tasks/:id", () => {
  it("deletes the task, which is an event for every viewer, and then there is none to delete", async () => {
    const board = fresh()
    using alice = await look(board)
    const task = await create(board)
    const taskId = task["id"]
    assert.deepStrictEqual(await request("DELETE", `/tasks/${String(taskId)}`), { status: 204, body: undefined })
    assert.deepStrictEqual(await alice.next(), { type: "task_created", task })
    assert.deepStrictEqual(await alice.next(), { type: "task_deleted", taskId })
    assert.deepStrictEqual(await tasksOf(board), { tasks: [] })
    isError(await request("DELETE", `/tasks/${String(taskId)}`), 404)
    isError(await request("PATCH", `/tasks/${String(taskId)}`, { listId: "list-doing" }), 404)
    assert.deepStrictEqual(await alice.leave(), [])
  })
})

describe("B3: GET /boards/:boardId/tasks", () => {
  it("answers with the tasks of that board, however they came there", async () => {
    const board = fresh()
    assert.deepStrictEqual(await tasksOf(board), { tasks: [] })
    using alice = await look(board)
    using bob = await look(board, 2)
    await create(fresh(), "on another board")
    const first = await create(board, "over HTTP")
    alice.send({ type: "create", boardId: board, title: "over the socket", listId: "list-done" })
    assert.deepStrictEqual(await bob.next(), { type: "task_created", task: first })
    const { task: second } = await bob.next()
    assert.deepStrictEqual(await tasksOf(board), { tasks: [first, second] })
  })

  it.each(["..%2Fetc", "-", "a%20b", "b".repeat(129)])("of the board %s gets 400", async (board) => {
    isError(await request("GET", `/boards/${board}/tasks`), 400)
  })
})

describe("B3: GET /boards/:boardId/events", () => {
  it("sends the events that viewers get, in their order", async () => {
    const board = fresh()
    using feed = await follow(board)
    assert.strictEqual(feed.response.status, 200)
    assert.match(feed.response.headers.get("content-type") ?? "", /^text\/event-stream\b/)
    using alice = await look(board)
    assert.deepStrictEqual(await feed.next(), { type: "user_joined", viewers: 1 })
    using bob = await look(board, 2)
    const task = await create(board)
    bob.send({ type: "move", boardId: board, taskId: task["id"], listId: "list-doing" })
    const events = [
      { type: "user_joined", viewers: 2 },
      { type: "task_created", task },
      { type: "task_moved", task: { ...task, listId: "list-doing" } }
    ]
    for (const reader of [alice, feed]) for (const event of events) assert.deepStrictEqual(await reader.next(), event)

    await request("DELETE", `/tasks/${String(task["id"])}`)
    const deleted = { type: "task_deleted", taskId: task["id"] }
    for (const reader of [alice, feed]) assert.deepStrictEqual(await reader.next(), deleted)
    await bob.leave()
    for (const reader of [alice, feed]) assert.deepStrictEqual(await reader.next(), { type: "user_left", viewers: 1 })
  })

  it("sends nothing of other boards", async () => {
    const [here, there] = [fresh(), fresh()]
    using feed = await follow(here)
    await create(there)
    const task = await create(here)
    assert.deepStrictEqual(await feed.next(), { type: "task_created", task })
  })

  it("is no viewer", async () => {
    const board = fresh()
    using feed = await follow(board)
    using _alice = await look(board)
    assert.deepStrictEqual(await feed.next(), { type: "user_joined", viewers: 1 })
  })

  it.each(["..%2Fetc", "-", "a%20b", "b".repeat(129)])("of the board %s gets 400", async (board) => {
    isError(await request("GET", `/boards/${board}/events`), 400)
  })

  it("ends when the process is told to stop", async () => {
    const other = await startPlayground()
    using feed = await Feed.open(`${other.origin}/boards/board-1/events`)
    assert.strictEqual(await feed.block(), ": ")
    const end = feed.block().catch((error: Error) => error.name)
    assert.deepStrictEqual(await other.stop(), { code: 130, signal: null })
    assert.include([undefined, "TypeError"], await end)
    assert.strictEqual(other.stderr(), "")
  })
})

/** The text of a page. */
const read = async (path: string): Promise<string> => {
  const response = await fetch(`${playground.origin}${path}`)
  assert.strictEqual(response.status, 200)
  assert.match(response.headers.get("content-type") ?? "", /^text\/html\b/)
  assert.match(response.headers.get("content-security-policy") ?? "", /^default-src 'none';/)
  return response.text()
}

describe("the pages", () => {
  it("GET /board is a page of its own", async () => {
    const html = await read("/board")
    assert.match(html, /^<!doctype html>/i)
    assert.notInclude(html, "<title>effect-rooms chat</title>")
  })

  it("GET / is the chat page, although the kanban's socket is there, too", async () => {
    assert.include(await read("/"), "<title>effect-rooms chat</title>")
    using client = await Client.connect(`${playground.origin.replace("http", "ws")}/`)
    const boardId = fresh()
    client.send({ type: "join", boardId })
    assert.deepStrictEqual(await client.next(), { type: "joined", boardId, viewers: 1 })
  })
})
