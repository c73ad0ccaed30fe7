/**
 * The members of one kind of room on this node: the one mutable cell around `RoomState`, changed in single steps.
 */
import * as DateTime from "effect/DateTime"
import type { Receiver } from "../../channels/Subscription.ts"
import type { Member } from "../Member.ts"
import * as RoomState from "../RoomState.ts"

/** Called in the step in which the change happens; must not throw. */
export interface MembersEvents<Data> {
  readonly onJoined: (identifier: string, joined: RoomState.Membership<Data>) => void
  readonly onLeft: (identifier: string, left: RoomState.Membership<Data>, reason: string) => void
}

export class Members<Data> {
  #state = RoomState.empty<Data>()
  #generation = 0
  readonly #events: MembersEvents<Data>
  /** By generation, calls off that a membership ends with its member or scope. */
  readonly #undo = new Map<number, () => void>()

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
    joinedAt: number,
    capacity: number,
    attach: (() => () => void) | undefined
  ): RoomState.Membership<Data> | "full" | "gone" {
    const generation = ++this.#generation
    let gone = false
    const unlink = member.onClose?.(() => {
      gone = true
      this.leave(identifier, member.id, "gone", generation)
    })
    if (gone) return "gone"
    const request = { member: member.id, data, joinedAt, generation }
    const [state, joined] = RoomState.join(this.#state, identifier, request, capacity)
    if (joined._tag === "Full") {
      unlink?.()
      return "full"
    }
    this.#state = state
    if (joined._tag === "JoinedAgain") this.#undoOf(joined.replaced.generation)
    const detach = attach?.()
    if (unlink !== undefined || detach !== undefined) {
      this.#undo.set(generation, () => {
        detach?.()
        unlink?.()
      })
    }
    if (joined._tag === "Joined") this.#events.onJoined(identifier, joined.membership)
    return joined.membership
  }

  /** Calls back when a membership has ended, however it did; at once if it has. */
  onEnd(identifier: string, membership: RoomState.Membership<Data>, callback: () => void): void {
    if (!this.holds(identifier, membership)) return callback()
    const before = this.#undo.get(membership.generation)
    this.#undo.set(membership.generation, () => {
      before?.()
      callback()
    })
  }

  /** False when there was no such membership, or it belongs to a later join. */
  leave(identifier: string, member: string, reason: string, generation?: number): boolean {
    const [state, left] = RoomState.leave(this.#state, identifier, member, generation)
    this.#state = state
    if (left === undefined) return false
    this.#undoOf(left.generation)
    this.#events.onLeft(identifier, left, reason)
    return true
  }

  /** Whether a membership is still held by the join it came from. */
  holds(identifier: string, { generation, member }: RoomState.Membership<Data>): boolean {
    return RoomState.get(this.#state, identifier, member)?.generation === generation
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

  #undoOf(generation: number): void {
    const undo = this.#undo.get(generation)
    this.#undo.delete(generation)
    undo?.()
  }
}

/** A membership as others see it. */
export const toMember = <Data>({ data, joinedAt, member }: RoomState.Membership<Data>): Member<Data> => ({
  id: member,
  data,
  joinedAt: DateTime.makeUnsafe(joinedAt)
})
