/**
 * The members of one kind of room on this node: the one mutable cell around `RoomState`, changed in single steps.
 */
import * as DateTime from "effect/DateTime"
import type { Receiver } from "../../channels/Subscription.ts"
import type { Member } from "../Member.ts"
import * as RoomState from "../RoomState.ts"

/** Called in the step in which the change happens; must not throw. */
export interface MembersEvents<Data> {
  readonly onJoined: (identifier: string, member: Member<Data>) => void
  readonly onLeft: (identifier: string, member: Member<Data>, reason: string) => void
}

export class Members<Data> {
  #state = RoomState.empty<Data>()
  #generation = 0
  readonly #events: MembersEvents<Data>
  /** Calls off, by generation, that a membership ends with its member. */
  readonly #unlink = new Map<number, () => void>()

  constructor(events: MembersEvents<Data>) {
    this.#events = events
  }

  /**
   * Lets a member in, until it leaves or is gone; undefined when the room is full. Of a member that is gone already
   * nothing is left when this returns.
   */
  join(
    identifier: string,
    member: Receiver,
    data: Data,
    joinedAt: number,
    capacity: number
  ): RoomState.Membership<Data> | undefined {
    const generation = ++this.#generation
    const request = { member: member.id, data, joinedAt, generation }
    const [state, joined] = RoomState.join(this.#state, identifier, request, capacity)
    if (joined._tag === "Full") return undefined
    this.#state = state
    if (joined._tag === "JoinedAgain") this.#unlinkFrom(joined.replaced.generation)
    else this.#events.onJoined(identifier, toMember(joined.membership))
    const unlink = member.onClose?.(() => this.leave(identifier, member.id, "gone", generation))
    if (unlink !== undefined && this.holds(identifier, joined.membership)) this.#unlink.set(generation, unlink)
    return joined.membership
  }

  /** False when there was no such membership, or it belongs to a later join. */
  leave(identifier: string, member: string, reason: string, generation?: number): boolean {
    const [state, left] = RoomState.leave(this.#state, identifier, member, generation)
    this.#state = state
    if (left === undefined) return false
    this.#unlinkFrom(left.generation)
    this.#events.onLeft(identifier, toMember(left), reason)
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

  get rooms(): ReadonlyArray<readonly [identifier: string, size: number]> {
    return RoomState.list(this.#state)
  }

  #unlinkFrom(generation: number): void {
    this.#unlink.get(generation)?.()
    this.#unlink.delete(generation)
  }
}

/** A membership as others see it. */
export const toMember = <Data>({ data, joinedAt, member }: RoomState.Membership<Data>): Member<Data> => ({
  id: member,
  data,
  joinedAt: DateTime.makeUnsafe(joinedAt)
})
