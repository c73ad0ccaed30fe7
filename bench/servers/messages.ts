/**
 * The protocol of the benchmark, as the servers of effect-rooms check it.
 */
import * as Schema from "effect/Schema"
import { Ref } from "../../src/index.ts"

export class Room extends Ref.Entity<Room>()("Room") {}

export const said = { content: Schema.String, at: Schema.Finite }

export const Incoming = Schema.Union([
  Schema.Struct({ type: Schema.Literal("message"), ...said }),
  Schema.Struct({ type: Schema.Literals(["join", "leave"]), room: Room.ref.schema })
])
export type Incoming = typeof Incoming.Type

export const Outgoing = Schema.Union([
  Schema.Struct({ type: Schema.Literal("message"), ...said }),
  Schema.Struct({ type: Schema.Literals(["joined", "left"]), room: Room.ref.schema })
])
export type Outgoing = typeof Outgoing.Type
