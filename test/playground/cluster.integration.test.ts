/**
 * The playground on two nodes with one Redis: one chat, one kanban, and what is left when a node or the broker is killed.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { setTimeout as sleep } from "node:timers/promises"
import { type Broker, skipWhere } from "../support/broker.ts"
import { Client, type Frame, type Playground, startPlayground } from "../support/playground.ts"
import { missing, startRedis } from "../support/redisServer.ts"

let redis: Broker
let one: Playground
let two: Playground

const start = () => startPlayground(0, { BUS: `redis://127.0.0.1:${redis.port}`, CLUSTER_SECRET: "of this test" })
const ws = (playground: Playground, path: string): string => `${playground.origin.replace("http", "ws")}${path}`
const chat = (playground: Playground, username: string): Promise<Client> =>
  Client.connect(ws(playground, `/chat/room/general?username=${username}`))

/** Reads on until a frame of this kind comes. */
const until = async (client: Client, is: (frame: Frame) => boolean): Promise<Frame> => {
  for (;;) {
    const frame = await client.next()
    if (is(frame)) return frame
  }
}

interface View {
  readonly bus: { readonly _tag: string }
  readonly nodes: ReadonlyArray<{ readonly name: string; readonly status: string }>
  readonly rooms: ReadonlyArray<{ readonly board: string; readonly members: number; readonly nodes: object }>
}
const view = async (playground: Playground): Promise<View> =>
  (await fetch(`${playground.origin}/cluster`)).json() as Promise<View>

const membersOf = ({ rooms }: View, name: string): number | undefined =>
  rooms.find(({ board }) => board === name)?.members

/** Asks again until the answer is right; the test's own time limit ends what never comes. */
const eventually = async <A>(ask: () => Promise<A>, isRight: (answer: A) => boolean): Promise<A> => {
  for (;;) {
    const answer = await ask()
    if (isRight(answer)) return answer
    await sleep(20)
  }
}

skipWhere(missing)

describe("the playground on two nodes", () => {
  beforeAll(async () => {
    if (missing !== undefined) return
    redis = await startRedis()
    one = await start()
    two = await start()
    await eventually(
      () => view(one),
      ({ nodes }) => nodes.length === 2
    )
  })
  afterAll(async () => {
    if (missing !== undefined) return
    await one[Symbol.asyncDispose]()
    await two[Symbol.asyncDispose]()
    await redis[Symbol.asyncDispose]()
  })

  it("is one chat: lines and direct messages cross in both directions, once", async () => {
    using alice = await chat(one, "Alice")
    using bob = await chat(two, "Bob")
    await until(alice, ({ type, username }) => type === "joined" && username === "Bob")
    alice.send({ type: "message", content: "hello" })
    assert.strictEqual((await until(bob, ({ type }) => type === "message"))["content"], "hello")
    bob.send({ type: "direct", to: "Alice", content: "psst", id: "1" })
    assert.strictEqual((await until(alice, ({ type }) => type === "direct"))["content"], "psst")
    bob.send({ type: "message", content: "end" })
    assert.strictEqual((await until(alice, ({ type }) => type !== "direct" || false))["content"], "end")
  })

  it("is one kanban: tasks, events and the number of viewers are those of both nodes", async () => {
    using left = await Client.connect(ws(one, "/boards"))
    using right = await Client.connect(ws(two, "/boards"))
    left.send({ type: "join", boardId: "board-two" })
    await until(left, ({ type }) => type === "joined")
    await eventually(
      () => view(two),
      ({ rooms }) => rooms.some(({ members }) => members === 1)
    )
    right.send({ type: "join", boardId: "board-two" })
    assert.strictEqual((await until(right, ({ type }) => type === "joined"))["viewers"], 2)
    assert.strictEqual((await until(left, ({ type }) => type === "user_joined"))["viewers"], 2)
    right.send({ type: "create", boardId: "board-two", title: "write", listId: "list-todo" })
    const created = await until(left, ({ type }) => type === "task_created")
    assert.strictEqual((created["task"] as Frame)["title"], "write")
    const listed = async () =>
      ((await (await fetch(`${one.origin}/boards/board-two/tasks`)).json()) as { readonly tasks: ReadonlyArray<Frame> })
        .tasks
    const tasks = await eventually(listed, ({ length }) => length > 0)
    assert.deepStrictEqual(
      tasks.map(({ title }) => title),
      ["write"]
    )
    const { rooms } = await eventually(
      () => view(one),
      (seen) => membersOf(seen, "board-two") === 2
    )
    assert.deepStrictEqual(
      rooms.map(({ board, members, nodes }) => [board, members, Object.values(nodes)]),
      [["board-two", 2, [1, 1]]]
    )
  })

  it(
    "a node that is killed is gone for the other within ten seconds, with its viewers",
    { timeout: 30_000 },
    async () => {
      const three = await start()
      using left = await Client.connect(ws(one, "/boards"))
      using right = await Client.connect(ws(three, "/boards"))
      for (const client of [left, right]) {
        client.send({ type: "join", boardId: "board-kill" })
        await until(client, ({ type }) => type === "joined")
      }
      await eventually(
        () => view(one),
        (seen) => membersOf(seen, "board-kill") === 2
      )
      const killedAt = performance.now()
      await three.stop("SIGKILL")
      await eventually(
        () => view(one),
        (seen) => membersOf(seen, "board-kill") === 1
      )
      assert.isBelow(performance.now() - killedAt, 10_500)
      assert.deepStrictEqual((await view(one)).nodes.map(({ status }) => status).toSorted(), ["down", "up", "up"])
    }
  )

  it(
    "goes on alone while the broker is dead, says so, and is one chat again once it is back",
    { timeout: 30_000 },
    async () => {
      using alice = await chat(one, "Carol")
      using near = await chat(one, "Dave")
      using far = await chat(two, "Erin")
      await until(alice, ({ type, username }) => type === "joined" && username === "Erin")
      await redis.kill()
      await eventually(
        () => view(one),
        ({ bus }) => bus._tag === "Degraded"
      )
      for (const content of ["lost 1", "lost 2"]) alice.send({ type: "message", content })
      await until(near, ({ content }) => content === "lost 2")
      await redis.start()
      for (const playground of [one, two]) {
        await eventually(
          () => view(playground),
          ({ bus }) => bus._tag === "Up"
        )
      }
      const gap = await until(far, ({ type }) => type === "gap" || type === "message")
      assert.deepStrictEqual({ type: gap["type"], missed: gap["missed"] }, { type: "gap", missed: 2 })
      alice.send({ type: "message", content: "back" })
      assert.strictEqual((await until(far, ({ type }) => type === "message"))["content"], "back")
    }
  )
})
