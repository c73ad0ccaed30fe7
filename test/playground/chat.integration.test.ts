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

const connect = (path: string, headers?: Record<string, string>): Promise<Client> =>
  Client.connect(`${playground.origin.replace("http", "ws")}${path}`, headers)
const refusal = (path: string, headers?: Record<string, string>): Promise<number | undefined> =>
  Client.refusal(`${playground.origin.replace("http", "ws")}${path}`, headers)
const named = (room: string, username: string): string =>
  `/chat/room/${room}?${new URLSearchParams({ username }).toString()}`

let rooms = 0
/** A room of its own for each case of a test: the one before may still be leaving. */
const fresh = (room: string): string => `${room}-${++rooms}`

/** A client in a public room that has heard itself join. */
const enter = async (room: string, username: string, others: ReadonlyArray<Client> = []): Promise<Client> => {
  const client = await connect(named(room, username))
  for (const present of [client, ...others]) {
    assert.deepStrictEqual(await present.heard(), { type: "joined", username })
  }
  return client
}

/** So many messages by type, since only those of one kind come in order. */
const collect = async (client: Client, count: number): Promise<Record<string, ReadonlyArray<Frame>>> => {
  const frames: Array<Frame> = []
  while (frames.length < count) frames.push(await client.next())
  return Object.groupBy(frames, ({ type }) => String(type)) as Record<string, ReadonlyArray<Frame>>
}

const hasContents = (frames: ReadonlyArray<Frame> | undefined, contents: Array<unknown>): void =>
  assert.deepStrictEqual(frames?.map(({ content }) => content) ?? [], contents)

describe("a public room", () => {
  it("tells everyone in it, the newcomer included, who joined", async () => {
    using alice = await connect(named("arrivals", "Alice"))
    assert.deepStrictEqual(await alice.heard(), { type: "joined", username: "Alice" })
    using bob = await connect(named("arrivals", "Bob"))
    assert.deepStrictEqual(await bob.heard(), { type: "joined", username: "Bob" })
    assert.deepStrictEqual(await alice.heard(), { type: "joined", username: "Bob" })
  })

  it("stamps its lines with the time at which they were said", async () => {
    const before = new Date().toISOString()
    using alice = await connect(named("clock", "Alice"))
    const { timestamp } = await alice.next()
    const after = new Date().toISOString()
    assert.isTrue(before <= String(timestamp) && String(timestamp) <= after, `${before} ${String(timestamp)} ${after}`)
  })

  it.each(["", "?username=", "?username=%20%20"])(
    "names whoever connects with '%s' for a query Anonymous",
    async (query) => {
      using client = await connect(`/chat/room/${fresh("masks")}${query}`)
      assert.deepStrictEqual(await client.heard(), { type: "joined", username: "Anonymous" })
    }
  )

  it("passes a message on to everyone, the sender included", async () => {
    using alice = await enter("talk", "Alice")
    using bob = await enter("talk", "Bob", [alice])
    alice.send({ type: "message", content: "hello" })
    const line = { type: "message", username: "Alice", content: "hello" }
    assert.deepStrictEqual(await alice.heard(), line)
    assert.deepStrictEqual(await bob.heard(), line)
  })

  it("passes typing on to everyone, the sender included", async () => {
    using alice = await enter("typing", "Alice")
    using bob = await enter("typing", "Bob", [alice])
    alice.send({ type: "typing" })
    assert.deepStrictEqual(await alice.heard(), { type: "typing", username: "Alice" })
    assert.deepStrictEqual(await bob.heard(), { type: "typing", username: "Alice" })
  })

  it("passes the messages of one sender on in their order", async () => {
    using alice = await enter("order", "Alice")
    using bob = await enter("order", "Bob", [alice])
    const contents = Array.from({ length: 200 }, (_, index) => `message ${index}`)
    for (const content of contents) alice.send({ type: "message", content })
    for (const client of [alice, bob]) hasContents((await collect(client, contents.length)).message, contents)
  })

  it("confirms a message with an id to its sender alone", async () => {
    using alice = await enter("receipts", "Alice")
    using bob = await enter("receipts", "Bob", [alice])
    alice.send({ type: "message", content: "hello", id: "m-1" })
    const { message, sent } = await collect(alice, 2)
    hasContents(message, ["hello"])
    assert.deepStrictEqual(sent, [{ type: "sent", messageId: "m-1" }])
    assert.deepStrictEqual(await bob.heard(), { type: "message", username: "Alice", content: "hello" })
    bob.send({ type: "message", content: "got it" })
    assert.deepStrictEqual(await bob.heard(), { type: "message", username: "Bob", content: "got it" })
    assert.deepStrictEqual(await bob.leave(), [])
  })

  it("confirms nothing to the sender of a message without an id", async () => {
    using alice = await enter("no-receipts", "Alice")
    alice.send({ type: "message", content: "one" })
    alice.send({ type: "message", content: "two", id: "m-2" })
    const { message, sent } = await collect(alice, 3)
    hasContents(message, ["one", "two"])
    assert.deepStrictEqual(sent, [{ type: "sent", messageId: "m-2" }])
    assert.deepStrictEqual(await alice.leave(), [])
  })

  it("tells the others who left when a connection is closed", async () => {
    using alice = await enter("goodbyes", "Alice")
    using bob = await enter("goodbyes", "Bob", [alice])
    assert.deepStrictEqual(await alice.leave(), [])
    assert.deepStrictEqual(await alice.closed, { code: 1000, reason: "" })
    assert.deepStrictEqual(await bob.heard(), { type: "left", username: "Alice" })
  })

  it("tells the others who left when a connection is reset", async () => {
    using alice = await enter("resets", "Alice")
    using bob = await enter("resets", "Bob", [alice])
    alice.reset()
    assert.deepStrictEqual(await bob.heard(), { type: "left", username: "Alice" })
  })

  it("tells each window of a user when another one of them leaves", async () => {
    using first = await enter("windows", "Alice")
    using second = await enter("windows", "Alice", [first])
    await first.leave()
    assert.deepStrictEqual(await second.heard(), { type: "left", username: "Alice" })
  })

  it("hears nothing of other rooms", async () => {
    using alice = await enter("here", "Alice")
    using bob = await enter("there", "Bob")
    alice.send({ type: "message", content: "only here" })
    alice.send({ type: "typing" })
    assert.deepStrictEqual(await alice.heard(), { type: "message", username: "Alice", content: "only here" })
    assert.deepStrictEqual(await alice.heard(), { type: "typing", username: "Alice" })
    bob.send({ type: "message", content: "only there" })
    assert.deepStrictEqual(await bob.heard(), { type: "message", username: "Bob", content: "only there" })
    assert.deepStrictEqual(await alice.leave(), [])
    assert.deepStrictEqual(await bob.leave(), [])
  })

  it("is one of many, each with its own members and messages", async () => {
    const pairs = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const room = `room-${index}`
        const alice = await enter(room, `Alice ${index}`)
        return { room, alice, bob: await enter(room, `Bob ${index}`, [alice]) }
      })
    )
    for (const { alice, room } of pairs) alice.send({ type: "message", content: `in ${room}` })
    for (const { bob, room } of pairs) bob.send({ type: "message", content: `back in ${room}` })
    for (const { alice, bob, room } of pairs) {
      for (const client of [alice, bob]) {
        const { message } = await collect(client, 2)
        assert.sameMembers(message?.map(({ content }) => content) ?? [], [`in ${room}`, `back in ${room}`])
      }
      assert.deepStrictEqual(await alice.leave(), [])
      assert.deepStrictEqual(await bob.heard(), { type: "left", username: `Alice ${room.slice(5)}` })
      assert.deepStrictEqual(await bob.leave(), [])
    }
  })

  it.each(["Mary Ann", "Zoë 🦊", "👩‍👩‍👧‍👦", "<b>&amp;", "a+b%20c", "n".repeat(40)])(
    "knows a user by the name %s",
    async (name) => {
      using alice = await enter(fresh("names"), name)
      alice.send({ type: "message", content: "it is me" })
      assert.deepStrictEqual(await alice.heard(), { type: "message", username: name, content: "it is me" })
    }
  )

  it("refuses a name of 41 characters with 400", async () => {
    assert.strictEqual(await refusal(named("names", "n".repeat(41))), 400)
  })

  it("takes a percent-encoded slash for a part of its name", async () => {
    using blue = await enter("team%2Fblue", "Alice")
    using team = await enter("team", "Bob")
    using red = await enter("team%2Fred", "Carol")
    using other = await enter("team%2Fblue", "Dave", [blue])
    blue.send({ type: "message", content: "blue" })
    const line = { type: "message", username: "Alice", content: "blue" }
    assert.deepStrictEqual(await blue.heard(), line)
    assert.deepStrictEqual(await other.heard(), line)
    assert.deepStrictEqual(await team.leave(), [])
    assert.deepStrictEqual(await red.leave(), [])
  })

  it.each(["a".repeat(128), `a${"%2Fb".repeat(63)}`])(
    "takes a name as long as an identifier may be: %s",
    async (room) => {
      using alice = await enter(room, "Alice")
      assert.deepStrictEqual(await alice.leave(), [])
    }
  )

  it("refuses a name of 129 characters with 400", async () => {
    assert.strictEqual(await refusal(`/chat/room/${"a".repeat(129)}`), 400)
  })

  it.each(["%2Fetc", "-", "a%20b"])("refuses the name %s for a room with 400", async (room) => {
    assert.strictEqual(await refusal(`/chat/room/${room}`), 400)
  })
})

describe("an invalid frame", () => {
  it.each([
    ["no JSON", "hello", "invalid_json"],
    ["no object", "null", "invalid_message"],
    ["of no known type", `{"type":"shout","content":"hello"}`, "invalid_message"],
    ["a message without content", `{"type":"message"}`, "invalid_message"],
    ["a message with empty content", `{"type":"message","content":""}`, "invalid_message"],
    [
      "a message with too much content",
      JSON.stringify({ type: "message", content: "x".repeat(4001) }),
      "invalid_message"
    ],
    ["a message whose id is a number", `{"type":"message","content":"hello","id":1}`, "invalid_message"],
    ["too deep", "[".repeat(40) + "]".repeat(40), "too_deep"]
  ])("that is %s is answered with an error, and the connection lives on", async (_, text, code) => {
    const room = fresh("mistakes")
    using alice = await enter(room, "Alice")
    using bob = await enter(room, "Bob", [alice])
    alice.send(text)
    const { message, ...error } = await alice.next()
    assert.deepStrictEqual(error, { type: "error", code })
    assert.isTrue(typeof message === "string" && message.length > 0)
    alice.send({ type: "message", content: "sorry" })
    const line = { type: "message", username: "Alice", content: "sorry" }
    assert.deepStrictEqual(await alice.heard(), line)
    assert.deepStrictEqual(await bob.heard(), line)
  })
})

describe("a private room", () => {
  it.each([
    ["no token", "/chat/private/vip", {}],
    ["a username for a token", "/chat/private/vip?username=Alice", {}],
    ["an unknown token in the query", "/chat/private/vip?token=mallory-token", {}],
    ["an empty token in the query", "/chat/private/vip?token=", {}],
    ["an unknown token in the header", "/chat/private/vip", { authorization: "Bearer mallory-token" }],
    ["another scheme in the header", "/chat/private/vip", { authorization: "Basic alice-token" }]
  ])("refuses %s with 401", async (_, path, headers) => {
    assert.strictEqual(await refusal(path, headers), 401)
  })

  it("names the user by the token, from the header and from the query", async () => {
    using alice = await connect("/chat/private/tokens", { authorization: "Bearer alice-token" })
    assert.deepStrictEqual(await alice.heard(), { type: "joined", username: "Alice" })
    using bob = await connect("/chat/private/tokens?token=bob-token&username=Mallory")
    assert.deepStrictEqual(await bob.heard(), { type: "joined", username: "Bob" })
    assert.deepStrictEqual(await alice.heard(), { type: "joined", username: "Bob" })
    using again = await connect("/chat/private/tokens?token=alice-token")
    assert.deepStrictEqual(await again.heard(), { type: "joined", username: "Alice" })
    bob.send({ type: "message", content: "hello" })
    assert.deepStrictEqual(await again.heard(), { type: "message", username: "Bob", content: "hello" })
  })

  it("is not the public room of the same name", async () => {
    using inside = await connect("/chat/private/vip?token=alice-token")
    assert.deepStrictEqual(await inside.heard(), { type: "joined", username: "Alice" })
    using outside = await enter("vip", "Bob")
    inside.send({ type: "message", content: "secret" })
    assert.deepStrictEqual(await inside.heard(), { type: "message", username: "Alice", content: "secret" })
    outside.send({ type: "message", content: "public" })
    assert.deepStrictEqual(await outside.heard(), { type: "message", username: "Bob", content: "public" })
    assert.deepStrictEqual(await inside.leave(), [])
    assert.deepStrictEqual(await outside.leave(), [])
  })
})

describe("J5: a direct message", () => {
  it("reaches the windows of receiver and sender in whatever room, and nobody else", async () => {
    using alice = await enter("one", "Alice")
    using alice2 = await enter("two", "Alice")
    using bob = await enter("one", "Bob", [alice])
    using bob2 = await enter("three", "Bob")
    using bob3 = await enter("four", "Bob")
    using carol = await enter("one", "Carol", [alice, bob])

    alice.send({ type: "direct", to: "Bob", content: "psst", id: "d-1" })
    const direct = { type: "direct", from: "Alice", to: "Bob", content: "psst" }
    const { direct: own, sent } = await collect(alice, 2)
    hasContents(own, ["psst"])
    assert.deepStrictEqual(sent, [{ type: "sent", messageId: "d-1" }])
    for (const window of [alice2, bob, bob2, bob3]) assert.deepStrictEqual(await window.heard(), direct)

    // Carol's room and inbox say what comes later, hence nothing came earlier.
    alice.send({ type: "direct", to: "Carol", content: "and you" })
    alice.send({ type: "message", content: "all of you" })
    const heard = await collect(carol, 2)
    hasContents(heard.direct, ["and you"])
    hasContents(heard.message, ["all of you"])
    assert.deepStrictEqual(await bob.heard(), { type: "message", username: "Alice", content: "all of you" })
    assert.deepStrictEqual(await carol.leave(), [])
    assert.deepStrictEqual(await bob.heard(), { type: "left", username: "Carol" })
    for (const window of [bob, bob2, bob3]) assert.deepStrictEqual(await window.leave(), [])
  })

  it("to a user who came in by token does not reach who only claims that name", async () => {
    using claimed = await enter("elsewhere", "Alice")
    using alice = await connect("/chat/private/direct?token=alice-token")
    assert.deepStrictEqual(await alice.heard(), { type: "joined", username: "Alice" })
    using bob = await connect("/chat/private/direct?token=bob-token")
    assert.deepStrictEqual(await bob.heard(), { type: "joined", username: "Bob" })
    bob.send({ type: "direct", to: "Alice", content: "hello" })
    assert.deepStrictEqual(await alice.heard(), { type: "joined", username: "Bob" })
    const direct = { type: "direct", from: "Bob", to: "Alice", content: "hello" }
    assert.deepStrictEqual(await alice.heard(), direct)
    assert.deepStrictEqual(await claimed.leave(), [])
  })

  it("to oneself comes once to each of one's windows", async () => {
    using alice = await enter("notes", "Nora")
    using alice2 = await enter("more-notes", "Nora")
    alice.send({ type: "direct", to: "Nora", content: "milk" })
    alice.send({ type: "direct", to: "Nora", content: "bread" })
    for (const window of [alice, alice2]) {
      hasContents((await collect(window, 2)).direct, ["milk", "bread"])
      assert.deepStrictEqual(await window.leave(), [])
    }
  })

  it("reaches users whose names are no identifiers", async () => {
    using alice = await enter("letters", "Zoë 🦊")
    using bob = await enter("post", "../n n/")
    alice.send({ type: "direct", to: "../n n/", content: "hello" })
    assert.deepStrictEqual(await bob.heard(), { type: "direct", from: "Zoë 🦊", to: "../n n/", content: "hello" })
  })
})

describe("the process", () => {
  it("serves the page, and its health, on the port of the sockets", async () => {
    const page = await fetch(`${playground.origin}/`)
    assert.strictEqual(page.status, 200)
    assert.match(page.headers.get("content-type") ?? "", /^text\/html\b/)
    assert.match(await page.text(), /^<!doctype html>/i)
    const health = await fetch(`${playground.origin}/health`)
    assert.strictEqual(health.status, 200)
    await health.arrayBuffer()
  })

  it("prints the page's URL and the sockets' URLs, which work as they are", async () => {
    await using other = await startPlayground()
    assert.include(other.stdout(), ` http://localhost:${other.port}/\n`)
    const sockets = other.stdout().match(/ws:\S+/g) ?? []
    const chats = [
      `ws://localhost:${other.port}/chat/room/general?username=Alice`,
      `ws://localhost:${other.port}/chat/private/vip?token=alice-token`
    ]
    assert.deepStrictEqual(sockets, [...chats, `ws://localhost:${other.port}/`, `ws://localhost:${other.port}/moost`])
    for (const url of chats) {
      using client = await Client.connect(url)
      assert.deepStrictEqual(await client.heard(), { type: "joined", username: "Alice" })
    }
    for (const url of sockets.slice(2)) (await Client.connect(url))[Symbol.dispose]()
  })

  it.each(["SIGTERM", "SIGINT"] as const)("ends on %s after closing its clients with 1012", async (signal) => {
    const other = await startPlayground()
    const url = other.origin.replace("http", "ws")
    using alice = await Client.connect(`${url}/chat/room/general?username=Alice`)
    using bob = await Client.connect(`${url}/chat/private/vip?token=bob-token`)
    await alice.next()
    await bob.next()
    const exit = await other.stop(signal)
    for (const client of [alice, bob]) {
      const { code, reason } = await client.closed
      assert.strictEqual(code, 1012)
      assert.match(reason, /^retryInMs=\d+$/)
    }
    assert.deepStrictEqual(exit, { code: 130, signal: null })
    assert.strictEqual(other.stderr(), "")
  })
})
