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

let rooms = 0
/** A room nobody has been in. */
const fresh = (): string => `members-${++rooms}`

const connect = (path: string): Promise<Client> => Client.connect(`${playground.origin.replace("http", "ws")}${path}`)

/** A client in a public room, or in a private one by its token, that has heard its own arrival. */
const enter = async (room: string, username?: string): Promise<Client> => {
  const client = await connect(
    `/chat/room/${room}?${new URLSearchParams(username === undefined ? {} : { username }).toString()}`
  )
  await hears(client, { type: "joined", username: username ?? "Anonymous" })
  return client
}
const enterPrivate = async (room: string, token: string, claims = ""): Promise<Client> =>
  connect(`/chat/private/${room}?token=${token}${claims}`)

/** Reads on until the line comes, and answers with what came before it. */
const hears = async (client: Client, line: Frame): Promise<ReadonlyArray<Frame>> => {
  const before: Array<Frame> = []
  for (;;) {
    const frame = await client.next()
    const { timestamp: _, ...rest } = frame
    if (isDeepStrictEqual(rest, line)) return before
    before.push(frame)
  }
}

interface Member {
  readonly username: string
  readonly status: string
  readonly windows: number
  readonly lastSeen: string
  readonly unstable: boolean
}
type Person = readonly [username: string, status: string, windows: number]

/** A client that asks who is in the room, and what it was told. */
class Follower {
  readonly client: Client
  readonly members = new Map<string, Member>()
  users = -1

  constructor(client: Client) {
    this.client = client
    client.send({ type: "members" })
  }

  /** Takes in the next message about members, whatever lines come before it. */
  async next(): Promise<Frame> {
    for (;;) {
      const frame = await this.client.next()
      if (frame["type"] !== "members" && frame["type"] !== "members_changed") continue
      if (frame["type"] === "members") this.members.clear()
      for (const member of (frame["members"] ?? []) as Array<Member>) this.members.set(member.username, member)
      for (const { username } of (frame["left"] ?? []) as Array<Member>) {
        assert.isTrue(this.members.delete(username), `${username} leaves and was never told`)
      }
      this.users = frame["users"] as number
      return frame
    }
  }

  /** Reads on until the members are these; changes that come close to each other are told as one. */
  async sees(...people: ReadonlyArray<Person>): Promise<Frame> {
    for (;;) {
      const last = await this.next()
      const members = Array.from(this.members.values(), ({ status, username, windows }): Person => [
        username,
        status,
        windows
      ])
      if (!isDeepStrictEqual(members, people)) continue
      assert.strictEqual(this.users, people.length)
      for (const { unstable, windows } of this.members.values()) assert.strictEqual(unstable, windows === 0)
      return last
    }
  }
}

describe("J7: the members of a chat room", () => {
  it("are told to who asks: everybody at first, then what changes", async () => {
    const room = fresh()
    using alice = await enter(room, "Alice")
    const before = new Date().toISOString()
    using bob = await enter(room, "Bob")
    const follower = new Follower(bob)
    const { members, ...whole } = await follower.next()
    assert.deepStrictEqual(whole, { type: "members", users: 2 })
    const [first, second, ...others] = members as ReadonlyArray<Member>
    const { lastSeen: aliceSeen, ...ofAlice } = first!
    const { lastSeen: bobSeen, ...ofBob } = second!
    assert.deepStrictEqual(ofAlice, { username: "Alice", status: "online", windows: 1, unstable: false })
    assert.deepStrictEqual(ofBob, { username: "Bob", status: "online", windows: 1, unstable: false })
    assert.deepStrictEqual(others, [])
    assert.isTrue(aliceSeen <= bobSeen && before <= bobSeen && bobSeen <= new Date().toISOString())

    alice.send({ type: "status", status: "away" })
    const change = await follower.next()
    assert.deepStrictEqual(change, {
      type: "members_changed",
      users: 2,
      members: [{ ...ofAlice, status: "away", lastSeen: follower.members.get("Alice")!.lastSeen }],
      left: []
    })
    await alice.leave()
    assert.deepStrictEqual(await follower.next(), {
      type: "members_changed",
      users: 1,
      members: [],
      left: [{ username: "Alice", reason: "left" }]
    })
  })

  it("are not told to who does not ask", async () => {
    const room = fresh()
    using alice = await enter(room, "Alice")
    using bob = await enter(room, "Bob")
    const follower = new Follower(bob)
    await follower.sees(["Alice", "online", 1], ["Bob", "online", 1])
    for (const status of ["away", "busy"]) {
      alice.send({ type: "status", status })
      await follower.sees(["Alice", status, 1], ["Bob", "online", 1])
    }
    await bob.leave()
    const told = [...(await hears(alice, { type: "left", username: "Bob" })), ...(await alice.leave())]
    assert.deepStrictEqual(
      told.map(({ type, username }) => [type, username]),
      [["joined", "Bob"]]
    )
  })

  it("are one each however many windows they have, until the last is closed", async () => {
    const room = fresh()
    using watcher = await enter(room, "Watcher")
    const follower = new Follower(watcher)
    using first = await enter(room, "Alice")
    await follower.sees(["Watcher", "online", 1], ["Alice", "online", 1])
    using second = await connect(`/chat/room/${room}?username=%20%20Alice%20`)
    await follower.sees(["Watcher", "online", 1], ["Alice", "online", 2])
    await first.leave()
    await follower.sees(["Watcher", "online", 1], ["Alice", "online", 1])
    await second.leave()
    const { left } = await follower.sees(["Watcher", "online", 1])
    assert.deepStrictEqual(left, [{ username: "Alice", reason: "left" }])
  })

  it("are unstable once the connection of their last window was lost, until there is another", async () => {
    const room = fresh()
    using watcher = await enter(room, "Watcher")
    const follower = new Follower(watcher)
    using first = await enter(room, "Alice")
    using second = await enter(room, "Alice")
    await follower.sees(["Watcher", "online", 1], ["Alice", "online", 2])
    first.reset()
    await follower.sees(["Watcher", "online", 1], ["Alice", "online", 1])
    second.reset()
    await follower.sees(["Watcher", "online", 1], ["Alice", "online", 0])
    using back = await enter(room, "Alice")
    const { left } = await follower.sees(["Watcher", "online", 1], ["Alice", "online", 1])
    assert.deepStrictEqual(left, [])
    await back.leave()
  })

  it("are as available as the most available of their windows", async () => {
    const room = fresh()
    using first = await enter(room, "Alice")
    using second = await enter(room, "Alice")
    const follower = new Follower(first)
    await follower.sees(["Alice", "online", 2])
    first.send({ type: "status", status: "away" })
    second.send({ type: "status", status: "busy" })
    await follower.sees(["Alice", "busy", 2])
    await second.leave()
    await follower.sees(["Alice", "away", 1])
  })

  it("are seen when they say something, and told anew to who asks again", async () => {
    const room = fresh()
    using alice = await enter(room, "Alice")
    using bob = await enter(room, "Bob")
    const follower = new Follower(bob)
    await follower.sees(["Alice", "online", 1], ["Bob", "online", 1])
    const entered = follower.members.get("Alice")!.lastSeen
    // Wall time has milliseconds: wait until it is another one.
    while (new Date().toISOString() <= entered) await fetch(`${playground.origin}/health`)
    const spoke = new Date().toISOString()
    alice.send({ type: "typing" })
    await hears(bob, { type: "typing", username: "Alice" })
    bob.send({ type: "members" })
    const { type } = await follower.next()
    assert.strictEqual(type, "members")
    const { lastSeen } = follower.members.get("Alice")!
    assert.isTrue(lastSeen >= spoke, `${lastSeen} ${spoke}`)
    alice.send({ type: "status", status: "busy" })
    assert.strictEqual((await follower.sees(["Alice", "busy", 1], ["Bob", "online", 1]))["type"], "members_changed")
  })

  it("are those of one room each", async () => {
    const [here, there] = [fresh(), fresh()]
    using alice = await enter(here, "Alice")
    using elsewhere = await enter(there, "Alice")
    using bob = await enter(there, "Bob")
    elsewhere.send({ type: "status", status: "busy" })
    await new Follower(bob).sees(["Alice", "busy", 1], ["Bob", "online", 1])
    await new Follower(alice).sees(["Alice", "online", 1])
  })

  it("who give no name are one, called Anonymous", async () => {
    const room = fresh()
    using first = await enter(room)
    using second = await enter(room)
    const follower = new Follower(second)
    await follower.sees(["Anonymous", "online", 2])
    await first.leave()
    await follower.sees(["Anonymous", "online", 1])
  })

  it.each(["Zoë 🦊", "../n n/", "<b>&amp;", "n".repeat(40)])("are known by the name %s", async (name) => {
    using client = await enter(fresh(), name)
    await new Follower(client).sees([name, "online", 1])
  })

  it.each([
    ["a status nobody knows", { type: "status", status: "asleep" }],
    ["no status", { type: "status" }]
  ])("do not change by %s, which is answered with an error", async (_, message) => {
    using alice = await enter(fresh(), "Alice")
    alice.send(message)
    const { message: text, ...error } = await alice.next()
    assert.deepStrictEqual(error, { type: "error", code: "invalid_message" })
    assert.isTrue(typeof text === "string" && text.length > 0)
    await new Follower(alice).sees(["Alice", "online", 1])
  })

  it("above 200 are counted and not listed, and listed again when they are 180", async () => {
    const room = fresh()
    using watcher = await enter(room, "Watcher")
    const others = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        connect(`/chat/room/${room}?${new URLSearchParams({ username: `User ${index}` }).toString()}`)
      )
    )
    using late = await enter(room, "User 0")
    assert.deepStrictEqual(await new Follower(late).next(), { type: "members", users: 201 })
    const follower = new Follower(watcher)
    assert.deepStrictEqual(await follower.next(), { type: "members", users: 201 })
    for (const client of others.slice(-21)) await client.leave()
    while (follower.members.size === 0) assert.strictEqual((await follower.next())["type"], "members")
    assert.strictEqual(follower.members.size, follower.users)
    while (follower.users > 180) await follower.next()
    assert.strictEqual(follower.members.size, 180)
    for (const client of others) client[Symbol.dispose]()
  })

  it("with 100 windows chat in one more, which is not counted and has no status", async () => {
    const room = fresh()
    using alice = await enter(room, "Alice")
    const windows = await Promise.all(Array.from({ length: 99 }, () => connect(`/chat/room/${room}?username=Alice`)))
    const follower = new Follower(alice)
    await follower.sees(["Alice", "online", 100])
    using extra = await enter(room, "Alice")
    extra.send({ type: "status", status: "busy" })
    await hears(extra, { type: "error", code: "not_listed", message: "too many windows under this name" })
    extra.send({ type: "message", content: "hello" })
    await hears(alice, { type: "message", username: "Alice", content: "hello" })
    await new Follower(extra).sees(["Alice", "online", 100])
    for (const client of windows) client[Symbol.dispose]()
  })
})

describe("the members of a private room", () => {
  it("SEC16: are who their tokens name, whatever name a query or a message claims", async () => {
    const room = fresh()
    using alice = await enterPrivate(room, "alice-token")
    using mallory = await enterPrivate(room, "bob-token", "&username=Alice")
    const follower = new Follower(alice)
    await follower.sees(["Alice", "online", 1], ["Bob", "online", 1])
    const claims = { username: "Alice", user: "Alice", name: "Alice", meta: { username: "Alice" }, device: "default" }
    mallory.send({ type: "status", status: "busy", ...claims })
    await follower.sees(["Alice", "online", 1], ["Bob", "busy", 1])
    mallory.send({ type: "members", ...claims })
    mallory.send({ type: "message", content: "it is me, Alice", ...claims, from: "Alice" })
    await hears(alice, { type: "message", username: "Bob", content: "it is me, Alice" })
    await mallory.leave()
    await follower.sees(["Alice", "online", 1])
  })

  it("SEC16: are not those of the public room of that name, where a name is only a claim", async () => {
    const room = fresh()
    using claimed = await enter(room, "Alice")
    using alice = await enterPrivate(room, "alice-token")
    claimed.send({ type: "status", status: "busy" })
    await new Follower(claimed).sees(["Alice", "busy", 1])
    const inside = new Follower(alice)
    await inside.sees(["Alice", "online", 1])
    await claimed.leave()
    using bob = await enterPrivate(room, "bob-token")
    await inside.sees(["Alice", "online", 1], ["Bob", "online", 1])
    await new Follower(bob).sees(["Alice", "online", 1], ["Bob", "online", 1])
  })
})
