/**
 * The rooms of one presence: each is there while somebody is present in it or reads it.
 *
 * Owns what is common to them: the bound on devices, the generations, the sweep and the flush that tells readers.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Turn from "../../internal/turn.ts"
import type { Limits } from "../PresenceConfig.ts"
import { isOwn } from "../PresenceDevice.ts"
import { PresenceError } from "../PresenceError.ts"
import * as State from "../PresenceState.ts"
import { merge, rename, type Said, type Settling } from "../PresenceUnion.ts"
import { Liveness } from "./liveness.ts"
import { Room } from "./room.ts"

const maxDeviceName = 128

interface Options {
  readonly limits: Limits
  readonly turn: Turn.Turn
  readonly liveness: Liveness
  /** Has `flush` called once the batch window is over. */
  readonly flushLater: () => void
  /** The epoch of this node; empty while it is alone. */
  readonly self: () => string
}

/** Knows the other nodes, and is told what changes of the devices of this one. */
export interface Listener<U, M> extends Pick<Settling, "knew"> {
  readonly tell: (
    room: string,
    before: State.UserState<U, M> | undefined,
    after: State.UserState<U, M> | undefined
  ) => void
}

export class Rooms<U, M> {
  readonly #options: Options
  readonly #rooms = new Map<string, Room<U, M>>()
  #dirty = new Set<Room<U, M>>()
  #flushing = false
  #devices = 0
  #past = 0
  #generation = 0
  #closed = false
  #self: string
  #listener: Listener<U, M> | undefined

  constructor(options: Options) {
    this.#options = options
    this.#self = options.self()
  }

  /** Rooms with a device of this node, or a reader. */
  get size(): number {
    if (this.#listener === undefined) return this.#rooms.size
    let size = 0
    for (const room of this.#rooms.values()) if (room.isRead || room.state.own > 0) size++
    return size
  }

  /** All rooms anything is known of. */
  get states(): ReadonlyArray<readonly [identifier: string, state: State.PresenceState<U, M>]> {
    return Array.from(this.#rooms, ([identifier, { state }]) => [identifier, state] as const)
  }

  get closed(): boolean {
    return this.#closed
  }

  /** The state of a room; that of an empty one when there is none. */
  state(identifier: string): State.PresenceState<U, M> {
    return this.#rooms.get(identifier)?.state ?? State.empty(this.#options.limits.listCap, this.#self)
  }

  now(): State.Now {
    return this.#options.liveness.now()
  }

  /** Since when what goes now is remembered for other nodes; not at all while there are none, or too much is. */
  get memory(): State.Now | undefined {
    return this.#remembers ? this.now() : undefined
  }

  get #remembers(): boolean {
    return this.#listener !== undefined && this.#past < this.#options.limits.capacity
  }

  /** There are no other nodes. */
  get isAlone(): boolean {
    return this.#listener === undefined
  }

  /** From here on the listener is told what changes of the devices of this node. */
  connect(listener: Listener<U, M>): void {
    this.#listener = listener
  }

  /** The highest generation so far, of this node or another. */
  get generation(): number {
    return this.#generation
  }

  /** Another node has a device of this generation: later ones of this node are above it. */
  observe(generation: number): void {
    this.#generation = Math.max(this.#generation, generation)
  }

  /**
   * Changes a room in one step and tells whether there was anything to change. Where it is not said about which users
   * the change is, it may be about any.
   */
  change(
    identifier: string,
    users: ReadonlyArray<string> | undefined,
    transition: (state: State.PresenceState<U, M>) => State.Changed<U, M>
  ): boolean {
    if (this.#closed) return false
    const before = this.state(identifier)
    const changed = transition(before)
    const [after] = changed
    if (after === before) return false
    const room = this.#room(identifier)
    this.#devices += after.own - before.own
    this.#past += after.past - before.past
    room.commit(changed)
    if (this.#listener !== undefined) {
      for (const user of users ?? State.changedUsers(before, after)) {
        this.#listener.tell(identifier, State.known(before, user), State.known(after, user))
      }
    }
    this.#announce(room)
    this.removeIfEmpty(room)
    return true
  }

  /** Takes in what other nodes say, by room. */
  merge(said: ReadonlyMap<string, ReadonlyArray<Said<U, M>>>): void {
    this.#settleName()
    for (const [identifier, all] of said) {
      const users: Array<string> = []
      this.change(identifier, users, (state) => merge(state, all, this.#settling(users)))
    }
  }

  #settling(users: Array<string>): Settling {
    return {
      now: this.now(),
      remembers: this.#remembers,
      next: () => ++this.#generation,
      knew: (rival) => this.#listener?.knew(rival) ?? true,
      onOwn: (user) => void users.push(user)
    }
  }

  /** This node may have another epoch than it had. */
  #settleName(): void {
    const self = this.#options.self()
    if (self === this.#self) return
    this.#self = self
    for (const identifier of Array.from(this.#rooms.keys())) {
      const users: Array<string> = []
      this.change(identifier, users, (state) => rename(state, self, this.#settling(users)))
    }
  }

  /** Lets a device appear; answers the generation it has if it is new, or why it may not. */
  appear(
    identifier: string,
    input: Omit<State.Appearance<U, M>, "generation">,
    how: typeof State.hold
  ): Result.Result<number, PresenceError> {
    const { limits } = this.#options
    const devices = State.find(this.state(identifier), input.user.identifier)?.devices ?? []
    if (input.device.length === 0 || input.device.length > maxDeviceName)
      return refused({ reason: "badDevice", limit: maxDeviceName })
    const old = devices.find(({ device }) => device === input.device)
    if (old === undefined && devices.length >= limits.maxDevices)
      return refused({ reason: "tooManyDevices", limit: limits.maxDevices })
    if ((old === undefined || !isOwn(old)) && this.#devices >= limits.capacity)
      return refused({ reason: "full", limit: limits.capacity })
    const generation = ++this.#generation
    this.change(identifier, [input.user.identifier], (state) => how(state, { ...input, generation }, this.now()))
    return Result.succeed(generation)
  }

  /** The room a reader attaches to in the same step. */
  forReader(identifier: string): Room<U, M> {
    return this.#room(identifier)
  }

  /** How long a lost device stays, in milliseconds. */
  get gracePeriod(): number {
    return this.#options.limits.gracePeriod
  }

  /** To be called when a room may have become empty. */
  removeIfEmpty(room: Room<U, M>): void {
    if (!room.isEmpty || this.#rooms.get(room.identifier) !== room) return
    this.#rooms.delete(room.identifier)
    this.#dirty.delete(room)
  }

  /** Removes the devices of this node whose time is over and counts them. */
  expire(now: State.Now, timeToLive: number): number {
    if (this.#listener !== undefined) this.#settleName()
    const before = this.#devices
    const ages = { timeToLive, gracePeriod: this.#options.limits.gracePeriod }
    for (const identifier of Array.from(this.#rooms.keys())) {
      this.change(identifier, undefined, (state) => State.expire(state, now, ages, this.#remembers ? now : undefined))
    }
    return before - this.#devices
  }

  /** Tells the readers of every room what has changed. */
  flush(): void {
    const dirty = this.#dirty
    this.#dirty = new Set()
    this.#flushing = false
    for (const room of dirty) room.flush()
  }

  close(): void {
    this.#closed = true
    for (const room of this.#rooms.values()) room.close()
    this.#rooms.clear()
    this.#dirty.clear()
    this.#devices = 0
    this.#past = 0
  }

  #room(identifier: string): Room<U, M> {
    const existing = this.#rooms.get(identifier)
    if (existing !== undefined) return existing
    const { limits, turn } = this.#options
    const room = new Room<U, M>(identifier, State.empty(limits.listCap, this.#self), limits.maxBehind, turn)
    if (!this.#closed) this.#rooms.set(identifier, room)
    return room
  }

  /** A room in which very much happens is not waited for, so that what is collected stays bounded. */
  #announce(room: Room<U, M>): void {
    if (room.dirt === 0) return
    if (room.dirt > this.#options.limits.listCap) return room.flush()
    this.#dirty.add(room)
    if (this.#flushing) return
    this.#flushing = true
    this.#options.flushLater()
  }
}

const refused = (fields: ConstructorParameters<typeof PresenceError>[0]) => Result.fail(new PresenceError(fields))

/** Makes rooms that are swept and flushed until the scope closes; then their readers end and nobody is present. */
export const make = Effect.fnUntraced(function* <U, M>(
  limits: Limits,
  self: () => string
): Effect.fn.Return<Rooms<U, M>, never, Scope.Scope> {
  const liveness = new Liveness(yield* Clock.Clock, limits.sweepInterval)
  const turn = yield* Turn.make
  const fork = yield* FiberSet.makeRuntime()
  const flush = Effect.andThen(
    Effect.sleep(limits.batchWindow),
    Effect.sync(() => rooms.flush())
  )
  const flushLater = () => void fork(flush)
  const rooms = yield* Effect.acquireRelease(
    Effect.sync(() => new Rooms<U, M>({ limits, turn, liveness, flushLater, self })),
    (made) => Effect.sync(() => made.close())
  )
  const sweep = Effect.andThen(
    Effect.sleep(limits.sweepInterval),
    Effect.sync(() => rooms.expire(liveness.sweep(), limits.timeToLive))
  )
  yield* Effect.forkScoped(Effect.forever(sweep, { disableYield: true }), { startImmediately: true })
  return rooms
})
