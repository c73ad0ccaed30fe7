/**
 * Who is where in a simulated cluster, and whether all nodes say the same: members of rooms, and presence of users with
 * several devices that move from node to node.
 */
import { Presence, Ref, RoomApi, Rooms, type Subscription } from "effect-rooms"
import { Cluster } from "effect-rooms/cluster"
import type { TestCluster } from "effect-rooms/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { FakeConnection } from "./rooms.ts"
import { idleTimers, maxPayload, onAll, pick } from "./simulation.ts"

class Room extends Ref.Entity<Room>()("Room") {}
class User extends Ref.Entity<User>()("User") {}
class Online extends Presence.Service<Online>()("simulation/Online", { room: Room, user: User, meta: Schema.Int }) {}
const BoardApi = RoomApi.make("board", { key: Room, events: { said: Schema.String }, member: Schema.Int })
class Boards extends Rooms.Service<Boards>()("simulation/Boards", BoardApi) {}

type Services = Online | Boards
type Node = TestCluster.Node<Services | Cluster.Cluster>
type Run = TestCluster.Run<Services, People>

const rooms = ["red", "blue"].map((name) => Room.ref.make(name))
const users = ["ann", "bob", "eve"]
const devices = ["tab", "phone"]

/** Somebody who has come on a node, and whether he is there still. */
interface Stay {
  readonly room: string
  readonly user: string
  readonly device: string
  readonly node: Node
  readonly starts: number
  readonly scope: Scope.Closeable
  readonly connection: FakeConnection
  isOpen: boolean
}

const isThere = ({ isOpen, node, starts }: Stay) => isOpen && node.status === "up" && node.starts === starts

/** What one reader of changes knows, and when it was told. */
interface Follower {
  readonly node: Node
  readonly starts: number
  readonly room: string
  known: Presence.Listing<User, number>
}

export class People {
  readonly present: Array<Stay> = []
  readonly members: Array<Stay> = []
  readonly followers: Array<Follower> = []
  readonly #problems: Array<string> = []
  count = 0

  found(problem: string): void {
    this.#problems.push(problem)
  }

  get problem(): string | undefined {
    return this.#problems[0]
  }
}

const layer = (node: string, twins: boolean) =>
  Layer.merge(Online.layer, Boards.layer).pipe(
    Layer.provideMerge(Cluster.layer({ namespace: "people", node: twins && node === "b" ? "a" : node }))
  )

const begin = Effect.fnUntraced(function* (
  { count }: People,
  node: Node,
  list: Array<Stay>,
  place: Pick<Stay, "room" | "user" | "device">,
  come: (connection: FakeConnection, scope: Scope.Closeable) => Effect.Effect<unknown, unknown, Services>
) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const connection = new FakeConnection(`connection-${count}`)
  yield* come(connection, scope)
  list.push({ ...place, node, starts: node.starts, scope, connection, isOpen: true })
})

const track = (state: People, node: Node, { device, room, user }: Pick<Stay, "room" | "user" | "device">) =>
  begin(state, node, state.present, { room, user, device }, (connection, scope) =>
    Effect.flatMap(Online, (online) => {
      const fields = { device, meta: ++state.count, as: connection }
      return Scope.provide(online.track(Room.ref.make(room), User.ref.make(user), fields), scope)
    })
  )

const join = (state: People, node: Node, room: string) => {
  const user = `member-${++state.count}`
  return begin(state, node, state.members, { room, user, device: "" }, (connection, scope) => {
    const as: Subscription.Receiver = { id: user, onClose: connection.onClose }
    return Effect.flatMap(Boards, (boards) =>
      Scope.provide(boards.get(Room.ref.make(room)).join(state.count, { as }), scope)
    )
  })
}

/** Ends a stay: its scope closes, or its connection is lost. */
const end = Effect.fnUntraced(function* (stay: Stay | undefined, how: "close" | "clean" | "lost") {
  if (stay === undefined) return
  stay.isOpen = false
  if (how === "close") return yield* Scope.close(stay.scope, Exit.void)
  stay.connection.ending = how
  stay.connection.close()
})

const oneOf = (list: ReadonlyArray<Stay>, node: Node, which: number) => {
  const there = list.filter((stay) => stay.node === node && isThere(stay))
  return there[Math.floor(which * there.length)]
}

const follow = Effect.fnUntraced(function* (state: People, node: Node, room: string) {
  const online = yield* Online
  const changes = yield* online.changes(Room.ref.make(room))
  const first = yield* changes.take
  const follower: Follower = {
    node,
    starts: node.starts,
    room,
    known: first._tag === "Diff" ? { _tag: "Counts", users: 0, devices: 0 } : first
  }
  state.followers.push(follower)
  const read = Effect.flatMap(changes.take, (change) =>
    Effect.sync(() => {
      hear(state, follower, change)
      follower.known = Presence.apply(follower.known, change)
    })
  )
  yield* Effect.forkScoped(Effect.ignore(Effect.forever(read)))
})

/** I9: for each reader users come and go in turns. */
const hear = (state: People, { known, node, room }: Follower, change: Presence.Change<User, number>) => {
  if (change._tag !== "Diff" || known._tag === "Counts") return
  const present = new Set(known.entries.map(({ user }) => user.identifier))
  for (const event of change.events) {
    const user = event._tag === "Leave" ? event.user.identifier : event.entry.user.identifier
    if (present.has(user) !== (event._tag !== "Enter")) {
      state.found(
        `a reader of ${room} on ${node.name} is told ${event._tag} of ${user}, who is ${present.has(user) ? "in" : "out"} (I9)`
      )
    }
  }
}

type Draw = () => number
const where = (draw: Draw) => ({
  room: pick(draw, ["red", "red", "blue"]),
  user: pick(draw, users),
  device: draw() < 0.5 ? pick(draw, devices) : `device-${Math.floor(draw() * 1_000_000)}`
})

const ending = (draw: Draw) => ({ which: draw(), how: pick(draw, ["close", "clean", "lost"] as const) })

const acts: TestCluster.Spec<Services, People>["acts"] = {
  track: (draw) => {
    const who = where(draw)
    return { shown: who, run: ({ node, state }) => track(state, node, who) }
  },
  leave: (draw) => {
    const { how, which } = ending(draw)
    return { shown: { how, which }, run: ({ node, state }) => end(oneOf(state.present, node, which), how) }
  },
  join: (draw) => {
    const room = pick(draw, ["red", "blue"])
    return { shown: room, run: ({ node, state }) => join(state, node, room) }
  },
  part: (draw) => {
    const { how, which } = ending(draw)
    return { shown: { how, which }, run: ({ node, state }) => end(oneOf(state.members, node, which), how) }
  },
  follow: (draw) => {
    const room = pick(draw, ["red", "blue"])
    return { shown: room, run: ({ node, state }) => follow(state, node, room) }
  }
}

const weights = { track: 6, leave: 3, join: 4, part: 2, follow: 2 }

const tell = ({ state }: Run) => (state.problem === undefined ? Effect.void : Effect.fail(state.problem))

/** Members are those who are in, on every node, at rest (I7, I8). */
const checkMembers = Effect.fnUntraced(function* ({ cluster, state }: Run) {
  const epochs = new Map<string, string>()
  yield* onAll(cluster, (node) =>
    Effect.map(
      node.run(Effect.flatMap(Cluster.Cluster, ({ epoch }) => epoch)),
      (epoch) => void epochs.set(node.name, epoch)
    )
  )
  for (const ref of rooms) {
    const inside = state.members.filter((stay) => stay.room === ref.identifier && isThere(stay))
    const expected = inside.map(({ node, user }) => `${epochs.get(node.name)} ${user}`).toSorted()
    yield* onAll(cluster, (node) =>
      Effect.gen(function* () {
        const [everyone, count, size] = yield* node.run(
          Effect.flatMap(Boards, (boards) => {
            const room = boards.get(ref)
            return Effect.all([room.everyone, room.count, room.size])
          })
        )
        const actual = everyone.map((member) => `${member.node} ${member.id}`).toSorted()
        const here = inside.filter((stay) => stay.node.name === node.name).length
        if (JSON.stringify(actual) !== JSON.stringify(expected))
          state.found(
            `${node.name} says that ${JSON.stringify(actual)} are in ${ref.identifier}, not ${JSON.stringify(expected)} (I8)`
          )
        if (count.members !== expected.length || count.staleNodes.length > 0)
          state.found(`${node.name} counts ${count.members} in ${ref.identifier}, not ${expected.length} (I8)`)
        if (size !== here) state.found(`${node.name} has ${size} in ${ref.identifier}, not ${here} (I7)`)
      })
    )
  }
})

const brief = (listing: Presence.Listing<User, number>): ReadonlyArray<string> =>
  listing._tag === "Counts"
    ? ["too many"]
    : listing.entries.flatMap(({ devices: all, status, unstable, user }) =>
        all.map(
          (one) =>
            `${user.identifier} ${status}${unstable ? " lost" : ""} ${one.device} ${one.status} ${one.meta}${one.unstable ? " lost" : ""}`
        )
      )

/** Whether a device has to be present, may be, or must not be. */
const duty = (stays: ReadonlyArray<Stay>): "in" | "out" | "either" => {
  if (!stays.some(isThere)) return "out"
  return stays.every(isThere) ? "in" : "either"
}

/** Everybody sees the same of every room, and nobody who has gone. */
const checkPresence = Effect.fnUntraced(function* ({ cluster, state }: Run) {
  for (const ref of rooms) {
    const lists: Array<ReadonlyArray<string>> = []
    const stays = Map.groupBy(
      state.present.filter(({ room }) => room === ref.identifier),
      ({ device, user }) => `${user} ${device}`
    )
    yield* onAll(cluster, (node) =>
      Effect.gen(function* () {
        const listing = yield* node.run(Effect.flatMap(Online, (online) => online.list(ref)))
        const shown = brief(listing).toSorted()
        lists.push(shown)
        const say = (what: string) => state.found(`${node.name} in ${ref.identifier}: ${what}`)
        const names =
          listing._tag === "Counts"
            ? []
            : listing.entries.flatMap(({ devices: all, user }) =>
                all.map(({ device }) => `${user.identifier} ${device}`)
              )
        for (const [name, some] of stays) {
          const must = duty(some)
          if (must === "in" && !names.includes(name)) say(`${name} is not shown, and is there (I8)`)
          if (must === "out" && names.includes(name)) say(`${name} is shown, and is gone (BUG22)`)
        }
        if (JSON.stringify(shown) !== JSON.stringify(lists[0])) {
          say(`shows ${JSON.stringify(shown)}, and another node ${JSON.stringify(lists[0])} (I8)`)
        }
        for (const follower of state.followers) {
          if (follower.node !== node || follower.starts !== node.starts || follower.room !== ref.identifier) continue
          const folded = brief(follower.known).toSorted()
          if (JSON.stringify(folded) !== JSON.stringify(shown))
            say(`a reader knows ${JSON.stringify(folded)}, and ${JSON.stringify(shown)} is shown (I9)`)
        }
      })
    )
  }
})

/** Everybody goes: nothing is left behind (I7). */
const checkIdle = Effect.fnUntraced(function* ({ cluster, state }: Run) {
  for (const stay of [...state.present, ...state.members].filter(isThere)) yield* stay.node.run(end(stay, "close"))
  yield* cluster.pass("20 seconds")
  yield* onAll(cluster, (node) =>
    Effect.gen(function* () {
      const [listed, ...shown] = yield* node.run(
        Effect.all([
          Effect.flatMap(Boards, ({ listAll }) => listAll),
          ...rooms.map((ref) =>
            Effect.map(
              Effect.flatMap(Online, (online) => online.list(ref)),
              brief
            )
          )
        ])
      )
      if (listed.length > 0) state.found(`${node.name} still counts members of ${listed.length} rooms (I7)`)
      if (shown.flat().length > 0) state.found(`${node.name} still shows ${JSON.stringify(shown)} (I7)`)
      if (node.timers > idleTimers + 2) state.found(`${node.name} is idle and waits for ${node.timers} timers (I7)`)
    })
  )
})

const atRest = Effect.fnUntraced(function* (run: Run) {
  // Whoever was lost has had time to come back.
  yield* run.cluster.pass("40 seconds")
  yield* checkMembers(run)
  yield* checkPresence(run)
  yield* tell(run)
  yield* checkIdle(run)
  yield* tell(run)
})

/** Members and presence over nodes; where there are `twins`, two nodes have one name. */
export const peopleSpec = (twins = false): TestCluster.Spec<Services, People> => ({
  nodes: { min: 2, max: 4 },
  state: () => new People(),
  layer: (node) => layer(node, twins),
  network: { maxPayload, latency: { min: 1, max: 8 }, answer: { min: 0, max: 3 } },
  acts,
  weights,
  always: tell,
  atRest
})
