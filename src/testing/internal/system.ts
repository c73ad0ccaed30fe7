/**
 * The rooms under test, driven by commands, and the connections that end when a command says so.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { CurrentReceiver, type Receiver, type Subscription } from "../../channels/Subscription.ts"
import type { Membership, Room } from "../../rooms/Room.ts"
import type { Events, RoomEvent } from "../../rooms/RoomApi.ts"
import type { RoomError } from "../../rooms/RoomError.ts"
import type { Rooms } from "../../rooms/Rooms.ts"
import type { Command, LeaveHow } from "../RoomSpec.ts"
import { ByJoin } from "./commands.ts"

type Ending = "clean" | "lost"

/** A connection without a socket. */
export class TestConnection implements Receiver {
  readonly id: string
  readonly #callbacks = new Set<(ending: Ending) => void>()
  /** Places in rooms that were asked for and not given back. */
  places = 0
  readonly quota = {
    join: (): "granted" => {
      this.places++
      return "granted"
    },
    leave: (): void => void this.places--,
    charge: (): void => undefined
  }
  #ending: Ending | undefined

  constructor(id: string) {
    this.id = id
  }

  /** Callbacks that wait for its end. */
  get waiting(): number {
    return this.#callbacks.size
  }

  end(ending: Ending): void {
    if (this.#ending !== undefined) return
    this.#ending = ending
    const callbacks = Array.from(this.#callbacks)
    this.#callbacks.clear()
    for (const callback of callbacks) callback(ending)
  }

  readonly onClose = (callback: (ending: Ending) => void): (() => void) => {
    if (this.#ending !== undefined) {
      callback(this.#ending)
      return () => undefined
    }
    // Each registration is one of its own, also of the same function.
    const registered = (ending: Ending) => callback(ending)
    this.#callbacks.add(registered)
    return () => void this.#callbacks.delete(registered)
  }
}

/** What came of a command. */
export interface Outcome {
  /** Undefined where it answers nothing. */
  readonly answer: string | number | boolean | undefined
  /** The id of the member who joined by this command, also of one who did so as nobody. */
  readonly joined: string
  /** When it was done. */
  readonly at: number
  readonly cause?: Cause.Cause<unknown>
}

interface Held<E, Data> {
  readonly membership: Membership<E, Data>
  readonly scope: Scope.Closeable | undefined
}

export class System<E, Ev extends Events, Data> {
  readonly rooms: Rooms<E, Ev, Data>
  readonly connections: Map<string, TestConnection>
  readonly #held = new ByJoin<Held<E, Data>>()
  #joined = "nobody"

  constructor(rooms: Rooms<E, Ev, Data>, connections: Map<string, TestConnection>) {
    this.rooms = rooms
    this.connections = connections
  }

  room(name: string): Room<E, Ev, Data> {
    return this.rooms.get(this.rooms.api.key.ref.make(name))
  }

  connection(id: string): TestConnection {
    const known = this.connections.get(id) ?? new TestConnection(id)
    this.connections.set(id, known)
    return known
  }

  /** Subscribes on behalf of a connection, or of nobody in particular. */
  listen(name: string, receiver: Receiver | undefined): Effect.Effect<Subscription<RoomEvent<Ev>>, never, Scope.Scope> {
    const subscription: Effect.Effect<Subscription<RoomEvent<Ev>>, never, Scope.Scope> = this.room(name).subscribe({})
    return Effect.provideService(subscription, CurrentReceiver, receiver)
  }

  /** Does a command, with the ids that members have now. */
  readonly run = Effect.fnUntraced(function* (
    this: System<E, Ev, Data>,
    command: Command<Ev, Data>,
    idOf: (member: string) => string
  ): Effect.fn.Return<Outcome> {
    this.#joined = "nobody"
    const exit = yield* Effect.exit(this.#run(command, idOf))
    const at = yield* Clock.currentTimeMillis
    const joined = this.#joined
    if (Exit.isSuccess(exit)) return { answer: exit.value, joined, at }
    const refused = Exit.findErrorOption(exit)
    if (Option.isSome(refused)) return { answer: refused.value.reason._tag, joined, at }
    return { answer: `died: ${String(Cause.squash(exit.cause))}`, joined, at, cause: exit.cause }
  })

  #run(
    command: Command<Ev, Data>,
    idOf: (member: string) => string
  ): Effect.Effect<string | number | boolean | undefined, RoomError> {
    switch (command._tag) {
      case "Join":
        return this.#join(command, this.connection(idOf(command.member)))
      case "Leave":
        return this.#leave(this.#held.get(command), command.how)
      case "Remove":
        return this.room(command.room).leave(this.connection(idOf(command.member)))
      case "LeaveAll":
        return this.rooms.leaveAll(this.connection(idOf(command.member)))
      case "Disconnect":
        return Effect.sync(() => this.connection(idOf(command.member)).end(command.ending)).pipe(Effect.as(undefined))
      case "Publish": {
        const { data, event } = command.message
        const as = this.connection(idOf(command.member))
        return Effect.as(this.room(command.room).publish(event, data, { as }), "ok")
      }
      case "Broadcast": {
        const { data, event } = command.message
        const except = command.except.map((member) => this.connection(idOf(member)))
        return Effect.as(this.room(command.room).broadcast(event, data, { except }), undefined)
      }
      case "Close":
        return Effect.as(this.room(command.room).close("closed"), undefined)
      case "Pass":
        return Effect.undefined
    }
  }

  readonly #join = Effect.fnUntraced(function* (
    this: System<E, Ev, Data>,
    { data, how, member, room: name }: Command<Ev, Data> & { readonly _tag: "Join" },
    connection: TestConnection
  ) {
    const room = this.room(name)
    const scope = how === "scope" ? yield* Scope.make() : undefined
    const joining = () => {
      if (scope !== undefined) return Scope.provide(room.join(data, { as: connection }), scope)
      switch (how) {
        case "current":
          return Effect.provideService(room.open(data), CurrentReceiver, connection)
        case "nobody":
          return Effect.provideService(room.open(data), CurrentReceiver, undefined)
        default:
          return room.open(data, { as: how === "id" ? { id: connection.id } : connection })
      }
    }
    const membership = yield* joining()
    this.#held.add(name, member, { membership, scope })
    this.#joined = membership.member.id
    return "ok"
  })

  /** Disposing and closing a scope answer nothing. */
  #leave(held: Held<E, Data> | undefined, how: LeaveHow): Effect.Effect<boolean | undefined> {
    if (held === undefined) return Effect.undefined
    const { membership, scope } = held
    if (how === "scope" && scope !== undefined) return Effect.as(Scope.close(scope, Exit.void), undefined)
    if (how === "dispose") return Effect.sync(() => membership[Symbol.dispose]()).pipe(Effect.as(undefined))
    return Effect.sync(() => membership.leave())
  }
}
