/**
 * Connections of other nodes: what is sent to them, done to them, and known of them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { FakeNodes } from "../support/fakeNodes.ts"
import { begin, outcome, watched } from "../support/rooms.ts"
import { Desk, Hall, Phone, serverNode, User } from "../support/serverNodes.ts"
import { counter } from "../support/counters.ts"

const [alice, bob] = [User.ref`alice`, User.ref`bob`]
const north = Hall.ref`north`

/** Two nodes with a desk each for alice, and one for bob on the second. */
const office = Effect.fnUntraced(function* (options?: Parameters<typeof serverNode>[2]) {
  const nodes = new FakeNodes()
  const a = yield* serverNode(nodes, "a")
  const b = yield* serverNode(nodes, "b", options)
  const [here, there, other] = [a.connect(Desk, alice), b.connect(Desk, alice), b.connect(Desk, bob)]
  const end = () => {
    a.turn.end()
    b.turn.end()
  }
  return { nodes, a, b, here, there, other, end }
})

const dropped = (reason: string) => counter("effect_rooms_letters_dropped", { reason })

describe("L4: what is sent to a connection or a user", () => {
  it.effect("reaches it on whatever node it is, in the order of the calls", () =>
    Effect.gen(function* () {
      const { a, b, end, here, other, there } = yield* office()
      assert.isTrue(yield* a.desks.toConnection(there.id, "one"))
      assert.isTrue(yield* a.desks.toConnection(here.id, "own"))
      assert.strictEqual(yield* a.desks.toUser(alice, "two"), 2)
      assert.strictEqual(yield* b.desks.toUser(bob, "local"), 1)
      assert.strictEqual(yield* a.desks.broadcast("three"), 3)
      assert.isTrue(yield* a.desks.toConnection(there.id, "four"))
      end()
      assert.deepStrictEqual(here.taken(), ["own", "two", "three"])
      assert.deepStrictEqual(there.taken(), ["one", "two", "three", "four"])
      assert.deepStrictEqual(other.taken(), ["local", "three"])
    })
  )

  it.effect("crosses once for each node, however many connections are there, and is encoded once on each", () =>
    Effect.gen(function* () {
      const { a, b, end, here, nodes, other, there } = yield* office()
      const guests = Array.from({ length: 20 }, () => b.connect(Desk, alice))
      assert.strictEqual(yield* a.desks.toUser(alice, "to alice"), 22)
      assert.strictEqual(nodes.letters.length, 1)
      const before = [a.encoded, b.encoded]
      assert.strictEqual(yield* a.desks.broadcast("to all", { except: [{ id: there.id }, { id: here.id }] }), 21)
      assert.strictEqual(nodes.letters.length, 2)
      end()
      assert.deepStrictEqual([a.encoded - before[0]!, b.encoded - before[1]!], [1, 0], "its text is used there")
      for (const guest of guests) assert.deepStrictEqual(guest.taken(), ["to alice", "to all"])
      assert.deepStrictEqual([here.taken(), there.taken(), other.taken()], [["to alice"], ["to alice"], ["to all"]])
    })
  )

  it.effect("is for the connections of its route only, and for nobody where nobody is known", () =>
    Effect.gen(function* () {
      const { a, b, end, nodes, there } = yield* office()
      const phone = b.connect(Phone, alice)
      assert.isFalse(yield* a.phones.toConnection(there.id, "wrong route"))
      assert.isFalse(yield* a.desks.toConnection(phone.id, "wrong route"))
      assert.isFalse(yield* a.desks.toConnection("nobody", "hello"))
      assert.isFalse(yield* a.desks.toConnection("__proto__", "hello"))
      assert.strictEqual(yield* a.desks.toUser(User.ref`carol`, "hello"), 0)
      assert.strictEqual(yield* a.desks.toUser(Hall.ref`alice`, "hello"), 0)
      assert.strictEqual(nodes.letters.length, 0)
      assert.strictEqual(yield* a.phones.broadcast("ring"), 1)
      end()
      assert.deepStrictEqual([phone.taken(), there.taken()], [["ring"], []])
    })
  )

  it.effect("that does not fit the route goes nowhere: it dies, and a broadcast is logged", () =>
    Effect.gen(function* () {
      const { a, end, nodes, there } = yield* office()
      const wrong = 7 as unknown as string
      assert.isTrue(Exit.hasDies(yield* Effect.exit(a.desks.toConnection(there.id, wrong))))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(a.desks.toUser(bob, wrong))))
      assert.strictEqual(yield* a.desks.broadcast(wrong), 0)
      end()
      assert.strictEqual(nodes.letters.length, 0)
    })
  )

  it.effect("by a node that does not serve the route itself, reaches it all the same", () =>
    watched((log) =>
      Effect.gen(function* () {
        const { b, end, nodes, other, there } = yield* office()
        const c = yield* serverNode(nodes, "c", { paths: [] })
        assert.isTrue(yield* c.desks.toConnection(there.id, "one"))
        assert.strictEqual(yield* c.desks.toUser(bob, "two"), 1)
        assert.strictEqual(yield* c.desks.broadcast("three", { except: { id: other.id } }), 2)
        assert.strictEqual(yield* c.desks.broadcast(7 as unknown as string), 0)
        assert.deepStrictEqual(log, ["a message was published that cannot be sent"])
        assert.deepStrictEqual([yield* c.desks.size, yield* c.desks.count, yield* b.desks.count], [0, 3, 3])
        end()
        assert.deepStrictEqual([there.taken(), other.taken()], [["one", "three"], ["two"]])
      })
    )
  )

  it.effect("that has gone meanwhile is dropped and counted, and nobody fails", () =>
    watched(() =>
      Effect.gen(function* () {
        const { a, b, nodes, there } = yield* office()
        b.directory.witness = undefined
        there.gone()
        assert.isTrue(yield* a.desks.toConnection(there.id, "too late"), "it is not known yet")
        assert.isTrue(yield* a.desks.disconnect(there.id))
        assert.isFalse(yield* a.desks.join(there.id, a.halls.get(north), "data"))
        assert.strictEqual(yield* dropped("gone"), 3)
        nodes.say("b", "connections", [[there.id, undefined]])
        assert.isFalse(yield* a.desks.toConnection(there.id, "too late"))
      })
    )
  )
})

describe("L6: connections of the cluster", () => {
  it.effect("are counted and found by user, with their nodes and routes, and gone in the step in which they go", () =>
    Effect.gen(function* () {
      const { a, b, here, nodes, there } = yield* office()
      const phone = b.connect(Phone, alice)
      assert.deepStrictEqual(yield* a.everywhere.connectionsOf(alice), [
        { id: here.id, node: "a", route: "/desk" },
        { id: there.id, node: "b", route: "/desk" },
        { id: phone.id, node: "b", route: "/phone" }
      ])
      assert.deepStrictEqual(yield* a.phones.connectionsOf(alice), [{ id: phone.id, node: "b", route: "/phone" }])
      assert.deepStrictEqual([yield* a.everywhere.size, yield* a.everywhere.count], [1, 4])
      assert.deepStrictEqual([yield* a.phones.size, yield* a.phones.count], [0, 1])
      phone.gone()
      assert.deepStrictEqual(yield* a.phones.connectionsOf(alice), [])
      nodes.crash("b")
      assert.deepStrictEqual([yield* a.everywhere.size, yield* a.everywhere.count], [1, 1])
      assert.strictEqual(yield* a.desks.toUser(bob, "hello"), 0)
      assert.strictEqual(yield* a.desks.broadcast("hello"), 1)
    })
  )

  it.effect("are known to a node that comes later, and forgotten when their server stops", () =>
    Effect.gen(function* () {
      const nodes = new FakeNodes()
      const scope = yield* Scope.make()
      const a = yield* Scope.provide(serverNode(nodes, "a"), scope)
      const guest = a.connect(Desk, alice)
      const b = yield* serverNode(nodes, "b")
      assert.isTrue(yield* b.desks.toConnection(guest.id, "hello"))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* b.desks.count, 0)
      assert.isFalse(yield* b.desks.toConnection(guest.id, "hello"))
      const before = nodes.letters.length
      yield* b.desks.broadcast("hello")
      assert.strictEqual(nodes.letters.length, before)
    })
  )

  it.effect("that two nodes claim belong to the one that said so last, and each takes back its own only", () =>
    Effect.gen(function* () {
      const nodes = new FakeNodes()
      const a = yield* serverNode(nodes, "a")
      nodes.say("old", "connections", [["guest", ["/desk", "User", "alice"]]])
      nodes.say("new", "connections", [["guest", ["/desk", "User", "bob"]]])
      assert.strictEqual(yield* a.desks.count, 1)
      assert.deepStrictEqual(yield* a.desks.connectionsOf(alice), [])
      nodes.crash("old")
      assert.deepStrictEqual(yield* a.desks.connectionsOf(bob), [{ id: "guest", node: "new", route: "/desk" }])
      const own = a.connect(Desk)
      nodes.say("new", "connections", [[own.id, ["/desk"]]])
      assert.isTrue(yield* a.desks.toConnection(own.id, "own"))
      assert.strictEqual(nodes.letters.length, 0)
      a.turn.end()
      assert.deepStrictEqual(own.taken(), ["own"])
    })
  )
})

describe("L4: what is done to connections on other nodes", () => {
  it.effect("disconnect closes one, of its route or of any, behind what it was sent", () =>
    Effect.gen(function* () {
      const { a, other, there } = yield* office()
      yield* a.desks.toConnection(there.id, "last words")
      assert.isFalse(yield* a.phones.disconnect(there.id))
      assert.isTrue(yield* a.desks.disconnect(there.id))
      assert.deepStrictEqual([there.taken(), there.ws.closes], [["last words"], [4504]])
      assert.isTrue(yield* a.everywhere.disconnect(other.id, 4321))
      assert.deepStrictEqual(other.ws.closes, [4321])
      assert.isFalse(yield* a.everywhere.disconnect("nobody"))
    })
  )

  it.effect("a letter about a connection of another route closes nothing", () =>
    Effect.gen(function* () {
      const { nodes, there } = yield* office()
      const close = { _tag: "Close", to: { connection: there.id }, code: 4504, reason: "" }
      nodes.write("a", "b", "connections", { ...close, path: "/phone" })
      assert.deepStrictEqual(there.ws.closes, [])
      nodes.write("a", "b", "connections", { ...close, path: "/desk" })
      assert.deepStrictEqual(there.ws.closes, [4504])
    })
  )

  it.effect("P17: disconnectUser closes all of a user's on all nodes, those included nobody else knows yet", () =>
    Effect.gen(function* () {
      const { a, b, here, nodes, other, there } = yield* office()
      nodes.say("b", "connections", [[there.id, undefined]])
      assert.strictEqual(yield* a.everywhere.disconnectUser(alice), 1)
      assert.deepStrictEqual([here.ws.closes, there.ws.closes, other.ws.closes], [[4504], [4504], []])
      assert.strictEqual(yield* b.everywhere.disconnectUser(bob, 4321), 1)
      assert.deepStrictEqual(other.ws.closes, [4321])
    })
  )

  it.effect("join makes one a member where it is, and its events reach it; leave ends that", () =>
    Effect.gen(function* () {
      const { a, b, end, there } = yield* office()
      const room = a.halls.get(north)
      assert.isTrue(yield* a.desks.join(there.id, room, "data"))
      const [member] = yield* b.halls.get(north).members
      assert.deepStrictEqual([member!.id, member!.data], [there.id, "data"])
      assert.deepStrictEqual([yield* room.size, (yield* room.count).members], [0, 1])
      yield* b.halls.get(north).broadcast("said", "hello")
      end()
      assert.deepStrictEqual(there.taken(), [{ event: "said", data: "hello" }])
      assert.isTrue(yield* a.desks.leave(there.id, room))
      assert.isFalse(yield* a.desks.leave(there.id, room), "it is not in")
      assert.isFalse(yield* a.desks.leave("nobody", room))
      assert.isFalse(yield* a.phones.leave(there.id, room), "it is of another route")
      yield* b.halls.get(north).broadcast("said", "again")
      end()
      assert.deepStrictEqual(there.taken(), [])
      yield* a.desks.join(there.id, room, "data")
      there.gone()
      assert.strictEqual((yield* room.count).members, 0)
    })
  )

  it.effect("P17: the policy and the bounds that count are those of its node, and it is told which said no", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const canJoin = ({ data, member }: { readonly data: string; readonly member: { readonly id: string } }) =>
        Effect.sync(() => asked.push(`${member.id} ${data}`) > 0 && data !== "no")
      const { a, other, there } = yield* office({ halls: { canJoin, capacity: 1 } })
      const room = a.halls.get(north)
      assert.strictEqual(yield* outcome(a.desks.join(there.id, room, "no")), "NotAllowed")
      assert.strictEqual(yield* outcome(a.desks.join(there.id, room, "yes")), "ok")
      const full = yield* Effect.flip(a.desks.join(other.id, room, "yes"))
      assert.strictEqual(full.message, "the room is full: it takes 1 members")
      assert.deepStrictEqual(asked, [`${there.id} no`, `${there.id} yes`, `${other.id} yes`])
      assert.isFalse(yield* a.desks.join("nobody", room, "yes"))
    })
  )

  it.effect("a function cannot travel, nor data that is none: the one fails, the other dies", () =>
    Effect.gen(function* () {
      const { a, nodes, there } = yield* office()
      const room = a.halls.get(north)
      const error = yield* Effect.flip(a.desks.join(there.id, room, "data", ({ data }) => data))
      assert.strictEqual(error.reason._tag, "ClusterRefused")
      assert.isTrue(Exit.hasDies(yield* Effect.exit(a.desks.join(there.id, room, 7 as unknown as string))))
      assert.strictEqual(nodes.letters.length, 0)
    })
  )

  it.effect("TRAP3: a room the bus refuses that node is no place for it, and can be tried again", () =>
    Effect.gen(function* () {
      const { a, b, nodes, there } = yield* office()
      nodes.refused.add("north")
      assert.strictEqual(yield* outcome(a.desks.join(there.id, a.halls.get(north), "data")), "ClusterRefused")
      assert.strictEqual(yield* b.halls.get(north).size, 0)
      nodes.refused.clear()
      assert.strictEqual(yield* outcome(a.desks.join(there.id, a.halls.get(north), "data")), "ok")
    })
  )

  it.effect("a policy that dies is logged on its node, and whoever asked is told that it died", () =>
    watched((log) =>
      Effect.gen(function* () {
        const { a, there } = yield* office({ halls: { canJoin: () => Effect.die(new Error("boom")) } })
        assert.strictEqual(yield* outcome(a.desks.join(there.id, a.halls.get(north), "data")), "ClusterRefused")
        assert.deepStrictEqual(log, ["a join another node asked for died"])
      })
    )
  )
})

describe("a node that does not answer", () => {
  it.effect("is waited for two seconds, and a late answer changes nothing", () =>
    watched(() =>
      Effect.gen(function* () {
        const { a, nodes, there } = yield* office()
        nodes.lose = ({ letter }) => (letter as { readonly _tag: string })._tag === "Answer"
        const room = a.halls.get(north)
        const joining = yield* begin(outcome(a.desks.join(there.id, room, "data")))
        yield* TestClock.adjust("1999 millis")
        assert.isUndefined(joining.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* Fiber.join(joining), "NoAnswer")
        assert.strictEqual(yield* counter("effect_rooms_letters_unanswered"), 1)
        nodes.write("b", "a", "connections", { _tag: "Answer", number: 1, outcome: "done" })
      })
    )
  )

  it.effect("does not go on with a join nobody waits for any more", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const canJoin = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++))
      const { a, b, there } = yield* office({ halls: { canJoin } })
      const joining = yield* begin(outcome(a.desks.join(there.id, a.halls.get(north), "data")))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(joining), "NoAnswer")
      assert.strictEqual(interrupted, 1)
      assert.strictEqual(yield* b.halls.get(north).size, 0)
    })
  )

  it.effect("an interrupted request waits for nothing, and an answer of another node is none", () =>
    Effect.gen(function* () {
      const { a, nodes, there } = yield* office()
      nodes.lose = ({ from, letter }) => from === "b" && (letter as { readonly _tag: string })._tag === "Answer"
      const first = yield* begin(a.desks.join(there.id, a.halls.get(north), "data"))
      yield* Fiber.interrupt(first)
      const second = yield* begin(outcome(a.desks.leave(there.id, a.halls.get(north))))
      nodes.write("c", "a", "connections", { _tag: "Answer", number: 2, outcome: "absent" })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(second), "NoAnswer")
    })
  )
})

describe("SEC16: what other nodes write", () => {
  it.effect("is dropped, counted and logged once where it is not understood, and nothing comes of it", () =>
    watched((log) =>
      Effect.gen(function* () {
        const { a, b, end, nodes, there } = yield* office()
        const connection = there.id
        const place = { connection, path: "/desk", kind: "hall", room: "north" }
        const malformed = [
          null,
          "Send",
          { _tag: "Unknown" },
          { _tag: "Send", to: { connection }, path: "/desk" },
          { _tag: "Send", to: { connection: "x".repeat(1_000) }, path: "/desk", text: '"hello"' },
          { _tag: "Broadcast", path: "/desk", text: '"hello"', except: "nobody" },
          { _tag: "Close", to: { connection }, code: "now", reason: "" },
          { _tag: "Join", number: 1.5, ...place, data: "data" },
          { _tag: "Leave", number: 1, ...place, room: 7 },
          { _tag: "Answer", number: 1, outcome: { _tag: "RoomError", reason: { _tag: "Boredom" } } }
        ]
        for (const letter of malformed) nodes.write("a", "b", "connections", letter)
        assert.strictEqual(yield* dropped("malformed"), malformed.length)
        for (const text of ["7", "nonsense", '{"event":"left"}']) {
          nodes.write("a", "b", "connections", { _tag: "Send", to: { connection }, path: "/desk", text })
          nodes.write("a", "b", "connections", { _tag: "Broadcast", path: "/desk", text, except: [] })
        }
        assert.strictEqual(yield* dropped("invalid"), 6)
        nodes.write("a", "b", "connections", { _tag: "Send", to: { connection }, path: "/attic", text: '"hello"' })
        nodes.write("a", "b", "connections", { _tag: "Broadcast", path: "/attic", text: '"hello"', except: [] })
        assert.strictEqual(yield* dropped("route"), 2)
        end()
        assert.deepStrictEqual([there.taken(), there.ws.closes], [[], []])
        assert.strictEqual(log.length, 3)

        nodes.say("b", "connections", [
          ["guest", "/desk"],
          ["visitor", ["/desk", "User"]],
          ["other", [7]]
        ])
        assert.strictEqual(yield* a.desks.count, 3)
        assert.strictEqual(yield* dropped("malformed"), malformed.length + 3)
        assert.strictEqual(yield* b.desks.count, 3)
      })
    )
  )

  it.effect("a join of a room, a kind or data this node does not know is answered with why", () =>
    Effect.gen(function* () {
      const { b, nodes, there } = yield* office()
      const place = { connection: there.id, path: "/desk", kind: "hall", room: "north" }
      const answers = (letter: { readonly kind?: string; readonly room?: string; readonly data?: number }) => {
        nodes.write("a", "b", "connections", { _tag: "Join", number: 1, ...place, data: "data", ...letter })
        return JSON.stringify(nodes.letters.at(-1)!.letter)
      }
      assert.include(answers({ kind: "attic" }), "there are no rooms called attic on the node of the connection")
      assert.include(answers({ kind: "__proto__" }), "there are no rooms called __proto__")
      assert.include(answers({ room: "no name!" }), "there is no hall room of this name")
      assert.include(answers({ data: 7 }), "does not fit the schema of hall rooms")
      assert.deepStrictEqual(yield* b.halls.list, [])
    })
  )
})

describe("two servers on one node", () => {
  it.effect("are logged, and the second keeps its connections to itself", () =>
    watched((log) =>
      Effect.gen(function* () {
        const nodes = new FakeNodes()
        yield* serverNode(nodes, "a")
        const second = yield* Effect.exit(serverNode(nodes, "a"))
        assert.isTrue(Exit.isSuccess(second))
        assert.isTrue(log.some((line) => line.startsWith("two servers on one node")))
      })
    )
  )
})
