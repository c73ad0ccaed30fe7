import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { type Frame, type Playground, startPlayground } from "../support/playground.ts"

let playground: Playground
beforeAll(async () => {
  playground = await startPlayground()
})
afterAll(async () => {
  await playground[Symbol.asyncDispose]()
  assert.strictEqual(playground.stderr(), "")
})

/** Sends a request as a browser does for a page of that origin, which may say that text is all it sends. */
const request = async (method: string, path: string, origin: string | undefined, body?: Frame) => {
  const response = await fetch(`${playground.origin}${path}`, {
    method,
    headers: { "content-type": "text/plain", ...(origin !== undefined && { origin }) },
    ...(body !== undefined && { body: JSON.stringify(body) })
  })
  const text = await response.text()
  return { status: response.status, body: text === "" ? undefined : (JSON.parse(text) as Frame) }
}

const tasksOf = async (boardId: string) => (await request("GET", `/boards/${boardId}/tasks`, undefined)).body

let boards = 0
const fresh = (): string => `board-of-its-own-${++boards}`

const own = () => playground.origin
const refused = { status: 403, body: { error: "origin not allowed" } }

describe("B3: a page", () => {
  it.each([
    ["of another site", () => "https://evil.example"],
    ["of another port", () => "http://localhost:1"],
    ["of this address by another name", () => own().replace("localhost", "127.0.0.1")],
    ["of a site whose name begins like this one's", () => `${own()}.evil.example`],
    ["without an origin of its own", () => "null"]
  ])("%s can neither create, nor move, nor delete a task", async (_, originOf) => {
    const boardId = fresh()
    const body = { title: "Live update!", listId: "list-todo", boardId }
    const { body: task } = await request("POST", "/tasks", own(), body)
    const path = `/tasks/${String(task!["id"])}`
    const origin = originOf()
    assert.deepStrictEqual(await request("POST", "/tasks", origin, body), refused)
    assert.deepStrictEqual(await request("PATCH", path, origin, { listId: "list-done" }), refused)
    assert.deepStrictEqual(await request("DELETE", path, origin), refused)
    assert.deepStrictEqual(await tasksOf(boardId), { tasks: [task] })
  })

  it.each([
    ["of this server", () => own()],
    ["that is no page, such as curl,", () => undefined]
  ])("%s can create, move and delete a task", async (_, originOf) => {
    const boardId = fresh()
    const origin = originOf()
    const created = await request("POST", "/tasks", origin, { title: "Live update!", listId: "list-todo", boardId })
    assert.strictEqual(created.status, 201)
    const path = `/tasks/${String(created.body!["id"])}`
    assert.strictEqual((await request("PATCH", path, origin, { listId: "list-done" })).status, 200)
    assert.deepStrictEqual(await tasksOf(boardId), { tasks: [{ ...created.body, listId: "list-done" }] })
    assert.strictEqual((await request("DELETE", path, origin)).status, 204)
    assert.deepStrictEqual(await tasksOf(boardId), { tasks: [] })
  })
})
