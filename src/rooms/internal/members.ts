/**
 * The members of one kind of room on this node: the one cell around `RoomState`, changed in single steps.
 */
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Receiver } from "../../channels/Subscription.ts"
import type { Member } from "../Member.ts"
import * as RoomState from "../RoomState.ts"

/** Called in the step in which the change happens; must not throw. */
export interface MembersEvents<Data> {
  readonly onJoined: (identifier: string, joined: RoomState.Membership<Data>) => void
  /** A member that was in already has new data. */
  readonly onJoinedAgain: (identifier: string, joined: RoomState.Membership<Data>) => void
  readonly onLeft: (identifier: string, left: RoomState.Membership<Data>, reason: string) => void
}

/** A membership, and what is to be done when it ends, however it does. */
export class Held<Data> implements RoomState.Membership<Data> {
  readonly member: string
  readonly data: Data
  readonly joinedAt: number
  readonly generation: number
  /** Why it has ended; undefined while it has not. */
  reason: string | undefined
  detach: (() => void) | undefined
  /** Calls off that it ends with its member. */
  unlink: (() => void) | undefined
  onEnd: (() => void) | undefined
  /** Of those who wait for its end; nobody does, as a rule. */
  #told: Deferred.Deferred<string> | undefined

  constructor(member: string, data: Data, joinedAt: number, generation: number, unlink: (() => void) | undefined) {
    this.member = member
    this.data = data
    this.joinedAt = joinedAt
    this.generation = generation
    this.reason = undefined
    this.detach = undefined
    this.unlink = unlink
    this.onEnd = undefined
    this.#told = undefined
  }

  get ended(): boolean {
    return this.reason !== undefined
  }

  /** Waits for its end; answers why it has ended. Who has waited goes on after the step in which it ends. */
  get whenEnded(): Effect.Effect<string> {
    return Effect.suspend(() => {
      if (this.reason !== undefined) return Effect.succeed(this.reason)
      this.#told ??= Deferred.makeUnsafe<string>()
      return Effect.tap(Deferred.await(this.#told), Effect.yieldNow)
    })
  }

  /** To be called when all others know that it has ended. */
  tell(): void {
    if (this.#told !== undefined) Deferred.doneUnsafe(this.#told, Exit.succeed(this.reason!))
  }

  /** To be called once it is in no room any more. */
  end(reason: string): void {
    this.reason = reason
    this.detach?.()
    this.unlink?.()
    this.onEnd?.()
  }
}

export class Members<Data> {
  readonly #state = RoomState.make<Held<Data>>()
  #generation = 0
  readonly #events: MembersEvents<Data>

  constructor(events: MembersEvents<Data>) {
    this.#events = events
  }

  /**
   * Lets a member in, until it leaves or is gone; `attach` runs in this step, and what it returns when the membership
   * ends. Who is gone already does not come in, and nobody hears of it.
   */
  join(
    identifier: string,
    member: Receiver,
    data: Data,
    now: number,
    capacity: number,
    attach: (() => () => void) | undefined
  ): Held<Data> | "full" | "gone" {
    const { id } = member
    const generation = ++this.#generation
    let gone = false
    const unlink = member.onClose?.(() => {
      gone = true
      this.leave(identifier, id, "gone", generation)
    })
    if (gone) return "gone"
    if (!RoomState.takes(this.#state, identifier, id, capacity)) {
      unlink?.()
      return "full"
    }
    const joinedAt = RoomState.get(this.#state, identifier, id)?.joinedAt ?? now
    const held = new Held(id, data, joinedAt, generation, unlink)
    const replaced = RoomState.join(this.#state, identifier, held)
    replaced?.end("replaced")
    if (attach !== undefined) held.detach = attach()
    if (replaced === undefined) this.#events.onJoined(identifier, held)
    else {
      this.#events.onJoinedAgain(identifier, held)
      replaced.tell()
    }
    return held
  }

  /** Calls back when a membership has ended, however it did; at once if it has. */
  onEnd(held: Held<Data>, callback: () => void): void {
    if (held.ended) callback()
    else held.onEnd = callback
  }

  /** False when there was no such membership, or it belongs to a later join. */
  leave(identifier: string, member: string, reason: string, generation?: number): boolean {
    const left = RoomState.leave(this.#state, identifier, member, generation)
    if (left === undefined) return false
    left.end(reason)
    this.#events.onLeft(identifier, left, reason)
    left.tell()
    return true
  }

  of(identifier: string): ReadonlyArray<Member<Data>> {
    return RoomState.members(this.#state, identifier).map(toMember)
  }

  size(identifier: string): number {
    return RoomState.size(this.#state, identifier)
  }

  roomsOf(member: string): ReadonlyArray<string> {
    return RoomState.roomsOf(this.#state, member)
  }

  get roomCount(): number {
    return RoomState.count(this.#state)
  }

  get rooms(): ReadonlyArray<readonly [identifier: string, size: number]> {
    return RoomState.list(this.#state)
  }
}

/** A membership as others see it. */
export const toMember = <Data>({ data, joinedAt, member }: RoomState.Membership<Data>): Member<Data> => ({
  id: member,
  data,
  joinedAt: DateTime.makeUnsafe(joinedAt)
})
