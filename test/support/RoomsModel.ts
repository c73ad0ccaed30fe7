/**
 * A pure model of one kind of room: who is in, what everybody was sent and told, which actors live; in plain arrays.
 *
 * Commands that make no sense (leaving by a membership that does not exist) change nothing, so that shrinking may
 * delete any command.
 */
import * as Schema from "effect/Schema"

/** Identifiers that the rule allows and that an index made of an object would get wrong. */
export const names = ["toString", "valueOf"] as const
/** Two connections, and somebody who never goes by itself. */
export const people = ["alice", "bob", "carol"] as const
export const capacity = 2

const room = Schema.Literals(names)
const who = Schema.Literals(people)
const slot = Schema.Literals([0, 1, 2, 3, 4, 5])

export const Command = Schema.TaggedUnion({
  Join: {
    room,
    as: Schema.Literals([...people, "anonymous"]),
    how: Schema.Literals(["join", "open", "current"]),
    allowed: Schema.Literals([true, true, true, false])
  },
  Leave: { slot, how: Schema.Literals(["handle", "dispose", "scope"]) },
  Kick: { room, who },
  LeaveAll: { who },
  /** The connection closes; who connects next under this name is another one. */
  Disconnect: { who, again: Schema.Boolean },
  Broadcast: { room, except: Schema.Literals([...people, "reader", "none"]) },
  Publish: { room, who, allowed: Schema.Literals([true, true, false]) },
  Close: { room },
  /** So much time passes that actors nobody needs end. */
  Pass: {}
})
export type Command = typeof Command.Type

interface Member {
  readonly id: string
  data: string
  readonly joinedAt: number
  generation: number
}

export interface Slot {
  readonly room: string
  readonly id: string
  readonly generation: number
}

export class RoomsModel {
  readonly slots: Array<Slot> = []
  readonly #members = new Map<string, ReadonlyArray<Member>>(names.map((name) => [name, []]))
  readonly #actors = new Set<string>()
  readonly #told = new Map<string, Array<string>>(names.map((name) => [name, []]))
  readonly #sent = new Map<string, Array<string>>(names.map((name) => [name, []]))
  readonly #incarnation = new Map<string, number>()
  readonly #gone = new Set<string>()
  readonly #withBody: boolean
  #now = 0
  #generation = 0

  constructor(withBody: boolean) {
    this.#withBody = withBody
  }

  idOf(person: string): string {
    return person === "carol" ? person : `${person}-${this.#incarnation.get(person) ?? 0}`
  }

  /** With a body, the first room handles what members publish; the second, and rooms without body, send it on. */
  #handles(name: string): boolean {
    return this.#actors.has(name) && name === names[0]
  }

  of(name: string): ReadonlyArray<Member> {
    return this.#members.get(name)!
  }

  #tell(name: string, line: string): void {
    if (this.#actors.has(name)) this.#told.get(name)!.push(line)
  }

  join(name: string, id: string, data: string, allowed: boolean): string {
    if (!allowed) return "NotAllowed"
    if (this.#withBody) this.#actors.add(name)
    if (this.#gone.has(id)) return "MemberGone"
    const present = this.of(name).find((member) => member.id === id)
    if (present === undefined && this.of(name).length === capacity) return "RoomFull"
    const generation = ++this.#generation
    const member = { id, data, joinedAt: present?.joinedAt ?? this.#now, generation }
    this.#members.set(name, [...this.of(name).filter((other) => other !== present), member])
    if (present === undefined) this.#tell(name, `+${id} ${data}`)
    this.slots.push({ room: name, id, generation })
    return "ok"
  }

  #leave(name: string, id: string, reason: string): boolean {
    const present = this.of(name).find((member) => member.id === id)
    if (present === undefined) return false
    this.#members.set(
      name,
      this.of(name).filter((member) => member !== present)
    )
    this.#tell(name, `-${id} ${reason}`)
    return true
  }

  leaveSlot(number: number): boolean {
    const { generation, id, room: name } = this.slots[number]!
    const held = this.of(name).some((member) => member.generation === generation)
    return held && this.#leave(name, id, "left")
  }

  kick(name: string, person: string): boolean {
    return this.#leave(name, this.idOf(person), "left")
  }

  leaveAll(person: string): number {
    return names.filter((name) => this.kick(name, person)).length
  }

  disconnect(person: string, again: boolean): void {
    if (person === "carol") return
    const id = this.idOf(person)
    this.#gone.add(id)
    for (const name of names) this.#leave(name, id, "gone")
    if (again) this.#incarnation.set(person, (this.#incarnation.get(person) ?? 0) + 1)
  }

  broadcast(name: string, text: string, except: string): void {
    if (except !== "reader") this.#sent.get(name)!.push(text)
  }

  publish(name: string, person: string, text: string, allowed: boolean): string {
    if (!allowed) return "NotAllowed"
    if (this.#withBody && !this.isLive(name)) return "RoomClosed"
    if (this.#handles(name)) this.#tell(name, `${this.idOf(person)}: ${text}`)
    else this.#sent.get(name)!.push(text)
    return "ok"
  }

  close(name: string): void {
    for (const { id } of this.of(name)) this.#leave(name, id, "closed")
    this.#actors.delete(name)
  }

  pass(millis: number): void {
    this.#now += millis
    for (const name of names) if (this.of(name).length === 0) this.#actors.delete(name)
  }

  isLive(name: string): boolean {
    return this.#actors.has(name)
  }

  /** Callbacks that wait for the end of the connection that somebody has now. */
  waiting(person: string): number {
    const id = this.idOf(person)
    return person === "carol" ? 0 : names.filter((name) => this.of(name).some((member) => member.id === id)).length
  }

  /** What handlers were told and the subscription of a room was sent since the last time. */
  taken(name: string): { readonly told: ReadonlyArray<string>; readonly sent: ReadonlyArray<string> } {
    return { told: this.#told.get(name)!.splice(0), sent: this.#sent.get(name)!.splice(0) }
  }
}
