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
import { PresenceError } from "../PresenceError.ts"
import * as State from "../PresenceState.ts"
import { Liveness } from "./liveness.ts"
import { Room } from "./room.ts"

const maxDeviceName = 128

interface Options {
  readonly limits: Limits
  readonly turn: Turn.Turn
  readonly liveness: Liveness
  /** Has `flush` called once the batch window is over. */
  readonly flushLater: () => void
}

export class Rooms<U, M> {
  readonly #options: Options
  readonly #rooms = new Map<string, Room<U, M>>()
  #dirty = new Set<Room<U, M>>()
  #flushing = false
  #devices = 0
  #generation = 0
  #closed = false

  constructor(options: Options) {
    this.#options = options
  }

  get size(): number {
    return this.#rooms.size
  }

  get closed(): boolean {
    return this.#closed
  }

  /** The state of a room; that of an empty one when there is none. */
  state(identifier: string): State.PresenceState<U, M> {
    return this.#rooms.get(identifier)?.state ?? State.empty(this.#options.limits.listCap)
  }

  now(): State.Now {
    return this.#options.liveness.now()
  }

  /** Changes a room in one step and tells whether there was anything to change. */
  change(identifier: string, transition: (state: State.PresenceState<U, M>) => State.Changed<U, M>): boolean {
    if (this.#closed) return false
    const before = this.state(identifier)
    const changed = transition(before)
    if (changed[0] === before) return false
    const room = this.#room(identifier)
    this.#devices += changed[0].devices - before.devices
    room.commit(changed)
    this.#announce(room)
    this.removeIfEmpty(room)
    return true
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
    if (devices.every(({ device }) => device !== input.device)) {
      if (devices.length >= limits.maxDevices) return refused({ reason: "tooManyDevices", limit: limits.maxDevices })
      if (this.#devices >= limits.capacity) return refused({ reason: "full", limit: limits.capacity })
    }
    const generation = ++this.#generation
    this.change(identifier, (state) => how(state, { ...input, generation }, this.now()))
    return Result.succeed(generation)
  }

  /** The room a reader attaches to in the same step. */
  forReader(identifier: string): Room<U, M> {
    return this.#room(identifier)
  }

  /** To be called when a room may have become empty. */
  removeIfEmpty(room: Room<U, M>): void {
    if (!room.isEmpty || this.#rooms.get(room.identifier) !== room) return
    this.#rooms.delete(room.identifier)
    this.#dirty.delete(room)
  }

  /** Removes the devices whose time is over and counts them. */
  expire(now: State.Now, timeToLive: number): number {
    const before = this.#devices
    const ages = { timeToLive, gracePeriod: this.#options.limits.gracePeriod }
    for (const identifier of Array.from(this.#rooms.keys())) {
      this.change(identifier, (state) => State.expire(state, now, ages))
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
  }

  #room(identifier: string): Room<U, M> {
    const existing = this.#rooms.get(identifier)
    if (existing !== undefined) return existing
    const { limits, turn } = this.#options
    const room = new Room<U, M>(identifier, State.empty(limits.listCap), limits.maxBehind, turn)
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
  limits: Limits
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
    Effect.sync(() => new Rooms<U, M>({ limits, turn, liveness, flushLater })),
    (made) => Effect.sync(() => made.close())
  )
  const sweep = Effect.andThen(
    Effect.sleep(limits.sweepInterval),
    Effect.sync(() => rooms.expire(liveness.sweep(), limits.timeToLive))
  )
  yield* Effect.forkScoped(Effect.forever(sweep, { disableYield: true }), { startImmediately: true })
  return rooms
})
