/**
 * The model of one kind of room: who is in, what every subscriber was sent, which actors live; in plain arrays.
 *
 * A command is done in one step, and what it has the handlers told follows before the next, as under a test clock. What
 * a body of a user does is known by that of the specification.
 */
import type { PublishOptions } from "../../channels/Channels.ts"
import type { Events, RoomEvent } from "../../rooms/RoomApi.ts"
import type { Command, ModelBody, ModelHandlers, ModelMember, ModelRoom, RoomSpec } from "../RoomSpec.ts"
import { ByJoin, idleMillis, poolsOf } from "./commands.ts"

/** An event on its way to the subscribers of a room. */
export interface Sent<Ev extends Events> {
  readonly message: RoomEvent<Ev>
  /** Ids of the receivers left out. */
  readonly except: ReadonlyArray<string>
}

interface Place<Data> extends ModelMember<Data> {
  readonly joinedAt: number
  readonly generation: number
  /** Whether it ends with the connection of the member. */
  readonly tied: boolean
}

const idsOf = (except: PublishOptions["except"]): ReadonlyArray<string> =>
  except === undefined ? [] : "id" in except ? [except.id] : except.map(({ id }) => id)

class RoomState<Ev extends Events, Data> {
  readonly name: string
  places: ReadonlyArray<Place<Data>> = []
  sent: Array<Sent<Ev>> = []
  handlers: ModelHandlers<Ev, Data> | undefined
  lives = 0
  #ending = false
  #lastTurn = 0
  readonly #jobs: Array<(handlers: ModelHandlers<Ev, Data>) => void> = []
  readonly #body: ModelBody<Ev, Data> | undefined

  constructor(name: string, body: ModelBody<Ev, Data> | undefined) {
    this.name = name
    this.#body = body
  }

  /** The room as the body sees it. */
  readonly #face = (): ModelRoom<Ev, Data> => {
    const members = () => this.members
    return {
      name: this.name,
      get members() {
        return members()
      },
      broadcast: (event, data, options) => this.send({ event, data }, idsOf(options?.except)),
      leave: ({ id }, reason: string = "removed") => this.leave(id, reason),
      close: (reason) => this.close(reason)
    }
  }

  get members(): ReadonlyArray<ModelMember<Data>> {
    return this.places.map(({ data, id }) => ({ id, data }))
  }

  get isLive(): boolean {
    return this.handlers !== undefined
  }

  start(now: number): void {
    if (this.handlers !== undefined || this.#body === undefined) return
    this.lives++
    this.#lastTurn = now
    this.handlers = this.#body(this.#face())
  }

  send(message: RoomEvent<Ev>, except: ReadonlyArray<string>): void {
    this.sent.push({ message, except })
  }

  tell(job: (handlers: ModelHandlers<Ev, Data>) => void): void {
    if (this.handlers !== undefined && !this.#ending) this.#jobs.push(job)
  }

  /** The handlers do what waits for them. */
  settle(now: number): void {
    for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) {
      job(this.handlers!)
      this.#lastTurn = now
    }
    if (this.#ending) this.handlers = undefined
    this.#ending = false
  }

  /** Ends the actor that nobody has needed for so long. */
  expire(now: number, idle: number): void {
    if (this.places.length === 0 && now - this.#lastTurn >= idle) this.handlers = undefined
  }

  join(place: Omit<Place<Data>, "joinedAt">, now: number): void {
    const present = this.places.find(({ id }) => id === place.id)
    const { data, id } = place
    this.places = [
      ...this.places.filter((other) => other !== present),
      { ...place, joinedAt: present?.joinedAt ?? now }
    ]
    if (present === undefined) this.tell((handlers) => handlers.onJoin?.({ id, data }))
  }

  leave(id: string, reason: string, which: (place: Place<Data>) => boolean = () => true): boolean {
    const present = this.places.find((place) => place.id === id)
    if (present === undefined || !which(present)) return false
    this.places = this.places.filter((place) => place !== present)
    this.tell((handlers) => handlers.onLeave?.({ id, data: present.data }, reason))
    return true
  }

  close(reason: string): void {
    for (const { id } of this.places) this.leave(id, reason)
    if (this.handlers !== undefined) this.#ending = true
  }
}

export class Model<E, Ev extends Events, Data, R> {
  readonly roomNames: ReadonlyArray<string>
  readonly memberNames: ReadonlyArray<string>
  /** Whether it knows what handlers broadcast. */
  readonly foretells: boolean
  readonly #spec: RoomSpec<E, Ev, Data, R>
  readonly #rooms: ReadonlyMap<string, RoomState<Ev, Data>>
  readonly #incarnations = new Map<string, number>()
  /** Joins that succeeded, by room and member. */
  readonly #joins = new ByJoin<{ readonly id: string; readonly generation: number }>()
  readonly #gone = new Set<string>()
  readonly #idle: number
  #generation = 0

  constructor(spec: RoomSpec<E, Ev, Data, R>) {
    const body = spec.body === "none" ? undefined : (spec.body ?? (() => ({ onMessage: () => undefined })))
    this.#spec = spec
    this.#idle = idleMillis(spec)
    this.foretells = spec.body !== undefined
    const { members, rooms } = poolsOf(spec)
    this.roomNames = rooms
    this.memberNames = members
    this.#rooms = new Map(this.roomNames.map((name) => [name, new RoomState(name, body)]))
  }

  room(name: string): RoomState<Ev, Data> {
    return this.#rooms.get(name)!
  }

  get #all(): ReadonlyArray<RoomState<Ev, Data>> {
    return Array.from(this.#rooms.values())
  }

  /** The id of the connection a member has, or had last. */
  idOf(member: string): string {
    const incarnation = this.#incarnations.get(member) ?? 1
    return incarnation === 1 ? member : `${member}-${incarnation}`
  }

  isConnected(member: string): boolean {
    return !this.#gone.has(this.idOf(member))
  }

  /** How many places the connection of a member holds, which end with it. */
  places(member: string): number {
    const id = this.idOf(member)
    return this.#all.filter(({ places }) => places.some((place) => place.id === id && place.tied)).length
  }

  roomsOf(member: string): ReadonlyArray<string> {
    const id = this.idOf(member)
    return this.#all.filter(({ places }) => places.some((place) => place.id === id)).map(({ name }) => name)
  }

  get actors(): number {
    return this.#all.filter((room) => room.isLive).length
  }

  /** Time has come to this. */
  passTo(now: number): void {
    for (const room of this.#all) room.expire(now, this.#idle)
  }

  /** Does a command; answers what it must answer. `nobody` is the id that somebody without one was given. */
  run(command: Command<Ev, Data>, now: number, nobody: string): string | number | boolean | undefined {
    this.passTo(now)
    const answer = this.#run(command, now, nobody)
    for (const room of this.#all) room.settle(now)
    return answer
  }

  #run(command: Command<Ev, Data>, now: number, nobody: string): string | number | boolean | undefined {
    switch (command._tag) {
      case "Join":
        return this.#join(command, now, nobody)
      case "Leave": {
        const join = this.#joins.get(command)
        if (join === undefined) return undefined
        return this.room(command.room).leave(join.id, "left", ({ generation }) => generation === join.generation)
      }
      case "Remove":
        return this.room(command.room).leave(this.idOf(command.member), "removed")
      case "LeaveAll":
        return this.#all.filter((room) => room.leave(this.idOf(command.member), "removed")).length
      case "Disconnect": {
        const id = this.idOf(command.member)
        this.#gone.add(id)
        for (const room of this.#all) room.leave(id, "gone", ({ tied }) => tied)
        const next = (this.#incarnations.get(command.member) ?? 1) + 1
        if (command.again) this.#incarnations.set(command.member, next)
        return undefined
      }
      case "Publish":
        return this.#publish(command)
      case "Broadcast": {
        const except = command.except.map((member) => this.idOf(member))
        this.room(command.room).send(command.message, except)
        return undefined
      }
      case "Close":
        this.room(command.room).close("closed")
        return undefined
      case "Pass":
        return undefined
    }
  }

  #join({ data, how, member, room: name }: Command<Ev, Data> & { readonly _tag: "Join" }, now: number, nobody: string) {
    const room = this.room(name)
    const id = how === "nobody" ? nobody : this.idOf(member)
    const { canJoin, capacity = Number.POSITIVE_INFINITY } = this.#spec
    const { members } = room
    if (canJoin !== undefined && !canJoin({ room: name, member: id, data, members })) return "NotAllowed"
    if (this.#takesNoMore(room)) return "TooManyRooms"
    room.start(now)
    const tied = how !== "nobody" && how !== "id"
    if (how === "nobody" && members.some((other) => other.id === id)) return "an id of its own"
    if (tied && this.#gone.has(id)) return "MemberGone"
    if (!members.some((other) => other.id === id) && members.length >= capacity) return "RoomFull"
    const generation = ++this.#generation
    room.join({ id, data, generation, tied }, now)
    this.#joins.add(name, member, { id, generation })
    return "ok"
  }

  /** Whether one more room would be too many. */
  #takesNoMore({ isLive, places }: RoomState<Ev, Data>): boolean {
    const { maxRooms = Number.POSITIVE_INFINITY } = this.#spec
    if (isLive || places.length > 0) return false
    return Math.max(this.actors, this.#all.filter((room) => room.places.length > 0).length) >= maxRooms
  }

  #publish({ member, message, room: name }: Command<Ev, Data> & { readonly _tag: "Publish" }) {
    const room = this.room(name)
    const id = this.idOf(member)
    const { body, canPublish } = this.#spec
    const { members } = room
    if (canPublish !== undefined && !canPublish({ room: name, member: id, message, members })) return "NotAllowed"
    if (body === "none") room.send(message, [id])
    else if (!room.isLive) return "RoomClosed"
    else
      room.tell((handlers) => {
        if (handlers.onMessage === undefined) room.send(message, [id])
        else handlers.onMessage({ member: { id }, message })
      })
    return "ok"
  }
}
