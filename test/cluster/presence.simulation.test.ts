/**
 * Presence in drawn schedules (T-SIM): clients come and go on nodes that crash, stop, sleep and lose each other, and once
 * all is well everybody shows the same, and whoever is connected.
 */
import { describe, it } from "@effect/vitest"
import { Presence, type Subscription } from "effect-rooms"
import { Cluster } from "effect-rooms/cluster"
import { TestCluster } from "effect-rooms/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { brief } from "../presence/support.ts"
import { general, Room, User } from "../support/channels.ts"
import { FakeConnection } from "../support/rooms.ts"

class Online extends Presence.Service<Online>()("simulation/Online", {
  room: Room,
  user: User,
  meta: Schema.String
}) {}

type Listing = Presence.Listing<User, string>

/** What a reader on a node knows. */
class Reader extends Context.Service<Reader, { known: ReadonlyArray<string> }>()("simulation/Reader") {}

interface Session {
  readonly name: string
  readonly node: string
  /** Which start of the node. */
  readonly life: number
  readonly connection: FakeConnection
}

interface State {
  readonly problems: Array<string>
  readonly sessions: Array<Session>
  /** Devices that two nodes had at once: which of them it is nobody can say. */
  readonly contested: Set<string>
}

type Run = TestCluster.Run<Online | Reader, State>

/** Folds changes the strict way: nobody enters twice, and nobody is updated or leaves who is not there. */
const reader = (node: string, { problems }: State) =>
  Layer.effect(
    Reader,
    Effect.gen(function* () {
      const changes = yield* Effect.flatMap(Online, (online) => online.changes(general))
      const self: Reader["Service"] = { known: [] }
      let known: Listing = { _tag: "Snapshot", users: 0, devices: 0, entries: [] }
      const learn = (change: Presence.Change<User, string>) => {
        if (change._tag === "Diff" && known._tag === "Snapshot") {
          const there = new Set(known.entries.map((entry) => entry.user.identifier))
          for (const event of change.events) {
            const { identifier } = event._tag === "Leave" ? event.user : event.entry.user
            if (there.has(identifier) === (event._tag === "Enter"))
              problems.push(`${node}: ${event._tag} ${identifier}`)
          }
        }
        known = Presence.apply(known, change)
        self.known = known._tag === "Snapshot" ? known.entries.map(brief).toSorted() : []
      }
      yield* Effect.forkScoped(Effect.ignore(Effect.forever(Effect.map(changes.take, learn))))
      return self
    })
  )

const layer = (node: string, state: State) =>
  reader(node, state).pipe(
    Layer.provideMerge(Online.layer),
    Layer.provideMerge(Cluster.layer({ namespace: "test", node, secret: "unsigned" }))
  )

const isHere = ({ cluster }: Run, { connection, life, node: name }: Session): boolean => {
  const node = cluster.node(name)
  return !connection.closed && node.starts === life && (node.status === "up" || node.status === "frozen")
}

const pick = <A>(all: ReadonlyArray<A>, drawn: number): A | undefined => all[Math.floor(drawn * all.length)]

const end =
  (ending: Subscription.Ending): TestCluster.Act<Online | Reader, State> =>
  (draw) => {
    const drawn = draw()
    return {
      shown: drawn,
      run: (run) =>
        Effect.sync(() => {
          const own = run.state.sessions.filter((one) => one.node === run.node.name && isHere(run, one))
          const connection = pick(own, drawn)?.connection
          if (connection === undefined) return
          connection.ending = ending
          connection.close()
        })
    }
  }

const acts: TestCluster.Spec<Online | Reader, State>["acts"] = {
  come: (draw) => {
    const user = pick(["alice", "bob", "carol"], draw())!
    const device = pick(["tab", "phone"], draw())!
    return {
      shown: { user, device },
      run: (run) =>
        Effect.gen(function* () {
          const { cluster, node, state } = run
          const name = `${user} ${device}`
          if (state.sessions.some((one) => one.name === name && isHere(run, one))) state.contested.add(name)
          const connection = new FakeConnection(`c${state.sessions.length}`)
          state.sessions.push({ name, node: node.name, life: cluster.node(node.name).starts, connection })
          const online = yield* Online
          yield* online.track(general, User.ref.make(user), { device, meta: connection.id, as: connection })
        })
    }
  },
  lose: end("lost"),
  leave: end("clean")
}

const weights = { come: 6, lose: 3, leave: 2 }

const atRest = Effect.fnUntraced(function* (run: Run) {
  const { cluster, state } = run
  // Nobody's grace period ends while they are compared.
  yield* cluster.pass("30 seconds")
  const up = cluster.nodes.filter(({ status }) => status === "up")
  const lists = yield* Effect.forEach(up, (node) =>
    node.run(
      Effect.gen(function* () {
        const listing = yield* Effect.flatMap(Online, (online) => online.list(general))
        return { listed: listing._tag === "Snapshot" ? listing.entries.map(brief) : [], ...(yield* Reader) }
      })
    )
  )
  for (const { known, listed } of lists) {
    if (listed.join() !== lists[0]!.listed.join())
      state.problems.push(`${listed.join()} is not ${lists[0]!.listed.join()}`)
    if (known.join() !== listed.toSorted().join())
      state.problems.push(`a reader knows ${known.join()} of ${listed.join()}`)
  }
  for (const session of state.sessions) {
    const [user, device] = session.name.split(" ") as [string, string]
    const isShown = new RegExp(`\\b${user} .*\\b${device} online ${session.connection.id}[,\\]]`)
    if (!isHere(run, session) || state.contested.has(session.name)) continue
    if (!lists[0]!.listed.some((line) => isShown.test(line))) {
      state.problems.push(`${session.name} is connected to ${session.node} and not among ${lists[0]!.listed.join()}`)
    }
  }
  yield* tell(run)
})

const tell = ({ state }: Run) =>
  state.problems.length === 0 ? Effect.void : Effect.die(new Error(state.problems.join("; ")))

describe("presence in drawn schedules", () => {
  it.effect(
    "P7, P8: everybody shows the same at rest, and readers see each user enter and leave in turn",
    () =>
      TestCluster.check<Online | Reader, State>(
        {
          state: () => ({ problems: [], sessions: [], contested: new Set() }),
          layer,
          acts,
          weights,
          always: tell,
          atRest
        },
        { runs: 60, seed: 1 }
      ),
    120_000
  )
})
