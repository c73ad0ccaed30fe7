/**
 * Presences of several nodes of one test: each with a clock of its own, readers, and what they were told in short.
 */
import { Presence } from "effect-rooms"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { CurrentPeers } from "../../src/internal/peers.ts"
import { drain, general, type Room, type User } from "../support/channels.ts"
import { FakeCluster, type FakeNode } from "../support/fakePeers.ts"
import { brief, type Chat, lines, ManualClock, options } from "./support.ts"

export interface Place {
  readonly node: FakeNode
  readonly chat: Chat
  readonly clock: ManualClock
  /** What readers of `general` were told since the last time, a line for each user; the first time all who are there. */
  readonly told: () => ReadonlyArray<string>
  /** Who is in a room. */
  readonly shown: (room?: typeof general) => ReadonlyArray<string>
  /** Ends the presence, in its own time. */
  readonly stop: Effect.Effect<void>
  /** Entries this node tells others, without the one every node has. */
  readonly entries: () => ReadonlyArray<string>
}

type Options = Partial<Presence.Options<Room, User, string>>

const shownOf = (listing: Presence.Listing<User, string>): ReadonlyArray<string> =>
  listing._tag === "Counts" ? [`${listing.users} users ${listing.devices} devices`] : listing.entries.map(brief)

export class Nodes {
  readonly cluster = new FakeCluster()
  readonly places: Array<Place> = []

  /** A node with a presence on it, until the surrounding scope closes. */
  start = (name: string, extra: Options = {}): Effect.Effect<Place, never, Scope.Scope> =>
    Effect.gen({ self: this }, function* () {
      return yield* this.on(this.cluster.start(name), extra)
    })

  /** A presence on a node. */
  on = (node: FakeNode, extra: Options = {}): Effect.Effect<Place, never, Scope.Scope> =>
    Effect.gen({ self: this }, function* () {
      const clock = new ManualClock()
      clock.at = this.places[0]?.clock.at ?? 0
      clock.wallOffset = 1_000_000
      const scope = yield* Effect.acquireRelease(Scope.make(), (made) => Scope.close(made, Exit.void))
      const chat = yield* Presence.make({ ...options, ...extra }).pipe(
        Effect.provideService(Clock.Clock, clock),
        Effect.provideService(CurrentPeers, node),
        Scope.provide(scope)
      )
      const changes = yield* Scope.provide(chat.changes(general), scope)
      const table = `presence/${extra.name ?? "Room/User"}`
      const place: Place = {
        node,
        chat,
        clock,
        told: () => drain(changes).flatMap(lines),
        shown: (room = general) => shownOf(Effect.runSync(chat.list(room))),
        stop: Scope.close(scope, Exit.void),
        entries: () => Array.from(node.own.get(table) ?? [], ([key, text]) => `${key} ${text}`).slice(1)
      }
      this.places.push(place)
      return place
    })

  /** Everything arrives, and readers are told. */
  settle(): void {
    this.cluster.settle()
    this.pass(100)
  }

  /** Time passes on all nodes. */
  pass(millis: number): void {
    for (const { clock } of this.places) clock.advance(millis)
  }

  /** Time passes and everything arrives, a second at a time. */
  live(seconds: number): void {
    for (let n = 0; n < seconds; n++) {
      this.pass(1_000)
      this.cluster.settle()
    }
    this.settle()
  }
}

/** Nodes that know each other, and where nobody is present. */
export const start = (
  names: ReadonlyArray<string>,
  extra: Options = {}
): Effect.Effect<{ readonly nodes: Nodes; readonly places: ReadonlyArray<Place> }, never, Scope.Scope> =>
  Effect.gen(function* () {
    const nodes = new Nodes()
    const places = yield* Effect.forEach(names, (name) => nodes.start(name, extra))
    nodes.settle()
    for (const { told } of places) told()
    return { nodes, places }
  })

/** The entry of a user in short; `undefined` when absent. */
export const entryOf = (chat: Chat, user: Parameters<Chat["get"]>[1]): string | undefined =>
  Option.getOrUndefined(Option.map(Effect.runSync(chat.get(general, user)), brief))

/** Tracks a device until the scope that is returned closes. */
export const tracked = Effect.fnUntraced(function* (
  { chat }: Pick<Place, "chat">,
  user: Parameters<Chat["track"]>[1],
  fields: Parameters<Chat["track"]>[2]
) {
  const scope = yield* Effect.acquireRelease(Scope.make(), (made) => Scope.close(made, Exit.void))
  const session = yield* Scope.provide(chat.track(general, user, fields), scope)
  return { session, close: Scope.close(scope, Exit.void) }
})
